"""The results of this command's runs. `main` takes the exit code from here."""

from __future__ import annotations

import shlex
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TypedDict

from gan_cli.base.printable import shown, tell
from gan_cli.base.run_folder import locked

End = tuple[Path, str, str]  # a cell's folder, its status, and the error message if it failed

code = 0  # exit code
places: dict[tuple[str, ...], Path] = {}  # the folders of a grid's cells, by their overrides
runs: list[End] = []  # the ends of the sweep's cells that have run
begun = False  # whether this process has trained a cell
_held = ExitStack()


def names(root: str = "train") -> list[str]:
    """List the keys of this command, as suggestions for a misspelled key."""
    from gan_cli.cli.composition import names_of
    from gan_cli.cli.typed import read

    return names_of(read(sys.argv[1:]), root)


class Returned(TypedDict):
    """The end of a cell, as its task returns it to the sweep, which may be another process."""

    status: str
    folder: str
    text: str


def hold_sweep(folder: Path) -> None:
    """Lock the folder of a sweep until the command ends.

    Raises:
        UserError: another sweep holds the lock.
    """
    _held.enter_context(locked(folder, "the sweep folder"))


def tell_first(label: str) -> None:
    """Print that the first cell of a sweep begins, since its first line of progress may take a while."""
    global begun
    if not begun:
        tell(f"{label}   begins; what each cell says in full is in its run.log")
    begun = True


def end_of(returned: Returned) -> End:
    """Convert the value that a cell's task returned, in whatever process, to an `End`."""
    return Path(returned["folder"]), returned["status"], returned["text"]


def summarise(folder: Path) -> None:
    """Print the closing lines of a sweep, and set the exit code to 1 if any cell did not finish."""
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
    """Print the commands that show the results of a sweep."""
    sweep = shlex.quote(shown(folder))
    tell(f"next       tensorboard --logdir {sweep}")
    tell(f"           gan-report sweep={sweep}")
