"""The trainer's settings as plain typed values. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

if TYPE_CHECKING:  # read from the source, never made
    from annotated_types import Ge, Interval

    from gan_cli.base.limits import Batch, Beta, Count, Images, Positive, Rate, Samples, Workers


@dataclass
class TrainerSettings:
    """The settings of a training run; `conf/trainer/default.yaml` explains each key and its unit."""

    total_images: Count = 100_000
    batch_size: Batch = 64
    accumulate: Count = 1
    device: str = "auto"
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    ema_halflife_images: Images = 10_000
    ema_ramp_up: Positive | None = 0.05
    ema_ramp_images: Count | None = None
    ema_decay: Beta | None = None
    log_every_images: Images = 2_000
    sample_every_images: Images = 20_000
    checkpoint_every_images: Images = 50_000
    keep_checkpoints: Count = 2
    preview_samples: Annotated[int, Interval(ge=1, le=10_000)] = 64
    status_every_s: Annotated[float, Interval(ge=0, le=1e6)] = 5.0
    deterministic: bool = False
    threads: Workers | None = None
    processes: Annotated[int, Interval(ge=1, le=1_024)] = 1
    max_restarts: Annotated[int, Ge(0)] = 0
    evaluate_every_images: Images = 0
    evaluate_count: Samples = 10_000
    evaluate_split: Literal["train", "valid", "test", "all"] | None = None
    keep_best: str | None = None
    patience_images: Count | None = None

    # keys that a resume may change: none of them changes what is learned
    FREE_ON_RESUME: ClassVar[tuple[str, ...]] = (
        "total_images",
        "device",
        "log_every_images",
        "sample_every_images",
        "checkpoint_every_images",
        "keep_checkpoints",
        "status_every_s",
        "threads",
        "processes",
        "max_restarts",
        "evaluate_every_images",
        "evaluate_count",
        "evaluate_split",
        "keep_best",
        "patience_images",
    )


@dataclass
class OptimizerSettings:
    """The keys of `optimizer` that belong to this program, not to the optimizer's class; the check reads them."""

    learning_rate: Rate
    rates: dict[str, Rate | None] | None = None  # by player
    player_betas: dict[str, tuple[Beta, Beta] | None] | None = None
    schedule: dict[str, Any] | None = None  # arguments of `schedule.Schedule`
    final_beta2: Beta | None = None


def trainer_settings(section: Mapping[str, Any]) -> TrainerSettings:
    """Make the settings from the `trainer` section of a composed config."""
    names = {field.name for field in fields(TrainerSettings)}
    return TrainerSettings(**{key: value for key, value in section.items() if key in names})
