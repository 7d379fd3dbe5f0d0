"""Normalisation by name, so that a loss can say which one a critic may use."""

from __future__ import annotations

from torch import Tensor, nn

NORMS = ("batch", "instance", "layer", "none")


class ChannelLayerNorm(nn.GroupNorm):
    """Layer norm over C, H, W with one gain and bias for each channel (as WGAN-GP's 64 px critic)."""

    def __init__(self, channels: int, affine: bool = True) -> None:
        super().__init__(1, channels, affine=affine)


class InstanceNorm(nn.GroupNorm):
    """Each channel of each sample scaled to mean 0 and deviation 1 over H, W: a group norm of one channel a group.

    It replaces torch's `InstanceNorm2d`, whose gradients are wrong for a batch of one if the arriving gradient is in
    channels_last, as it is in training.

    Raises:
        ValueError: the maps have one pixel, and nothing of them would be left.
    """

    def __init__(self, channels: int, affine: bool = True) -> None:
        super().__init__(channels, channels, affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[2:].numel() == 1:
            raise ValueError("instance norm of maps of one pixel leaves nothing of them")
        return super().forward(x)


def norm_2d(kind: str, channels: int, affine: bool = True) -> nn.Module:
    """Make a norm for (N, C, H, W), one of `NORMS`."""
    if kind == "batch":
        return nn.BatchNorm2d(channels, affine=affine)
    if kind == "instance":
        return InstanceNorm(channels, affine=affine)
    if kind == "layer":
        return ChannelLayerNorm(channels, affine=affine)
    if kind == "none":
        return nn.Identity()
    raise ValueError(f"norm {kind!r} is unknown: use one of {', '.join(NORMS)}")


def norm_1d(kind: str, features: int, affine: bool = True) -> nn.Module:
    """Make a norm for (N, F); instance norm has no meaning there and becomes layer norm."""
    if kind == "batch":
        return nn.BatchNorm1d(features, affine=affine)
    if kind in ("instance", "layer"):
        return nn.LayerNorm(features, elementwise_affine=affine)
    if kind == "none":
        return nn.Identity()
    raise ValueError(f"norm {kind!r} is unknown: use one of {', '.join(NORMS)}")
