"""A table of the runs below a folder: parts, progress, status, best scores, size."""

from __future__ import annotations

import os
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

from gan_cli.base.errors import UserError
from gan_cli.report.runs import PARTS, Point, Run, best_of, runs_below
from gan_cli.report.text import NONE, comma_separated, hours, listed, markdown, number, plural, size

HEADER = ("run", "parts", "images", "done", "status", "h:mm", "best scores", "size")


class Listing:
    """All runs in and below a folder, newest first.

    Raises:
        UserError: the folder does not exist, or there is no run in it or below it.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise UserError(f"there is no folder {str(folder)!r} with runs; runs=FOLDER names another")
        runs, self.unopened = runs_below(folder)
        if not runs:
            raise UserError(f"there are no runs in {str(folder)!r} or below it; gan-train makes some in outputs/")
        self.folder = folder
        self.runs = sorted(runs, key=started, reverse=True)
        counts = Counter(name for name, _ in keys_of(runs))
        self.ambiguous = {name for name, count in counts.items() if count > 1}  # scores with several protocols
        self.bytes = {run.name: bytes_below(run.folder) for run in runs}

    def notes(self) -> list[str]:
        """List sentences about what the table does not show."""
        sentences = [f"{problem}." for run in self.runs for problem in run.problems]
        sentences += [f"{text}." for text in self.unopened]
        if self.ambiguous:
            names = listed(sorted(self.ambiguous), "or")
            sentences.insert(
                0, f"Not every {names} can be compared with every other: equal [digests], equal protocols."
            )
        return sentences

    def as_markdown(self) -> str:
        """Format the runs as Markdown: a line that sums up, the table, and notes."""
        rows = []
        for run in self.runs:
            total = run.number("total_images")
            done = f"{100 * run.images / total:.0f} %" if total else NONE
            parts = " / ".join(str(part) for part in run.parts.values() if part is not None)
            about = [run.name, parts or NONE, run.progress() if run.record else NONE, done, run.status]
            scores = best_scores(run, self.ambiguous) or NONE
            rows.append([*about, hours(run.number("seconds")), scores, size(self.bytes[run.name])])
        head = f"{plural(len(self.runs), 'run')} in {self.folder}, {size(sum(self.bytes.values()))}, newest first."
        notes = "\n".join(f"- {note}" for note in self.notes())
        table = markdown(HEADER, rows, [2, 3, 5, 7])
        return "\n\n".join(filter(None, ["# Runs", head, table, notes])) + "\n"

    def as_csv(self) -> str:
        """Format the runs as CSV: a line for each run, and the best value of each score and protocol in a column."""
        names = {key: f"{key[0]} [{key[1]}]" for key in keys_of(self.runs)}
        lines = []
        for run in self.runs:
            line: dict[str, Any] = {"run": run.name, **dict.fromkeys(PARTS), **run.parts}
            line |= {key: run.record.get(key) for key in ("images", "total_images", "seconds", "seed", "started")}
            line |= {"status": run.status, "bytes": self.bytes[run.name], "notes": run.record.get("notes")}
            line |= {names[key]: best_of(run.scores[key]).value if key in run.scores else None for key in names}
            lines.append(line)
        return comma_separated(lines)


def keys_of(runs: list[Run]) -> list[tuple[str, str]]:
    return sorted({key for run in runs for key in run.scores})


def best_scores(run: Run, ambiguous: set[str]) -> str:
    """Format a run's best scores, as `fid_classifier 12.30, kid 0.004120`.

    Args:
        ambiguous: names of scores with several protocols; these get the digest of the protocol.
    """

    def text(point: Point) -> str:
        return f"{point.name} {number(point.value)}" + (f" [{point.digest}]" if point.name in ambiguous else "")

    return ", ".join(text(best_of(run.scores[key])) for key in sorted(run.scores))


def started(run: Run) -> float:
    """Return when a run started, in seconds since 1970: by run.json, or by the folder's date where it has no time."""
    try:
        return datetime.strptime(str(run.record.get("started")), "%Y-%m-%dT%H:%M:%S%z").timestamp()
    except ValueError:
        pass
    try:
        return run.folder.stat().st_mtime
    except OSError:
        return 0.0


def bytes_below(folder: Path) -> int:
    """Sum the bytes of all files in and below a folder. A file that vanishes meanwhile counts as 0."""
    total = 0
    for place, _, files in os.walk(folder):
        for name in files:
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except OSError:
                continue
    return total
