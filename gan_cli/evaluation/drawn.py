"""The evidence of a model that draws from noise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from gan_cli.base.errors import UserError
from gan_cli.base.progress import Progress, counted
from gan_cli.base.randomness import AT_ONCE, generator_for, in_blocks, joined
from gan_cli.evaluation.setting import Setting
from gan_cli.game.game import Given
from gan_cli.game.space import Space
from gan_cli.metrics.evidence import Evidence
from gan_cli.metrics.gathered import Gathered, Passing, pass_by
from gan_cli.use.load import Trained
from gan_cli.use.sample import draw


def drawn(setting: Setting, trained: Trained) -> Evidence:
    """Return the evidence of a model's samples, beside the real ones.

    Raises:
        UserError: the data set lacks something that a part needs; on first use, samples that are NaN or infinite.
    """
    setting.ready()
    given = trained.given(setting.how.count, setting.how.seed)
    fake = Gathered(setting.kinds("fake"), lambda parts: pass_by(parts, passing(setting, trained, given)))
    return Evidence(
        asked=given.get("label"),
        num_classes=trained.game.num_classes or 0,
        modes=getattr(setting.reference.data(setting.split), "modes", None),
        path=path_of(setting, trained),
        sides={"real": setting.real, "fake": fake, "held_out": setting.held_out},
    )


def passing(setting: Setting, trained: Trained, given: Given) -> Iterator[Passing]:
    """Yield samples in batches, as scores look at them (`Medium.judged`)."""
    count, label, done = setting.how.count, given.get("label"), 0
    with Progress("making samples to judge", count, "samples") as step:
        for samples in draw(trained, given, setting.how.batch_size):
            if not samples.isfinite().all():
                raise UserError(f"the samples of {trained.path} are NaN or infinite: there is nothing to compare")
            asked = None if label is None else label[done : done + len(samples)]
            yield Passing(setting.reference.medium.judged(samples), setting.look, asked)
            done += len(samples)
            step(len(samples))


def protocol(setting: Setting) -> dict[str, Any]:
    """Return the entries that the protocols of all scores share, for a model that draws from noise."""
    reference = setting.reference
    first = reference.data(setting.split).fetch(torch.tensor([0]), setting.device)
    real = {
        "dataset": reference.name,
        "split": setting.split if reference.has_splits else "all",
        "count": len(reference.rows(setting.split, setting.how.count)),
        "digest": setting.real_digest,
        **reference.protocol_entries([reference.plain_samples(first)[0]]),
    }
    fake: dict[str, Any] = {"count": setting.how.count, "ema": setting.how.ema}
    if setting.how.standing_statistics:
        fake["standing_statistics"] = setting.how.standing_statistics
    return {"real": real, "fake": fake}


def path_of(setting: Setting, trained: Trained) -> Callable[[int, float, str], Tensor]:
    """Return a function for squared distances in features over a small step, by the squared step; see `metrics.ppl`."""
    how, extractor = setting.how, setting.extractor
    size = how.batch_size

    def lengths(paths: int, step: float, name: str) -> Tensor:
        assert extractor is not None
        spaces = trained.game.spaces(trained.networks)
        if name not in spaces:
            raise UserError(f"metric.ppl.space={name} needs a model with a mapping network; say metric.ppl.space=z")
        ends = [trained.given(paths, how.seed, None, f"path\x1f{end}") for end in ("from", "to")]
        draws = generator_for("cpu", how.seed, "path", "place")
        place = torch.rand(paths, 1, generator=draws, dtype=torch.float64) * (1 - step)
        latents, label = [end["latent"].double() for end in ends], ends[0].get("label")
        make = partial(on_path, setting, spaces[name])
        starts, stops = (
            joined(in_blocks(make, *latents, at, label, size=min(size, AT_ONCE), key=(how.seed, "path")), size)
            for at in (place, place + step)
        )  # random inputs of a network are equal at both places
        squares = []
        pairs = zip(starts, stops, strict=True)
        for pair in counted(pairs, "measuring path lengths", -(-paths // size), "batches"):
            one, other = (normalize(extractor(pictures)[0].double(), dim=1) for pictures in pair)
            squares.append((one - other).square().sum(1).cpu() / step**2)
        return torch.cat(squares)

    return lengths


@torch.no_grad()
def on_path(setting: Setting, space: Space, a: Tensor, b: Tensor, where: Tensor, label: Tensor | None) -> Tensor:
    """Draw pictures (N, C, R, R), 0 to 255 and not rounded, at places (N, 1) of the paths from `a` to `b` (N, Z)."""
    label = None if label is None else label.to(setting.device)
    code_a, code_b = (space.codes(end, label) for end in (a, b))
    codes = space.between(code_a, code_b, where.to(code_a)).float().to(setting.device)
    return (space.samples(codes, label).float().clamp(-1, 1) + 1) * 127.5
