"""What this command's runs came to; read by `main` for the exit code."""

from __future__ import annotations

import shlex
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TypedDict

from gan_cli.base.printable import shown, tell
from gan_cli.base.run_folder import locked

End = tuple[Path, str, str]  # of a cell: its folder, its status, and the sentence where it failed

code = 0  # exit code
places: dict[tuple[str, ...], Path] = {}  # the folders of a grid's cells, by their overrides
runs: list[End] = []  # of a sweep's cells that were carried out
begun = False  # whether a cell was trained by this process
_held = ExitStack()


def names(root: str = "train") -> list[str]:
    """What a misspelled key of this command may have meant."""
    from gan_cli.cli.composition import names_of
    from gan_cli.cli.typed import read

    return names_of(read(sys.argv[1:]), root)


class Returned(TypedDict):
    """How a cell ended, as its task hands it to the sweep, which may be another process."""

    status: str
    folder: str
    text: str


def hold_sweep(folder: Path) -> None:
    """Hold the sweep's lock until the command ends.

    Raises:
        UserError: another sweep holds it.
    """
    _held.enter_context(locked(folder, "the sweep folder"))


def tell_first(label: str) -> None:
    """That a sweep's first cell trains now: its first line of progress may take a while."""
    global begun
    if not begun:
        tell(f"{label}   begins; what each cell says in full is in its run.log")
    begun = True


def end_of(returned: Returned) -> End:
    """How a cell ended, from what its task returned in whatever process."""
    return Path(returned["folder"]), returned["status"], returned["text"]


def summarise(folder: Path) -> None:
    """The closing lines of a sweep; any cell that did not finish makes the exit code 1."""
    global code
    counts: dict[str, int] = {}
    for _, status, _ in runs:
        counts[status] = counts.get(status, 0) + 1
    tell("sweep: " + ", ".join(f"{count} {status}" for status, count in sorted(counts.items())))
    for cell, status, text in runs:
        if status not in ("finished", "skipped"):
            tell(f"  {status}: {shown(cell)}" + (f": {text}" if text else ""))
            code = 1
    tell_next(folder)


def tell_next(folder: Path) -> None:
    """What to do with a sweep's cells."""
    sweep = shlex.quote(shown(folder))
    tell(f"next       tensorboard --logdir {sweep}")
    tell(f"           gan-report sweep={sweep}")
