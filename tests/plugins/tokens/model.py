"""Perceptrons for strings."""

from __future__ import annotations

from torch import Tensor, nn

from gan_cli.base.limits import Width


class Generator(nn.Module):
    """Latent (N, Z) -> shares (N, L, V)."""

    def __init__(self, latent_size: Width, length: Width, letters: Width, width: Width = 64) -> None:
        super().__init__()
        self.length, self.letters = length, letters
        self.layers = nn.Sequential(nn.Linear(latent_size, width), nn.ReLU(), nn.Linear(width, length * letters))

    def forward(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        return self.layers(latent).view(-1, self.length, self.letters).softmax(-1)


class Discriminator(nn.Module):
    """Shares (N, L, V) -> logits (N,)."""

    def __init__(self, length: Width, letters: Width, width: Width = 64) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(length * letters, width), nn.LeakyReLU(0.2), nn.Linear(width, 1))

    def forward(self, tokens: Tensor, label: Tensor | None = None) -> Tensor:
        return self.layers(tokens.flatten(1)).squeeze(1)
