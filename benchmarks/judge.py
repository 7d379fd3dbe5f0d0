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

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU())
            for a, b in [(channels, 24), (24, 48), (48, 64)]
        )
        self.penultimate = nn.LazyLinear(FEATURES)
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


def trained_classifier(images: Tensor, labels: Tensor, cache: Path | None = None, epochs: int = 4) -> Classifier:
    """Trained with a fixed seed on real training images, in evaluation mode; cached by their digest."""
    seed_everything("classifier")
    classifier = Classifier(images.shape[1], int(labels.max()) + 1)
    classifier(images[:2])
    name = hashlib.blake2b(images[:: max(1, len(images) // 1000)].numpy().tobytes(), digest_size=8).hexdigest()
    file = cache / f"classifier-{name}-{epochs}.pt" if cache else None
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
        torch.save(classifier.state_dict(), file)
    return classifier.eval()


@dataclass
class Described:
    """What the classifier sees in a set of images."""

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


def recall(samples: Tensor, real: Tensor, k: int = 3) -> float:
    """Share of reals inside the ball of a sample and its k-th nearest sample (Kynkaanniemi et al. 2019)."""
    radius = torch.cdist(samples, samples).kthvalue(k + 1, dim=1).values
    return float((torch.cdist(real, samples) <= radius).any(1).float().mean())


def nearest_ratio(samples: Tensor, train: Tensor, test: Tensor) -> float:
    """Median distance from a sample to its nearest training image, over that from a test image; far below 1: copies."""
    return float(torch.cdist(samples, train).amin(1).median() / torch.cdist(test, train).amin(1).median())


def rarest_share(classes: Tensor, count: int) -> float:
    return float(torch.bincount(classes, minlength=count).min() / len(classes))


def modes_covered(points: Tensor, centres: Tensor, deviation: float, least: int = 20) -> tuple[int, float]:
    """Modes with at least `least` points within 3 deviations, and the share of points within 3 of any mode."""
    distance, nearest = torch.cdist(points, centres).min(1)
    good = distance <= 3 * deviation
    counts = torch.bincount(nearest[good], minlength=len(centres))
    return int((counts >= least).sum()), float(good.float().mean())
