"""Pix2Pix (Isola et al. 2017): translation learned from pairs.

54,413,955 parameters in the generator at 256 px and 2,768,705 in the critic, the counts of the authors' PyTorch
code; see `layers.unet` and `layers.patchgan`. The critic's loss is not halved: under Adam that changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from gan_cli.base.limits import Weight
from gan_cli.game.gan import Turn
from gan_cli.game.translator import Translator
from gan_cli.losses.adversarial import AdversarialLoss
from gan_cli.losses.reconstruction import l1
from gan_cli.penalties.gradient import Penalty


class Pix2Pix(Translator):
    """A U-Net and a critic that sees the pair; adversarial loss plus `l1_weight` times L1 (eq. 4, lambda = 100).

    The only noise is the U-Net's dropout, which stays on when translating.
    """

    sees_source = True

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        loss: AdversarialLoss,
        penalties: Mapping[str, Penalty] | None = None,
        augment: nn.Module | None = None,
        l1_weight: Weight = 100.0,
        adversarial_weight: Weight = 1.0,
    ) -> None:
        super().__init__(generator, discriminator, loss, penalties, augment, adversarial_weight)
        self.l1_weight = l1_weight

    def reconstruction(self, turn: Turn) -> dict[str, Tensor]:
        return {"l1": self.l1_weight * l1(turn.fakes["fake"], turn.batch.fields["target"])}
