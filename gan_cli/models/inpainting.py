"""Inpainting: a hole is filled so that the picture as a whole and the place of the hole both look real.

It has two critics as in globally and locally consistent completion (Iizuka et al. 2017), here with one match each
instead of one joint logit. Reconstruction plus adversarial loss are as in Context Encoders (Pathak et al. 2016). The
generator is CycleGAN's residual one, with dilated blocks as Iizuka's; the mask of the hole is a further input.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d
from typing_extensions import Unpack

from gan_cli.base.limits import Channels, Depth, Images, Pixels, Weight, Width
from gan_cli.base.types import Match, Side
from gan_cli.data.degrade import filled_smoothly
from gan_cli.game.game import Rules, Turn
from gan_cli.game.space import Translation
from gan_cli.game.translator import Translator
from gan_cli.layers.patchgan import PatchGAN
from gan_cli.layers.resnet import ResNetGenerator
from gan_cli.losses.adversarial import AdversarialLoss
from gan_cli.losses.reconstruction import masked_l1


class Inpainting(Translator):
    """The L1 loss in the hole times `l1_weight`, plus the adversarial terms of both critics; at first L1 alone.

    Known pixels are pasted back, so that critics and losses judge only the filled ones.

    Args:
        generator: (N, C + 1, H, W), masked picture and mask -> (N, C, H, W).
        discriminator: sees the whole picture.
        discriminator_hole: sees a window of half the picture's side around the hole.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        discriminator_hole: nn.Module,
        loss: AdversarialLoss,
        l1_weight: Weight = 1.0,
        adversarial_weight: Weight = 1e-3,
        pretrain_images: Images = 0,
        **rules: Unpack[Rules],
    ) -> None:
        super().__init__(generator, discriminator, loss, adversarial_weight, pretrain_images, **rules)
        self.discriminator_hole, self.l1_weight = discriminator_hole, l1_weight
        self.play(("generator",), ("discriminator", "discriminator_hole"))

    def generate(self, generator: nn.Module, fields: Mapping[str, Tensor], source: str = "source") -> Tensor:
        mask = fields["mask"]
        known = fields[source] * (1 - mask)
        return known + mask * generator(torch.cat([known, mask], 1))

    def matches(self, turn: Turn) -> list[Match]:
        target, mask, fake = turn.batch.fields["target"], turn.batch.fields["mask"], turn.fakes["fake"]
        corner = hole_corner(mask)
        side = target.shape[-1] // 2
        return [
            turn.match(self.judge, Side(target), Side(fake), "_whole"),
            turn.match(self.judge_hole, Side(cut(target, corner, side)), Side(cut(fake, corner, side)), "_hole"),
        ]

    def judge_hole(self, samples: Tensor) -> Tensor:
        return self.discriminator_hole(self.augment(samples), None)

    @property
    def translations(self) -> dict[str, Translation]:
        return {"a_to_b": Translation("generator", "source", "output", mask="mask")}

    def reconstruction(self, turn: Turn) -> dict[str, Tensor]:
        fields = turn.batch.fields
        return {"l1": self.l1_weight * masked_l1(turn.fakes["fake"], fields["target"], fields["mask"])}


def hole_corner(mask: Tensor) -> Tensor:
    """Find the corner of the window of half the side that holds most of the hole: mask (N, 1, H, W) -> (N, 2).

    If several windows hold as much, it is the one nearest to the hole's middle. A larger hole sticks out of the window.
    """
    side = mask.shape[-1]
    half = side // 2
    at = torch.arange(side, device=mask.device, dtype=torch.float32)
    weight = mask[:, 0].flatten(1).sum(1).clamp_min(1)
    row = (mask[:, 0].sum(2) * at).sum(1) / weight
    column = (mask[:, 0].sum(1) * at).sum(1) / weight
    held = avg_pool2d(mask.float(), half, 1)[:, 0] * half**2  # pixels of the hole, by the window's corner
    steps = torch.arange(held.shape[-1], device=mask.device)
    off_row, off_column = ((at[:, None] - half / 2 - steps).square() for at in (row, column))
    off = off_row[:, :, None] + off_column[:, None, :]
    best = (held - off / (4 * side**2)).flatten(1).argmax(1)  # the distance counts less than one pixel
    return torch.stack([best // len(steps), best % len(steps)], 1)


def cut(images: Tensor, corner: Tensor, side: int) -> Tensor:
    """Cut a window out of each image, differentiably: (N, C, H, W), (N, 2) -> (N, C, side, side)."""
    steps = torch.arange(side, device=images.device)
    rows, columns = corner[:, :1] + steps, corner[:, 1:] + steps
    samples = torch.arange(len(images), device=images.device)[:, None, None]
    return images.permute(0, 2, 3, 1)[samples, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


class Generator(ResNetGenerator):
    """The residual generator with the mask as one more channel, and blocks dilated by 1, 2, 4, 8.

    Args:
        norm: "batch" as Iizuka's; instance norm would hide how bright the surroundings of a hole are.
        residual: learn the difference from a smooth filling, which the network sees and which is added to its output.
            Not published; short runs start from the smooth filling instead of from noise.
    """

    def __init__(
        self,
        channels: Channels,
        resolution: Pixels = 256,
        blocks: Depth | None = None,
        width: Width = 64,
        norm: Literal["instance", "batch", "none"] = "batch",
        residual: bool = False,
    ) -> None:
        super().__init__(channels + 1, channels, resolution, blocks, width, (1, 2, 4, 8), norm=norm)
        self.on_smooth = residual
        if residual:
            self.start_at_zero()

    def forward(self, image: Tensor) -> Tensor:
        if not self.on_smooth:
            return super().forward(image)
        known, mask = image[:, :-1], image[:, -1:]
        smooth = filled_smoothly(known, mask)
        return (smooth + self.layers(torch.cat([smooth, mask], 1))).clamp(-1, 1)


class Critic(PatchGAN):
    """A PatchGAN with as many layers as the pictures' side allows, at most 3."""

    def __init__(
        self,
        channels: Channels,
        resolution: Pixels,
        width: Width = 64,
        norm: Literal["batch", "instance", "layer", "none"] = "batch",
    ) -> None:
        layers = 3 if resolution >= 32 else 2 if resolution >= 16 else 1
        super().__init__(channels, width, layers, norm)
