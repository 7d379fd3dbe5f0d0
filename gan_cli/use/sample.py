"""Samples of a trained run: a grid, single files, or one array."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gan_cli.base.classes import class_indices
from gan_cli.base.errors import UserError
from gan_cli.base.files import write_atomically
from gan_cli.base.printable import tell
from gan_cli.base.progress import Progress
from gan_cli.base.randomness import AT_ONCE, joined
from gan_cli.base.stored import foreign
from gan_cli.game.game import Given
from gan_cli.media.image import write_png
from gan_cli.media.medium import placed
from gan_cli.use.load import Trained


def class_numbers(
    labels: Sequence[int | str] | None, trained: Trained, say: Callable[[str], object] = tell
) -> list[int] | None:
    """Class indices from names or indices (`classes.class_indices`); None where none were asked for.

    Raises:
        UserError: an unconditional model, or no such class.
    """
    if labels is None:
        return None
    if trained.game.num_classes is None:
        raise UserError(
            "labels= needs a conditional model, and this one was trained without labels"
            " (cgan, cdcgan and biggan have them; progan, stylegan, stylegan2, sngan, sagan and r3gan with"
            " model.conditional=projection or auxiliary)"
        )
    return class_indices(labels, trained.class_names, trained.game.num_classes, say)


def draw(trained: Trained, given: Given, batch_size: int) -> Iterator[Tensor]:
    """Samples in batches, on the CPU; each depends on its own part of `given` alone.

    From a `batch_size` of `AT_ONCE` up, the same bits at any batch size and any count; below, fewer go through the
    network at once, to save memory, and rounding differs.
    """

    def parts() -> Iterator[Tensor]:
        with foreign(str(trained.path)):
            size, psi = min(batch_size, AT_ONCE), trained.truncation_psi
            for rows in trained.game.sample(trained.networks, given, size, psi):
                yield rows["samples"].float().cpu()

    return joined(parts(), batch_size)


def made(trained: Trained, given: Given, batch_size: int) -> Iterator[Tensor]:
    """The same, with a bar."""
    with Progress("making samples", count_of(given), "samples") as step:
        for batch in draw(trained, given, batch_size):
            yield batch
            step(len(batch))


def count_of(given: Given) -> int:
    return len(next(iter(given.values())))


def write_grid(trained: Trained, path: Path, given: Given, columns: int | None, batch_size: int) -> None:
    """One picture; `columns` as of `placed`."""
    samples = torch.cat(list(made(trained, given, batch_size)))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(trained.medium.preview(samples, *placed(len(samples), given.get("label"), columns)), path)


def write_files(trained: Trained, folder: Path, given: Given, batch_size: int, about: dict) -> None:
    """One file for each sample, and `latents.npz` with what made them."""
    folder.mkdir(parents=True, exist_ok=True)
    number, digits = 0, max(6, len(str(count_of(given) - 1)))
    for batch in made(trained, given, batch_size):
        for sample in batch:
            trained.medium.save(sample, folder / f"{number:0{digits}d}{trained.medium.ending}")
            number += 1
    write_npz(folder / "latents.npz", named(given), about)


def write_array(trained: Trained, path: Path, given: Given, batch_size: int, about: dict) -> None:
    """`samples`, `latents` and, for a conditional model, `labels` in one .npz file."""
    samples = torch.cat([trained.medium.array(batch) for batch in made(trained, given, batch_size)])
    write_npz(path, {"samples": samples, **named(given)}, about)


def named(given: Given) -> dict[str, Tensor | None]:
    """What samples were made from, as arrays are called: in the plural."""
    return {f"{name}s": value for name, value in given.items()}


def write_npz(path: Path, tensors: dict[str, Tensor | None], about: dict) -> None:
    import numpy

    buffer = io.BytesIO()
    arrays: dict[str, Any] = {name: tensor.numpy() for name, tensor in tensors.items() if tensor is not None}
    numpy.savez(buffer, **arrays, about=numpy.array(json.dumps(about)))
    write_atomically(path, buffer.getvalue())
