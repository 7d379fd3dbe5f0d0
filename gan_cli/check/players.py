"""The players of a game by name: whose rates and betas may be typed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gan_cli.base.errors import UserError
from gan_cli.base.run_config import Composed
from gan_cli.check.hints import meant
from gan_cli.check.signatures import tables_of

USUAL = ("discriminator", "generator")  # of a game whose YAML names none


def players_of(model: Any) -> list[str]:
    """Those that a model's YAML names in `players`."""
    return [str(name) for name in (isinstance(model, Mapping) and model.get("players")) or USUAL]


def check_players(config: Composed) -> None:
    """
    Raises:
        UserError: a rate or betas of a player that the model does not have.
    """
    players = players_of(config["model"])
    for place in tables_of("optimizer"):
        for name in config["optimizer"].get(place.partition(".")[2]) or {}:
            if name not in players:
                raise UserError(
                    f"{place}.{name} is of no player of the model{meant(name, players)}; it has {' and '.join(players)}"
                )
