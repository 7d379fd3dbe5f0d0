"""Games whose generators take pictures as input: translation, super-resolution, inpainting."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from gan_cli.base.limits import Images, Weight
from gan_cli.base.types import CriticOutput, Match, Side
from gan_cli.data.order import Data
from gan_cli.game.game import Game, Given, Optimizers, Rows, Rules, Turn
from gan_cli.game.phase import Phase, Player
from gan_cli.game.space import Translation
from gan_cli.losses.adversarial import AdversarialLoss
from gan_cli.losses.reconstruction import l1
from gan_cli.metrics.similarity import psnr, ssim_if_any


class TranslationGame(Game):
    """The game of generators that take pictures, and their critics: two players, with any number of networks.

    The equation is `adversarial_weight` times the adversarial loss plus the terms of `reconstruction`. Two-stage papers
    first train the generators on `reconstruction` alone, in a phase that ends at `pretrain_images`.

    Attributes:
        critic_features: whether `reconstruction` compares the critic's features; the critic then trains in any case.

    Args:
        loss: the adversarial objective.
        adversarial_weight: factor on the generators' adversarial terms; 0: no critic is trained.
        pretrain_images: length of the phase of reconstruction alone, in images seen; 0: there is none.
        rules: see `game.Rules`.
    """

    critic_features: ClassVar[bool] = False
    score_rule: ClassVar[str] = "psnr over all channels, ssim of the luma"

    def __init__(
        self,
        loss: AdversarialLoss,
        adversarial_weight: Weight = 1.0,
        pretrain_images: Images = 0,
        **rules: Unpack[Rules],
    ) -> None:
        super().__init__(loss, **rules)
        self.adversarial_weight, self.pretrain_images = adversarial_weight, pretrain_images

    def play(self, generators: tuple[str, ...], critics: tuple[str, ...]) -> None:
        """Set the two players by the names of their networks."""
        self.players = (
            Player("discriminator", critics, judges=True, repeat=self.loss.n_critic),
            Player("generator", generators, averaged=True),
        )

    def phases(self, optimizers: Optimizers) -> list[Phase]:
        phases = super().phases(optimizers)
        if self.adversarial_weight == 0 and not self.critic_features:  # no term uses the critics
            phases = [phase for phase in phases if not phase.player.judges]
        if self.pretrain_images == 0:
            return phases
        for phase in phases:
            phase.starts_at = self.pretrain_images
        generator = next(player for player in self.players if not player.judges)
        first = self.phase(generator, optimizers, "pretraining")
        first.stops_at, first.adversarial, first.penalties = self.pretrain_images, False, {}
        return [first, *phases]

    def losses(self, turn: Turn) -> dict[str, Tensor]:
        if turn.player.judges:
            return super().losses(turn)
        terms = self.adversarial(turn) if turn.phase.adversarial else {}
        return {**terms, **self.reconstruction(turn)}

    def adversarial(self, turn: Turn) -> dict[str, Tensor]:
        """Compute the generators' adversarial terms, weighted; none with weight 0."""
        if self.adversarial_weight == 0:
            return {}
        return {name: self.adversarial_weight * term for name, term in super().losses(turn).items()}

    def reconstruction(self, turn: Turn) -> dict[str, Tensor]:
        """Compute the other terms that the generators minimise, each (N,), weighted."""
        raise NotImplementedError

    # ---- samples and scores ----

    def given(
        self, count: int, seed: int, purpose: str, held_out: Callable[[], Data], labels: Sequence[int] | None = None
    ) -> Given:
        """Read the fields of `count` held-out examples, or of all if there are fewer."""
        data = held_out()
        return data.fetch(data.order(seed).indices(0, min(count, len(data))), torch.device("cpu"))

    @torch.no_grad()
    def sample(
        self, networks: Mapping[str, nn.Module], given: Given, at_once: int = 1, truncation_psi: float = 1.0
    ) -> Iterator[Rows]:
        """Yield the rows of one example at a time: batch statistics must not mix the pictures of a grid."""
        device = next(self.parameters()).device
        for row in range(len(next(iter(given.values())))):
            yield self.make(networks, {name: value[row : row + 1].to(device) for name, value in given.items()})

    @torch.no_grad()
    def translate(self, networks: Mapping[str, nn.Module], given: Given, direction: str = "a_to_b") -> Tensor:
        """Translate sources into pictures (N, C', H', W') in [-1, 1].

        Args:
            networks: the trained ones, or their averages.
            given: the direction's source, (N, C, H, W) in a size that its network takes; a mask for games that fill.
            direction: one of `translations`.
        """
        way = self.translations[direction]
        return self.generate(networks[way.network], given, way.source).float().clamp(-1, 1)

    def generate(self, generator: nn.Module, fields: Mapping[str, Tensor], source: str = "source") -> Tensor:
        """Generate pictures (N, C', H', W') from a batch's fields, with their graph."""
        return generator(fields[source])

    def scores(self, rows: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Compute PSNR over all channels and SSIM of the luma, if there is a target (and room for SSIM's window)."""
        if "target" not in rows:
            return {}
        output, target = rows["output"], rows["target"]
        return {"psnr": psnr(output, target), **ssim_if_any(output, target)}


class Translator(TranslationGame):
    """The game of a generator from `source` to `target` and a critic of the target, or of source and target.

    Attributes:
        sees_source: whether the critic sees the source beside the picture.

    Args:
        generator: source (N, C, H, W) -> picture (N, C', H * scale, W * scale). If it has these attributes, H and W
            must be multiples of `multiple`, and at least `smallest`.
        discriminator: (picture, None) -> logits (N,) or by patch; with `sees_source`, the source's channels come
            before the picture's.
        loss, adversarial_weight, pretrain_images, rules: see `TranslationGame`.
    """

    sees_source: ClassVar[bool] = False
    compared: ClassVar[dict[str, tuple[str, str]]] = {"": ("output", "target")}

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        loss: AdversarialLoss,
        adversarial_weight: Weight = 1.0,
        pretrain_images: Images = 0,
        **rules: Unpack[Rules],
    ) -> None:
        super().__init__(loss, adversarial_weight, pretrain_images, **rules)
        self.generator, self.discriminator = generator, discriminator
        self.play(("generator",), ("discriminator",))

    def draw(self, turn: Turn) -> dict[str, Tensor]:
        return {"fake": self.generate(self.generator, turn.batch.fields)}

    def matches(self, turn: Turn) -> list[Match]:
        fields = turn.batch.fields
        beside = (fields["source"],) if self.sees_source else ()
        return [turn.match(self.judge, Side(fields["target"], beside), Side(turn.fakes["fake"], beside))]

    def judge(self, picture: Tensor, source: Tensor | None = None) -> Tensor | CriticOutput:
        """Compute the logits of pictures, each beside its source if there is one.

        Penalties differentiate by the picture alone, since the generator can't change the source.
        """
        seen = picture if source is None else torch.cat([source, picture], 1)
        return self.discriminator(self.augment(seen), None)

    def reconstruction(self, turn: Turn) -> dict[str, Tensor]:
        """Compute the distance of each fake from its target, each term (N,), weighted."""
        return {"l1": l1(turn.fakes["fake"], turn.batch.fields["target"])}

    @property
    def translations(self) -> dict[str, Translation]:
        return {"a_to_b": Translation("generator", "source", "output")}

    def make(self, networks: Mapping[str, nn.Module], given: Given, truncation_psi: float = 1.0) -> Rows:
        """Make the rows source, output and, if it is given, target; pictures in [-1, 1]."""
        output = self.translate(networks, given)
        targets = {"target": given["target"]} if "target" in given else {}
        return {"source": given["source"], "output": output, **targets}
