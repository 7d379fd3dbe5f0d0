"""What an evaluation goes by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gan_cli.base.errors import UserError
from gan_cli.base.run_config import DataConfig
from gan_cli.evaluation.reference import Reference, kept_statistics, need_splits, statistics_of
from gan_cli.game.build import instantiate
from gan_cli.metrics.evidence import Evidence
from gan_cli.metrics.features import Extractor
from gan_cli.metrics.statistics import FeatureStatistics

MOST_REALS = 2_000  # real pictures that are held themselves, for the metrics that look at pixels
FEATURES = frozenset({"moments", "features", "logits", "test", "path"})  # needs that ask an extractor


@dataclass(frozen=True)
class Plan:
    """How much is compared with what.

    Attributes:
        count: samples, and at most so many real pictures.
        split: of the data set; None: "train", or for models that are given pictures "test".
        seed: of the latents.
        batch_size: pictures at a time.
        ema: whether the averaged weights are scored; goes into the protocol.
        standing_statistics: passes over which batch norms were measured anew; goes into the protocol where it is not 0.
        white_level: of folders' 16-bit pictures (`Decoder`); a run's data set has its own.
    """

    count: int = 10_000
    split: str | None = None
    seed: int = 0
    batch_size: int = 100
    ema: bool = True
    standing_statistics: int = 0
    white_level: int | None = None


class Setting:
    """The real side and the features, each made once, on first use.

    Args:
        config: the data set that is the reference.
        needs: parts of the evidence that the metrics ask for.
        features: YAML node of the extractor, or None.
        how: counts, split, seed.
        device: where networks work.
        cache: folder for statistics and classifiers; None keeps none.
        trust: packages whose classes may be used.
        warn: told what a user should know.
    """

    def __init__(
        self,
        config: DataConfig,
        needs: frozenset[str],
        features: dict[str, Any] | None,
        how: Plan,
        device: torch.device,
        cache: Path | None = None,
        trust: Sequence[str] = (),
        warn: Callable[[str], None] = print,
    ) -> None:
        self.needs, self.features_node, self.how, self.device = needs, features, how, device
        self.cache, self.trust, self.warn = cache, trust, warn
        self.split = how.split or "train"
        self.pair_scorers: list[Callable[[Tensor, Tensor], dict[str, Tensor]]] = []  # besides the game's own
        self.reference = Reference(config, how.batch_size, device, trust)

    @property
    def keeps(self) -> bool:
        """Whether features themselves are needed, not their moments alone."""
        return bool(self.needs & {"features", "logits", "test"})

    @cached_property
    def extractor(self) -> Extractor | None:
        """The features' network, ready; None where no metric asks for features."""
        if not self.needs & FEATURES:
            return None
        made = made_extractor(self.features_node, self.trust)
        train = test = None
        if made.needs_labels:
            train = self.reference.labelled("train")
            test = self.reference.labelled("test") if self.reference.has_splits else None
        made.prepare(self.device, train, test, self.cache)
        if made.warning:
            self.warn(f"warning: {made.warning}")
        return made

    @cached_property
    def real_digest(self) -> str:
        return self.reference.digest(self.split, self.how.count)

    def evidence(self) -> Evidence:
        """With the reals' part, as far as some metric needs it; the fakes' statistics are empty."""
        evidence = Evidence(fake=FeatureStatistics(self.keeps))
        if self.needs & {"moments", "features"}:
            evidence.real = self.real_statistics
        if "test" in self.needs:
            evidence.test = self.test_statistics
        if "images" in self.needs:
            evidence.reals = self.reals
        if "test_images" in self.needs:
            need_splits(self.reference, "classification_accuracy")
            evidence.test_images = self.reference.samples("test", self.how.count)
            evidence.test_labels = self.reference.labels("test", self.how.count)
        evidence.modes = getattr(self.reference.data(self.split), "modes", None)
        return evidence

    @cached_property
    def real_statistics(self) -> FeatureStatistics:
        return self.statistics(self.split, self.real_digest)

    @cached_property
    def test_statistics(self) -> FeatureStatistics:
        need_splits(self.reference, "nearest_neighbours")
        if self.split != "train":
            raise UserError("metric=nearest_neighbours looks for copies of training pictures: say split=train")
        return self.statistics("test", self.reference.digest("test", self.how.count))

    @cached_property
    def reals(self) -> Tensor:
        return self.reference.samples(self.split, min(self.how.count, MOST_REALS))

    def statistics(self, split: str, digest: str) -> FeatureStatistics:
        """What a split is in features; from the cache where it is known."""
        extractor = self.extractor
        assert extractor is not None
        key = {"data": digest, "split": split, "count": self.how.count, "features": extractor.protocol()}

        def make() -> FeatureStatistics:
            reference = self.reference
            batches = reference.batches(split, self.how.count, "features of real pictures")
            judged = (reference.medium.judged(reference.whole(fields)).to(self.device) for fields in batches)
            return statistics_of(judged, extractor, self.keeps)

        return kept_statistics(key, self.cache, make, self.keeps)


def made_extractor(node: dict[str, Any] | None, trust: Sequence[str] = ()) -> Extractor:
    """
    Raises:
        UserError: none was chosen, or it can't be built.
    """
    if node is None:
        raise UserError("these metrics compare features: say features=classifier, inception or module")
    made: Extractor = instantiate(node, trust, "features")
    return made
