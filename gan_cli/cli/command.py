"""What the commands without sweeps share: flags, composing, and an end in one sentence."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue

from gan_cli import __version__
from gan_cli.cli import outcome
from gan_cli.cli.bare import check_bare
from gan_cli.cli.config import register_resolvers
from gan_cli.cli.folder import config_folder
from gan_cli.cli.quoting import flags_first, quoted
from gan_cli.cli.sentences import ended, exit_code_of, say, sentence
from gan_cli.errors import RunError, UserError
from gan_cli.threads import begin

Carry = Callable[[dict[str, Any]], None]


def run(name: str, carry_out: Carry, help_text: Callable[[Path], str]) -> None:
    """A console script, from `sys.argv` to its exit code.

    Args:
        name: of the root config.
        carry_out: given the composed config as plain values.
        help_text: what `--help` prints, made from the folder of the configs.
    """
    begin()
    arguments = sys.argv[1:]
    sys.exit(
        exit_code_of(lambda: _obey(arguments, name, carry_out, help_text), lambda: outcome.names(name), f"gan-{name}")
    )


def _obey(arguments: list[str], name: str, carry_out: Carry, help_text: Callable[[Path], str]) -> int:
    if "--version" in arguments:
        print(f"gan_cli {__version__}")
        return 0
    if "--help" in arguments or "-h" in arguments:
        print(help_text(config_folder()))
        return 0
    register_resolvers()
    arguments = flags_first(arguments)
    check_bare(arguments, f"gan-{name}")
    sys.argv[1:] = quoted(arguments)

    def task(config: DictConfig) -> None:  # an exception would leave Hydra as a traceback
        try:
            carry_out(OmegaConf.to_container(config, resolve=True, throw_on_missing=True))  # type: ignore[arg-type]
        except MissingMandatoryValue as error:
            raise SystemExit(say(sentence(error, list), 2)) from error
        except (UserError, RunError, OSError) as error:
            raise ended(error) from error

    hydra.main(version_base="1.3", config_path=str(config_folder()), config_name=name)(task)()
    return outcome.code
