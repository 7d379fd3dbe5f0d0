"""Statistics of a set of samples: count, mean and covariance of features, and the features where they are needed."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

BLOCK = 1024  # rows that are summed at once at any batch size: so the result does not depend on the batches


class FeatureStatistics:
    """Statistics of features that are added batch by batch.

    The moments are in float64 and are merged by Chan's formula. Rows are kept only if `keep`.

    Args:
        keep: whether to hold the features themselves too, in float32, for distances between samples. 25,000 samples in
            2,048 features take 200 MB; the moments take 34 MB for any number.
    """

    def __init__(self, keep: bool = False) -> None:
        self.keep = keep
        self._absorbed = 0  # rows in the mean and the scatter
        self._mean: Tensor | None = None  # (F,)
        self._scatter: Tensor | None = None  # (F, F), sum of outer products about the mean
        self._waiting: list[Tensor] = []  # rows that do not fill a block yet
        self._kept: list[Tensor] = []
        self._logits: list[Tensor] = []

    def add(self, features: Tensor, logits: Tensor | None = None) -> None:
        """Add samples.

        Args:
            features: (N, F).
            logits: (N, K), of a classifier; kept if `keep`.
        """
        features = features.detach().cpu()
        if features.dtype not in (torch.float32, torch.float64):
            features = features.float()
        if self.keep:
            self._kept.append(features)
            if logits is not None:
                self._logits.append(logits.detach().float().cpu())
        self._waiting.append(features)
        if sum(map(len, self._waiting)) >= BLOCK:
            rows = torch.cat(self._waiting)
            while len(rows) >= BLOCK:
                self._absorb(*moments_of(rows[:BLOCK]))
                rows = rows[BLOCK:]
            self._waiting = [rows] if len(rows) else []

    def merge(self, other: FeatureStatistics) -> None:
        """Add all samples of `other`, which is another part or another process's.

        Both keep their rows, or neither does.
        """
        assert self.keep == other.keep
        self.settle()
        other.settle()
        if other._mean is not None and other._scatter is not None:
            self._absorb(other._absorbed, other._mean, other._scatter)
        self._kept += other._kept
        self._logits += other._logits

    def settle(self) -> None:
        """Add the waiting rows to the moments."""
        if self._waiting:
            rows, self._waiting = torch.cat(self._waiting), []
            self._absorb(*moments_of(rows))

    def _absorb(self, count: int, mean: Tensor, scatter: Tensor) -> None:
        if self._mean is None or self._scatter is None:
            self._absorbed, self._mean, self._scatter = count, mean, scatter
            return
        total, apart = self._absorbed + count, mean - self._mean
        self._scatter = self._scatter + scatter + torch.outer(apart, apart) * (self._absorbed * count / total)
        self._mean = self._mean + apart * (count / total)
        self._absorbed = total

    @property
    def count(self) -> int:
        """Return the number of samples so far, with those that wait."""
        return self._absorbed + sum(map(len, self._waiting))

    @property
    def mean(self) -> Tensor:
        """Return the mean, (F,), float64."""
        self.settle()
        assert self._mean is not None
        return self._mean

    @property
    def covariance(self) -> Tensor:
        """Return the unbiased covariance, (F, F), float64."""
        self.settle()
        assert self._scatter is not None
        return self._scatter / (self.count - 1)

    @property
    def features(self) -> Tensor:
        """Return the features, (N, F), float32."""
        assert self.keep
        return torch.cat(self._kept)

    @property
    def logits(self) -> Tensor:
        """Return the logits, (N, K), float32."""
        return torch.cat(self._logits)

    def state_dict(self) -> dict[str, Any]:
        """Return tensors and plain values, for a file."""
        self.settle()
        rows = {"features": torch.cat(self._kept)} if self._kept else {}
        logits = {"logits": torch.cat(self._logits)} if self._logits else {}
        return {"count": self.count, "mean": self._mean, "scatter": self._scatter, **rows, **logits}

    @classmethod
    def of_state(cls, state: dict[str, Any]) -> FeatureStatistics:
        statistics = cls(keep="features" in state)
        statistics._absorbed, statistics._mean, statistics._scatter = state["count"], state["mean"], state["scatter"]
        statistics._kept = [state["features"]] if "features" in state else []
        statistics._logits = [state["logits"]] if "logits" in state else []
        return statistics


def moments_of(rows: Tensor) -> tuple[int, Tensor, Tensor]:
    """Compute count, mean (F,) and scatter (F, F) of rows (N, F), in float64."""
    exact = rows.double()
    mean = exact.mean(0)
    centred = exact - mean
    return len(rows), mean, centred.T @ centred
