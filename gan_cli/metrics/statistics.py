"""What metrics know of a set of samples: count, mean and covariance of features, and the features where needed."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

BLOCK = 1024  # rows whose sums are taken at once, however they came: the result does not depend on the batches


class FeatureStatistics:
    """Features of samples, streamed: moments in float64, merged by Chan's formula; rows kept only where asked for.

    Args:
        keep: hold the features themselves too, in float32: distances between samples need them. Half of 50,000
            samples in 2,048 features are 200 MB; the moments are 34 MB for any number.
    """

    def __init__(self, keep: bool = False) -> None:
        self.keep = keep
        self._absorbed = 0  # rows that mean and scatter are of
        self._mean: Tensor | None = None  # (F,)
        self._scatter: Tensor | None = None  # (F, F), sum of outer products about the mean
        self._waiting: list[Tensor] = []  # rows that do not fill a block yet
        self._kept: list[Tensor] = []
        self._logits: list[Tensor] = []

    def add(self, features: Tensor, logits: Tensor | None = None) -> None:
        """More samples.

        Args:
            features: (N, F).
            logits: (N, K), of a classifier; kept where `keep`.
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
        """All samples of `other` too (another part, or another process's); both keep their rows, or neither does."""
        assert self.keep == other.keep
        self.settle()
        other.settle()
        if other._mean is not None and other._scatter is not None:
            self._absorb(other._absorbed, other._mean, other._scatter)
        self._kept += other._kept
        self._logits += other._logits

    def settle(self) -> None:
        """Take the waiting rows in."""
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
        """Samples so far, those that wait included."""
        return self._absorbed + sum(map(len, self._waiting))

    @property
    def mean(self) -> Tensor:
        """(F,), float64."""
        self.settle()
        assert self._mean is not None
        return self._mean

    @property
    def covariance(self) -> Tensor:
        """(F, F), float64, unbiased."""
        self.settle()
        assert self._scatter is not None
        return self._scatter / (self.count - 1)

    @property
    def features(self) -> Tensor:
        """(N, F), float32."""
        assert self.keep
        return torch.cat(self._kept)

    @property
    def logits(self) -> Tensor:
        """(N, K), float32."""
        return torch.cat(self._logits)

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values, for a file."""
        self.settle()
        rows = {"features": torch.cat(self._kept)} if self._kept else {}
        logits = {"logits": torch.cat(self._logits)} if self._logits else {}
        return {"count": self.count, "mean": self._mean, "scatter": self._scatter, **rows, **logits}

    @classmethod
    def of_state(cls, state: dict[str, Any]) -> FeatureStatistics:
        made = cls(keep="features" in state)
        made._absorbed, made._mean, made._scatter = state["count"], state["mean"], state["scatter"]
        made._kept = [state["features"]] if "features" in state else []
        made._logits = [state["logits"]] if "logits" in state else []
        return made


def moments_of(rows: Tensor) -> tuple[int, Tensor, Tensor]:
    """Count, mean (F,) and scatter (F, F) of (N, F), in float64."""
    exact = rows.double()
    mean = exact.mean(0)
    centred = exact - mean
    return len(rows), mean, centred.T @ centred
