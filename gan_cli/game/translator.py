"""Games whose generators are given pictures: translation, enlarging, filling."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gan_cli.base.limits import Images, Weight
from gan_cli.base.types import Match, Told
from gan_cli.game.gan import GAN, Turn
from gan_cli.game.phase import Phase
from gan_cli.losses.adversarial import AdversarialLoss
from gan_cli.losses.reconstruction import l1
from gan_cli.metrics.similarity import psnr, ssim_if_any
from gan_cli.parts.schedule import Course
from gan_cli.penalties.gradient import Penalty


class Translator(GAN):
    """A generator from `source` to `target`, and a critic that sees the target, or both.

    Its equation is `adversarial_weight` times the adversarial loss plus the terms of `reconstruction`. Two-stage
    papers train the generator on the latter alone first: a phase of its own, that ends at `pretrain_images`.

    Attributes:
        critic_features: whether `reconstruction` compares in the critic's features, which then is trained in any case.
        compared: rows of `preview` that are judged as sets, made and real, by the suffix of their scores.
        score_rule: how `scores` looks at the pictures, for the protocol.

    Args:
        generator: source (N, C, H, W) -> picture (N, C', H * scale, W * scale). Its attribute `multiple`, if it
            has one, is what H and W must be multiples of, and `smallest` the least that they may be.
        discriminator: (picture, None) -> logits (N,) or by patch; the picture is shown with its source where the
            critic `sees_source`.
        adversarial_weight: factor on the generator's adversarial term; 0: no critic is trained.
        pretrain_images: how long the reconstruction terms alone are trained, in images seen; 0: not at all.
    """

    translates = True
    sees_source: ClassVar[bool] = False
    scale = 1
    directions: tuple[str, ...] = ("a_to_b",)
    takes_mask: ClassVar[bool] = False
    critic_features: ClassVar[bool] = False
    compared: ClassVar[dict[str, tuple[str, str]]] = {"": ("output", "target")}
    score_rule: ClassVar[str] = "psnr over all channels, ssim of the luma"

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        loss: AdversarialLoss,
        penalties: Mapping[str, Penalty] | None = None,
        augment: nn.Module | None = None,
        adversarial_weight: Weight = 1.0,
        pretrain_images: Images = 0,
    ) -> None:
        super().__init__(generator, discriminator, None, loss, penalties, augment)
        self.adversarial_weight, self.pretrain_images = adversarial_weight, pretrain_images

    def phases(self, optimizers: Callable[[str, list[nn.Module]], tuple[Optimizer, Course]]) -> list[Phase]:
        phases = super().phases(optimizers)
        if self.adversarial_weight == 0 and not self.critic_features:  # nothing asks the critics
            phases = [phase for phase in phases if phase.player != "discriminator"]
        if self.pretrain_images == 0:
            return phases
        for phase in phases:
            phase.starts_at = self.pretrain_images
        alone = list(self.generators.values())
        optimizer, course = optimizers("generator", alone)
        return [Phase("pretraining", "generator", alone, optimizer, course, stops_at=self.pretrain_images), *phases]

    # ---- what they play ----

    def draw(self, turn: Turn) -> dict[str, Tensor]:
        return {"fake": self.generate(self.generator, turn.batch.fields)}

    def generate(self, generator: nn.Module, fields: Mapping[str, Tensor]) -> Tensor:
        """What the generator makes of a batch's fields; (N, C', H', W')."""
        return generator(fields["source"])

    def matches(self, turn: Turn) -> list[Match]:
        fields = turn.batch.fields
        source = fields["source"] if self.sees_source else None
        return [turn.match(partial(self.shown, source=source), fields["target"], turn.fakes["fake"])]

    def shown(self, picture: Tensor, source: Tensor | None) -> Tensor | Told:
        """Logits of pictures, each beside its source where there is one.

        Penalties differentiate by the picture alone: the source is not the generator's to change.
        """
        seen = picture if source is None else torch.cat([source, picture], 1)
        return self.judge(seen, None)

    def losses(self, turn: Turn) -> dict[str, Tensor]:
        if turn.player == "discriminator":
            return super().losses(turn)
        terms = {} if turn.phase.name == "pretraining" else self.adversarial(turn)
        return {**terms, **self.reconstruction(turn)}

    def adversarial(self, turn: Turn) -> dict[str, Tensor]:
        """The generator's adversarial terms, weighted; none with weight 0."""
        if self.adversarial_weight == 0:
            return {}
        return {name: self.adversarial_weight * term for name, term in super().losses(turn).items()}

    def reconstruction(self, turn: Turn) -> dict[str, Tensor]:
        """How far a fake is from its target, each term (N,), weighted."""
        return {"l1": l1(turn.fakes["fake"], turn.batch.fields["target"])}

    # ---- what comes out ----

    @property
    def multiple(self) -> int:
        """What the height and width of a source must be multiples of."""
        return int(getattr(self.generator, "multiple", 1))

    @property
    def smallest(self) -> int:
        """The least height and width of a source."""
        return int(getattr(self.generator, "smallest", 1))

    @torch.no_grad()
    def translate(
        self, generators: Mapping[str, nn.Module], fields: Mapping[str, Tensor], direction: str = "a_to_b"
    ) -> Tensor:
        """Pictures from sources whose sizes are multiples of `multiple`; (N, C', H', W') in [-1, 1].

        Args:
            generators: the trained ones, or their averages.
            fields: `source` (N, C, H, W), and `mask` (N, 1, H, W) for games that fill holes.
            direction: one of `directions`.
        """
        return self.generate(generators["generator"], fields).float().clamp(-1, 1)

    def preview(self, generators: Mapping[str, nn.Module], given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Rows: source, output, target."""
        output = torch.cat([self.translate(generators, one) for one in one_by_one(given)])
        return {"source": given["source"], "output": output, "target": given["target"]}

    def scores(self, rows: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """PSNR over all channels and SSIM of the luma, where there is a target (and room for SSIM's window)."""
        if "target" not in rows:
            return {}
        made, wanted = rows["output"], rows["target"]
        return {"psnr": psnr(made, wanted), **ssim_if_any(made, wanted)}


def one_by_one(fields: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
    """Batches of one: a generator with batch statistics must not mix the pictures of a preview."""
    count = len(next(iter(fields.values())))
    return [{name: value[row : row + 1] for name, value in fields.items()} for row in range(count)]
