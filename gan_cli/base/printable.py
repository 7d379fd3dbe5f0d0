"""Text that others wrote, made fit to be shown: no escape sequence reaches a terminal, no formula a spreadsheet.

Imports no torch.
"""

from __future__ import annotations

import io
import os
import sys
import unicodedata
from pathlib import Path
from typing import Any

TURNING = frozenset(map(chr, (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))))  # bidi
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # with these a spreadsheet takes a cell for a formula


def printable(text: str, lines: bool = False) -> str:
    r"""Control characters, line and paragraph separators, lone surrogates and marks that turn the direction of
    writing, escaped as `\x1b` or `\u202e`; all else as it is.

    Args:
        lines: whether line breaks and tabs stay.
    """
    if text.isascii() and text.isprintable():
        return text
    kept = "\n\t" if lines else ""
    return "".join(
        each if each in kept or not _moves(each) else each.encode("unicode_escape").decode() for each in text
    )


def _moves(each: str) -> bool:
    kind = unicodedata.category(each)
    return kind in ("Cc", "Cs", "Zl", "Zp") or each in TURNING or "\U000e0000" <= each <= "\U000e007f"


def shown(path: Path) -> str:
    """A path as a person would type it from the working folder."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def any_console() -> None:
    """Let the consoles of this process show what their encoding lacks as `\\xe9`: no print fails a run."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def tell(text: object, file: Any = None) -> None:
    """Print, with what is foreign in it made fit to be shown; line breaks stay.

    Into a pipe that `head` has closed, or a terminal that is gone, this and all that follows is lost, and nothing else.
    """
    try:
        print(printable(str(text), lines=True), file=file, flush=True)
    except BrokenPipeError:
        stream = sys.stdout if file is None else file
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def cell(value: Any) -> Any:
    """A value for a CSV: text that a spreadsheet would take for a formula gets an apostrophe before it."""
    if not isinstance(value, str) or not value.startswith(FORMULA):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value
