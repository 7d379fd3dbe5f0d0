"""Games whose generators are given pictures: translation, enlarging, filling."""

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
    """Generators that are given pictures, and critics of what they make: two players, whatever networks they have.

    The equation is `adversarial_weight` times the adversarial loss plus the terms of `reconstruction`. Two-stage papers
    train the generators on the latter alone first: a phase of its own, that ends at `pretrain_images`.

    Attributes:
        critic_features: whether `reconstruction` compares in the critic's features, which then is trained in any case.

    Args:
        loss: the adversarial objective.
        adversarial_weight: factor on the generators' adversarial terms; 0: no critic is trained.
        pretrain_images: how long the reconstruction terms alone are trained, in images seen; 0: not at all.
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
        if self.adversarial_weight == 0 and not self.critic_features:  # nothing asks the critics
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
        """The generators' adversarial terms, weighted; none with weight 0."""
        if self.adversarial_weight == 0:
            return {}
        return {name: self.adversarial_weight * term for name, term in super().losses(turn).items()}

    def reconstruction(self, turn: Turn) -> dict[str, Tensor]:
        """What else the generators minimise, each term (N,), weighted."""
        raise NotImplementedError

    # ---- what comes out ----

    def given(
        self, count: int, seed: int, purpose: str, held_out: Callable[[], Data], labels: Sequence[int] | None = None
    ) -> Given:
        """Fields of held-out data, as many of `count` as there are."""
        data = held_out()
        return data.fetch(data.order(seed).indices(0, min(count, len(data))), torch.device("cpu"))

    @torch.no_grad()
    def sample(
        self, networks: Mapping[str, nn.Module], given: Given, at_once: int = 1, truncation_psi: float = 1.0
    ) -> Iterator[Rows]:
        """Yield the rows one by one: a generator with batch statistics must not mix the pictures of a grid."""
        device = next(self.parameters()).device
        for row in range(len(next(iter(given.values())))):
            yield self.make(networks, {name: value[row : row + 1].to(device) for name, value in given.items()})

    @torch.no_grad()
    def translate(self, networks: Mapping[str, nn.Module], given: Given, direction: str = "a_to_b") -> Tensor:
        """Pictures from sources, (N, C', H', W') in [-1, 1].

        Args:
            networks: the trained ones, or their averages.
            given: the direction's source, (N, C, H, W) of sizes that its network takes, and a mask for games that fill.
            direction: one of `translations`.
        """
        way = self.translations[direction]
        return self.generate(networks[way.network], given, way.source).float().clamp(-1, 1)

    def generate(self, generator: nn.Module, fields: Mapping[str, Tensor], source: str = "source") -> Tensor:
        """What a generator makes of a batch's fields with its graph; (N, C', H', W')."""
        return generator(fields[source])

    def scores(self, rows: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """PSNR over all channels and SSIM of the luma, where there is a target (and room for SSIM's window)."""
        if "target" not in rows:
            return {}
        made, target = rows["output"], rows["target"]
        return {"psnr": psnr(made, target), **ssim_if_any(made, target)}


class Translator(TranslationGame):
    """A generator from `source` to `target`, and a critic that sees the target, or both.

    Attributes:
        sees_source: whether the critic is shown the source beside the picture.

    Args:
        generator: source (N, C, H, W) -> picture (N, C', H * scale, W * scale). Its attribute `multiple`, if it
            has one, is what H and W must be multiples of, and `smallest` the least that they may be.
        discriminator: (picture, None) -> logits (N,) or by patch; the picture is shown with its source where the
            critic `sees_source`.
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
        """Logits of pictures, each beside its source where there is one.

        Penalties differentiate by the picture alone: the source is not the generator's to change.
        """
        seen = picture if source is None else torch.cat([source, picture], 1)
        return self.discriminator(self.augment(seen), None)

    def reconstruction(self, turn: Turn) -> dict[str, Tensor]:
        """How far a fake is from its target, each term (N,), weighted."""
        return {"l1": l1(turn.fakes["fake"], turn.batch.fields["target"])}

    @property
    def translations(self) -> dict[str, Translation]:
        return {"a_to_b": Translation("generator", "source", "output")}

    def make(self, networks: Mapping[str, nn.Module], given: Given, truncation_psi: float = 1.0) -> Rows:
        """Rows: source, output and, where it is given, target; pictures in [-1, 1]."""
        output = self.translate(networks, given)
        targets = {"target": given["target"]} if "target" in given else {}
        return {"source": given["source"], "output": output, **targets}
