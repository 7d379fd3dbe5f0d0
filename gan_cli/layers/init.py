"""Initialisations that papers prescribe."""

from __future__ import annotations

from torch import nn


def dcgan_init(module: nn.Module) -> None:
    """Draw weights as N(0, 0.02), batch norm gains as N(1, 0.02), set biases to 0 (Radford et al. 2015).

    It is meant for `Module.apply`.
    """
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)) and module.affine:
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


def uniform_init(module: nn.Module, bound: float) -> None:
    """Draw weights of linear layers as U(-bound, bound), set biases to 0."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.uniform_(layer.weight, -bound, bound)
            nn.init.zeros_(layer.bias)


def orthogonal_init(module: nn.Module, gain: float) -> None:
    """Set weights of linear layers to orthogonal matrices times `gain`, biases to 0."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.orthogonal_(layer.weight, gain)
            nn.init.zeros_(layer.bias)
