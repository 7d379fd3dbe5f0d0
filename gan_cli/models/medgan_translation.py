"""MedGAN for image translation (Armanious et al. 2018): a chain of U-Nets, and a loss in the critic's features.

It is written from the paper; there is no official code. 326,446,854 parameters with the published 6 blocks at 256 px
and 1 channel (6 times 54,407,809, counted for the U-Net of Pix2Pix; the paper gives no number).
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
    """The adversarial loss plus `perceptual_weight` times a perceptual term, plus weighted style and content terms.

    The perceptual term (eq. 4 and 5) is the mean absolute error of the pixels and of each hidden layer of the
    critic, all weighted alike. Style (eq. 6, Gram matrices) and content (eq. 7) compare features of `perceptual`, a
    trained network, as published. Without one, style compares the critic's features, and there is no content term.

    Args:
        generator_updates: updates of the generator for each of the critic's; each but the first has a fresh batch.
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
        of_fake = self.discriminator.features(torch.cat([source, fake], 1))
        with torch.no_grad():  # no gradient flows into the target's features
            of_target = self.discriminator.features(torch.cat([source, target], 1))
        perceptual = (l1(fake, target) + len(of_fake) * feature_l1(of_fake, of_target)) / (1 + len(of_fake))
        terms = {"perceptual": self.perceptual_weight * perceptual}
        if self.perceptual is not None:
            of_fake, of_target = self.perceptual(fake), self.perceptual(target)
            terms["content"] = self.content_weight * feature_mse(of_fake, of_target)
        terms["style"] = self.style_weight * style(of_fake, of_target)
        return terms


class CasNet(nn.Module):
    """A chain of U-Nets: (N, C, R, R) -> (N, C', R, R) in [-1, 1]; only the last is squashed by tanh.

    Args:
        blocks: number of U-Nets.
        width: channels of the finest level of each U-Net.
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
