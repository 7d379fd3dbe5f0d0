"""The evidence of a model that draws from noise."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from gan_cli.base.errors import UserError
from gan_cli.base.progress import Progress, counted
from gan_cli.base.randomness import AT_ONCE, generator_for, in_blocks, joined
from gan_cli.evaluation.reference import whole
from gan_cli.evaluation.setting import Setting
from gan_cli.media.image import to_pixels
from gan_cli.metrics.evidence import Evidence
from gan_cli.parts.latent import latents
from gan_cli.use.sample import Trained, draw, plan


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
        **reference.as_read([whole(reference.data(setting.split).fetch(torch.tensor([0]), setting.device))[0]]),
    }
    fake: dict[str, Any] = {"count": setting.how.count, "ema": setting.how.ema}
    if setting.how.standing_statistics:
        fake["standing_statistics"] = setting.how.standing_statistics
    return {"real": real, "fake": fake}


def path_of(setting: Setting, trained: Trained) -> Callable[[int, float, str], Tensor]:
    """Squared distances in features over a small step, by the squared step; see `metrics.ppl`."""
    gan, generator, how = trained.gan, trained.generators["generator"], setting.how
    latent, extractor, size = gan.latent, setting.extractor, how.batch_size
    assert latent is not None
    assert extractor is not None

    def lengths(paths: int, step: float, space: str) -> Tensor:
        if space == "w" and not (hasattr(generator, "mapping") and hasattr(generator, "synthesis")):
            raise UserError("metric.ppl.space=w needs a model with a mapping network; say metric.ppl.space=z")
        ends = [latents(latent, paths, how.seed, "path", end).double() for end in ("from", "to")]
        draws = generator_for("cpu", how.seed, "path", "place")
        place = torch.rand(paths, 1, generator=draws, dtype=torch.float64) * (1 - step)
        label = None if gan.num_classes is None else torch.arange(paths) % gan.num_classes
        make = partial(on_path, setting, trained, space)
        here, there = (
            joined(in_blocks(make, *ends, at, label, size=min(size, AT_ONCE), key=(how.seed, "path")), size)
            for at in (place, place + step)
        )  # what a network draws by itself is the same at both places
        found = []
        pairs = zip(here, there, strict=True)
        for pair in counted(pairs, "measuring path lengths", -(-paths // size), "batches"):
            one, other = (normalize(extractor(pictures)[0].double(), dim=1) for pictures in pair)
            found.append((one - other).square().sum(1).cpu() / step**2)
        return torch.cat(found)

    return lengths


@torch.no_grad()
def on_path(
    setting: Setting, trained: Trained, space: str, a: Tensor, b: Tensor, where: Tensor, label: Tensor | None
) -> Tensor:
    """Pictures (N, C, R, R), 0 to 255 and not rounded, at places (N, 1) of the paths from `a` to `b` (N, Z)."""
    assert trained.gan.latent is not None
    label = None if label is None else label.to(setting.device)
    if space == "w":
        generator: Any = trained.generators["generator"]
        w = [generator.mapping(end.float().to(setting.device), label) for end in (a, b)]
        samples = generator.synthesis(torch.lerp(w[0], w[1], where.float().to(setting.device)))
    else:
        latent = trained.gan.latent.between(a, b, where).float().to(setting.device)
        samples = trained.gan.sample(trained.generators, latent, label)
    return (samples.float().clamp(-1, 1) + 1) * 127.5
