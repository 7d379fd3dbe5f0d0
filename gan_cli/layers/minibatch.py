"""Layers by which a critic sees a batch at once, so that it notices a generator with little variety.

Reals and fakes are judged in separate batches, since the statistics of a mixed batch would depend on its mixture.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class MinibatchStddev(nn.Module):
    """(N, C, H, W) -> (N, C + channels, H, W): the mean deviation within groups as constant maps (Karras et al. 2018).

    Args:
        group: samples that are compared with each other; reduced to a divisor of N.
        channels: maps; each is the mean over an equal share of the C channels.
    """

    def __init__(self, group: int = 4, channels: int = 1) -> None:
        super().__init__()
        self.group, self.channels = group, channels

    def forward(self, x: Tensor) -> Tensor:
        count, width, height, breadth = x.shape
        group = next(size for size in range(min(self.group, count), 0, -1) if count % size == 0)
        parts = x.float().reshape(group, -1, self.channels, width // self.channels, height, breadth)
        deviation = (parts - parts.mean(0)).square().mean(0).add(1e-8).sqrt()  # the root of 0 has no finite derivative
        statistic = deviation.mean([2, 3, 4]).to(x.dtype)  # (N / group, channels)
        maps = statistic.repeat(group, 1)[:, :, None, None].expand(-1, -1, height, breadth)
        return torch.cat([x, maps], 1)


class MinibatchDiscrimination(nn.Module):
    """(N, A) -> (N, A + B): how close each sample is to the others of its batch (Salimans et al. 2016, sec. 3.2).

    o_b = sum over the others j of exp(-|M_i,b - M_j,b|_1), M = f(x) T with T of shape (A, B, C); A B C parameters.

    Args:
        inputs: A.
        kernels: B, features added.
        dimensions: C, of each kernel.
    """

    def __init__(self, inputs: int, kernels: int = 100, dimensions: int = 5) -> None:
        super().__init__()
        self.tensor = nn.Parameter(torch.randn(inputs, kernels, dimensions) * 0.05)

    def forward(self, x: Tensor) -> Tensor:
        seen = torch.einsum("na,abc->nbc", x, self.tensor)
        distance = (seen[:, None] - seen[None]).abs().sum(3)  # (N, N, B)
        return torch.cat([x, distance.neg().exp().sum(1) - 1], 1)  # without itself
