"""The last sample grid of a run, made small enough to be embedded in a page."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from gan_cli.data.picture import opened


def last_grid(run: Path) -> Path | None:
    """Find the newest sample grid in a run folder, by the images in its name. Return None where there is none."""
    return max((run / "samples").glob("images-*.png"), default=None, key=lambda path: path.name)


def as_uri(picture: Path, width: int, few_colours: bool = False) -> tuple[str, tuple[int, int]] | None:
    """Encode a picture as a PNG in a `data:` URI, with its size in pixels. Return None where it can't be read.

    Args:
        width: the largest width, in pixels. A narrower picture keeps its size.
        few_colours: whether to reduce a colour picture to 256 colours, for a page of many pictures.
    """
    from PIL import Image, ImageChops  # late: a report without grids needs no Pillow

    try:
        with opened(picture) as file:
            image = file.convert("RGB")
    except Exception:  # Pillow's decoders raise many types; the page says that the grid can't be read
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
