"""Distances of outputs from their targets; all per sample, (N,), for pictures in [-1, 1]."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def l1(output: Tensor, target: Tensor) -> Tensor:
    """Compute the mean absolute difference over C, H, W."""
    return (output.float() - target).abs().flatten(1).mean(1)


def mse(output: Tensor, target: Tensor) -> Tensor:
    """Compute the mean squared difference over C, H, W."""
    return (output.float() - target).square().flatten(1).mean(1)


def masked_l1(output: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Compute the mean absolute difference over the pixels where `mask` (N, 1, H, W) is 1."""
    wrong = (output.float() - target).abs() * mask
    return wrong.flatten(1).sum(1) / (mask.flatten(1).sum(1) * output.shape[1]).clamp_min(1)


def feature_l1(output: Sequence[Tensor], target: Sequence[Tensor]) -> Tensor:
    """Compute the mean over layers of the mean absolute difference of features; the target is detached."""
    return torch.stack([l1(a, b.detach().float()) for a, b in zip(output, target, strict=True)]).mean(0)


def feature_mse(output: Sequence[Tensor], target: Sequence[Tensor]) -> Tensor:
    """Compute the mean over layers of the mean squared difference of features; the target is detached."""
    return torch.stack([mse(a, b.detach().float()) for a, b in zip(output, target, strict=True)]).mean(0)


def gram(features: Tensor) -> Tensor:
    """Compute the channels' inner products over C * H * W (Johnson et al. 2016, eq. 3): (N, C, H, W) -> (N, C, C)."""
    with torch.autocast(features.device.type, enabled=False):  # autocast would take the product in half precision
        flat = features.float().flatten(2) / (features[0].numel() ** 0.5)
        return flat @ flat.transpose(1, 2)


def style(output: Sequence[Tensor], target: Sequence[Tensor]) -> Tensor:
    """Compute the mean over layers of the squared Frobenius distance of Gram matrices, over C^2 4.

    Gatys et al. 2016, eq. 4; the target is detached.
    """
    terms = []
    for a, b in zip(output, target, strict=True):
        difference = gram(a) - gram(b).detach()
        terms.append(difference.square().flatten(1).sum(1) / (4 * a.shape[1] ** 2))
    return torch.stack(terms).mean(0)
