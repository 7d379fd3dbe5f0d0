"""Degradations: they make a model's source from a good picture, as super-resolution and inpainting need it.

A degradation maps targets (N, C, R, R) in [-1, 1] to the fields that are made from them. Its randomness is
a function of the run's seed and of the images seen.
"""

from __future__ import annotations

from typing import Annotated, Literal, Protocol

import torch
from annotated_types import Interval
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from gan_cli.base.types import Noise


class Degradation(Protocol):
    def __call__(self, target: Tensor, noise: Noise) -> dict[str, Tensor]:
        """Make `source`, and further fields that a model needs, from `target`."""


class Downscale:
    """`source` (N, C, R/scale, R/scale): an antialiased bicubic resize, rounded to 8 bits as a file would be.

    The kernel (a = -0.5, widened by `scale`) is that of PIL and of MATLAB's imresize, with which
    super-resolution is published; without the widening the task would differ.
    """

    def __init__(self, scale: Literal[2, 4, 8]) -> None:
        self.scale = scale

    def __call__(self, target: Tensor, noise: Noise) -> dict[str, Tensor]:
        return {"source": downscale(target, self.scale)}


class Masks:
    """`mask` (N, 1, R, R), 1 in the hole, and `source`: the target with grey in the hole.

    Args:
        area: share of the picture that is missing.
        shape: "rectangle" (with a ratio of sides from 1/2 to 2), "stroke" (a brush stroke of 5 corners), or "mixed":
            one of the two, each with probability one half.
    """

    def __init__(
        self,
        area: Annotated[float, Interval(gt=0, lt=1)] = 0.25,
        shape: Literal["rectangle", "stroke", "mixed"] = "mixed",
    ) -> None:
        if not 0 < area < 1:
            raise ValueError(f"area={area} must be between 0 and 1: the share of the picture that is missing")
        self.area, self.shape = area, shape

    def __call__(self, target: Tensor, noise: Noise) -> dict[str, Tensor]:
        side = target.shape[-1]
        if self.shape == "rectangle":
            mask = rectangles(side, self.area, noise)
        elif self.shape == "stroke":
            mask = strokes(side, self.area, noise)
        else:
            first = noise.uniform("mask shape", 1, 1, 1) < 0.5
            mask = torch.where(first, rectangles(side, self.area, noise), strokes(side, self.area, noise))
        return {"source": target * (1 - mask), "mask": mask}


def downscale(images: Tensor, scale: int) -> Tensor:
    """Downscale (N, C, H, W) to (N, C, H/scale, W/scale), both in [-1, 1], rounded to 8 bits."""
    size = (images.shape[2] // scale, images.shape[3] // scale)
    small = interpolate(images.float(), size=size, mode="bicubic", antialias=True, align_corners=False)
    return small.add(1).mul(127.5).round().clamp(0, 255).div(127.5).sub(1)


def enlarge(images: Tensor, scale: int) -> Tensor:
    """Enlarge (N, C, H, W) to (N, C, H*scale, W*scale), in [-1, 1], by bicubic interpolation, the usual baseline."""
    size = (images.shape[2] * scale, images.shape[3] * scale)
    large = interpolate(images.float(), size=size, mode="bicubic", antialias=True, align_corners=False)
    return large.clamp(-1, 1)


def filled_smoothly(images: Tensor, mask: Tensor) -> Tensor:
    """Fill holes with means of the known pixels, over coarser and coarser areas where finer ones have none.

    (N, C, H, W) and a mask (N, 1, H, W), 1 in the hole -> (N, C, H, W). Known pixels do not change.
    """
    weight = 1 - mask
    if max(images.shape[2:]) == 1:
        return images * weight
    pooled = avg_pool2d(weight, 2, ceil_mode=True)
    coarse = avg_pool2d(images * weight, 2, ceil_mode=True) / pooled.clamp_min(1e-6)
    filled = filled_smoothly(coarse, (pooled == 0).to(mask.dtype))
    size = (images.shape[2], images.shape[3])
    return images * weight + mask * interpolate(filled, size=size, mode="bilinear", align_corners=False)


def rectangles(side: int, area: float, noise: Noise) -> Tensor:
    """Draw masks (N, 1, side, side): a rectangle of `area` at a random place in each picture, in whole pixels."""
    draw = noise.uniform("rectangle", 3)
    widest = min(1.0, area**0.5 * 2**0.5)
    ratio = 2 ** (2 * draw[:, 0] - 1)  # height over width, from 1/2 to 2
    height = (area * ratio).sqrt().clamp(area / widest, widest)
    tall = (height * side).round().clamp(1, side)
    wide = (area * side * side / tall).round().clamp(1, side)
    top, left = ((side - tall + 1) * draw[:, 1]).floor(), ((side - wide + 1) * draw[:, 2]).floor()
    position = torch.arange(side, device=draw.device)
    rows = (position >= top[:, None]) & (position < (top + tall)[:, None])
    columns = (position >= left[:, None]) & (position < (left + wide)[:, None])
    return (rows[:, None, :, None] & columns[:, None, None, :]).float()


def strokes(side: int, area: float, noise: Noise, corners: int = 5) -> Tensor:
    """Draw masks (N, 1, side, side): a line through random corners in each picture, thick enough to cover `area`."""
    points = noise.uniform("stroke", corners, 2) * (side - 1)
    position = torch.arange(side, device=points.device, dtype=points.dtype)
    grid = torch.stack(torch.meshgrid(position, position, indexing="ij"), -1).view(1, 1, -1, 2)
    begin, along = points[:, :-1, None], (points[:, 1:] - points[:, :-1])[:, :, None]
    share = ((grid - begin) * along).sum(-1) / along.square().sum(-1).clamp_min(1e-9)
    nearest = begin + share.clamp(0, 1)[..., None] * along
    distance = (grid - nearest).square().sum(-1).amin(1)  # squared distance to the line: (N, side * side)
    pixels = max(1, round(area * side * side))
    covered = distance.topk(pixels, largest=False).indices
    return torch.zeros_like(distance).scatter_(1, covered, 1.0).view(-1, 1, side, side)
