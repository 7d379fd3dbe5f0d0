"""One optimizer step of one player, kept as data: what the loop and `update` carry out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from torch import nn
from torch.optim import Optimizer

from gan_cli.base.types import State
from gan_cli.parts.schedule import Course
from gan_cli.penalties.gradient import Penalty


@dataclass
class Phase:
    """One optimizer step of one player, as data.

    Attributes:
        name: unique; the optimizer's state and the count of updates are kept under it.
        player: "generator", "discriminator", ...; groups curves in the log.
        networks: what this phase moves.
        optimizer: over the parameters of `networks`.
        course: the optimizer's options by images seen.
        penalties: by name, due or not.
        repeat: updates in a row, each repetition on a fresh batch (n_critic).
        every: the phase is due on every k-th step.
        starts_at, stops_at: its span, in images seen.
        constraint: called after each update with the moved parameters.
        batch_size: where it differs from the run's.
        regularizes: it minimises its penalties alone, all of them (a lazy regularizer's step of its own).
        curve: the name of its loss and gradient norm in the log; phases that follow each other may share one.
    """

    name: str
    player: str
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
    regularizes: bool = False
    curve: str = ""

    def __post_init__(self) -> None:
        self.curve = self.curve or self.name

    @cached_property
    def parameters(self) -> list[nn.Parameter]:
        return [parameter for network in self.networks for parameter in network.parameters()]

    def moves(self, networks: Mapping[str, nn.Module]) -> bool:
        """Whether it moves anything of them."""
        theirs = {id(parameter) for network in networks.values() for parameter in network.parameters()}
        return any(id(parameter) in theirs for parameter in self.parameters)

    def due(self, state: State) -> bool:
        return self.on(state.images) and state.step % self.every == 0

    def on(self, images: int) -> bool:
        """Whether `images` seen lie in its span. Past its end it lets go of the optimizer's state."""
        if self.stops_at is not None and images >= self.stops_at:
            self.optimizer.state.clear()
        return images >= self.starts_at and (self.stops_at is None or images < self.stops_at)
