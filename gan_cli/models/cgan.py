"""Conditional GAN as multi-layer perceptrons (Mirza and Osindero 2014).

2,413,984 and 1,224,351 parameters at 28x28x1 with 10 classes. The paper can be read in two ways:
the 200 latent and 1000 label units *are* the joint layer of 1200, or they feed one. This is the
second reading. Pixels are in [0, 1] inside, as published.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from gan_cli.base.limits import Channels, Count, Pixels, Width
from gan_cli.layers.maxout import Maxout


class Generator(nn.Module):
    """Latent (N, Z), label (N,) -> images (N, C, R, R): 200 and 1000 ReLU units, 1200 joint ones, sigmoid."""

    def __init__(self, latent_size: Width, num_classes: Count, channels: Channels, resolution: Pixels) -> None:
        super().__init__()
        self.num_classes, self.shape = num_classes, (channels, resolution, resolution)
        self.from_latent = nn.Sequential(nn.Linear(latent_size, 200), nn.ReLU(inplace=True))
        self.from_label = nn.Sequential(nn.Linear(num_classes, 1000), nn.ReLU(inplace=True))
        self.joint = nn.Sequential(
            nn.Linear(1200, 1200), nn.ReLU(inplace=True), nn.Dropout(0.5), nn.Linear(1200, channels * resolution**2)
        )

    def forward(self, latent: Tensor, label: Tensor) -> Tensor:
        condition = one_hot(label, self.num_classes).to(latent.dtype)
        hidden = torch.cat([self.from_latent(latent), self.from_label(condition)], 1)
        return (torch.sigmoid(self.joint(hidden)) * 2 - 1).view(-1, *self.shape)


class Discriminator(nn.Module):
    """Images (N, C, R, R), label (N,) -> logits (N,): maxout 240x5 and 50x5, joint maxout 240x4, dropout 0.5."""

    def __init__(self, num_classes: Count, channels: Channels, resolution: Pixels) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.from_image = nn.Sequential(Maxout(channels * resolution**2, 240, 5), nn.Dropout(0.5))
        self.from_label = nn.Sequential(Maxout(num_classes, 50, 5), nn.Dropout(0.5))
        self.joint = nn.Sequential(Maxout(290, 240, 4), nn.Dropout(0.5), nn.Linear(240, 1))

    def forward(self, image: Tensor, label: Tensor) -> Tensor:
        pixels = (image.flatten(1) + 1) / 2
        condition = one_hot(label, self.num_classes).to(pixels.dtype)
        return self.joint(torch.cat([self.from_image(pixels), self.from_label(condition)], 1)).squeeze(1)
