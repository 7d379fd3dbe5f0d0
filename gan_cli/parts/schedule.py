"""Schedules: pure functions of images seen."""

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
    """1 until `start_images`, then towards `final_factor` at `end_images`, then constant.

    Args:
        kind: "constant", "linear" or "cosine" (how the factor falls between the two ends).
        start_images: where the change begins, in images seen.
        end_images: where it ends; needed unless `kind` is "constant". A span of its own: making a
            run longer does not stretch it.
        final_factor: the factor at and after `end_images`.
        warmup_images: the factor rises linearly from 0 over the first images; 0 for none.
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
        """How much of the change is behind: 0 until its start, 1 from its end on; a constant schedule has none."""
        if self.kind == "constant" or self.end_images is None:
            return 0.0
        passed = min(max((images - self.start_images) / (self.end_images - self.start_images), 0.0), 1.0)
        return passed if self.kind == "linear" else (1 - math.cos(math.pi * passed)) / 2


@dataclass(frozen=True)
class Course:
    """What an optimizer's options are, by images seen; called, it gives the learning rate.

    Attributes:
        base: learning rate before the schedule.
        schedule: the factor on it.
        betas: Adam's, where the optimizer has them.
        final_beta2: what the second of them becomes as `schedule` runs its span; None: it stays.
        slower: lazy regularization takes more steps: the rate is multiplied by this, and the betas are raised to it
            (Karras et al. 2020, appendix B).
        faster: where a stage has a rate of its own: a factor.
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
        """A restored optimizer brings its old options, so they are set anew before every step."""
        for group in optimizer.param_groups:
            group["lr"] = self(images)
            if self.betas is not None:
                first, second = self.betas
                if self.final_beta2 is not None:
                    second += (self.final_beta2 - second) * self.schedule.done(images)
                group["betas"] = (first**self.slower, second**self.slower)

    def changed(self, **options: Any) -> Course:
        return replace(self, **options)


def pass_on_progress(modules: Iterable[nn.Module], images: int) -> None:
    """Tell every part that has a method `set_progress` how many images were seen."""
    for module in modules:
        for part in module.modules():
            if callable(told := getattr(part, "set_progress", None)):
                told(images)
