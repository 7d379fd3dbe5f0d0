"""The default game: a generator of samples from latents, and a critic."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from gan_cli.base.errors import UserError
from gan_cli.base.limits import Count, Depth, Weight
from gan_cli.base.randomness import generator_for
from gan_cli.base.types import Batch, CriticOutput, Match, Side
from gan_cli.data.order import Data
from gan_cli.game.game import Game, Given, Rows, Rules, Turn
from gan_cli.game.phase import Player
from gan_cli.game.space import LatentSpace, Space
from gan_cli.layers.equalized import PixelNorm
from gan_cli.losses.adversarial import AdversarialLoss
from gan_cli.parts.latent import Latent, latents
from gan_cli.penalties.gradient import Penalty


class Conditions(Rules, total=False):
    """The arguments of every such game besides its networks, its latent and its loss.

    Attributes:
        num_classes: K for a conditional game; None passes no labels on.
        pack: samples that the critic judges together, side by side in their channels (PacGAN, Lin et al. 2018).
        conditional: how the critic uses labels, if its network knows more than one way. "projection" takes them as
            input; "auxiliary" has the critic name the class (`CriticOutput`), and both players want the right one.
        auxiliary_weight: factor on the terms of these classes (AC-GAN, Odena et al. 2017, eq. 3: 1).
    """

    num_classes: Count | None
    pack: Depth
    conditional: Literal["none", "projection", "auxiliary"]
    auxiliary_weight: Weight


class GAN(Game):
    """The game of a generator and a critic: two players, one match.

    Args:
        generator: (latent (N, Z), label (N,) or None) -> samples.
        discriminator: (samples, label (N,) or None) -> logits (N,), or by patch (N, ...).
        latent: the distribution of the generator's input.
        loss: the adversarial objective.
        penalties, augment: see `game.Rules`.
        num_classes, pack, conditional, auxiliary_weight: see `Conditions`.
    """

    @staticmethod
    def refusal(
        *,
        pack: int = 1,
        conditional: str | None = None,
        num_classes: int | None = None,
        trainer: dict[str, Any],
        dataset: dict[str, Any],
    ) -> str | None:
        """Return why `num_classes` or the batch size does not fit, or None (see `check.rules`).

        `conditional` alone decides whether labels are used, and a batch is cut into equal parts of whole packs.
        """
        known = None if conditional == "none" else dataset["provides"].get("classes")
        if conditional is not None and num_classes != known:
            return (
                f"model.num_classes={num_classes} follows from model.conditional={conditional} and the data set;"
                " say model.conditional=projection or auxiliary for a model that is told the class"
            )
        batch, parts = trainer["batch_size"], trainer["accumulate"] * trainer["processes"] * pack
        if not batch % parts:
            return None
        near = max(parts, batch - batch % parts)
        return (
            f"trainer.batch_size={batch} can't be cut into {parts} equal parts (trainer.accumulate="
            f"{trainer['accumulate']} x trainer.processes={trainer['processes']} x model.pack={pack});"
            f" {near} or {near + parts} would do"
        )

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        latent: Latent,
        loss: AdversarialLoss,
        penalties: Mapping[str, Penalty] | None = None,
        augment: nn.Module | None = None,
        num_classes: Count | None = None,
        pack: Depth = 1,
        conditional: Literal["none", "projection", "auxiliary"] = "none",
        auxiliary_weight: Weight = 1.0,
    ) -> None:
        super().__init__(loss, penalties, augment)
        self.generator, self.discriminator, self.latent = generator, discriminator, latent
        self.num_classes, self.pack, self.conditional = num_classes, pack, conditional
        self.class_weight = auxiliary_weight
        self.players = (
            Player("discriminator", ("discriminator",), judges=True, repeat=loss.n_critic),
            Player("generator", ("generator",), averaged=True),
        )

    # ---- training ----

    def draw(self, turn: Turn) -> dict[str, Tensor]:
        latent = self.latents(turn.batch, turn.noise.key)
        return {"fake": self.generate(latent, self.condition(turn.batch.label))}

    def generate(self, latent: Tensor, label: Tensor | None) -> Tensor:
        """Generate samples (N, ...) with their graph, as in training."""
        return self.generator(latent, label)

    def matches(self, turn: Turn) -> list[Match]:
        label = self.condition(turn.batch.label)
        classes = label if self.conditional == "auxiliary" else None
        real, fake = Side(self.real(turn), (label,)), Side(turn.fakes["fake"], (label,))
        return [turn.match(self.judge, real, fake, label=classes)]

    def real(self, turn: Turn) -> Tensor:
        """Return the samples that the critic sees as real."""
        return turn.batch.real

    def judge(self, samples: Tensor, label: Tensor | None) -> Tensor | CriticOutput:
        seen = self.augment(samples)
        if self.pack > 1:
            seen = seen.reshape(len(seen) // self.pack, self.pack * seen.shape[1], *seen.shape[2:])
        return self.discriminator(seen, label)

    def condition(self, label: Tensor | None) -> Tensor | None:
        """Return the label if the game is conditional, else None: labelled data serve any game."""
        return label if self.num_classes is not None else None

    def latents(self, batch: Batch, key: Sequence[object]) -> Tensor:
        """Draw the latents (N, Z) of a batch; all turns on the same batch get the same."""
        device = next(iter(batch.fields.values())).device
        drawn = self.latent.draw(batch.total, generator_for(device, *key, batch.first, "latent"))
        return drawn[batch.rows].to(device)

    # ---- samples ----

    def given(
        self, count: int, seed: int, purpose: str, held_out: Callable[[], Data], labels: Sequence[int] | None = None
    ) -> Given:
        """Draw `latent` (N, Z) and, if there are classes, set `label` (N,); both are on the CPU."""
        inputs = {"latent": latents(self.latent, count, seed, purpose)}
        if self.num_classes is not None:
            classes = torch.tensor(labels or range(self.num_classes))
            inputs["label"] = classes[torch.arange(count) % len(classes)]
        return inputs

    def make(self, networks: Mapping[str, nn.Module], given: Given, truncation_psi: float = 1.0) -> Rows:
        """Make one row, `samples` (N, ...); each sample depends on its latent and label alone.

        Raises:
            UserError: truncation is on, and the generator uses only the direction of its latent.
        """
        samples = self.samples_from(networks["generator"], truncation_psi, given["latent"], given.get("label"))
        return {"samples": samples}

    def samples_from(self, generator: nn.Module, psi: float, latent: Tensor, label: Tensor | None) -> Tensor:
        """Generate samples (N, ...) from latents that are truncated by `psi`, and postprocess them."""
        return self.postprocess(generator(latent if psi == 1 else self.truncated(latent, psi), label))

    def postprocess(self, samples: Tensor) -> Tensor:
        """Convert a generator's output (N, ...) to samples as they are shown and scored."""
        return samples

    def truncated(self, latent: Tensor, psi: float) -> Tensor:
        """Move latents (N, Z) nearer to the middle of their distribution.

        Raises:
            UserError: the generator scales its latents to one length, so that this would change nothing.
        """
        if any(isinstance(part, PixelNorm) for part in self.generator.children()):
            raise UserError(
                "truncation_psi does nothing to a model that scales its latents to one length;"
                " models with a mapping network have it in w"
            )
        return self.latent.truncated(latent, psi)

    def spaces(self, networks: Mapping[str, nn.Module], truncation_psi: float = 1.0) -> dict[str, Space]:
        generator = networks["generator"]
        near = partial(self.truncated, psi=truncation_psi)
        make = partial(self.samples_from, generator, 1.0)
        return {"z": LatentSpace(self.latent, generator, make, *([near] if truncation_psi != 1 else []))}
