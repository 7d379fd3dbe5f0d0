"""Players, and phases: the optimizer steps of players, as data that the loop and `update` carry out."""

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
        networks: names of attributes of the game; a network may belong to several players.
        judges: whether it is a critic, which is frozen in the others' turns and sees augmented samples.
        averaged: whether its networks have moving averages, with which samples are made.
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
        name: unique; the key of the optimizer's state and of the count of updates.
        player: the player that moves.
        networks: the player's networks, or parts of them, that move.
        optimizer: over the parameters of `networks`.
        course: the optimizer's options by images seen.
        penalties: by name, due or not.
        repeat: updates in a row, each repetition on a fresh batch.
        every: the phase is due on every k-th step.
        starts_at, stops_at: its span, in images seen.
        constraint: called after each update with the moved parameters.
        batch_size: None: the run's.
        adversarial: whether a critic judges; if not, the player minimises its other terms alone (pre-training).
        regularizes: whether it minimises only its penalties, all of them (the step of a lazy regularizer).
        standing: networks that are in evaluation mode during this phase.
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
        """Return whether the phase is on at `images` seen."""
        return images >= self.starts_at and not self.over(images)

    def over(self, images: int) -> bool:
        """Return whether the phase's span has ended at `images` seen."""
        return self.stops_at is not None and images >= self.stops_at
