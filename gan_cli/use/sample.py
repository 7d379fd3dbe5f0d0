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
    """Convert class names or indices to class indices (`classes.class_indices`); return None if `labels` is None.

    Raises:
        UserError: the model is unconditional, or it has no such class.
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
    """Yield samples in batches, on the CPU; sample i depends on row i of `given` alone.

    With a `batch_size` of at least `AT_ONCE`, samples have the same bits at any batch size and any count. A smaller
    `batch_size` sends fewer samples through the network at once, which saves memory but changes the rounding.
    """

    def parts() -> Iterator[Tensor]:
        with foreign(str(trained.path)):
            size, psi = min(batch_size, AT_ONCE), trained.truncation_psi
            for rows in trained.game.sample(trained.networks, given, size, psi):
                yield rows["samples"].float().cpu()

    return joined(parts(), batch_size)


def draw_with_progress(trained: Trained, given: Given, batch_size: int) -> Iterator[Tensor]:
    """Yield the batches of `draw`, with a progress bar."""
    with Progress("making samples", count_of(given), "samples") as step:
        for batch in draw(trained, given, batch_size):
            yield batch
            step(len(batch))


def count_of(given: Given) -> int:
    return len(next(iter(given.values())))


def arrays_of(given: Given) -> dict[str, Tensor | None]:
    """Return the tensors of `given` under plural names, as in an .npz file: `latent` becomes `latents`."""
    return {f"{name}s": value for name, value in given.items()}
