"""Residual blocks of the ResNet GANs: SNGAN, SAGAN, BigGAN. Norms in generators may have a condition."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, relu
from torch.nn.utils.parametrizations import spectral_norm

from gan_cli.layers.resample import double

Wrap = Callable[[nn.Module], nn.Module]  # changes a layer with weights, as `spectral`, or leaves it, as `plain`


def spectral(layer: nn.Module) -> nn.Module:
    """Divide a layer's weights by their largest singular value, with one power iteration at each use."""
    if layer.weight.is_meta:  # only shapes matter there, and the products would take time
        return layer
    return spectral_norm(layer, n_power_iterations=1)


def plain(layer: nn.Module) -> nn.Module:
    return layer


class ConditionalNorm(nn.Module):
    """Batch norm whose gain is 1 + A c and whose bias is B c, for a condition c (N, S).

    Args:
        size: S; 0: plain batch norm, which learns a gain and a bias.
        wrap: applied to A and B, which have no biases and start at 0 if it is `plain`.
    """

    def __init__(self, channels: int, size: int, wrap: Wrap = plain) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=size == 0)
        self.gain = self.bias = None
        if size:
            gain, bias = nn.Linear(size, channels, bias=False), nn.Linear(size, channels, bias=False)
            if wrap is plain:
                nn.init.zeros_(gain.weight)
                nn.init.zeros_(bias.weight)
            self.gain, self.bias = wrap(gain), wrap(bias)

    def forward(self, x: Tensor, condition: Tensor | None) -> Tensor:
        x = self.norm(x)
        if self.gain is None or self.bias is None:
            return x
        return x * (1 + self.gain(condition))[:, :, None, None] + self.bias(condition)[:, :, None, None]


class UpBlock(nn.Module):
    """(N, I, H, W) -> (N, O, 2H, 2W): norm, ReLU, doubling, 3x3, norm, ReLU, 3x3; beside it a doubled 1x1.

    Args:
        condition: length of the norms' condition; 0: none.
        wrap: `spectral` or `plain`, applied to convolutions and, without `norm_wrap`, to the norms' layers.
    """

    def __init__(
        self, inputs: int, outputs: int, condition: int = 0, wrap: Wrap = plain, norm_wrap: Wrap | None = None
    ) -> None:
        super().__init__()
        self.norm1 = ConditionalNorm(inputs, condition, norm_wrap or wrap)
        self.norm2 = ConditionalNorm(outputs, condition, norm_wrap or wrap)
        self.first = wrap(nn.Conv2d(inputs, outputs, 3, 1, 1))
        self.second = wrap(nn.Conv2d(outputs, outputs, 3, 1, 1))
        self.skip = wrap(nn.Conv2d(inputs, outputs, 1))

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        y = self.first(double(relu(self.norm1(x, condition))))
        y = self.second(relu(self.norm2(y, condition)))
        return y + self.skip(double(x))


class DownBlock(nn.Module):
    """(N, I, H, W) -> (N, O, H/2, W/2): ReLU, 3x3, ReLU, 3x3, means of 2x2; beside it a 1x1 and the same means.

    Args:
        down: whether to halve; if not, the size stays.
        first: whether it is the network's first block, with no ReLU before it and a 1x1 on the halved picture.
        hidden: channels between the two 3x3; None: O.
    """

    def __init__(
        self, inputs: int, outputs: int, down: bool, first: bool = False, hidden: int | None = None, wrap: Wrap = plain
    ) -> None:
        super().__init__()
        hidden = hidden or outputs
        self.down, self.early = down, first
        self.first = wrap(nn.Conv2d(inputs, hidden, 3, 1, 1))
        self.second = wrap(nn.Conv2d(hidden, outputs, 3, 1, 1))
        self.skip = wrap(nn.Conv2d(inputs, outputs, 1)) if down or inputs != outputs else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.halved(self.second(relu(self.first(x if self.early else relu(x)))))
        if self.skip is None:
            return x + y
        return y + (self.skip(self.halved(x)) if self.early else self.halved(self.skip(x)))

    def halved(self, x: Tensor) -> Tensor:
        return avg_pool2d(x, 2) if self.down else x


class SelfAttention(nn.Module):
    """x + gamma * attention(x) over all places (Zhang et al. 2019); gamma starts at 0.

    Queries and keys have an eighth of the channels, values half; keys and values are max-pooled by 2.
    """

    def __init__(self, channels: int, wrap: Wrap = spectral) -> None:
        super().__init__()
        self.query = wrap(nn.Conv2d(channels, max(channels // 8, 1), 1, bias=False))
        self.key = wrap(nn.Conv2d(channels, max(channels // 8, 1), 1, bias=False))
        self.value = wrap(nn.Conv2d(channels, max(channels // 2, 1), 1, bias=False))
        self.out = wrap(nn.Conv2d(max(channels // 2, 1), channels, 1, bias=False))
        self.gamma = nn.Parameter(torch.zeros([]))

    def forward(self, x: Tensor) -> Tensor:
        pool = nn.functional.max_pool2d
        query = self.query(x).flatten(2)
        key, value = pool(self.key(x), 2).flatten(2), pool(self.value(x), 2).flatten(2)
        weights = torch.softmax(query.transpose(1, 2) @ key, 2)  # (N, HW, HW / 4), each row sums to 1
        seen = (value @ weights.transpose(1, 2)).unflatten(2, x.shape[2:])
        return x + self.gamma * self.out(seen)


def xavier_init(network: nn.Module, gain: float = 2**0.5) -> None:
    """Set weights to Xavier uniform, with `gain` in 3x3 and 1 elsewhere, biases to 0 (Miyato et al. 2018, appendix)."""
    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.xavier_uniform_(layer.weight, gain if getattr(layer, "kernel_size", (1, 1)) != (1, 1) else 1.0)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
