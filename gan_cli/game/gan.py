"""The game: networks, and the rules by which they are trained against each other.

`GAN` is the default two-player game. A paper whose game differs subclasses it and overrides the
part that differs: `phases` (who moves when), `draw` (what the generators make), `matches` (which
critic is asked about what), `losses` (further terms). The training loop never changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

from gan_cli.base.errors import UserError
from gan_cli.base.limits import Count, Depth, Weight
from gan_cli.base.randomness import generator_for, in_blocks, seed_everything
from gan_cli.base.types import Batch, Match, Noise, Told
from gan_cli.game.phase import Phase
from gan_cli.game.unrolled import unrolled
from gan_cli.layers.equalized import PixelNorm
from gan_cli.losses.adversarial import AdversarialLoss
from gan_cli.parts.latent import Gaussian, Uniform
from gan_cli.parts.schedule import Course, pass_on_progress
from gan_cli.penalties.gradient import Penalty


class GAN(nn.Module):
    """Two players, one match.

    Attributes:
        translates: whether the generators are given pictures (`translation.Translator`) instead of latents.

    Args:
        generator: (latent (N, Z), label (N,) or None) -> samples.
        discriminator: (samples, label (N,) or None) -> logits (N,), or by patch (N, ...).
        latent: what the generator's input is drawn from.
        loss: the adversarial objective.
        penalties: further terms by name; those of the loss are added.
        augment: applied to whatever a discriminator sees, real and fake, in every turn.
        num_classes: K for a conditional game; None passes no labels on.
        pack: samples that the discriminator judges together, side by side in their channels (PacGAN, Lin et al. 2018).
        conditional: what the critic does with labels, where networks know more than one way: "projection" tells
            them to it; "auxiliary" has it name the class (`Told`), which both players then want to be right.
        auxiliary_weight: of those terms (AC-GAN, Odena et al. 2017, eq. 3: 1).
    """

    translates: ClassVar[bool] = False

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        latent: Gaussian | Uniform | None,
        loss: AdversarialLoss,
        penalties: Mapping[str, Penalty] | None = None,
        augment: nn.Module | None = None,
        num_classes: Count | None = None,
        pack: Depth = 1,
        conditional: Literal["none", "projection", "auxiliary"] = "none",
        auxiliary_weight: Weight = 1.0,
    ) -> None:
        super().__init__()
        self.conditional, self.auxiliary_weight = conditional, auxiliary_weight
        self.generator, self.discriminator = generator, discriminator
        self.latent, self.loss, self.num_classes, self.pack = latent, loss, num_classes, pack
        self.augment = augment if augment is not None else nn.Identity()
        self.penalties = nn.ModuleDict(dict(penalties or {}))
        self.plan: list[Phase] = []  # the run's phases, once there are any

    # ---- who plays ----

    @property
    def generators(self) -> dict[str, nn.Module]:
        """The networks that make samples: averaged by the EMA, used by `sample`."""
        return {"generator": self.generator}

    @property
    def critics(self) -> list[nn.Module]:
        """The networks that judge: moved together."""
        return [self.discriminator]

    @property
    def networks(self) -> dict[str, nn.Module]:
        """All networks by name, for parameter counts."""
        return {"generator": self.generator, "discriminator": self.discriminator}

    def phases(self, optimizers: Callable[[str, list[nn.Module]], tuple[Optimizer, Course]]) -> list[Phase]:
        """Who moves when. `optimizers(player, networks)` gives an optimizer and its options by images seen."""
        plan = [
            ("discriminator", self.critics, self.loss.n_critic, self.loss.constrain),
            ("generator", list(self.generators.values()), 1, None),
        ]
        return [
            Phase(
                name,
                name,
                networks,
                *optimizers(name, networks),
                self.penalties_of(name),
                repeat,
                constraint=constraint,
            )
            for name, networks, repeat, constraint in plan
        ]

    def penalties_of(self, player: str) -> dict[str, Penalty]:
        """The penalties that `player` pays, the loss's own first."""
        both = [*self.loss.penalties.items(), *self.penalties.items()]
        return {name: penalty for name, penalty in both if isinstance(penalty, Penalty) and penalty.player == player}

    def set_progress(self, images: int) -> None:
        """Told before each step how many images were seen: fades and ramps are functions of it.

        Passed on to every part that has a method of this name.
        """
        pass_on_progress(self.children(), images)

    # ---- what they play ----

    def draw(self, turn: Turn) -> dict[str, Tensor]:
        """The fakes of a turn, by name, with their graph."""
        latent = self.latents(turn.batch, turn.noise.key)
        return {"fake": self.generator(latent, self.condition(turn.batch.label))}

    def matches(self, turn: Turn) -> list[Match]:
        label = self.condition(turn.batch.label)
        classes = label if self.conditional == "auxiliary" else None
        return [turn.match(partial(self.judge, label=label), self.real(turn), turn.fakes["fake"], label=classes)]

    def real(self, turn: Turn) -> Tensor:
        """What the critic is shown as real."""
        return turn.batch.real

    def losses(self, turn: Turn) -> dict[str, Tensor]:
        """The terms that the turn's player minimises, by name, each (N,): the equation of the paper."""
        ahead = self.loss.unrolled if self.loss.unroll_steps else self.loss.generator
        side = self.loss.discriminator if turn.player == "discriminator" else ahead
        if turn.player == "discriminator" and callable(told := getattr(self.augment, "observe", None)):
            for match in turn.matches:
                told(match.real_logits.detach(), len(turn.batch), turn.batch.total)
        terms = {f"adversarial{match.suffix}": side(match) for match in turn.matches}
        for match in turn.matches:
            terms.update(self.class_terms(match, turn.player))
        return terms

    def class_terms(self, match: Match, player: str) -> dict[str, Tensor]:
        """Cross-entropies (N,) of the classes that a critic names, by side; none where it is not asked for them."""
        if match.label is None:
            return {}
        sides = ("real", "fake") if player == "discriminator" else ("fake",)
        return {
            f"class_{side}{match.suffix}": self.auxiliary_weight
            * cross_entropy(match.classes(side), match.label, reduction="none")
            for side in sides
        }

    def judge(self, samples: Tensor, label: Tensor | None) -> Tensor | Told:
        seen = self.augment(samples)
        if self.pack > 1:
            seen = seen.reshape(len(seen) // self.pack, self.pack * seen.shape[1], *seen.shape[2:])
        return self.discriminator(seen, label)

    def condition(self, label: Tensor | None) -> Tensor | None:
        """The label where the game is conditional, else None: labelled data serve any game."""
        return label if self.num_classes is not None else None

    def latents(self, batch: Batch, key: Sequence[object]) -> Tensor:
        """(N, Z), the same for every turn on the same batch."""
        assert self.latent is not None
        generator = generator_for(batch.real.device, *key, batch.first, "latent")
        return self.latent.draw(batch.total, generator)[batch.rows]

    # ---- what comes out ----

    def preview(self, generators: Mapping[str, nn.Module], given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Rows of samples that show what the generators can do, by name, from `latent` and `label` (or None).

        A game that `translates` gets fields of held-out data instead.
        """
        samples = in_blocks(partial(self.sample, generators), given["latent"], given.get("label"))
        return {"samples": torch.cat(list(samples))}

    def scores(self, rows: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What can be said of a preview's rows in numbers, (N,) each, by name; nothing without targets."""
        return {}

    @torch.no_grad()
    def sample(
        self, generators: Mapping[str, nn.Module], latent: Tensor, label: Tensor | None, truncation_psi: float = 1.0
    ) -> Tensor:
        """Samples from given generators (the trained ones or their averages), (N, ...).

        Raises:
            UserError: a truncation asked of a generator that only looks at its latent's direction.
        """
        generator = generators["generator"]
        if truncation_psi == 1:
            return self.finished(generator(latent, label))
        if hasattr(generator, "mapping"):
            return self.finished(generator(latent, label, truncation_psi))
        return self.finished(generator(self.truncated(latent, truncation_psi), label))

    def finished(self, made: Tensor) -> Tensor:
        """What a generator has made, (N, ...), as a sample is shown and scored."""
        return made

    def truncated(self, latent: Tensor, psi: float) -> Tensor:
        """Latents (N, Z) nearer to the middle of their distribution; for generators without a mapping to do it in w.

        Raises:
            UserError: a generator that scales its latents to one length, so that nearer is nowhere.
        """
        assert self.latent is not None
        if any(isinstance(part, PixelNorm) for part in self.generator.children()):
            raise UserError(
                "truncation_psi does nothing to a model that scales its latents to one length, as progan does;"
                " stylegan and stylegan2 have it in w"
            )
        return self.latent.truncated(latent, psi)


class Turn:
    """What one update has in hand: each part is made once, on first use."""

    def __init__(
        self, gan: GAN, phase: Phase, batch: Batch, noise: Noise, penalties: dict[str, Penalty], keep: bool
    ) -> None:
        self.gan, self.phase, self.batch, self.noise = gan, phase, batch, noise
        self.penalties, self.keep = penalties, keep  # penalties: those that are due
        self.player = phase.player

    @cached_property
    def fakes(self) -> dict[str, Tensor]:
        """With their graph where this phase moves a generator, else detached.

        A discriminator's turn may draw them with the graph and keep it for the generator's turn of
        the same step (`keep`); otherwise that turn draws them again, from the same latents.
        """
        moves = self.phase.moves(self.gan.generators)
        if moves and self.batch.fakes is not None:
            drawn, self.batch.fakes = self.batch.fakes, None
        else:
            seed_everything(*self.noise.key, self.batch.first, self.batch.start, "draw")
            with torch.set_grad_enabled(moves or self.keep):
                drawn = {name: value.float() for name, value in self.gan.draw(self).items()}  # whatever the precision
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
        matches, steps = self.gan.matches(self), self.gan.loss.unroll_steps
        return unrolled(self.gan, self.opponent(), matches, steps) if self.player == "generator" and steps else matches

    def opponent(self) -> Phase:
        """The phase that moves the critics at this point of the run."""
        return next(
            phase
            for phase in self.gan.plan
            if phase.player == "discriminator" and not phase.regularizes and phase.on(self.batch.first)
        )

    def match(
        self,
        critic: Callable[[Tensor], Tensor | Told],
        real: Tensor,
        fake: Tensor,
        suffix: str = "",
        label: Tensor | None = None,
    ) -> Match:
        """A match prepared for the penalties that are due."""
        wanted: frozenset[str] = frozenset().union(*(penalty.differentiates for penalty in self.penalties.values()))
        return Match(critic, real, fake, self.noise, suffix, wanted, precise=bool(wanted), label=label)
