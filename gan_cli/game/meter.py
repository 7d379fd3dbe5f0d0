"""Scalars of a run's updates, kept on the device until a log point reads them."""

from __future__ import annotations

import torch
from torch import Tensor

from gan_cli.base import distributed
from gan_cli.base.errors import DivergedError
from gan_cli.base.records import MeterSums


class Meter:
    """The means of scalars between two log points, kept on the device: adding never waits for it.

    It also has, for each scalar, the first step at which it was not finite. Its state is in the checkpoint, so a run
    that is cut between two log points goes on with the same sums.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._sums: dict[tuple[str, ...], Tensor] = {}
        self._counts: dict[tuple[str, ...], int] = {}
        self._broke: dict[tuple[str, ...], Tensor] = {}  # first step of a non-finite value, or -1

    def add(self, step: int, values: dict[str, Tensor]) -> None:
        """Add the scalars of one update, which are all on one device."""
        names = tuple(values)
        now = torch.stack([value.detach().to(torch.float32) for value in values.values()])
        if names not in self._sums:
            self._sums[names], self._counts[names] = torch.zeros_like(now), 0
            self._broke[names] = torch.full_like(now, -1, dtype=torch.int64)
        self._sums[names] += now
        self._counts[names] += 1
        broke = self._broke[names]
        self._broke[names] = torch.where((broke < 0) & ~torch.isfinite(now), step, broke)

    @property
    def empty(self) -> bool:
        """Return whether nothing was added since the last reading."""
        return not self._sums

    def check(self) -> None:
        """Check that all scalars were finite. This waits for the device, and every process must call it.

        Raises:
            DivergedError: a scalar was not finite; the message names the first step and term.
        """
        first: tuple[int, str] | None = None
        for names, broke in self._broke.items():
            for name, step in zip(names, broke.tolist(), strict=True):
                if step >= 0 and (first is None or step < first[0]):
                    first = (step, name)
        if distributed.any_process(int(first is not None)):
            step, name = first or (-1, "a term on another process")
            raise DivergedError(f"the run diverged: {name} became NaN or infinite at step {step}")

    def read(self) -> dict[str, float]:
        """Compute the means over all processes since the last reading, and start anew. This waits for the device."""
        sums: dict[str, float] = {}
        counts: dict[str, int] = {}
        for names, total in self._sums.items():
            shared = total.clone()
            distributed.average([shared])
            for name, value in zip(names, shared.tolist(), strict=True):
                sums[name] = sums.get(name, 0.0) + value
                counts[name] = counts.get(name, 0) + self._counts[names]
        for kept in (self._sums, self._counts, self._broke):
            kept.clear()
        return {name: sums[name] / counts[name] for name in sums}

    def state_dict(self) -> list[MeterSums]:
        return [{"names": list(n), "sums": self._sums[n].cpu(), "count": self._counts[n]} for n in self._sums]

    def load_state_dict(self, state: list[MeterSums]) -> None:
        for entry in state:
            names = tuple(entry["names"])
            self._sums[names], self._counts[names] = entry["sums"].to(self.device), entry["count"]
            self._broke[names] = torch.full_like(self._sums[names], -1, dtype=torch.int64)
