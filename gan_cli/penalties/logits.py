"""Penalties on the critic's logits."""

from __future__ import annotations

from torch import Tensor

from gan_cli.base.limits import Count, Weight
from gan_cli.base.types import Match, per_sample
from gan_cli.penalties.gradient import Penalty


class Drift(Penalty):
    """weight D(x)^2 at reals, so that a Wasserstein critic's logits do not drift away (Karras et al. 2018, A.1)."""

    def __init__(self, weight: Weight = 1e-3, every: Count = 1) -> None:
        super().__init__(weight, every)

    def of(self, match: Match) -> Tensor:
        return self.weight * per_sample(match.real_logits.square())
