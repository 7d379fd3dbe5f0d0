"""BiGAN (Donahue et al. 2017; ALI, Dumoulin et al. 2017): a generator, an encoder, and a critic of pairs.

The critic tells (x, E(x)) of real pictures from (G(z), z) of drawn latents; who fools it in both has found E = G^-1.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from gan_cli.base.types import Match, Side
from gan_cli.game.game import Turn
from gan_cli.game.gan import GAN, Conditions
from gan_cli.game.phase import Player
from gan_cli.losses.adversarial import AdversarialLoss
from gan_cli.parts.latent import Latent


class BiGAN(GAN):
    """Three players, one match.

    Args:
        generator: latent (N, Z) -> samples.
        encoder: samples -> codes (N, Z).
        discriminator: (samples, codes (N, Z)) -> logits (N,).
    """

    def __init__(
        self,
        generator: nn.Module,
        encoder: nn.Module,
        discriminator: nn.Module,
        latent: Latent,
        loss: AdversarialLoss,
        **conditions: Unpack[Conditions],
    ) -> None:
        super().__init__(generator, discriminator, latent, loss, **conditions)
        self.encoder = encoder
        self.players = (*self.players, Player("encoder", ("encoder",), averaged=True))

    def draw(self, turn: Turn) -> dict[str, Tensor]:
        latent = self.latents(turn.batch, turn.noise.key)
        return {"fake": self.generator(latent), "latent": latent, "code": self.encoder(turn.batch.real)}

    def matches(self, turn: Turn) -> list[Match]:
        fakes = turn.fakes
        real, fake = Side(turn.batch.real, (fakes["code"],)), Side(fakes["fake"], (fakes["latent"],))
        return [turn.match(self.judge, real, fake)]

    def judge(self, samples: Tensor, codes: Tensor) -> Tensor:
        return self.discriminator(self.augment(samples), codes)


class Encoder(nn.Module):
    """Pictures (N, C, R, R) -> codes (N, Z), as many numbers as the generator's latent."""

    def __init__(self, channels: int, resolution: int, latent_size: int, width: int = 256) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(channels * resolution**2, 2 * width),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Linear(2 * width, width),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Linear(width, latent_size),
        )

    def forward(self, image: Tensor) -> Tensor:
        return self.layers(image.flatten(1))


class Discriminator(nn.Module):
    """Pictures (N, C, R, R) and codes (N, Z) -> logits (N,)."""

    def __init__(self, channels: int, resolution: int, latent_size: int, width: int = 256) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(channels * resolution**2 + latent_size, 2 * width),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Linear(2 * width, width),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Linear(width, 1),
        )

    def forward(self, image: Tensor, code: Tensor) -> Tensor:
        return self.layers(torch.cat([image.flatten(1), code], 1)).squeeze(1)
