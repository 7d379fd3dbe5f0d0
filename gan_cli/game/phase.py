"""Who plays, and one optimizer step of one player, kept as data: what the loop and `update` carry out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from torch import nn
from torch.optim import Optimizer

from gan_cli.base.types import State
from gan_cli.parts.schedule import Course
from gan_cli.penalties.gradient import Penalty


@dataclass(frozen=True)
class Player:
    """One side of a game: networks that move together.

    Attributes:
        name: any; the key of `optimizer.rates`, and the curves' group in the log.
        networks: attributes of the game; one may belong to several players.
        judges: whether it is a critic: frozen in the others' turns, shown augmented samples.
        averaged: whether its networks have moving averages, which samples are made by.
        repeat: updates in a row, each on a fresh batch (n_critic).
    """

    name: str
    networks: tuple[str, ...]
    judges: bool = False
    averaged: bool = False
    repeat: int = 1


@dataclass
class Phase:
    """One optimizer step of one player, as data.

    Attributes:
        name: unique; the optimizer's state and the count of updates are kept under it.
        player: who moves.
        networks: what this phase moves of it.
        optimizer: over the parameters of `networks`.
        course: the optimizer's options by images seen.
        penalties: by name, due or not.
        repeat: updates in a row, each repetition on a fresh batch.
        every: the phase is due on every k-th step.
        starts_at, stops_at: its span, in images seen.
        constraint: called after each update with the moved parameters.
        batch_size: where it differs from the run's.
        adversarial: whether a critic is asked; else its player minimises terms of its own alone (a pre-training).
        regularizes: it minimises its penalties alone, all of them (a lazy regularizer's step of its own).
        standing: networks that are in evaluation mode meanwhile.
        curve: the name of its loss and gradient norm in the log; phases that follow each other may share one.
    """

    name: str
    player: Player
    networks: list[nn.Module]
    optimizer: Optimizer
    course: Course
    penalties: dict[str, Penalty] = field(default_factory=dict)
    repeat: int = 1
    every: int = 1
    starts_at: int = 0
    stops_at: int | None = None
    constraint: Callable[[list[nn.Parameter]], None] | None = None
    batch_size: int | None = None
    adversarial: bool = True
    regularizes: bool = False
    standing: list[nn.Module] = field(default_factory=list)
    curve: str = ""

    def __post_init__(self) -> None:
        self.curve = self.curve or self.name

    @cached_property
    def parameters(self) -> list[nn.Parameter]:
        return list(dict.fromkeys(parameter for network in self.networks for parameter in network.parameters()))

    def due(self, state: State) -> bool:
        return self.on(state.images) and state.step % self.every == 0

    def on(self, images: int) -> bool:
        """Whether `images` seen lie in its span."""
        return images >= self.starts_at and not self.over(images)

    def over(self, images: int) -> bool:
        """Whether its span lies behind."""
        return self.stops_at is not None and images >= self.stops_at
