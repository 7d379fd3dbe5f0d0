"""Latent distributions, from which a generator's input is drawn."""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor

from gan_cli.base.limits import Weight, Width
from gan_cli.base.randomness import generator_for

SIXTEEN = 16  # torch.randn makes numbers in groups of 16 on the CPU


class Latent(Protocol):
    """A distribution of latents of Z = `size` numbers."""

    @property
    def size(self) -> int: ...

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw (count, Z) on the generator's device."""
        ...

    def truncated(self, latent: Tensor, psi: float) -> Tensor:
        """Move latents (N, Z) nearer to the centre of the distribution."""
        ...

    def between(self, a: Tensor, b: Tensor, place: Tensor) -> Tensor:
        """Interpolate (N, Z) between `a` and `b`, at `place` (N, 1) in [0, 1]."""
        ...


def latents(latent: Latent, count: int, *key: object) -> Tensor:
    """Draw (count, Z) on the CPU: row i is a function of `key` and i alone, whatever the count and the run's device.

    `torch.randn` draws its last 16 numbers again where their count is no multiple of 16. On a GPU, the order of its
    numbers depends on the count. So a multiple of 16 rows is drawn on the CPU, and the surplus dropped.
    """
    return latent.draw(-(-count // SIXTEEN) * SIXTEEN, generator_for("cpu", *key))[:count]


class Gaussian:
    """Standard normal latents."""

    def __init__(self, size: Width) -> None:
        self.size = size

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw (count, Z) on the generator's device."""
        return torch.randn(count, self.size, generator=generator, device=generator.device)

    def truncated(self, latent: Tensor, psi: float) -> Tensor:
        """Convert latents (N, Z) to psi times a normal truncated at 2 deviations (Brock et al. 2019, sec. 3.1).

        The paper draws such values anew, which would make other pictures. Here each value keeps its rank: x becomes
        the truncated normal's quantile at the share of the normal below x.
        """
        least = 0.5 * math.erfc(math.sqrt(2))  # below -2
        share = torch.special.ndtr(latent.double()) * (1 - 2 * least) + least
        return (psi * torch.special.ndtri(share)).to(latent.dtype)

    def between(self, a: Tensor, b: Tensor, place: Tensor) -> Tensor:
        """Interpolate (N, Z) on the great circle from `a` to `b`, with linear lengths, at `place` (N, 1) in [0, 1]."""
        length_a, length_b = a.norm(dim=1, keepdim=True), b.norm(dim=1, keepdim=True)
        angle = (a / length_a * b / length_b).sum(1, keepdim=True).clamp(-1, 1).acos()
        sine = angle.sin()
        weights = ((1 - place) * angle).sin() / sine, (place * angle).sin() / sine
        around = weights[0] * a / length_a + weights[1] * b / length_b
        straight = torch.lerp(a / length_a, b / length_b, place)  # for (nearly) equal directions there is no circle
        unit = torch.where(sine.abs() < 1e-4, straight, around)
        return unit * torch.lerp(length_a, length_b, place)


class Uniform:
    """Latents uniform in [-bound, bound]."""

    def __init__(self, size: Width, bound: Weight = 1.0) -> None:
        self.size, self.bound = size, bound

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw (count, Z) on the generator's device."""
        unit = torch.rand(count, self.size, generator=generator, device=generator.device)
        return unit.mul_(2 * self.bound).sub_(self.bound)

    def truncated(self, latent: Tensor, psi: float) -> Tensor:
        """Scale latents (N, Z) to a uniform distribution in psi times the bounds."""
        return psi * latent

    def between(self, a: Tensor, b: Tensor, place: Tensor) -> Tensor:
        """Interpolate (N, Z) on the line from `a` to `b`, at `place` (N, 1) in [0, 1]."""
        return torch.lerp(a, b, place)
