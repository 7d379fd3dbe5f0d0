"""Samples of a trained run, in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from torch import Tensor

from gan_cli.base.classes import class_indices
from gan_cli.base.errors import UserError
from gan_cli.base.printable import tell
from gan_cli.base.progress import Progress
from gan_cli.base.randomness import AT_ONCE, joined
from gan_cli.base.stored import foreign
from gan_cli.game.game import Given
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
            " (model.conditional=projection or auxiliary, where a model has it, trains with them)"
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


def named(given: Given) -> dict[str, Tensor | None]:
    """What samples were made from, as arrays are called: in the plural."""
    return {f"{name}s": value for name, value in given.items()}
