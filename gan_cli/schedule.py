"""Learning-rate schedules: a factor on the base rate, a pure function of images seen."""

from __future__ import annotations

import math


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
        kind: str = "constant",
        start_images: int = 0,
        end_images: int | None = None,
        final_factor: float = 0.0,
        warmup_images: int = 0,
    ) -> None:
        if kind not in ("constant", "linear", "cosine"):
            raise ValueError(f"schedule kind {kind!r} is unknown: use constant, linear or cosine")
        if kind != "constant" and (end_images is None or end_images <= start_images):
            raise ValueError(f"a {kind} schedule needs end_images above start_images={start_images}, got {end_images}")
        self.kind, self.start_images, self.end_images = kind, start_images, end_images
        self.final_factor, self.warmup_images = final_factor, warmup_images

    def __call__(self, images: int) -> float:
        warmup = min(1.0, images / self.warmup_images) if self.warmup_images else 1.0
        if self.kind == "constant" or self.end_images is None:
            return warmup
        done = min(max((images - self.start_images) / (self.end_images - self.start_images), 0.0), 1.0)
        fallen = done if self.kind == "linear" else (1 - math.cos(math.pi * done)) / 2
        return warmup * (1.0 + (self.final_factor - 1.0) * fallen)
