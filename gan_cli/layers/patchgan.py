"""The PatchGAN critic (Isola et al. 2017): is each patch of this picture real?"""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor, nn

from gan_cli.base.limits import Channels, Depth, Width
from gan_cli.layers.init import dcgan_init
from gan_cli.layers.norm import norm_2d


class PatchGAN(nn.Module):
    """Images (N, C, H, W) -> logits by patch (N, h, w); 4x4 kernels, LeakyReLU(0.2).

    With the published 3 layers each logit sees 70x70 pixels. 2,768,705 parameters with 6 channels (picture and
    condition) and batch norm, 2,764,737 with 3 channels and instance norm. Convolutions before a norm with gain and
    bias have no bias; in the authors' first code they have one: 2,769,601.

    Args:
        in_channels: channels of the picture, plus those of its condition if the critic sees one.
        layers: number of layers with stride 2; with 1, 2, 3, 4 a logit sees 16, 34, 70, 142 pixels.
    """

    @staticmethod
    def refusal(at: str, layers: int = 3, *, dataset: dict[str, Any]) -> str | None:
        """Return why the pictures are too small for so many layers, or None (see `check.rules`).

        Each layer halves the picture, and two more pixels are cut off.
        """
        resolution = dataset.get("resolution")
        if not resolution or resolution >> layers >= 4:
            return None
        most = max(1, resolution.bit_length() - 3)
        return f"{at}.layers={layers} leaves nothing of dataset.resolution={resolution}; at most {most} would do"

    def __init__(
        self,
        in_channels: Channels,
        width: Width = 64,
        layers: Depth = 3,
        norm: Literal["batch", "instance", "layer", "none"] = "batch",
    ) -> None:
        super().__init__()
        wide = [width * min(2**level, 8) for level in range(layers + 1)]
        bias = norm in ("instance", "none")
        stages = [nn.Sequential(nn.Conv2d(in_channels, wide[0], 4, 2, 1), nn.LeakyReLU(0.2, inplace=True))]
        for level in range(1, layers + 1):
            stages.append(
                nn.Sequential(
                    nn.Conv2d(wide[level - 1], wide[level], 4, 2 if level < layers else 1, 1, bias=bias),
                    norm_2d(norm, wide[level], affine=norm != "instance"),
                    nn.LeakyReLU(0.2, inplace=True),
                )
            )
        self.stages = nn.ModuleList(stages)
        self.last = nn.Conv2d(wide[-1], 1, 4, 1, 1)
        self.apply(dcgan_init)

    def features(self, image: Tensor) -> list[Tensor]:
        """Compute the outputs of all layers but the last, (N, C, h, w) each, finest first."""
        outputs = []
        for stage in self.stages:
            image = stage(image)
            outputs.append(image)
        return outputs

    def forward(self, image: Tensor, label: Tensor | None = None) -> Tensor:
        return self.last(self.features(image)[-1]).squeeze(1)


def receptive_field(network: nn.Module) -> int:
    """Count the pixels (in one direction) that one output of a chain of convolutions depends on."""
    field, step = 1, 1
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            field += (layer.kernel_size[0] - 1) * layer.dilation[0] * step
            step *= layer.stride[0]
    return field
