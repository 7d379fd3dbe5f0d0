"""`gan-report`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gan_cli.base.errors import UserError
from gan_cli.base.files import expanded, write_atomically
from gan_cli.base.printable import tell
from gan_cli.base.progress import Progress
from gan_cli.cli.command import run
from gan_cli.cli.help import report_help
from gan_cli.cli.options import Report, check_options
from gan_cli.report.listing import Listing
from gan_cli.report.page import as_html
from gan_cli.report.sweep import read_sweep
from gan_cli.report.written import as_csv, as_markdown


def main() -> None:
    """The console script."""
    run("report", report, report_help)


def report(wanted: dict[str, Any]) -> None:
    """Check what was asked for, read, print, write.

    Raises:
        UserError: input that can't work; nothing was written.
    """
    check(wanted)
    output = None if wanted["output"] is None else expanded(str(wanted["output"]))
    if output is not None and output.exists() and not output.is_dir():
        raise UserError(f"output={str(output)!r} is a file; name a folder")
    if wanted["sweep"] is None:
        runs = "outputs" if wanted["runs"] is None else str(wanted["runs"])
        return list_runs(expanded(runs), output)
    folder = expanded(str(wanted["sweep"]))
    by = None if wanted["by"] is None else str(wanted["by"])
    with Progress(f"reading the runs of {folder}"):
        sweep = read_sweep(folder, by, wanted["at"])
    text = as_markdown(sweep)
    tell(text)
    write(output or folder, {"report.md": text, "report.csv": as_csv(sweep), "report.html": as_html(sweep)})


def list_runs(folder: Path, output: Path | None) -> None:
    """`runs=`: the list, and its files where an output is wanted."""
    listing = Listing(folder)
    text = listing.as_markdown()
    tell(text)
    if output is not None:
        write(output, {"runs.md": text, "runs.csv": listing.as_csv()})


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        write_atomically(folder / name, text.encode("utf-8", errors="replace"))
    tell(f"written: {', '.join(str(folder / name) for name in files)}")


def check(wanted: dict[str, Any]) -> None:
    """
    Raises:
        UserError: options that don't go together.
    """
    check_options(Report, wanted)
    if wanted["sweep"] is not None and wanted["runs"] is not None:
        raise UserError("sweep= makes tables of one sweep and runs= a list of all runs: give one of them")
    if wanted["sweep"] is None and (wanted["by"] is not None or wanted["at"] != "newest"):
        raise UserError("by= and at= are about a sweep's tables: give sweep=FOLDER with them")
