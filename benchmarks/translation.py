"""Rows whose models are given pictures, judged on held-out pictures beside dumb baselines and controls that must fail.

Each data set is a folder below --data, $GAN_TEST_DATA or $GAN_DATA. Rows whose data are missing are left out.

- `emoji_pairs`: train/ and test/ with A/ outlines and B/ coloured drawings
- `emoji_styles`: trainA/ trainB/ testA/ testB/, the test halves aligned by name
- `mnist_digits`: digits.npz
- `photos`: train/ and test/
- `brain_slices/mri`: train/ and test/ with A/ T1 and B/ tissue
- `pretrained`: mobilenet_v2_imagenet.pth, torchvision's MobileNetV2
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from judge import frechet
from judge_pictures import described, mobilenet, spectrum_distance
from rows import place, record, train
from torch import Tensor

from gan_cli.base.randomness import generator_for, seed_everything
from gan_cli.data.degrade import filled_smoothly
from gan_cli.game.build import build_data
from gan_cli.game.game import joined
from gan_cli.media.image import to_pixels, write_png
from gan_cli.metrics.similarity import psnr, ssim
from gan_cli.use.load import Trained, load_trained

CPU = torch.device("cpu")
LEAST_PAIRED = 3.0  # dB above the copy of the input, the mean target and another picture's target
LEAST_SLICES = 1.0  # the same for brain slices, which are all alike
MOST_DISTANCE = 2 / 3  # of the untranslated set's distance, both ways
MOST_CYCLE = 0.1  # mean absolute error in [-1, 1]
MOST_DIGITS = 0.4  # of the input's L1
LEAST_ENLARGED = 0.5  # dB above bicubic
# as many parameters as experiment=medgan_slices, and more images, so that both train as long
ONE_BLOCK = ["model.generator.blocks=1", "model.generator.width=21", "trainer.total_images=21_000"]
ONE_BLOCK += ["optimizer.schedule.start_images=10_500", "optimizer.schedule.end_images=21_000"]
LEAST_FILLED = 0.1  # dB in the hole above each dumb filling
MOST_LOST = 2.5  # dB that the critic's stage may lose


@dataclass
class Table:
    """A table of docs/results.md, and the gates that its rows must pass."""

    title: str
    columns: list[str]
    rows: list[list[str]] = field(default_factory=list)
    gates: list[tuple[str, bool]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    good: bool = True

    def row(self, name: str, *cells: str, folder: Path | None = None) -> None:
        about = record(folder) if folder else {}
        seen = f"{about['images']:,}" if about else ""
        self.rows.append([name, seen, f"{about['seconds'] / 60:.0f}" if about else "", *cells])

    def gate(self, sentence: str, holds: bool, control: bool = False) -> None:
        """Record whether the condition of a gate holds; a control's must not hold."""
        passed = bool(holds) != control
        self.gates.append((f"{sentence}: {'yes' if holds else 'no'}{', as it must be' if control else ''}", passed))
        self.good = self.good and passed

    def __str__(self) -> str:
        head = ["", "images seen", "minutes", *self.columns]
        lines = [" | ".join(head), "|".join(["---", *["---:"] * (len(head) - 1)]), *map(" | ".join, self.rows)]
        gates = "\n".join(f"- {'passes' if passed else 'FAILS'}: {sentence}" for sentence, passed in self.gates)
        notes = [f"- {note}" for note in self.notes]
        return "\n".join([f"{self.title}\n", *(f"| {line} |" for line in lines), "", gates, *notes])


class Rows:
    """Rows that are selected by name, and are trained where their data are present."""

    def __init__(self, data: str | None, runs: Path, selected: Callable[[str], bool]) -> None:
        self.data, self.runs, self.selected = data, runs, selected

    def place(self, name: str, proof: str) -> Path | None:
        folder = place(name, proof, self.data)
        if folder is None:
            print(
                f"no {name} (with {proof} in it) is named by --data, GAN_TEST_DATA or GAN_DATA: its rows are left out"
            )
        return folder

    def trained(self, name: str, root: Path, *command: str) -> Path:
        return train(name, [*command, f"dataset.root={root}"], self.runs)

    def any(self, *names: str) -> bool:
        return any(map(self.selected, names))


def paired(trained: Trained) -> dict[str, Tensor]:
    """Compute the rows of a preview for the whole test split."""
    data = trained.held_out()
    fields = data.fetch(torch.arange(len(data)), CPU)
    seed_everything("judged")
    return {**fields, **joined(trained.game.sample(trained.networks, fields))}


def training_targets(trained: Trained) -> Tensor:
    data = build_data(trained.config.data.changed(load_resolution=None).of_split("train"))
    return data.fetch(torch.arange(len(data)), CPU)["target"]


def mean_psnr(outputs: Tensor, targets: Tensor) -> float:
    return float(psnr(outputs, targets).mean())


def mean_ssim(outputs: Tensor, targets: Tensor) -> float:
    return float(ssim(outputs, targets).mean())


def shuffled_pairs(root: Path, target: Path) -> Path:
    """Copy a data set of pairs with its training targets shuffled; the test split stays as it is."""
    if not (target / "train" / "B").is_dir():
        shutil.copytree(root / "test", target / "test", dirs_exist_ok=True)
        shutil.copytree(root / "train" / "A", target / "train" / "A", dirs_exist_ok=True)
        names = sorted(file.name for file in (root / "train" / "B").iterdir())
        order = torch.randperm(len(names), generator=generator_for("cpu", "shuffled pairs")).tolist()
        making = target / "train" / "making"
        making.mkdir(exist_ok=True)
        for name, other in zip(names, order, strict=True):
            shutil.copy(root / "train" / "B" / names[other], making / name)
        making.rename(target / "train" / "B")
    return target


def from_pairs(
    rows: Rows, title: str, root: Path, commands: dict[str, list[str]], control: str, least: float
) -> tuple[Table, dict[str, tuple[float, float, float]]]:
    """Train and judge models of pairs; return their table and their scores (PSNR, SSIM, spectrum).

    The first of `commands` must be `least` dB above each dumb baseline. The same model, trained on shuffled pairs, must
    not be.
    """
    table, main = Table(title, ["PSNR, dB", "SSIM", "spectrum off by, dB"]), next(iter(commands))
    results: dict[str, tuple[float, float, float]] = {}
    dumb = ["copy of the input", "mean target", f"{main}, against another picture's target"]

    def judge(name: str, outputs: Tensor, targets: Tensor, folder: Path | None = None) -> None:
        scores = mean_psnr(outputs, targets), mean_ssim(outputs, targets), spectrum_distance(outputs, targets)
        results[name] = scores
        table.row(name, f"{scores[0]:.2f}", f"{scores[1]:.3f}", f"{scores[2]:.2f}", folder=folder)

    for name, command in {**commands, control: commands[main]}.items():
        if not rows.selected(name):
            continue
        data = shuffled_pairs(root, rows.runs / f"{control}_data") if name == control else root
        folder = rows.trained(name, data, *command)
        trained = load_trained(folder)
        shown = paired(trained)
        targets = shown["target"]
        if dumb[0] not in results:
            judge(dumb[0], shown["source"], targets)
            judge(dumb[1], training_targets(trained).mean(0, keepdim=True).expand_as(targets), targets)
        judge(name, shown["output"], targets, folder)
        if name == main:
            judge(dumb[2], shown["output"], targets.roll(len(targets) // 2, 0))
        if name in (main, control):
            gaps = [results[name][0] - results[other][0] for other in dumb if other in results]
            words = f"{name} is {least:g} dB above each dumb baseline (least: {min(gaps):.2f} dB)"
            table.gate(words, min(gaps) >= least, name == control)
    return table, results


def pix2pix(rows: Rows) -> Table | None:
    names = ["pix2pix_emoji", "pix2pix_l1_alone", "control_pix2pix_shuffled"]
    if not rows.any(*names) or (root := rows.place("emoji_pairs", "train/A")) is None:
        return None
    commands = {names[0]: ["experiment=pix2pix_emoji"]}
    commands[names[1]] = [*commands[names[0]], "model.adversarial_weight=0"]
    title = "Pix2Pix, outlines to coloured emoji at 64x64, held-out drawings:"
    table, scores = from_pairs(rows, title, root, commands, names[2], LEAST_PAIRED)
    if names[0] in scores and names[1] in scores:
        nearer = scores[names[0]][2] < scores[names[1]][2]
        table.gate("with the critic the gradient spectrum is nearer to the target's than with L1 alone", nearer)
    return table


def medgan(rows: Rows) -> Table | None:
    names = ["medgan_slices", "one_u_block_slices", "control_medgan_shuffled"]
    if not rows.any(*names) or (root := rows.place("brain_slices/mri", "train/A")) is None:
        return None
    commands = {names[0]: ["experiment=medgan_slices"], names[1]: ["experiment=medgan_slices", *ONE_BLOCK]}
    title = "medgan_translation, T1 slices to tissue at 64x64, held-out slices:"
    table, scores = from_pairs(rows, title, root, commands, names[2], LEAST_SLICES)
    if names[0] in scores and names[1] in scores:
        for number, what in enumerate(("PSNR, dB", "SSIM")):
            gap = scores[names[0]][number] - scores[names[1]][number]
            side = "above" if gap > 0 else "below"
            table.notes.append(f"{abs(gap):.3f} {side} one U-block of equal parameters and time in {what}")
    return table


def both_ways(trained: Trained, a: Tensor, b: Tensor) -> dict[str, Tensor]:
    """Translate both sets to the other side and back; return fake_b, cycle_a, fake_a, cycle_b."""

    def go(images: Tensor, direction: str) -> Tensor:
        source = trained.game.translations[direction].source
        return torch.cat(
            [trained.game.translate(trained.networks, {source: batch}, direction) for batch in images.split(64)]
        )

    fake_b, fake_a = go(a, "a_to_b"), go(b, "b_to_a")
    return {"fake_b": fake_b, "fake_a": fake_a, "cycle_a": go(fake_b, "b_to_a"), "cycle_b": go(fake_a, "a_to_b")}


def aligned(trained: Trained) -> tuple[Tensor, Tensor]:
    """Return both test sides in the order of their names: partners that training never saw."""
    data = trained.held_out()
    each = torch.arange(len(data))
    fields = data.fetch(torch.stack([each, each], 1), CPU)
    return fields["a"], fields["b"]


def off(outputs: Tensor, targets: Tensor) -> float:
    return float((outputs - targets).abs().mean())


def cyclegan(rows: Rows) -> Table | None:
    names = ["cyclegan_emoji", "control_cyclegan_no_critic"]
    if not rows.any(*names):
        return None
    root, weights = rows.place("emoji_styles", "testA"), rows.place("pretrained", "mobilenet_v2_imagenet.pth")
    if root is None or weights is None:
        return None
    table = Table(
        "CycleGAN between two styles of emoji at 32x32, held-out drawings (Frechet, MobileNetV2):",
        ["distance to B", "to A", "cycle A", "cycle B", "L1 to B's", "to A's"],
    )
    network = mobilenet(weights / "mobilenet_v2_imagenet.pth")
    commands = {
        names[0]: ["experiment=cyclegan_emoji"],
        names[1]: ["experiment=cyclegan_emoji", "model.adversarial_weight=0", "trainer.total_images=2_000"],
    }
    start: tuple[float, float] | None = None
    for name, command in commands.items():
        if not rows.selected(name):
            continue
        folder = rows.trained(name, root, *command)
        trained = load_trained(folder)
        a, b = aligned(trained)
        seen_a, seen_b = described(network, a), described(network, b)
        if start is None:
            start = frechet(seen_a, seen_b), frechet(seen_b, seen_a)
            other = torch.randperm(len(a), generator=generator_for("cpu", "halves"))
            halves = [frechet(seen[other[::2]], seen[other[1::2]]) for seen in (seen_b, seen_a)]
            table.row(
                "untranslated", f"{start[0]:.0f}", f"{start[1]:.0f}", "", "", f"{off(a, b):.3f}", f"{off(b, a):.3f}"
            )
            table.row("a random drawing", "", "", "", "", f"{off(b.roll(1, 0), b):.3f}", f"{off(a.roll(1, 0), a):.3f}")
            table.row("half of the real set from its other half", f"{halves[0]:.0f}", f"{halves[1]:.0f}", *[""] * 4)
        translations = both_ways(trained, a, b)
        far = (
            frechet(described(network, translations["fake_b"]), seen_b),
            frechet(described(network, translations["fake_a"]), seen_a),
        )
        cycle = off(translations["cycle_a"], a), off(translations["cycle_b"], b)
        table.row(
            name,
            *(f"{d:.0f} ({d / s:.0%})" for d, s in zip(far, start, strict=True)),
            *(f"{error:.3f}" for error in cycle),
            f"{off(translations['fake_b'], b):.3f}",
            f"{off(translations['fake_a'], a):.3f}",
            folder=folder,
        )
        shares = [d / s for d, s in zip(far, start, strict=True)]
        is_control = name.startswith("control")
        table.gate(f"{name} is nearer by a third, both ways", max(shares) <= MOST_DISTANCE, is_control)
        if not is_control:
            table.gate(f"{name}'s cycle error is below {MOST_CYCLE:g}, both ways", max(cycle) < MOST_CYCLE)
    return table


def two_hands(source: Path, target: Path) -> Path:
    """Write digits, and others inverted, recoloured and sheared; only the test halves show the same digits."""
    if (target / "testB").is_dir():
        return target
    import numpy

    with numpy.load(source / "digits.npz") as file:
        images, order = (
            torch.from_numpy(file["images"]),
            torch.randperm(len(file["images"]), generator=generator_for("cpu")),
        )
    images = torch.nn.functional.pad(images[order], (2, 2, 2, 2)).float() / 255
    parts = {
        "trainA": images[:4000],
        "trainB": images[4000:8000],
        "testA": images[8000:8500],
        "testB": images[8000:8500],
    }
    making = target.with_suffix(".making")
    for name, part in parts.items():
        pictures = other_hand(part) if name.endswith("B") else part[:, None].expand(-1, 3, -1, -1)
        (making / name).mkdir(parents=True, exist_ok=True)
        for number, picture in enumerate(pictures):
            write_png(to_pixels(picture * 2 - 1), making / name / f"{number:04}.png")
    making.rename(target)
    return target


def other_hand(digits: Tensor) -> Tensor:
    """Convert digits (N, 32, 32) in [0, 1] to (N, 3, 32, 32): sheared by 0.3, dark blue ink on orange paper."""
    rows = torch.arange(32)
    columns = (torch.arange(32)[None] + (0.3 * (rows[:, None] - 15.5)).round().long()).clamp(0, 31)
    sheared = digits[:, rows[:, None], columns][:, None]
    ink, paper = (torch.tensor(colour).view(1, 3, 1, 1) for colour in ([0.1, 0.15, 0.45], [1.0, 0.75, 0.35]))
    return sheared * ink + (1 - sheared) * paper


def cyclegan_digits(rows: Rows) -> Table | None:
    names = ["cyclegan_digits", "control_digits_no_critic"]
    if not rows.any(*names) or (source := rows.place("mnist_digits", "digits.npz")) is None:
        return None
    root = two_hands(source, rows.runs / "cyclegan_digits_data")
    table = Table(
        "CycleGAN from digits to inverted, recoloured, sheared ones at 32x32, held-out digits whose truth is known:",
        ["L1 to the truth, A to B", "B to A", "share of the input's", "", "a random digit's", ""],
    )
    more = ["model.adversarial_weight=0", "trainer.total_images=2_000"]
    for name, command in {names[0]: [], names[1]: more}.items():
        if not rows.selected(name):
            continue
        folder = rows.trained(name, root, "experiment=cyclegan_digits", *command)
        trained = load_trained(folder)
        a, b = aligned(trained)
        translations = both_ways(trained, a, b)
        errors = off(translations["fake_b"], b), off(translations["fake_a"], a)
        shares = [error / off(a, b) for error in errors]
        random = off(b.roll(1, 0), b), off(a.roll(1, 0), a)
        cells = [*(f"{e:.3f}" for e in errors), *(f"{s:.0%}" for s in shares), *(f"{r:.3f}" for r in random)]
        table.row(name, *cells, folder=folder)
        good = max(shares) < MOST_DIGITS and all(e < r / 2 for e, r in zip(errors, random, strict=True))
        words = f"{name}'s L1 is below {MOST_DIGITS:.0%} of the input's and below half of a random digit's, both ways"
        table.gate(words, good, name.startswith("control"))
    return table


def srgan(rows: Rows) -> Table | None:
    names = ["srgan_photos", "control_srgan_frozen"]
    if not rows.any(*names) or (root := rows.place("photos", "train")) is None:
        return None
    table = Table(
        "SRGAN by 2 on photographs, held-out 64x64 crops (luma, border of 2 left out):",
        ["PSNR, dB", "SSIM", "spectrum off by, dB"],
    )
    frozen = [
        "optimizer.rates.generator=0.0",
        "trainer.total_images=2_000",
        "model.pretrain_images=1_000",
    ]
    for name, command in {names[0]: [], names[1]: frozen}.items():
        if not rows.selected(name):
            continue
        folder = rows.trained(name, root, "experiment=srgan_photos", *command)
        stages = sorted(folder.glob("checkpoints/*.pt"))[-2:]
        shown = [paired(load_trained(stage)) for stage in (stages if name == names[0] else stages[-1:])]
        targets = shown[0]["target"]
        outputs = {"bicubic": shown[0]["bicubic"]} if not table.rows else {}
        outputs |= {"srgan_photos, first stage (squared error)": shown[0]["output"]} if len(shown) == 2 else {}
        outputs[name] = shown[-1]["output"]
        scores = {}
        for title, pictures in outputs.items():
            quality = [float(score(pictures, targets, 2, on_luma=True).mean()) for score in (psnr, ssim)]
            scores[title] = (*quality, spectrum_distance(pictures, targets))
            table.row(
                title,
                f"{quality[0]:.2f}",
                f"{quality[1]:.3f}",
                f"{scores[title][2]:.2f}",
                folder=folder if title == name else None,
            )
        if len(shown) == 2:
            bicubic, first, second = scores.values()
            gap, lost = first[0] - bicubic[0], first[0] - second[0]
            table.gate(f"the first stage is {LEAST_ENLARGED:g} dB above bicubic ({gap:.2f} dB)", gap >= LEAST_ENLARGED)
            table.gate("the second stage's gradient spectrum is nearer to the real one's", second[2] < first[2])
            table.gate(f"it is at most {MOST_LOST:g} dB below the first ({lost:.2f} dB)", lost <= MOST_LOST)
        else:
            bicubic_psnr = float(psnr(shown[0]["bicubic"], targets, 2, on_luma=True).mean())
            above = scores[name][0] >= bicubic_psnr + LEAST_ENLARGED
            table.gate(f"{name} is {LEAST_ENLARGED:g} dB above bicubic", above, control=True)
    return table


def hole_psnr(outputs: Tensor, targets: Tensor, mask: Tensor) -> float:
    """Compute the mean over pictures of the PSNR of the missing pixels alone, of 8 bits, in dB."""
    pixels = [to_pixels(picture).double() for picture in (outputs, targets)]
    error = ((pixels[0] - pixels[1]).square() * mask).sum((1, 2, 3)) / (mask.sum((1, 2, 3)) * outputs.shape[1])
    return float((10 * torch.log10(255**2 / error.clamp_min(1e-3))).mean())


def filled(shown: dict[str, Tensor]) -> dict[str, Tensor]:
    """Fill the hole with the mean of the known pixels, smoothly, and by OpenCV's Telea; return the pictures by name."""
    source, mask = shown["source"], shown["mask"]
    mean = (source * (1 - mask)).sum((2, 3), keepdim=True) / (1 - mask).sum((2, 3), keepdim=True)
    fillings = {"mean of the known pixels": source * (1 - mask) + mean * mask}
    fillings["smooth filling, from which the network starts"] = filled_smoothly(source * (1 - mask), mask)
    try:
        import cv2
    except ImportError as error:
        raise SystemExit("the inpainting rows are judged beside OpenCV: pip install opencv-python-headless") from error
    parts = []
    for picture, hole in zip(to_pixels(source), mask[:, 0].byte(), strict=True):
        done = cv2.inpaint(picture.permute(1, 2, 0).contiguous().numpy(), hole.numpy(), 3, cv2.INPAINT_TELEA)
        parts.append(torch.from_numpy(done).permute(2, 0, 1))
    fillings["OpenCV's Telea"] = torch.stack(parts).float() / 127.5 - 1
    return fillings


def inpainting(rows: Rows) -> Table | None:
    names = ["inpainting_photos", "control_inpainting_frozen"]
    if not rows.any(*names) or (root := rows.place("photos", "train")) is None:
        return None
    table = Table(
        "Inpainting of a quarter of photographs, held-out 64x64 crops:", ["PSNR in the hole, dB", "spectrum off by, dB"]
    )
    frozen = [
        "optimizer.rates.generator=0.0",
        "trainer.total_images=2_000",
        "model.pretrain_images=1_000",
    ]
    for name, command in {names[0]: [], names[1]: frozen}.items():
        if not rows.selected(name):
            continue
        folder = rows.trained(name, root, "experiment=inpainting_photos", *command)
        shown = paired(load_trained(folder))
        fillings = filled(shown)
        scores = {title: hole_psnr(filling, shown["target"], shown["mask"]) for title, filling in fillings.items()}
        if not table.rows:
            for title, filling in fillings.items():
                table.row(title, f"{scores[title]:.2f}", f"{spectrum_distance(filling, shown['target']):.2f}")
        score = hole_psnr(shown["output"], shown["target"], shown["mask"])
        table.row(name, f"{score:.2f}", f"{spectrum_distance(shown['output'], shown['target']):.2f}", folder=folder)
        gap = score - max(scores.values())
        words = f"{name} is {LEAST_FILLED:g} dB above each dumb filling (least: {gap:.2f} dB)"
        table.gate(words, gap >= LEAST_FILLED, name.startswith("control"))
    return table


TABLES = (pix2pix, cyclegan, cyclegan_digits, srgan, inpainting, medgan)
NAMES = [
    *("pix2pix_emoji", "pix2pix_l1_alone", "control_pix2pix_shuffled"),
    *("cyclegan_emoji", "control_cyclegan_no_critic", "cyclegan_digits", "control_digits_no_critic"),
    *("srgan_photos", "control_srgan_frozen", "inpainting_photos", "control_inpainting_frozen"),
    *("medgan_slices", "one_u_block_slices", "control_medgan_shuffled"),
]


def tables(data: str | None, runs: Path, selected: Callable[[str], bool]) -> Iterable[Table]:
    """Make every table that has a selected row and its data."""
    rows = Rows(data, runs, selected)
    results = (table(rows) for table in TABLES)
    return [table for table in results if table is not None]
