"""A trained run that another builds on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from gan_cli.base.errors import UserError
from gan_cli.game.game import Game
from gan_cli.media.medium import Medium


@dataclass(frozen=True)
class Base:
    """Networks of another run, frozen and in evaluation mode: what a model is given for its `base`.

    It is no module, so that nothing of it is moved, averaged, or kept again with each checkpoint.

    Attributes:
        game: that run's.
        networks: the averaged ones, by name.
        medium: what their samples are.
        digest: of the file that the run keeps them in.
    """

    game: Game
    networks: Mapping[str, nn.Module]
    medium: Medium
    digest: str

    def __post_init__(self) -> None:
        for module in (self.game, *self.networks.values()):
            module.eval().requires_grad_(False)

    def check_spaces(self, wanted: Sequence[str]) -> None:
        """
        Raises:
            UserError: a space that the base does not have.
        """
        there = self.game.spaces(self.networks)
        lacking = [name for name in wanted if name not in there]
        if lacking:
            has = f"it has {', '.join(there)}" if there else "it draws nothing from latents"
            raise UserError(f"model.base is a run without the space {lacking[0]}, which this model needs: {has}")
