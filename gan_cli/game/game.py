"""The game: networks, and the rules by which they are trained, usually against each other. Read this file second.

A paper's game subclasses `Game`, or one of the games beside this file, and overrides the part that differs: `phases`
(who moves when), `draw` (what the generators make), `matches` (which critic is asked about what), `losses` (the
equation), `given` and `sample` (what comes out). The training loop never changes.
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
Given = dict[str, Tensor]  # what generators are given to make N examples, by name, (N, ...) each
Rows = dict[str, Tensor]  # what there is to show of N examples, by name, (N, ...) each; more than one go together


class Rules(TypedDict, total=False):
    """What every game takes besides its networks and its loss.

    Attributes:
        penalties: further terms by name; those of the loss are added.
        augment: applied to whatever a critic sees, real and fake, in every turn.
    """

    penalties: Mapping[str, Penalty] | None
    augment: nn.Module | None


class Game(nn.Module):
    """Players, and what they play.

    Attributes:
        players: in the order of their turns; set by the constructor, when the networks are attributes.
        compared: pairs of rows of `sample` that are judged as sets, made and real, by the suffix of their scores;
            empty: what is made is judged against the data set.
        score_rule: how `scores` looks at the samples, for the protocol.
        num_classes: K, where samples of a class can be asked for.
        plan: the run's phases, once there are any.

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

    # ---- who plays ----

    def networks_of(self, *players: Player) -> dict[str, nn.Module]:
        """Networks by name, each once."""
        return {name: getattr(self, name) for player in players for name in player.networks}

    @property
    def networks(self) -> dict[str, nn.Module]:
        """All networks by name, the critics' last."""
        return self.networks_of(*sorted(self.players, key=lambda player: player.judges))

    @property
    def averaged(self) -> dict[str, nn.Module]:
        """The networks that have moving averages, by name."""
        return self.networks_of(*(player for player in self.players if player.averaged))

    @property
    def critics(self) -> dict[str, nn.Module]:
        """The networks that judge, by name."""
        return self.networks_of(*(player for player in self.players if player.judges))

    def phases(self, optimizers: Optimizers) -> list[Phase]:
        """Who moves when: one phase a player. `optimizers(player's name, networks)` gives an optimizer and its
        options by images seen."""
        return [self.phase(player, optimizers) for player in self.players]

    def phase(self, player: Player, optimizers: Optimizers, name: str | None = None) -> Phase:
        """A player's phase with all its networks and penalties."""
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
        """The penalties that `player` pays, the loss's own first."""
        generators = [other for other in self.players if not other.judges]
        kind = "critics" if player.judges else "generators" if player in generators[:1] else None
        both = [*self.loss.penalties.items(), *self.penalties.items()]
        return {name: penalty for name, penalty in both if isinstance(penalty, Penalty) and penalty.paid_by == kind}

    def set_progress(self, images: int) -> None:
        """Told before each step how many images were seen: fades and ramps are functions of it.

        Passed on to every part that has a method of this name.
        """
        pass_on_progress(self.children(), images)

    # ---- what they play ----

    def draw(self, turn: Turn) -> dict[str, Tensor]:
        """The fakes of a turn, by name, with their graph."""
        raise NotImplementedError

    def matches(self, turn: Turn) -> list[Match]:
        """The questions to the critics; none where no critic judges."""
        return []

    def losses(self, turn: Turn) -> dict[str, Tensor]:
        """The terms that the turn's player minimises, by name, each (N,): the equation of the paper."""
        judged = self.loss.discriminator if turn.player.judges else self.judged
        if turn.player.judges and callable(observe := getattr(self.augment, "observe", None)):
            for match in turn.matches:
                observe(match.real_logits.detach(), len(turn.batch), turn.batch.total)
        terms = {f"adversarial{match.suffix}": judged(match) for match in turn.matches}
        for match in turn.matches:
            terms.update(self.class_terms(match, turn.player.judges))
        return terms

    def judged(self, match: Match) -> Tensor:
        """What a player that is judged minimises of a match, (N,): of its real side too where the players move that."""
        ahead = self.loss.unroll_steps > 0
        fake = self.loss.unrolled(match) if ahead else self.loss.generator(match)
        if not any(match.own) or (ahead and self.loss.zero_sum):  # the whole value has both sides
            return fake
        return fake + self.loss.generator_real(match)

    def class_terms(self, match: Match, judges: bool) -> dict[str, Tensor]:
        """Cross-entropies (N,) of the classes that a critic names, by side; none where it is not asked for them."""
        if match.label is None:
            return {}
        return {
            f"class_{side}{match.suffix}": self.class_weight
            * cross_entropy(match.classes(side), match.label, reduction="none")
            for side in (("real", "fake") if judges else ("fake",))
        }

    class_weight: float = 1.0  # of those terms

    # ---- what comes out ----

    def spaces(self, networks: Mapping[str, nn.Module], truncation_psi: float = 1.0) -> dict[str, Space]:
        """What samples can be moved and searched in, by name, the best first; none for a game without latents."""
        return {}

    @property
    def translations(self) -> dict[str, Translation]:
        """The ways from pictures to pictures, by direction; none for a game that draws from latents."""
        return {}

    def given(
        self, count: int, seed: int, purpose: str, held_out: Callable[[], Data], labels: Sequence[int] | None = None
    ) -> Given:
        """What is needed to make `count` examples: a function of seed, purpose, labels and each example's number.

        Args:
            held_out: opens the data that training never sees, for games that are given some of it.
            labels: classes, taken in turn; None for all.
        """
        raise NotImplementedError

    def make(self, networks: Mapping[str, nn.Module], given: Given, truncation_psi: float = 1.0) -> Rows:
        """Rows of examples by name, (N, ...) each, by the trained networks or their averages.

        Args:
            networks: by name, as of `averaged`.
            given: on their device.
            truncation_psi: below 1: nearer to the middle of what is drawn, for games that draw.
        """
        raise NotImplementedError

    @torch.no_grad()
    def sample(
        self, networks: Mapping[str, nn.Module], given: Given, at_once: int = AT_ONCE, truncation_psi: float = 1.0
    ) -> Iterator[Rows]:
        """Yield the rows of a few examples at a time: each comes of its own part of `given`, in the same bits at any
        count (see `randomness.in_blocks`)."""
        device = next(self.parameters()).device
        for here, block in blocks(list(given.values()), at_once):
            there = {name: part.to(device) for name, part in zip(given, block, strict=True) if part is not None}
            made = self.make(networks, there, truncation_psi)
            yield {name: row[:here] for name, row in made.items()}

    def translate(self, networks: Mapping[str, nn.Module], given: Given, direction: str = "a_to_b") -> Tensor:
        """Pictures of one direction's sources, for games that have `translations`."""
        raise NotImplementedError

    def scores(self, rows: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What can be said of a sample's rows in numbers, (N,) each, by name; nothing without targets."""
        return {}


def joined(parts: Iterator[Rows]) -> Rows:
    """All rows of a `sample` in one."""
    everything = list(parts)
    return {name: torch.cat([part[name] for part in everything]) for name in everything[0]}


class Turn:
    """What one update has in hand: each part is made once, on first use."""

    def __init__(
        self, game: Game, phase: Phase, batch: Batch, noise: Noise, penalties: dict[str, Penalty], keep: bool
    ) -> None:
        self.game, self.phase, self.batch, self.noise = game, phase, batch, noise
        self.penalties, self.keep = penalties, keep  # penalties: those that are due
        self.player = phase.player

    @cached_property
    def fakes(self) -> dict[str, Tensor]:
        """With their graph in the turns of those that make them, detached in a critic's.

        A critic's turn may draw them with the graph and keep it for a later turn of the same step (`keep`); otherwise
        that turn draws them again, from the same latents.
        """
        moves = not self.player.judges
        if moves and self.batch.fakes is not None:
            drawn, self.batch.fakes = self.batch.fakes, None
        else:
            seed_everything(*self.noise.key, self.batch.first, self.batch.start, "draw")
            with torch.set_grad_enabled(moves or self.keep):
                drawn = {name: value.float() for name, value in self.game.draw(self).items()}  # whatever the precision
        self.seed()  # what the critics draw (dropout) does not depend on how the fakes came
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
        """The phase that moves the critics at this point of the run."""
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
        """A match prepared for the penalties that are due."""
        sides: frozenset[str] = frozenset().union(*(penalty.differentiates for penalty in self.penalties.values()))
        return Match(critic, real, fake, self.noise, suffix, sides, precise=bool(sides), label=label)

    def again(self, match: Match, fake: Side) -> Match:
        """The same question about other fakes."""
        return self.match(match.critic, match.real, fake, match.suffix)
