"""A run's last grid of samples, small enough to be sent inside a page."""

from __future__ import annotations

import base64
import io
from pathlib import Path


def last_grid(run: Path) -> Path | None:
    """The newest picture that training drew, by its images."""
    return max((run / "samples").glob("images-*.png"), default=None, key=lambda path: path.name)


def as_uri(picture: Path, width: int) -> tuple[str, tuple[int, int]] | None:
    """A PNG as a `data:` URI, at most `width` pixels wide, and its size; None where it can't be read."""
    from PIL import Image, ImageChops  # here: without a grid to show, Pillow is not needed

    try:
        with Image.open(picture) as file:
            image = file.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # SyntaxError: Pillow's for a torn PNG
        return None
    red, green, blue = image.split()
    if not ImageChops.difference(red, green).getbbox() and not ImageChops.difference(red, blue).getbbox():
        image = red  # a third of the bytes for grey pictures
    if image.width > width:
        size = width, max(1, round(image.height * width / image.width))
        image = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode("ascii"), image.size
