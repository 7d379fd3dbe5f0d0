"""What a checkpoint holds, and putting it back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from gan_cli import checkpoint
from gan_cli.data.order import Data
from gan_cli.ema import EMA
from gan_cli.errors import UserError
from gan_cli.gan import GAN
from gan_cli.log import Console, Meter
from gan_cli.phase import Phase
from gan_cli.stored import check_content, foreign
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
        RunError: the content is not what `snapshot` makes of such parts.
    """
    check_content(content, "the checkpoint")
    before = content["data"]
    if before["fingerprint"] != data.fingerprint:
        raise UserError(
            f"the data set has changed since the checkpoint ({before['count']:,} samples then, {len(data):,} now):"
            " the order of the data would not be the same; start a new run with init_from= instead of resume="
        )
    with foreign("the checkpoint"):
        put_back(content, gan, phases, ema, update, state, meter)


def put_back(
    content: dict[str, Any], gan: GAN, phases: list[Phase], ema: EMA, update: Updater, state: State, meter: Meter
) -> None:
    progress = content["progress"]
    state.seed, state.images, state.step = progress["seed"], progress["images"], progress["step"]
    state.updates = dict(progress["updates"])
    gan.load_state_dict(content["gan"])
    ema.load_state_dict(content["ema"], state.images)
    for phase in phases:
        if phase.regularizes:  # by another phase's optimizer
            continue
        check_optimizer(phase.optimizer, content["optimizers"][phase.name])
        phase.optimizer.load_state_dict(content["optimizers"][phase.name])
    if update.scaler.is_enabled():
        update.scaler.load_state_dict(content["scaler"])
    meter.load_state_dict(content["meter"])


def check_optimizer(optimizer: Optimizer, stored: dict[str, Any]) -> None:
    """Torch takes any state whose groups are as long, and fails, or trains on, in the middle of a step.

    Raises:
        ValueError: options or states of another kind than the optimizer's own.
    """
    for group, kept in zip(optimizer.param_groups, stored["param_groups"], strict=True):
        for key, value in group.items():
            if key != "params" and kind_of(value) != kind_of(kept[key]):
                raise ValueError(f"the optimizer's {key} is {kept[key]!r}")
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for number, state in stored["state"].items():
        for key, value in state.items():
            wanted = () if key == "step" else parameters[number].shape
            if isinstance(value, Tensor):
                fits = value.shape == wanted and not value.is_complex()
            else:
                fits = value is None or (key == "step" and isinstance(value, (int, float)))
            if not fits or (key == "step" and not float(value or 0) >= 0):
                raise ValueError(f"the optimizer's {key} of parameter {number} does not fit it")


def kind_of(value: Any) -> Any:
    """What a value is, so that a step can reckon with it: numbers are of one kind, of lists the members' count."""
    if isinstance(value, (list, tuple)):
        return tuple(kind_of(item) for item in value)
    return "number" if isinstance(value, (int, float)) or value is None else type(value)


def start_from(where: str, gan: GAN, ema: EMA, console: Console) -> Path:
    """Fine-tuning: another run's averaged generators and trained critics as first weights.

    Raises:
        UserError: no valid checkpoint there, or one of another model.
    """
    path, content = checkpoint.load(Path(where).expanduser(), console)
    check_content(content, str(path))
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
