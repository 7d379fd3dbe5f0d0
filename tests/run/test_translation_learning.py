"""Translation learns: a small run on pictures of digits, beside what a dumb baseline gets and a run on wrong pairs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from conftest import compose_checked
from torch import Tensor

from gan_cli.base.run_config import RunConfig
from gan_cli.data.sets import Digits
from gan_cli.game.build import build_data
from gan_cli.game.game import joined
from gan_cli.media.image import to_pixels, write_png
from gan_cli.metrics.similarity import psnr
from gan_cli.run.train import train
from gan_cli.use.load import load_trained

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")


def hands(count: int) -> tuple[Tensor, Tensor]:
    """Digits in white on black, and the same in blue on orange and mirrored at the diagonal: (N, 3, 32, 32) each."""
    digits = Digits(32).fetch(torch.arange(count), CPU)["image"]
    ink, paper = (torch.tensor(colour).view(1, 3, 1, 1) for colour in ([-0.8, -0.7, 0.0], [1.0, 0.5, -0.3]))
    other = digits.transpose(2, 3) * (ink - paper) / 2 + (ink + paper) / 2
    return digits.expand(-1, 3, -1, -1), other


def write(root: Path, shift: int) -> Path:
    """Training pairs whose partner is that of `shift` pictures later, and right test pairs."""
    source, target = hands(440)
    parts = {"train": (source[:400], target[:400].roll(-shift, 0)), "test": (source[400:], target[400:])}
    for part, sides in parts.items():
        for letter, pictures in zip("AB", sides, strict=True):
            (root / part / letter).mkdir(parents=True)
            for number, picture in enumerate(pictures):
                write_png(to_pixels(picture), root / part / letter / f"{number:03}.png")
    return root


def learned(root: Path) -> dict[str, float]:
    """Held-out PSNR of a short run, of the mean target, and of the outputs against the wrong targets."""
    small = ["model.generator.width=8", "model.discriminator.width=8", "dataset.flip=false"]
    small += [
        "trainer.batch_size=8",
        "trainer.total_images=2_400",
        "trainer.sample_every_images=0",
        "trainer.device=cpu",
    ]
    small += ["optimizer.learning_rate=1e-3", "trainer.checkpoint_every_images=0", "trainer.preview_samples=8"]
    config = compose_checked("model=pix2pix", "dataset=pairs", f"dataset.root={root}", *small)
    train(config, root / "run")
    trained, data = load_trained(root / "run"), build_data(RunConfig.of(config).data.held_out())
    fields = data.fetch(torch.arange(len(data)), CPU)
    torch.manual_seed(0)
    made, wanted = joined(trained.game.sample(trained.networks, fields))["output"], fields["target"]
    mean = hands(400)[1].mean(0, keepdim=True).expand_as(wanted)
    pairs = {"output": made, "mean": mean}
    scores = {name: float(psnr(picture, wanted).mean()) for name, picture in pairs.items()}
    return {**scores, "another": float(psnr(made, wanted.roll(1, 0)).mean())}


@pytest.mark.parametrize("shift", [0, 7])
def test_pix2pix_learns_from_right_pairs_and_not_from_wrong_ones(shift: int, tmp_path: Path) -> None:
    scores = learned(write(tmp_path, shift))
    dumb = max(scores["mean"], scores["another"])
    assert (scores["output"] > dumb + 3) == (shift == 0), scores
