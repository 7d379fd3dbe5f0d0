"""Inception Score (Salimans et al. 2016): are single samples clearly of a class, and all classes there?"""

from __future__ import annotations

from typing import Annotated, Any

import torch
from annotated_types import Interval
from torch import Tensor

from gan_cli.base.randomness import generator_for
from gan_cli.metrics.evidence import Evidence, Metric
from gan_cli.metrics.gathered import Features


class InceptionScore(Metric):
    """exp of the mean of KL(p(class | sample) || p(class)), from 1 to the number of classes; higher is better.

    It never looks at the real pictures: a model that copies one perfect picture of each class has the best score.

    Args:
        splits: number of parts, over which mean and spread are taken. Samples are shuffled first, as a model may make
            them class by class.
    """

    fake = (Features,)

    def __init__(self, splits: Annotated[int, Interval(ge=1, le=1_000)] = 10) -> None:
        if splits < 1:
            raise ValueError("splits must be at least 1")
        self.splits = splits
        self.least = 2 * splits

    def of(self, evidence: Evidence) -> dict[str, float]:
        logits = evidence.fake.logits
        order = torch.randperm(len(logits), generator=generator_for("cpu", "inception_score"))
        parts = logits[order].double().softmax(1).tensor_split(self.splits)
        values = torch.stack([score_of(part) for part in parts])
        spread = float(values.std(correction=0))
        return {"inception_score": float(values.mean()), "inception_score_spread": spread}

    def protocol(self, evidence: Evidence) -> dict[str, Any]:
        return {"splits": self.splits}


def score_of(probabilities: Tensor) -> Tensor:
    """Compute the score of class probabilities (N, K), a scalar; 0 log 0 is 0."""
    mean = probabilities.mean(0, keepdim=True)
    return torch.exp((torch.xlogy(probabilities, probabilities) - torch.xlogy(probabilities, mean)).sum(1).mean())
