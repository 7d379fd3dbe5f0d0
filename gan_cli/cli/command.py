"""The frame of the commands without sweeps: flags, composing, and errors in one sentence."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig, OmegaConf

from gan_cli import __version__
from gan_cli.base.errors import RunError
from gan_cli.base.printable import tell
from gan_cli.base.threads import begin
from gan_cli.check.config_folder import config_folder, look_in
from gan_cli.cli import outcome
from gan_cli.cli.config import register_resolvers
from gan_cli.cli.judge import judge, settled
from gan_cli.cli.printed import show_config, value_lines, values
from gan_cli.cli.sentences import REFUSALS, ended, exit_code_of, sentence
from gan_cli.cli.typed import Typed, completed, read

Carry = Callable[[dict[str, Any]], None]
HelpText = Callable[[list[Path]], str]
Values = Callable[[Typed, str], tuple[Mapping[str, Any], str]]


def run(name: str, carry_out: Carry, help_text: HelpText) -> None:
    """Run a console script, from `sys.argv` to its exit code.

    Args:
        name: the name of the root config.
        carry_out: called with the composed config as plain values.
        help_text: makes the text of `--help` from the folders of the configs.
    """
    begin()
    arguments = sys.argv[1:]
    sys.exit(
        exit_code_of(lambda: _obey(arguments, name, carry_out, help_text), lambda: outcome.names(name), f"gan-{name}")
    )


def _obey(arguments: list[str], name: str, carry_out: Carry, help_text: HelpText) -> int:
    typed = read(arguments)
    code = answered(typed, name, help_text)
    if code is not None:
        return code
    typed = settled(typed, name)
    if typed.flags.get("--cfg"):
        return show_config(typed, name)

    def task(config: DictConfig) -> None:  # an exception would leave Hydra as a traceback
        try:
            carry_out(OmegaConf.to_container(config, resolve=True, throw_on_missing=True))  # type: ignore[arg-type]
        except (*REFUSALS, RunError) as error:
            raise ended(error, list, f"gan-{name}") from error

    hand_over(typed, name, task)
    return outcome.code


def answered(typed: Typed, root: str, help_text: HelpText, shown: Values = values) -> int | None:
    """Answer `--version` and `--help`, and refuse a command line that can't work.

    Return the exit code, or None where there is more to do.

    Args:
        shown: computes the values that would run: `--help` shows them if overrides are typed beside it.

    Raises:
        UserError: the command line can't work.
    """
    if "--version" in typed.flags:
        print(f"gan_cli {__version__}")
        return 0
    register_resolvers()
    look_in(typed.folders())
    if "--help" in typed.flags:
        print(help_text(typed.folders()))
        if typed.overrides:
            show_beside(typed, root, shown)
        return 0
    judge(typed, f"gan-{root}", root)
    return None


def show_beside(typed: Typed, root: str, shown: Values) -> None:
    """Print, after `--help`, the values with which the typed overrides would run. Of a sweep print nothing."""
    if typed.sweeps:
        return
    try:
        judge(typed, f"gan-{root}", root)
        content, refusal = shown(typed, root)
    except REFUSALS as error:
        content, refusal = {}, sentence(error, lambda: outcome.names(root), f"gan-{root}")
    if content:
        print("\n".join(["", "With what is typed here:", *value_lines(content)]))
    if refusal:
        tell(f"this can't run yet: {refusal}", sys.stderr)


def hand_over(typed: Typed, root: str, task: Callable[[DictConfig], Any]) -> None:
    """Let Hydra compose the config, and call `task` once or for each cell of a sweep."""
    sys.argv[1:] = (completed(typed) if "--shell-completion" in typed.flags else typed).arguments
    hydra.main(version_base="1.3", config_path=str(config_folder()), config_name=root)(task)()
