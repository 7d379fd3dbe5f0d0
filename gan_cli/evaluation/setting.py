"""The settings of an evaluation, and its real side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gan_cli.base.errors import UserError
from gan_cli.base.run_config import DataConfig
from gan_cli.evaluation.reference import Reference, keep, kept_file, need_splits, restored
from gan_cli.game.build import instantiate
from gan_cli.metrics.evidence import Metric
from gan_cli.metrics.features import Extractor
from gan_cli.metrics.gathered import Gathered, Looked, Part, pass_by


@dataclass(frozen=True)
class Plan:
    """The amounts, the split and the seed of an evaluation.

    Attributes:
        count: number of samples, and at most as many real pictures.
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
        metrics: the metrics by name.
        features: YAML node of the extractor, or None.
        how: counts, split, seed.
        device: where networks work.
        cache: folder for statistics and classifiers; None keeps none.
        trust: packages whose classes may be used.
        warn: called with each message that a user should know.
    """

    def __init__(
        self,
        config: DataConfig,
        metrics: Mapping[str, Metric],
        features: dict[str, Any] | None,
        how: Plan,
        device: torch.device,
        cache: Path | None = None,
        trust: Sequence[str] = (),
        warn: Callable[[str], None] = print,
    ) -> None:
        self.metrics, self.features_node, self.how, self.device = metrics, features, how, device
        self.cache, self.trust, self.warn = cache, trust, warn
        self.split = how.split or "train"
        self.reference = Reference(config, how.batch_size, device, trust)

    def kinds(self, side: str) -> list[type[Part]]:
        """List the classes of parts that the metrics need of a side."""
        return [kind for metric in self.metrics.values() for kind in getattr(metric, side)]

    @cached_property
    def extractor(self) -> Extractor | None:
        """Build and prepare the extractor of features; return None if no metric needs features."""
        if not any(metric.in_features() for metric in self.metrics.values()):
            return None
        extractor = build_extractor(self.features_node, self.trust)
        train = test = None
        if extractor.needs_labels:
            train = self.reference.labelled("train")
            test = self.reference.labelled("test") if self.reference.has_splits else None
        extractor.prepare(self.device, train, test, self.cache)
        if extractor.warning:
            self.warn(f"warning: {extractor.warning}")
        return extractor

    def look(self, samples: Tensor) -> Looked:
        """Compute the features of samples, which are as scores look at them (`Medium.judged`)."""
        assert self.extractor is not None
        return self.extractor(samples.to(self.device))

    @cached_property
    def real_digest(self) -> str:
        return self.reference.digest(self.split, self.how.count)

    @cached_property
    def real(self) -> Gathered:
        return Gathered(self.kinds("real"), lambda parts: self.fill(parts, self.split))

    @cached_property
    def held_out(self) -> Gathered:
        return Gathered(self.kinds("held_out"), lambda parts: self.fill(parts, "test"))

    def ready(self) -> None:
        """Make the features and the reference's sides now, so that missing files show before anything is drawn.

        Raises:
            UserError: weights or data are missing.
        """
        for name, metric in self.metrics.items():
            metric.check_split(self.split)
            if metric.held_out:
                need_splits(self.reference, name)
        self.extractor, self.real.parts, self.held_out.parts  # noqa: B018  (made on first use)

    def fill(self, parts: Sequence[Part], split: str) -> None:
        """Fill parts of a split: known parts from the cache, the others in one pass for each count."""
        waiting: dict[int, list[Part]] = {}
        files = {part: self.file(part, split) for part in parts if part.kept}
        for part in parts:
            if not restored(part, files.get(part)):
                waiting.setdefault(min(self.how.count, part.most or self.how.count), []).append(part)
        for count, group in waiting.items():
            what = "features of real pictures" if any(part.in_features for part in group) else "reading real pictures"
            pass_by(group, self.reference.passing(split, count, self.look, what))
            for part in group:
                keep(part, files.get(part))

    def file(self, part: Part, split: str) -> Path | None:
        if self.cache is None:
            return None
        digest = self.real_digest if split == self.split else self.reference.digest(split, self.how.count)
        depends: dict[str, Any] = {"data": digest, "split": split, "count": self.how.count}
        if part.in_features and self.extractor is not None:
            depends["features"] = self.extractor.protocol()
        return kept_file(self.cache, part, depends)


def build_extractor(node: dict[str, Any] | None, trust: Sequence[str] = ()) -> Extractor:
    """Build the extractor of features from its YAML node.

    Raises:
        UserError: none was chosen, or it can't be built.
    """
    if node is None:
        raise UserError("these metrics compare features: say features=classifier, inception or module")
    extractor: Extractor = instantiate(node, trust, "features")
    return extractor
