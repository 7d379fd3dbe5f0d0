"""Which samples come next: a pure function of the seed and of the images seen.

Epoch `e` is a permutation keyed by (seed, e); image number `i` of a run is place `i % count` of epoch
`i // count`. A resume needs only the counter, and any number of processes sees the same order.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from gan_cli.randomness import permutation
from gan_cli.types import Batch, Noise, State


class Data(Protocol):
    """The contract of a data set."""

    class_names: list[str]
    fingerprint: str
    note: str

    def __len__(self) -> int: ...
    def to(self, device: torch.device) -> None: ...
    def fetch(self, indices: Tensor, device: torch.device) -> dict[str, Tensor]: ...
    def prefetch(self, indices: Tensor) -> None: ...
    def jitter(self, batch: Batch, noise: Noise) -> None: ...


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

    def _epoch(self, epoch: int) -> Tensor:
        if epoch not in self._epochs:
            self._epochs = {kept: order for kept, order in self._epochs.items() if kept == epoch - 1}
            self._epochs[epoch] = permutation(self.count, self.seed, "order", self.side, epoch)
        return self._epochs[epoch]


class Batches:
    """Draws this process's part of each global batch and counts the real images."""

    def __init__(
        self, data: Data, batch_size: int, seed: int, device: torch.device, rank: int = 0, processes: int = 1
    ) -> None:
        self.data, self.batch_size, self.seed, self.device = data, batch_size, seed, device
        self.rank, self.processes = rank, processes
        self.order = Order(len(data), seed)

    def next(self, state: State, size: int | None = None) -> Batch:
        total = size or self.batch_size
        batch = self.at(state.images, total)
        state.images += total
        self.data.prefetch(self._mine(state.images, total))
        return batch

    def at(self, first: int, total: int) -> Batch:
        """This process's part of the global batch that starts with image `first`."""
        mine = self._mine(first, total)
        batch = Batch(self.data.fetch(mine, self.device), first, total, self.rank * len(mine))
        self.data.jitter(batch, Noise(self.device, batch, self.seed, "jitter"))
        return batch

    def _mine(self, first: int, total: int) -> Tensor:
        part = total // self.processes
        return self.order.indices(first, total)[self.rank * part : (self.rank + 1) * part]
