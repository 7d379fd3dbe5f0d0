"""The lines that a run prints and writes to run.log."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from gan_cli.base.files import open_to_append
from gan_cli.base.printable import printable
from gan_cli.base.run_folder import Cell


class Console:
    """A printer that writes the same lines to run.log.

    Where a terminal or pipe is closed, the run and run.log go on.

    Args:
        path: run.log's path; None prints and writes nothing (all processes but one).
        cell: the run's cell of a sweep; its label is printed in front of each line.
    """

    def __init__(self, path: Path | None, cell: Cell | None = None) -> None:
        self.path, self.cell = path, cell
        self.held: list[str] | None = None

    def __call__(self, text: str, in_full: bool = False) -> None:
        """Print a text and write it to run.log.

        Args:
            text: one or more lines.
            in_full: whether it belongs to a run's start or end block, which a cell of a sweep only writes to run.log.
        """
        if self.path is None:
            return
        text = printable(text)  # a resumed run quotes files of its folder, which may come from a stranger
        if self.held is None:
            self._write(text)
        else:
            self.held.append(text)
        if self.cell is not None:
            if in_full:
                return
            text = f"{printable(self.cell.label)}   {text.strip()}"
        try:
            print(text, flush=True)
        except BrokenPipeError:
            sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  (for the rest of the process)

    def hold(self) -> None:
        """Print without writing to run.log, until `release`: a run that is refused leaves its run.log unchanged."""
        self.held = []

    def release(self) -> None:
        """Write the lines printed since `hold` to run.log, and later lines at once."""
        for text in self.held or []:
            self._write(text)
        self.held = None

    def _write(self, text: str) -> None:
        assert self.path is not None
        with open_to_append(self.path) as file:
            file.write((text + "\n").encode())
