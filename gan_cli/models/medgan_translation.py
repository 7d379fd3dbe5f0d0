"""MedGAN for image translation (Armanious et al. 2018): U-Nets in a chain, a critic whose features judge too.

Written from the paper; there is no official code. 326,446,854 parameters with the published 6 blocks at 256 px and
1 channel (6 times 54,407,809, counted for the U-Net of Pix2Pix; the paper gives no number).
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from annotated_types import Interval
from torch import Tensor, nn
from typing_extensions import Unpack

from gan_cli.base.limits import Channels, Depth, Pixels, Share, Weight, Width
from gan_cli.game.game import Optimizers, Rules, Turn
from gan_cli.game.phase import Phase
from gan_cli.game.translator import Translator
from gan_cli.layers.patchgan import PatchGAN
from gan_cli.layers.unet import UNet
from gan_cli.losses.adversarial import AdversarialLoss
from gan_cli.losses.perceptual import Features
from gan_cli.losses.reconstruction import feature_l1, feature_mse, l1, style


class MedGAN(Translator):
    """Adversarial loss plus `perceptual_weight` times the critic's view of the error plus a style term.

    The perceptual term (eq. 4 and 5) is the mean absolute error of the pixels and of each hidden layer of the
    critic, all weighted alike. Style (eq. 6, Gram matrices) and content (eq. 7) are compared in the features of a
    trained network where `perceptual` is one, as published; without one, style in the critic's, and no content.

    Args:
        generator_updates: of the generator for each of the critic's, each but the first on a fresh batch.
    """

    sees_source = True
    critic_features = True

    def __init__(
        self,
        generator: nn.Module,
        discriminator: PatchGAN,
        loss: AdversarialLoss,
        perceptual_weight: Weight = 20.0,
        style_weight: Weight = 1e-4,
        content_weight: Weight = 1e-4,
        adversarial_weight: Weight = 1.0,
        generator_updates: Annotated[int, Interval(ge=1, le=1_000)] = 3,
        perceptual: Features | None = None,
        **rules: Unpack[Rules],
    ) -> None:
        super().__init__(generator, discriminator, loss, adversarial_weight, **rules)
        self.perceptual_weight, self.style_weight, self.content_weight = perceptual_weight, style_weight, content_weight
        self.generator_updates, self.perceptual = generator_updates, perceptual
        self.discriminator: PatchGAN

    def phases(self, optimizers: Optimizers) -> list[Phase]:
        critic, generator = super().phases(optimizers)
        generator.repeat = self.generator_updates
        return [critic, generator]

    def reconstruction(self, turn: Turn) -> dict[str, Tensor]:
        source, target, fake = turn.batch.fields["source"], turn.batch.fields["target"], turn.fakes["fake"]
        made = self.discriminator.features(torch.cat([source, fake], 1))
        with torch.no_grad():  # the target's features are what is wanted, not something to move
            wanted = self.discriminator.features(torch.cat([source, target], 1))
        perceptual = (l1(fake, target) + len(made) * feature_l1(made, wanted)) / (1 + len(made))
        terms = {"perceptual": self.perceptual_weight * perceptual}
        if self.perceptual is not None:
            made, wanted = self.perceptual(fake), self.perceptual(target)
            terms["content"] = self.content_weight * feature_mse(made, wanted)
        terms["style"] = self.style_weight * style(made, wanted)
        return terms


class CasNet(nn.Module):
    """U-Nets in a chain: (N, C, R, R) -> (N, C', R, R) in [-1, 1]; only the last is squashed by tanh.

    Args:
        blocks: how many.
        width: channels of the finest level of each.
    """

    def __init__(
        self,
        in_channels: Channels,
        out_channels: Channels,
        resolution: Pixels = 256,
        blocks: Depth = 6,
        width: Width = 64,
        norm: Literal["batch", "instance"] = "batch",
        dropout: Share = 0.5,
        levels: Depth | None = None,
    ) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            *(
                UNet(
                    in_channels if number == 0 else out_channels,
                    out_channels,
                    resolution,
                    width,
                    norm,
                    dropout,
                    levels,
                    tanh=number == blocks - 1,
                )
                for number in range(blocks)
            )
        )
        self.multiple = self.blocks[0].multiple

    def forward(self, image: Tensor) -> Tensor:
        return self.blocks(image)
