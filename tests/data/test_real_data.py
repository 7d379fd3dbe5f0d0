"""What only real data can show; skipped where GAN_TEST_DATA names no folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from conftest import QUICK, TINY, compose_checked

from gan_cli.base.run_config import RunConfig
from gan_cli.data.sets import FashionMNIST
from gan_cli.game.build import build_data
from gan_cli.run.train import train

pytestmark = pytest.mark.slow


@pytest.fixture
def fashion(real_data: Path) -> Path:
    folder = real_data / "fashion_mnist"
    if not (folder / "FashionMNIST" / "raw").is_dir():
        pytest.skip("GAN_TEST_DATA has no fashion_mnist/FashionMNIST/raw")
    return folder


def test_fashion_mnist_is_read_as_published(fashion: Path) -> None:
    """Counts, balance, and the mean and deviation that everyone normalises with."""
    data = FashionMNIST(str(fashion), download=False)
    assert data.labels is not None
    assert torch.bincount(data.labels).tolist() == [6000] * 10
    image = data.fetch(torch.arange(60_000), torch.device("cpu"))["image"]
    unit = (image + 1) / 2
    assert unit.mean().item() == pytest.approx(0.2860, abs=5e-5)
    assert unit.std().item() == pytest.approx(0.3530, abs=5e-5)
    assert data.class_names[1] == "Trouser"
    assert len(FashionMNIST(str(fashion), split="test", download=False)) == 10_000


@pytest.mark.parametrize("model", ["dcgan", "cdcgan"])
def test_a_run_on_fashion_mnist_takes_steps_and_goes_on(model: str, fashion: Path, tmp_path: Path) -> None:
    command = [f"model={model}", "dataset=fashion_mnist", f"dataset.root={fashion}", *TINY[model], *QUICK]
    config = compose_checked(*command, "trainer.total_images=16")
    assert config["dataset"]["resolution"] == {"dcgan": 32, "cdcgan": 28}[model]
    assert train(config, tmp_path)["images"] == 16
    assert train(compose_checked(*command, "trainer.total_images=32"), tmp_path)["images"] == 32


def folder_of(real_data: Path, name: str, proof: str) -> Path:
    if not (real_data / name / proof).is_dir():
        pytest.skip(f"GAN_TEST_DATA has no {name}/{proof}")
    return real_data / name


@pytest.mark.parametrize(
    ("model", "name", "proof", "dataset", "expected"),
    [
        ("pix2pix", "brain_slices/mri", "train/A", "pairs", {"resolution": 128, "channels": 1, "source_channels": 1}),
        ("medgan_translation", "brain_slices/mri", "train/A", "pairs", {"resolution": 128}),
        ("pix2pix", "emoji_pairs", "train/A", "pairs", {"resolution": 64, "channels": 3}),
        ("cyclegan", "emoji_styles", "testA", "unpaired", {"resolution": 64, "channels": 3, "source_channels": 3}),
        ("srgan", "photos", "train", "degraded", {"resolution": 32, "channels": 3}),
        ("inpainting", "photos", "train", "degraded", {"resolution": 32, "channels": 3}),
    ],
)
def test_folders_of_pictures_train_as_they_are(
    model: str, name: str, proof: str, dataset: str, expected: dict[str, int], real_data: Path, tmp_path: Path
) -> None:
    """Sizes and channels are found by looking, and the held-out part is what the folder says it is."""
    root = folder_of(real_data, name, proof)
    small = [option for option in TINY[model] if not option.startswith("dataset.root")]
    command = [f"model={model}", *small, f"dataset.root={root}", *QUICK, "trainer.total_images=8"]
    config = compose_checked(*command)
    assert config["choices"]["dataset"] == dataset
    assert {key: config["dataset"][key] for key in expected} == expected
    assert train(config, tmp_path)["images"] == 8
    shown = build_data(RunConfig.of(config).data.held_out())
    side = root / ("test/A" if dataset == "pairs" else "testA" if dataset == "unpaired" else "test")
    assert len(shown) == sum(file.suffix == ".png" for file in side.rglob("*"))
