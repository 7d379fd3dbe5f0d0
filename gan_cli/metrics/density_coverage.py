"""Density and coverage (Naeem et al. 2020): precision and recall that one outlier can't lift."""

from __future__ import annotations

from typing import Any

from gan_cli.base.limits import Neighbours
from gan_cli.metrics.evidence import Evidence, Metric
from gan_cli.metrics.gathered import Features
from gan_cli.metrics.neighbours import nearest, radii, within


class DensityCoverage(Metric):
    """Density: in how many balls of reals a sample lies, on average, over k; about 1 for equal distributions, and
    above it where samples crowd in the middle. Coverage: share of the reals with a sample in their ball, from 0 to 1.

    Args:
        k: neighbours of a real that its ball reaches to; 5 as published.
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
