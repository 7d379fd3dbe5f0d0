"""SAGAN (Zhang et al. 2019): residual blocks with spectral norm in both networks, and self-attention.

At 128 px as in the paper: channels from 1024 at 4x4 to 64, attention at 32x32. At other sizes they double in the
same way from the finest level; attention stays at `attention_at`.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

import torch
from annotated_types import Ge
from torch import Tensor, nn
from torch.nn.functional import one_hot, relu

from gan_cli.base.limits import Channels, Count, Pixels, Width
from gan_cli.base.types import CriticOutput
from gan_cli.layers.head import Head
from gan_cli.layers.residual import ConditionalNorm, DownBlock, SelfAttention, UpBlock, plain, spectral, xavier_init


def widths(resolution: int, width: int) -> dict[int, int]:
    """Return the channels by side, from 4 up: `width` at the finest, doubled at each coarser one, at most 16 times."""
    if resolution < 16 or resolution & (resolution - 1):
        raise ValueError(f"sagan makes resolutions that are powers of two from 16 up, not {resolution}")
    sides = [4 << level for level in range(resolution.bit_length() - 2)]
    return {side: min(resolution // side, 16) * width for side in sides}


def wrapped(layer: nn.Module) -> nn.Module:
    """Initialise a layer with Xavier uniform weights, as in the authors' code, and biases of 0; apply spectral norm."""
    xavier_init(layer, 1.0)
    return spectral(layer)


class Generator(nn.Module):
    """Latent (N, Z), label (N,) or None -> images (N, C, R, R) in [-1, 1]; the norms get the label."""

    def __init__(
        self,
        latent_size: Width,
        channels: Channels,
        resolution: Pixels,
        width: Width = 64,
        attention_at: Annotated[int, Ge(0)] = 32,
        num_classes: Count | None = None,
    ) -> None:
        super().__init__()
        wide, self.num_classes = widths(resolution, width), num_classes
        self.dense = wrapped(nn.Linear(latent_size, wide[4] * 16))
        self.blocks, self.attention = nn.ModuleList(), nn.ModuleDict()
        for coarse, fine in pairwise(wide):
            # a class's gains and biases are free: under spectral norm a one-hot label could hardly move them
            self.blocks.append(UpBlock(wide[coarse], wide[fine], num_classes or 0, wrapped, norm_wrap=plain))
            if fine == attention_at:
                self.attention[str(len(self.blocks) - 1)] = SelfAttention(wide[fine], wrapped)
        self.norm = ConditionalNorm(wide[resolution], 0)
        self.to_image = wrapped(nn.Conv2d(wide[resolution], channels, 3, 1, 1))

    def forward(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        condition = (
            None if self.num_classes is None or label is None else one_hot(label, self.num_classes).to(latent.dtype)
        )
        x = self.dense(latent).view(latent.shape[0], -1, 4, 4)
        for number, block in enumerate(self.blocks):
            x = block(x, condition)
            if str(number) in self.attention:
                x = self.attention[str(number)](x)
        return torch.tanh(self.to_image(relu(self.norm(x, None))))


class Discriminator(nn.Module):
    """Images (N, C, R, R), label (N,) or None -> logits (N,) of features that are summed over places.

    Labels are projected, or an auxiliary classifier names them (`CriticOutput`).
    """

    def __init__(
        self,
        channels: Channels,
        resolution: Pixels,
        width: Width = 64,
        attention_at: Annotated[int, Ge(0)] = 32,
        num_classes: Count | None = None,
        conditional: Literal["none", "projection", "auxiliary"] = "projection",
    ) -> None:
        super().__init__()
        wide = widths(resolution, width)
        layers: list[nn.Module] = []
        before, sides = channels, sorted(wide, reverse=True)
        for number, side in enumerate(sides):  # each block halves, the last leaves 4x4 as it is
            layers.append(DownBlock(before, wide[side], side > 4, first=number == 0, wrap=wrapped))
            before = wide[side]
            if side // 2 == attention_at:
                layers.append(SelfAttention(before, wrapped))
        self.blocks, answer = nn.Sequential(*layers), wrapped(nn.Linear(before, 1))
        projects, names = conditional == "projection", conditional == "auxiliary"
        embed = wrapped(nn.Linear(num_classes, before, bias=False)) if num_classes and projects else None
        classes = wrapped(nn.Linear(before, num_classes)) if num_classes and names else None
        self.head = Head(answer, embed, classes, num_classes)

    def forward(self, image: Tensor, label: Tensor | None = None) -> Tensor | CriticOutput:
        return self.head(relu(self.blocks(image)).sum([2, 3]), label)
