"""Points in the plane: mixtures of Gaussians, where mode collapse can be counted."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from annotated_types import Interval
from torch import Tensor

from gan_cli.base.limits import Weight
from gan_cli.base.randomness import generator_for
from gan_cli.base.types import Noise
from gan_cli.data.order import Order

Points = Annotated[int, Interval(ge=1, le=100_000_000)]


class Gaussians:
    """A ring of 8 or a grid of 25 Gaussians; fields `point` (N, 2) and `label` (N,), the mode.

    Args:
        arrangement: "ring": 8 centres on the unit circle (the notebook of Metz et al. 2017: deviation 0.01);
            "grid": 5x5 centres in [-1, 1]^2, 0.5 apart (PacGAN's and VEEGAN's grid scaled down by 4;
            their deviation becomes 0.0125).
        deviation: standard deviation of each mode; None takes the arrangement's default.
        count: the number of points in the data set.
    """

    def __init__(
        self, arrangement: Literal["ring", "grid"] = "ring", deviation: Weight | None = None, count: Points = 100_000
    ) -> None:
        if arrangement not in ("ring", "grid"):
            raise ValueError(f"dataset.arrangement={arrangement!r} is unknown: use ring or grid")
        self.centres = ring(8) if arrangement == "ring" else grid(5)
        self.deviation = deviation if deviation is not None else (0.01 if arrangement == "ring" else 0.0125)
        generator = generator_for("cpu", "gaussians", arrangement)
        self.labels = torch.randint(len(self.centres), (count,), generator=generator)
        noise = torch.randn(count, 2, generator=generator)
        self.points = self.centres[self.labels] + self.deviation * noise
        self.class_names = [f"mode {number}" for number in range(len(self.centres))]
        self.fingerprint = f"{arrangement}-{self.deviation}-{count}"
        self.note = ""

    @property
    def modes(self) -> tuple[Tensor, float]:
        """Return the centres (M, 2) of the modes and their standard deviation."""
        return self.centres, self.deviation

    def __len__(self) -> int:
        return len(self.points)

    def to(self, device: torch.device) -> None:
        self.points, self.labels = self.points.to(device), self.labels.to(device)

    def order(self, seed: int) -> Order:
        return Order(len(self), seed)

    def fetch(self, indices: Tensor, device: torch.device, noise: Noise | None = None) -> dict[str, Tensor]:
        picked = indices.to(self.points.device)
        return {"point": self.points[picked].to(device), "label": self.labels[picked].to(device)}

    def prefetch(self, indices: Tensor) -> None:
        pass


def ring(modes: int) -> Tensor:
    """Return (modes, 2): centres on the unit circle."""
    angle = torch.arange(modes) * (2 * math.pi / modes)
    return torch.stack([angle.cos(), angle.sin()], 1)


def grid(side: int) -> Tensor:
    """Return (side^2, 2): centres on a square lattice in [-1, 1]^2."""
    ticks = torch.linspace(-1, 1, side)
    return torch.cartesian_prod(ticks, ticks)
