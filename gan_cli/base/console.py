"""What a run says: on the console, and in run.log."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from gan_cli.base.files import open_to_append
from gan_cli.base.printable import printable
from gan_cli.base.run_folder import Cell


class Console:
    """Prints, and writes the same lines to run.log; silent where `path` is None (other processes).

    A closed terminal or pipe must not end a run: it goes on, and run.log with it.

    Args:
        path: of run.log.
        cell: which of a sweep's the run is; printed in front of each line.
    """

    def __init__(self, path: Path | None, cell: Cell | None = None) -> None:
        self.path, self.cell = path, cell
        self.held: list[str] | None = None

    def __call__(self, text: str, in_full: bool = False) -> None:
        """
        Args:
            in_full: what a run says at its start and its end; a cell of a sweep keeps it in run.log.
        """
        if self.path is None:
            return
        text = printable(text)  # a resumed run says what stands in its folder, which may be a stranger's
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
        """Only print, until `release`: a run that is refused keeps its run.log as it is."""
        self.held = []

    def release(self) -> None:
        """Write to run.log what was printed since `hold`, and from now on at once."""
        for text in self.held or []:
            self._write(text)
        self.held = None

    def _write(self, text: str) -> None:
        assert self.path is not None
        with open_to_append(self.path) as file:
            file.write((text + "\n").encode())
