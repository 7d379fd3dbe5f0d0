"""The game: networks, and the rules by which they are trained, usually against each other. Read this file second.

A paper's game subclasses `Game`, or one of the games beside this file, and overrides the part that differs: `phases`
(who moves when), `draw` (the fakes), `matches` (which critic judges which samples), `losses` (the equation), `given`
and `make` (inputs and outputs of the trained generators). The training loop never changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import ClassVar, TypedDict

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

from gan_cli.base.randomness import AT_ONCE, blocks, seed_everything
from gan_cli.base.types import Batch, CriticOutput, Match, Noise, Side
from gan_cli.data.order import Data
from gan_cli.game.phase import Phase, Player
from gan_cli.game.space import Space, Translation
from gan_cli.game.unrolled import unrolled
from gan_cli.losses.adversarial import AdversarialLoss
from gan_cli.parts.schedule import Course, pass_on_progress
from gan_cli.penalties.gradient import Penalty

Optimizers = Callable[[str, list[nn.Module]], tuple[Optimizer, Course]]
Given = dict[str, Tensor]  # the generators' inputs for N examples, by name, (N, ...) each
Rows = dict[str, Tensor]  # the tensors to show of N examples, by name, (N, ...) each; row i of all belongs to example i


class Rules(TypedDict, total=False):
    """The arguments of every game besides its networks and its loss.

    Attributes:
        penalties: penalties by name, besides those that the loss brings.
        augment: applied to all samples that a critic sees, real and fake, in every turn.
    """

    penalties: Mapping[str, Penalty] | None
    augment: nn.Module | None


class Game(nn.Module):
    """The players, and the rules by which they train.

    Attributes:
        players: in the order of their turns; a constructor sets them after the networks.
        compared: pairs of rows of `sample`, generated and real, that are scored as sets, by the suffix of their
            scores; empty: samples are scored against the data set.
        score_rule: how `scores` compares pictures, in words, for the protocol.
        num_classes: K, if samples of a class can be requested.
        plan: the run's phases; empty until they are built.

    Args:
        loss: the adversarial objective.
        rules: see `Rules`.
    """

    players: tuple[Player, ...] = ()
    compared: ClassVar[dict[str, tuple[str, str]]] = {}
    score_rule: ClassVar[str] = ""
    num_classes: int | None = None

    def __init__(
        self,
        loss: AdversarialLoss,
        penalties: Mapping[str, Penalty] | None = None,
        augment: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.loss = loss
        self.augment = augment if augment is not None else nn.Identity()
        self.penalties = nn.ModuleDict(dict(penalties or {}))
        self.plan: list[Phase] = []

    # ---- players and phases ----

    def networks_of(self, *players: Player) -> dict[str, nn.Module]:
        """Return the networks of these players by name, each once."""
        return {name: getattr(self, name) for player in players for name in player.networks}

    @property
    def networks(self) -> dict[str, nn.Module]:
        """Return all networks by name, the critics' last."""
        return self.networks_of(*sorted(self.players, key=lambda player: player.judges))

    @property
    def averaged(self) -> dict[str, nn.Module]:
        """Return the networks that have moving averages, by name."""
        return self.networks_of(*(player for player in self.players if player.averaged))

    @property
    def critics(self) -> dict[str, nn.Module]:
        """Return the networks that judge, by name."""
        return self.networks_of(*(player for player in self.players if player.judges))

    def phases(self, optimizers: Optimizers) -> list[Phase]:
        """Make the phases of a run: here, one for each player. `optimizers(player's name, networks)` builds an
        optimizer and its options by images seen."""
        return [self.phase(player, optimizers) for player in self.players]

    def phase(self, player: Player, optimizers: Optimizers, name: str | None = None) -> Phase:
        """Make a phase of a player, with all its networks and penalties."""
        networks = list(self.networks_of(player).values())
        return Phase(
            name or player.name,
            player,
            networks,
            *optimizers(player.name, networks),
            self.penalties_of(player),
            player.repeat,
            constraint=self.loss.constrain if player.judges else None,
        )

    def penalties_of(self, player: Player) -> dict[str, Penalty]:
        """Select the penalties that `player` pays; those of the loss come first."""
        generators = [other for other in self.players if not other.judges]
        kind = "critics" if player.judges else "generators" if player in generators[:1] else None
        both = [*self.loss.penalties.items(), *self.penalties.items()]
        return {name: penalty for name, penalty in both if isinstance(penalty, Penalty) and penalty.paid_by == kind}

    def set_progress(self, images: int) -> None:
        """Set the number of images seen, before each step: fades and ramps are functions of it.

        The number is passed on to every part that has a method of this name.
        """
        pass_on_progress(self.children(), images)

    # ---- training ----

    def draw(self, turn: Turn) -> dict[str, Tensor]:
        """Draw the fakes of a turn, by name, with their graph."""
        raise NotImplementedError

    def matches(self, turn: Turn) -> list[Match]:
        """Return the questions to the critics; none if no critic judges."""
        return []

    def losses(self, turn: Turn) -> dict[str, Tensor]:
        """Compute the terms that the turn's player minimises, by name, each (N,): the equation of the paper."""
        judged = self.loss.discriminator if turn.player.judges else self.judged
        if turn.player.judges and callable(observe := getattr(self.augment, "observe", None)):
            for match in turn.matches:
                observe(match.real_logits.detach(), len(turn.batch), turn.batch.total)
        terms = {f"adversarial{match.suffix}": judged(match) for match in turn.matches}
        for match in turn.matches:
            terms.update(self.class_terms(match, turn.player.judges))
        return terms

    def judged(self, match: Match) -> Tensor:
        """Compute the loss (N,) of the generators in a match, with a term for the real side if they move that too."""
        ahead = self.loss.unroll_steps > 0
        fake = self.loss.unrolled(match) if ahead else self.loss.generator(match)
        if not any(match.own) or (ahead and self.loss.zero_sum):  # the whole value has both sides
            return fake
        return fake + self.loss.generator_real(match)

    def class_terms(self, match: Match, judges: bool) -> dict[str, Tensor]:
        """Compute the cross-entropies (N,) of the classes that a critic names, by side; none without a label."""
        if match.label is None:
            return {}
        return {
            f"class_{side}{match.suffix}": self.class_weight
            * cross_entropy(match.classes(side), match.label, reduction="none")
            for side in (("real", "fake") if judges else ("fake",))
        }

    class_weight: float = 1.0  # factor on `class_terms`

    # ---- samples and scores ----

    def spaces(self, networks: Mapping[str, nn.Module], truncation_psi: float = 1.0) -> dict[str, Space]:
        """Return the spaces to move and search samples in, by name, the best first; none for a game without latents."""
        return {}

    @property
    def translations(self) -> dict[str, Translation]:
        """Return the ways from pictures to pictures, by direction; none for a game that draws from latents."""
        return {}

    def given(
        self, count: int, seed: int, purpose: str, held_out: Callable[[], Data], labels: Sequence[int] | None = None
    ) -> Given:
        """Make the inputs of `count` examples: a function of seed, purpose, labels and each example's number.

        Args:
            held_out: opens the data that training never sees, for games whose inputs are fields of it.
            labels: classes, taken in turn; None for all.
        """
        raise NotImplementedError

    def make(self, networks: Mapping[str, nn.Module], given: Given, truncation_psi: float = 1.0) -> Rows:
        """Make the rows of examples by name, (N, ...) each, with the trained networks or their averages.

        Args:
            networks: by name, as in `averaged`.
            given: the examples' inputs, on the networks' device.
            truncation_psi: below 1, draws lie nearer to the middle of their distribution, for games that draw.
        """
        raise NotImplementedError

    @torch.no_grad()
    def sample(
        self, networks: Mapping[str, nn.Module], given: Given, at_once: int = AT_ONCE, truncation_psi: float = 1.0
    ) -> Iterator[Rows]:
        """Yield the rows of a few examples at a time. Each example depends on its part of `given` alone and has the
        same bits at any count (see `randomness.in_blocks`)."""
        device = next(self.parameters()).device
        for count, block in blocks(list(given.values()), at_once):
            inputs = {name: part.to(device) for name, part in zip(given, block, strict=True) if part is not None}
            rows = self.make(networks, inputs, truncation_psi)
            yield {name: row[:count] for name, row in rows.items()}

    def translate(self, networks: Mapping[str, nn.Module], given: Given, direction: str = "a_to_b") -> Tensor:
        """Translate the sources of one direction into pictures, for games that have `translations`."""
        raise NotImplementedError

    def scores(self, rows: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Compute the scores of a sample's rows, (N,) each, by name; none without targets."""
        return {}


def joined(parts: Iterator[Rows]) -> Rows:
    """Concatenate all rows of a `sample`, by name."""
    blocks_of_rows = list(parts)
    return {name: torch.cat([part[name] for part in blocks_of_rows]) for name in blocks_of_rows[0]}


class Turn:
    """The fakes and the matches of one update; each is made once, on first use."""

    def __init__(
        self, game: Game, phase: Phase, batch: Batch, noise: Noise, penalties: dict[str, Penalty], keep: bool
    ) -> None:
        self.game, self.phase, self.batch, self.noise = game, phase, batch, noise
        self.penalties, self.keep = penalties, keep  # only the penalties that are due
        self.player = phase.player

    @cached_property
    def fakes(self) -> dict[str, Tensor]:
        """Draw the fakes, by name: with their graph in a generator's turn, detached in a critic's.

        A critic's turn may draw them with the graph and keep it for a later turn of the same step (`keep`). Otherwise
        the later turn draws them again, from the same latents.
        """
        moves = not self.player.judges
        if moves and self.batch.fakes is not None:
            drawn, self.batch.fakes = self.batch.fakes, None
        else:
            seed_everything(*self.noise.key, self.batch.first, self.batch.start, "draw")
            with torch.set_grad_enabled(moves or self.keep):
                drawn = {name: value.float() for name, value in self.game.draw(self).items()}  # whatever the precision
        self.seed()  # the critics' dropout does not depend on whether the fakes were drawn here
        if moves:
            return drawn
        if self.keep:
            self.batch.fakes = drawn
        return {name: value.detach() for name, value in drawn.items()}

    def seed(self) -> None:
        """Seed torch's global generators for this turn."""
        seed_everything(*self.noise.key, self.batch.first, self.phase.name, self.batch.start)

    @cached_property
    def matches(self) -> list[Match]:
        matches, steps = self.game.matches(self), self.game.loss.unroll_steps
        return unrolled(self.game, self.opponent(), matches, steps) if steps and not self.player.judges else matches

    def opponent(self) -> Phase:
        """Find the phase that moves the critics at this point of the run."""
        return next(
            phase
            for phase in self.game.plan
            if phase.player.judges and not phase.regularizes and phase.on(self.batch.first)
        )

    def match(
        self,
        critic: Callable[..., Tensor | CriticOutput],
        real: Side,
        fake: Side,
        suffix: str = "",
        label: Tensor | None = None,
    ) -> Match:
        """Make a match that is prepared for the penalties that are due."""
        sides: frozenset[str] = frozenset().union(*(penalty.differentiates for penalty in self.penalties.values()))
        return Match(critic, real, fake, self.noise, suffix, sides, precise=bool(sides), label=label)

    def again(self, match: Match, fake: Side) -> Match:
        """Make the same match with other fakes."""
        return self.match(match.critic, match.real, fake, match.suffix)
