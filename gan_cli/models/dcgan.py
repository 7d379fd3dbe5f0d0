"""DCGAN (Radford et al. 2015), in the form that became the standard one: 4x4 kernels, 64 base channels.

3,576,704 and 2,765,568 parameters at 64x64x3 (latent 100); 1,068,928 and 663,296 at 32x32x3. The
authors' first code was twice as wide with 5x5 kernels.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

import torch
from annotated_types import Interval
from torch import Tensor, nn

from gan_cli.base.limits import Channels, Pixels, Width
from gan_cli.layers.init import dcgan_init
from gan_cli.layers.minibatch import MinibatchDiscrimination
from gan_cli.layers.norm import norm_2d


def widths(resolution: int, base_channels: int, max_channels: int) -> list[int]:
    """Return the channels from the finest level (half the resolution) to the coarsest (4x4); they double each time."""
    levels = resolution.bit_length() - 3
    if resolution < 16 or resolution != 4 << levels:
        raise ValueError(f"dcgan makes resolutions that are powers of two from 16 up, not {resolution}")
    return [min(base_channels << level, max_channels) for level in range(levels)]


class Generator(nn.Module):
    """Latent (N, Z) -> images (N, C, R, R) in [-1, 1]; batch norm and ReLU on all but the last layer, tanh."""

    def __init__(
        self,
        latent_size: Width,
        channels: Channels,
        resolution: Pixels,
        base_channels: Width = 64,
        max_channels: Width = 1024,
    ) -> None:
        super().__init__()
        coarse_to_fine = widths(resolution, base_channels, max_channels)[::-1]
        layers: list[nn.Module] = [
            nn.ConvTranspose2d(latent_size, coarse_to_fine[0], 4, 1, 0, bias=False),
            nn.BatchNorm2d(coarse_to_fine[0]),
            nn.ReLU(inplace=True),
        ]
        for wide, narrow in pairwise(coarse_to_fine):
            layers += [
                nn.ConvTranspose2d(wide, narrow, 4, 2, 1, bias=False),
                nn.BatchNorm2d(narrow),
                nn.ReLU(inplace=True),
            ]
        layers += [nn.ConvTranspose2d(coarse_to_fine[-1], channels, 4, 2, 1, bias=False)]
        self.layers = nn.Sequential(*layers)
        self.apply(dcgan_init)

    def forward(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        return torch.tanh(self.layers(latent[:, :, None, None]))


class Discriminator(nn.Module):
    """Images (N, C, R, R) -> logits (N,); LeakyReLU(0.2), `norm` on all but the first and last layer.

    The last level is 4x4 and its logit a 4x4 convolution. `norm` is batch as published; a loss or
    penalty that can't have it replaces it (see the model's YAML).

    Args:
        minibatch_kernels: kernels of the minibatch discrimination before the logit, which then is a dense layer;
            0: none.
    """

    def __init__(
        self,
        channels: Channels,
        resolution: Pixels,
        base_channels: Width = 64,
        max_channels: Width = 1024,
        norm: Literal["batch", "instance", "layer", "none"] = "batch",
        minibatch_kernels: Annotated[int, Interval(ge=0, le=65_536)] = 0,
    ) -> None:
        super().__init__()
        fine_to_coarse = widths(resolution, base_channels, max_channels)
        layers: list[nn.Module] = [
            nn.Conv2d(channels, fine_to_coarse[0], 4, 2, 1, bias=False),
            nn.LeakyReLU(0.2, inplace=True),
        ]
        for narrow, wide in pairwise(fine_to_coarse):
            layers += [
                nn.Conv2d(narrow, wide, 4, 2, 1, bias=False),
                norm_2d(norm, wide),
                nn.LeakyReLU(0.2, inplace=True),
            ]
        if minibatch_kernels:
            seen = fine_to_coarse[-1] * 16
            layers += [nn.Flatten(), MinibatchDiscrimination(seen, minibatch_kernels)]
            layers += [nn.Linear(seen + minibatch_kernels, 1, bias=False)]
        else:
            layers += [nn.Conv2d(fine_to_coarse[-1], 1, 4, 1, 0, bias=False)]
        self.layers = nn.Sequential(*layers)
        self.apply(dcgan_init)

    def forward(self, image: Tensor, label: Tensor | None = None) -> Tensor:
        return self.layers(image).flatten()
