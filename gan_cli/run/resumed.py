"""The checks of a checkpoint that a run goes on from or starts from, and the loading of its weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from gan_cli.base import checkpoint
from gan_cli.base.console import Console
from gan_cli.base.errors import UserError
from gan_cli.base.files import expanded
from gan_cli.base.records import Content, StateDict
from gan_cli.base.run_config import Composed
from gan_cli.base.run_folder import PLACES, flat, model_facts, not_learned
from gan_cli.base.stored import check_content
from gan_cli.data.order import Data
from gan_cli.game.game import Game
from gan_cli.parts.ema import EMA


def check_same_run(path: Path, content: Content, config: Composed, data: Data) -> None:
    """Refuse a checkpoint that is not of this run, or whose data set was another.

    Args:
        path: the checkpoint's file, for the message.
        content: the checkpoint's content.
        config: the run's.
        data: the run's.

    Raises:
        UserError: the checkpoint is of another run; the message says in what they differ.
        RunError: the content is not a checkpoint's.
    """
    check_content(content, str(path))
    keys = differing(model_facts(content["config"]), model_facts(config))
    if keys:
        raise UserError(
            f"{path} is a checkpoint of another model: {first_difference(keys, content['config'], config)}; {TAKE_OUT}"
        )
    before = content["data"]
    if before["fingerprint"] != data.fingerprint:
        keys = [key for key in differing(content["config"], config) if key.startswith("dataset.")]
        chosen = [key for key in keys if key not in PLACES]
        counts = f"{before['count']:,} samples then, {len(data):,} now"
        why = f"; {first_difference([*chosen, *keys], content['config'], config)}" if keys else ""
        same = ": other files, or the same under other names" if before["count"] == len(data) and not chosen else ""
        raise UserError(
            f"the data set has changed since the checkpoint ({counts}{same}{why}): the order of the data would not be"
            " the same; start a new run with init_from= instead of resume="
        )
    free = ("trainer.", "dataset.", "init_from")  # the command has compared these with the run's own config
    keys = [key for key in differing(content["config"], config) if not key.startswith(free) and not not_learned(key)]
    if keys:
        raise UserError(
            f"{path} is a checkpoint of another run: {first_difference(keys, content['config'], config)}; {TAKE_OUT}"
        )


TAKE_OUT = "take it out of this run's checkpoints/, or start a new run from its weights with init_from="


def differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """List the dotted keys in which two configs differ."""
    one, other = flat(before), flat(now)
    return [key for key in sorted({*one, *other}) if one.get(key) != other.get(key)]


def first_difference(keys: list[str], before: Composed, now: Composed) -> str:
    """Format how two configs differ in the first key: `seed is 3 there and 4 here`."""
    return f"{keys[0]} is {flat(before).get(keys[0])} there and {flat(now).get(keys[0])} here"


def load_optimizer(optimizer: Optimizer, stored: StateDict) -> None:
    """Check an optimizer's stored state and load it.

    Torch takes any state whose groups are as long, and fails in the middle of a step.

    Raises:
        ValueError: options or states of another kind than the optimizer's own.
    """
    groups = [dict(group) for group in optimizer.param_groups]
    for group, kept in zip(groups, stored["param_groups"], strict=True):
        for key, value in group.items():
            if key != "params" and key in kept and option_kind(value) != option_kind(kept[key]):
                raise ValueError(f"the optimizer's {key} is {kept[key]!r}")
    parameters = [parameter for group in groups for parameter in group["params"]]
    for number, state in stored["state"].items():
        for key, value in state.items():
            expected_shape = () if key == "step" else parameters[number].shape
            if isinstance(value, Tensor):
                fits = value.shape == expected_shape and not value.is_complex()
            else:  # None: of a momentum that is 0
                fits = value is None if key.endswith("buffer") else key == "step" and isinstance(value, (int, float))
            if not fits or (key == "step" and not float(value) >= 0):
                raise ValueError(f"the optimizer's {key} of parameter {number} does not fit it")
    if len({frozenset(state) for state in stored["state"].values()}) > 1:
        raise ValueError("the optimizer's state is not of one kind for all parameters")
    optimizer.load_state_dict(stored)
    for loaded, group in zip(optimizer.param_groups, groups, strict=True):
        for key, value in group.items():
            loaded.setdefault(key, value)


def option_kind(value: Any) -> Any:
    """Return the kind of an option's value, which must be the same for a step to work with it.

    All numbers are of one kind. True, false and null are each a kind. Any other value's kind is its type.
    """
    if isinstance(value, (list, tuple)):
        return tuple(option_kind(item) for item in value)
    if isinstance(value, bool) or value is None:
        return value
    return "number" if isinstance(value, (int, float)) else type(value)


def start_from(where: str, game: Game, ema: EMA, class_names: list[str], console: Console) -> Path:
    """Load another run's averaged networks and trained critics as first weights, for fine-tuning.

    Nothing else of its game is loaded. Its penalties and augmentations have measured other data, and its pool of
    pictures holds other data.

    Args:
        class_names: of the data; `console` gets a warning where that run's differ, since weights go by class number.

    Raises:
        UserError: there is no valid checkpoint, or it is of another model.
    """
    path, content = checkpoint.load(expanded(where), console)
    check_content(content, str(path))
    weights, averages = content["game"], content["ema"]
    try:
        for name, network in game.networks.items():
            trained = {
                key.removeprefix(f"{name}."): value for key, value in weights.items() if key.startswith(f"{name}.")
            }
            network.load_state_dict(averages[name] if name in ema.networks else trained)
    except (RuntimeError, KeyError, AttributeError, TypeError) as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise UserError(f"init_from={where!r} is a checkpoint of another model ({reason})") from error
    for name, network in ema.networks.items():
        network.load_state_dict(game.networks[name].state_dict())
    before = list(content["data"]["class_names"])
    renamed = [pair for pair in zip(before, class_names, strict=False) if pair[0] != pair[1]]
    if game.num_classes is not None and renamed:
        console(
            f"warning: the classes of {path} have other names, and weights go by their numbers:"
            f' {len(renamed)} differ, as "{renamed[0][0]}" there and "{renamed[0][1]}" here'
        )
    return path
