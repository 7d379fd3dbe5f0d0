"""ProGAN (Karras et al. 2018): both networks grow from 4x4 pixels, each level faded in.

23,079,115 and 23,087,249 parameters at 1024 px, 22,490,383 and 22,498,049 at 64 px, all levels' image layers counted.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from gan_cli.base.limits import Channels, Count, Width
from gan_cli.layers.equalized import EqualizedConv2d, EqualizedLinear, PixelNorm
from gan_cli.layers.growth import GrowingCritic, Grown, Growth
from gan_cli.layers.resample import double

HE = math.sqrt(2)


def widths(resolution: int, base: int, most: int) -> list[int]:
    """Return the channels by level, from 4x4 on: `base` / side, at most `most`."""
    return [min(base // (4 << level), most) for level in range(resolution.bit_length() - 2)]


class Layer(nn.Module):
    """3x3 convolution, LeakyReLU(0.2), pixel norm."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convolution, self.norm = EqualizedConv2d(inputs, outputs, 3, HE), PixelNorm()

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(leaky_relu(self.convolution(x), 0.2))


class Start(nn.Module):
    """Latent (N, Z) -> (N, O, 4, 4): dense, a bias for each channel, LeakyReLU(0.2), pixel norm."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.dense, self.norm = EqualizedLinear(inputs, outputs * 16, HE / 4, bias=False), PixelNorm()
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, latent: Tensor) -> Tensor:
        x = self.dense(latent).view(latent.shape[0], -1, 4, 4) + self.bias[:, None, None]
        return self.norm(leaky_relu(x, 0.2))


class Generator(Grown):
    """Latent (N, Z), label (N,) or None -> images (N, C, 4 * 2 ** level, ...), not squashed.

    Args:
        channel_base: channels at a level are this divided by its side, at most `channel_max`.
        num_classes: K; a class vector of length Z joins the latent. None: without labels.
    """

    def __init__(
        self,
        growth: Growth,
        latent_size: Width,
        channels: Channels,
        channel_base: Count = 16384,
        channel_max: Width = 512,
        num_classes: Count | None = None,
    ) -> None:
        super().__init__(growth)
        wide = widths(growth.resolution, channel_base, channel_max)
        self.embed = nn.Embedding(num_classes, latent_size) if num_classes else None
        self.normalize = PixelNorm()
        inputs = latent_size * (2 if num_classes else 1)
        self.first = nn.Sequential(Start(inputs, wide[0]), Layer(wide[0], wide[0]))
        self.blocks = nn.ModuleList(
            nn.Sequential(Layer(coarser, width), Layer(width, width)) for coarser, width in pairwise(wide)
        )
        self.to_image = nn.ModuleList(EqualizedConv2d(width, channels, 1) for width in wide)

    def parts(self, level: int) -> list[nn.Module]:
        start: list[nn.Module] = [self.first, *([self.embed] if self.embed else [])]
        return [*start, *self.blocks[:level], *self.to_image[max(level - 1, 0) : level + 1]]

    def forward(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        z = self.normalize(latent)
        if self.embed is not None:
            z = torch.cat([z, self.normalize(self.embed(label))], 1)
        x = before = self.first(z)
        for block in self.blocks[: self.level]:
            before, x = x, block(double(x))
        image = self.to_image[self.level](x)
        if self.faded == 1:
            return image
        return torch.lerp(double(self.to_image[self.level - 1](before)), image, self.faded)


class Discriminator(GrowingCritic):
    """Images (N, C, 4 * 2 ** level, ...), label (N,) or None -> logits (N,)."""

    def __init__(
        self,
        growth: Growth,
        channels: Channels,
        channel_base: Count = 16384,
        channel_max: Width = 512,
        group: Count = 4,
        num_classes: Count | None = None,
        conditional: Literal["none", "projection", "auxiliary"] = "projection",
    ) -> None:
        wide = widths(growth.resolution, channel_base, channel_max)
        super().__init__(growth, channels, wide, False, group, num_classes, conditional)
