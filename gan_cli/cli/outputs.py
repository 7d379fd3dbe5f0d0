"""Where what a command makes is written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from gan_cli.base.checkpoint import run_of
from gan_cli.base.errors import UserError
from gan_cli.base.naming import name_of

ENDINGS_OF = {"grid": ".png", "npz": ".npz", "png": "", "folder": "", "walk": ".mp4"}


def output_path(output: Path, form: str, overwrite: bool) -> Path:
    """The file or folder to write, from what the user typed.

    Raises:
        UserError: something is there already, and not `overwrite`.
    """
    ending = ENDINGS_OF[form]
    if form == "grid" and output.suffix.lower() in (".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".mp4"):
        raise UserError(f"output={output!s} can't be written: a grid is a .png file")
    if form != "png" and output.suffix.lower() != ending:
        output = output / ("grid.png" if form == "grid" else "samples.npz")
    taken = any(output.iterdir()) if output.is_dir() else output.exists()
    if taken and not overwrite:
        raise UserError(f"output {str(output)!r} exists already; choose another or say overwrite=true")
    return output


def default_output(
    checkpoint: Path, images: int, wanted: dict[str, Any], of: str = "seed", kind: str = "sample"
) -> Path:
    """A name of its own in the samples/ folder of the run that the checkpoint belongs to."""
    run = run_of(checkpoint)
    stem = f"{kind}-{images:09d}-" + (f"seed{wanted['seed']}" if of == "seed" else name_of(of))
    ending = ENDINGS_OF[wanted["format"]]
    number, path = 1, run / "samples" / f"{stem}{ending}"
    while os.path.lexists(path):  # a link to nowhere too
        number += 1
        path = run / "samples" / f"{stem}-{number}{ending}"
    return path
