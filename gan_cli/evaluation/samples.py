"""The evidence of a model that draws from noise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from gan_cli.data.medium import to_pixels
from gan_cli.errors import UserError
from gan_cli.evaluation.setting import Setting
from gan_cli.metrics.evidence import Evidence
from gan_cli.progress import Progress, counted
from gan_cli.randomness import generator_for, seed_everything
from gan_cli.sample import Trained, draw, plan


def drawn(setting: Setting, trained: Trained) -> Evidence:
    """Samples of a model, beside the real pictures.

    Raises:
        UserError: samples that are NaN or infinite.
    """
    evidence, how = setting.evidence(), setting.how
    latent, label = plan(trained, how.count, how.seed, None)
    parts = []
    with Progress("making samples to judge", how.count, "samples") as step:
        for samples in draw(trained, latent, label, how.batch_size):
            if not samples.isfinite().all():
                raise UserError(f"the samples of {trained.path} are NaN or infinite: there is nothing to compare")
            pixels = to_pixels(samples) if samples.dim() == 4 else samples
            if setting.extractor is not None:
                evidence.fake.add(*setting.extractor(pixels.to(setting.device)))
            if "images" in setting.needs:
                parts.append(pixels)
            step(len(samples))
    evidence.fakes = torch.cat(parts) if parts else None
    evidence.asked, evidence.num_classes = label, trained.gan.num_classes or 0
    if "path" in setting.needs:
        evidence.path = path_of(setting, trained)
    return evidence


def protocol(setting: Setting) -> dict[str, Any]:
    """What all scores of such a model depend on."""
    reference = setting.reference
    real = {
        "dataset": reference.name,
        "split": setting.split if reference.has_splits else "all",
        "count": len(reference.rows(setting.split, setting.how.count)),
        "digest": setting.real_digest,
    }
    fake: dict[str, Any] = {"count": setting.how.count, "ema": setting.how.ema}
    if setting.how.standing_statistics:
        fake["standing_statistics"] = setting.how.standing_statistics
    return {"real": real, "fake": fake}


def path_of(setting: Setting, trained: Trained) -> Callable[[int, float, str], Tensor]:
    """Squared distances in features over a small step, by the squared step; see `metrics.ppl`."""
    gan, generator, how = trained.gan, trained.generators["generator"], setting.how
    assert gan.latent is not None

    def lengths(paths: int, step: float, space: str) -> Tensor:
        if space == "w" and not (hasattr(generator, "mapping") and hasattr(generator, "synthesis")):
            raise UserError("metric.ppl.space=w needs a model with a mapping network; say metric.ppl.space=z")
        draws = generator_for("cpu", how.seed, "path")
        a, b = (gan.latent.draw(paths, draws).double() for _ in range(2))  # type: ignore[union-attr]
        place = torch.rand(paths, 1, generator=draws, dtype=torch.float64) * (1 - step)
        label = None if gan.num_classes is None else torch.arange(paths) % gan.num_classes
        found = []
        batches = torch.arange(paths).split(how.batch_size)
        for rows in counted(batches, "measuring path lengths", len(batches), "batches"):
            some = None if label is None else label[rows].to(setting.device)
            features = []
            for where in (place[rows], place[rows] + step):
                seed_everything(how.seed, "path", int(rows[0]))  # in-network noise: the same at both places
                features.append(on_path(setting, trained, (a[rows], b[rows]), where, some, space))
            found.append((features[0] - features[1]).square().sum(1).cpu() / step**2)
        return torch.cat(found)

    return lengths


@torch.no_grad()
def on_path(
    setting: Setting,
    trained: Trained,
    ends: tuple[Tensor, Tensor],
    where: Tensor,
    label: Tensor | None,
    space: str,
) -> Tensor:
    """Features of unit length, (N, F) float64, of the pictures at places (N, 1) of some paths."""
    assert trained.gan.latent is not None
    assert setting.extractor is not None
    if space == "w":
        generator: Any = trained.generators["generator"]
        w = [generator.mapping(end.float().to(setting.device), label) for end in ends]
        samples = generator.synthesis(torch.lerp(w[0], w[1], where.float().to(setting.device)))
    else:
        latent = trained.gan.latent.between(*ends, where).float().to(setting.device)
        samples = trained.gan.sample(trained.generators, latent, label)
    features, _ = setting.extractor((samples.float().clamp(-1, 1) + 1) * 127.5)
    return normalize(features.double(), dim=1)
