"""What `make demo` and a bare `gan-train` reach on the embedded digits, over three seeds, beside baselines.

Precision and recall (k = 3) are in the features of a classifier of the real training digits, against those digits;
texture is the Frechet distance of its early-layer statistics. `asked` is the share of samples in which the classifier
sees the digit that was asked for. The gate of the demo: at least 0.5 in precision and recall, 95 % the digit asked for,
and better than ten per-class Gaussians of pixels in precision and texture. Baselines and controls must miss it.

    python benchmarks/demo.py [--runs FOLDER]
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import NamedTuple

import torch
from judge import describe, frechet
from metric_faults import Labelled, gaussians, read
from rows import train, untrained
from style import precision_recall
from torch import Tensor

from gan_cli import load, sample
from gan_cli.base.randomness import permutation
from gan_cli.data.folder import cache_folder
from gan_cli.data.sets import Digits
from gan_cli.media.image import to_pixels
from gan_cli.metrics.classifier import trained_classifier

COUNT, SEEDS = 2_000, (0, 1, 2)


class Judge:
    """The scores of pictures (N, 1, 16, 16) uint8."""

    def __init__(self) -> None:
        self.train = Labelled(*read(Digits(16, split="train")), 10)
        self.test = Labelled(*read(Digits(16, split="test")), 10)
        self.classifier = trained_classifier(self.train.pixels, self.train.labels, 10, cache_folder())
        self.real = describe(self.classifier, self.train.pixels)

    def __call__(self, pixels: Tensor, asked: Tensor | None) -> Scores:
        seen = describe(self.classifier, pixels)
        share = None if asked is None else float((seen.classes == asked).double().mean())
        precision, recall = precision_recall(seen.features, self.real.features)
        return Scores(precision, recall, frechet(seen.texture, self.real.texture), share)


class Scores(NamedTuple):
    """Of a set of pictures; `asked` is None where no digit was asked for."""

    precision: float
    recall: float
    texture: float
    asked: float | None

    def passes(self, gaussians: Scores) -> bool:
        better = self.precision > gaussians.precision and self.texture < gaussians.texture
        return better and min(self.precision, self.recall) >= 0.5 and self.asked is not None and self.asked >= 0.95

    def cells(self) -> list[str]:
        share = "" if self.asked is None else f"{self.asked:.1%}"
        return [f"{self.precision:.2f}", f"{self.recall:.2f}", f"{self.texture:.3f}", share]


def blank(count: int) -> tuple[Tensor, Tensor]:
    """Draw samples of the demo's generator before its first step."""
    gan = untrained("experiment=demo")
    labels = torch.arange(count) % 10
    latents = torch.rand(count, 100, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        return to_pixels(gan.generator(latents, labels)), labels


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path("outputs/demo_rows"), help="folder for the runs")
    runs, judge, wrong = parser.parse_args().runs, Judge(), []
    print("|  | precision | recall | texture | asked | minutes | gate |\n|---|---:|---:|---:|---:|---:|---|")
    digits = torch.arange(COUNT) % 10
    dumb = judge(gaussians(judge.train, COUNT), torch.arange(10).repeat_interleave(COUNT // 10))

    def row(name: str, scores: Scores, minutes: str = "", must: bool | None = None) -> None:
        good = scores.passes(dumb)
        if must is not None and good != must:
            wrong.append(name)
        gate = "" if must is None else "passes" if good else "fails" if must else "fails, as it must"
        print(" | ".join([f"| {name}", *scores.cells(), minutes, f"{gate} |"]), flush=True)

    row("other real digits", judge(judge.test.pixels, judge.test.labels))
    row("ten per-class pixel Gaussians", dumb, must=False)
    row("untrained demo", judge(*blank(COUNT)), must=False)
    for name, command in (("demo", ["experiment=demo"]), ("bare gan-train", [])):
        for seed in SEEDS:
            begun = time.monotonic()
            run = load(train(f"{name.replace(' ', '_')}_{seed}", [*command, f"seed={seed}"], runs), device="cpu")
            minutes = f"{(time.monotonic() - begun) / 60:.1f}"
            pixels = to_pixels(sample(run, COUNT, labels=range(10) if command else None))
            row(f"{name}, seed {seed}", judge(pixels, digits if command else None), minutes, True if command else None)
            if command:
                shuffled = digits[permutation(COUNT, "shuffled")]
                row(f"{name}, seed {seed}, labels shuffled", judge(pixels, shuffled), must=False)
    print("".join(f"\n{name} is not on the side of the gate where it must be" for name in wrong), file=sys.stderr)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
