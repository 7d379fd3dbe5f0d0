"""Where what a command makes is written."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gan_cli.base.checkpoint import run_of
from gan_cli.base.errors import UserError
from gan_cli.base.naming import name_of

# what a user who types it takes for a file, and never for a folder's name
FILES = (".avi", ".bmp", ".gif", ".jpeg", ".jpg", ".mov", ".mp4", ".npy", ".npz", ".png", ".tif", ".tiff", ".webp")


def endings_of(node: dict[str, Any], form: Any, given: bool) -> list[str]:
    """The endings of what a mode writes, the first by default; "" is a folder.

    Args:
        node: the mode's, with what its YAML provides.
        form: of `format=`, where the mode has it.
        given: whether it is given `input=`.
    """
    output = (node.get("provides") or {}).get("output") or [""]
    if isinstance(output, dict):
        output = output["input"] if given and "input" in output else output.get(form) or [""]
    return [str(ending) for ending in output]


def output_path(output: Path, endings: Sequence[str], overwrite: bool, source: Path | None = None) -> Path:
    """The file or folder to write, from what the user typed.

    Args:
        endings: those that it may have; "" is a folder.
        source: what `input=` names.

    Raises:
        UserError: a file of another kind, one file for a folder of inputs, or something is there already, and not
            `overwrite`.
    """
    ending = output.suffix.lower()
    files = [one for one in endings if one]
    folder = output.is_dir() or ending not in files
    if folder and files and ending in FILES and not output.is_dir():
        into = ", or into a folder" if "" in endings else ""
        raise UserError(f"output={output!s} can't be written: what this makes is written as {' or '.join(files)}{into}")
    if not folder and "" in endings and source is not None and source.is_dir():
        raise UserError(f"input={str(source)!r} is a folder: give output= a folder too, for one file of each")
    if folder and "" not in endings:
        output = output / f"{'grid' if endings[0] == '.png' else 'samples'}{endings[0]}"
    taken = any(output.iterdir()) if output.is_dir() else output.exists()
    if taken and not overwrite:
        raise UserError(f"output {str(output)!r} exists already; choose another or say overwrite=true")
    return output


def default_output(checkpoint: Path, images: int, of: str, ending: str, kind: str = "sample") -> Path:
    """A name of its own in the samples/ folder of the run that the checkpoint belongs to.

    Args:
        of: what it is made from, a seed or a name.
        ending: of the file; "" for a folder.
        kind: what it is.
    """
    stem = f"{name_of(kind)}-{images:09d}-{name_of(of)}"
    number, folder = 1, run_of(checkpoint) / "samples"
    path = folder / f"{stem}{ending}"
    while os.path.lexists(path):  # a link to nowhere too
        number += 1
        path = folder / f"{stem}-{number}{ending}"
    return path
