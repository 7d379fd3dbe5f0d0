"""Parts that are gathered from samples in one pass for all metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor

from gan_cli.base.errors import UserError
from gan_cli.metrics.statistics import FeatureStatistics

Looked = tuple[Tensor, "Tensor | None"]  # features (N, F), and logits (N, K) where there are any
MOST_REALS = 2_000  # real samples in memory, for metrics that compare samples themselves


class Passing:
    """A batch of samples of one side, and its features, made on first use.

    Args:
        samples: (N, ...), as scores look at them (`Medium.judged`), on the CPU.
        look: computes features of samples.
        label: (N,), of the data or as asked of a conditional model; None where there is none.
    """

    def __init__(self, samples: Tensor, look: Callable[[Tensor], Looked], label: Tensor | None = None) -> None:
        self.samples, self.label, self._look = samples, label, look

    @cached_property
    def looked(self) -> Looked:
        return self._look(self.samples)


class Part:
    """Data that is gathered from the samples of one side.

    A metric names the part classes that it needs, which may be its own. A part is made without arguments, once for each
    side.

    Attributes:
        in_features: whether the part needs features.
        held: whether the part holds samples themselves, which must then be of one size and fit into memory.
        most: most samples of a data set that are gathered; None: as many as are compared.
        kept: whether the part of a data set is kept on disk; it then has `state_dict`, `load_state_dict` and `key`.
    """

    in_features: ClassVar[bool] = False
    held: ClassVar[bool] = False
    most: ClassVar[int | None] = None
    kept: ClassVar[bool] = False

    def add(self, batch: Passing) -> None:
        """Add a batch of samples."""
        raise NotImplementedError

    def key(self) -> dict[str, Any]:
        """Return the options that the state depends on, besides data and features."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Return the state as tensors and plain values."""
        raise NotImplementedError

    def load_state_dict(self, state: dict[str, Any]) -> None:
        raise NotImplementedError


class Moments(Part):
    """Mean and covariance in features."""

    in_features = True
    kept = True
    keep: ClassVar[bool] = False

    def __init__(self) -> None:
        self.statistics = FeatureStatistics(self.keep)

    def add(self, batch: Passing) -> None:
        self.statistics.add(*batch.looked)

    def key(self) -> dict[str, Any]:
        return {"keep": self.keep}

    def state_dict(self) -> dict[str, Any]:
        return self.statistics.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.statistics = FeatureStatistics.of_state(state)


class Features(Moments):
    """Mean and covariance, the features themselves, and the logits of features that have classes."""

    keep = True


class Held(Part):
    """The samples themselves, (N, ...)."""

    held = True

    def __init__(self) -> None:
        self._parts: list[Tensor] = []

    def add(self, batch: Passing) -> None:
        self._parts.append(batch.samples)

    @cached_property
    def samples(self) -> Tensor:
        return torch.cat(self._parts)


class Samples(Held):
    """All samples of a side."""


class SomeSamples(Held):
    """Samples of a side; of a data set, at most 2,000."""

    most = MOST_REALS


class Labels(Part):
    """The classes of samples, (N,)."""

    def __init__(self) -> None:
        self._parts: list[Tensor] = []

    def add(self, batch: Passing) -> None:
        if batch.label is None:
            raise UserError("a metric asks for classes, and these samples have none")
        self._parts.append(batch.label.cpu())

    @cached_property
    def labels(self) -> Tensor:
        return torch.cat(self._parts)


P = TypeVar("P", bound=Part)


class Gathered:
    """The parts of one side, all gathered on the first use of any.

    Args:
        kinds: the classes of parts that metrics need; a base class of another one (`Moments` of `Features`) is left
            out.
        gather: fills new parts.
    """

    def __init__(self, kinds: Iterable[type[Part]], gather: Callable[[Sequence[Part]], None]) -> None:
        every = tuple(dict.fromkeys(kinds))
        self.kinds = tuple(kind for kind in every if not any(issubclass(o, kind) and o is not kind for o in every))
        self._gather = gather

    @cached_property
    def parts(self) -> list[Part]:
        parts = [kind() for kind in self.kinds]
        if parts:
            self._gather(parts)
        return parts

    def __getitem__(self, kind: type[P]) -> P:
        """Return the part of a class.

        Raises:
            LookupError: no metric names this class.
        """
        for part in self.parts:
            if isinstance(part, kind):
                return part
        raise LookupError(f"{kind.__name__} is not among the parts that a metric names for this side")


Sides = Mapping[str, Gathered]  # "real", "fake", "held_out"


def pass_by(parts: Iterable[Part], batches: Iterable[Passing]) -> None:
    """Add each batch to each part."""
    parts = list(parts)
    for batch in batches:
        for part in parts:
            part.add(batch)
