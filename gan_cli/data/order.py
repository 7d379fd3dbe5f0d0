"""Which samples come next: a pure function of the seed and of the images seen.

Epoch `e` is a permutation keyed by (seed, e); image number `i` of a run is place `i % count` of epoch
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
        """Which samples come when, in a run of this seed."""

    def fetch(self, indices: Tensor, device: torch.device, noise: Noise | None = None) -> dict[str, Tensor]:
        """The fields of some samples, on `device`; with `noise`, jittered as for training."""

    def prefetch(self, indices: Tensor) -> None:
        """A hint that these will be fetched next."""


class Order:
    """Indices of a run's images; `side` gives an unpaired second set an order of its own."""

    def __init__(self, count: int, seed: int, side: str = "") -> None:
        self.count, self.seed, self.side = count, seed, side
        self._epochs: dict[int, Tensor] = {}

    def indices(self, first: int, size: int) -> Tensor:
        """(size,) int64: which samples are images `first` to `first + size` of the run."""
        parts = []
        while size > 0:
            epoch, place = divmod(first, self.count)
            part = self._epoch(epoch)[place : place + size]
            parts.append(part)
            first, size = first + len(part), size - len(part)
        return torch.cat(parts)

    def once(self) -> Tensor:
        """(count,): every sample, in the order of the first epoch."""
        return self._epoch(0)

    def _epoch(self, epoch: int) -> Tensor:
        if epoch not in self._epochs:
            self._epochs = {kept: order for kept, order in self._epochs.items() if kept == epoch - 1}
            self._epochs[epoch] = permutation(self.count, self.seed, "order", self.side, epoch)
        return self._epochs[epoch]


class Orders:
    """Several sides of different sizes, each in an order of its own: with one order, equal sizes would be paired."""

    def __init__(self, counts: dict[str, int], seed: int) -> None:
        self.sides = [Order(count, seed, side) for side, count in counts.items()]

    def indices(self, first: int, size: int) -> Tensor:
        """(size, S) int64: a sample of each side for images `first` to `first + size` of the run."""
        return torch.stack([side.indices(first, size) for side in self.sides], 1)

    def once(self) -> Tensor:
        """(M, S): as many as the smallest side has, none of them twice."""
        return self.indices(0, min(side.count for side in self.sides))


class Batches:
    """Draws this process's part of each global batch and counts the real images."""

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
        """The next batch, counted."""
        (batch,) = self.of_step(state, [size])
        state.images += batch.total
        return batch

    def of_step(self, state: State, sizes: Sequence[int | None]) -> list[Batch]:
        """The next batches, not counted yet: a step that has all of them before it begins is taken whole or not at all.

        Every process must call it.

        Args:
            state: where the run is.
            sizes: of the batches; None for the run's own.

        Raises:
            PictureError: what one of them is made of can't be read, on this process or another.
        """
        totals = [size or self.batch_size for size in sizes]
        firsts = [state.images + sum(totals[:number]) for number in range(len(totals))]
        after = sum(totals)
        drawn = distributed.all_or_none(lambda: [self.read(*some) for some in zip(firsts, totals, strict=True)])
        self.data.prefetch(
            torch.cat([self._mine(first + after, total) for first, total in zip(firsts, totals, strict=True)])
        )
        return drawn

    def read(self, first: int, total: int) -> Batch:
        """`at`, where a data set's own trouble with its files is told as that of pictures is."""
        try:
            return self.at(first, total)
        except OSError as error:
            raise PictureError(
                f"{error.filename or 'the data set'} can't be read ({error.strerror or error})"
            ) from error

    def at(self, first: int, total: int) -> Batch:
        """This process's part of the global batch that starts with image `first`."""
        mine = self._mine(first, total)
        span = Span(first, total, self.rank * len(mine), len(mine))
        fields = self.data.fetch(mine, self.device, Noise(self.device, span, self.seed, "jitter"))
        return Batch(fields, first, total, span.start, self.field)

    def _mine(self, first: int, total: int) -> Tensor:
        part = total // self.processes
        return self.order.indices(first, total)[self.rank * part : (self.rank + 1) * part]
