"""Images: grids of them, PNG files, arrays of bytes."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gan_cli.base.files import write_atomically
from gan_cli.data.images import Decoder, to_float

MIN_TILE = 48  # pixels: smaller samples are enlarged in a grid, each pixel to a square, to be seen at all


class ImageMedium:
    """Images (N, C, R, R) in [-1, 1]."""

    field = "image"
    bounded = True
    ending = ".png"

    def preview(self, samples: Tensor, columns: int, cells: Sequence[int] | None = None) -> Tensor:
        from torchvision.utils import make_grid

        pixels = to_pixels(samples)
        if cells is not None:  # the white one behind them stands where there is none
            pixels = torch.cat([pixels, torch.full_like(pixels[:1], 255)])[list(cells)]
        zoom = -(-MIN_TILE // pixels.shape[-1])
        pixels = pixels.repeat_interleave(zoom, 2).repeat_interleave(zoom, 3)
        return make_grid(pixels, nrow=columns, padding=2, pad_value=255)[:3].to(torch.uint8)

    def rows(self, rows: dict[str, Tensor], columns: int, cells: Sequence[int] | None = None) -> Tensor:
        """Smaller pictures are enlarged to the largest, each pixel to a square; grey ones stand beside colour."""
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
        """Cut to a square and resized."""
        background, white = dataset.get("background", 255), dataset.get("white_level")
        decoder = Decoder(dataset["resolution"], dataset["channels"], background=background, white_level=white)
        return to_float(decoder(path))[None]

    def array(self, samples: Tensor) -> Tensor:
        return to_pixels(samples).permute(0, 2, 3, 1).contiguous()


def nearest(images: Tensor, side: int) -> Tensor:
    """(N, C, R, R) -> (N, C, side, side)"""
    return torch.nn.functional.interpolate(images, size=(side, side), mode="nearest")


def padded(images: Tensor, start: int, columns: int) -> Tensor:
    """Images `start` to `start + columns`, with white ones where there are too few."""
    some = images[start : start + columns]
    return torch.cat([some, torch.ones(columns - len(some), *images.shape[1:])])


def to_pixels(images: Tensor) -> Tensor:
    """[-1, 1] float -> 0..255 uint8 by rounding, on the CPU."""
    return images.detach().float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8).cpu()


def write_png(pixels: Tensor, path: Path) -> None:
    """(C, H, W) uint8 -> a PNG file, by way of a temporary name."""
    from PIL import Image

    image = pixels[0].numpy() if pixels.shape[0] == 1 else pixels.permute(1, 2, 0).contiguous().numpy()
    out = io.BytesIO()
    Image.fromarray(image).save(out, format="PNG")
    write_atomically(path, out.getvalue(), durable=False)
