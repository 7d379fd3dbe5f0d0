"""Density and coverage (Naeem et al. 2020): precision and recall that one outlier can't raise."""

from __future__ import annotations

from typing import Any

from gan_cli.base.limits import Neighbours
from gan_cli.metrics.evidence import Evidence, Metric
from gan_cli.metrics.gathered import Features
from gan_cli.metrics.neighbours import nearest, radii, within


class DensityCoverage(Metric):
    """Density and coverage of samples in the balls of real pictures.

    Density: the mean number of balls that a sample lies in, divided by k. It is about 1 for equal distributions, and
    higher where samples crowd in the middle. Coverage: the share of real pictures with a sample in their ball, from 0
    to 1.

    Args:
        k: the ball of a real picture reaches to its k-th nearest neighbour; 5 as published.
    """

    real = fake = (Features,)

    def __init__(self, k: Neighbours = 5) -> None:
        if k < 1:
            raise ValueError("k must be at least 1")
        self.k, self.least = k, k + 1

    def of(self, evidence: Evidence) -> dict[str, float]:
        real, fake = evidence.real.features, evidence.fake.features
        radius = radii(real, self.k)
        return {
            "density": float(within(fake, real, radius).double().mean() / self.k),
            "coverage": float((nearest(real, fake) <= radius).double().mean()),
        }

    def protocol(self, evidence: Evidence) -> dict[str, Any]:
        return {"k": self.k}
