"""A path that was typed without its key: `gan-sample outputs/RUN`."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path

from gan_cli.cli.config import SWEEPS
from gan_cli.errors import UserError
from gan_cli.files import expanded
from gan_cli.run_folder import is_run, is_sweep


def check_bare(words: Iterable[str], program: str) -> None:
    """Say which key a bare path lacks.

    Args:
        words: what is typed, but for the flags.
        program: the command's name.

    Raises:
        UserError: one of them is a path.
    """
    for word in words:
        if "=" in word or word.startswith("+") or (word.startswith("~") and "/" not in word):  # ~key takes a key out
            continue
        path = expanded(word)
        if "/" in word or path.exists():
            keys = KEYS[program](path)
            said = " or ".join(f"{program} {shlex.quote(f'{key}={word}')}" for key in keys)
            raise UserError(f"{word!r} is a path without its key: say {said}")


def of_train(path: Path) -> list[str]:
    if path.suffix == ".pt":
        return ["init_from"]
    if is_run(path):
        return ["resume", "init_from"]
    if is_sweep(path):
        usual = path.absolute().parent == SWEEPS.absolute()
        again = f"sweep={path.name}" if usual else f"hydra.sweep.dir={path}"
        raise UserError(
            f"{str(path)!r} is a sweep: it goes on when it is started again by the same words, with"
            f" {shlex.quote(again)}; or say resume=CELL for one of its cells"
        )
    return ["dataset.root"] if path.is_dir() else ["resume"]


def of_evaluate(path: Path) -> list[str]:
    return ["sweep"] if is_sweep(path) else ["checkpoint"]


def of_report(path: Path) -> list[str]:
    return ["sweep"] if is_sweep(path) else ["runs"]


def of_sample(path: Path) -> list[str]:
    return ["input"] if path.is_file() and path.suffix != ".pt" else ["checkpoint"]


KEYS = {
    "gan-train": of_train,
    "gan-evaluate": of_evaluate,
    "gan-report": of_report,
    "gan-sample": of_sample,
    "gan-export": lambda path: ["checkpoint"],
}
