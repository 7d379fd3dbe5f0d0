"""The paths that a command writes its results to."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gan_cli.base.checkpoint import run_of
from gan_cli.base.errors import UserError
from gan_cli.base.naming import name_of

# endings by which a typed path means a file, and never a folder
FILES = (".avi", ".bmp", ".gif", ".jpeg", ".jpg", ".mov", ".mp4", ".npy", ".npz", ".png", ".tif", ".tiff", ".webp")


def endings_of(node: dict[str, Any], form: Any, has_input: bool) -> list[str]:
    """List the file endings that a mode can write, the default first; "" stands for a folder.

    Args:
        node: the config node of the mode, with `provides` from its YAML.
        form: the value of `format=`, where the mode has that option.
        has_input: whether `input=` is typed.
    """
    output = (node.get("provides") or {}).get("output") or [""]
    if isinstance(output, dict):
        output = output["input"] if has_input and "input" in output else output.get(form) or [""]
    return [str(ending) for ending in output]


def output_path(output: Path, endings: Sequence[str], overwrite: bool, source: Path | None = None) -> Path:
    """Return the file or folder to write, from the path in `output=`.

    Args:
        endings: the endings that it may have; "" stands for a folder.
        source: the path in `input=`.

    Raises:
        UserError: a file of another kind, one file for a folder of inputs, or a path that exists, without `overwrite`.
    """
    ending = output.suffix.lower()
    files = [known for known in endings if known]
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
    """Choose an unused path in the samples/ folder of the run that the checkpoint belongs to.

    Args:
        of: the seed or the name that the result is made from.
        ending: the file ending; "" for a folder.
        kind: the kind of result, the first word of the name.
    """
    stem = f"{name_of(kind)}-{images:09d}-{name_of(of)}"
    number, folder = 1, run_of(checkpoint) / "samples"
    path = folder / f"{stem}{ending}"
    while os.path.lexists(path):  # a link to nowhere too
        number += 1
        path = folder / f"{stem}-{number}{ending}"
    return path
