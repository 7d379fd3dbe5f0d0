"""CycleGAN (Zhu et al. 2017): translation learned from two sets of pictures that are not pairs.

11,378,179 parameters in each generator with 9 blocks (7,837,699 with 6) and 2,764,737 in each critic; see
`layers.resnet` and `layers.patchgan`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, ClassVar

from annotated_types import Interval
from torch import Tensor, nn
from typing_extensions import Unpack

from gan_cli.base.limits import Weight
from gan_cli.base.types import Match, Side
from gan_cli.game.game import Given, Rows, Rules, Turn
from gan_cli.game.space import Translation
from gan_cli.game.translator import TranslationGame
from gan_cli.layers.pool import ImagePool
from gan_cli.losses.adversarial import AdversarialLoss
from gan_cli.losses.reconstruction import l1


class CycleGAN(TranslationGame):
    """Two generators and two critics: G turns A into B, F turns B into A (eq. 3, cycle = 10).

    The critics see fakes out of a pool of older ones. The identity term (section 5.2) asks G to leave pictures of B as
    they are. Its weight is `identity` times `cycle`; 0 is right if the colours are meant to change.

    Args:
        a_to_b, b_to_a: generators, picture (N, C, H, W) -> picture (N, C', H, W).
        discriminator_a, discriminator_b: critics of A and B, which see the picture alone.
        cycle: factor on the two cycle terms.
        identity: factor on the two identity terms, as a share of `cycle`.
        pool_size: pictures in each of the two pools; 0: the critics see the newest fakes.
        adversarial_weight: factor on the adversarial terms. The published weights go with (D - 1)^2, which is twice
            our least-squares loss.
    """

    compared: ClassVar[dict[str, tuple[str, str]]] = {"_a_to_b": ("fake_b", "b"), "_b_to_a": ("fake_a", "a")}

    def __init__(
        self,
        a_to_b: nn.Module,
        b_to_a: nn.Module,
        discriminator_a: nn.Module,
        discriminator_b: nn.Module,
        loss: AdversarialLoss,
        cycle: Weight = 10.0,
        identity: Weight = 0.5,
        pool_size: Annotated[int, Interval(ge=0, le=1_000_000)] = 50,
        adversarial_weight: Weight = 1.0,
        **rules: Unpack[Rules],
    ) -> None:
        super().__init__(loss, adversarial_weight, **rules)
        self.a_to_b, self.b_to_a = a_to_b, b_to_a
        self.discriminator_a, self.discriminator_b = discriminator_a, discriminator_b
        self.play(("a_to_b", "b_to_a"), ("discriminator_a", "discriminator_b"))
        self.cycle, self.identity = cycle, identity
        self.pool_a, self.pool_b = ImagePool(pool_size), ImagePool(pool_size)

    def draw(self, turn: Turn) -> dict[str, Tensor]:
        a, b = turn.batch.fields["a"], turn.batch.fields["b"]
        return {"fake_b": self.a_to_b(a), "fake_a": self.b_to_a(b)}

    def matches(self, turn: Turn) -> list[Match]:
        fields, fakes = turn.batch.fields, dict(turn.fakes)
        if turn.player.judges:
            fakes["fake_a"] = self.pool_a.exchange(fakes["fake_a"], turn.noise, "pool_a")
            fakes["fake_b"] = self.pool_b.exchange(fakes["fake_b"], turn.noise, "pool_b")
        return [
            turn.match(partial(self.judged_by, self.discriminator_a), Side(fields["a"]), Side(fakes["fake_a"]), "_a"),
            turn.match(partial(self.judged_by, self.discriminator_b), Side(fields["b"]), Side(fakes["fake_b"]), "_b"),
        ]

    def judged_by(self, critic: nn.Module, picture: Tensor) -> Tensor:
        return critic(self.augment(picture), None)

    def reconstruction(self, turn: Turn) -> dict[str, Tensor]:
        a, b = turn.batch.fields["a"], turn.batch.fields["b"]
        terms = {
            "cycle_a": self.cycle * l1(self.b_to_a(turn.fakes["fake_b"]), a),
            "cycle_b": self.cycle * l1(self.a_to_b(turn.fakes["fake_a"]), b),
        }
        if self.identity > 0:
            weight = self.cycle * self.identity
            terms["identity_a"] = weight * l1(self.b_to_a(a), a)
            terms["identity_b"] = weight * l1(self.a_to_b(b), b)
        return terms

    @property
    def translations(self) -> dict[str, Translation]:
        return {
            "a_to_b": Translation("a_to_b", "a", "fake_b"),
            "b_to_a": Translation("b_to_a", "b", "fake_a", channels="channels"),
        }

    def make(self, networks: Mapping[str, nn.Module], given: Given, truncation_psi: float = 1.0) -> Rows:
        """Make the rows of each direction whose source is given: source, output, and the output translated back."""
        rows: Rows = {}
        for side, other in [("a", "b"), ("b", "a")]:
            if side in given:
                output = self.translate(networks, given, f"{side}_to_{other}")
                again = self.translate(networks, {other: output}, f"{other}_to_{side}")
                rows |= {side: given[side], f"fake_{other}": output, f"cycle_{side}": again}
        return rows
