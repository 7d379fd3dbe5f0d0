"""Scores for pictures that have a target, or a set of them. Images are (N, C, H, W) in [-1, 1]."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import interpolate

MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)  # of ImageNet
DEVIATION = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)


def gradient_magnitude(images: Tensor) -> Tensor:
    """Compute the gradient magnitude (N, H - 1, W - 1) of the channels' mean, by differences of neighbours, float64."""
    grey = images.double().mean(1)
    down, right = grey[:, 1:, :-1] - grey[:, :-1, :-1], grey[:, :-1, 1:] - grey[:, :-1, :-1]
    return (down.square() + right.square()).sqrt()


def spectrum(images: Tensor) -> Tensor:
    """Compute the power of the gradient magnitude in dB by frequency, (min(H, W) // 2,).

    It is averaged over pictures and directions.
    """
    magnitude = gradient_magnitude(images)
    height, width = magnitude.shape[1:]
    power = torch.fft.fft2(magnitude, norm="ortho").abs().square().mean(0)
    vertical, horizontal = torch.fft.fftfreq(height), torch.fft.fftfreq(width)
    bands = min(height, width) // 2
    band = ((vertical[:, None] ** 2 + horizontal**2).sqrt() * 2 * bands).round().long().flatten()
    kept = band < bands  # the corners beyond have no full circle
    total = torch.zeros(bands, dtype=power.dtype).index_add_(0, band[kept], power.flatten()[kept])
    return 10 * torch.log10(total / torch.bincount(band[kept], minlength=bands) + 1e-12)


def spectrum_distance(images: Tensor, targets: Tensor) -> float:
    """Compute the mean absolute difference of two spectra, in dB."""
    return float((spectrum(images) - spectrum(targets)).abs().mean())


def mobilenet(weights: Path) -> torch.nn.Module:
    """Load MobileNetV2 from a file with torchvision's names for its weights."""
    from torchvision.models import mobilenet_v2

    network = mobilenet_v2()
    network.load_state_dict(torch.load(weights, weights_only=True))
    return network.eval()


@torch.no_grad()
def described(network: torch.nn.Module, images: Tensor) -> Tensor:
    """Compute pooled features (N, 1280) of pictures, enlarged to 224x224, the size of the network's training."""
    parts = []
    for batch in images.split(16):
        large = interpolate(batch, size=(224, 224), mode="bicubic", antialias=True).add(1).div(2).clamp(0, 1)
        parts.append(network.features((large - MEAN) / DEVIATION).mean((2, 3)))
    return torch.cat(parts)
