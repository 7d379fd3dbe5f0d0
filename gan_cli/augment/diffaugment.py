"""DiffAugment (Zhao et al. 2020): the same kinds of change to reals and fakes, in both players' turns."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from gan_cli.base.limits import Share


class DiffAugment(nn.Module):
    """Images (N, C, H, W) -> images, each changed by random amounts of its own; differentiable.

    Args:
        color: strength of the changes of brightness (up to 1/2 either way), saturation (0 to 2 times) and contrast (1/2
            to 3/2 times); 1 as published, 0: none.
        translation: greatest shift, as a share of the side; 1/8 as published. Zeros fill the gap.
        cutout: side of the square of zeros, as a share of the picture's; 1/2 as published.
    """

    def __init__(self, color: Share = 1.0, translation: Share = 0.125, cutout: Share = 0.5) -> None:
        super().__init__()
        for name, value in [("color", color), ("translation", translation), ("cutout", cutout)]:
            if not 0 <= value <= 1:
                raise ValueError(f"{name}={value} must be from 0 to 1")
        self.color, self.translation, self.cutout = color, translation, cutout

    def forward(self, x: Tensor) -> Tensor:
        if self.color > 0:
            x = self.recolored(x)
        if self.translation > 0:
            x = self.translated(x)
        return self.cut(x) if self.cutout > 0 else x

    def recolored(self, x: Tensor) -> Tensor:
        brightness, saturation, contrast = (uniform(x) for _ in range(3))
        x = x + self.color * (brightness - 0.5)
        grey = x.mean(1, keepdim=True)
        x = grey + (x - grey) * (1 + self.color * (2 * saturation - 1))
        mean = x.mean([1, 2, 3], keepdim=True)
        return mean + (x - mean) * (1 + self.color * (contrast - 0.5))

    def translated(self, x: Tensor) -> Tensor:
        count, _, height, width = x.shape
        most = [pixels(side, self.translation) for side in (height, width)]
        down, right = (shifts(count, reach, x.device) for reach in most)
        rows = torch.arange(height, device=x.device)[None] + down[:, None] + most[0]
        columns = torch.arange(width, device=x.device)[None] + right[:, None] + most[1]
        padded = pad(x, (most[1], most[1], most[0], most[0])).permute(0, 2, 3, 1)
        which = torch.arange(count, device=x.device)[:, None, None]
        return padded[which, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)

    def cut(self, x: Tensor) -> Tensor:
        """Blank a square; its centre lies anywhere in the picture, and only the part inside the picture counts."""
        count, _, height, width = x.shape
        inside = []
        for axis, side in ((2, height), (3, width)):
            size = pixels(side, self.cutout)
            first = torch.randint(0, side + (1 - size % 2), (count,), device=x.device) - size // 2
            place = torch.arange(side, device=x.device)[None]
            line = (place >= first[:, None]) & (place < first[:, None] + size)
            inside.append(line[:, None, :, None] if axis == 2 else line[:, None, None, :])
        return x * ~(inside[0] & inside[1])


def pixels(side: int, share: float) -> int:
    """Round a share of a side to whole pixels; a half goes up, where Python's `round` takes the even number."""
    return int(side * share + 0.5)


def uniform(x: Tensor) -> Tensor:
    """Draw uniform numbers (N, 1, 1, 1) in [0, 1)."""
    return torch.rand(len(x), 1, 1, 1, device=x.device, dtype=x.dtype)


def shifts(count: int, reach: int, device: torch.device) -> Tensor:
    """Draw whole numbers (count,) from -reach to reach."""
    return torch.randint(-reach, reach + 1, (count,), device=device)
