"""Safe display of text that others wrote: no escape sequence reaches a terminal, no formula a spreadsheet.

Imports no torch.
"""

from __future__ import annotations

import io
import os
import sys
import unicodedata
from pathlib import Path
from typing import Any

BIDI_MARKS = frozenset(map(chr, (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))))
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet takes a cell that begins so for a formula


def printable(text: str, lines: bool = False) -> str:
    r"""Escape characters that are not safe to show, as `\x1b` or `\u202e`; leave all others.

    They are control characters, line and paragraph separators, lone surrogates and marks of the direction of writing.

    Args:
        text: the text to escape.
        lines: whether line breaks and tabs stay.
    """
    if text.isascii() and text.isprintable():
        return text
    kept = "\n\t" if lines else ""
    return "".join(
        each if each in kept or not _unsafe(each) else each.encode("unicode_escape").decode() for each in text
    )


def _unsafe(each: str) -> bool:
    kind = unicodedata.category(each)
    return kind in ("Cc", "Cs", "Zl", "Zp") or each in BIDI_MARKS or "\U000e0000" <= each <= "\U000e007f"


def shown(path: Path) -> str:
    """Return a path relative to the working folder, or as it is where it lies elsewhere."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def any_console() -> None:
    """Set stdout and stderr to print characters that their encoding lacks as `\\xe9`, so that no print fails."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def tell(text: object, file: Any = None) -> None:
    """Print a text, escaped by `printable`; line breaks stay.

    Where `head` has closed the pipe or the terminal is gone, this text and all later ones are lost, without an error.
    """
    try:
        print(printable(str(text), lines=True), file=file, flush=True)
    except BrokenPipeError:
        stream = sys.stdout if file is None else file
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def cell(value: Any) -> Any:
    """Return a value for a CSV: text that a spreadsheet would take for a formula gets an apostrophe before it."""
    if not isinstance(value, str) or not value.startswith(FORMULA):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value
