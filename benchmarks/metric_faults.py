"""Which score sees which fault: held-out real pictures as a perfect model, spoiled more and more.

    python benchmarks/metric_faults.py                          # digits at 16 px, 1 minute on 2 cores
    python benchmarks/metric_faults.py --data fashion_mnist/    # and Fashion-MNIST, 8 minutes more

All scores are the package's own, in the features of its classifier. Disjoint sets of reals (5 of digits, 8 of clothes)
show how far a score moves by chance. An arrow marks a value that is worse than their mean by more than their spread
(largest less smallest). A "!" marks a value that is better by as much: the score takes the fault for a merit. Images
are (N, C, H, W) uint8.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

from gan_cli.base.randomness import generator_for, permutation
from gan_cli.data.sets import Digits, FashionMNIST
from gan_cli.media.image import to_pixels
from gan_cli.metrics.density_coverage import DensityCoverage
from gan_cli.metrics.evidence import Evidence, Metric
from gan_cli.metrics.features import ClassifierFeatures, Labelled
from gan_cli.metrics.fid import FrechetDistance
from gan_cli.metrics.inception_score import InceptionScore
from gan_cli.metrics.kid import KernelDistance
from gan_cli.metrics.ms_ssim import MultiScaleSSIM
from gan_cli.metrics.nearest_neighbours import NearestNeighbours
from gan_cli.metrics.precision_recall import PrecisionRecall
from gan_cli.metrics.statistics import FeatureStatistics

CPU = torch.device("cpu")
METRICS: tuple[Metric, ...] = (
    FrechetDistance(),
    KernelDistance(),
    InceptionScore(splits=1),
    PrecisionRecall(),
    DensityCoverage(),
    NearestNeighbours(),
    MultiScaleSSIM(),
)
# which way is worse: +1 up, -1 down, 0 either
WORSE = {
    "fid": 1,
    "kid": 1,
    "inception_score": -1,
    "precision": -1,
    "recall": -1,
    "density": -1,
    "coverage": -1,
    "nearest_neighbours": 0,
    "copies": 1,
    "ms_ssim": 1,
}
NOISE, BLUR, KEPT, COPIED, REPEATED = (8, 24, 64), (0.5, 1.0, 2.0), (9, 5, 2), (0.1, 0.5, 1.0), (100, 30, 10)


@dataclass
class Sets:
    """Disjoint real pictures with their classes.

    Attributes:
        name: of the data set.
        train: pictures on which the classifier is trained, and with which samples are compared.
        test: held-out pictures that `nearest_neighbours` measures against.
        pool: held-out pictures that play the perfect model.
        count: pictures in a compared set.
    """

    name: str
    train: Labelled
    test: Labelled
    pool: Labelled
    count: int


def digit_sets() -> Sets:
    """Split 1,797 digits at 16 px: 600 to learn, 197 to measure against, 1,000 that play the model; 180 at a time."""
    pixels, labels = read(Digits(16, split="all"))
    return sets_of("digits, 16 px", pixels, labels, (600, 197, 1000), 180)


def clothes_sets(root: Path) -> Sets:
    """Split Fashion-MNIST: 10,000 to learn, 2,000 to measure against, 8,000 that play the model; 1,000 at a time."""
    train, train_labels = read(FashionMNIST(str(root), split="train", download=False))
    test, test_labels = read(FashionMNIST(str(root), split="test", download=False))
    chosen = permutation(len(train), "faults")[:10_000]
    held_out = sets_of("Fashion-MNIST, 28 px", test, test_labels, (0, 2000, 8000), 1000)
    held_out.train = Labelled(train[chosen], train_labels[chosen], 10)
    return held_out


def read(data: Digits | FashionMNIST) -> tuple[Tensor, Tensor]:
    fields = data.fetch(torch.arange(len(data)), CPU)
    return to_pixels(fields["image"]), fields["label"]


def sets_of(name: str, pixels: Tensor, labels: Tensor, sizes: tuple[int, int, int], count: int) -> Sets:
    """Split pictures into three disjoint parts, by a fixed draw."""
    parts = permutation(len(pixels), "faults")[: sum(sizes)].split(sizes)
    return Sets(name, *(Labelled(pixels[part], labels[part], 10) for part in parts), count)


class Judge:
    """Scores of sets of pictures against the training pictures.

    Args:
        sets: the data.
        metrics: the metrics to compute.
    """

    def __init__(self, sets: Sets, metrics: tuple[Metric, ...] = METRICS) -> None:
        self.sets, self.metrics = sets, metrics
        self.extractor = ClassifierFeatures()
        self.extractor.prepare(CPU, sets.train, sets.test)
        self.real, self.test = (self.described(side.pixels) for side in (sets.train, sets.test))

    def described(self, images: Tensor) -> FeatureStatistics:
        statistics = FeatureStatistics(keep=True)
        for batch in images.split(500):
            statistics.add(*self.extractor(batch))
        return statistics

    def scores(self, images: Tensor) -> dict[str, float]:
        evidence = Evidence(self.real, self.described(images), self.test, images, self.sets.train.pixels)
        all_scores = [metric.of(evidence) for metric in self.metrics]
        return {name: value for scores in all_scores for name, value in scores.items() if name in WORSE}


# ---- faults ----


def noisy(images: Tensor, deviation: float) -> Tensor:
    """Add independent Gaussian noise to every pixel, of `deviation` grey levels."""
    noise = torch.randn(images.shape, generator=generator_for("cpu", "noise"))
    return rounded(images + deviation * noise)


def blurred(images: Tensor, deviation: float) -> Tensor:
    """Apply a Gaussian blur of `deviation` pixels."""
    reach = int(3 * deviation + 0.5)
    line = torch.exp(-torch.arange(-reach, reach + 1).float().square() / (2 * deviation**2))
    line = (line / line.sum()).view(1, 1, 1, -1)
    n, c, h, w = images.shape
    wide = pad(images.float().view(n * c, 1, h, w), (reach,) * 4, mode="replicate")
    return rounded(conv2d(conv2d(wide, line), line.mT).view(n, c, h, w))


def of_classes(pictures: Labelled, kept: int, count: int) -> Tensor:
    """Return `count` pictures of the first `kept` classes alone."""
    return pictures.pixels[pictures.labels < kept][:count]


def copied(images: Tensor, train: Tensor, share: float) -> Tensor:
    """Replace a share of the pictures by training pictures."""
    count = round(share * len(images))
    return torch.cat([train[:count], images[count:]])


def repeated(images: Tensor, distinct: int) -> Tensor:
    """Repeat the first `distinct` pictures until there are as many as before."""
    return images[torch.arange(len(images)) % distinct]


def gaussians(train: Labelled, count: int) -> Tensor:
    """Draw samples of a full-covariance Gaussian of the pixels for each class, fitted to the training pictures."""
    samples, generator = [], generator_for("cpu", "gaussians")
    for number in range(train.num_classes):
        rows = train.pixels[train.labels == number].flatten(1).double()
        factor = (rows - rows.mean(0)) / (len(rows) - 1) ** 0.5  # its products with normal vectors have the covariance
        normal = torch.randn(count // train.num_classes, len(rows), generator=generator, dtype=torch.float64)
        samples.append(rows.mean(0) + normal @ factor)
    return rounded(torch.cat(samples)).view(-1, *train.pixels.shape[1:])


def rounded(pixels: Tensor) -> Tensor:
    return pixels.round().clamp(0, 255).to(torch.uint8)


def spoiled(sets: Sets) -> Iterator[tuple[str, Tensor]]:
    """Yield a perfect model's pictures after each fault at each level, with the fault's name."""
    clean, train = sets.pool.pixels[: sets.count], sets.train
    yield from ((f"noise, {level} of 255", noisy(clean, level)) for level in NOISE)
    yield from ((f"blur, {level} px", blurred(clean, level)) for level in BLUR)
    yield from ((f"{kept} of 10 classes", of_classes(sets.pool, kept, sets.count)) for kept in KEPT)
    yield from ((f"{share:.0%} training pictures", copied(clean, train.pixels, share)) for share in COPIED)
    yield from ((f"{distinct} pictures repeated", repeated(clean, distinct)) for distinct in REPEATED)
    yield "a Gaussian for each class", gaussians(train, sets.count)


# ---- the table ----


def table(judge: Judge) -> str:
    """Format a Markdown table: a row for each fault and level, a column for each score."""
    sets = judge.sets
    parts = len(sets.pool.pixels) // sets.count
    perfect = [judge.scores(part) for part in sets.pool.pixels[: parts * sets.count].split(sets.count)]
    mean = {name: sum(scores[name] for scores in perfect) / parts for name in WORSE}
    spread = {name: max(s[name] for s in perfect) - min(s[name] for s in perfect) for name in WORSE}
    lines = [
        f"{sets.name}: {sets.count:,} pictures against {len(sets.train.labels):,} training pictures; {parts} sets of"
        f" reals; the classifier puts {judge.extractor.test_accuracy:.1%} of the held-out ones in their class",
        "",
        "| | " + " | ".join(f"`{name}`" for name in WORSE) + " |",
        "|---|" + "---:|" * len(WORSE),
        "| **reals** | " + " | ".join(short(mean[name]) for name in WORSE) + " |",
        "| spread | " + " | ".join(short(spread[name]) for name in WORSE) + " |",
    ]
    for fault, images in spoiled(sets):
        scores = judge.scores(images)
        cells = [f"{short(scores[name])}{mark(name, scores[name] - mean[name], spread[name])}" for name in WORSE]
        lines.append(f"| {fault} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def short(value: float) -> str:
    """Format a number with three digits, without an exponent."""
    return f"{float(f'{value:.3g}'):g}"


def mark(name: str, moved: float, spread: float) -> str:
    """Return an arrow for a move to the worse end by more than the spread, "!" for one to the better end."""
    if abs(moved) <= spread:
        return ""
    if WORSE[name] * moved < 0:
        return " !"
    return " ↑" if moved > 0 else " ↓"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with FashionMNIST/")
    arguments = parser.parse_args()
    print(table(Judge(digit_sets())), flush=True)
    if arguments.data:
        print("\n" + table(Judge(clothes_sets(arguments.data))))


if __name__ == "__main__":
    main()
