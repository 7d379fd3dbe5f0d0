"""The order of samples: a pure function of the seed and of the images seen.

Epoch `e` is a permutation keyed by (seed, e). Image number `i` of a run is place `i % count` of epoch
`i // count`. A resume needs only the counter, and any number of processes sees the same order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from gan_cli.base import distributed
from gan_cli.base.errors import PictureError
from gan_cli.base.randomness import permutation
from gan_cli.base.types import Batch, Noise, Span, State


class Data(Protocol):
    """The contract of a data set."""

    class_names: list[str]
    fingerprint: str
    note: str

    def __len__(self) -> int: ...

    def to(self, device: torch.device) -> None: ...

    def order(self, seed: int) -> Order | Orders:
        """Return the order of the samples in a run of this seed."""

    def fetch(self, indices: Tensor, device: torch.device, noise: Noise | None = None) -> dict[str, Tensor]:
        """Return the fields of the samples at `indices` on `device`; with `noise`, jittered as for training."""

    def prefetch(self, indices: Tensor) -> None:
        """Prepare samples that will probably be fetched next."""


class Order:
    """The order of one data set's samples; different names in `side` give unpaired sides independent orders."""

    def __init__(self, count: int, seed: int, side: str = "") -> None:
        self.count, self.seed, self.side = count, seed, side
        self._epochs: dict[int, Tensor] = {}

    def indices(self, first: int, size: int) -> Tensor:
        """Return (size,) int64: the samples that are images `first` to `first + size` of the run."""
        parts = []
        while size > 0:
            epoch, place = divmod(first, self.count)
            part = self._epoch(epoch)[place : place + size]
            parts.append(part)
            first, size = first + len(part), size - len(part)
        return torch.cat(parts)

    def once(self) -> Tensor:
        """Return (count,): every sample once, in the order of the first epoch."""
        return self._epoch(0)

    def _epoch(self, epoch: int) -> Tensor:
        if epoch not in self._epochs:
            self._epochs = {kept: order for kept, order in self._epochs.items() if kept == epoch - 1}
            self._epochs[epoch] = permutation(self.count, self.seed, "order", self.side, epoch)
        return self._epochs[epoch]


class Orders:
    """Independent orders of several sides: with one common order, sides of equal size would be paired."""

    def __init__(self, counts: dict[str, int], seed: int) -> None:
        self.sides = [Order(count, seed, side) for side, count in counts.items()]

    def indices(self, first: int, size: int) -> Tensor:
        """Return (size, S) int64: a sample of each side for images `first` to `first + size` of the run."""
        return torch.stack([side.indices(first, size) for side in self.sides], 1)

    def once(self) -> Tensor:
        """Return (M, S): as many rows as the smallest side has samples, none of them twice."""
        return self.indices(0, min(side.count for side in self.sides))


class Batches:
    """A loader of this process's part of each global batch, which also counts the real images."""

    def __init__(
        self,
        data: Data,
        batch_size: int,
        seed: int,
        device: torch.device,
        rank: int = 0,
        processes: int = 1,
        field: str = "image",
    ) -> None:
        self.data, self.batch_size, self.seed, self.device, self.field = data, batch_size, seed, device, field
        self.rank, self.processes = rank, processes
        self.order = data.order(seed)

    def next(self, state: State, size: int | None = None) -> Batch:
        """Load the next batch and count its images."""
        (batch,) = self.of_step(state, [size])
        state.images += batch.total
        return batch

    def of_step(self, state: State, sizes: Sequence[int | None]) -> list[Batch]:
        """Load all batches of the next step before it begins, so that no unreadable file interrupts it.

        The images are not counted yet. Every process must call this.

        Args:
            state: the progress of the run, with the images seen.
            sizes: the global sizes of the batches; None for the run's batch size.

        Raises:
            PictureError: a file of a batch can't be read, on this process or another.
        """
        totals = [size or self.batch_size for size in sizes]
        firsts = [state.images + sum(totals[:number]) for number in range(len(totals))]
        step_images = sum(totals)
        ranges = list(zip(firsts, totals, strict=True))
        batches = distributed.all_or_none(lambda: [self.read(first, total) for first, total in ranges])
        self.data.prefetch(torch.cat([self._indices(first + step_images, total) for first, total in ranges]))
        return batches

    def read(self, first: int, total: int) -> Batch:
        """Load a batch as `at` does, and turn a data set's OSError into a `PictureError`."""
        try:
            return self.at(first, total)
        except OSError as error:
            raise PictureError(
                f"{error.filename or 'the data set'} can't be read ({error.strerror or error})"
            ) from error

    def at(self, first: int, total: int) -> Batch:
        """Load this process's part of the global batch that starts with image `first`."""
        indices = self._indices(first, total)
        span = Span(first, total, self.rank * len(indices), len(indices))
        fields = self.data.fetch(indices, self.device, Noise(self.device, span, self.seed, "jitter"))
        return Batch(fields, first, total, span.start, self.field)

    def _indices(self, first: int, total: int) -> Tensor:
        """Return this process's part of a global batch's indices."""
        part = total // self.processes
        return self.order.indices(first, total)[self.rank * part : (self.rank + 1) * part]
