"""Complete at the tab key what Hydra knows nothing of: run folders, sweeps, and options inside a list."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from gan_cli.base.errors import UserError
from gan_cli.base.files import expanded
from gan_cli.base.run_folder import has_lock, is_sweep, runs_below
from gan_cli.check.config_folder import defaults_of, files_of
from gan_cli.cli.config import SWEEPS, existing_sweeps
from gan_cli.cli.typed import Typed, completed, read

OUTPUTS = SWEEPS.parent  # where runs are, unless they are put elsewhere


def completions(line: str, root: str) -> list[str] | None:
    """Return the words that the last one of a command line may become; None where Hydra is to answer.

    Args:
        line: as it is typed so far, the command's name first.
        root: of its config.
    """
    words = line.split()
    if len(words) < 2 or line[-1].isspace():
        return None
    *before, word = words[1:]
    key, equals, value = word.partition("=")
    if not equals:
        return None
    find = PLACES.get(root, {}).get(key)
    if find is not None:
        found = [place for place in find(value) if place.startswith(value)]
        return [f"{key}={place}" for place in found] or None
    return in_list(key, value, before, root)


# ---- options of a group ----


def in_list(key: str, value: str, before: list[str], root: str) -> list[str] | None:
    """Complete `penalty=[r1,pa` to `penalty=[r1,path_length`, in a sweep `model=gan,dc` to `model=gan,dcgan`."""
    group, defaults = key.lstrip("+"), defaults_of(root)
    if group not in defaults and not group.startswith("hydra/"):
        return None
    sweeps = bool({"-m", "--multirun"} & {*before})
    listed = value.startswith("[") and isinstance(defaults.get(group), list) and "]" not in value
    if not listed and not (sweeps and "," in value and not value.startswith("[")):
        return None
    *there, last = value.removeprefix("[").split(",")
    options = [name for name in files_of(folders_of(before), group) if name.startswith(last) and name not in there]
    return [f"{key}={value[: len(value) - len(last)]}{name}" for name in options]


def folders_of(before: list[str]) -> list[Path]:
    """Return where the options of groups are, by the flags and the search path of the line."""
    try:
        typed = read(before)
    except UserError:  # a flag that is not whole yet
        typed = Typed()
    return completed(typed).folders()


# ---- runs and sweeps ----


def runs(value: str) -> list[str]:
    """Return the runs below `outputs/`, named as what is typed so far: from here, from home, or from the root."""
    return below(value, lambda folder: runs_below(folder))


def sweeps(value: str) -> list[str]:
    """Return the folders of sweeps there, in the same way."""
    return below(value, lambda folder: runs_below(folder, 2, is_one))


def is_one(folder: Path) -> bool:
    """Say whether a folder is a sweep's: it has cells, and the lock or the place of one."""
    return (has_lock(folder) or folder.absolute().parent == SWEEPS.absolute()) and is_sweep(folder)


def below(value: str, find: Callable[[Path], Iterable[Path]]) -> list[str]:
    """Return what is found in the last folder that is typed, if it is `outputs/` or in it."""
    head, slash, _ = value.rpartition("/")
    typed = f"{head}{slash}" if slash else f"{OUTPUTS}/"
    try:
        folder = expanded(typed)
    except UserError:  # of nobody's home
        return []
    if (folder / OUTPUTS).resolve() == OUTPUTS.resolve():  # the folder that outputs/ is in
        folder, typed = folder / OUTPUTS, f"{typed}{OUTPUTS}/"
    if OUTPUTS.resolve() not in (folder.resolve(), *folder.resolve().parents):
        return []
    return [f"{typed}{place.relative_to(folder)}" for place in find(folder)]


def names(value: str) -> list[str]:
    """Return the names of the sweeps that `gan-train -m sweep=NAME` goes on with."""
    return sorted(existing_sweeps())


PLACES: dict[str, dict[str, Callable[[str], list[str]]]] = {
    "train": {"resume": runs, "init_from": runs, "model.base": runs, "+model.base": runs, "sweep": names},
    "sample": {"checkpoint": runs},
    "export": {"checkpoint": runs},
    "evaluate": {"checkpoint": runs, "sweep": sweeps},
    "report": {"sweep": sweeps},
}


def answer(shell: str, root: str) -> bool:
    """Print the words for a shell's question; False where Hydra is to answer it."""
    found = completions(os.environ.get("COMP_LINE", ""), root)
    if found is None:
        return False
    if shell == "fish":
        print("\n".join(found))
    else:  # which parts words at spaces, quoted or not
        print(" ".join(word for word in found if not set(word) & set(" \t\n")))
    return True
