"""Distances between samples, in chunks: what several metrics that look at neighbours share."""

from __future__ import annotations

import torch
from torch import Tensor

CHUNK = 512  # rows of a distance matrix that are held at once


def distances(a: Tensor, b: Tensor) -> Tensor:
    """Euclidean, (A, B), without the shortcut through a matrix product, in which equal points are not at distance 0."""
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")


def radii(points: Tensor, k: int) -> Tensor:
    """(N,) distance from each of (N, F) to its k-th nearest other point."""
    return torch.cat([distances(some, points).kthvalue(k + 1, dim=1).values for some in points.split(CHUNK)])


def within(points: Tensor, centres: Tensor, radius: Tensor) -> Tensor:
    """(N,) int64: in how many of the balls about (M, F) of radius (M,) each of (N, F) lies."""
    return torch.cat([(distances(some, centres) <= radius).sum(1) for some in points.split(CHUNK)])


def nearest(points: Tensor, others: Tensor) -> Tensor:
    """(N,) distance from each of (N, F) to the nearest of (M, F)."""
    return torch.cat([distances(some, others).amin(1) for some in points.split(CHUNK)])
