"""Tables and numbers as text: Markdown that reads well in a terminal, and CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from typing import Any

from gan_cli.base.printable import cell as as_cell
from gan_cli.base.printable import printable

NONE = "-"  # an empty cell of a table


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Format a Markdown table whose columns are aligned in the source too.

    Args:
        right: the indices of columns of numbers, which are aligned to the right.
    """
    cells = [[clean(cell) for cell in row] for row in (header, *rows)]
    widths = [max(3, *(len(row[column]) for row in cells)) for column in range(len(header))]

    def line(row: Sequence[str]) -> str:
        padded = (cell.rjust(w) if n in right else cell.ljust(w) for n, (cell, w) in enumerate(zip(row, widths)))  # noqa: B905
        return f"| {' | '.join(padded)} |"

    rule = ["-" * (w - 1) + ":" if n in right else "-" * w for n, w in enumerate(widths)]
    return "\n".join([line(cells[0]), f"| {' | '.join(rule)} |", *map(line, cells[1:])])


def clean(cell: str) -> str:
    """Escape text so that it can't leave its cell, nor bring HTML into the page that shows the Markdown."""
    one_line = printable(" ".join(str(cell).split()))
    return one_line.replace("|", "\\|").replace("<", "&lt;").replace(">", "&gt;")


def comma_separated(rows: Sequence[dict[str, Any]]) -> str:
    """Format rows as CSV with a header of all keys, in the order of their first use; None is an empty field.

    Text that a spreadsheet would take for a formula gets an apostrophe in front (`printable.cell`).
    """
    header = list(dict.fromkeys(key for row in rows for key in row))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(map(as_cell, header))
    writer.writerows([as_cell(row.get(key)) for key in header] for row in rows)
    return out.getvalue()


def decimals_for(values: Sequence[float]) -> int:
    """Compute the decimals for a column of numbers: four digits of the largest, three where all are below 0.1."""
    largest = max((abs(value) for value in values), default=0.0)
    digits = 4 if largest >= 0.1 else 3
    return min(8, max(0, digits - 1 - math.floor(math.log10(largest)))) if largest else 0


def fixed(value: float, decimals: int) -> str:
    return f"{value:,.{decimals}f}"


def number(value: float) -> str:
    """Format a number with the decimals that suit it."""
    return fixed(value, decimals_for([value]))


def plural(count: int, one: str, many: str | None = None) -> str:
    """Format a count with its noun: `1 run`, `2 runs`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def listed(words: Sequence[str], last: str = "and") -> str:
    """Join words as in a sentence: `a, b and c`."""
    return f" {last} ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def spoken(value: Any) -> str:
    """Format a value of a config as it is typed: `null`, `true`, `[r1,r2]`."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return f"[{','.join(spoken(item) for item in value)}]"
    return str(value)


def hours(seconds: float | None) -> str:
    """Format seconds as `h:mm`."""
    if seconds is None:
        return NONE
    minutes = int(seconds) // 60
    return f"{minutes // 60:,}:{minutes % 60:02d}"


def size(count: float) -> str:
    """Format a number of bytes for people: `3.4 MiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:,.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:,.1f} TiB"
