"""Penalties on the critic's gradient with respect to its input.

Each returns shape (N,), with its weight included. A penalty must be per sample. Batch norm in the critic would couple
the samples, so each of these penalties asks for a critic without it (see the YAML's `brings`). Squared gradients are
summed over all dimensions but the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from gan_cli.base.distributed import global_mean
from gan_cli.base.limits import Count, Weight
from gan_cli.base.types import Match
from gan_cli.parts.schedule import Schedule
from gan_cli.penalties.turn import Turn

TINY = 1e-12  # under the square root: its derivative at exactly 0 is infinite


class Penalty(nn.Module):
    """The interface of a penalty.

    Attributes:
        paid_by: the players that pay it: all that judge, or the first that does not.
        differentiates: sides of the match of which it takes input gradients.

    Args:
        weight: factor on the term (or gamma, if the paper's term has the factor gamma/2).
        every: lazy regularization: the term is added on every k-th update of its player only, k times as strong.
        final_weight: weight that is reached at `ramp_images` along a cosine; None: the weight stays.
    """

    paid_by: ClassVar[Literal["critics", "generators"]] = "critics"
    differentiates: ClassVar[frozenset[str]] = frozenset()

    @staticmethod
    def refusal(at: str, final_weight: float | None = None, ramp_images: int | None = None) -> str | None:
        """Return why `final_weight` is incomplete, or None (see `check.rules`)."""
        needs = final_weight is not None and not ramp_images
        return f"{at}.final_weight needs {at}.ramp_images, where it is reached" if needs else None

    def __init__(
        self, weight: Weight, every: Count = 1, final_weight: Weight | None = None, ramp_images: Count | None = None
    ) -> None:
        super().__init__()
        self.weight, self.every = weight, every
        self.span = (weight, weight if final_weight is None else final_weight)
        self.ramp = Schedule("constant") if final_weight is None else Schedule("cosine", 0, ramp_images)

    def set_progress(self, images: int) -> None:
        first, last = self.span
        self.weight = first + (last - first) * self.ramp.done(images)

    def terms(self, name: str, turn: Turn) -> dict[str, Tensor]:
        """Compute the terms for a turn of the player, by name: one for each match, unless a subclass overrides it."""
        return {name + match.suffix: self.of(match) for match in turn.matches}

    def of(self, match: Match) -> Tensor:
        """Compute the weighted term, (N,)."""
        raise NotImplementedError


class R1(Penalty):
    """gamma/2 |grad D(x)|^2 at reals (Mescheder et al. 2018, eq. 9); `weight` is gamma."""

    differentiates = frozenset({"real"})

    def of(self, match: Match) -> Tensor:
        return self.weight / 2 * squared_gradient(match.real_logits, match.parts(match.real))


class R2(Penalty):
    """gamma/2 |grad D(x)|^2 at fakes (Mescheder et al. 2018, eq. 10); `weight` is gamma."""

    differentiates = frozenset({"fake"})

    def of(self, match: Match) -> Tensor:
        return self.weight / 2 * squared_gradient(match.fake_logits, match.parts(match.fake))


class GradientPenalty(Penalty):
    """weight (|grad D(x)| - target)^2 on straight lines between reals and fakes (Gulrajani et al. 2017, eq. 3).

    One position on the line for each sample.
    """

    differentiates = frozenset({"between"})

    def __init__(self, weight: Weight = 10.0, every: Count = 1, target: Weight = 1.0) -> None:
        super().__init__(weight, every)
        self.target = target

    def of(self, match: Match) -> Tensor:
        assert match.noise is not None
        position = match.noise.uniform("gradient_penalty" + match.suffix)
        between = [
            on_line(real, fake, position)
            for real, fake in zip(match.parts(match.real), match.parts(match.fake), strict=True)
        ]
        logits = match.judge(match.changed(match.real, between))
        return self.weight * (squared_gradient(logits, between).add(TINY).sqrt() - self.target).square()


def on_line(real: Tensor, fake: Tensor, position: Tensor) -> Tensor:
    """Compute points at `position` (N,) between two tensors (N, ...); the points require gradients.

    Under an unrolled critic the fakes keep their history.
    """
    fake = fake.detach() if fake.is_leaf else fake
    between = torch.lerp(real.detach(), fake, position.view(-1, *[1] * (real.dim() - 1)))
    return between if between.requires_grad else between.requires_grad_()


class DRAGAN(Penalty):
    """weight (|grad D(x)| - 1)^2 around the reals (Kodali et al. 2017, algorithm 1).

    As in the authors' code, the points lie between each real and a copy of it, at one position for each sample. The
    copy is moved by `spread` standard deviations of the (global) batch times U[0, 1) noise.
    """

    differentiates = frozenset({"between"})

    def __init__(self, weight: Weight = 10.0, every: Count = 1, spread: Weight = 0.5) -> None:
        super().__init__(weight, every)
        self.spread = spread

    def of(self, match: Match) -> Tensor:
        real, noise = match.real.sample.detach(), match.noise
        assert noise is not None
        mean = global_mean(real)
        deviation = global_mean((real - mean).square()).sqrt()
        moved = self.spread * deviation * noise.uniform("dragan" + match.suffix, *real.shape[1:])
        position = noise.uniform("dragan_position" + match.suffix, *[1] * (real.dim() - 1))
        around = (real + position * moved).requires_grad_()
        logits = match.judge(match.real._replace(sample=around))
        return self.weight * (squared_gradient(logits, [around]).add(TINY).sqrt() - 1).square()


def squared_gradient(logits: Tensor, inputs: Sequence[Tensor]) -> Tensor:
    """Compute |d logits / d inputs|^2 for each sample, (N,); the result is differentiable.

    A patch critic's logits are first averaged to one per sample.
    """
    total = logits.flatten(1).mean(1).sum() if logits.dim() > 1 else logits.sum()
    with torch.autocast(logits.device.type, enabled=False):  # a backward pass here is part of the term
        gradients = torch.autograd.grad(total, list(inputs), create_graph=True)
    return torch.stack([gradient.square().flatten(1).sum(1) for gradient in gradients]).sum(0)
