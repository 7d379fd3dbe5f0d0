"""What a checkpoint holds, and putting it back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gan_cli import checkpoint
from gan_cli.checkpoint import model_facts
from gan_cli.data.order import Data
from gan_cli.ema import EMA
from gan_cli.errors import UserError
from gan_cli.gan import GAN
from gan_cli.log import Console, Meter
from gan_cli.phase import Phase
from gan_cli.run_folder import flat, not_learned
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


def check_same_run(path: Path, content: dict[str, Any], config: dict[str, Any], data: Data) -> None:
    """Whether a checkpoint is one of this run, on the data that it was trained on.

    Args:
        path: the checkpoint's file, to be named.
        content: what it holds.
        config: the run's.
        data: the run's.

    Raises:
        UserError: it is not; says in what they differ.
    """
    keys = differing(model_facts(content["config"]), model_facts(config))
    if keys:
        raise UserError(f"{path} is a checkpoint of another model: {told(keys, content['config'], config)}; {TAKE_OUT}")
    before = content["data"]
    if before["fingerprint"] != data.fingerprint:
        keys = [key for key in differing(content["config"], config) if key.startswith("dataset.")]
        counts = f"{before['count']:,} samples then, {len(data):,} now"
        why = f"; {told(keys, content['config'], config)}" if keys else ""
        same = ": other files, or the same under other names" if before["count"] == len(data) and not keys else ""
        raise UserError(
            f"the data set has changed since the checkpoint ({counts}{same}{why}): the order of the data would not be"
            " the same; start a new run with init_from= instead of resume="
        )
    free = ("trainer.", "dataset.", "init_from")  # the command has compared these with the run's own config
    keys = [key for key in differing(content["config"], config) if not key.startswith(free) and not not_learned(key)]
    if keys:
        raise UserError(f"{path} is a checkpoint of another run: {told(keys, content['config'], config)}; {TAKE_OUT}")


TAKE_OUT = "take it out of this run's checkpoints/, or start a new run from its weights with init_from="


def differing(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """The dotted keys in which two configs differ."""
    one, other = flat(before), flat(now)
    return [key for key in sorted({*one, *other}) if one.get(key) != other.get(key)]


def told(keys: list[str], before: dict[str, Any], now: dict[str, Any]) -> str:
    """`seed is 3 there and 4 here`, of the first key."""
    return f"{keys[0]} is {flat(before).get(keys[0])} there and {flat(now).get(keys[0])} here"


def restore(
    content: dict[str, Any],
    gan: GAN,
    phases: list[Phase],
    ema: EMA,
    update: Updater,
    state: State,
    meter: Meter,
) -> None:
    """The inverse of `snapshot`."""
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
