"""What is gathered of samples while they pass by, in one pass for all metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor

from gan_cli.base.errors import UserError
from gan_cli.metrics.statistics import FeatureStatistics

Looked = tuple[Tensor, "Tensor | None"]  # features (N, F), and logits (N, K) where there are any
MOST_REALS = 2_000  # real samples that are held themselves, for metrics that look at all of both sides


class Passing:
    """Some samples of one side, and what they are in features, made on first use.

    Args:
        samples: (N, ...), as scores look at them (`Medium.judged`), on the CPU.
        look: asks the features' network.
        label: (N,), of the data or as asked of a conditional model; None where there is none.
    """

    def __init__(self, samples: Tensor, look: Callable[[Tensor], Looked], label: Tensor | None = None) -> None:
        self.samples, self.label, self._look = samples, label, look

    @cached_property
    def looked(self) -> Looked:
        return self._look(self.samples)


class Part:
    """Something that is gathered of one side; a metric names the classes that it needs, its own ones too.

    Made without arguments, once for each side.

    Attributes:
        in_features: whether it asks the features' network.
        held: whether samples themselves are held, which must be of one size then and fit into memory.
        most: at most so many samples of a data set; None: as many as are compared.
        kept: whether it is kept on disk for a data set; then it has `state_dict`, `load_state_dict` and `key`.
    """

    in_features: ClassVar[bool] = False
    held: ClassVar[bool] = False
    most: ClassVar[int | None] = None
    kept: ClassVar[bool] = False

    def add(self, batch: Passing) -> None:
        """More samples."""
        raise NotImplementedError

    def key(self) -> dict[str, Any]:
        """What its state depends on besides data and features."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values."""
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
    """The features themselves too, and the logits of features that have classes."""

    keep = True


class Held(Part):
    """Samples themselves, (N, ...)."""

    held = True

    def __init__(self) -> None:
        self._parts: list[Tensor] = []

    def add(self, batch: Passing) -> None:
        self._parts.append(batch.samples)

    @cached_property
    def samples(self) -> Tensor:
        return torch.cat(self._parts)


class Samples(Held):
    """All of them."""


class SomeSamples(Held):
    """Of a data set no more than stand beside a model's samples."""

    most = MOST_REALS


class Labels(Part):
    """Classes, (N,)."""

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
        kinds: that metrics need; one that another is a form of (`Moments` of `Features`) is not gathered twice.
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
        """
        Raises:
            LookupError: no metric has it among its parts.
        """
        for part in self.parts:
            if isinstance(part, kind):
                return part
        raise LookupError(f"{kind.__name__} is not among the parts that a metric names for this side")


Sides = Mapping[str, Gathered]  # "real", "fake", "held_out"


def pass_by(parts: Iterable[Part], batches: Iterable[Passing]) -> None:
    """Show each batch to each part."""
    parts = list(parts)
    for batch in batches:
        for part in parts:
            part.add(batch)
