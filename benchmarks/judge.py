"""Scores for small images, in the features of a classifier trained on the real training split.

Class features forgive noise and blur, so a distance in them is never shown alone: recall, a texture distance,
the nearest-neighbour ratio and the rarest class's share stand beside it, and dumb baselines in the same table.

Images are (N, C, R, R) in [-1, 1]; features (N, F).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, max_pool2d, relu

from gan_cli.randomness import generator_for, seed_everything

FEATURES = 64


class Classifier(nn.Module):
    """Three convolution blocks and a penultimate layer of 64; for 16 to 32 px."""

    def __init__(self, channels: int, resolution: int, classes: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU())
            for a, b in [(channels, 24), (24, 48), (48, 64)]
        )
        self.penultimate = nn.Linear(64 * (resolution // 8) ** 2, FEATURES)
        self.dropout = nn.Dropout(0.3)
        self.last = nn.Linear(FEATURES, classes)

    def features(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Class features (N, 64), and texture (N, 144): mean and spread over space of the first two blocks."""
        texture, x = [], image
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number < 2:
                texture += [x.mean((2, 3)), x.std((2, 3))]
            x = max_pool2d(x, 2)
        return relu(self.penultimate(x.flatten(1))), torch.cat(texture, 1)

    def forward(self, image: Tensor) -> Tensor:
        return self.last(self.dropout(self.features(image)[0]))


def trained_classifier(images: Tensor, labels: Tensor, cache: Path | None = None, epochs: int = 3) -> Classifier:
    """Trained with a fixed seed on real training images, in evaluation mode.

    Args:
        images: (N, C, R, R), all of the training split.
        labels: (N,), int64.
        cache: folder for its weights, kept by a digest of the data; None keeps nothing.
    """
    seed_everything("classifier")
    classifier = Classifier(images.shape[1], images.shape[-1], int(labels.max()) + 1)
    classifier.to(memory_format=torch.channels_last)  # a quarter faster
    file = cache / f"classifier-{digest(images, labels)}-{epochs}.pt" if cache else None
    if file and file.exists():
        classifier.load_state_dict(torch.load(file, weights_only=True))
        return classifier.eval()
    steps, batch = epochs * len(images) // 128, 128
    optimizer = torch.optim.AdamW(classifier.parameters(), weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    generator = generator_for("cpu", "classifier")
    for _ in range(steps):
        rows = torch.randint(len(images), (batch,), generator=generator)
        optimizer.zero_grad()
        cross_entropy(classifier(images[rows]), labels[rows]).backward()
        optimizer.step()
        schedule.step()
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_suffix(".tmp")
        torch.save(classifier.state_dict(), temporary)
        temporary.replace(file)  # a cut run leaves no half file to be loaded
    return classifier.eval()


def digest(images: Tensor, labels: Tensor) -> str:
    """Of the size, every pixel and every label."""
    state = hashlib.blake2b(str(tuple(images.shape)).encode(), digest_size=8)
    for part in (images, labels):
        state.update(part.contiguous().numpy().data)
    return state.hexdigest()


@dataclass
class Described:
    """What the classifier sees in a set of images: features (N, 64), texture (N, 144), classes (N,)."""

    features: Tensor
    texture: Tensor
    classes: Tensor


@torch.no_grad()
def describe(classifier: Classifier, images: Tensor) -> Described:
    parts = [classifier.features(part) for part in images.split(500)]
    features, texture = (torch.cat(side) for side in zip(*parts, strict=True))
    return Described(features, texture, classifier.last(features).argmax(1))


def frechet(a: Tensor, b: Tensor) -> float:
    """Frechet distance of two Gaussians fitted to (N, F) each, in float64."""
    a, b = a.double(), b.double()
    covariances = [torch.cov(side.T) for side in (a, b)]
    values, vectors = torch.linalg.eigh(covariances[0])
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    cross = torch.linalg.eigvalsh(root @ covariances[1] @ root).clamp(min=0).sqrt().sum()
    traces = covariances[0].trace() + covariances[1].trace()
    return float((a.mean(0) - b.mean(0)).square().sum() + traces - 2 * cross)


def distances(a: Tensor, b: Tensor) -> Tensor:
    """(A, B), without the shortcut through a matrix product, in which equal points are not at distance 0."""
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")


def recall(samples: Tensor, real: Tensor, k: int = 3) -> float:
    """Share of reals inside the ball of a sample and its k-th nearest sample (Kynkaanniemi et al. 2019)."""
    radius = distances(samples, samples).kthvalue(k + 1, dim=1).values  # the nearest is the sample itself
    return float((distances(real, samples) <= radius).any(1).float().mean())


def nearest_ratio(samples: Tensor, train: Tensor, test: Tensor) -> float:
    """Median distance from a sample to its nearest training image, over that from a test image; far below 1: copies."""
    medians = [
        torch.cat([torch.cdist(part, train).amin(1) for part in side.split(200)]).median() for side in (samples, test)
    ]
    return float(medians[0] / medians[1])


def rarest_share(classes: Tensor, count: int) -> float:
    return float(torch.bincount(classes, minlength=count).min() / len(classes))


def modes_covered(points: Tensor, centres: Tensor, deviation: float, least: int = 20) -> tuple[int, float]:
    """Modes with at least `least` points within 3 deviations, and the share of points within 3 of any mode."""
    distance, nearest = distances(points, centres).min(1)
    good = distance <= 3 * deviation
    counts = torch.bincount(nearest[good], minlength=len(centres))
    return int((counts >= least).sum()), float(good.float().mean())
