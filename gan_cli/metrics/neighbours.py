"""Distances between samples, in chunks, for all metrics of neighbours."""

from __future__ import annotations

import torch
from torch import Tensor

ROUNDING = 1e-14  # of the sum of two points' squared lengths: a smaller squared distance is rounding
CHUNK = 512  # rows of a distance matrix that are held at once


def distances(a: Tensor, b: Tensor) -> Tensor:
    """Compute Euclidean distances, (A, B) float64, by a matrix product: many times faster than by differences.

    A distance within the rounding of the product, as of equal points, is set to 0.
    """
    middle = b.double().mean(0)
    a, b = a.double() - middle, b.double() - middle
    lengths = a.square().sum(1)[:, None] + b.square().sum(1)
    squared = torch.addmm(lengths, a, b.T, alpha=-2)
    return squared.masked_fill_(squared < ROUNDING * lengths, 0).sqrt_()


def radii(points: Tensor, k: int) -> Tensor:
    """Compute the distance (N,) from each of the points (N, F) to its k-th nearest other point."""
    return torch.cat([distances(chunk, points).kthvalue(k + 1, dim=1).values for chunk in points.split(CHUNK)])


def within(points: Tensor, centres: Tensor, radius: Tensor) -> Tensor:
    """Count the balls in which each of the points (N, F) lies, (N,) int64; centres are (M, F), radii (M,)."""
    return torch.cat([(distances(chunk, centres) <= radius).sum(1) for chunk in points.split(CHUNK)])


def nearest(points: Tensor, others: Tensor) -> Tensor:
    """Compute the distance (N,) from each of the points (N, F) to the nearest of the others (M, F)."""
    return torch.cat([distances(chunk, others).amin(1) for chunk in points.split(CHUNK)])
