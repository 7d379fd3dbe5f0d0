"""Layers with an equalized learning rate (Karras et al. 2018, sec. 4.1).

Weights are stored as N(0, 1) and scaled at run time, not at initialisation. Every layer then has the same dynamic
range, and Adam has the same effective rate in all of them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, linear


class EqualizedLinear(nn.Module):
    """(N, I) -> (N, O), weights scaled by `gain` / sqrt(I).

    Args:
        gain: sqrt(2) in ProGAN (He et al. 2015), 1 in StyleGAN2, whose activations bring the sqrt(2).
        bias_init: the value of the biases at the start.
        rate: the learning rate relative to other layers (0.01 in a mapping network): weights and biases are stored
            1 / rate times larger and multiplied by `rate` at run time.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        gain: float = 1.0,
        bias: bool = True,
        bias_init: float = 0.0,
        rate: float = 1.0,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.full((outputs,), bias_init / rate)) if bias else None
        self.scale, self.rate = gain * rate / math.sqrt(inputs), rate

    def forward(self, x: Tensor) -> Tensor:
        bias = None if self.bias is None else self.bias * self.rate
        return linear(x, self.weight * self.scale, bias)


class EqualizedConv2d(nn.Module):
    """(N, I, H, W) -> (N, O, H, W) with zero padding, weights scaled by `gain` / sqrt(I k^2)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, gain: float = 1.0, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.scale, self.padding = gain / math.sqrt(inputs * kernel**2), kernel // 2

    def forward(self, x: Tensor) -> Tensor:
        return conv2d(x, self.weight * self.scale, self.bias, padding=self.padding)


class PixelNorm(nn.Module):
    """Each pixel's (or row's) vector of channels scaled to a mean square of 1."""

    def forward(self, x: Tensor) -> Tensor:
        return x * (x.square().mean(1, keepdim=True) + 1e-8).rsqrt()
