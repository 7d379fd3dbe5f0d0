"""Distances between samples, in chunks: what several metrics that look at neighbours share."""

from __future__ import annotations

import torch
from torch import Tensor

ROUNDING = 1e-14  # of two points' squared lengths: less than this between them is rounding
CHUNK = 512  # rows of a distance matrix that are held at once


def distances(a: Tensor, b: Tensor) -> Tensor:
    """Euclidean, (A, B) float64, by a matrix product: many times faster than by differences.

    What the product's rounding leaves of the distance of equal points is set to 0.
    """
    middle = b.double().mean(0)
    a, b = a.double() - middle, b.double() - middle
    lengths = a.square().sum(1)[:, None] + b.square().sum(1)
    squared = torch.addmm(lengths, a, b.T, alpha=-2)
    return squared.masked_fill_(squared < ROUNDING * lengths, 0).sqrt_()


def radii(points: Tensor, k: int) -> Tensor:
    """(N,) distance from each of (N, F) to its k-th nearest other point."""
    return torch.cat([distances(some, points).kthvalue(k + 1, dim=1).values for some in points.split(CHUNK)])


def within(points: Tensor, centres: Tensor, radius: Tensor) -> Tensor:
    """(N,) int64: in how many of the balls about (M, F) of radius (M,) each of (N, F) lies."""
    return torch.cat([(distances(some, centres) <= radius).sum(1) for some in points.split(CHUNK)])


def nearest(points: Tensor, others: Tensor) -> Tensor:
    """(N,) distance from each of (N, F) to the nearest of (M, F)."""
    return torch.cat([distances(some, others).amin(1) for some in points.split(CHUNK)])
