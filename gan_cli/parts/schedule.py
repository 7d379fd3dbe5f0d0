"""Schedules of learning rates and other options, as functions of images seen."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

from annotated_types import Interval
from torch import nn
from torch.optim import Optimizer

from gan_cli.base.limits import Images


class Schedule:
    """A factor: 1 until `start_images`, then changing to `final_factor` at `end_images`, then constant.

    Args:
        kind: "constant", "linear" or "cosine": the form of the change.
        start_images: the images seen at which the change begins.
        end_images: the images seen at which it ends; required unless `kind` is "constant". It does not depend on the
            run's length, so that a longer run keeps it.
        final_factor: the factor at and after `end_images`.
        warmup_images: over so many images, the factor also rises linearly from 0; 0: no warmup.
    """

    def __init__(
        self,
        kind: Literal["constant", "linear", "cosine"] = "constant",
        start_images: Images = 0,
        end_images: Images | None = None,
        final_factor: Annotated[float, Interval(ge=0, le=1_000)] = 0.0,
        warmup_images: Images = 0,
    ) -> None:
        if kind not in ("constant", "linear", "cosine"):
            raise ValueError(f"schedule kind {kind!r} is unknown: use constant, linear or cosine")
        if kind != "constant" and (end_images is None or end_images <= start_images):
            raise ValueError(f"a {kind} schedule needs end_images above start_images={start_images}, got {end_images}")
        self.kind, self.start_images, self.end_images = kind, start_images, end_images
        self.final_factor, self.warmup_images = final_factor, warmup_images

    def __call__(self, images: int) -> float:
        warmup = min(1.0, images / self.warmup_images) if self.warmup_images else 1.0
        return warmup * (1.0 + (self.final_factor - 1.0) * self.done(images))

    def done(self, images: int) -> float:
        """Compute the share of the change that is done: 0 until its start, 1 from its end on; constant schedules: 0."""
        if self.kind == "constant" or self.end_images is None:
            return 0.0
        passed = min(max((images - self.start_images) / (self.end_images - self.start_images), 0.0), 1.0)
        return passed if self.kind == "linear" else (1 - math.cos(math.pi * passed)) / 2


@dataclass(frozen=True)
class Course:
    """The options of an optimizer as functions of images seen; a call returns the learning rate.

    Attributes:
        base: the learning rate before the schedule.
        schedule: the factor of the learning rate.
        betas: Adam's betas; None where the optimizer has none.
        final_beta2: the second beta at the end of `schedule`; None: it does not change.
        slower: with lazy regularization, a player takes more steps: the learning rate is multiplied by this, and the
            betas are raised to this power (Karras et al. 2020, appendix B).
        faster: a further factor of the learning rate, for a stage of a growing network.
    """

    base: float
    schedule: Schedule = field(default_factory=Schedule)
    betas: tuple[float, float] | None = None
    final_beta2: float | None = None
    slower: float = 1.0
    faster: float = 1.0

    def __call__(self, images: int) -> float:
        return self.base * self.faster * self.slower * self.schedule(images)

    def set(self, optimizer: Optimizer, images: int) -> None:
        """Set an optimizer's learning rate and betas, before every step: a restored optimizer has old values."""
        for group in optimizer.param_groups:
            group["lr"] = self(images)
            if self.betas is not None:
                first, second = self.betas
                if self.final_beta2 is not None:
                    second += (self.final_beta2 - second) * self.schedule.done(images)
                group["betas"] = (first**self.slower, second**self.slower)

    def changed(self, **options: Any) -> Course:
        """Return a copy with other values of attributes."""
        return replace(self, **options)


def pass_on_progress(modules: Iterable[nn.Module], images: int) -> None:
    """Pass the count of images seen to every submodule that has a method `set_progress`."""
    for module in modules:
        for part in module.modules():
            if callable(set_progress := getattr(part, "set_progress", None)):
                set_progress(images)
