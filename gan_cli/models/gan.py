"""GAN as a pair of multi-layer perceptrons, the form most people meet first.

559,632 and 533,505 parameters at 28x28x1. For the network of the 2014 paper see `gan_maxout`.
"""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Interval
from torch import Tensor, nn

from gan_cli.base.limits import Channels, Pixels, Width
from gan_cli.layers.minibatch import MinibatchDiscrimination


class Generator(nn.Module):
    """Latent (N, Z) -> images (N, C, R, R) in [-1, 1]: 256 and 512 LeakyReLU(0.2) units, tanh."""

    def __init__(self, latent_size: Width, channels: Channels, resolution: Pixels, width: Width = 256) -> None:
        super().__init__()
        self.shape = (channels, resolution, resolution)
        self.layers = nn.Sequential(
            nn.Linear(latent_size, width),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Linear(width, 2 * width),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Linear(2 * width, channels * resolution**2),
        )

    def forward(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        return torch.tanh(self.layers(latent)).view(-1, *self.shape)


class Discriminator(nn.Module):
    """Images (N, C, R, R) -> logits (N,): 512 and 256 LeakyReLU(0.2) units.

    Args:
        minibatch_kernels: kernels of the minibatch discrimination before the logit; 0: none.
    """

    def __init__(
        self,
        channels: Channels,
        resolution: Pixels,
        width: Width = 256,
        minibatch_kernels: Annotated[int, Interval(ge=0, le=65_536)] = 0,
    ) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(channels * resolution**2, 2 * width),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Linear(2 * width, width),
            nn.LeakyReLU(0.2, inplace=True),
            *([MinibatchDiscrimination(width, minibatch_kernels)] if minibatch_kernels else []),
            nn.Linear(width + minibatch_kernels, 1),
        )

    def forward(self, image: Tensor, label: Tensor | None = None) -> Tensor:
        return self.layers(image.flatten(1)).squeeze(1)
