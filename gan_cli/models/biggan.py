"""BigGAN (Brock et al. 2019): every norm gets a shared class vector and a piece of the latent; projection critic.

70,433,988 and 87,982,370 parameters at 128 px for 1,000 classes (width 96, latent 120).
4,668,163 and 4,207,361 at 32 px for 10 classes (width 64, latent 128, not hierarchical, no attention).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

import torch
from annotated_types import Ge
from torch import Tensor, nn
from torch.nn.functional import relu

from gan_cli.base.limits import Channels, Count, Pixels, Width
from gan_cli.base.types import CriticOutput
from gan_cli.layers.head import Head
from gan_cli.layers.residual import ConditionalNorm, DownBlock, SelfAttention, UpBlock, spectral

MULTIPLES = {  # factors on the width by resolution, from 4x4 to the finest level
    32: (4, 4, 4, 4),
    64: (16, 16, 8, 4, 2),
    128: (16, 16, 8, 4, 2, 1),
    256: (16, 16, 8, 8, 4, 2, 1),
    512: (16, 16, 8, 8, 4, 2, 1, 1),
}
CRITIC = {  # the same for each of the critic's blocks
    32: (4, 4, 4, 4),
    64: (1, 2, 4, 8, 16),
    128: (1, 2, 4, 8, 16, 16),
    256: (1, 2, 4, 8, 8, 16, 16),
    512: (1, 1, 2, 4, 8, 8, 16, 16),
}


def widths_of(table: dict[int, tuple[int, ...]], resolution: int, width: int) -> list[int]:
    if resolution not in table:
        raise ValueError(f"biggan makes resolutions of {', '.join(map(str, table))}, not {resolution}")
    return [width * multiple for multiple in table[resolution]]


def wrapped(layer: nn.Module) -> nn.Module:
    """Initialise a layer with orthogonal weights and a bias of 0, and apply spectral norm to it."""
    nn.init.orthogonal_(layer.weight)  # type: ignore[arg-type]
    if getattr(layer, "bias", None) is not None:
        nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return spectral(layer)


class Generator(nn.Module):
    """Latent (N, Z), label (N,) or None -> images (N, C, R, R) in [-1, 1].

    The latent is cut into a piece for the first layer and one for each block. The condition of a block's norms is the
    class vector and the block's piece.

    Args:
        shared: length of the class vector.
        attention_at: side of the maps that get self-attention; 0: none.
        hierarchical: False: the first layer gets the whole latent, and the norms get the class alone.
    """

    def __init__(
        self,
        latent_size: Width,
        channels: Channels,
        resolution: Pixels,
        width: Width = 96,
        shared: Width = 128,
        attention_at: Annotated[int, Ge(0)] = 64,
        hierarchical: bool = True,
        num_classes: Count | None = None,
    ) -> None:
        super().__init__()
        wide = widths_of(MULTIPLES, resolution, width)
        pieces = len(wide) if hierarchical else 1
        if latent_size % pieces:
            near = latent_size - latent_size % pieces
            raise ValueError(f"the latent is cut into {pieces} pieces: {near or pieces} would do, not {latent_size}")
        self.piece = latent_size // pieces
        self.shared = nn.Embedding(num_classes, shared) if num_classes else None
        condition = self.piece * hierarchical + (shared if num_classes else 0)
        self.dense = wrapped(nn.Linear(self.piece, wide[0] * 16))
        self.blocks, self.attention = nn.ModuleList(), nn.ModuleDict()
        for number, (coarse, fine) in enumerate(pairwise(wide)):
            self.blocks.append(UpBlock(coarse, fine, condition, wrapped))
            if 8 << number == attention_at:
                self.attention[str(number)] = SelfAttention(fine, wrapped)
        self.norm, self.to_image = ConditionalNorm(wide[-1], 0), wrapped(nn.Conv2d(wide[-1], channels, 3, 1, 1))
        if self.shared is not None:
            nn.init.orthogonal_(self.shared.weight)

    def forward(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        first, *pieces = latent.split(self.piece, 1)
        class_vector = [] if self.shared is None or label is None else [self.shared(label)]
        x = self.dense(first).view(latent.shape[0], -1, 4, 4)
        for number, block in enumerate(self.blocks):
            condition = [*class_vector, *pieces[number : number + 1]]
            x = block(x, torch.cat(condition, 1) if condition else None)
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
        width: Width = 96,
        attention_at: Annotated[int, Ge(0)] = 64,
        num_classes: Count | None = None,
        conditional: Literal["none", "projection", "auxiliary"] = "projection",
    ) -> None:
        super().__init__()
        outs = widths_of(CRITIC, resolution, width)
        layers: list[nn.Module] = []
        for number, (before, after) in enumerate(pairwise([channels, *outs])):
            down = number < 2 if resolution == 32 else number < len(outs) - 1
            layers.append(DownBlock(before, after, down, first=number == 0, wrap=wrapped))
            if down and resolution >> (number + 1) == attention_at:
                layers.append(SelfAttention(after, wrapped))
        self.blocks, answer = nn.Sequential(*layers), wrapped(nn.Linear(outs[-1], 1))
        projects, names = conditional == "projection", conditional == "auxiliary"
        embed = wrapped(nn.Embedding(num_classes, outs[-1])) if num_classes and projects else None
        self.head = Head(answer, embed, wrapped(nn.Linear(outs[-1], num_classes)) if num_classes and names else None)

    def forward(self, image: Tensor, label: Tensor | None = None) -> Tensor | CriticOutput:
        return self.head(relu(self.blocks(image)).sum([2, 3]), label)
