"""The objects of a run, built from a plain config through an allow-list.

A config may come from a checkpoint that a stranger made, so a `_target_` is looked up, never trusted. It must be a
class, and the place where that class is defined counts, not the name that leads to it. Allowed are parts of this
package, `torch.optim`, `torch.nn`, and packages that the user named with `trust=[...]` on the command line.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from torch import nn
from torch.optim import Optimizer

from gan_cli.base.allow_list import META_KEYS, check_allowed, check_place, is_allowed
from gan_cli.base.errors import UserError
from gan_cli.base.randomness import seed_everything
from gan_cli.base.run_config import DataConfig, GameConfig, Node
from gan_cli.data.order import Data
from gan_cli.game.game import Game, Optimizers
from gan_cli.media.medium import Medium
from gan_cli.parts.schedule import Course, Schedule

OPTIMIZER_KEYS = (
    "_target_",
    "learning_rate",
    "rates",
    "player_betas",
    "schedule",
    "final_beta2",
    *META_KEYS,
)  # read here; all other options go to the torch optimizer


def locate(target: str, trust: Sequence[str] = (), place: str | None = None) -> type:
    """Import the class that `target` names.

    Raises:
        UserError: the target is not on the allow-list, can't be imported, is no class, or does not belong at `place`.
    """
    check_allowed(target, trust)
    if place is not None:
        check_place(target, place, trust)
    module_name, _, name = target.rpartition(".")
    try:
        located = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError) as error:
        raise UserError(f"_target_={target!r} can't be imported ({error})") from error
    if not isinstance(located, type):
        raise UserError(f"_target_={target!r} is not a class")
    if not is_allowed(f"{located.__module__}.{located.__qualname__}", trust):
        raise UserError(
            f"_target_={target!r} is {located.__module__}.{located.__qualname__}, which is not on the allow-list"
        )
    if place is not None:
        check_place(f"{located.__module__}.{located.__qualname__}", place, trust)
    return located


def instantiate(node: Any, trust: Sequence[str] = (), place: str | None = None, **extra: Any) -> Any:
    """Build a config node: dicts with a `_target_` become objects, inner ones first.

    Args:
        place: the node's dotted key in the config, which decides what kinds of classes may stand there
            (`allow_list.SLOTS`); None for a node outside of the config, of any kind.

    Raises:
        UserError: a target is not allowed, does not exist, or its constructor refuses its arguments.
    """
    if isinstance(node, (list, tuple)):
        return [instantiate(item, trust, place) for item in node]
    if not isinstance(node, dict):
        return node
    arguments = {
        key: instantiate(value, trust, place and f"{place}.{key}")
        for key, value in node.items()
        if key not in (*META_KEYS, "_target_")
    }
    if "_target_" not in node:
        return arguments
    constructor = locate(node["_target_"], trust, place)
    try:
        return constructor(**{**arguments, **extra})
    except UserError:
        raise
    except (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise UserError(f"{node['_target_']} can't be built: {error}") from error


def build_game(config: GameConfig, trust: Sequence[str] = ()) -> Game:
    """Build the game of a config: its networks, with weights drawn from the seed, its loss and its penalties.

    Raises:
        UserError: a part can't be built, or is of the wrong kind.
    """
    seed_everything(config.seed, "weights")
    loss = instantiate(config.loss, trust, "loss")
    penalties = {name: instantiate(node, trust, f"penalty.{name}") for name, node in config.penalties.items()}
    augment = None if config.augment is None else instantiate(config.augment, trust, "augment")
    game = instantiate(config.model, trust, "model", loss=loss, penalties=penalties, augment=augment)
    if not isinstance(game, Game):
        raise UserError(f"model is a game, and {config.model['_target_']} is none")
    for name, network in game.networks.items():
        if not isinstance(network, nn.Module):
            raise UserError(f"model.{name}={network!r} is no network: a section with a _target_ belongs there")
    latent = getattr(game, "latent", None)
    if latent is not None and not callable(getattr(latent, "draw", None)):
        raise UserError(f"model.latent={latent!r} is no distribution: a section with a _target_ belongs there")
    return game


def build_data(config: DataConfig, trust: Sequence[str] = ()) -> Data:
    return instantiate(config.node, trust, "dataset")


def build_medium(config: DataConfig, trust: Sequence[str] = ()) -> Medium:
    """Build the medium of the samples; the data set's YAML names it, so that sampling needs no data."""
    return instantiate(config.medium, trust, "dataset.provides.medium")


def optimizer_factory(node: Node, trust: Sequence[str] = ()) -> Optimizers:
    """Return a function for `Game.phases` that builds a player's optimizer and its options by images seen."""
    optimizer_class = locate(node["_target_"], trust, "optimizer")
    schedule = Schedule(**(node.get("schedule") or {}))
    options = {key: value for key, value in node.items() if key not in OPTIMIZER_KEYS}
    final_beta2 = node.get("final_beta2")

    def make(player: str, networks: list[nn.Module]) -> tuple[Optimizer, Course]:
        rate = (node.get("rates") or {}).get(player)
        base = float(node["learning_rate"] if rate is None else rate)
        parameters = list(dict.fromkeys(parameter for network in networks for parameter in network.parameters()))
        betas = (node.get("player_betas") or {}).get(player)
        player_options = options if betas is None else {**options, "betas": betas}
        try:
            optimizer = optimizer_class(parameters, lr=base, **player_options)
        except (TypeError, ValueError) as error:
            raise UserError(f"optimizer {node['_target_']} can't be built: {error}") from error
        return optimizer, Course(base, schedule, optimizer.defaults.get("betas"), final_beta2)

    return make


def parameter_counts(game: Game) -> dict[str, int]:
    """Count the trainable parameters of each network, by name."""
    return {name: sum(p.numel() for p in network.parameters()) for name, network in game.networks.items()}
