"""Scores of one folder of pictures against another: no model, no run."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gan_cli.data.folder import Scan, scan
from gan_cli.data.images import Decoder
from gan_cli.errors import UserError
from gan_cli.evaluation.evaluator import carried_out, made_metrics
from gan_cli.evaluation.reference import statistics_of
from gan_cli.evaluation.setting import FEATURES, Plan, made_extractor
from gan_cli.metrics.evidence import Evidence
from gan_cli.metrics.features import Extractor
from gan_cli.metrics.statistics import FeatureStatistics
from gan_cli.progress import counted
from gan_cli.randomness import permutation
from gan_cli.scoring import Score

MOST_AT_ONCE = 2**26  # bytes of the pictures of one batch
MOST_HELD = 2**32
OF_MODELS = {
    "test": "nearest_neighbours",
    "asked": "classification_accuracy",
    "path": "ppl",
    "modes": "modes",
    "pairs": "psnr, ssim",
}


def folder_scores(
    a: Path,
    b: Path,
    metrics: dict[str, dict[str, Any]],
    features: dict[str, Any] | None,
    how: Plan,
    device: torch.device,
    trust: Sequence[str] = (),
    warn: Callable[[str], None] = print,
) -> list[Score]:
    """Scores of the pictures of `a`, with those of `b` as the real ones. Each picture keeps its own size.

    Raises:
        UserError: a metric that needs a model; a folder without pictures; too few of them.
    """
    made = made_metrics(metrics, trust)
    needs = frozenset().union(*(metric.needs for metric in made.values()))
    for need, name in OF_MODELS.items():
        if need in needs:
            raise UserError(f"metric={name} needs a model: say checkpoint=RUN instead of a= and b=")
    extractor = None
    if needs & FEATURES:
        extractor = made_extractor(features, trust)
        extractor.prepare(device)
        if extractor.warning:
            warn(f"warning: {extractor.warning}")
    sides = [Side(name, where, how) for name, where in (("a", a), ("b", b))]
    keep = bool(needs & {"features", "logits"})
    evidence = Evidence()
    if extractor is not None:
        evidence.fake, evidence.real = (side.statistics(extractor, device, keep) for side in sides)
    if "images" in needs:
        evidence.fakes, evidence.reals = (side.stacked() for side in sides)
    about = {"real": sides[1].protocol(), "fake": sides[0].protocol()}
    return [
        Score(full, value, better, None, None, whole)
        for name in made
        for full, value, better, whole in carried_out(
            name, made[name], metrics[name], features, extractor, evidence, about, how.seed
        )
    ]


class Side:
    """The pictures of a folder: at most `how.count`, by a fixed draw."""

    def __init__(self, name: str, where: Path, how: Plan) -> None:
        self.where, self.how = where, how
        found: Scan = scan(where, what=name)
        files = [Path(found.root) / picture.path for picture in found.pictures]
        if len(files) > how.count:
            chosen = permutation(len(files), "reference")[: how.count].sort().values
            files = [files[place] for place in chosen.tolist()]
        self.files, self.decoder = files, Decoder(None, 3)

    def batches(self) -> Iterator[Tensor]:
        """(N, 3, H, W) uint8 of one size each, in the order of the names."""
        waiting: list[Tensor] = []
        for file in counted(self.files, f"looking at {self.where}", len(self.files), "pictures"):
            picture = self.decoder(file)
            full = len(waiting) == self.how.batch_size or (len(waiting) + 1) * picture.numel() > MOST_AT_ONCE
            if waiting and (picture.shape != waiting[0].shape or full):
                yield torch.stack(waiting)
                waiting = []
            waiting.append(picture)
        yield torch.stack(waiting)

    def statistics(self, extractor: Extractor, device: torch.device, keep: bool) -> FeatureStatistics:
        return statistics_of((batch.to(device) for batch in self.batches()), extractor, keep)

    def stacked(self) -> Tensor:
        """All pictures, (N, 3, H, W).

        Raises:
            UserError: they differ in size.
        """
        parts = []
        for part in self.batches():
            parts.append(part)
            if sum(some.numel() for some in parts) > MOST_HELD:
                raise UserError(
                    f"metric=ms_ssim holds all pictures in memory, and those of {str(self.where)!r} are more than"
                    f" {MOST_HELD / 2**30:.0f} GiB: say count= for fewer, or make them smaller"
                )
        if len({part.shape[1:] for part in parts}) > 1:
            raise UserError(f"metric=ms_ssim compares pixels, and the pictures of {str(self.where)!r} differ in size")
        return torch.cat(parts)

    def protocol(self) -> dict[str, Any]:
        state = hashlib.sha256()
        for file in counted(self.files, f"fingerprint of {self.where}", len(self.files), "pictures"):
            state.update(file.read_bytes())
        return {"folder": self.where.name, "count": len(self.files), "digest": state.hexdigest()[:16]}
