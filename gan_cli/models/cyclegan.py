"""CycleGAN (Zhu et al. 2017): translation learned from two piles of pictures that are not pairs.

11,378,179 parameters in each generator (9 blocks; 7,837,699 with 6) and 2,764,737 in each critic; see
`layers.resnet` and `layers.patchgan`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, ClassVar

import torch
from annotated_types import Interval
from torch import Tensor, nn

from gan_cli.base.limits import Weight
from gan_cli.base.types import Match
from gan_cli.game.gan import Turn
from gan_cli.game.translator import Translator, one_by_one
from gan_cli.layers.pool import ImagePool
from gan_cli.losses.adversarial import AdversarialLoss
from gan_cli.losses.reconstruction import l1
from gan_cli.penalties.gradient import Penalty


class CycleGAN(Translator):
    """Two generators and two critics: G makes B of A, F makes A of B (eq. 3, cycle = 10).

    The critics are shown fakes out of a pool of older ones. The identity term (section 5.2) asks G to leave
    pictures of B as they are: weight `identity` times `cycle`; 0 where the colours are meant to change.

    Args:
        a_to_b, b_to_a: generators, picture (N, C, H, W) -> picture (N, C', H, W).
        discriminator_a, discriminator_b: critics of A and B, shown a picture alone.
        cycle: factor on the two cycle terms.
        identity: share of it on the two identity terms.
        pool_size: pictures in each of the two pools; 0: the critics see the newest.
        adversarial_weight: the published weights stand beside (D - 1)^2, which is twice our least-squares loss.
    """

    directions = ("a_to_b", "b_to_a")
    compared: ClassVar[dict[str, tuple[str, str]]] = {"_a_to_b": ("fake_b", "b"), "_b_to_a": ("fake_a", "a")}

    def __init__(
        self,
        a_to_b: nn.Module,
        b_to_a: nn.Module,
        discriminator_a: nn.Module,
        discriminator_b: nn.Module,
        loss: AdversarialLoss,
        penalties: Mapping[str, Penalty] | None = None,
        augment: nn.Module | None = None,
        cycle: Weight = 10.0,
        identity: Weight = 0.5,
        pool_size: Annotated[int, Interval(ge=0, le=1_000_000)] = 50,
        adversarial_weight: Weight = 1.0,
    ) -> None:
        super().__init__(a_to_b, discriminator_b, loss, penalties, augment, adversarial_weight)
        self.backward_generator, self.backward_discriminator = b_to_a, discriminator_a
        self.cycle, self.identity = cycle, identity
        self.pool_a, self.pool_b = ImagePool(pool_size), ImagePool(pool_size)

    @property
    def generators(self) -> dict[str, nn.Module]:
        return {"a_to_b": self.generator, "b_to_a": self.backward_generator}

    @property
    def networks(self) -> dict[str, nn.Module]:
        critics = {"discriminator_a": self.backward_discriminator, "discriminator_b": self.discriminator}
        return {**self.generators, **critics}

    @property
    def critics(self) -> list[nn.Module]:
        return [self.backward_discriminator, self.discriminator]

    def draw(self, turn: Turn) -> dict[str, Tensor]:
        a, b = turn.batch.fields["a"], turn.batch.fields["b"]
        return {"fake_b": self.generator(a), "fake_a": self.backward_generator(b)}

    def matches(self, turn: Turn) -> list[Match]:
        fields, fakes = turn.batch.fields, dict(turn.fakes)
        if turn.player == "discriminator":
            fakes["fake_a"] = self.pool_a.exchange(fakes["fake_a"], turn.noise, "pool_a")
            fakes["fake_b"] = self.pool_b.exchange(fakes["fake_b"], turn.noise, "pool_b")
        return [
            turn.match(partial(self.seen_as, "a"), fields["a"], fakes["fake_a"], "_a"),
            turn.match(partial(self.seen_as, "b"), fields["b"], fakes["fake_b"], "_b"),
        ]

    def seen_as(self, domain: str, picture: Tensor) -> Tensor:
        critic = self.backward_discriminator if domain == "a" else self.discriminator
        return critic(self.augment(picture), None)

    def reconstruction(self, turn: Turn) -> dict[str, Tensor]:
        a, b = turn.batch.fields["a"], turn.batch.fields["b"]
        terms = {
            "cycle_a": self.cycle * l1(self.backward_generator(turn.fakes["fake_b"]), a),
            "cycle_b": self.cycle * l1(self.generator(turn.fakes["fake_a"]), b),
        }
        if self.identity > 0:
            weight = self.cycle * self.identity
            terms["identity_a"] = weight * l1(self.backward_generator(a), a)
            terms["identity_b"] = weight * l1(self.generator(b), b)
        return terms

    @torch.no_grad()
    def translate(
        self, generators: Mapping[str, nn.Module], fields: Mapping[str, Tensor], direction: str = "a_to_b"
    ) -> Tensor:
        return self.generate(generators[direction], fields).float().clamp(-1, 1)

    def preview(self, generators: Mapping[str, nn.Module], given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Rows for each direction: source, output, and the source again by way of both generators."""
        rows = {}
        for here, there in [("a", "b"), ("b", "a")]:
            made, again = [], []
            for one in one_by_one({"source": given[here]}):
                made.append(self.translate(generators, one, f"{here}_to_{there}"))
                again.append(self.translate(generators, {"source": made[-1]}, f"{there}_to_{here}"))
            rows[here] = given[here]
            rows[f"fake_{there}"] = torch.cat(made)
            rows[f"cycle_{here}"] = torch.cat(again)
        return rows
