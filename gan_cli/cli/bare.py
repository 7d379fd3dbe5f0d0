"""Paths that are typed without a key, as in `gan-sample outputs/RUN`."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path

from gan_cli.base.errors import UserError
from gan_cli.base.files import expanded
from gan_cli.base.run_folder import has_lock, is_run, is_sweep, runs_below, runs_in
from gan_cli.cli.config import SWEEPS, named_again


def check_bare(words: Iterable[str], program: str) -> None:
    """Refuse a path without a key, and say which key it needs.

    Args:
        words: the typed words, without flags.
        program: the name of the command.

    Raises:
        UserError: one of the words is a path.
    """
    paths = {word: expanded(word) for word in words if may_be_path(word)}
    bare = [word for word, path in paths.items() if "/" in word or path.exists()]
    if not bare:
        return
    if program == "gan-evaluate" and all(are_pictures(paths[word]) for word in bare):
        a, b = [*map(shlex.quote, bare), "FOLDER"][:2]
        raise UserError(f"folders of pictures have keys: say {program} a={a} b={b}, the real ones in b=")
    word = bare[0]
    keys = KEYS[program](paths[word])
    commands = " or ".join(f"{program} {shlex.quote(f'{key}={word}')}" for key in keys)
    raise UserError(f"{word!r} is a path without its key: say {commands}")


def may_be_path(word: str) -> bool:
    return not ("=" in word or word.startswith("+") or (word.startswith("~") and "/" not in word))  # ~key removes a key


def are_pictures(path: Path) -> bool:
    """Return whether a path is a folder that holds no run, and is no part of one."""
    of_run = is_run(path) or path.name == "checkpoints" or (path / "checkpoints").is_dir()
    return path.is_dir() and not of_run and not runs_below(path)


def check_one(path: Path, keys: list[str]) -> list[str]:
    """Return the keys, each of which takes one run, unless the path is a folder of several runs.

    Raises:
        UserError: the folder holds runs, and is no run itself.
    """
    if not is_run(path) and (hint := runs_in(path)):
        raise UserError(f"{str(path)!r} is no run{hint}, as {' or '.join(f'{key}=RUN' for key in keys)}")
    return keys


def of_train(path: Path) -> list[str]:
    if path.suffix == ".pt":
        return ["init_from"]
    if is_run(path):
        return ["resume", "init_from"]
    if is_sweep(path) and (has_lock(path) or path.absolute().parent == SWEEPS.absolute()):
        raise UserError(
            f"{str(path)!r} is a sweep: it goes on when it is started again by the same words, with"
            f" {named_again(path)}; or say resume=CELL for one of its cells"
        )
    check_one(path, ["resume", "init_from"])
    return ["dataset.root"] if path.is_dir() else ["resume"]


def of_evaluate(path: Path) -> list[str]:
    return ["sweep"] if is_sweep(path) else check_one(path, ["checkpoint"])


def of_report(path: Path) -> list[str]:
    return ["sweep"] if is_sweep(path) else ["runs"]


def of_sample(path: Path) -> list[str]:
    pictures = are_pictures(path) or (path.is_file() and path.suffix != ".pt")
    return ["input"] if pictures else of_export(path)


def of_export(path: Path) -> list[str]:
    return check_one(path, ["checkpoint"])


KEYS = {
    "gan-train": of_train,
    "gan-evaluate": of_evaluate,
    "gan-report": of_report,
    "gan-sample": of_sample,
    "gan-export": of_export,
}
