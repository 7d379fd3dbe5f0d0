"""The words that all layers share.

Shape legend: N samples in a batch, C,H,W an image, Z latent size, K classes, D coordinates of a
point. Images are in [-1, 1] at every interface. Labels are class indices, int64, shape (N,).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from gan_cli.base.randomness import generator_for
from gan_cli.base.records import Progress


@dataclass
class Batch:
    """Some real samples of one step, on the training device.

    `fields` holds tensors whose first dimension is N (`image`, `label`, `point`, ...), and `field` is the name of the
    one that a plain critic looks at: the medium says which. In a run of several processes, or with `accumulate`, a
    batch is rows `start:start + len(batch)` of a global batch of `total` samples; random draws are made for the global
    batch and sliced, so that they don't depend on how it was split.
    """

    fields: dict[str, Tensor]
    first: int  # index, among all images of the run, of the global batch's first one
    total: int  # size of the global batch
    start: int = 0
    field: str = "image"
    fakes: dict[str, Tensor] | None = None  # drawn ahead for a later phase of the same step, graph kept

    def __len__(self) -> int:
        return len(next(iter(self.fields.values())))

    @property
    def real(self) -> Tensor:
        """What a plain critic looks at."""
        return self.fields[self.field]

    @property
    def label(self) -> Tensor | None:
        return self.fields.get("label")

    @property
    def rows(self) -> slice:
        return slice(self.start, self.start + len(self))

    def split(self, parts: int) -> Iterator[Batch]:
        """Equal consecutive parts, for gradient accumulation; the batch itself where `parts` is 1."""
        if parts == 1:
            yield self
            return
        size = len(self) // parts
        for part in range(parts):
            rows = slice(part * size, (part + 1) * size)
            fields = {name: value[rows] for name, value in self.fields.items()}
            yield Batch(fields, self.first, self.total, self.start + part * size, self.field)


@dataclass(frozen=True)
class Span:
    """Which rows of which global batch: all that random draws need to know of a batch."""

    first: int
    total: int
    start: int
    size: int

    @property
    def rows(self) -> slice:
        return slice(self.start, self.start + self.size)


@dataclass
class State:
    """How far a run is. All of it is in the checkpoint."""

    seed: int = 0
    images: int = 0  # real images consumed by the phases that draw them, every critic repetition counted
    step: int = 0
    updates: dict[str, int] = field(default_factory=dict)  # optimizer steps by phase name

    def to_dict(self) -> Progress:
        return {"seed": self.seed, "images": self.images, "step": self.step, "updates": dict(self.updates)}


class Noise:
    """Random draws of one update: made for the global batch, then cut to this part's rows."""

    def __init__(self, device: torch.device, batch: Batch | Span, *key: object) -> None:
        self.device, self.batch, self.key = device, batch, key

    def on_cpu(self) -> Noise:
        """The same for draws that Python reads: nothing then waits for the device."""
        return Noise(torch.device("cpu"), self.batch, *self.key)

    def whole(self, name: str, *shape: int) -> Tensor:
        """(total, *shape) in [0, 1), for the whole global batch."""
        generator = generator_for(self.device, *self.key, self.batch.first, name)
        return torch.rand(self.batch.total, *shape, generator=generator, device=generator.device).to(self.device)

    def uniform(self, name: str, *shape: int) -> Tensor:
        """(N, *shape) in [0, 1); equal `name`s give equal draws."""
        return self.whole(name, *shape)[self.batch.rows]

    def normal(self, name: str, *shape: int) -> Tensor:
        """(N, *shape), standard normal; equal `name`s give equal draws."""
        generator = generator_for(self.device, *self.key, self.batch.first, name)
        drawn = torch.randn(self.batch.total, *shape, generator=generator, device=generator.device)
        return drawn[self.batch.rows].to(self.device)


class OwnNoise(Noise):
    """Draws of each sample by itself: the same in any batch, and made on the CPU, the same on any device.

    Args:
        samples: which they are.
    """

    def __init__(self, device: torch.device, samples: Sequence[int], *key: object) -> None:
        super().__init__(device, Span(0, len(samples), 0, len(samples)), *key)
        self.samples = samples

    def on_cpu(self) -> Noise:
        return OwnNoise(torch.device("cpu"), self.samples, *self.key)

    def whole(self, name: str, *shape: int) -> Tensor:
        return self._each(torch.rand, name, *shape)

    def normal(self, name: str, *shape: int) -> Tensor:
        return self._each(torch.randn, name, *shape)

    def _each(self, draw: Callable[..., Tensor], name: str, *shape: int) -> Tensor:
        made = [draw(shape, generator=generator_for("cpu", *self.key, sample, name)) for sample in self.samples]
        return torch.stack(made).to(self.device)


class CriticOutput(NamedTuple):
    """What a critic with an auxiliary classifier answers: logits (N,), and logits of the classes (N, K)."""

    logits: Tensor
    classes: Tensor


class Side(NamedTuple):
    """What a critic is shown: a sample, and what stands beside it (its label, its source, its code).

    Attributes:
        sample: (N, ...).
        beside: tensors (N, ...), further arguments of the critic.
    """

    sample: Tensor
    beside: tuple[Tensor | None, ...] = ()


class Match:
    """One question put to one critic: which of these are real?

    What the two sides share (a label, a source) is the question's; in what they differ, the players move, and there
    penalties take input gradients: always in the sample, and in what stands beside it where each side has its own.

    Args:
        critic: maps a side, `(sample, *beside)`, to logits (N,), or (N, ...) where it answers by patch, or to
            `CriticOutput`.
        real, fake: the two sides, equal in shape.
        noise: where a penalty gets its random numbers from.
        suffix: sets the terms of several matches of one game apart in the log (`_a`, `_b`).
        differentiates: which sides a penalty takes input gradients of ("real", "fake"). They become
            leaves that ask for gradients before their logits are made, so that the penalty can
            share the logits of the adversarial term.
        precise: judge in float32 whatever the precision of the run (a penalty's double backward).
        label: (N,), of both sides, where the critic names classes too.

    Logits are made on first use, the real ones and the fake ones in two passes: they never share
    a batch through batch norm.
    """

    def __init__(
        self,
        critic: Callable[..., Tensor | CriticOutput],
        real: Side,
        fake: Side,
        noise: Noise | None = None,
        suffix: str = "",
        differentiates: frozenset[str] = frozenset(),
        precise: bool = False,
        label: Tensor | None = None,
    ) -> None:
        self.critic, self.noise, self.suffix, self.precise, self.label = critic, noise, suffix, precise, label
        self.own = tuple(mine is not theirs for mine, theirs in zip(real.beside, fake.beside, strict=True))
        self.real = self.leaf(real) if "real" in differentiates else real
        self.fake = self.leaf(fake) if "fake" in differentiates else fake

    def parts(self, side: Side) -> list[Tensor]:
        """What the players move of a side: its sample, and what of `beside` is not shared with the other side."""
        beside = [part for part, own in zip(side.beside, self.own, strict=True) if own and part is not None]
        return [side.sample, *beside]

    def changed(self, side: Side, parts: Sequence[Tensor]) -> Side:
        """A side with other `parts` in place of its own."""
        sample, *rest = parts
        pairs = zip(side.beside, self.own, strict=True)
        beside = [rest.pop(0) if own and part is not None else part for part, own in pairs]
        return Side(sample, tuple(beside))

    def leaf(self, side: Side) -> Side:
        """The same side, cut off from its history, asking for gradients."""
        return self.changed(side, [part.detach().requires_grad_() for part in self.parts(side)])

    def answer(self, side: Side) -> Tensor | CriticOutput:
        """What the critic says of any side, float32."""
        with torch.autocast(side.sample.device.type, enabled=False) if self.precise else nullcontext():
            shown = [side.sample, *side.beside]
            said = self.critic(*(map(_float, shown) if self.precise else shown))
        return CriticOutput(*(part.float() for part in said)) if isinstance(said, CriticOutput) else said.float()

    def judge(self, side: Side) -> Tensor:
        """Logits of any side, float32."""
        said = self.answer(side)
        return said.logits if isinstance(said, CriticOutput) else said

    @cached_property
    def real_answer(self) -> Tensor | CriticOutput:
        return self.answer(self.real)

    @cached_property
    def fake_answer(self) -> Tensor | CriticOutput:
        return self.answer(self.fake)

    @cached_property
    def real_logits(self) -> Tensor:
        return self.real_answer.logits if isinstance(self.real_answer, CriticOutput) else self.real_answer

    @cached_property
    def fake_logits(self) -> Tensor:
        return self.fake_answer.logits if isinstance(self.fake_answer, CriticOutput) else self.fake_answer

    def classes(self, side: str) -> Tensor:
        """The critic's logits of the classes (N, K) of its "real" or "fake" side.

        Raises:
            TypeError: a critic without a classifier.
        """
        said = self.real_answer if side == "real" else self.fake_answer
        if not isinstance(said, CriticOutput):
            raise TypeError("this critic names no classes: its answer is no `CriticOutput`")
        return said.classes

    def seen(self) -> dict[str, Tensor]:
        """The logits made so far, by name, for the log."""
        made = {name: self.__dict__.get(f"{name}_logits") for name in ("real", "fake")}
        return {f"{name}{self.suffix}": logits.detach() for name, logits in made.items() if logits is not None}


def _float(part: Tensor | None) -> Tensor | None:
    return part.float() if part is not None and part.is_floating_point() else part


def per_sample(values: Tensor) -> Tensor:
    """(N, ...) -> (N,): a critic that answers by patch counts as the mean over its patches."""
    return values.flatten(1).mean(1) if values.dim() > 1 else values
