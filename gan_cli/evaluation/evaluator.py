"""Scores of a trained model, each with the protocol that made it.

Works from a notebook: `Evaluator(config, metrics, features).scores(trained)`. Training uses the same code, on a copy of
the averaged weights. So both give the same numbers, and training is not touched.
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
from gan_cli.metrics.evidence import Evidence, Metric, check_enough
from gan_cli.metrics.features import Extractor
from gan_cli.use.load import Trained


class Evaluator:
    """A source of scores for models of one data set; the real side is made once, on first use.

    Args:
        config: the data set that is the reference.
        metrics: YAML nodes by name, with their `requires` and `provides`.
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
        self.metrics = build_metrics(metrics, trust)
        self.setting = Setting(config, self.metrics, features, how, device, cache, trust, warn)

    def scores(self, trained: Trained, checkpoint: str | None = None) -> list[Score]:
        """Compute all scores of a model.

        Args:
            trained: the model.
            checkpoint: the file of its weights, for the record.

        Raises:
            UserError: the model or its data lacks something that a metric needs; samples are not finite.
        """
        results: list[Score] = []
        setting = self.setting
        for suffix, evidence, about in self.sides(trained):
            for name, metric in self.metrics.items():
                results += [
                    Score(full + suffix, value, better, trained.images, checkpoint, record)
                    for full, value, better, record in metric_scores(
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
        return results

    def ready(self, game: Game) -> None:
        """Make the real side and the features now, so that missing or too little data stops a run before it begins.

        Raises:
            UserError: weights or data are missing, or there are fewer pictures than a metric needs.
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
        """Yield the suffix of scores, the evidence and the protocol of each comparison.

        There is one comparison, or one for each direction of a model that translates both ways.
        """
        if trained.game.compared:
            evidence, about = translated(self.setting, trained)
            yield from ((suffix, one, about) for suffix, one in evidence.items())
        else:
            yield "", drawn(self.setting, trained), protocol(self.setting)


def build_metrics(nodes: Mapping[str, Node], trust: Sequence[str]) -> dict[str, Metric]:
    """Build metrics from their YAML nodes, by name."""
    return {name: instantiate(node, trust, f"metric.{name}") for name, node in nodes.items()}


def metric_scores(
    name: str,
    metric: Metric,
    node: dict[str, Any],
    features: dict[str, Any] | None,
    extractor: Extractor | None,
    evidence: Evidence,
    about: dict[str, Any],
    seed: int,
) -> Iterator[tuple[str, float, str | None, dict[str, Any]]]:
    """Compute the scores of a metric; yield full name, value, better end and protocol of each.

    Raises:
        UserError: there are too few samples, or a score is not finite.
    """
    check_counts(name, metric, about["real"]["count"], about["fake"]["count"])
    evidence.gather(metric)
    record: dict[str, Any] = {"metric": {"name": name, **metric.protocol(evidence)}}
    if metric.in_features() and extractor is not None:
        record["features"] = extractor.protocol()
    record = {**record, **about, "seed": seed, "versions": versions()}
    with Progress(f"computing {name}"):
        values = metric.of(evidence)
    for score, value in values.items():
        full = full_name(score, node, features)
        if not math.isfinite(value):
            raise UserError(f"{full} came out as {value}: these pictures can't be compared so")
        yield full, value, node["provides"]["scores"].get(score), record


def check_counts(name: str, metric: Metric, real: int, fake: int) -> None:
    """Check that both sides have enough samples for a metric.

    Raises:
        UserError: a side is smaller than the metric needs.
    """
    if metric.real:
        check_enough(name, real, metric.least, "real pictures")
    if metric.fake:
        check_enough(name, fake, metric.least, "pictures to judge (count=)")
