"""Networks that grow with the images seen (Karras et al. 2018): which level is trained, and how far it is faded in."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from gan_cli.base.limits import Count, Pixels
from gan_cli.base.types import CriticOutput
from gan_cli.layers.equalized import EqualizedConv2d, EqualizedLinear
from gan_cli.layers.head import Head
from gan_cli.layers.minibatch import MinibatchStddev
from gan_cli.layers.resample import Blur, double, halve


class Stage(NamedTuple):
    """A span of a run, in images seen, in which a level fades in, or is trained on after its fade."""

    level: int
    fades: bool
    begin: int
    end: int | None


@dataclass(frozen=True)
class Growth:
    """Levels of 4x4, 8x8, ... pixels up to the resolution: each fades in, then is trained on; the first does not fade.

    Args:
        resolution: resolution of the last level, a power of two.
        start: resolution of the first level that is trained.
        fade_images, stable_images: length of each level's two stages, in images seen.
    """

    resolution: Pixels
    start: Pixels = 4
    fade_images: Count = 600_000
    stable_images: Count = 600_000

    @staticmethod
    def refusal(at: str, resolution: int, start: int = 4) -> str | None:
        """Return why `start` is no level of 4, 8, 16, ... pixels up to `resolution`, or None (see `check.rules`)."""
        if 4 <= start <= resolution and not start & (start - 1):
            return None
        return f"{at}.start={start} must be a power of two from 4 up, at most the pictures' {resolution} pixels a side"

    def __post_init__(self) -> None:
        sides = [4 << level for level in range(self.resolution.bit_length() - 2)]
        if self.resolution not in sides or self.start not in sides:
            raise ValueError(
                f"it grows to a power of two from 4 up, from such a one: not to {self.resolution} from {self.start}"
            )
        if self.fade_images < 1 or self.stable_images < 1:
            raise ValueError("fade_images and stable_images must be at least 1")

    @property
    def levels(self) -> list[int]:
        """List the numbers of the levels that are trained; level l has 4 * 2 ** l pixels a side."""
        return list(range(self.start.bit_length() - 3, self.resolution.bit_length() - 2))

    def span(self, level: int) -> tuple[int, int | None]:
        """Compute the images seen at which a level's fade begins, and at which the next one's does (None: the last)."""
        number = self.levels.index(level)
        period = self.fade_images + self.stable_images
        begin = 0 if number == 0 else self.stable_images + (number - 1) * period
        return begin, None if level == self.levels[-1] else self.stable_images + number * period

    @property
    def stages(self) -> list[Stage]:
        """List the stages in the order of a run: each level's fade (the first has none), and the time after it."""
        stages = []
        for level in self.levels:
            begin, end = self.span(level)
            grown = begin if level == self.levels[0] else begin + self.fade_images
            if grown > begin:
                stages.append(Stage(level, True, begin, grown))
            stages.append(Stage(level, False, grown, end))
        return stages

    def at(self, images: int) -> tuple[int, float]:
        """Return the level that is trained, and the share of its branch in the output: 1 if it is not fading."""
        for level in reversed(self.levels):
            begin, _ = self.span(level)
            if images >= begin:
                break
        faded = 1.0 if level == self.levels[0] else min((images - begin) / self.fade_images, 1.0)
        return level, faded


class Grown(nn.Module):
    """A network that grows in training: `level` and `faded` are functions of images seen, not weights."""

    def __init__(self, growth: Growth) -> None:
        super().__init__()
        self.growth = growth
        self.level, self.faded = growth.levels[-1], 1.0

    def parts(self, level: int) -> list[nn.Module]:
        """List the modules that a level uses, including those that it fades from."""
        raise NotImplementedError

    def set_progress(self, images: int) -> None:
        self.level, self.faded = self.growth.at(images)


def shrunk(image: Tensor, level: int, faded: float) -> Tensor:
    """Shrink reals to a level, (N, C, R, R) -> (N, C, 4 * 2 ** level, ...), fading from half the resolution."""
    while image.shape[2] > 4 << level:
        image = halve(image)
    return image if faded == 1 else torch.lerp(double(halve(image)), image, faded)


class GrowingCritic(Grown):
    """Images (N, C, 4 * 2 ** level, ...), label (N,) or None -> logits (N,).

    A 1x1 convolution reads the image. Each level has two 3x3 convolutions and a halving. At 4x4 follow the minibatch
    deviation, a 3x3 convolution and two dense layers. Labels are projected (Miyato and Koyama 2018), or an auxiliary
    classifier names the class (`CriticOutput`).

    Args:
        widths: channels by level, coarsest first.
        blur: whether to blur by [1, 2, 1] before each halving convolution, as in StyleGAN.
        group: samples in a group of the minibatch deviation.
        conditional: use of labels, if there are classes.
    """

    def __init__(
        self,
        growth: Growth,
        channels: int,
        widths: list[int],
        blur: bool = False,
        group: int = 4,
        num_classes: int | None = None,
        conditional: Literal["none", "projection", "auxiliary"] = "projection",
    ) -> None:
        super().__init__(growth)
        he = math.sqrt(2)
        self.from_image = nn.ModuleList(EqualizedConv2d(channels, width, 1, he) for width in widths)
        soft: list[nn.Module] = [Blur((1, 2, 1))] if blur else []
        self.blocks = nn.ModuleList(
            nn.Sequential(
                EqualizedConv2d(width, width, 3, he),
                nn.LeakyReLU(0.2),
                *soft,
                EqualizedConv2d(width, coarser, 3, he),
                nn.AvgPool2d(2),
                nn.LeakyReLU(0.2),
            )
            for coarser, width in pairwise(widths)
        )
        self.last = nn.Sequential(
            MinibatchStddev(group),
            EqualizedConv2d(widths[0] + 1, widths[0], 3, he),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            EqualizedLinear(widths[0] * 16, widths[0], he),
            nn.LeakyReLU(0.2),
        )
        self.head = Head(
            EqualizedLinear(widths[0], 1),
            nn.Embedding(num_classes, widths[0]) if num_classes and conditional == "projection" else None,
            EqualizedLinear(widths[0], num_classes) if num_classes and conditional == "auxiliary" else None,
            divisor=math.sqrt(widths[0]),
        )

    def parts(self, level: int) -> list[nn.Module]:
        return [*self.from_image[max(level - 1, 0) : level + 1], *self.blocks[:level], self.last, self.head]

    def forward(self, image: Tensor, label: Tensor | None = None) -> Tensor | CriticOutput:
        x = leaky_relu(self.from_image[self.level](image), 0.2)
        for level in range(self.level, 0, -1):
            x = self.blocks[level - 1](x)
            if level == self.level and self.faded < 1:
                x = torch.lerp(leaky_relu(self.from_image[level - 1](halve(image)), 0.2), x, self.faded)
        return self.head(self.last(x), label)
