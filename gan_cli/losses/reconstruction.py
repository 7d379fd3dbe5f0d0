"""How far a picture is from the one it should be; all per sample, (N,), for pictures in [-1, 1]."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def l1(made: Tensor, wanted: Tensor) -> Tensor:
    """Mean absolute difference over C, H, W."""
    return (made.float() - wanted).abs().flatten(1).mean(1)


def mse(made: Tensor, wanted: Tensor) -> Tensor:
    """Mean squared difference over C, H, W."""
    return (made.float() - wanted).square().flatten(1).mean(1)


def masked_l1(made: Tensor, wanted: Tensor, mask: Tensor) -> Tensor:
    """Mean absolute difference over the pixels where `mask` (N, 1, H, W) is 1."""
    wrong = (made.float() - wanted).abs() * mask
    return wrong.flatten(1).sum(1) / (mask.flatten(1).sum(1) * made.shape[1]).clamp_min(1)


def feature_l1(made: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """Mean over layers of the mean absolute difference of features; what is wanted is held fixed."""
    return torch.stack([l1(a, b.detach().float()) for a, b in zip(made, wanted, strict=True)]).mean(0)


def feature_mse(made: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """Mean over layers of the mean squared difference of features; what is wanted is held fixed."""
    return torch.stack([mse(a, b.detach().float()) for a, b in zip(made, wanted, strict=True)]).mean(0)


def gram(features: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C, C): inner products of the channels over C * H * W (Johnson et al. 2016, eq. 3)."""
    with torch.autocast(features.device.type, enabled=False):  # which would take the product in half precision
        flat = features.float().flatten(2) / (features[0].numel() ** 0.5)
        return flat @ flat.transpose(1, 2)


def style(made: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """Mean over layers of the squared Frobenius distance of Gram matrices, over C^2 4 (Gatys et al. 2016, eq. 4)."""
    terms = []
    for a, b in zip(made, wanted, strict=True):
        difference = gram(a) - gram(b).detach()
        terms.append(difference.square().flatten(1).sum(1) / (4 * a.shape[1] ** 2))
    return torch.stack(terms).mean(0)
