"""Samples from a checkpoint: a grid, single files, or one array. Needs no data set; works from a notebook."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gan_cli.base import checkpoint
from gan_cli.base.classes import class_indices
from gan_cli.base.errors import UserError
from gan_cli.base.files import write_atomically
from gan_cli.base.machine import pick_device
from gan_cli.base.printable import tell
from gan_cli.base.progress import Progress, counted
from gan_cli.base.randomness import AT_ONCE, generator_for, in_blocks, joined
from gan_cli.base.stored import check_content, foreign
from gan_cli.game.build import build_medium
from gan_cli.game.gan import GAN
from gan_cli.media.image import write_png
from gan_cli.media.medium import Medium, placed
from gan_cli.parts.latent import latents
from gan_cli.use.fitting import fitting_game


@dataclass
class Trained:
    """A trained game, ready to draw from."""

    gan: GAN
    generators: dict[str, nn.Module]
    medium: Medium
    config: dict[str, Any]
    class_names: list[str]
    path: Path
    images: int
    device: torch.device
    truncation_psi: float = 1.0
    trust: tuple[str, ...] = ()  # packages whose classes its config may use
    fingerprint: str = ""  # of the data that it was trained on


STANDING_BATCH = 256  # samples in each pass of `take_standing_statistics`


def load_trained(
    where: Path,
    ema: bool = True,
    device: str = "auto",
    trust: Sequence[str] = (),
    warn: Any = tell,
    standing_statistics: int = 0,
    truncation_psi: float = 1.0,
) -> Trained:
    """The newest valid checkpoint of a run, or a given one, built through the allow-list.

    Args:
        where: a run's folder or a checkpoint file.
        ema: averaged generator weights with their buffers; False: the raw ones.
        device: "auto", "cpu", "cuda", "mps".
        trust: packages whose classes the checkpoint's config may use.
        standing_statistics: passes over which the batch norms of the generators are measured anew; 0: as trained.
        truncation_psi: of the samples, and of those that are measured so.

    Raises:
        UserError: no valid checkpoint, or one whose config names a class that is not allowed; standing statistics of a
            model without batch norm.
        RunError: a checkpoint that does not hold what belongs there, or other weights than those of its config.
    """
    path, content = checkpoint.load(where, warn)
    check_content(content, str(path))
    config, on = content["config"], pick_device(device)
    with foreign(str(path)):
        gan = fitting_game(config, content["gan"], trust, str(path))
        gan.set_progress(content["progress"]["images"])
        gan.to(on).eval()
        generators = gan.generators
        if ema:
            for name, network in generators.items():
                network.load_state_dict(content["ema"][name])
        medium, names = build_medium(config, trust), list(content["data"]["class_names"])
    images = content["progress"]["images"]
    trained = Trained(
        *(gan, generators, medium, config, names, path, images, on, truncation_psi, tuple(trust)),
        fingerprint=content["data"]["fingerprint"],
    )
    try_out(trained)
    if standing_statistics:
        take_standing_statistics(trained, standing_statistics)
    return trained


def try_out(trained: Trained) -> None:
    """One sample, thrown away: whatever of the config doesn't fit its networks shows here, before anything is written.

    Raises:
        RunError: it can't be drawn.
    """
    if not trained.gan.translates:
        with foreign(str(trained.path)):
            latent, label = plan(trained, 1, 0, None)
            (made,) = draw(trained, latent, label, 1)
            trained.medium.preview(made, 1)


@torch.no_grad()
def take_standing_statistics(trained: Trained, passes: int) -> None:
    """Means and variances of the generators' batch norms over fresh samples of the weights that are used.

    Running ones were made by the raw weights of the last steps and fit averaged weights only roughly (Brock et al.
    2019, sec. 2.2 and appendix C).

    Raises:
        UserError: nothing to measure.
    """
    norms = [
        m for g in trained.generators.values() for m in g.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)
    ]
    if not norms or trained.gan.translates:
        raise UserError("standing_statistics= needs a model with batch norm in its generator; leave it at 0")
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over all passes
        norm.train()
    latent, label = plan(trained, passes * STANDING_BATCH, 0, None, "standing")
    if label is not None:  # each pass a mixture of classes
        label = label[torch.randperm(len(label), generator=generator_for("cpu", "standing"))]
    made = blocks(trained, latent, label, STANDING_BATCH)
    for _ in counted(made, "measuring batch norms anew", passes, "passes"):
        pass
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()


def class_numbers(
    wanted: Sequence[int | str] | None, trained: Trained, say: Callable[[str], object] = tell
) -> list[int] | None:
    """Class indices from names or indices (`classes.class_indices`); None where none were asked for.

    Raises:
        UserError: an unconditional model, or no such class.
    """
    if wanted is None:
        return None
    if trained.gan.num_classes is None:
        raise UserError(
            "labels= needs a conditional model, and this one was trained without labels"
            " (cgan, cdcgan and biggan have them; progan, stylegan, stylegan2, sngan, sagan and r3gan with"
            " model.conditional=projection or auxiliary)"
        )
    return class_indices(wanted, trained.class_names, trained.gan.num_classes, say)


def plan(
    trained: Trained, count: int, seed: int, labels: Sequence[int] | None, purpose: str = "sample"
) -> tuple[Tensor, Tensor | None]:
    """Latents (count, Z) and labels (count,) or None, of the given classes or of all in turn.

    Sample i is a function of seed, purpose, classes and i alone: a smaller count gives the first of a larger one.
    """
    assert trained.gan.latent is not None
    latent = latents(trained.gan.latent, count, seed, purpose)
    if trained.gan.num_classes is None:
        return latent, None
    classes = torch.tensor(labels or range(trained.gan.num_classes))
    return latent, classes[torch.arange(count) % len(classes)]


def draw(trained: Trained, latent: Tensor, label: Tensor | None, batch_size: int) -> Iterator[Tensor]:
    """Samples in batches, on the CPU; each depends on its own latent and label alone.

    From a `batch_size` of `AT_ONCE` up, the same bits at any batch size and any count; below, fewer go through the
    network at once, to save memory, and rounding differs.
    """
    for made in joined(blocks(trained, latent, label, min(batch_size, AT_ONCE)), batch_size):
        yield made.float().cpu()


def blocks(trained: Trained, latent: Tensor, label: Tensor | None, size: int) -> Iterator[Tensor]:
    """Samples on the model's device, made `size` at a time."""

    def make(latent: Tensor, label: Tensor | None) -> Tensor:
        there = None if label is None else label.to(trained.device)
        with foreign(str(trained.path)):
            return trained.gan.sample(trained.generators, latent.to(trained.device), there, trained.truncation_psi)

    return in_blocks(make, latent, label, size=size)


def write_grid(
    trained: Trained, path: Path, latent: Tensor, label: Tensor | None, columns: int | None, batch_size: int
) -> None:
    """One picture; `columns` as of `placed`."""
    parts = []
    with Progress("making samples", len(latent), "samples") as step:
        for batch in draw(trained, latent, label, batch_size):
            parts.append(batch)
            step(len(batch))
    samples = torch.cat(parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(trained.medium.preview(samples, *placed(len(samples), label, columns)), path)


def write_files(
    trained: Trained, folder: Path, latent: Tensor, label: Tensor | None, batch_size: int, about: dict
) -> None:
    """One file for each sample, and `latents.npz` with what made them."""
    folder.mkdir(parents=True, exist_ok=True)
    number, digits = 0, max(6, len(str(len(latent) - 1)))
    with Progress("making samples", len(latent), "samples") as step:
        for batch in draw(trained, latent, label, batch_size):
            for sample in batch:
                trained.medium.save(sample, folder / f"{number:0{digits}d}{trained.medium.ending}")
                number += 1
            step(len(batch))
    write_npz(folder / "latents.npz", {"latents": latent, "labels": label}, about)


def write_array(
    trained: Trained, path: Path, latent: Tensor, label: Tensor | None, batch_size: int, about: dict
) -> None:
    """`samples`, `latents` and, for a conditional model, `labels` in one .npz file."""
    parts = []
    with Progress("making samples", len(latent), "samples") as step:
        for batch in draw(trained, latent, label, batch_size):
            parts.append(trained.medium.array(batch))
            step(len(batch))
    samples = torch.cat(parts)
    write_npz(path, {"samples": samples, "latents": latent, "labels": label}, about)


def write_npz(path: Path, tensors: dict[str, Tensor | None], about: dict) -> None:
    import numpy

    buffer = io.BytesIO()
    arrays: dict[str, Any] = {name: tensor.numpy() for name, tensor in tensors.items() if tensor is not None}
    numpy.savez(buffer, **arrays, about=numpy.array(json.dumps(about)))
    write_atomically(path, buffer.getvalue())
