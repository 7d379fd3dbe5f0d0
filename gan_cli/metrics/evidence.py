"""What a metric is given, and what it says of itself."""

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
    """What an evaluation has in hand. Whatever is gathered of samples is made on first use, all parts of a side in one
    pass; what is given here stands where it would.

    Attributes:
        real, fake: what the reference samples and the model's samples are in features.
        test: the held-out samples in features.
        fakes, reals: samples themselves, as `Medium.judged` gives them.
        asked: (N,) the classes that `fakes` were asked for; None for a model without labels.
        test_images, test_labels: held-out samples and their classes.
        pairs: scores of each translated picture against its target, by name, (N,) each.
        path: (paths, step, space) -> squared distance in features over the step; see `ppl`.
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
        given = {"real": real, "fake": fake, "test": test, "fakes": fakes, "reals": reals}
        given |= {"test_images": test_images, "test_labels": test_labels}
        self.__dict__.update({name: value for name, value in given.items() if value is not None})

    def of_real(self, kind: type[P]) -> P:
        """A part of the reference's samples."""
        return self._side("real")[kind]

    def of_fake(self, kind: type[P]) -> P:
        """A part of the model's samples."""
        return self._side("fake")[kind]

    def of_held_out(self, kind: type[P]) -> P:
        """A part of the samples that training never saw."""
        return self._side("held_out")[kind]

    def gather(self, metric: Metric) -> None:
        """All that a metric needs of samples, now: passes over them have bars of their own."""
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
    """A score, or a few of one idea.

    Attributes:
        real, fake, held_out: the parts that it needs of reference samples, of the model's, and of those that training
            never saw. A class that stands beside the metric is as good as one of `gathered`.
        of_model: it asks a model or its data for more than samples, so it can't be of two folders.
        of_latents: it is for models that draw from noise.
        least: fewest samples on each side.
    """

    real: ClassVar[tuple[type[Part], ...]] = ()
    fake: ClassVar[tuple[type[Part], ...]] = ()
    held_out: ClassVar[tuple[type[Part], ...]] = ()
    of_model: ClassVar[bool] = False
    of_latents: ClassVar[bool] = False
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

    def in_features(self) -> bool:
        """Whether it goes by the chosen features."""
        return any(kind.in_features for side in SIDES for kind in getattr(self, side))

    def check_split(self, split: str) -> None:
        """
        Raises:
            UserError: beside real samples of that split the score would mean nothing.
        """

    def of_pair(self, made: Tensor, wanted: Tensor) -> dict[str, Tensor]:
        """Scores of each output against its target, (N,) each, besides the game's own; both as the game has them."""
        return {}


def enough(name: str, count: int, least: int, of: str) -> None:
    """
    Raises:
        UserError: fewer samples than a metric needs.
    """
    if count < least:
        raise UserError(f"metric={name} needs at least {least:,} {of}, and there are {count:,}")
