"""An encoder of a trained generator: no critic, one player, frozen networks of another run (model.base=RUN)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from gan_cli.data.order import Data
from gan_cli.game.base import Base
from gan_cli.game.game import Game, Given, Rows, Rules, Turn
from gan_cli.game.phase import Player
from gan_cli.losses.adversarial import AdversarialLoss


class Inversion(Game):
    """The encoder minimises |x - G(E(x))|^2 under the base's generator G (Zhu et al. 2016, eq. 4, in pixels).

    Args:
        encoder: pictures -> codes (N, S) of the base's first space.
        base: the trained run.
        loss: the adversarial objective, which nobody has here.
    """

    def __init__(self, encoder: nn.Module, base: Base, loss: AdversarialLoss, **rules: Unpack[Rules]) -> None:
        super().__init__(loss, **rules)
        self.encoder, self.base = encoder, base
        self.players = (Player("encoder", ("encoder",), averaged=True),)

    def losses(self, turn: Turn) -> dict[str, Tensor]:
        real = turn.batch.real
        return {"reconstruction": (real - self.again(self.encoder, real)).square().flatten(1).mean(1)}

    def again(self, encoder: nn.Module, image: Tensor) -> Tensor:
        space = self.base.game.spaces(self.base.networks)["z"]
        return space.samples(encoder(image), None)

    def given(
        self, count: int, seed: int, purpose: str, held_out: Callable[[], Data], labels: Sequence[int] | None = None
    ) -> Given:
        data = held_out()
        return {"image": data.fetch(data.order(seed).indices(0, min(count, len(data))), torch.device("cpu"))["image"]}

    def make(self, networks: Mapping[str, nn.Module], given: Given, truncation_psi: float = 1.0) -> Rows:
        return {"source": given["image"], "samples": self.again(networks["encoder"], given["image"])}


class Encoder(nn.Module):
    """Pictures (N, C, R, R) -> codes (N, Z)."""

    def __init__(self, channels: int, resolution: int, latent_size: int, width: int = 256) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(channels * resolution**2, width), nn.LeakyReLU(0.2), nn.Linear(width, latent_size)
        )

    def forward(self, image: Tensor) -> Tensor:
        return self.layers(image.flatten(1))
