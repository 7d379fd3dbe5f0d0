"""Ways in which a class label enters a network."""

from __future__ import annotations

from torch import Tensor


def as_maps(label: Tensor, like: Tensor) -> Tensor:
    """Expand labels to constant maps of the size of `like`: (N, K) -> (N, K, H, W)."""
    return label[:, :, None, None].expand(-1, -1, *like.shape[2:])
