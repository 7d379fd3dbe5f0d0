"""Pix2Pix (Isola et al. 2017): translation learned from pairs.

54,413,955 parameters in the generator at 256 px and 2,768,705 in the critic, the counts of the authors' PyTorch
code; see `layers.unet` and `layers.patchgan`. The critic's loss is not halved: under Adam that changes nothing.
"""

from __future__ import annotations

from torch import Tensor, nn
from typing_extensions import Unpack

from gan_cli.base.limits import Weight
from gan_cli.game.game import Rules, Turn
from gan_cli.game.translator import Translator
from gan_cli.losses.adversarial import AdversarialLoss
from gan_cli.losses.reconstruction import l1


class Pix2Pix(Translator):
    """A U-Net and a critic that sees the pair; adversarial loss plus `l1_weight` times L1 (eq. 4, lambda = 100).

    The only noise is the U-Net's dropout, which stays on in translation.
    """

    sees_source = True

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        loss: AdversarialLoss,
        l1_weight: Weight = 100.0,
        adversarial_weight: Weight = 1.0,
        **rules: Unpack[Rules],
    ) -> None:
        super().__init__(generator, discriminator, loss, adversarial_weight, **rules)
        self.l1_weight = l1_weight

    def reconstruction(self, turn: Turn) -> dict[str, Tensor]:
        return {"l1": self.l1_weight * l1(turn.fakes["fake"], turn.batch.fields["target"])}
