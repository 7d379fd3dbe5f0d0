"""The `gan-report` command: tables of a sweep's scores, or a list of runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gan_cli.base.errors import UserError
from gan_cli.base.files import write_atomically
from gan_cli.base.printable import tell
from gan_cli.base.progress import Progress
from gan_cli.cli.command import run
from gan_cli.cli.help import report_help
from gan_cli.cli.options import Report, checked, path
from gan_cli.report.listing import Listing
from gan_cli.report.page import as_html
from gan_cli.report.sweep import read_sweep
from gan_cli.report.written import as_csv, as_markdown


def main() -> None:
    """Run `gan-report` as a console script."""
    run("report", report, report_help)


def report(typed: Mapping[str, Any]) -> None:
    """Check the options, read the runs, then print and write the tables.

    Raises:
        UserError: the options can't work; nothing was written.
    """
    asked = check(typed)
    output = path(asked.output)
    if output is not None and output.exists() and not output.is_dir():
        raise UserError(f"output={str(output)!r} is a file; name a folder")
    folder = path(asked.sweep)
    if folder is None:
        return list_runs(path(asked.runs) or Path("outputs"), output)
    by = None if asked.by is None else str(asked.by)
    with Progress(f"reading the runs of {folder}"):
        sweep = read_sweep(folder, by, asked.at)
    text = as_markdown(sweep)
    tell(text)
    write(output or folder, {"report.md": text, "report.csv": as_csv(sweep), "report.html": as_html(sweep)})


def list_runs(folder: Path, output: Path | None) -> None:
    """Print the list of runs that `runs=` asks for, and write its files if there is an output folder."""
    listing = Listing(folder)
    text = listing.as_markdown()
    tell(text)
    if output is not None:
        write(output, {"runs.md": text, "runs.csv": listing.as_csv()})


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        write_atomically(folder / name, text.encode("utf-8", errors="replace"))
    tell(f"written: {', '.join(str(folder / name) for name in files)}")


def check(typed: Mapping[str, Any]) -> Report:
    """Check the options alone, and return them.

    Raises:
        UserError: options that don't go together.
    """
    asked = checked(Report, typed)
    if asked.sweep is not None and asked.runs is not None:
        raise UserError("sweep= makes tables of one sweep and runs= a list of all runs: give one of them")
    if asked.sweep is None and (asked.by is not None or asked.at != "newest"):
        raise UserError("by= and at= are about a sweep's tables: give sweep=FOLDER with them")
    return asked
