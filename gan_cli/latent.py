"""Latent distributions: what a generator's input is drawn from."""

from __future__ import annotations

import torch
from torch import Tensor


class Gaussian:
    """Standard normal latents."""

    def __init__(self, size: int) -> None:
        self.size = size

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """(count, Z) on the generator's device."""
        return torch.randn(count, self.size, generator=generator, device=generator.device)


class Uniform:
    """Latents uniform in [-bound, bound]."""

    def __init__(self, size: int, bound: float = 1.0) -> None:
        self.size, self.bound = size, bound

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """(count, Z) on the generator's device."""
        unit = torch.rand(count, self.size, generator=generator, device=generator.device)
        return unit.mul_(2 * self.bound).sub_(self.bound)
