"""A run's last grid of samples, small enough to be sent inside a page."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from gan_cli.data.picture import opened


def last_grid(run: Path) -> Path | None:
    """The newest picture that training drew, by its images."""
    return max((run / "samples").glob("images-*.png"), default=None, key=lambda path: path.name)


def as_uri(picture: Path, width: int, few_colours: bool = False) -> tuple[str, tuple[int, int]] | None:
    """A PNG as a `data:` URI, and its size in pixels; None where it can't be read.

    Args:
        width: in pixels at most; a smaller picture keeps its size.
        few_colours: 256 of them, for a page of many pictures.
    """
    from PIL import Image, ImageChops  # here: without a grid to show, Pillow is not needed

    try:
        with opened(picture) as file:
            image = file.convert("RGB")
    except Exception:  # Pillow raises whatever its decoders raise; the page says that it can't be read
        return None
    if image.width > width:
        shape = width, max(1, round(image.height * width / image.width))
        image = image.resize(shape, Image.Resampling.LANCZOS, reducing_gap=2.0)
    red, green, blue = image.split()
    if not ImageChops.difference(red, green).getbbox() and not ImageChops.difference(red, blue).getbbox():
        image = red  # a third of the bytes for grey pictures
    elif few_colours:
        image = image.quantize(256, Image.Quantize.FASTOCTREE)
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode("ascii"), image.size
