"""Resampling by 2 with a low-pass filter, as depthwise convolutions: pure torch, differentiable twice."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, interpolate


def binomial(taps: Sequence[float]) -> Tensor:
    """The separable kernel (T, T) of a filter's taps, with sum 1."""
    line = torch.tensor(list(taps), dtype=torch.float32)
    kernel = torch.outer(line, line)
    return kernel / kernel.sum()


class Filter(nn.Module):
    """A low-pass filter; `taps` [1,2,1] in StyleGAN and R3GAN, [1,3,3,1] in StyleGAN2. No parameters."""

    kernel: Tensor

    def __init__(self, taps: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("kernel", binomial(taps), persistent=False)

    def depthwise(self, x: Tensor, gain: float = 1.0) -> Tensor:
        """The kernel for each channel of `x`, (C, 1, T, T)."""
        return (self.kernel * gain).to(x.dtype).expand(x.shape[1], 1, -1, -1)

    def blur(self, x: Tensor, padding: int, stride: int = 1, gain: float = 1.0) -> Tensor:
        return conv2d(x, self.depthwise(x, gain), stride=stride, padding=padding, groups=x.shape[1])


class Blur(Filter):
    """(N, C, H, W) -> the same size; an odd number of taps."""

    def forward(self, x: Tensor) -> Tensor:
        return self.blur(x, self.kernel.shape[0] // 2)


class Upsample(Filter):
    """(N, C, H, W) -> (N, C, 2H, 2W): zeros between the pixels, then the filter, its gain 4."""

    def forward(self, x: Tensor) -> Tensor:
        taps = self.kernel.shape[0]
        odd = taps % 2
        kernel = self.depthwise(x, 4.0)
        return conv_transpose2d(
            x, kernel, stride=2, padding=taps // 2 - 1 + odd, output_padding=odd, groups=x.shape[1]
        )


class Downsample(Filter):
    """(N, C, 2H, 2W) -> (N, C, H, W): the filter, then every second pixel."""

    def forward(self, x: Tensor) -> Tensor:
        return self.blur(x, (self.kernel.shape[0] - 1) // 2, stride=2)


def double(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C, 2H, 2W): each pixel four times."""
    return interpolate(x, scale_factor=2, mode="nearest")


def halve(x: Tensor) -> Tensor:
    """(N, C, 2H, 2W) -> (N, C, H, W): means of 2x2 pixels."""
    return torch.nn.functional.avg_pool2d(x, 2)
