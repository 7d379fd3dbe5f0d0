"""A trained run that another run builds on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from gan_cli.base.errors import UserError
from gan_cli.game.game import Game
from gan_cli.media.medium import Medium


@dataclass(frozen=True)
class Base:
    """The networks of another run, frozen and in evaluation mode, that a model gets as its `base`.

    It is no module, so a run does not train or average these networks, or save them in each checkpoint.

    Attributes:
        game: the other run's game.
        networks: its averaged networks, by name.
        medium: the medium of its samples.
        digest: digest of the file in the new run's folder that holds the networks.
    """

    game: Game
    networks: Mapping[str, nn.Module]
    medium: Medium
    digest: str

    def __post_init__(self) -> None:
        for module in (self.game, *self.networks.values()):
            module.eval().requires_grad_(False)

    def check_spaces(self, required: Sequence[str]) -> None:
        """Check that the base has the spaces that a model needs.

        Raises:
            UserError: the base lacks one of them.
        """
        spaces = self.game.spaces(self.networks)
        missing = [name for name in required if name not in spaces]
        if missing:
            has = f"it has {', '.join(spaces)}" if spaces else "it draws nothing from latents"
            raise UserError(f"model.base is a run without the space {missing[0]}, which this model needs: {has}")
