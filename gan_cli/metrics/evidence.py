"""What a metric is given, and what it says of itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from torch import Tensor

from gan_cli.base.errors import UserError
from gan_cli.metrics.statistics import FeatureStatistics


@dataclass
class Evidence:
    """What an evaluation has in hand; the parts that some metric `needs` are there, the others are empty.

    Attributes:
        real, fake: what the reference pictures and the model's samples are in features.
        test: the held-out pictures in features.
        fakes, reals: samples themselves, uint8 (N, C, H, W), or points (N, D).
        asked: (N,) the classes that `fakes` were asked for; None for a model without labels.
        test_images, test_labels: held-out pictures and their classes.
        pairs: scores of each translated picture against its target, by name, (N,) each.
        path: (latents' pairs) -> squared distance in features over the step; see `ppl`.
        num_classes: K, of labelled data.
        modes: centres (M, D) and deviation of toy data's modes.
    """

    real: FeatureStatistics = field(default_factory=FeatureStatistics)
    fake: FeatureStatistics = field(default_factory=FeatureStatistics)
    test: FeatureStatistics | None = None
    fakes: Tensor | None = None
    reals: Tensor | None = None
    asked: Tensor | None = None
    test_images: Tensor | None = None
    test_labels: Tensor | None = None
    pairs: dict[str, Tensor] = field(default_factory=dict)
    path: Callable[[int, float, str], Tensor] | None = None
    num_classes: int = 0
    modes: tuple[Tensor, float] | None = None


class Metric:
    """A score, or a few of one idea.

    Attributes:
        needs: parts of the evidence, of "moments", "features", "logits", "test", "images", "asked", "test_images",
            "pairs", "path", "modes".
        least: fewest samples on each side.
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    least: int = 2

    def of(self, evidence: Evidence) -> dict[str, float]:
        """Scores by name.

        Raises:
            UserError: the evidence can't carry the score; one sentence.
        """
        raise NotImplementedError

    def protocol(self, evidence: Evidence) -> dict[str, Any]:
        """The options that a score depends on, besides features, counts and data."""
        return {}


def enough(name: str, count: int, least: int, of: str) -> None:
    """
    Raises:
        UserError: fewer samples than a metric needs.
    """
    if count < least:
        raise UserError(f"metric={name} needs at least {least:,} {of}, and there are {count:,}")
