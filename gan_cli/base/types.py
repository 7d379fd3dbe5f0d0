"""Types that all layers share: batches, random draws, and the questions put to critics.

Shape legend: N samples in a batch, C,H,W an image, Z latent size, K classes, D coordinates of a point. Images are in
[-1, 1] at every interface. Labels are class indices, int64, shape (N,).
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
    """A batch of real samples, on the training device.

    With several processes or `accumulate`, it is rows `start:start + len(batch)` of a global batch of `total` samples.
    Random draws are made for the global batch and sliced, so that they don't depend on how it is split.

    Attributes:
        fields: tensors whose first dimension is N, by name (`image`, `label`, `point`, ...).
        first: index of the global batch's first image among all images that the run sees.
        total: samples in the global batch.
        start: the first of this batch's rows in the global batch.
        field: the name of the field that a plain critic sees; the medium tells it.
        fakes: fakes that an earlier phase of the same step drew, with their graph.
    """

    fields: dict[str, Tensor]
    first: int
    total: int
    start: int = 0
    field: str = "image"
    fakes: dict[str, Tensor] | None = None

    def __len__(self) -> int:
        return len(next(iter(self.fields.values())))

    @property
    def real(self) -> Tensor:
        """Return the field that a plain critic sees."""
        return self.fields[self.field]

    @property
    def label(self) -> Tensor | None:
        return self.fields.get("label")

    @property
    def rows(self) -> slice:
        return slice(self.start, self.start + len(self))

    def split(self, parts: int) -> Iterator[Batch]:
        """Yield equal consecutive parts, for gradient accumulation; the batch itself where `parts` is 1."""
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
    """The place of rows in a global batch; random draws need no more of a batch."""

    first: int
    total: int
    start: int
    size: int

    @property
    def rows(self) -> slice:
        return slice(self.start, self.start + self.size)


@dataclass
class State:
    """The progress of a run; checkpoints keep all of it."""

    seed: int = 0
    images: int = 0  # real images consumed by the phases that draw them; each repetition of the critic counts
    step: int = 0
    updates: dict[str, int] = field(default_factory=dict)  # optimizer steps by phase name

    def to_dict(self) -> Progress:
        """Convert it to plain values."""
        return {"seed": self.seed, "images": self.images, "step": self.step, "updates": dict(self.updates)}


class Noise:
    """The random draws of one update: made for the global batch, then sliced to this batch's rows."""

    def __init__(self, device: torch.device, batch: Batch | Span, *key: object) -> None:
        self.device, self.batch, self.key = device, batch, key

    def on_cpu(self) -> Noise:
        """Return the same noise drawn on the CPU, for draws that Python reads: no read then waits for the device."""
        return Noise(torch.device("cpu"), self.batch, *self.key)

    def whole(self, name: str, *shape: int) -> Tensor:
        """Draw (total, *shape) uniform in [0, 1), for all rows of the global batch."""
        generator = generator_for(self.device, *self.key, self.batch.first, name)
        return torch.rand(self.batch.total, *shape, generator=generator, device=generator.device).to(self.device)

    def uniform(self, name: str, *shape: int) -> Tensor:
        """Draw (N, *shape) uniform in [0, 1); equal `name`s give equal draws."""
        return self.whole(name, *shape)[self.batch.rows]

    def normal(self, name: str, *shape: int) -> Tensor:
        """Draw (N, *shape) from a standard normal; equal `name`s give equal draws."""
        generator = generator_for(self.device, *self.key, self.batch.first, name)
        drawn = torch.randn(self.batch.total, *shape, generator=generator, device=generator.device)
        return drawn[self.batch.rows].to(self.device)


class OwnNoise(Noise):
    """Random draws by sample: those of a sample are the same in any batch, and on any device, as the CPU draws them.

    Args:
        samples: the samples' numbers; each seeds its draws.
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
        drawn = [draw(shape, generator=generator_for("cpu", *self.key, sample, name)) for sample in self.samples]
        return torch.stack(drawn).to(self.device)


class CriticOutput(NamedTuple):
    """The output of a critic with an auxiliary classifier: logits (N,), and logits of the classes (N, K)."""

    logits: Tensor
    classes: Tensor


class Side(NamedTuple):
    """The input of a critic: samples, and what stands beside each (its label, its source, its code).

    Attributes:
        sample: (N, ...).
        beside: tensors (N, ...), the critic's further arguments.
    """

    sample: Tensor
    beside: tuple[Tensor | None, ...] = ()


class Match:
    """One question put to one critic: which of these are real?

    The two sides may share a tensor beside the sample, such as a label or a source: it belongs to the question. The
    sample, and each tensor beside it that differs between the sides, come from the players. Penalties take input
    gradients in those.

    Logits are computed on first use, in one pass for the real side and one for the fake side. So the sides never share
    a batch in batch norm.

    Args:
        critic: maps a side, `(sample, *beside)`, to logits (N,), or (N, ...) for a patch critic, or to `CriticOutput`.
        real, fake: the two sides, equal in shape.
        noise: the source of a penalty's random numbers.
        suffix: distinguishes the terms of several matches of a game in the log (`_a`, `_b`).
        differentiates: the sides in which a penalty takes input gradients ("real", "fake"). They become leaves that
            require gradients before their logits are computed, so that penalty and loss share the logits.
        precise: compute in float32 whatever the run's precision, for a penalty's double backward.
        label: (N,), of both sides, where the critic also names classes.
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
        # for each tensor beside the samples, whether the sides have different ones
        self.own = tuple(mine is not theirs for mine, theirs in zip(real.beside, fake.beside, strict=True))
        self.real = self.leaf(real) if "real" in differentiates else real
        self.fake = self.leaf(fake) if "fake" in differentiates else fake

    def parts(self, side: Side) -> list[Tensor]:
        """List the tensors of a side that come from the players: its sample, and those beside it not shared by both."""
        beside = [part for part, own in zip(side.beside, self.own, strict=True) if own and part is not None]
        return [side.sample, *beside]

    def changed(self, side: Side, parts: Sequence[Tensor]) -> Side:
        """Return a side with other tensors in place of its `parts`."""
        sample, *rest = parts
        pairs = zip(side.beside, self.own, strict=True)
        beside = [rest.pop(0) if own and part is not None else part for part, own in pairs]
        return Side(sample, tuple(beside))

    def leaf(self, side: Side) -> Side:
        """Return a side whose `parts` are detached from their graph and require gradients."""
        return self.changed(side, [part.detach().requires_grad_() for part in self.parts(side)])

    def answer(self, side: Side) -> Tensor | CriticOutput:
        """Compute the critic's output for any side, in float32."""
        with torch.autocast(side.sample.device.type, enabled=False) if self.precise else nullcontext():
            shown = [side.sample, *side.beside]
            output = self.critic(*(map(_float, shown) if self.precise else shown))
        return CriticOutput(*(part.float() for part in output)) if isinstance(output, CriticOutput) else output.float()

    def judge(self, side: Side) -> Tensor:
        """Compute the critic's logits for any side, in float32."""
        output = self.answer(side)
        return output.logits if isinstance(output, CriticOutput) else output

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
        """Return the critic's logits of the classes (N, K) for the "real" or "fake" side.

        Raises:
            TypeError: the critic has no classifier.
        """
        output = self.real_answer if side == "real" else self.fake_answer
        if not isinstance(output, CriticOutput):
            raise TypeError("this critic names no classes: its answer is no `CriticOutput`")
        return output.classes

    def seen(self) -> dict[str, Tensor]:
        """Return the logits computed so far, by name, for the log."""
        by_side = {name: self.__dict__.get(f"{name}_logits") for name in ("real", "fake")}
        return {f"{name}{self.suffix}": logits.detach() for name, logits in by_side.items() if logits is not None}


def _float(part: Tensor | None) -> Tensor | None:
    return part.float() if part is not None and part.is_floating_point() else part


def per_sample(values: Tensor) -> Tensor:
    """Average (N, ...) to (N,): the logit of a patch critic is the mean over its patches."""
    return values.flatten(1).mean(1) if values.dim() > 1 else values
