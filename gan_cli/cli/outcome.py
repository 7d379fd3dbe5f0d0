"""What this command's runs came to; read by `main` for the exit code."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from gan_cli.printable import tell
from gan_cli.run_folder import locked

code = 0  # exit code
sweep_size = 0
runs: list[tuple[Path, str, str]] = []  # folder, status, sentence, of the runs that this process carried out
_held = ExitStack()


def names(root: str = "train") -> list[str]:
    """What a misspelled key of this command may have meant."""
    from gan_cli.cli.composition import names_of
    from gan_cli.cli.typed import read

    return names_of(read(sys.argv[1:]), root)


def hold_sweep(folder: Path) -> None:
    """Hold the sweep's lock until the command ends.

    Raises:
        UserError: another sweep holds it.
    """
    _held.enter_context(locked(folder, "the sweep folder"))


def summarise(cells: list[tuple[Path, dict[str, Any]]]) -> None:
    """The closing lines of a sweep; any cell that did not finish makes the exit code 1."""
    global code
    known = {folder.resolve(): (status, text) for folder, status, text in runs}
    ends = [
        (f, *known.get(f.resolve(), (record.get("status", "not started"), record.get("error") or "")))
        for f, record in cells
    ]
    ends = ends or list(runs)
    counts: dict[str, int] = {}
    for _, status, _ in ends:
        counts[status] = counts.get(status, 0) + 1
    print("sweep: " + ", ".join(f"{count} {status}" for status, count in sorted(counts.items())), flush=True)
    for folder, status, text in ends:
        if status not in ("finished", "skipped"):
            tell(f"  {status}: {folder}" + (f": {text}" if text else ""))
            code = 1
