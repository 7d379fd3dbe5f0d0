"""The residual generator of CycleGAN (Zhu et al. 2017, after Johnson et al. 2016)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gan_cli.layers.init import dcgan_init


class ResNetGenerator(nn.Module):
    """Images (N, C, H, W) -> images (N, C', H, W) in [-1, 1]; H and W multiples of 4, from `smallest` up.

    c7s1-64, d128, d256, `blocks` residual blocks, u128, u64, c7s1-C', reflection padding, instance norm without
    gain and bias, biases on all convolutions. 11,378,179 parameters with 9 blocks and 3 channels to 3,
    7,837,699 with 6.

    Args:
        resolution: of training; chooses the number of blocks where `blocks` is None: 9 from 256 px up, else 6.
        dilations: of the residual blocks, cyclically: what lies far from a hole is seen from inside it. Those
            that reach past a picture of the training's resolution are left out.
        residual: learn the change: the picture itself is added before the tanh (drawn in to where it is finite).
            Not published; short runs start from the identity instead of from noise.
    """

    multiple = 4

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        resolution: int = 256,
        blocks: int | None = None,
        width: int = 64,
        dilations: tuple[int, ...] = (1,),
        residual: bool = False,
    ) -> None:
        super().__init__()
        if residual and in_channels != out_channels:
            raise ValueError(f"residual=true needs as many channels out as in, not {in_channels} and {out_channels}")
        self.residual = residual
        dilations = tuple(dilation for dilation in dilations if dilation < resolution // 4) or (1,)
        self.smallest = 4 * (max(dilations) + 1)  # reflection needs one pixel more than it pads
        count = blocks if blocks is not None else (9 if resolution >= 256 else 6)
        layers: list[nn.Module] = [nn.ReflectionPad2d(3), *_convolution(in_channels, width, 7)]
        layers += _convolution(width, 2 * width, 3, stride=2, padding=1)
        layers += _convolution(2 * width, 4 * width, 3, stride=2, padding=1)
        layers += [ResidualBlock(4 * width, dilations[number % len(dilations)]) for number in range(count)]
        for wide in (4 * width, 2 * width):
            layers += [
                nn.ConvTranspose2d(wide, wide // 2, 3, 2, 1, output_padding=1),
                nn.InstanceNorm2d(wide // 2),
                nn.ReLU(inplace=True),
            ]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, out_channels, 7)]
        self.layers = nn.Sequential(*layers)
        self.apply(dcgan_init)

    def forward(self, image: Tensor) -> Tensor:
        made = self.layers(image)
        return torch.tanh(made + torch.atanh(0.98 * image) if self.residual else made)


class ResidualBlock(nn.Module):
    """x + IN(conv(ReLU(IN(conv(x))))), 3x3 with reflection padding."""

    def __init__(self, channels: int, dilation: int = 1) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReflectionPad2d(dilation),
            *_convolution(channels, channels, 3, dilation=dilation),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            nn.InstanceNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


def _convolution(before: int, after: int, kernel: int, **options: int) -> list[nn.Module]:
    convolution = nn.Conv2d(before, after, kernel, **options)  # type: ignore[arg-type]
    return [convolution, nn.InstanceNorm2d(after), nn.ReLU(inplace=True)]
