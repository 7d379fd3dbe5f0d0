"""R3GAN (Huang et al. 2024, "The GAN is dead; long live the GAN!"): a modern baseline without norms or tricks.

Grouped residual blocks, no normalisation, FixUp-like initialisation, resampling with [1,3,3,1]; trained by the
relativistic pairing loss with R1 and R2. 20,781,952 and 21,280,512 parameters for 10 classes at 32 px (four levels
of 768 channels); 22,429,824 and 22,381,440 at 64 px without labels.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, leaky_relu, one_hot

from gan_cli.base.limits import Channels, Count, Depth, Pixels, Width
from gan_cli.base.types import CriticOutput
from gan_cli.layers.head import Head
from gan_cli.layers.resample import Downsample, Upsample

GAIN = math.sqrt(2 / (1 + 0.2**2))  # of LeakyReLU(0.2), He et al. 2015
TAPS = (1, 3, 3, 1)  # the authors' [1,2,1], convolved with [1,1] where it resamples by 2


class Generator(nn.Module):
    """Latent (N, Z), label (N,) or None -> images (N, C, R, R), not squashed.

    Args:
        width: channels of the levels up to `full_until` pixels a side; halved at each finer one.
        blocks: residual blocks of each level.
        group: channels in each group of the 3x3 convolutions, which are twice as wide as the level.
        num_classes: K; None: without labels.
        embedding: length of a class vector, which joins the latent.
    """

    def __init__(
        self,
        latent_size: Width,
        channels: Channels,
        resolution: Pixels,
        width: Width = 768,
        full_until: Count = 32,
        blocks: Depth = 2,
        group: Count = 16,
        num_classes: Count | None = None,
        embedding: Width = 64,
    ) -> None:
        super().__init__()
        widths = widths_of(resolution, width, full_until, group)
        self.num_classes = num_classes
        self.embed = plain_linear(num_classes, embedding) if num_classes else None
        self.start = plain_linear(latent_size + (embedding if num_classes else 0), widths[0])
        self.basis = nn.Parameter(torch.randn(widths[0], 4, 4))
        total = blocks * len(widths)
        stages: list[nn.Module] = []
        for number, width in enumerate(widths):
            if number:
                before = widths[number - 1]
                stages += [Project(before, width)] if before != width else []
                stages += [Upsample(TAPS)]
            stages += [Block(width, group, total) for _ in range(blocks)]
        self.stages = nn.Sequential(*stages)
        self.to_image = Project(widths[-1], channels)

    def forward(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        if self.embed is not None:
            assert label is not None
            latent = torch.cat([latent, self.embed(classes(label, self.num_classes, latent))], 1)
        return self.to_image(self.stages(self.basis * self.start(latent)[:, :, None, None]))


class Discriminator(nn.Module):
    """Images (N, C, R, R), label (N,) or None -> logits (N,), mirrored; labels projected, or `CriticOutput`."""

    def __init__(
        self,
        channels: Channels,
        resolution: Pixels,
        width: Width = 768,
        full_until: Count = 32,
        blocks: Depth = 2,
        group: Count = 16,
        num_classes: Count | None = None,
        embedding: Width | None = None,
        conditional: Literal["none", "projection", "auxiliary"] = "projection",
    ) -> None:
        super().__init__()
        widths = widths_of(resolution, width, full_until, group)
        projects, names = num_classes and conditional == "projection", num_classes and conditional == "auxiliary"
        size = (embedding or widths[0]) if projects else 1
        fine_to_coarse, total = list(widths)[::-1], blocks * len(widths)
        self.from_image = Project(channels, fine_to_coarse[0])
        stages: list[nn.Module] = []
        for number, width in enumerate(fine_to_coarse):
            if number:
                before = fine_to_coarse[number - 1]
                stages += [Downsample(TAPS)]
                stages += [Project(before, width)] if before != width else []
            stages += [Block(width, group, total) for _ in range(blocks)]
        self.stages = nn.Sequential(*stages)
        self.basis = nn.Parameter(torch.randn(widths[0], 1, 4, 4) / 4)  # a dot product over 4x4 pixels
        answer = plain_linear(widths[0], size)
        # N(0, 1 / (size K)), as the authors': a logit starts about as large as without labels, over sqrt(K)
        embed = plain_linear(num_classes or 0, size, 1 / math.sqrt(size)) if projects else None
        classes = plain_linear(widths[0], num_classes or 0) if names else None
        self.head = Head(answer, embed, classes, num_classes, projects_on="answer")

    def forward(self, image: Tensor, label: Tensor | None = None) -> Tensor | CriticOutput:
        seen = conv2d(self.stages(self.from_image(image)), self.basis, groups=len(self.basis))
        return self.head(seen.flatten(1), label)


class Block(nn.Module):
    """x + conv1x1(act(conv3x3(act(conv1x1 x)))), the 3x3 grouped and twice as wide; the last starts at 0.

    The others start smaller by `total` ** (-1/4), where `total` is the number of blocks in the network. Activations
    and updates thus keep their size at any depth (Zhang et al. 2019, FixUp, without its scalars).
    """

    def __init__(self, width: int, group: int, total: int) -> None:
        super().__init__()
        wide, gain = 2 * width, GAIN * total**-0.25
        self.narrow_in = Project(width, wide, gain)
        self.spatial = Project(wide, wide, gain, kernel=3, groups=wide // group)
        self.narrow_out = Project(wide, width, 0.0)
        self.bias_in, self.bias_spatial = nn.Parameter(torch.zeros(wide)), nn.Parameter(torch.zeros(wide))

    def forward(self, x: Tensor) -> Tensor:
        y = self.spatial(activate(self.narrow_in(x), self.bias_in))
        return x + self.narrow_out(activate(y, self.bias_spatial))


def activate(x: Tensor, bias: Tensor) -> Tensor:
    return leaky_relu(x + bias[:, None, None], 0.2)


class Project(nn.Conv2d):
    """A convolution without bias whose weights start as N(0, gain^2 / fan-in)."""

    def __init__(self, inputs: int, outputs: int, gain: float = 1.0, kernel: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=False)
        nn.init.normal_(self.weight, 0.0, gain / math.sqrt(self.weight[0].numel()))


def plain_linear(inputs: int, outputs: int, gain: float = 1.0) -> nn.Linear:
    """Make a linear layer without bias whose weights start as N(0, gain^2 / inputs)."""
    layer = nn.Linear(inputs, outputs, bias=False)
    nn.init.normal_(layer.weight, 0.0, gain / math.sqrt(inputs))
    return layer


def classes(label: Tensor, num_classes: int | None, like: Tensor) -> Tensor:
    return one_hot(label, num_classes or 0).to(like.dtype)


def widths_of(resolution: int, width: int, full_until: int, group: int) -> list[int]:
    """Return the channels by level, from 4x4 on; twice each is a multiple of `group`."""
    if resolution < 8 or resolution & (resolution - 1):
        raise ValueError(f"r3gan makes resolutions that are powers of two from 8 up, not {resolution}")
    widths = [min(width, width * full_until // (4 << level)) for level in range(resolution.bit_length() - 2)]
    if any(not each or 2 * each % group for each in widths):
        unit = group // math.gcd(group, 2) * max(1, resolution // full_until)
        below = width - width % unit
        raise ValueError(
            f"width={width} does not fit group={group} at {resolution} pixels, where the levels are"
            f" {', '.join(map(str, widths))} wide: twice each must be a multiple of the group;"
            f" width={f'{below} or ' if below else ''}{below + unit} would do"
        )
    return widths
