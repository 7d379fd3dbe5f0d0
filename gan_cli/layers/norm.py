"""Normalisation by name, so that a loss can say which one a critic may use."""

from __future__ import annotations

from torch import nn

NORMS = ("batch", "instance", "layer", "none")


class ChannelLayerNorm(nn.GroupNorm):
    """Layer norm over C, H, W with one gain and bias for each channel (as WGAN-GP's 64 px critic)."""

    def __init__(self, channels: int, affine: bool = True) -> None:
        super().__init__(1, channels, affine=affine)


def norm_2d(kind: str, channels: int, affine: bool = True) -> nn.Module:
    """A norm for (N, C, H, W): one of `NORMS`."""
    if kind == "batch":
        return nn.BatchNorm2d(channels, affine=affine)
    if kind == "instance":
        return nn.InstanceNorm2d(channels, affine=affine)
    if kind == "layer":
        return ChannelLayerNorm(channels, affine=affine)
    if kind == "none":
        return nn.Identity()
    raise ValueError(f"norm {kind!r} is unknown: use one of {', '.join(NORMS)}")


def norm_1d(kind: str, features: int, affine: bool = True) -> nn.Module:
    """A norm for (N, F); instance norm has no meaning there and becomes layer norm."""
    if kind == "batch":
        return nn.BatchNorm1d(features, affine=affine)
    if kind in ("instance", "layer"):
        return nn.LayerNorm(features, elementwise_affine=affine)
    if kind == "none":
        return nn.Identity()
    raise ValueError(f"norm {kind!r} is unknown: use one of {', '.join(NORMS)}")
