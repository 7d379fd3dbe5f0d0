"""The end of a critic: from features to its answer, with or without labels."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn.functional import one_hot

from gan_cli.base.types import CriticOutput

Conditional = Literal["none", "projection", "auxiliary"]


class Head(nn.Module):
    """Features (N, F), label (N,) or None -> logits (N,), or `CriticOutput` with a classifier.

    Plain: a logit. Projection (Miyato and Koyama 2018): the inner product of a class vector with the features is added
    to the logit; if the answer is a vector itself, the inner product with that is the logit. Auxiliary (Odena et al.
    2017): the classes' logits are returned beside the logit.

    Args:
        answer: features -> (N, 1), or (N, A) for `embed` to be projected on.
        embed: label (N,), or one-hot (N, K) with `num_classes` -> (N, F), or (N, A); None: no projection.
        classes: features -> (N, K); None: no classifier.
        num_classes: K, for an `embed` that takes one-hot labels.
        projects_on: the factor that the class vector is multiplied with.
        divisor: divisor of the inner product.
    """

    def __init__(
        self,
        answer: nn.Module,
        embed: nn.Module | None = None,
        classes: nn.Module | None = None,
        num_classes: int | None = None,
        projects_on: Literal["features", "answer"] = "features",
        divisor: float = 1.0,
    ) -> None:
        super().__init__()
        self.answer, self.embed, self.classes = answer, embed, classes
        self.num_classes, self.projects_on, self.divisor = num_classes, projects_on, divisor

    def forward(self, features: Tensor, label: Tensor | None = None) -> Tensor | CriticOutput:
        answer = self.answer(features)
        if self.classes is not None:
            return CriticOutput(answer.squeeze(1), self.classes(features))
        if self.embed is None or label is None:
            return answer.squeeze(1)
        vector = self.embed(label if self.num_classes is None else one_hot(label, self.num_classes).to(answer.dtype))
        if self.projects_on == "answer":
            return (answer * vector).sum(1) / self.divisor
        return answer.squeeze(1) + (vector * features).sum(1) / self.divisor
