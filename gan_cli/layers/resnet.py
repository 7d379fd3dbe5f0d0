"""The residual generator of CycleGAN (Zhu et al. 2017, after Johnson et al. 2016)."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

import torch
from annotated_types import Interval
from torch import Tensor, nn

from gan_cli.base.limits import Channels, Depth, Pixels, Width
from gan_cli.layers.init import dcgan_init
from gan_cli.layers.norm import norm_2d


class ResNetGenerator(nn.Module):
    """Images (N, C, H, W) -> images (N, C', H, W) in [-1, 1]; H and W multiples of `multiple`, from `smallest` up.

    c7s1-64, d128, d256, `blocks` residual blocks, u128, u64, c7s1-C', reflection padding, instance norm without
    gain and bias, biases on all convolutions. 11,378,179 parameters with 9 blocks and 3 channels to 3,
    7,837,699 with 6.

    Args:
        resolution: resolution in training; without `blocks`, it sets their number: 9 from 256 px up, else 6.
        dilations: dilations of the residual blocks, used cyclically, by which the network sees far beyond a hole.
            Those that reach past a picture of the training's resolution are left out.
        residual: learn the change, which is added to the picture and begins at zero. Not published; short runs start
            from the identity instead of from noise.
        halvings: number of halvings of the picture before the residual blocks; 2 is published.
        norm: "instance" (published) hides each picture's brightness from later layers.
    """

    def __init__(
        self,
        in_channels: Channels,
        out_channels: Channels,
        resolution: Pixels = 256,
        blocks: Depth | None = None,
        width: Width = 64,
        dilations: tuple[Width, ...] = (1,),
        residual: bool = False,
        halvings: Annotated[int, Interval(ge=0, le=10)] = 2,
        norm: Literal["instance", "batch", "none"] = "instance",
    ) -> None:
        super().__init__()
        if residual and in_channels != out_channels:
            raise ValueError(f"residual=true needs as many channels out as in, not {in_channels} and {out_channels}")
        self.residual = residual
        self.multiple = 2**halvings
        dilations = tuple(dilation for dilation in dilations if dilation < resolution // self.multiple) or (1,)
        self.smallest = max(4, self.multiple * (max(dilations) + 1))  # reflection needs one pixel more than it pads
        count = blocks if blocks is not None else (9 if resolution >= 256 else 6)
        layers: list[nn.Module] = [nn.ReflectionPad2d(3), *_convolution(in_channels, width, 7, norm)]
        wide = [width << level for level in range(halvings + 1)]
        for before, after in pairwise(wide):
            layers += _convolution(before, after, 3, norm, stride=2, padding=1)
        layers += [ResidualBlock(wide[-1], dilations[number % len(dilations)], norm) for number in range(count)]
        for before, after in pairwise(reversed(wide)):
            layers += [
                nn.ConvTranspose2d(before, after, 3, 2, 1, output_padding=1),
                norm_2d(norm, after, affine=norm == "batch"),
                nn.ReLU(inplace=True),
            ]
        last = nn.Conv2d(width, out_channels, 7)
        layers += [nn.ReflectionPad2d(3), last]
        self.layers = nn.Sequential(*layers)
        self.apply(dcgan_init)
        self.last = [last]  # in a list: it is registered in `layers`
        if residual:
            self.start_at_zero()

    def start_at_zero(self) -> None:
        """Set the last convolution to 0, and with it the output before the tanh or the sum."""
        nn.init.zeros_(self.last[0].weight)
        nn.init.zeros_(self.last[0].bias)  # type: ignore[arg-type]

    def forward(self, image: Tensor) -> Tensor:
        output = self.layers(image)
        return (image + output).clamp(-1, 1) if self.residual else torch.tanh(output)


class ResidualBlock(nn.Module):
    """x + norm(conv(ReLU(norm(conv(x))))), 3x3 with reflection padding."""

    def __init__(self, channels: int, dilation: int = 1, norm: str = "instance") -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReflectionPad2d(dilation),
            *_convolution(channels, channels, 3, norm, dilation=dilation),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            norm_2d(norm, channels, affine=norm == "batch"),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


def _convolution(before: int, after: int, kernel: int, norm: str, **options: int) -> list[nn.Module]:
    convolution = nn.Conv2d(before, after, kernel, **options)  # type: ignore[arg-type]
    return [convolution, norm_2d(norm, after, affine=norm == "batch"), nn.ReLU(inplace=True)]
