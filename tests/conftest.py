"""What several test files share: composing a config as the command does, and tiny sizes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import forked
import numpy
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig
from PIL import Image

from gan_cli.base.run_config import RunConfig
from gan_cli.check.check import check
from gan_cli.check.config_folder import config_folder
from gan_cli.cli.config import plain, register_resolvers
from gan_cli.data.order import Data
from gan_cli.game.build import build_data, build_game, build_medium, optimizer_factory
from gan_cli.game.game import Optimizers

ROOT = Path(__file__).resolve().parent.parent

# every model at a size that takes milliseconds a step
TINY = {
    "gan": ["model.generator.width=8", "model.discriminator.width=8"],
    "gan_maxout": ["model.generator.width=16", "model.discriminator.units=8", "model.discriminator.pieces=2"],
    "dcgan": ["model.generator.base_channels=4", "model.discriminator.base_channels=4"],
    "cgan": [],
    "cdcgan": ["model.generator.width=4", "model.discriminator.width=4"],
    "progan": [
        *("model.growth.start=8", "model.latent.size=8"),
        *("model.generator.channel_base=64", "model.generator.channel_max=8"),
    ],
    "stylegan": [
        *("model.growth.start=8", "model.latent.size=8", "model.generator.style_size=8"),
        *("model.generator.mapping_layers=2", "model.generator.channel_base=64", "model.generator.channel_max=8"),
    ],
    "stylegan2": [
        *("model.latent.size=8", "model.generator.style_size=8", "model.generator.mapping_layers=2"),
        *("model.generator.channel_base=64", "model.generator.channel_max=8"),
    ],
    "sngan": ["model.generator.width=4", "model.discriminator.width=4"],
    "sagan": ["model.generator.width=4", "model.generator.attention_at=8"],
    "biggan": [
        *("dataset.resolution=32", "model.latent.size=8"),
        *("model.generator.width=2", "model.generator.shared=4", "model.generator.attention_at=16"),
    ],
    "r3gan": ["model.latent.size=8", "model.generator.width=8", "model.generator.blocks=1"],
    "toy": ["dataset=gaussians", "dataset.count=500", "model.generator.width=8", "model.discriminator.width=8"],
    "pix2pix": ["dataset=pairs", "model.generator.width=4", "model.discriminator.width=4"],
    "cyclegan": ["dataset=unpaired", "model.a_to_b.width=4", "model.a_to_b.blocks=1", "model.discriminator_b.width=4"],
    "srgan": [
        *("dataset=degraded", "dataset.resolution=32", "model.scale=2", "model.pretrain_images=0"),
        *("model.generator.width=4", "model.generator.blocks=1"),
        *("model.discriminator.width=16", "model.discriminator.dense=32"),  # narrower, clipped weights pass nothing on
    ],
    "inpainting": [
        *("dataset=degraded", "dataset.resolution=32", "model.pretrain_images=0"),
        *("model.generator.width=4", "model.generator.blocks=1", "model.discriminator.width=4"),
    ],
    "medgan_translation": [
        *("dataset=pairs", "model.generator.width=4", "model.generator.blocks=2", "model.discriminator.width=4"),
    ],
}
# data sets that need a folder of the user's: those that `tiny_pictures` lays out
ROOTS = {name: f"dataset.root=${{oc.env:GAN_TINY_PICTURES}}/{name}" for name in ("pairs", "unpaired", "degraded")}
for overrides in TINY.values():
    overrides += [ROOTS[o.removeprefix("dataset=")] for o in list(overrides) if o.removeprefix("dataset=") in ROOTS]
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
    made = composed if config_dir is None else composed.__wrapped__  # a folder of the user's own may change
    config = made(overrides, config_dir or config_folder())
    return plain(config, config.hydra.runtime.choices)


@pytest.hookimpl(tryfirst=True)  # before any is left out by its marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    seen: Counter[str] = Counter()
    for item in items:
        sampled = item.get_closest_marker("sampled")
        if sampled is not None:
            name = item.nodeid.partition("[")[0]
            if seen[name] % sampled.args[0]:
                item.add_marker(pytest.mark.slow)
            seen[name] += 1


KINDS = ("gan", "toy", "dcgan", "cdcgan", "pix2pix", "cyclegan", "stylegan2")  # a model of each, tried at once


def later(model: str) -> tuple[pytest.MarkDecorator, ...]:
    """The mark of a case about a model whose kind another one stands for."""
    return () if model in KINDS else (pytest.mark.slow,)


@cache
def composed(overrides: tuple[str, ...], folder: Path) -> DictConfig:
    """What Hydra makes of a command line, interpolations still in it: nobody changes it."""
    register_resolvers()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(folder), version_base="1.3"):
        return compose("train", overrides=list(overrides), return_hydra_config=True)


def game_of(config: dict[str, Any], trust: Sequence[str] = ()) -> Any:
    """The game of a plain config; `Any`, since a test knows which one it is."""
    return build_game(RunConfig.of(with_all(config)).game, trust)


def data_of(config: dict[str, Any], trust: Sequence[str] = ()) -> Data:
    return build_data(RunConfig.of(with_all(config)).data, trust)


def medium_of(config: dict[str, Any], trust: Sequence[str] = ()) -> Any:
    return build_medium(RunConfig.of(with_all(config)).data, trust)


def optimizers_of(config: dict[str, Any], trust: Sequence[str] = ()) -> Optimizers:
    return optimizer_factory(config["optimizer"], trust)


def with_all(config: dict[str, Any]) -> dict[str, Any]:
    """A config that may hold a few parts only, with all that a run's has."""
    nothing: dict[str, Any] = {"_target_": "nothing"}
    return {"seed": 0, "trainer": {}, **dict.fromkeys(("model", "loss", "dataset", "optimizer"), nothing), **config}


def compose_checked(*overrides: str) -> dict[str, Any]:
    """The same, refused where the command would refuse it."""
    config = compose_plain(*overrides)
    check(config)
    return config


def same(one: Any, other: Any, where: str = "") -> None:
    """Equal structure, and every tensor equal in type and in every bit."""
    assert type(one) is type(other), where
    if isinstance(one, torch.Tensor):
        assert one.dtype == other.dtype, where
        assert torch.equal(one, other), where
    elif isinstance(one, dict):
        assert list(one) == list(other), where
        for key in one:
            same(one[key], other[key], f"{where}/{key}")
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other), where
        for number, (left, right) in enumerate(zip(one, other, strict=True)):
            same(left, right, f"{where}[{number}]")
    else:
        assert one == other, where


@pytest.fixture(autouse=True, scope="session")
def tiny_pictures(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Pairs, unpaired sides of 10 and 7 pictures, and larger pictures of several sizes; 32x32 in colour."""
    root, rng = tmp_path_factory.mktemp("pictures"), numpy.random.default_rng(0)

    def write(path: Path, height: int = 32, width: int = 32) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=numpy.uint8))
        coarse.resize((width, height), Image.Resampling.BICUBIC).save(path)

    for number in range(10):
        write(root / "pairs" / "A" / f"{number}.png")
        write(root / "pairs" / "B" / f"{number}.png")
        write(root / "unpaired" / "trainA" / f"{number}.png")
        write(root / "degraded" / f"{number}.png", 66 + number, 83 - number)
    for number in range(7):
        write(root / "unpaired" / "trainB" / f"{number}.png")
        write(root / "unpaired" / "testA" / f"{number}.png")
        write(root / "unpaired" / "testB" / f"{number}.png")
    os.environ["GAN_TINY_PICTURES"] = str(root)
    yield root
    del os.environ["GAN_TINY_PICTURES"]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Bit-equality and speed at these sizes: one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _no_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an earlier test's sweep left for its worker processes is not for this one."""
    monkeypatch.delenv("GAN_CLI_SWEEP", raising=False)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside `tmp_path`, not in it: where that is a folder of classes, a folder without pictures is refused."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def run_command(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a command as a user does, in a folder of its own; with a PYTHONPATH in a process without torch."""

    def run(
        name: str, *arguments: str, cwd: Path | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        if "PYTHONPATH" in environment:  # before, not instead of, the tree that is tested
            path = [environment["PYTHONPATH"], os.getenv("PYTHONPATH")]
            environment["PYTHONPATH"] = os.pathsep.join(filter(None, path))
        light = "PYTHONPATH" in environment
        return forked.run(name, *arguments, cwd=cwd or tmp_path, imports_torch=not light, **environment)

    return run


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with real data sets that GAN_TEST_DATA names; skips the test where there is none."""
    folder = os.environ.get("GAN_TEST_DATA")
    if not folder:
        pytest.skip("GAN_TEST_DATA names no folder with real data sets")
    return Path(folder)


Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(
    request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Command:
    """Call a command in this process, as if typed in an empty folder with the test module's package (`PLUGIN`) beside
    it: (its module, words) -> exit code, output, errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(request.module.PLUGIN))
    monkeypatch.delenv("COMP_LINE", raising=False)

    def call(module: Any, *words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", [f"gan-{module.__name__.rpartition('.')[2]}", *words])
        with pytest.raises(SystemExit) as ended:
            module.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return call
