"""SRGAN and SRResNet (Ledig et al. 2017): super-resolution, first by squared error, then by a critic.

1,549,462 parameters in the generator (x4, 16 blocks) and 23,565,505 in the critic at 96 px, with a bias on every
convolution. There is no official code; without a bias before norms there would be 1,547,350 and 23,563,649.
Deviations: low-resolution pictures are in [-1, 1] like all others here and are mapped to the paper's [0, 1] inside.
The rate stays the same to the end (the paper's second 100,000 adversarial updates have a tenth of it).
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from gan_cli.base.limits import Channels, Depth, Images, Pixels, Weight, Width
from gan_cli.data.degrade import enlarge
from gan_cli.game.game import Given, Rows, Rules, Turn
from gan_cli.game.space import Translation
from gan_cli.game.translator import Translator
from gan_cli.layers.norm import norm_2d
from gan_cli.losses.adversarial import AdversarialLoss
from gan_cli.losses.perceptual import Features
from gan_cli.losses.reconstruction import feature_mse, mse
from gan_cli.metrics.similarity import psnr, ssim_if_any


class SRGAN(Translator):
    """The content loss plus `adversarial_weight` (1e-3) times the adversarial loss, after `pretrain_images` of MSE.

    The content loss is the MSE of pixels (the paper's SRGAN-MSE) or, with `perceptual`, of a trained network's features
    (the paper's VGG54).

    Args:
        scale: 2, 4 (published) or 8: how many times larger the output is.
        perceptual: features that the adversarial stage compares; None: it compares pixels.
    """

    score_rule = "psnr and ssim of the luma, without a border of scale pixels"

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        loss: AdversarialLoss,
        scale: Literal[2, 4, 8] = 4,
        pretrain_images: Images = 0,
        adversarial_weight: Weight = 1e-3,
        perceptual: Features | None = None,
        **rules: Unpack[Rules],
    ) -> None:
        super().__init__(generator, discriminator, loss, adversarial_weight, pretrain_images, **rules)
        self.scale, self.perceptual = scale, perceptual

    @property
    def translations(self) -> dict[str, Translation]:
        return {"a_to_b": Translation("generator", "source", "output", scale=self.scale)}

    def reconstruction(self, turn: Turn) -> dict[str, Tensor]:
        fake, target = turn.fakes["fake"], turn.batch.fields["target"]
        if not turn.phase.adversarial or self.perceptual is None:
            return {"mse": mse(fake, target)}
        return {"content": feature_mse(self.perceptual(fake), self.perceptual(target))}

    def make(self, networks: Mapping[str, nn.Module], given: Given, truncation_psi: float = 1.0) -> Rows:
        """Make the rows source, bicubic (the source enlarged by bicubic interpolation), output and target."""
        rows = super().make(networks, given)
        return {"source": rows.pop("source"), "bicubic": enlarge(given["source"], self.scale), **rows}

    def scores(self, rows: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Compute PSNR and SSIM of the luma without a border of `scale` pixels, as published, and `bicubic`'s PSNR."""
        target, border = rows["target"], self.scale
        pictures = {"": rows["output"], "_bicubic": rows["bicubic"]}
        scores = {f"psnr{of}": psnr(picture, target, border, on_luma=True) for of, picture in pictures.items()}
        return {**scores, **ssim_if_any(rows["output"], target, border)}


class Generator(nn.Module):
    """SRResNet: (N, C, H, W) -> (N, C, H * scale, W * scale) in [-1, 1].

    The layers are a 9x9 convolution and PReLU, `blocks` residual blocks with batch norm, and a convolution with a long
    skip. Each doubling is a convolution, pixel shuffle and PReLU; the last layer is a 9x9 convolution. The output is
    not squashed.

    Args:
        norm: norm of the residual blocks; "batch" is published, "none" as in EDSR (Lim et al. 2017).
        residual: learn the difference from a bicubic enlargement, which is added to the output. Not published; short
            runs start from the bicubic picture instead of from noise.
    """

    def __init__(
        self,
        channels: Channels,
        scale: Literal[2, 4, 8] = 4,
        width: Width = 64,
        blocks: Depth = 16,
        norm: Literal["batch", "none"] = "batch",
        residual: bool = False,
    ) -> None:
        super().__init__()
        self.scale, self.residual = scale, residual
        self.first = nn.Sequential(nn.Conv2d(channels, width, 9, 1, 4), nn.PReLU())
        self.blocks = nn.Sequential(
            *(ResidualBlock(width, norm) for _ in range(blocks)),
            nn.Conv2d(width, width, 3, 1, 1),
            norm_2d(norm, width),
        )
        self.up = nn.Sequential(
            *(
                layer
                for _ in range(scale.bit_length() - 1)
                for layer in (nn.Conv2d(width, 4 * width, 3, 1, 1), nn.PixelShuffle(2), nn.PReLU())
            )
        )
        self.last = nn.Conv2d(width, channels, 9, 1, 4)
        if residual:
            nn.init.zeros_(self.last.weight)
            nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    def forward(self, image: Tensor) -> Tensor:
        first = self.first((image + 1) / 2)
        output = self.last(self.up(first + self.blocks(first)))
        return output + enlarge(image, self.scale) if self.residual else output


class ResidualBlock(nn.Module):
    """x + norm(conv(PReLU(norm(conv(x)))))"""

    def __init__(self, width: int, norm: str = "batch") -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(width, width, 3, 1, 1),
            norm_2d(norm, width),
            nn.PReLU(),
            nn.Conv2d(width, width, 3, 1, 1),
            norm_2d(norm, width),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class Discriminator(nn.Module):
    """Images (N, C, R, R) -> logits (N,), R a multiple of 16: eight 3x3 convolutions, every second of stride 2,
    64 to 512 channels, LeakyReLU(0.2), `norm` on all but the first; dense 1024 and 1."""

    def __init__(
        self,
        channels: Channels,
        resolution: Pixels,
        width: Width = 64,
        dense: Width = 1024,
        norm: Literal["batch", "instance", "layer", "none"] = "batch",
    ) -> None:
        super().__init__()
        if resolution < 16 or resolution % 16:
            raise ValueError(f"the critic takes crops whose side is a multiple of 16, not {resolution}")
        wide = [channels, *(width * factor for factor in (1, 1, 2, 2, 4, 4, 8, 8))]
        layers: list[nn.Module] = []
        for number, (before, after) in enumerate(pairwise(wide)):
            layers += [nn.Conv2d(before, after, 3, 1 + number % 2, 1)]
            layers += [norm_2d(norm, after)] if number else []
            layers += [nn.LeakyReLU(0.2, inplace=True)]
        self.layers = nn.Sequential(*layers)
        self.dense = nn.Sequential(
            nn.Linear(wide[-1] * (resolution // 16) ** 2, dense), nn.LeakyReLU(0.2, inplace=True), nn.Linear(dense, 1)
        )

    def forward(self, image: Tensor, label: Tensor | None = None) -> Tensor:
        return self.dense(torch.flatten(self.layers(image), 1)).squeeze(1)
