"""StyleGAN2 (Karras et al. 2020): modulated convolutions, a skip generator, a residual critic.

30,370,060 and 29,012,513 parameters for configuration F at 1024 px; 24,767,458 and 24,001,089 at 256 px with half the
channels. 19,947,539 and 20,720,641 at 32 px (two mapping layers, plain critic); 20,215,315 and 23,089,664 with 10
classes. R1 and path length are phases of their own on every k-th step (`style.StyleGame`).
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Interval
from torch import Tensor, nn
from torch.nn.functional import conv2d

from gan_cli.base.limits import Channels, Count, Pixels, Width
from gan_cli.base.types import CriticOutput
from gan_cli.layers.equalized import EqualizedConv2d, EqualizedLinear
from gan_cli.layers.head import Head
from gan_cli.layers.minibatch import MinibatchStddev
from gan_cli.layers.modulation import (
    TAPS,
    LayerNoise,
    MappingNetwork,
    ModulatedConv2d,
    StyleGenerator,
    activate,
    spread,
)
from gan_cli.layers.resample import Downsample, Filter, Upsample


def widths(resolution: int, base: int, most: int) -> dict[int, int]:
    """Return the channels by resolution, from 4 up: `base` / resolution, at most `most`."""
    if resolution < 8 or resolution & (resolution - 1):
        raise ValueError(f"stylegan2 makes resolutions that are powers of two from 8 up, not {resolution}")
    sides = [4 << level for level in range(resolution.bit_length() - 2)]
    return {side: min(base // side, most) for side in sides}


class Layer(nn.Module):
    """Modulated 3x3 convolution, noise, bias, activation."""

    def __init__(self, inputs: int, outputs: int, resolution: int, style: int, up: bool = False) -> None:
        super().__init__()
        self.convolution = ModulatedConv2d(inputs, outputs, 3, style, up=up)
        self.noise = LayerNoise(resolution)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        return activate(self.noise(self.convolution(x, w)) + self.bias[:, None, None].to(x.dtype))


class ToImage(nn.Module):
    """Modulated 1x1 convolution without demodulation, and a bias."""

    def __init__(self, inputs: int, channels: int, style: int) -> None:
        super().__init__()
        self.convolution = ModulatedConv2d(inputs, channels, 1, style, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        return self.convolution(x, w) + self.bias[:, None, None].to(x.dtype)


class Synthesis(nn.Module):
    """w (N, W), or styles for each layer (N, L, W) -> images (N, C, R, R), L = 2 log2(R) - 2; not squashed."""

    def __init__(self, channels: int, resolution: int, style: int, base: int, most: int) -> None:
        super().__init__()
        wide = widths(resolution, base, most)
        self.layers = 2 * len(wide)
        self.constant = nn.Parameter(torch.randn(wide[4], 4, 4))
        self.first, self.first_image = Layer(wide[4], wide[4], 4, style), ToImage(wide[4], channels, style)
        finer = [(side, wide[side // 2], width) for side, width in wide.items() if side > 4]
        self.ups = nn.ModuleList(Layer(before, width, side, style, up=True) for side, before, width in finer)
        self.convolutions = nn.ModuleList(Layer(width, width, side, style) for side, _, width in finer)
        self.images = nn.ModuleList(ToImage(width, channels, style) for _, _, width in finer)
        self.enlarge = Upsample(TAPS)

    def forward(self, w: Tensor) -> Tensor:
        styles = spread(w, self.layers)
        x = self.constant.expand(styles.shape[0], -1, -1, -1)
        x = self.first(x, styles[:, 0])
        image = self.first_image(x, styles[:, 1])
        parts = zip(self.ups, self.convolutions, self.images, strict=True)
        for number, (up, convolution, to_image) in enumerate(parts):
            at = 1 + 2 * number
            x = convolution(up(x, styles[:, at]), styles[:, at + 1])
            image = self.enlarge(image) + to_image(x, styles[:, at + 2])
        return image


class Generator(StyleGenerator):
    """Latent (N, Z), label (N,) or None -> images (N, C, R, R).

    Args:
        style_size: W.
        mapping_layers: 8 as published, 2 for CIFAR-10.
        channel_base: channels at a resolution are this divided by it, at most `channel_max`.
        num_classes: K; None: without labels.
    """

    def __init__(
        self,
        latent_size: Width,
        channels: Channels,
        resolution: Pixels,
        style_size: Width = 512,
        mapping_layers: Annotated[int, Interval(ge=0, le=1_024)] = 8,
        channel_base: Count = 32768,
        channel_max: Width = 512,
        num_classes: Count | None = None,
    ) -> None:
        super().__init__()
        self.mapping = MappingNetwork(latent_size, style_size, mapping_layers, num_classes)
        self.synthesis = Synthesis(channels, resolution, style_size, channel_base, channel_max)

    def forward(self, latent: Tensor, label: Tensor | None = None, truncation_psi: float = 1.0) -> Tensor:
        return self.synthesis(self.mapping.truncated(self.mapping(latent, label), truncation_psi))


class Down(nn.Module):
    """Activated 3x3 convolution of stride 2 behind the low-pass filter."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.filter = Filter(TAPS)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.scale = 1 / math.sqrt(inputs * 9)

    def forward(self, x: Tensor) -> Tensor:
        x = self.filter.blur(x, padding=2)
        return activate(conv2d(x, (self.weight * self.scale).to(x.dtype), self.bias.to(x.dtype), stride=2))


class DownBlock(nn.Module):
    """Two convolutions, of which the second halves; with `residual`, plus a halved 1x1 one, over sqrt(2)."""

    def __init__(self, inputs: int, outputs: int, residual: bool) -> None:
        super().__init__()
        self.convolution, self.down = EqualizedConv2d(inputs, inputs, 3), Down(inputs, outputs)
        self.halve = Downsample(TAPS)
        self.skip = EqualizedConv2d(inputs, outputs, 1, bias=False) if residual else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.down(activate(self.convolution(x)))
        return y if self.skip is None else (y + self.skip(self.halve(x))) * math.sqrt(0.5)


class Discriminator(nn.Module):
    """Images (N, C, R, R), label (N,) or None -> logits (N,); mapped labels are projected, or `CriticOutput`.

    Args:
        kind: "resnet" as published, "plain" for CIFAR-10.
        group: samples in a group of the minibatch deviation; 0: without.
        conditional: if there are classes: labels projected as published, or named by an auxiliary classifier.
    """

    def __init__(
        self,
        channels: Channels,
        resolution: Pixels,
        kind: Literal["resnet", "plain"] = "resnet",
        channel_base: Count = 32768,
        channel_max: Width = 512,
        group: Annotated[int, Ge(0)] = 4,
        num_classes: Count | None = None,
        conditional: Literal["none", "projection", "auxiliary"] = "projection",
    ) -> None:
        super().__init__()
        wide = widths(resolution, channel_base, channel_max)
        self.from_image = EqualizedConv2d(channels, wide[resolution], 1)
        self.blocks = nn.Sequential(
            *(DownBlock(wide[side], wide[side // 2], kind == "resnet") for side in sorted(wide, reverse=True)[:-1])
        )
        self.deviation = MinibatchStddev(group) if group else nn.Identity()
        self.last = EqualizedConv2d(wide[4] + bool(group), wide[4], 3)
        self.dense = EqualizedLinear(wide[4] * 16, wide[4])
        projects, names = num_classes and conditional == "projection", num_classes and conditional == "auxiliary"
        self.head = Head(
            EqualizedLinear(wide[4], wide[4] if projects else 1),
            MappedLabel(wide[4], num_classes) if num_classes and projects else None,
            EqualizedLinear(wide[4], num_classes or 0) if names else None,
            projects_on="answer",
            divisor=math.sqrt(wide[4]),
        )

    def forward(self, image: Tensor, label: Tensor | None = None) -> Tensor | CriticOutput:
        x = self.deviation(self.blocks(activate(self.from_image(image))))
        return self.head(activate(self.dense(activate(self.last(x)).flatten(1))), label)


class MappedLabel(MappingNetwork):
    """Label (N,) -> (N, W), by eight mapping layers."""

    def __init__(self, size: int, num_classes: int) -> None:
        super().__init__(0, size, 8, num_classes)

    def forward(self, label: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(None, label)
