"""Scores of a trained model, each with the protocol that made it.

Works from a notebook: `Evaluator(config, metrics, features).scores(trained)`. Training scores by the same lines, on a
copy of the averaged weights, so that both give the same numbers and training is not touched.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from gan_cli.base.errors import UserError
from gan_cli.base.machine import versions
from gan_cli.base.progress import Progress
from gan_cli.base.run_config import DataConfig, Node
from gan_cli.base.scoring import Score, full_name
from gan_cli.evaluation.drawn import drawn, protocol
from gan_cli.evaluation.setting import Plan, Setting
from gan_cli.evaluation.translated import chosen_rows, translated
from gan_cli.game.build import instantiate
from gan_cli.game.game import Game
from gan_cli.metrics.evidence import Evidence, Metric, enough
from gan_cli.metrics.features import Extractor
from gan_cli.use.load import Trained


class Evaluator:
    """Scores models of one data set; the real side is made once, on first use.

    Args:
        config: the data set that is the reference.
        metrics: YAML nodes by name, with their `requires` and `provides`.
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
        metrics: Mapping[str, Node],
        features: dict[str, Any] | None = None,
        how: Plan | None = None,
        device: torch.device | None = None,
        cache: Path | None = None,
        trust: Sequence[str] = (),
        warn: Callable[[str], None] = print,
    ) -> None:
        how, device = how or Plan(), device or torch.device("cpu")
        self.nodes, self.features, self.trust = metrics, features, trust
        self.metrics = made_metrics(metrics, trust)
        self.setting = Setting(config, self.metrics, features, how, device, cache, trust, warn)

    def scores(self, trained: Trained, checkpoint: str | None = None) -> list[Score]:
        """All scores of a model.

        Args:
            trained: the model.
            checkpoint: what file its weights are in, for the record.

        Raises:
            UserError: the model or its data can't carry a metric; samples that are not finite.
        """
        made: list[Score] = []
        setting = self.setting
        for suffix, evidence, about in self.sides(trained):
            for name, metric in self.metrics.items():
                made += [
                    Score(full + suffix, value, better, trained.images, checkpoint, whole)
                    for full, value, better, whole in carried_out(
                        name,
                        metric,
                        self.nodes[name],
                        self.features,
                        setting.extractor,
                        evidence,
                        about,
                        setting.how.seed,
                    )
                ]
        return made

    def ready(self, game: Game) -> None:
        """Make the real side and the features now: what is missing or too little must stop a run before it begins.

        Raises:
            UserError: weights or data that are not there; fewer pictures than a metric needs.
        """
        setting = self.setting
        if game.compared:
            setting.extractor  # noqa: B018  (made on first use)
            real = fake = len(chosen_rows(setting.reference.data(setting.how.split or "test"), setting.how.count))
        else:
            setting.ready()
            real, fake = len(setting.reference.rows(setting.split, setting.how.count)), setting.how.count
        for name, metric in self.metrics.items():
            check_counts(name, metric, real, fake)

    def sides(self, trained: Trained) -> Iterator[tuple[str, Evidence, dict[str, Any]]]:
        """What is compared: one pair of sides, or for a model that goes both ways one each way."""
        if trained.game.compared:
            evidence, about = translated(self.setting, trained)
            yield from ((suffix, one, about) for suffix, one in evidence.items())
        else:
            yield "", drawn(self.setting, trained), protocol(self.setting)


def made_metrics(nodes: Mapping[str, Node], trust: Sequence[str]) -> dict[str, Metric]:
    """From their YAML, by name."""
    return {name: instantiate(node, trust, f"metric.{name}") for name, node in nodes.items()}


def carried_out(
    name: str,
    metric: Metric,
    node: dict[str, Any],
    features: dict[str, Any] | None,
    extractor: Extractor | None,
    evidence: Evidence,
    about: dict[str, Any],
    seed: int,
) -> Iterator[tuple[str, float, str | None, dict[str, Any]]]:
    """A metric's scores: full name, value, better end, protocol.

    Raises:
        UserError: too few samples; a score that is not finite.
    """
    check_counts(name, metric, about["real"]["count"], about["fake"]["count"])
    evidence.gather(metric)
    whole: dict[str, Any] = {"metric": {"name": name, **metric.protocol(evidence)}}
    if metric.in_features() and extractor is not None:
        whole["features"] = extractor.protocol()
    whole = {**whole, **about, "seed": seed, "versions": versions()}
    with Progress(f"computing {name}"):
        found = metric.of(evidence)
    for score, value in found.items():
        full = full_name(score, node, features)
        if not math.isfinite(value):
            raise UserError(f"{full} came out as {value}: these pictures can't be compared so")
        yield full, value, node["provides"]["scores"].get(score), whole


def check_counts(name: str, metric: Metric, real: int, fake: int) -> None:
    """
    Raises:
        UserError: a side is smaller than a metric needs.
    """
    if metric.real:
        enough(name, real, metric.least, "real pictures")
    if metric.fake:
        enough(name, fake, metric.least, "pictures to judge (count=)")
