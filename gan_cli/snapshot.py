"""What a checkpoint holds, and putting it back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gan_cli import checkpoint
from gan_cli.data.order import Data
from gan_cli.ema import EMA
from gan_cli.errors import UserError
from gan_cli.gan import GAN
from gan_cli.log import Console, Meter
from gan_cli.phase import Phase
from gan_cli.types import State
from gan_cli.update import Updater


def snapshot(
    config: dict[str, Any],
    gan: GAN,
    phases: list[Phase],
    ema: EMA,
    update: Updater,
    state: State,
    meter: Meter,
    data: Data,
) -> dict[str, Any]:
    """Tensors and plain values: all that the run needs to go on exactly. No generator state: see `randomness`."""
    return {
        "config": config,
        "progress": state.to_dict(),
        "gan": gan.state_dict(),
        "ema": ema.state_dict(),
        "optimizers": {phase.name: phase.optimizer.state_dict() for phase in phases if not phase.regularizes},
        "scaler": update.scaler.state_dict(),
        "meter": meter.state_dict(),
        "data": {"fingerprint": data.fingerprint, "count": len(data), "class_names": list(data.class_names)},
    }


def restore(
    content: dict[str, Any],
    gan: GAN,
    phases: list[Phase],
    ema: EMA,
    update: Updater,
    state: State,
    meter: Meter,
    data: Data,
) -> None:
    """The inverse of `snapshot`.

    Raises:
        UserError: the data set is no longer the one that the run was trained on.
    """
    before = content["data"]
    if before["fingerprint"] != data.fingerprint:
        raise UserError(
            f"the data set has changed since the checkpoint ({before['count']:,} samples then, {len(data):,} now):"
            " the order of the data would not be the same; start a new run with init_from= instead of resume="
        )
    progress = content["progress"]
    state.seed, state.images, state.step = progress["seed"], progress["images"], progress["step"]
    state.updates = dict(progress["updates"])
    gan.load_state_dict(content["gan"])
    ema.load_state_dict(content["ema"], state.images)
    for phase in phases:
        if phase.regularizes:  # by another phase's optimizer
            continue
        phase.optimizer.load_state_dict(content["optimizers"][phase.name])
    if update.scaler.is_enabled():
        update.scaler.load_state_dict(content["scaler"])
    meter.load_state_dict(content["meter"])


def start_from(where: str, gan: GAN, ema: EMA, console: Console) -> Path:
    """Fine-tuning: another run's averaged generators and trained critics as first weights.

    Raises:
        UserError: no valid checkpoint there, or one of another model.
    """
    path, content = checkpoint.load(Path(where).expanduser(), console)
    try:
        gan.load_state_dict(content["gan"])
        for name, network in gan.generators.items():
            network.load_state_dict(content["ema"][name])
    except (RuntimeError, KeyError) as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise UserError(f"init_from={where!r} is a checkpoint of another model ({reason})") from error
    for name, network in ema.networks.items():
        network.load_state_dict(gan.generators[name].state_dict())
    return path
