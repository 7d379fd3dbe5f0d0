"""What several test files share: composing a config as the command does, and tiny sizes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from gan_cli.cli.check import check
from gan_cli.cli.config import plain, register_resolvers
from gan_cli.cli.folder import config_folder

ROOT = Path(__file__).resolve().parent.parent

# every model at a size that takes milliseconds a step
TINY = {
    "gan": ["model.generator.width=8", "model.discriminator.width=8"],
    "gan_maxout": ["model.generator.width=16", "model.discriminator.units=8", "model.discriminator.pieces=2"],
    "dcgan": ["model.generator.base_channels=4", "model.discriminator.base_channels=4"],
    "cgan": [],
    "cdcgan": ["model.generator.width=4", "model.discriminator.width=4"],
    "toy": ["dataset=gaussians", "dataset.count=500", "model.generator.width=8", "model.discriminator.width=8"],
}
QUICK = [
    "trainer.batch_size=8",
    "trainer.log_every_images=16",
    "trainer.sample_every_images=0",
    "trainer.checkpoint_every_images=0",
    "trainer.preview_samples=4",
    "trainer.ema_halflife_images=100",
]


def compose_plain(*overrides: str, config_dir: Path | None = None) -> dict[str, Any]:
    """The plain config of a command line, completed but not yet checked."""
    register_resolvers()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(config_dir or config_folder()), version_base="1.3"):
        config = compose("train", overrides=list(overrides), return_hydra_config=True)
    return plain(config, config.hydra.runtime.choices)


def compose_checked(*overrides: str) -> dict[str, Any]:
    """The same, refused where the command would refuse it."""
    config = compose_plain(*overrides)
    check(config)
    return config


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Bit-equality and speed at these sizes: one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def run_command(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `gan-train` or `gan-sample` as a user does, in a folder of its own."""

    def run(
        name: str, *arguments: str, cwd: Path | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        command = [
            sys.executable,
            "-c",
            f"from gan_cli.cli.{name.removeprefix('gan-')} import main; main()",
            *arguments,
        ]
        settings = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "default", **environment}
        settings.pop("GAN_CLI_STAMP", None)
        return subprocess.run(command, cwd=cwd or tmp_path, env=settings, capture_output=True, text=True, timeout=240)

    return run


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with real data sets that GAN_TEST_DATA names; skips the test where there is none."""
    folder = os.environ.get("GAN_TEST_DATA")
    if not folder:
        pytest.skip("GAN_TEST_DATA names no folder with real data sets")
    return Path(folder)
