"""Images as samples: grids, PNG files, arrays of bytes."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gan_cli.base.files import write_atomically
from gan_cli.data.images import Decoder, to_float

MIN_TILE = 48  # pixels: a grid enlarges smaller samples, each pixel to a square, to make them visible


class ImageMedium:
    """Images (N, C, R, R) in [-1, 1]."""

    field = "image"
    bounded = True
    ending = ".png"

    def preview(self, samples: Tensor, columns: int, cells: Sequence[int] | None = None) -> Tensor:
        from torchvision.utils import make_grid

        pixels = to_pixels(samples)
        if cells is not None:  # index -1 is a white picture at the end
            pixels = torch.cat([pixels, torch.full_like(pixels[:1], 255)])[list(cells)]
        zoom = -(-MIN_TILE // pixels.shape[-1])
        pixels = pixels.repeat_interleave(zoom, 2).repeat_interleave(zoom, 3)
        return make_grid(pixels, nrow=columns, padding=2, pad_value=255)[:3].to(torch.uint8)

    def rows(self, rows: dict[str, Tensor], columns: int, cells: Sequence[int] | None = None) -> Tensor:
        """Draw all rows in one grid. Enlarge smaller pictures to the largest, each pixel to a square, make grey RGB."""
        if len(rows) == 1:
            return self.preview(next(iter(rows.values())), columns, cells)
        side = max(max(images.shape[2:]) for images in rows.values())
        tiles = [
            nearest(images.float().cpu().expand(-1, 3, -1, -1) if images.shape[1] == 1 else images.float().cpu(), side)
            for images in rows.values()
        ]
        ordered = [
            image
            for start in range(0, len(tiles[0]), columns)
            for row in tiles
            for image in padded(row, start, columns)
        ]
        return self.preview(torch.stack(ordered), columns)

    def save(self, sample: Tensor, path: Path) -> None:
        write_png(to_pixels(sample), path)

    def judged(self, samples: Tensor) -> Tensor:
        return to_pixels(samples)

    def described(self, sample: Tensor) -> str | None:
        return "x".join(map(str, sample.permute(1, 2, 0).shape))

    def size(self, dataset: Mapping[str, Any]) -> str:
        return f"{dataset['resolution']}x{dataset['resolution']}x{dataset['channels']}"

    def read(self, path: Path, dataset: Mapping[str, Any]) -> Tensor:
        """Read a picture, cut it to a square and resize it."""
        background, white = dataset.get("background", 255), dataset.get("white_level")
        decoder = Decoder(dataset["resolution"], dataset["channels"], background=background, white_level=white)
        return to_float(decoder(path))[None]

    def array(self, samples: Tensor) -> Tensor:
        return to_pixels(samples).permute(0, 2, 3, 1).contiguous()


def nearest(images: Tensor, side: int) -> Tensor:
    """Enlarge (N, C, R, R) to (N, C, side, side) by the nearest pixel."""
    return torch.nn.functional.interpolate(images, size=(side, side), mode="nearest")


def padded(images: Tensor, start: int, columns: int) -> Tensor:
    """Select images `start` to `start + columns`, and add white ones where there are too few."""
    selected = images[start : start + columns]
    return torch.cat([selected, torch.ones(columns - len(selected), *images.shape[1:])])


def to_pixels(images: Tensor) -> Tensor:
    """Convert floats in [-1, 1] to uint8 in 0..255 by rounding, on the CPU."""
    return images.detach().float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8).cpu()


def write_png(pixels: Tensor, path: Path) -> None:
    """Write (C, H, W) uint8 as a PNG file, by way of a temporary name."""
    from PIL import Image

    image = pixels[0].numpy() if pixels.shape[0] == 1 else pixels.permute(1, 2, 0).contiguous().numpy()
    out = io.BytesIO()
    Image.fromarray(image).save(out, format="PNG")
    write_atomically(path, out.getvalue(), durable=False)
