"""The evidence that metrics are computed from, and the interface of a metric."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, ClassVar, Literal

from torch import Tensor

from gan_cli.base.errors import UserError
from gan_cli.metrics.gathered import Features, Gathered, Labels, Moments, P, Part, Samples, Sides, SomeSamples
from gan_cli.metrics.statistics import FeatureStatistics

SIDES: tuple[Literal["real", "fake", "held_out"], ...] = ("real", "fake", "held_out")


class Evidence:
    """The statistics, samples and labels of an evaluation.

    Each is gathered from samples on first use, all parts of a side in one pass. An argument of the constructor replaces
    the gathered value.

    Attributes:
        real, fake: statistics of the reference samples and of the model's samples in features.
        test: statistics of the held-out samples in features.
        fakes, reals: the samples themselves, as `Medium.judged` gives them.
        asked: (N,) the classes that `fakes` were asked for; None for a model without labels.
        test_images, test_labels: held-out samples and their classes.
        pairs: scores of each translated picture against its target, by name, (N,) each.
        path: (paths, step, space) -> squared distance in features over the step, by the squared step; see `ppl`.
        num_classes: K, of labelled data.
        modes: centres (M, D) and deviation of toy data's modes.
    """

    def __init__(
        self,
        real: FeatureStatistics | None = None,
        fake: FeatureStatistics | None = None,
        test: FeatureStatistics | None = None,
        fakes: Tensor | None = None,
        reals: Tensor | None = None,
        asked: Tensor | None = None,
        test_images: Tensor | None = None,
        test_labels: Tensor | None = None,
        pairs: dict[str, Tensor] | None = None,
        path: Callable[[int, float, str], Tensor] | None = None,
        num_classes: int = 0,
        modes: tuple[Tensor, float] | None = None,
        sides: Sides | None = None,
    ) -> None:
        self.asked, self.pairs, self.path = asked, pairs or {}, path
        self.num_classes, self.modes, self.sides = num_classes, modes, sides or {}
        arguments = {"real": real, "fake": fake, "test": test, "fakes": fakes, "reals": reals}
        arguments |= {"test_images": test_images, "test_labels": test_labels}
        self.__dict__.update({name: value for name, value in arguments.items() if value is not None})

    def of_real(self, kind: type[P]) -> P:
        """Return a part of the reference samples."""
        return self._side("real")[kind]

    def of_fake(self, kind: type[P]) -> P:
        """Return a part of the model's samples."""
        return self._side("fake")[kind]

    def of_held_out(self, kind: type[P]) -> P:
        """Return a part of the held-out samples, which training never saw."""
        return self._side("held_out")[kind]

    def gather(self, metric: Metric) -> None:
        """Gather all parts that a metric needs, now: the passes over samples show their own progress bars."""
        for side in SIDES:
            for kind in getattr(metric, side):
                self._side(side)[kind]

    def _side(self, name: str) -> Gathered:
        try:
            return self.sides[name]
        except KeyError:
            raise LookupError(f"this evidence has no side {name!r}") from None

    @cached_property
    def real(self) -> FeatureStatistics:
        return self.of_real(Moments).statistics

    @cached_property
    def fake(self) -> FeatureStatistics:
        return self.of_fake(Moments).statistics

    @cached_property
    def test(self) -> FeatureStatistics:
        return self.of_held_out(Features).statistics

    @cached_property
    def fakes(self) -> Tensor:
        return self.of_fake(Samples).samples

    @cached_property
    def reals(self) -> Tensor:
        return self.of_real(SomeSamples).samples

    @cached_property
    def test_images(self) -> Tensor:
        return self.of_held_out(Samples).samples

    @cached_property
    def test_labels(self) -> Tensor:
        return self.of_held_out(Labels).labels


class Metric:
    """A score, or a few scores of one idea.

    Attributes:
        real, fake, held_out: the parts that the metric needs of reference samples, of the model's samples, and of
            samples that training never saw. They may be classes of `gathered` or of the metric's file.
        of_model: whether the metric needs a model or its data, and so can't compare two folders.
        of_latents: whether the metric is for models that draw from noise.
        least: fewest samples on each side.
    """

    real: ClassVar[tuple[type[Part], ...]] = ()
    fake: ClassVar[tuple[type[Part], ...]] = ()
    held_out: ClassVar[tuple[type[Part], ...]] = ()
    of_model: ClassVar[bool] = False
    of_latents: ClassVar[bool] = False
    least: int = 2

    def of(self, evidence: Evidence) -> dict[str, float]:
        """Compute the scores, by name.

        Raises:
            UserError: the evidence is not enough for the score; one sentence.
        """
        raise NotImplementedError

    def protocol(self, evidence: Evidence) -> dict[str, Any]:
        """Return the options that a score depends on, besides features, counts and data."""
        return {}

    def in_features(self) -> bool:
        """Return whether the metric uses the chosen features."""
        return any(kind.in_features for side in SIDES for kind in getattr(self, side))

    def check_split(self, split: str) -> None:
        """Check that the score means something beside real samples of a split.

        Raises:
            UserError: beside real samples of that split the score would mean nothing.
        """

    def of_pair(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Compute scores of each output against its target, (N,) each, in addition to the game's scores.

        Both pictures come as the game makes them.
        """
        return {}


def check_enough(name: str, count: int, least: int, of: str) -> None:
    """Check that a metric has enough samples.

    Raises:
        UserError: there are fewer samples than the metric needs.
    """
    if count < least:
        raise UserError(f"metric={name} needs at least {least:,} {of}, and there are {count:,}")
