"""Ways in which a class label enters a network."""

from __future__ import annotations

from torch import Tensor


def as_maps(label: Tensor, like: Tensor) -> Tensor:
    """(N, K) -> (N, K, H, W): constant maps of the size of `like`."""
    return label[:, :, None, None].expand(-1, -1, *like.shape[2:])
