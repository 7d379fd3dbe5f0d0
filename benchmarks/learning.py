"""Does it learn? Trains the README's rows through the real commands and judges them beside dumb baselines.

    python benchmarks/learning.py --data DIR                      # DIR holds FashionMNIST/raw; over an hour on 2 cores
    python benchmarks/learning.py --data DIR --only ring          # rows whose name begins so

A row that is trained already is judged again without training; one that was cut goes on. Exit code 1 if a trained row
misses its gate or the control passes it.

All images are judged at 28x28: those of a 32x32 model are brought down by the antialiased resize that brought the reals
up, and the reals take the same route (28, 32, 28), so that both sides have been through the same filter.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from judge import (
    Classifier,
    Described,
    describe,
    frechet,
    modes_covered,
    nearest_ratio,
    rarest_share,
    recall,
    trained_classifier,
)
from torch import Tensor

from gan_cli.build import build_game
from gan_cli.data.images import resize
from gan_cli.data.medium import to_pixels
from gan_cli.data.sets import FashionMNIST
from gan_cli.data.toy import ring
from gan_cli.randomness import generator_for
from gan_cli.sample import Trained, draw, load_trained, plan

COUNT = 2_000  # samples, and test images, in every score
SIZE = 28
ROWS = {
    "dcgan_fashion": ["experiment=dcgan_fashion"],
    "wgan_gp_fashion": ["experiment=wgan_gp_fashion"],
    "cdcgan_fashion": ["experiment=cdcgan_fashion"],
    "control_frozen_generator": [
        "experiment=dcgan_fashion",
        "optimizer.rates.generator=0.0",
        "trainer.total_images=20_000",
    ],
}
RINGS = {
    f"ring-{loss}-seed{seed}": ["experiment=ring", f"loss={loss}", f"seed={seed}"]
    for loss in ("minimax", "nonsaturating", "wgan_gp")
    for seed in (0, 1, 2)
}


@dataclass
class Score:
    """One row; a share of the untrained generator's distance, and the rest as in `judge`."""

    name: str
    distance: float
    recall: float
    texture: float
    nearest: float
    rarest: float
    accuracy: float | None = None
    about: dict[str, Any] = field(default_factory=dict)


def train(name: str, command: list[str], runs: Path) -> Path:
    """Train a row through `gan-train`, unless it is finished; go on with one that was cut."""
    folder = runs / name
    record = json.loads((folder / "run.json").read_text()) if (folder / "run.json").exists() else {}
    if record.get("status") == "finished":
        return folder
    arguments = (
        [f"resume={folder}"] if list(folder.glob("checkpoints/*.json")) else [*command, f"hydra.run.dir={folder}"]
    )
    program = "from gan_cli.cli.train import main; main()"
    subprocess.run([sys.executable, "-c", program, *arguments], check=True)
    return folder


def seen(images: Tensor, low: bool = True) -> Tensor:
    """(N, 1, R, R) in [-1, 1] -> what is judged: (N, 1, 28, 28); by way of 32x32 where `low`."""
    pixels = to_pixels(images)
    if low and pixels.shape[-1] == SIZE:
        pixels = resize(pixels, 32)
    return resize(pixels, SIZE).float() / 127.5 - 1


def drawn(trained: Trained, seed: int = 1) -> tuple[Tensor, Tensor | None]:
    latent, label = plan(trained, COUNT, seed, None)
    return torch.cat(list(draw(trained, latent, label, 500))), label


def untrained(folder: Path) -> Tensor:
    """Samples of the row's generator before its first step."""
    config = json.loads((folder / "config.json").read_text())
    gan = build_game(config).eval()
    latent = gan.latent.draw(COUNT, generator_for("cpu", 1, "sample"))
    label = None if gan.num_classes is None else torch.arange(COUNT) % gan.num_classes
    return gan.sample(gan.generators, latent, label)


def gaussian(images: Tensor, count: int, *key: object) -> Tensor:
    """Samples of one Gaussian with full covariance over the pixels of (N, 1, R, R)."""
    flat = images.flatten(1).double()
    values, vectors = torch.linalg.eigh(torch.cov(flat.T))
    noise = torch.randn(count, flat.shape[1], generator=generator_for("cpu", *key), dtype=torch.float64)
    made = flat.mean(0) + (noise * values.clamp(min=0).sqrt()) @ vectors.T
    return made.float().clamp(-1, 1).view(count, *images.shape[1:])


class Bench:
    """The real data, the classifier, and the row that all distances are a share of."""

    def __init__(self, root: str, cache: Path) -> None:
        train_set, test_set = (FashionMNIST(root, split=split, download=False) for split in ("train", "test"))
        everything = train_set.fetch(torch.arange(len(train_set)), torch.device("cpu"))
        held_out = test_set.fetch(torch.arange(len(test_set)), torch.device("cpu"))
        self.train_images, self.train_labels = everything["image"], everything["label"]
        self.classifier: Classifier = trained_classifier(seen(self.train_images), self.train_labels, cache)
        rows = torch.randperm(len(test_set), generator=generator_for("cpu", "test rows"))
        test_images = seen(held_out["image"])
        with torch.no_grad():
            guesses = torch.cat([self.classifier(part) for part in test_images.split(1000)]).argmax(1)
        self.accuracy = float((guesses == held_out["label"]).float().mean())
        self.test: Described = describe(self.classifier, test_images[rows[:COUNT]])
        chosen = torch.randperm(len(train_set), generator=generator_for("cpu", "train rows"))
        self.some_train = self.train_images[chosen[: 5 * COUNT]]
        self.train_features = describe(self.classifier, seen(self.some_train)).features
        self.ceiling = 1.0

    def score(self, name: str, images: Tensor, label: Tensor | None = None, **about: Any) -> Score:
        what = describe(self.classifier, seen(images))
        return Score(
            name,
            frechet(what.features, self.test.features) / self.ceiling,
            recall(what.features, self.test.features),
            frechet(what.texture, self.test.texture),
            nearest_ratio(what.features, self.train_features, self.test.features),
            rarest_share(what.classes, 10),
            None if label is None else float((what.classes == label).float().mean()),
            about,
        )

    def baselines(self, some_run: Path) -> list[Score]:
        """The rows that a trained one must beat, and the real pictures that none can."""
        first = untrained(some_run)
        self.ceiling = self.score("untrained", first).distance
        ten = torch.cat([gaussian(self.train_images[self.train_labels == k], COUNT // 10, k) for k in range(10)])
        few = torch.stack([self.train_images[self.train_labels == k][0] for k in range(10)])
        return [
            self.score("untrained generator", first),
            self.score("one pixel Gaussian", gaussian(self.train_images, COUNT, "one")),
            self.score("ten per-class pixel Gaussians", ten),
            self.score("ten training pictures repeated", few.repeat(COUNT // 10, 1, 1, 1)),
            self.score("real training pictures", self.some_train[:COUNT]),
        ]


def verdict(row: Score, one: Score, ten: Score) -> tuple[bool, str]:
    """Whether a row passes the gate (better than one Gaussian in all three, no class below 2 %), and what it beats."""
    against = {
        name: [word for word, better in (
            ("distance", row.distance < other.distance), ("recall", row.recall > other.recall),
            ("texture", row.texture < other.texture)) if better]
        for name, other in (("one Gaussian", one), ("ten Gaussians", ten))
    }  # fmt: skip
    passed = len(against["one Gaussian"]) == 3 and row.rarest >= 0.02
    words = [f"beats {name} in {', '.join(won) or 'nothing'}" for name, won in against.items()]
    return passed, f"{'passes' if passed else 'FAILS'}: {'; '.join(words)}"


def table(rows: list[Score], verdicts: dict[str, str]) -> str:
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
            verdicts.get(row.name, ""),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def fashion(root: str, runs: Path, only: list[str]) -> tuple[str, bool]:
    wanted = {name: command for name, command in ROWS.items() if not only or name.startswith(tuple(only))}
    folders = {name: train(name, [*command, f"dataset.root={root}"], runs) for name, command in wanted.items()}
    bench = Bench(root, runs)
    rows, verdicts, good = bench.baselines(next(iter(folders.values()))), {}, True
    one, ten = rows[1], rows[2]
    for name, folder in folders.items():
        trained, record = load_trained(folder), json.loads((folder / "run.json").read_text())
        images, label = drawn(trained)
        row = bench.score(name, images, label, images=record["images"], seconds=record["seconds"])
        passed, verdicts[name] = verdict(row, one, ten)
        rows.append(row)
        if label is not None:
            shuffled = label[torch.randperm(COUNT, generator=generator_for("cpu", "shuffled"))]
            rows.append(bench.score(f"{name}, labels shuffled", images, shuffled))
            passed = passed and (row.accuracy or 0) >= 0.85
        good = good and passed != name.startswith("control")
    head = f"Classifier: {bench.accuracy:.1%} on the test split. {COUNT:,} samples against {COUNT:,} test images.\n\n"
    return head + table(rows, verdicts), good


def rings(runs: Path, only: list[str]) -> str:
    """Modes covered of 8 and the share of samples within 3 deviations of one, over three seeds."""
    lines = ["| loss | modes covered, by seed | high-quality share, by seed |", "|---|---|---|"]
    results: dict[str, list[tuple[int, float]]] = {}
    for name, command in RINGS.items():
        if only and not name.startswith(tuple(only)):
            continue
        folder = train(name, command, runs)
        loss = name.split("-")[1]
        results.setdefault(loss, []).append(ring_score(load_trained(folder)))
        if name == "ring-nonsaturating-seed0":
            gan = build_game(json.loads((folder / "config.json").read_text())).eval()
            latent = gan.latent.draw(2_500, generator_for("cpu", 1, "sample"))
            with torch.no_grad():
                results["untrained generator"] = [modes_covered(gan.generator(latent, None), ring(8), 0.01)]
    for loss, scores in results.items():
        modes, good = ", ".join(str(m) for m, _ in scores), ", ".join(f"{share:.0%}" for _, share in scores)
        lines.append(f"| {loss} | {modes} | {good} |")
    return "\n".join(lines)


def ring_score(trained: Trained) -> tuple[int, float]:
    latent, label = plan(trained, 2_500, 1, None)
    return modes_covered(torch.cat(list(draw(trained, latent, label, 2_500))), ring(8), 0.01)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder that holds FashionMNIST/raw")
    parser.add_argument("--runs", type=Path, default=Path("outputs/learning"))
    parser.add_argument("--only", nargs="*", default=[], help="rows whose names begin so")
    parser.add_argument("--output", type=Path, help="write the tables to this Markdown file too")
    wanted = parser.parse_args()
    text, good = [], True
    if not wanted.only or any(not name.startswith("ring") for name in wanted.only):
        scores, good = fashion(wanted.data, wanted.runs, wanted.only)
        text.append(scores)
    if not wanted.only or any(name.startswith("ring") for name in wanted.only):
        text.append(rings(wanted.runs, wanted.only))
    print("\n\n".join(text))
    if wanted.output:
        wanted.output.write_text("\n\n".join(text) + "\n")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
