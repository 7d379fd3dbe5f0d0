"""Does it learn? Trains the rows of docs/results.md through the real commands and judges them beside dumb baselines.

    python benchmarks/learning.py --data DIR                      # DIR has a folder for each set; hours on 2 cores
    python benchmarks/learning.py --data DIR --only ring          # rows whose names begin with it

A row that is trained already is judged again without training; one that was cut goes on. Exit code 1 if a trained row
misses its gate or the control passes it.

All images are judged at 28x28. Images of a 32x32 model are brought down by the antialiased resize that brought the
reals up. The reals take the same route (28, 32, 28), so that both sides have been through the same filter.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import style
import torch
import translation
from judge import (
    Described,
    describe,
    frechet,
    modes_covered,
    nearest_ratio,
    rarest_share,
    recall,
)
from rows import place, record, train, untrained
from torch import Tensor

from gan_cli.base.randomness import generator_for
from gan_cli.data.images import resize
from gan_cli.data.planar import ring
from gan_cli.data.sets import FashionMNIST
from gan_cli.game.gan import GAN
from gan_cli.media.image import to_pixels
from gan_cli.metrics.classifier import trained_classifier
from gan_cli.use.load import Trained, load_trained
from gan_cli.use.sample import draw

COUNT = 2_000  # samples, and test images, in every score
SIZE = 28
POINTS = 2_500  # samples of a toy row
LEAST_ACCURACY = 0.89  # of the classifier: below it its features judge nothing
LEAST_RAREST = 0.02  # share of samples of the rarest class
LEAST_ASKED = 0.85  # share of a conditional model's samples that are of the class asked for
ROWS = {
    "dcgan_fashion": ["experiment=dcgan_fashion"],
    "wgan_gp_fashion": ["experiment=wgan_gp_fashion"],
    "cdcgan_fashion": ["experiment=cdcgan_fashion"],
    "dcgan_quarter_hour": [
        "experiment=dcgan_fashion",
        "trainer.total_images=640_000",
        "optimizer.schedule.start_images=160_000",
        "optimizer.schedule.end_images=640_000",
    ],
    "progan_fashion": ["experiment=progan_fashion"],
    "stylegan2_fashion": ["experiment=stylegan2_fashion"],
    "sngan_fashion": ["experiment=sngan_fashion"],
    "r3gan_fashion": ["experiment=r3gan_fashion"],
    "control_frozen_generator": [
        "experiment=dcgan_fashion",
        "optimizer.rates.generator=0.0",
        "trainer.total_images=20_000",
    ],
}
RIVAL = "dcgan_quarter_hour"  # the RIVALS must beat it in distance or in recall, in the same time
RIVALS = ("progan_fashion", "stylegan2_fashion", "sngan_fashion", "r3gan_fashion")
MOST_SECONDS = 900  # of each of RIVALS; RIVAL is limited by its images and may take a minute longer
# on data of this scale a small penalty works better; the rate falls, since only 1,667 generator updates fit
GENTLE = ["loss.penalties.gradient_penalty.weight=0.1", "optimizer.betas=[0.5,0.9]", "optimizer.learning_rate=1e-3"]
GENTLE += ["optimizer.schedule.kind=linear", "optimizer.schedule.end_images=2_560_000"]
RINGS = {
    f"ring-{loss}-seed{seed}": [
        "experiment=ring",
        f"loss={loss}",
        f"seed={seed}",
        *(GENTLE if loss == "wgan_gp" else []),
    ]
    for loss in ("minimax", "nonsaturating", "wgan_gp")
    for seed in (0, 1, 2)
}


@dataclass
class Score:
    """The scores of a row; `distance` is a share of the untrained generator's, and the rest are as in `judge`."""

    name: str
    distance: float
    recall: float
    texture: float
    nearest: float
    rarest: float
    accuracy: float | None = None
    about: dict[str, Any] = field(default_factory=dict)
    verdict: str = ""


def seen(images: Tensor) -> Tensor:
    """Convert samples (N, 1, R, R) in [-1, 1] to judged images (N, 1, 28, 28) uint8, by way of 32x32 pixels."""
    return resize(resize(to_pixels(images), 32), SIZE)


def drawn(trained: Trained, count: int) -> tuple[Tensor, Tensor | None]:
    given = trained.given(count, 1)
    return torch.cat(list(draw(trained, given, 500))), given.get("label")


@torch.no_grad()
def drawn_untrained(gan: GAN, count: int) -> Tensor:
    latent = gan.latent.draw(count, generator_for("cpu", 1, "sample"))
    return gan.make(gan.averaged, {"latent": latent})["samples"]


def gaussian(images: Tensor, count: int, *key: object) -> Tensor:
    """Draw samples of one Gaussian with full covariance over the pixels of (N, 1, R, R)."""
    flat = images.flatten(1).double()
    values, vectors = torch.linalg.eigh(torch.cov(flat.T))
    noise = torch.randn(count, flat.shape[1], generator=generator_for("cpu", *key), dtype=torch.float64)
    samples = flat.mean(0) + (noise * values.clamp(min=0).sqrt()) @ vectors.T
    return samples.float().clamp(-1, 1).view(count, *images.shape[1:])


class Bench:
    """The real data, the classifier, and the distance of the untrained DCGAN, of which all others are a share."""

    def __init__(self, root: str, cache: Path) -> None:
        sets = [FashionMNIST(root, split=split, download=False) for split in ("train", "test")]
        both = [data.fetch(torch.arange(len(data)), torch.device("cpu")) for data in sets]
        self.images, self.labels = both[0]["image"], both[0]["label"]
        real = seen(self.images)
        self.classifier = trained_classifier(real, self.labels, 10, cache)
        self.train = describe(self.classifier, real)
        everything = describe(self.classifier, seen(both[1]["image"]))
        self.accuracy = float((everything.classes == both[1]["label"]).float().mean())
        if self.accuracy < LEAST_ACCURACY:
            raise SystemExit(f"the classifier reaches {self.accuracy:.1%} only, so its features judge nothing")
        rows = torch.randperm(len(sets[1]), generator=generator_for("cpu", "test rows"))[:COUNT]
        self.test = Described(everything.features[rows], everything.texture[rows], everything.classes[rows])
        self.start = drawn_untrained(untrained("experiment=dcgan_fashion", f"dataset.root={root}"), COUNT)
        self.ceiling = frechet(describe(self.classifier, seen(self.start)).features, self.test.features)

    def score(self, name: str, samples: Tensor, label: Tensor | None = None, **about: Any) -> Score:
        view = describe(self.classifier, seen(samples))
        return Score(
            name,
            frechet(view.features, self.test.features) / self.ceiling,
            recall(view.features, self.test.features),
            frechet(view.texture, self.test.texture),
            nearest_ratio(view.features, self.train.features, self.test.features),
            rarest_share(view.classes, 10),
            None if label is None else float((view.classes == label).float().mean()),
            about,
        )

    def baselines(self) -> list[Score]:
        """Score the baselines: the untrained generator, two kinds of Gaussians, repeated pictures, and real pictures.

        A trained row must beat the Gaussians, which are second and third. No row can beat the real pictures.
        """
        parts = [self.images[self.labels == number] for number in range(10)]
        ten = torch.cat([gaussian(part, COUNT // 10, number) for number, part in enumerate(parts)])
        few = torch.stack([part[0] for part in parts]).repeat(COUNT // 10, 1, 1, 1)
        rows = torch.randperm(len(self.images), generator=generator_for("cpu", "train rows"))[:COUNT]
        return [
            self.score("untrained generator", self.start),
            self.score("one pixel Gaussian", gaussian(self.images, COUNT, "one")),
            self.score("ten per-class pixel Gaussians", ten),
            self.score("ten training pictures repeated", few),
            self.score("real training pictures", self.images[rows]),
        ]


def judged(row: Score, one: Score, ten: Score, rival: Score | None = None) -> bool:
    """Return whether a row passes the gate; set its verdict, which names what it beats and where it fails.

    With a `rival`, the row must also be better than the rival in distance or in recall, in a quarter of an hour.
    """
    against = {
        name: [word for word, better in (
            ("distance", row.distance < other.distance), ("recall", row.recall > other.recall),
            ("texture", row.texture < other.texture)) if better]
        for name, other in (("one Gaussian", one), ("ten Gaussians", ten))
    }  # fmt: skip
    words = [f"beats {name} in {', '.join(won) or 'nothing'}" for name, won in against.items()]
    if row.rarest < LEAST_RAREST:
        words.append(f"rarest class below {LEAST_RAREST:.0%}")
    if row.accuracy is not None and row.accuracy < LEAST_ASKED:
        words.append(f"class asked for below {LEAST_ASKED:.0%}")
    passed = len(against["one Gaussian"]) == 3 and len(words) == 2
    if rival is not None:
        won = [
            w
            for w, better in (("distance", row.distance < rival.distance), ("recall", row.recall > rival.recall))
            if better
        ]
        words.append(f"beats {rival.name} in {' and '.join(won) or 'neither distance nor recall'}")
        late = row.about["seconds"] > MOST_SECONDS
        words += [f"took more than {MOST_SECONDS // 60} minutes"] if late else []
        passed = passed and bool(won) and not late
    row.verdict = f"{'passes' if passed else 'FAILS'}: {'; '.join(words)}"
    return passed


def table(rows: list[Score]) -> str:
    head = "| | images seen | minutes | distance | recall | texture | nearest | rarest class | asked class | gate |"
    lines = [head, "|---|---:|---:|---:|---:|---:|---:|---:|---:|---|"]
    for row in rows:
        images, seconds = row.about.get("images"), row.about.get("seconds")
        cells = [
            row.name,
            f"{images:,}" if images else "",
            f"{seconds / 60:.0f}" if seconds else "",
            f"{row.distance:.1%}",
            f"{row.recall:.2f}",
            f"{row.texture:.2f}",
            f"{row.nearest:.2f}",
            f"{row.rarest:.1%}",
            "" if row.accuracy is None else f"{row.accuracy:.1%}",
            row.verdict,
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def fashion(root: str, runs: Path, only: list[str]) -> tuple[str, bool]:
    chosen = [name for name in ROWS if not only or name.startswith(tuple(only))]
    chosen += [RIVAL] if RIVAL not in chosen and {*chosen} & {*RIVALS} else []
    commands = {name: ROWS[name] for name in ROWS if name in chosen}
    folders = {name: train(name, [*command, f"dataset.root={root}"], runs) for name, command in commands.items()}
    bench, good = Bench(root, runs), True
    rows = bench.baselines()
    _, one, ten, *_ = rows
    for name, folder in folders.items():
        trained, about = load_trained(folder), record(folder)
        images, label = drawn(trained, COUNT)
        row = bench.score(name, images, label, images=trained.images, seconds=about["seconds"])
        rival = next((other for other in rows if other.name == RIVAL), None) if name in RIVALS else None
        passed = judged(row, one, ten, rival)
        rows.append(row)
        if label is not None:  # the control of the last column: about 10 % whatever was drawn
            shuffled = label[torch.randperm(COUNT, generator=generator_for("cpu", "shuffled"))]
            other = bench.score(f"{name}, labels shuffled", images, shuffled)
            passed = not judged(other, one, ten) and passed
            rows.append(other)
        good = good and passed != name.startswith("control")
    head = f"Classifier: {bench.accuracy:.1%} on the test split. {COUNT:,} samples against {COUNT:,} test images.\n\n"
    return head + table(rows), good


def rings(runs: Path, only: list[str]) -> str:
    """Train the rings; format a table of modes covered of 8 and of samples within 3 deviations of one, by seed."""
    results: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for seed in (0, 1, 2):
        gan = untrained("experiment=ring", f"seed={seed}")
        results["untrained generator"].append(modes_covered(drawn_untrained(gan, POINTS), ring(8), 0.01))
    for name, command in RINGS.items():
        if not only or name.startswith(tuple(only)):
            points, _ = drawn(load_trained(train(name, command, runs)), POINTS)
            results[name.split("-")[1]].append(modes_covered(points, ring(8), 0.01))
    lines = ["| loss | modes covered, by seed | high-quality share, by seed |", "|---|---|---|"]
    for loss, scores in results.items():
        modes, good = ", ".join(str(m) for m, _ in scores), ", ".join(f"{share:.0%}" for _, share in scores)
        lines.append(f"| {loss} | {modes} | {good} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data",
        help="folder that holds FashionMNIST/raw, or one with a folder for each set ($GAN_TEST_DATA, $GAN_DATA)",
    )
    parser.add_argument("--runs", type=Path, default=Path("outputs/learning"))
    parser.add_argument("--only", nargs="*", default=[], help="rows whose names begin so")
    parser.add_argument("--output", type=Path, help="write the tables to this Markdown file too")
    arguments = parser.parse_args()

    def chosen(name: str) -> bool:
        return not arguments.only or name.startswith(tuple(arguments.only))

    known = [*ROWS, *RINGS, *style.NAMES, *translation.NAMES]
    if not any(map(chosen, known)):
        parser.error(f"--only: no such row; there are {', '.join(known)}")
    text, good = [], True
    if any(map(chosen, ROWS)):
        root = place("fashion_mnist", "FashionMNIST/raw", arguments.data)
        if root is None:
            parser.error("--data: name the folder that holds FashionMNIST/raw")
        scores, good = fashion(str(root), arguments.runs, arguments.only)
        text.append(scores)
    if any(map(chosen, RINGS)):
        text.append(rings(arguments.runs, arguments.only))
    for table in (
        *style.tables(arguments.data, arguments.runs, chosen),
        *translation.tables(arguments.data, arguments.runs, chosen),
    ):
        text.append(str(table))
        good = good and table.good
    print("\n\n".join(text))
    if arguments.output:
        arguments.output.write_text("\n\n".join(text) + "\n")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
