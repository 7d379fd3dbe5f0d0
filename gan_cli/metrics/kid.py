"""Kernel distance: squared maximum mean discrepancy with a cubic kernel (Binkowski et al. 2018, "KID")."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from annotated_types import Ge, Interval
from torch import Tensor

from gan_cli.base.randomness import generator_for
from gan_cli.metrics.evidence import Evidence, Metric
from gan_cli.metrics.gathered import Features


class KernelDistance(Metric):
    """Mean of the unbiased estimate over random subsets; lower is better, 0 on average for equal distributions.

    Unlike the Frechet distance it does not grow as samples get fewer; it may be slightly negative.

    Args:
        subsets: number of subsets.
        subset_size: samples of each side in a subset; all samples if there are fewer.
    """

    real = fake = (Features,)

    def __init__(
        self, subsets: Annotated[int, Interval(ge=1, le=10_000)] = 100, subset_size: Annotated[int, Ge(2)] = 1000
    ) -> None:
        if subsets < 1 or subset_size < 2:
            raise ValueError("subsets must be at least 1 and subset_size at least 2")
        self.subsets, self.subset_size = subsets, subset_size

    def of(self, evidence: Evidence) -> dict[str, float]:
        real, fake = evidence.real.features, evidence.fake.features
        size, discrepancies = self.size(evidence), []
        for number in range(self.draws(evidence)):
            generator = generator_for("cpu", "kid", number)
            subsets = [side[torch.randperm(len(side), generator=generator)[:size]].double() for side in (real, fake)]
            discrepancies.append(squared_discrepancy(*subsets))
        values = torch.stack(discrepancies)
        return {"kid": float(values.mean()), "kid_spread": float(values.std(correction=0))}

    def protocol(self, evidence: Evidence) -> dict[str, Any]:
        return {"subsets": self.draws(evidence), "subset_size": self.size(evidence)}

    def draws(self, evidence: Evidence) -> int:
        """Return the number of subsets: 1 if a subset has all samples, since any other would be the same."""
        both = {evidence.real.count, evidence.fake.count}
        return 1 if both == {self.size(evidence)} else self.subsets

    def size(self, evidence: Evidence) -> int:
        return min(self.subset_size, evidence.real.count, evidence.fake.count)


def squared_discrepancy(a: Tensor, b: Tensor) -> Tensor:
    """Compute the unbiased MMD^2 of (N, F) and (M, F) with the kernel (x.y / F + 1)^3, a scalar."""
    n, m = len(a), len(b)
    within_a, within_b, cross = kernel(a, a), kernel(b, b), kernel(a, b)
    within = (within_a.sum() - within_a.trace()) / (n * (n - 1)) + (within_b.sum() - within_b.trace()) / (m * (m - 1))
    return within - 2 * cross.mean()


def kernel(a: Tensor, b: Tensor) -> Tensor:
    return (a @ b.T / a.shape[1] + 1) ** 3
