"""Protocols of the turn and the game that penalties use; their classes lie on a higher floor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor

from gan_cli.base.types import Batch, Match, Noise, Side


class Turn(Protocol):
    """A player's turn (`game.game.Turn`)."""

    @property
    def game(self) -> object: ...

    @property
    def batch(self) -> Batch: ...

    @property
    def noise(self) -> Noise: ...

    @property
    def matches(self) -> list[Match]: ...

    def again(self, match: Match, fake: Side) -> Match:
        """Make the same match with other fakes."""
        ...


@runtime_checkable
class LatentGame(Protocol):
    """A game whose generator makes samples from latents."""

    def latents(self, batch: Batch, key: Sequence[object]) -> Tensor: ...

    def condition(self, label: Tensor | None) -> Tensor | None: ...

    def generate(self, latent: Tensor, label: Tensor | None) -> Tensor: ...

    def judged(self, match: Match) -> Tensor:
        """Compute the generator's loss in a match, (N,)."""
        ...


@runtime_checkable
class StyledGame(Protocol):
    """A game whose generator has a mapping to styles and a synthesis from them."""

    def styles(self, turn: Turn, name: str = "") -> Tensor: ...

    def synthesize(self, styles: Tensor) -> Tensor: ...
