"""Resampling by 2 with a low-pass filter, as depthwise convolutions: pure torch, differentiable twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, interpolate


def binomial(taps: Sequence[float]) -> Tensor:
    """Compute the separable kernel (T, T) of a filter's taps, with sum 1."""
    line = torch.tensor(list(taps), dtype=torch.float32)
    kernel = torch.outer(line, line)
    return kernel / kernel.sum()


class Filter(nn.Module):
    """A low-pass filter: [1,2,1] where StyleGAN blurs, [1,3,3,1] where StyleGAN2 and R3GAN resample. No parameters.

    Raises:
        ValueError: the number of taps would shift the picture by half a pixel.
    """

    kernel: Tensor
    odd: bool | None = None  # number of taps that keeps the picture in its place; None: any, by padding

    def __init__(self, taps: Sequence[float]) -> None:
        super().__init__()
        if self.odd is not None and len(taps) % 2 != self.odd:
            kind = "an odd" if self.odd else "an even"
            raise ValueError(f"{type(self).__name__.lower()} takes {kind} number of taps, not {len(taps)}")
        self.register_buffer("kernel", binomial(taps), persistent=False)

    def blur(self, x: Tensor, padding: int, stride: int = 1, gain: float = 1.0) -> Tensor:
        """Filter pictures (N, C, H, W) and return every `stride`-th place."""
        size = [(side + 2 * padding - len(self.kernel)) // stride + 1 for side in x.shape[2:]]
        return filtered(x, self.kernel * gain, stride, padding, size, transposed=False)


class Blur(Filter):
    """(N, C, H, W) -> the same size; an odd number of taps."""

    odd = True

    def forward(self, x: Tensor) -> Tensor:
        return self.blur(x, len(self.kernel) // 2)


class Upsample(Filter):
    """(N, C, H, W) -> (N, C, 2H, 2W): zeros between the pixels, then the filter, its gain 4; an even number of taps."""

    odd = False

    def forward(self, x: Tensor) -> Tensor:
        padding = (len(self.kernel) - 1) // 2
        return filtered(x, self.kernel * 4.0, 2, padding, [2 * side for side in x.shape[2:]], transposed=True)


class Downsample(Filter):
    """(N, C, 2H, 2W) -> (N, C, H, W): the filter, then every second pixel; an even number of taps."""

    odd = False

    def forward(self, x: Tensor) -> Tensor:
        return self.blur(x, (len(self.kernel) - 1) // 2, stride=2)


def filtered(x: Tensor, kernel: Tensor, stride: int, padding: int, size: list[int], transposed: bool) -> Tensor:
    """Apply a depthwise convolution with one kernel, or its transpose, with outputs of `size`."""
    if torch.is_grad_enabled() and x.requires_grad:
        return Filtered.apply(x, kernel, stride, padding, size, transposed)
    return depthwise(x, kernel, stride, padding, size, transposed)


def depthwise(x: Tensor, kernel: Tensor, stride: int, padding: int, size: list[int], transposed: bool) -> Tensor:
    channels = x.shape[1]
    weight = kernel.to(x.dtype).expand(channels, 1, -1, -1)
    if not transposed:
        return conv2d(x, weight, stride=stride, padding=padding, groups=channels)
    least = (x.shape[2] - 1) * stride - 2 * padding + len(kernel)
    return conv_transpose2d(x, weight, stride=stride, padding=padding, output_padding=size[0] - least, groups=channels)


class Filtered(torch.autograd.Function):
    """`depthwise` with an explicit derivative, its transpose, which is differentiable in the same way to any order.

    torch's second derivative of a depthwise convolution goes channel by channel and is several times as slow.
    """

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, x: Tensor, kernel: Tensor, stride: int, padding: int, size: list[int], transposed: bool
    ) -> Tensor:
        ctx.save_for_backward(kernel)
        ctx.options = (stride, padding, list(x.shape[2:]), not transposed)
        return depthwise(x, kernel, stride, padding, size, transposed)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        (kernel,) = ctx.saved_tensors
        return filtered(gradient, kernel, *ctx.options), None, None, None, None, None


def double(x: Tensor) -> Tensor:
    """Repeat each pixel four times: (N, C, H, W) -> (N, C, 2H, 2W)."""
    return interpolate(x, scale_factor=2, mode="nearest")


def halve(x: Tensor) -> Tensor:
    """Average 2x2 pixels: (N, C, 2H, 2W) -> (N, C, H, W)."""
    return torch.nn.functional.avg_pool2d(x, 2)
