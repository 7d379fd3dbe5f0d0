"""Conditional DCGAN, after the MNIST network of the DCGAN authors' public code.

6,820,538 and 6,688,202 parameters at 28x28x1 with 10 classes: the label, one-hot, joins the input
of every layer of both networks (as constant maps where the input is a map); 5x5 kernels, no biases,
norms without gain and bias. Pixels are in [0, 1] inside, as published.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, one_hot, relu

from gan_cli.base.limits import Channels, Count, Pixels, Width
from gan_cli.layers.init import dcgan_init
from gan_cli.layers.label import as_maps
from gan_cli.layers.norm import norm_1d, norm_2d


class Generator(nn.Module):
    """Latent (N, Z), label (N,) -> images (N, C, R, R), R a multiple of 4: dense 16w, dense 2w maps, w maps."""

    def __init__(
        self, latent_size: Width, num_classes: Count, channels: Channels, resolution: Pixels, width: Width = 64
    ) -> None:
        super().__init__()
        side, k = resolution // 4, num_classes
        self.num_classes, self.coarse = num_classes, (2 * width, side, side)
        self.dense1 = nn.Linear(latent_size + k, 16 * width, bias=False)
        self.norm1 = norm_1d("batch", 16 * width, affine=False)
        self.dense2 = nn.Linear(16 * width + k, 2 * width * side**2, bias=False)
        self.norm2 = norm_1d("batch", 2 * width * side**2, affine=False)
        self.up1 = nn.ConvTranspose2d(2 * width + k, width, 5, 2, 2, output_padding=1, bias=False)
        self.norm3 = norm_2d("batch", width, affine=False)
        self.up2 = nn.ConvTranspose2d(width + k, channels, 5, 2, 2, output_padding=1, bias=False)
        self.apply(dcgan_init)

    def forward(self, latent: Tensor, label: Tensor) -> Tensor:
        y = one_hot(label, self.num_classes).to(latent.dtype)
        h = relu(self.norm1(self.dense1(torch.cat([latent, y], 1))))
        h = relu(self.norm2(self.dense2(torch.cat([h, y], 1)))).view(-1, *self.coarse)
        h = relu(self.norm3(self.up1(torch.cat([h, as_maps(y, h)], 1))))
        return torch.sigmoid(self.up2(torch.cat([h, as_maps(y, h)], 1))) * 2 - 1


class Discriminator(nn.Module):
    """Images (N, C, R, R), label (N,) -> logits (N,); `norm` on the second and third layer."""

    def __init__(
        self,
        num_classes: Count,
        channels: Channels,
        resolution: Pixels,
        width: Width = 64,
        norm: Literal["batch", "instance", "layer", "none"] = "batch",
    ) -> None:
        super().__init__()
        self.num_classes, k = num_classes, num_classes
        self.down1 = nn.Conv2d(channels + k, width, 5, 2, 2, bias=False)
        self.down2 = nn.Conv2d(width + k, 2 * width, 5, 2, 2, bias=False)
        self.norm2 = norm_2d(norm, 2 * width, affine=False)
        self.dense3 = nn.Linear(2 * width * (resolution // 4) ** 2 + k, 16 * width, bias=False)
        self.norm3 = norm_1d(norm, 16 * width, affine=False)
        self.dense4 = nn.Linear(16 * width + k, 1, bias=False)
        self.apply(dcgan_init)

    def forward(self, image: Tensor, label: Tensor) -> Tensor:
        x = (image + 1) / 2
        y = one_hot(label, self.num_classes).to(x.dtype)
        h = leaky_relu(self.down1(torch.cat([x, as_maps(y, x)], 1)), 0.2)
        h = leaky_relu(self.norm2(self.down2(torch.cat([h, as_maps(y, h)], 1))), 0.2)
        h = leaky_relu(self.norm3(self.dense3(torch.cat([h.flatten(1), y], 1))), 0.2)
        return self.dense4(torch.cat([h, y], 1)).squeeze(1)
