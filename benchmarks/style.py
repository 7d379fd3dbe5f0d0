"""Rows about variety, small data and style: a ring under unrolling and packing, ADA, sprites, what styles do.

Data below --data, $GAN_TEST_DATA or $GAN_DATA: `fashion_mnist`, `sprites` (train/ and test/, 64x64 colour pictures) and
`pretrained` (mobilenet_v2_imagenet.pth, torchvision's MobileNetV2). Rows whose data are missing are left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import mean, median

import torch
from judge import Described, describe, frechet, modes_covered
from judge_pictures import described, mobilenet
from rows import train, untrained
from torch import Tensor
from translation import Rows, Table

from gan_cli.base.randomness import generator_for
from gan_cli.data.images import resize
from gan_cli.data.planar import ring
from gan_cli.data.sets import FashionMNIST, ImageFolder
from gan_cli.media.image import ImageMedium, to_pixels, write_png
from gan_cli.metrics.classifier import Classifier, trained_classifier
from gan_cli.metrics.neighbours import radii, within
from gan_cli.use.load import Trained, load_trained
from gan_cli.use.sample import draw

POINTS = 2_500
SEEDS = (0, 1, 2)
COUNT = 1_000  # pictures on each side
# a generator four times as fast as its critic: at these rates the plain game loses modes, at equal ones it does not
FAST = ["experiment=ring", "optimizer.rates.generator=4e-3", "optimizer.rates.discriminator=1e-3"]
FAST += ["trainer.total_images=1_500_000"]
RING = {"plain": [], "unrolled": ["loss.unroll_steps=5"], "packed": ["model.pack=2"]}
MOST_PLAIN = 6  # modes, median of the seeds: else there is nothing to mend
FEW = 500  # pictures, which a critic can learn by heart
# so small that 200,000 images take 20 minutes; R1 is next to nothing, so that the critic can learn the few by heart
ADA = ["experiment=stylegan2_fashion", "augment=ada", "augment.ada_images=50_000", "dataset.resolution=16", "seed=1"]
ADA += ["model.generator.channel_base=256", "model.generator.channel_max=64", "penalty.r1.weight=0.001"]
ADA += ["optimizer.schedule.kind=constant", "trainer.batch_size=32", "trainer.total_images=200_000"]
SETTLED = 100_000  # images, from which on p is averaged
SWAPS = 500  # pairs of samples whose styles are swapped


def drawn(trained: Trained, count: int, psi: float = 1.0) -> Tensor:
    trained.truncation_psi = psi
    return torch.cat(list(draw(trained, trained.given(count, 1), 100)))


def rings(rows: Rows) -> Table | None:
    """Train rings at rates where the plain game loses modes; return a table of the modes of 8 covered, by seed."""
    names = [f"ring_fast-{way}-seed{seed}" for way in RING for seed in SEEDS]
    if not rows.any(*names):
        return None
    table, modes = Table("Ring of 8 Gaussians, a fast generator:", ["modes of 8, seeds 0, 1, 2", "near a mode"]), {}
    for way, more in RING.items():
        folders = [train(f"ring_fast-{way}-seed{seed}", [*FAST, f"seed={seed}", *more], rows.runs) for seed in SEEDS]
        coverage = []
        for folder in folders:
            coverage.append(modes_covered(drawn(load_trained(folder), POINTS), ring(8), 0.01))
        modes[way] = [covered for covered, _ in coverage]
        cells = ", ".join(map(str, modes[way])), ", ".join(f"{share:.0%}" for _, share in coverage)
        table.row(way, *cells, folder=folders[0])
    table.gate(
        f"the plain game covers {MOST_PLAIN} modes or fewer, by the median", median(modes["plain"]) <= MOST_PLAIN
    )
    for way in ("unrolled", "packed"):
        full_count = sum(covered == 8 for covered in modes[way])
        table.gate(f"{way} covers all 8 in at least 2 of 3 seeds ({full_count})", full_count >= 2)
    return table


def few_pictures(root: Path, target: Path) -> Path:
    """Write the first pictures of a seeded shuffle of Fashion-MNIST to a folder of files."""
    if not target.is_dir():
        data, medium, making = FashionMNIST(str(root), download=False), ImageMedium(), target.with_suffix(".making")
        making.mkdir(parents=True, exist_ok=True)
        rows = torch.randperm(len(data), generator=generator_for("cpu", "few"))[:FEW]
        for number, image in zip(rows.tolist(), data.fetch(rows, torch.device("cpu"))["image"], strict=True):
            medium.save(image, making / f"{number:05d}.png")
        making.rename(target)
    return target


def ada(rows: Rows) -> Table | None:
    """Train with ADA on few and on many pictures; return a table of how far its probability rises."""
    names = ["ada_few", "ada_many"]
    if not rows.any(*names) or (root := rows.place("fashion_mnist", "FashionMNIST/raw")) is None:
        return None
    table, p = Table("ADA's probability, a small stylegan2 at 16x16:", ["training pictures", "p, mean", "at most"]), {}
    few = ["dataset=image_folder", "dataset.channels=1"]
    few_root = few_pictures(root, rows.runs / "few_pictures")
    commands = {names[0]: (few_root, few), names[1]: (root, [])}
    for name, (where, more) in commands.items():
        folder = rows.trained(name, where, *ADA, *more)
        lines = [json.loads(line) for line in (folder / "scalars.jsonl").read_text().splitlines()]
        curve = [line["augment/p"] for line in lines if "augment/p" in line and line["images"] > SETTLED]
        p[name] = mean(curve)
        count = f"{FEW if name == 'ada_few' else 60_000:,}"
        table.row(name, count, f"{p[name]:.4f}", f"{max(curve):.4f}", folder=folder)
    table.gate("on many pictures p stays below 0.005", p["ada_many"] < 0.005)
    table.gate(
        "on few it is at least ten times that of many, and above 0.01", p["ada_few"] > max(0.01, 10 * p["ada_many"])
    )
    return table


def precision_recall(samples: Tensor, real: Tensor, k: int = 3) -> tuple[float, float]:
    """Compute the shares of samples in the balls of reals, and of reals in those of samples, of features (N, F)."""
    shares = within(samples, real, radii(real, k)), within(real, samples, radii(samples, k))
    return tuple(float((share > 0).double().mean()) for share in shares)  # type: ignore[return-value]


def gaussian(images: Tensor, count: int) -> Tensor:
    """Draw samples of one Gaussian over pixels of (N, C, R, R), in the space of the pictures' differences."""
    flat = images.flatten(1).double()
    mean = flat.mean(0)
    weights = torch.randn(count, len(flat), generator=generator_for("cpu", "gaussian"), dtype=torch.float64)
    samples = mean + weights @ (flat - mean) / (len(flat) - 1) ** 0.5
    return samples.float().clamp(-1, 1).view(count, *images.shape[1:])


def sprites(rows: Rows) -> Table | None:
    """Train on sprites; return a table of distance, precision and recall in MobileNetV2's features, beside dcgan's."""
    names = ["stylegan2_sprites", "dcgan_sprites"]
    if not rows.any(*names) or (root := rows.place("sprites", "train")) is None:
        return None
    if (weights := rows.place("pretrained", "mobilenet_v2_imagenet.pth")) is None:
        return None
    network = mobilenet(weights / "mobilenet_v2_imagenet.pth")
    sides = [ImageFolder(str(root / split), resolution=64, channels=3) for split in ("train", "test")]
    reals = [side.fetch(torch.arange(len(side)), torch.device("cpu"))["image"] for side in sides]
    order = torch.randperm(len(reals[0]), generator=generator_for("cpu", "some"))
    real, other = (described(network, reals[0][part]) for part in (order[:COUNT], order[COUNT : 2 * COUNT]))
    table, scores = Table("Sprites, 64x64:", ["distance", "precision", "recall"]), {}

    def judge(name: str, features: Tensor, folder: Path | None = None) -> None:
        scores[name] = (frechet(features, real), *precision_recall(features, real))
        far, precise, covered = scores[name]
        table.row(name, f"{far:.0f}", f"{precise:.2f}", f"{covered:.2f}", folder=folder)

    judge("other real sprites", other)
    judge("one pixel Gaussian", described(network, gaussian(reals[0], COUNT)))
    start = untrained("experiment=stylegan2_sprites", f"dataset.root={root / 'train'}")
    latent = start.latent.draw(COUNT, generator_for("cpu", 1, "sample"))
    with torch.no_grad():
        images = start.make(start.averaged, {"latent": latent})["samples"].clamp(-1, 1)
    judge("untrained stylegan2", described(network, images))
    for name in names:
        folder = rows.trained(name, root / "train", f"experiment={name}")
        trained = load_trained(folder)
        images = drawn(trained, COUNT).clamp(-1, 1)
        write_png(ImageMedium().preview(images[:64], 16), rows.runs / f"{name}.png")
        judge(name, described(network, images), folder)
        if name == names[0]:
            judge(f"{name}, truncation_psi=0.7", described(network, drawn(trained, COUNT, 0.7).clamp(-1, 1)))
    far, precise, covered = scores[names[0]]
    dumb = scores["one pixel Gaussian"]
    table.gate(
        "stylegan2_sprites beats one Gaussian in all three", far < dumb[0] and precise > dumb[1] and covered > dumb[2]
    )
    better = [
        w for w, a, b in zip(("precision", "recall"), scores[names[0]][1:], scores[names[1]][1:], strict=True) if a > b
    ]
    table.gate(f"it beats dcgan_sprites in precision or in recall ({', '.join(better) or 'neither'})", bool(better))
    return table


@torch.no_grad()
def styles(rows: Rows) -> Table | None:
    """Measure how coarse styles, fine styles, noise and truncation change the samples of stylegan2_fashion."""
    name = "style_locality"
    if not rows.any(name) or (root := rows.place("fashion_mnist", "FashionMNIST/raw")) is None:
        return None
    folder = rows.trained("stylegan2_fashion", root, "experiment=stylegan2_fashion")
    trained, classifier = load_trained(folder), classifier_of(root, rows.runs)
    generator = trained.networks["generator"]
    latent = trained.given(2 * SWAPS, 2)["latent"]
    w = generator.mapping(latent)  # type: ignore[operator]
    layers = generator.synthesis.layers  # type: ignore[union-attr]
    ours, theirs = (side[:, None].repeat(1, layers, 1) for side in w.split(SWAPS))

    def seen(codes: Tensor) -> tuple[Tensor, Described]:
        images = generator.synthesis(codes).clamp(-1, 1)  # type: ignore[operator]
        return images, describe(classifier, resize(to_pixels(images), 28))

    images, before = seen(ours)
    table, changed = Table("Styles of stylegan2_fashion:", ["class changed", "pixels changed, RMS"]), {}
    half = layers // 2
    for title, which in {"coarse half": slice(0, half), "fine half": slice(half, layers)}.items():
        swapped = ours.clone()
        swapped[:, which] = theirs[:, which]
        changed_images, after = seen(swapped)
        changed[title] = float((after.classes != before.classes).double().mean())
        table.row(f"another sample's {title} of styles", f"{changed[title]:.0%}", f"{rms(changed_images, images):.3f}")
    for norm in (m for m in generator.modules() if type(m).__name__ == "LayerNoise"):
        norm.train()  # noise drawn anew
    torch.manual_seed(0)
    changed_images, after = seen(ours)
    noise = rms(changed_images, images)
    generator.eval()
    table.row("other noise", f"{float((after.classes != before.classes).double().mean()):.0%}", f"{noise:.3f}")
    other_images, all_changed = seen(theirs)
    table.row(
        "another sample",
        f"{float((all_changed.classes != before.classes).double().mean()):.0%}",
        f"{rms(other_images, images):.3f}",
    )
    table.gate("coarse styles change the class more than twice as often as fine ones",
               changed["coarse half"] > 2 * changed["fine half"])  # fmt: skip
    table.gate("noise changes less than styles do", noise < 0.5 * rms(other_images, images))
    spreads = {psi: drawn(trained, 200, psi).std(0).mean().item() for psi in (1.0, 0.7, 0.3, 0.0)}
    table.notes.append(
        f"deviation of samples by truncation_psi: {json.dumps({k: round(v, 3) for k, v in spreads.items()})}"
    )
    falling = [spreads[psi] for psi in (1.0, 0.7, 0.3, 0.0)]
    table.gate("truncation lessens it step by step, to one picture at 0",
               falling == sorted(falling, reverse=True) and falling[-1] < 1e-3)  # fmt: skip
    return table


def rms(a: Tensor, b: Tensor) -> float:
    return float((a - b).square().mean().sqrt())


def classifier_of(root: Path, cache: Path) -> Classifier:
    data = FashionMNIST(str(root), download=False)
    fields = data.fetch(torch.arange(len(data)), torch.device("cpu"))
    return trained_classifier(resize(resize(to_pixels(fields["image"]), 32), 28), fields["label"], 10, cache)


TABLES = (rings, ada, sprites, styles)
NAMES = [
    *(f"ring_fast-{way}-seed{seed}" for way in RING for seed in SEEDS),
    *("ada_few", "ada_many", "stylegan2_sprites", "dcgan_sprites", "style_locality"),
]


def tables(data: str | None, runs: Path, selected: Callable[[str], bool]) -> Iterable[Table]:
    """Make every table that has a selected row and its data."""
    rows = Rows(data, runs, selected)
    return [table for table in (make(rows) for make in TABLES) if table is not None]
