"""Modes of toy data that a model covers (Metz et al. 2017; Lin et al. 2018)."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from annotated_types import Interval

from gan_cli.base.errors import UserError
from gan_cli.metrics.evidence import Evidence, Metric
from gan_cli.metrics.gathered import Samples
from gan_cli.metrics.neighbours import distances


class Modes(Metric):
    """The number of modes that the points cover, and the share of points near a mode.

    A mode counts if at least `least_share` of an equal share of the points lies within 3 deviations of it.
    `high_quality_share` is the share of all points that are so near to any mode.

    Args:
        least_share: of count / modes; 0.064 with 2,500 points on 8 modes is 20 points, as published.
    """

    fake = (Samples,)
    of_model = True

    def __init__(self, least_share: Annotated[float, Interval(gt=0, le=1)] = 0.064) -> None:
        if not 0 < least_share <= 1:
            raise ValueError("least_share must be above 0 and at most 1")
        self.least_share = least_share

    def of(self, evidence: Evidence) -> dict[str, float]:
        if evidence.modes is None:
            raise UserError("metric=modes needs data of known modes: dataset=gaussians has them")
        centres, deviation = evidence.modes
        distance, place = distances(evidence.fakes, centres).min(1)
        good = distance <= 3 * deviation
        counts = torch.bincount(place[good], minlength=len(centres))
        least = self.least_share * len(evidence.fakes) / len(centres)
        return {"modes": float((counts >= least).sum()), "high_quality_share": float(good.double().mean())}

    def protocol(self, evidence: Evidence) -> dict[str, Any]:
        return {"least_share": self.least_share}
