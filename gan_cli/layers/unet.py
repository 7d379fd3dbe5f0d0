"""The U-Net of Pix2Pix (Isola et al. 2017): an encoder down to one pixel, a decoder, and skips by level."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, leaky_relu, relu

from gan_cli.base.limits import Channels, Depth, Pixels, Share, Width
from gan_cli.layers.init import dcgan_init
from gan_cli.layers.norm import norm_2d


class NoisyDropout(nn.Module):
    """Dropout that stays on in evaluation: it is the generator's only noise."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        return dropout(x, self.share, training=True)


class UNet(nn.Module):
    """Images (N, C, R, R) -> images (N, C', R, R) in [-1, 1], R a power of two; sizes any multiple of R.

    54,413,955 parameters at 256 px, 3 channels to 3. It has 8 levels, 64-128-256-512 and 512 below, 4x4 kernels of
    stride 2, LeakyReLU(0.2) down and ReLU up. Dropout 0.5 is on the first three levels up that are as wide as the
    widest. With batch norm, which has a bias, only the outermost convolution up has one; the authors' first code has a
    bias everywhere, 54,419,459. The outermost and the innermost level down have no norm: one pixel minus its mean is
    nothing. A skip goes through the ReLU on the way up. So it may be taken before the LeakyReLU or, as in both public
    codes, after it, with the same result.

    Batch norm uses the statistics of the batch in evaluation too, as published, and tracks nothing. With one picture
    to a batch it is instance norm.

    Args:
        resolution: R; there are log2(R) levels unless `levels` is set.
        width: channels of the finest level; doubled at each below, up to 8 times.
        dropout: share that is dropped; 0 makes the network deterministic.
        tanh: whether the output is squashed into [-1, 1]; in a chain only the last block is.
    """

    def __init__(
        self,
        in_channels: Channels,
        out_channels: Channels,
        resolution: Pixels = 256,
        width: Width = 64,
        norm: Literal["batch", "instance"] = "batch",
        dropout: Share = 0.5,
        levels: Depth | None = None,
        tanh: bool = True,
    ) -> None:
        super().__init__()
        depth = levels or resolution.bit_length() - 1
        if depth < 2 or (levels is None and resolution != 1 << depth):
            raise ValueError(f"a U-Net takes resolutions that are powers of two from 4 up, not {resolution}")
        self.multiple, self.tanh = 1 << depth, tanh
        wide = [width * min(2**level, 8) for level in range(depth)]
        bias = norm != "batch"

        def normed(channels: int) -> nn.Module:
            layer = norm_2d(norm, channels, affine=norm == "batch")
            if isinstance(layer, nn.BatchNorm2d):
                layer = nn.BatchNorm2d(channels, track_running_stats=False)
            return layer

        self.down, self.down_norm = nn.ModuleList(), nn.ModuleList()
        for level in range(depth):
            first, last = level == 0, level == depth - 1
            before = in_channels if first else wide[level - 1]
            self.down.append(nn.Conv2d(before, wide[level], 4, 2, 1, bias=bias))
            self.down_norm.append(nn.Identity() if first or last else normed(wide[level]))
        self.up, self.up_norm = nn.ModuleList(), nn.ModuleList()
        for level in reversed(range(depth)):
            before = wide[level] if level == depth - 1 else 2 * wide[level]
            after = wide[level - 1] if level else out_channels
            self.up.append(nn.ConvTranspose2d(before, after, 4, 2, 1, bias=bias or level == 0))
            noisy = dropout > 0 and depth - 1 - level < 3 and level and wide[level - 1] == wide[-1]
            self.up_norm.append(
                nn.Sequential(
                    normed(after) if level else nn.Identity(), NoisyDropout(dropout) if noisy else nn.Identity()
                )
            )
        self.apply(dcgan_init)

    def forward(self, image: Tensor) -> Tensor:
        skips, x = [], image
        for number, (down, norm) in enumerate(zip(self.down, self.down_norm, strict=True)):
            x = norm(down(leaky_relu(x, 0.2) if number else x))
            skips.append(x)
        x = relu(skips.pop())
        for up, norm in zip(self.up, self.up_norm, strict=True):
            x = norm(up(x))
            if skips:
                x = relu(torch.cat([skips.pop(), x], 1))
        return torch.tanh(x) if self.tanh else x
