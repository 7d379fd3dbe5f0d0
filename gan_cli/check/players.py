"""The names of a game's players, for which rates and betas may be typed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gan_cli.base.errors import UserError
from gan_cli.base.run_config import Composed
from gan_cli.check.hints import meant
from gan_cli.check.signatures import tables_of

USUAL = ("discriminator", "generator")  # the players of a game whose YAML names none


def players_of(model: Any) -> list[str]:
    """List the players that a model's YAML names under `players`, or the usual two."""
    return [str(name) for name in (isinstance(model, Mapping) and model.get("players")) or USUAL]


def check_players(config: Composed) -> None:
    """Refuse rates and betas of players that the model does not have.

    Raises:
        UserError: a rate or betas of such a player.
    """
    players = players_of(config["model"])
    for place in tables_of("optimizer"):
        for name in config["optimizer"].get(place.partition(".")[2]) or {}:
            if name not in players:
                raise UserError(
                    f"{place}.{name} is of no player of the model{meant(name, players)}; it has {' and '.join(players)}"
                )
