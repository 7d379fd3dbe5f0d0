"""What a sample is: how to show many as one picture, and how to save one as the file a user expects."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from gan_cli.files import write_atomically
from gan_cli.limits import Positive

MIN_TILE = 48  # pixels: smaller samples are enlarged in a grid, each pixel to a square, to be seen at all


class Medium(Protocol):
    ending: str

    def preview(self, samples: Tensor, columns: int, cells: Sequence[int] | None = None) -> Tensor:
        """Many samples as one picture, (3, H, W) uint8, on the CPU.

        Args:
            samples: in order, unless `cells` says otherwise.
            columns: of a grid.
            cells: row by row, which sample stands there, or -1 for none; see `placed`.
        """

    def rows(self, rows: dict[str, Tensor], columns: int, cells: Sequence[int] | None = None) -> Tensor:
        """What `GAN.preview` gives as one picture: a grid, or several rows for each example, one above the other."""

    def save(self, sample: Tensor, path: Path) -> None:
        """One sample as a file."""

    def array(self, samples: Tensor) -> Tensor:
        """Many samples as the array a user expects: images (N, H, W, C) uint8, points (N, D) float32."""


class ImageMedium:
    """Images (N, C, R, R) in [-1, 1]."""

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

    def array(self, samples: Tensor) -> Tensor:
        return to_pixels(samples).permute(0, 2, 3, 1).contiguous()


class PointMedium:
    """Points (N, 2), shown in the square of side 2 * `extent` around the origin."""

    ending = ".csv"
    side = 256  # pixels of the preview

    def __init__(self, extent: Positive) -> None:
        self.extent = extent

    def preview(self, samples: Tensor, columns: int, cells: Sequence[int] | None = None) -> Tensor:
        places = ((samples.float().cpu() / self.extent + 1) / 2 * self.side).long()
        inside = places[((places >= 0) & (places < self.side)).all(1)]
        counts = torch.bincount(inside[:, 1] * self.side + inside[:, 0], minlength=self.side**2)
        ink = counts.view(self.side, self.side).flip(0).clamp(max=1).float()
        ink = torch.nn.functional.max_pool2d(ink[None, None], 3, 1, 1)[0]  # a dot of 3x3 pixels
        return (255 * (1 - ink)).to(torch.uint8).expand(3, -1, -1).contiguous()

    def rows(self, rows: dict[str, Tensor], columns: int, cells: Sequence[int] | None = None) -> Tensor:
        return self.preview(torch.cat([*rows.values()]), columns)

    def save(self, sample: Tensor, path: Path) -> None:
        line = ",".join(f"{value:.6g}" for value in sample.tolist()) + "\n"
        write_atomically(path, line.encode(), durable=False)

    def array(self, samples: Tensor) -> Tensor:
        return samples.float().cpu()


def placed(count: int, label: Tensor | None = None, columns: int | None = None) -> tuple[int, list[int] | None]:
    """Columns and cells of a grid of `count` samples: with labels (N,), every row is of one class.

    A class has one row, or, where `columns` are too few for it, several; what is left of its last one stays white.
    Nearly square in the order of the samples where there is nothing to tell apart: no labels, one class, or most
    classes with a single sample, whose rows would be white but for that.
    """
    classes: dict[int, list[int]] = {}
    for number, one in enumerate([] if label is None else label.tolist()):
        classes.setdefault(one, []).append(number)
    if len(classes) < 2 or 2 * sum(len(own) == 1 for own in classes.values()) > len(classes):
        return columns or max(1, round(count**0.5)), None
    wide = columns or max(map(len, classes.values()))
    return wide, [cell for own in classes.values() for cell in [*own, *[-1] * (-len(own) % wide)]]


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
