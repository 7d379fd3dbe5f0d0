"""Improved precision and recall (Kynkaanniemi et al. 2019): are samples realistic, and do they cover all reals?"""

from __future__ import annotations

from typing import Any

from gan_cli.base.limits import Neighbours
from gan_cli.metrics.evidence import Evidence, Metric
from gan_cli.metrics.gathered import Features
from gan_cli.metrics.neighbours import radii, within


class PrecisionRecall(Metric):
    """Share of samples in the balls of real pictures, and of real pictures in the balls of samples.

    The ball of a point reaches to its k-th nearest neighbour on its side. Precision: samples in the balls of reals.
    Recall: reals in the balls of samples. Both are from 0 to 1, higher is better. One outlier with a large ball can
    raise either; see `density_coverage`.

    Args:
        k: neighbours; 3 as published.
    """

    real = fake = (Features,)

    def __init__(self, k: Neighbours = 3) -> None:
        if k < 1:
            raise ValueError("k must be at least 1")
        self.k, self.least = k, k + 1

    def of(self, evidence: Evidence) -> dict[str, float]:
        real, fake = evidence.real.features, evidence.fake.features
        return {
            "precision": float((within(fake, real, radii(real, self.k)) > 0).double().mean()),
            "recall": float((within(real, fake, radii(fake, self.k)) > 0).double().mean()),
        }

    def protocol(self, evidence: Evidence) -> dict[str, Any]:
        return {"k": self.k}
