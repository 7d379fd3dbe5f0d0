"""Scores for small images, in the features of a classifier trained on the real training split.

Class features forgive noise and blur, so a distance in them is never shown alone: recall, a texture distance,
the nearest-neighbour ratio and the rarest class's share stand beside it, and dumb baselines in the same table.

Images are (N, C, R, R) uint8; features (N, F).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gan_cli.metrics.classifier import Classifier
from gan_cli.metrics.evidence import Evidence
from gan_cli.metrics.fid import frechet_distance
from gan_cli.metrics.modes import Modes
from gan_cli.metrics.neighbours import nearest, radii, within
from gan_cli.metrics.statistics import FeatureStatistics


@dataclass
class Described:
    """A set of images as the classifier sees it: features (N, 64), texture (N, 144), classes (N,)."""

    features: Tensor
    texture: Tensor
    classes: Tensor


@torch.no_grad()
def describe(classifier: Classifier, images: Tensor) -> Described:
    parts = [classifier.features(classifier.seen(part)) for part in images.split(500)]
    features, texture = (torch.cat(side) for side in zip(*parts, strict=True))
    return Described(features, texture, classifier.last(features).argmax(1))


def frechet(a: Tensor, b: Tensor) -> float:
    """Compute the Frechet distance of two Gaussians fitted to (N, F) each."""
    sides = [FeatureStatistics(), FeatureStatistics()]
    for side, rows in zip(sides, (a, b), strict=True):
        side.add(rows)
    return frechet_distance(sides[0].mean, sides[0].covariance, sides[1].mean, sides[1].covariance)


def recall(samples: Tensor, real: Tensor, k: int = 3) -> float:
    """Compute the share of reals in the ball of a sample, out to its k-th nearest sample (Kynkaanniemi et al. 2019)."""
    return float((within(real, samples, radii(samples, k)) > 0).double().mean())


def nearest_ratio(samples: Tensor, train: Tensor, test: Tensor) -> float:
    """Compute the median distance from a sample to its nearest training image, divided by that from a test image.

    Far below 1: copies.
    """
    return float(nearest(samples, train).median() / nearest(test, train).median())


def rarest_share(classes: Tensor, count: int) -> float:
    return float(torch.bincount(classes, minlength=count).min() / len(classes))


def modes_covered(points: Tensor, centres: Tensor, deviation: float) -> tuple[int, float]:
    """Count the modes that points cover; return the count and the share of points near any mode.

    A mode has at least 20 of 2,500 points, or as great a share, within 3 deviations.
    """
    scores = Modes(20 * len(centres) / 2_500).of(Evidence(fakes=points, modes=(centres, deviation)))
    return int(scores["modes"]), scores["high_quality_share"]
