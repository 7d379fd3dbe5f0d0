"""One seed, one sample: number i of a seed is the same at any count and any batch size, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import QUICK, TINY, compose_checked, game_of
from torch import Tensor, nn

from gan_cli.base.randomness import AT_ONCE, in_blocks
from gan_cli.evaluation.drawn import drawn, path_of
from gan_cli.evaluation.setting import Plan, Setting
from gan_cli.evaluation.translated import translated
from gan_cli.game.game import joined
from gan_cli.layers.modulation import LayerNoise
from gan_cli.metrics.evidence import Metric
from gan_cli.metrics.gathered import Samples as AllSamples
from gan_cli.parts.latent import Gaussian, Uniform, latents
from gan_cli.run.train import train
from gan_cli.use.load import Trained, load_trained
from gan_cli.use.modes.interpolation import walk
from gan_cli.use.modes.trained_space import TrainedSpace
from gan_cli.use.sample import draw

CPU = torch.device("cpu")
COUNTS, BATCH_SIZES = (1, 5, 16, 17, 64), (3, 16, 64)
Samples = Callable[[int, int], Tensor]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run each: plain, conditional, with styles and layer noise that the pictures show, given pictures."""
    folder = tmp_path_factory.mktemp("runs of samples")
    small = [*QUICK, "trainer.total_images=16", "trainer.device=cpu"]
    for name, more in {
        "dcgan": [],
        "cdcgan": [],
        "stylegan2": ["model.conditional=projection"],
        "pix2pix": ["model.generator.dropout=0.5"],
    }.items():
        train(compose_checked(f"model={name}", *TINY[name], *more, *small), folder / name)
    return folder


def trained_of(runs: Path, name: str) -> Trained:
    trained = load_trained(runs / name, device="cpu")
    for part in trained.game.modules():
        if isinstance(part, LayerNoise):
            nn.init.ones_(part.strength)  # at 0, as it begins, no picture shows it
    return trained


@pytest.mark.parametrize("latent", [Gaussian(7), Gaussian(100), Gaussian(1), Uniform(7)], ids=lambda one: f"{one.size}")
@pytest.mark.parametrize("count", COUNTS)
def test_latents_are_the_same_at_any_count(latent: Any, count: int) -> None:
    """torch.randn draws its last 16 numbers again where there are no whole sixteens of them."""
    whole = latents(latent, 80, 3, "sample")
    some = latents(latent, count, 3, "sample")
    assert some.shape == (count, latent.size)
    assert torch.equal(some, whole[:count])
    assert not torch.equal(some, latents(latent, count, 4, "sample"))
    assert len(whole.unique()) > 0.99 * whole.numel(), "no number of it comes twice"


def test_latents_of_whole_sixteens_are_those_that_were_always_drawn() -> None:
    """So that published scores of 2,000 samples stay what they are."""
    from gan_cli.base.randomness import generator_for

    before = Gaussian(100).draw(2000, generator_for("cpu", 1, "sample"))
    assert torch.equal(latents(Gaussian(100), 2000, 1, "sample"), before)


@pytest.mark.parametrize("name", ["dcgan", "cdcgan", "stylegan2"])
@pytest.mark.parametrize("batch_size", BATCH_SIZES)
@pytest.mark.parametrize("count", COUNTS)
def test_gan_sample_draws_the_same_samples_at_any_count(name: str, batch_size: int, count: int, runs: Path) -> None:
    trained = trained_of(runs, name)
    chosen = None if trained.game.num_classes is None else [3, 7, 1]
    for labels in (None, chosen):
        whole, some = trained.given(80, 5, labels), trained.given(count, 5, labels)
        assert some.keys() == whole.keys() == ({"latent"} if chosen is None else {"latent", "label"})
        assert all(torch.equal(some[name], whole[name][:count]) for name in some)
        pictures = torch.cat(list(draw(trained, some, batch_size)))
        wanted = torch.cat(list(draw(trained, whole, 80)))[:count]
        if batch_size < AT_ONCE:  # fewer at a time than a block: sums in another order
            assert torch.allclose(pictures, wanted, rtol=0, atol=1e-5)
        else:
            assert torch.equal(pictures, wanted)


def test_batches_hold_as_many_samples_as_were_asked_for(runs: Path) -> None:
    trained = trained_of(runs, "dcgan")
    assert [len(batch) for batch in draw(trained, trained.given(70, 0), 30)] == [30, 30, 10]
    assert [len(batch) for batch in draw(trained, trained.given(7, 0), 3)] == [3, 3, 1]


class Noisy(nn.Module):
    """Latent (N, Z) -> points (N, 2), with noise that never stands still."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones([]))

    def forward(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        once = latent[:, :2] + torch.randn(len(latent), 2)
        return once + LayerNoise(1)(once[:, :, None, None])[:, :, 0, 0] + torch.rand(len(latent), 1)


@pytest.mark.parametrize("batch_size", [16, 50, 64])
@pytest.mark.parametrize("count", COUNTS)
def test_noise_that_a_network_draws_itself_is_the_same_at_any_count(batch_size: int, count: int, runs: Path) -> None:
    trained = trained_of(runs, "dcgan")
    trained.networks = {"generator": Noisy()}
    wanted = torch.cat(list(draw(trained, trained.given(80, 0), 64)))
    assert len(wanted.unique(dim=0)) == 80, "and another one for each sample"
    assert torch.equal(torch.cat(list(draw(trained, trained.given(count, 0), batch_size))), wanted[:count])


def no_data() -> Any:
    raise AssertionError("a game that draws from latents asks for no data")


@pytest.mark.parametrize("count", COUNTS)
def test_the_grids_of_training_show_the_same_samples_at_any_count(count: int) -> None:
    config = compose_checked("model=stylegan2", *TINY["stylegan2"], "model.conditional=projection", *QUICK)
    game = game_of(config).eval()
    whole, some = (game.given(many, 2, "preview", no_data) for many in (80, count))
    assert some.keys() == whole.keys() == {"latent", "label"}
    for name, value in some.items():
        assert torch.equal(value, whole[name][:count]), name
    pictures = joined(game.sample(game.averaged, some))["samples"]
    assert torch.equal(pictures, joined(game.sample(game.averaged, whole))["samples"][:count])


def test_the_grids_of_training_hold_every_class() -> None:
    config = compose_checked("model=cdcgan", *TINY["cdcgan"], *QUICK)
    label = game_of(config).given(64, 0, "preview", no_data)["label"]
    assert label.bincount(minlength=10).tolist() == [7, 7, 7, 7, 6, 6, 6, 6, 6, 6]


@pytest.mark.parametrize("space", ["z", "w"])
def test_modes_draw_the_same_samples_at_any_batch_size(space: str, runs: Path) -> None:
    trained = trained_of(runs, "stylegan2")
    given = trained.given(80, 0, [2])
    latent, label = given["latent"], given["label"]
    place = TrainedSpace(trained, space)
    codes = place.codes(latent, label)
    wanted = torch.cat(list(place.draw(codes, label, 80)))
    assert torch.equal(wanted, torch.cat(list(draw(trained, given, 80))).clamp(-1, 1))
    for count in COUNTS:
        assert torch.equal(torch.cat(list(place.draw(codes[:count], label[:count], 64))), wanted[:count])
    frames = [torch.stack(list(walk(place, latent[:5], label[:5], 20, batch_size))) for batch_size in (16, 17, 64)]
    assert torch.equal(frames[0], frames[1])
    assert torch.equal(frames[0], frames[2])


class Looks(Metric):
    """Looks at all samples."""

    fake = (AllSamples,)


def setting_of(trained: Trained, count: int, batch_size: int) -> Setting:
    how = Plan(count, "test" if trained.game.compared else None, 4, batch_size)
    return Setting(trained.config.data, {"looks": Looks()}, None, how, CPU)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("batch_size", [16, 64])
def test_an_evaluation_judges_the_samples_of_gan_sample(count: int, batch_size: int, runs: Path) -> None:
    trained = trained_of(runs, "cdcgan")
    evidence = drawn(setting_of(trained, count, batch_size), trained)
    given = trained.given(80, 4)
    wanted = torch.cat([trained.medium.array(some) for some in draw(trained, given, 80)])
    assert torch.equal(evidence.fakes.permute(0, 2, 3, 1), wanted[:count])
    assert evidence.asked is not None
    assert torch.equal(evidence.asked, given["label"][:count])


class Pixels:
    """Features: the pixels themselves."""

    def __call__(self, images: Tensor) -> tuple[Tensor, None]:
        return images.flatten(1).float(), None


@pytest.mark.parametrize("space", ["z", "w"])
def test_paths_are_the_same_at_any_count(space: str, runs: Path) -> None:
    trained = trained_of(runs, "stylegan2")

    def lengths(paths: int, batch_size: int) -> Tensor:
        setting = setting_of(trained, paths, batch_size)
        setting.__dict__["extractor"] = Pixels()
        return path_of(setting, trained)(paths, 1e-2, space)

    wanted = lengths(80, 80)
    for count in COUNTS:
        for batch_size in (16, 64):
            assert torch.equal(lengths(count, batch_size), wanted[:count])


def test_a_translators_noise_is_the_same_at_any_count(runs: Path) -> None:
    """The U-Net's dropout stays on."""
    trained = trained_of(runs, "pix2pix")

    def outputs(count: int, batch_size: int) -> Tensor:
        setting = setting_of(trained, count, batch_size)
        setting.how = Plan(count, "all", 4, batch_size)
        evidence, _ = translated(setting, trained)
        return evidence[""].fakes

    wanted = outputs(10, 10)
    for count, batch_size in [(1, 3), (5, 3), (10, 3), (7, 16)]:
        assert torch.equal(outputs(count, batch_size), wanted[:count])


def test_blocks_are_filled_up_and_cut() -> None:
    seen: list[tuple[int, int]] = []

    def make(a: Tensor, b: Tensor | None) -> Tensor:
        assert b is None
        seen.append((len(a), int(a[-1, 0])))
        return a * 2

    rows = torch.arange(5.0)[:, None]
    parts = list(in_blocks(make, rows, None, size=3))
    assert [part.flatten().tolist() for part in parts] == [[0, 2, 4], [6, 8]]
    assert seen == [(3, 2), (3, 4)], "the last row stands for those that lack"
    assert list(in_blocks(make, rows[:0], None, size=3)) == []
