"""Networks for points in the plane, after the notebook of Unrolled GAN (Metz et al. 2017), not quite its paper.

49,666 and 17,025 parameters (latent 256, two layers of 128 tanh units, orthogonal weights of gain 1.4).
"""

from __future__ import annotations

from typing import Annotated

from annotated_types import Interval
from torch import Tensor, nn

from gan_cli.base.limits import Width
from gan_cli.layers.init import orthogonal_init
from gan_cli.layers.minibatch import MinibatchDiscrimination


def perceptron(inputs: int, width: int, outputs: int) -> nn.Sequential:
    layers = nn.Sequential(
        nn.Linear(inputs, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, outputs)
    )
    orthogonal_init(layers, 1.4)
    return layers


class Generator(nn.Module):
    """Latent (N, Z) -> points (N, D)."""

    def __init__(self, latent_size: Width, dimensions: Width = 2, width: Width = 128) -> None:
        super().__init__()
        self.layers = perceptron(latent_size, width, dimensions)

    def forward(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        return self.layers(latent)


class Discriminator(nn.Module):
    """Points (N, D) -> logits (N,).

    Args:
        minibatch_kernels: kernels of the minibatch discrimination before the logit; 0: none.
    """

    def __init__(
        self,
        dimensions: Width = 2,
        width: Width = 128,
        minibatch_kernels: Annotated[int, Interval(ge=0, le=65_536)] = 0,
    ) -> None:
        super().__init__()
        self.layers = perceptron(dimensions, width, 1)
        if minibatch_kernels:
            self.layers[-1] = nn.Linear(width + minibatch_kernels, 1)
            orthogonal_init(self.layers[-1], 1.4)
            self.layers.insert(len(self.layers) - 1, MinibatchDiscrimination(width, minibatch_kernels))

    def forward(self, points: Tensor, label: Tensor | None = None) -> Tensor:
        return self.layers(points).squeeze(1)
