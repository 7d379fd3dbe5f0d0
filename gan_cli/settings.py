"""The trainer's settings as plain typed values. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal


@dataclass
class TrainerSettings:
    """How a run is carried out; see `conf/trainer/default.yaml` for each key's meaning and unit."""

    total_images: int = 100_000
    batch_size: int = 64
    accumulate: int = 1
    device: str = "auto"
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    ema_halflife_images: int = 10_000
    ema_ramp_up: float | None = 0.05
    ema_ramp_images: int | None = None
    ema_decay: float | None = None
    log_every_images: int = 2_000
    sample_every_images: int = 20_000
    checkpoint_every_images: int = 50_000
    keep_checkpoints: int = 2
    preview_samples: int = 64
    status_every_s: float = 5.0
    deterministic: bool = False
    processes: int = 1
    max_restarts: int = 0
    evaluate_every_images: int = 0
    evaluate_count: int = 10_000
    evaluate_split: str | None = None
    keep_best: str | None = None
    patience_images: int | None = None

    # what may differ when a run goes on: none of it changes what is learned
    FREE_ON_RESUME: ClassVar[tuple[str, ...]] = (
        "total_images",
        "device",
        "log_every_images",
        "sample_every_images",
        "checkpoint_every_images",
        "keep_checkpoints",
        "status_every_s",
        "processes",
        "max_restarts",
        "evaluate_every_images",
        "evaluate_count",
        "evaluate_split",
        "keep_best",
        "patience_images",
    )


def trainer_settings(config: dict[str, Any]) -> TrainerSettings:
    """The `trainer` section of a composed config."""
    names = {field.name for field in fields(TrainerSettings)}
    return TrainerSettings(**{key: value for key, value in config["trainer"].items() if key in names})
