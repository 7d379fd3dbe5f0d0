"""The network of the first GAN paper (Goodfellow et al. 2014), as in its published MNIST configuration.

2,503,984 and 1,231,441 parameters at 28x28x1. The networks speak of pixels in [0, 1] as published;
the image range of this project, [-1, 1], is mapped on the way in and out. One deviation: the
generator's output bias starts at 0, not at the data's marginal logit.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gan_cli.base.limits import Channels, Pixels, Width
from gan_cli.layers.init import uniform_init
from gan_cli.layers.maxout import Maxout


class Generator(nn.Module):
    """Latent (N, Z) -> images (N, C, R, R): two layers of 1200 ReLU units, sigmoid; weights U(-0.05, 0.05)."""

    def __init__(self, latent_size: Width, channels: Channels, resolution: Pixels, width: Width = 1200) -> None:
        super().__init__()
        self.shape = (channels, resolution, resolution)
        self.layers = nn.Sequential(
            nn.Linear(latent_size, width),
            nn.ReLU(inplace=True),
            nn.Linear(width, width),
            nn.ReLU(inplace=True),
            nn.Linear(width, channels * resolution**2),
        )
        uniform_init(self, 0.05)

    def forward(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        return (torch.sigmoid(self.layers(latent)) * 2 - 1).view(-1, *self.shape)


class Discriminator(nn.Module):
    """Images (N, C, R, R) -> logits (N,): two maxout layers of 240 units of 5 pieces; weights U(-0.005, 0.005).

    Dropout keeps 0.8 of the input and 0.5 of each hidden layer, in both players' turns.
    """

    def __init__(self, channels: Channels, resolution: Pixels, units: Width = 240, pieces: Width = 5) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Dropout(0.2),
            Maxout(channels * resolution**2, units, pieces),
            nn.Dropout(0.5),
            Maxout(units, units, pieces),
            nn.Dropout(0.5),
            nn.Linear(units, 1),
        )
        uniform_init(self, 0.005)

    def forward(self, image: Tensor, label: Tensor | None = None) -> Tensor:
        return self.layers((image.flatten(1) + 1) / 2).squeeze(1)
