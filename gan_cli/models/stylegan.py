"""StyleGAN (Karras et al. 2019): a mapping network, styles by adaptive instance norm, noise; grows as ProGAN does.

26,219,627 and 23,087,249 parameters at 1024 px (mapping 2,101,248, synthesis 24,118,379), 25,137,935 and 22,498,049 at
64 px, all levels' image layers counted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Literal

import torch
from annotated_types import Interval
from torch import Tensor, nn
from torch.nn.functional import group_norm, leaky_relu
from typing_extensions import Unpack

from gan_cli.base.limits import Channels, Count, Share, Weight, Width
from gan_cli.game.gan import Conditions
from gan_cli.game.growing import GrowingGame
from gan_cli.game.style import StyleBased
from gan_cli.layers.equalized import EqualizedConv2d, EqualizedLinear
from gan_cli.layers.growth import GrowingCritic, Grown, Growth
from gan_cli.layers.modulation import LayerNoise, MappingNetwork, StyleGenerator, spread
from gan_cli.layers.resample import Blur, double
from gan_cli.losses.adversarial import AdversarialLoss
from gan_cli.parts.latent import Gaussian

HE = math.sqrt(2)
TAPS = (1, 2, 1)


class StyleGAN(StyleBased, GrowingGame):
    """The growing game with mixed styles.

    Args:
        mixing: share of the samples whose finer layers get the style of a second latent.
        growth, batch_sizes, rates: as in `growing.GrowingGame`.
    """

    def __init__(
        self,
        generator: Generator,
        discriminator: Discriminator,
        latent: Gaussian,
        loss: AdversarialLoss,
        growth: Growth,
        batch_sizes: Mapping[int, Width] | None = None,
        rates: Mapping[int, Weight] | None = None,
        mixing: Share = 0.9,
        **conditions: Unpack[Conditions],
    ) -> None:
        super().__init__(generator, discriminator, latent, loss, growth, batch_sizes, rates, **conditions)
        self.mixing = mixing


def widths(resolution: int, base: int, most: int) -> list[int]:
    """Return the channels by level, from 4x4 on: `base` / side, at most `most`."""
    return [min(base // (4 << level), most) for level in range(resolution.bit_length() - 2)]


class Styled(nn.Module):
    """Noise, bias, LeakyReLU(0.2), instance norm, and the style's scale and shift: x (s + 1) + b."""

    def __init__(self, channels: int, side: int, style: int) -> None:
        super().__init__()
        self.noise, self.bias = LayerNoise(side, channels), nn.Parameter(torch.zeros(channels))
        self.affine = EqualizedLinear(style, 2 * channels)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        x = leaky_relu(self.noise(x) + self.bias[:, None, None], 0.2)
        x = group_norm(x, x.shape[1], eps=1e-8)  # instance norm; not torch's, see `layers.norm.InstanceNorm`
        scale, shift = self.affine(w)[:, :, None, None].chunk(2, 1)
        return x * (scale + 1) + shift


class Level(nn.Module):
    """Doubling, 3x3 convolution, blur, style; 3x3 convolution, style."""

    def __init__(self, inputs: int, outputs: int, side: int, style: int) -> None:
        super().__init__()
        self.up, self.blur = EqualizedConv2d(inputs, outputs, 3, HE, bias=False), Blur(TAPS)
        self.convolution = EqualizedConv2d(outputs, outputs, 3, HE, bias=False)
        self.first, self.second = Styled(outputs, side, style), Styled(outputs, side, style)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        x = self.first(self.blur(self.up(double(x))), w[:, 0])
        return self.second(self.convolution(x), w[:, 1])


class Synthesis(Grown):
    """w (N, W), or styles for each layer (N, L, W) -> images (N, C, 4 * 2 ** level, ...), not squashed."""

    def __init__(self, growth: Growth, channels: int, style: int, wide: list[int]) -> None:
        super().__init__(growth)
        self.constant = nn.Parameter(torch.ones(wide[0], 4, 4))
        self.start = Styled(wide[0], 4, style)
        self.convolution, self.second = EqualizedConv2d(wide[0], wide[0], 3, HE, bias=False), Styled(wide[0], 4, style)
        self.blocks = nn.ModuleList(
            Level(wide[level - 1], wide[level], 4 << level, style) for level in range(1, len(wide))
        )
        self.to_image = nn.ModuleList(EqualizedConv2d(width, channels, 1) for width in wide)

    @property
    def layers(self) -> int:
        """Return L at the level that is trained."""
        return 2 * self.level + 2

    def parts(self, level: int) -> list[nn.Module]:
        start = [nn.ParameterList([self.constant]), self.start, self.convolution, self.second]
        return [*start, *self.blocks[:level], *self.to_image[max(level - 1, 0) : level + 1]]

    def forward(self, w: Tensor) -> Tensor:
        styles = spread(w, self.layers)
        x = self.start(self.constant.expand(styles.shape[0], -1, -1, -1), styles[:, 0])
        x = before = self.second(self.convolution(x), styles[:, 1])
        for level in range(1, self.level + 1):
            before, x = x, self.blocks[level - 1](x, styles[:, 2 * level : 2 * level + 2])
        image = self.to_image[self.level](x)
        if self.faded == 1:
            return image
        return torch.lerp(double(self.to_image[self.level - 1](before)), image, self.faded)


class Generator(StyleGenerator):
    """Latent (N, Z), label (N,) or None -> images (N, C, 4 * 2 ** level, ...).

    Args:
        style_size: W.
        mapping_layers: 8 as published.
        channel_base: channels at a level are this divided by its side, at most `channel_max`.
        num_classes: K; None: without labels.
    """

    def __init__(
        self,
        growth: Growth,
        latent_size: Width,
        channels: Channels,
        style_size: Width = 512,
        mapping_layers: Annotated[int, Interval(ge=0, le=1_024)] = 8,
        channel_base: Count = 16384,
        channel_max: Width = 512,
        num_classes: Count | None = None,
    ) -> None:
        super().__init__()
        self.mapping = MappingNetwork(latent_size, style_size, mapping_layers, num_classes, HE)
        wide = widths(growth.resolution, channel_base, channel_max)
        self.synthesis = Synthesis(growth, channels, style_size, wide)

    def parts(self, level: int) -> list[nn.Module]:
        return [self.mapping, *self.synthesis.parts(level)]

    def forward(self, latent: Tensor, label: Tensor | None = None, truncation_psi: float = 1.0) -> Tensor:
        return self.synthesis(self.mapping.truncated(self.mapping(latent, label), truncation_psi))


class Discriminator(GrowingCritic):
    """ProGAN's critic with a blur before each halving convolution."""

    def __init__(
        self,
        growth: Growth,
        channels: Channels,
        channel_base: Count = 16384,
        channel_max: Width = 512,
        group: Count = 4,
        num_classes: Count | None = None,
        conditional: Literal["none", "projection", "auxiliary"] = "projection",
    ) -> None:
        wide = widths(growth.resolution, channel_base, channel_max)
        super().__init__(growth, channels, wide, True, group, num_classes, conditional)
