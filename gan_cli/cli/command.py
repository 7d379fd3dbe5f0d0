"""The frame of the commands without sweeps: flags, composing, and errors in one sentence."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig, OmegaConf

from gan_cli import __version__
from gan_cli.base.errors import RunError
from gan_cli.base.threads import begin
from gan_cli.check.config_folder import config_folder, look_in
from gan_cli.cli import outcome
from gan_cli.cli.config import register_resolvers
from gan_cli.cli.judge import judge, settled
from gan_cli.cli.printed import Values, show_config, values
from gan_cli.cli.sentences import REFUSALS, ended, exit_code_of
from gan_cli.cli.typed import Typed, completed, read

Carry = Callable[[dict[str, Any]], None]
HelpText = Callable[[list[Path]], str]
WouldRun = Callable[[Typed, str], Values]


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


def answered(typed: Typed, root: str, help_text: HelpText, shown: WouldRun = values) -> int | None:
    """Answer what needs no run, as `--version`, `--help` and questions of a shell; return the exit code.

    None where there is more to do.

    Args:
        shown: what would run, for the keys that `--help` lists where something is typed beside it.

    Raises:
        UserError: the command line can't work.
    """
    if "--version" in typed.flags:
        print(f"gan_cli {__version__}")
        return 0
    register_resolvers()
    look_in(typed.folders())
    if "--help" in typed.flags:
        if typed.overrides:
            from gan_cli.cli.option_help import help_beside

            return help_beside(typed, root, help_text, shown)
        print(help_text(typed.folders()))
        return 0
    judge(typed, f"gan-{root}", root)
    if "--shell-completion" in typed.flags:
        from gan_cli.cli.completion import answer

        action, _, shell = typed.overrides[0].partition("=")
        return 0 if action == "query" and answer(shell, root) else None
    return None


def hand_over(typed: Typed, root: str, task: Callable[[DictConfig], Any]) -> None:
    """Let Hydra compose the config, and call `task` once or for each cell of a sweep."""
    sys.argv[1:] = (completed(typed) if "--shell-completion" in typed.flags else typed).arguments
    hydra.main(version_base="1.3", config_path=str(config_folder()), config_name=root)(task)()
