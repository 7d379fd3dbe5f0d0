"""SNGAN (Miyato et al. 2018) with the projection critic (Miyato and Koyama 2018): residual blocks, spectral norm.

At 32 px as for CIFAR-10 in the paper: 256 channels in the generator's three blocks, 128 in the critic's four, of
which two halve. At larger sizes channels double from the finest to the coarsest level, from a quarter to four times
`width`.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot, relu

from gan_cli.base.limits import Channels, Count, Pixels, Width
from gan_cli.base.types import CriticOutput
from gan_cli.layers.head import Head
from gan_cli.layers.residual import ConditionalNorm, DownBlock, UpBlock, spectral, xavier_init


def widths(resolution: int, width: int) -> list[int]:
    """Return the generator's channels by level, from 4x4 to the image's side."""
    if resolution < 16 or resolution & (resolution - 1):
        raise ValueError(f"sngan makes resolutions that are powers of two from 16 up, not {resolution}")
    sides = [4 << level for level in range(resolution.bit_length() - 2)]
    if resolution <= 32:
        return [width] * len(sides)
    return [min(width * resolution // (4 * side), 4 * width) for side in sides]


class Generator(nn.Module):
    """Latent (N, Z), label (N,) or None -> images (N, C, R, R) in [-1, 1]; the norms get the label."""

    def __init__(
        self,
        latent_size: Width,
        channels: Channels,
        resolution: Pixels,
        width: Width = 256,
        num_classes: Count | None = None,
    ) -> None:
        super().__init__()
        wide, self.num_classes = widths(resolution, width), num_classes
        self.dense = nn.Linear(latent_size, wide[0] * 16)
        self.blocks = nn.ModuleList(UpBlock(coarse, fine, num_classes or 0) for coarse, fine in pairwise(wide))
        self.norm, self.to_image = ConditionalNorm(wide[-1], 0), nn.Conv2d(wide[-1], channels, 3, 1, 1)
        layers: list[Any] = [self.dense, *(x for b in self.blocks for x in (b.first, b.second, b.skip))]
        xavier_init(nn.ModuleList(layers))
        xavier_init(self.to_image, 1.0)

    def forward(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        condition = (
            None if self.num_classes is None or label is None else one_hot(label, self.num_classes).to(latent.dtype)
        )
        x = self.dense(latent).view(latent.shape[0], -1, 4, 4)
        for block in self.blocks:
            x = block(x, condition)
        return torch.tanh(self.to_image(relu(self.norm(x, None))))


class Discriminator(nn.Module):
    """Images (N, C, R, R), label (N,) or None -> logits (N,) of features that are summed over places.

    Args:
        norm: "spectral" (of every layer's weights) as published, or "none".
        conditional: if there are classes: labels projected, or named by an auxiliary classifier (`CriticOutput`).
    """

    def __init__(
        self,
        channels: Channels,
        resolution: Pixels,
        width: Width = 128,
        num_classes: Count | None = None,
        norm: Literal["spectral", "none"] = "spectral",
        conditional: Literal["none", "projection", "auxiliary"] = "projection",
    ) -> None:
        super().__init__()
        fine_to_coarse = widths(resolution, width * 2)[::-1]
        small = resolution <= 32
        outs = [width] * 4 if small else fine_to_coarse
        ins = [channels, *outs[:-1]]
        downs = [n < 2 if small else n < len(outs) - 1 for n in range(len(outs))]
        self.blocks = nn.Sequential(
            *(
                DownBlock(i, o, down, n == 0, o if n == 0 or small else i)
                for n, (i, o, down) in enumerate(zip(ins, outs, downs, strict=True))
            )
        )
        answer = nn.Linear(outs[-1], 1, bias=False)
        projects, names = conditional == "projection", conditional == "auxiliary"
        embed = nn.Linear(num_classes, outs[-1], bias=False) if num_classes and projects else None
        classes = nn.Linear(outs[-1], num_classes) if num_classes and names else None
        self.head = Head(answer, embed, classes, num_classes)
        xavier_init(self)
        if norm == "spectral":
            for layer in list(self.modules()):
                if isinstance(layer, (nn.Conv2d, nn.Linear)):
                    spectral(layer)

    def forward(self, image: Tensor, label: Tensor | None = None) -> Tensor | CriticOutput:
        return self.head(relu(self.blocks(image)).sum([2, 3]), label)
