"""A run that was cut and goes on is, bit for bit, the run that was never cut."""

from __future__ import annotations

import copy
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import QUICK, TINY, compose_checked, same
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from gan_cli.base import checkpoint
from gan_cli.base.errors import Interrupted, UserError
from gan_cli.game.update import Updater
from gan_cli.run.train import train

CUT, WHOLE = 750, 1500  # images; an epoch of digits (1,438) ends inside a batch of the second half


def cadences(images: int = WHOLE) -> list[str]:
    """Such that don't divide the cut: sums between two log points are carried over."""
    part = WHOLE // images
    return [
        f"trainer.batch_size={50 // part}",
        f"trainer.log_every_images={400 // part}",
        f"trainer.sample_every_images={300 // part}",
        "trainer.checkpoint_every_images=0",
    ]


def schedule(images: int) -> list[str]:
    """One with a span of its own: making the run longer must not stretch it."""
    spans = {"start_images": 200, "end_images": 1300, "warmup_images": 400}
    keys = ["kind=cosine", "final_factor=0.1", *(f"{key}={value * images // WHOLE}" for key, value in spans.items())]
    return [f"optimizer.schedule.{key}" for key in keys]


GAMES = {
    "dcgan-nonsaturating": ["model=dcgan", "loss=nonsaturating"],
    "dcgan-wgan_gp": ["model=dcgan", "loss=wgan_gp"],
    "cdcgan-hinge-r1": ["model=cdcgan", "loss=hinge", "penalty=r1", "penalty.r1.every=4"],
    "pix2pix-nonsaturating": ["model=pix2pix", "loss=nonsaturating"],
    "cyclegan-lsgan": ["model=cyclegan", "loss=lsgan", "model.pool_size=20"],
    "srgan-nonsaturating": ["model=srgan", "loss=nonsaturating"],
}
# what a game's first half does not reach, so that both stages, and the change between them, are cut
STAGES = {"srgan": ["model.pretrain_images=170"]}


def length(game: str) -> int:
    """The images of a whole run: games on pictures take as many steps, with a fifth of the batch."""
    return WHOLE // 5 if game.split("-")[0] in ("pix2pix", "cyclegan", "srgan") else WHOLE


def config_of(game: str, *overrides: str) -> dict[str, Any]:
    model = game.split("-")[0]
    fixed = ["dataset.flip=true", "trainer.device=cpu", "seed=3", *STAGES.get(model, [])]
    fixed += {"dcgan": ["dataset.crop_padding=1"], "cdcgan": ["dataset.crop_padding=1"]}.get(model, [])
    fixed += ["dataset.load_resolution=36"] if model in ("pix2pix", "cyclegan") else []
    return compose_checked(
        *GAMES[game], *TINY[model], *QUICK, *cadences(length(game)), *schedule(length(game)), *fixed, *overrides
    )


def until(config: dict[str, Any], images: int, **trainer: Any) -> dict[str, Any]:
    changed = copy.deepcopy(config)
    changed["trainer"].update(total_images=images, **trainer)
    return changed


def same_runs(one: Path, other: Path, images: int = WHOLE) -> None:
    """The final checkpoints and the curves of two runs."""
    left, right = checkpoint.load(one, print)[1], checkpoint.load(other, print)[1]
    assert left["progress"]["images"] == images
    for key in ("game", "ema", "optimizers", "scaler", "progress", "meter", "data"):
        same(left[key], right[key], key)
    assert left["meter"]
    assert curves(one, images // 2) == curves(other, images // 2)
    logged = [line["images"] for line in curves(one) if "held_out/psnr" not in line]
    assert logged == sorted(set(logged))


def curves(run: Path, cut: int = CUT) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (run / "scalars.jsonl").read_text().splitlines()]
    lines = [line for line in lines if not ("held_out/psnr" in line and line["images"] == cut)]  # of the grid at an end
    return [{key: value for key, value in line.items() if key != "images_per_second"} for line in lines]


def signal_at(images: int, monkeypatch: pytest.MonkeyPatch, number: signal.Signals = signal.SIGTERM) -> None:
    """Send this process a signal in the middle of the update that crosses `images`."""
    original, sent = Updater.__call__, []

    def update(self: Updater, phase: Any, batch: Any, state: Any, keep: bool = False) -> None:
        if state.images >= images and not sent:
            sent.append(number)
            os.kill(os.getpid(), number)
        original(self, phase, batch, state, keep)

    monkeypatch.setattr(Updater, "__call__", update)


# a game of each kind is tried at once, the others with the slow tests
SLOW = ("dcgan-nonsaturating", "pix2pix-nonsaturating", "cdcgan-hinge-r1")


@pytest.fixture(
    scope="module", params=[pytest.param(game, marks=pytest.mark.slow if game in SLOW else ()) for game in GAMES]
)
def uncut(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A game, and the folder of its run that was never cut."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("uncut")
    train(until(config_of(request.param), length(request.param)), folder)
    torch.set_num_threads(threads)
    return request.param, folder


def test_a_run_made_longer_equals_one_that_was_long_from_the_start(uncut: tuple[str, Path], tmp_path: Path) -> None:
    game, whole = uncut
    images = length(game)
    cut = images // 2
    config = config_of(game)
    train(until(config, cut), tmp_path / "run")
    content = checkpoint.load(tmp_path / "run", print)[1]
    assert content["progress"]["images"] == cut
    assert content["meter"], "the cut lies between two log points, so the meter holds sums"
    train(until(config, images), tmp_path / "run")
    same_runs(whole, tmp_path / "run", images)


def test_a_run_stopped_by_a_signal_and_resumed_equals_one_that_was_not(
    uncut: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    game, whole = uncut
    images = length(game)
    cut = images // 2
    config = config_of(game)
    with monkeypatch.context() as patched:
        signal_at(cut - images // 15, patched)
        with pytest.raises(Interrupted, match="checkpoint written") as stopped:
            train(until(config, images), tmp_path / "run")
    assert stopped.value.exit_code == 143
    at = checkpoint.load(tmp_path / "run", print)[1]["progress"]["images"]
    assert cut - images // 15 <= at < cut + images // 6, "it stopped after the step in which the signal came"
    train(until(config, images), tmp_path / "run")
    same_runs(whole, tmp_path / "run", images)


@pytest.mark.slow
def test_a_run_that_crashed_and_lost_images_goes_on_from_its_checkpoint_to_the_same_end(
    uncut: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    game, whole = uncut
    images = length(game)
    cut = images // 2
    run = tmp_path / "run"
    crash_at(images * 5 // 6, until(config_of(game), images, checkpoint_every_images=cut), run, monkeypatch)
    assert max(line["images"] for line in curves(run)) > cut, "curves went on beyond the checkpoint"
    assert checkpoint.load(run, print)[1]["progress"]["images"] == cut
    train(until(config_of(game), images), run)
    same_runs(whole, run, images)


def crash_at(images: int, config: dict[str, Any], run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Train until an update beyond `images` raises, as a killed process ends: nothing is written any more."""
    original = Updater.__call__

    def update(self: Updater, phase: Any, batch: Any, state: Any, keep: bool = False) -> None:
        if state.images > images:
            raise OSError("crashed for the test")
        original(self, phase, batch, state, keep)

    with monkeypatch.context() as patched:
        patched.setattr(Updater, "__call__", update)
        with pytest.raises(OSError, match="crashed for the test"):
            train(config, run)


def test_curves_in_tensorboard_have_no_gap_and_no_point_twice_after_stops_and_a_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, run = config_of("dcgan-nonsaturating", "trainer.log_every_images=100"), tmp_path / "run"
    with monkeypatch.context() as patched:
        signal_at(400, patched)
        with pytest.raises(Interrupted):
            train(until(config, WHOLE), run)
    next_second()
    crash_at(1250, until(config, WHOLE, checkpoint_every_images=CUT), run, monkeypatch)
    next_second()
    train(until(config, WHOLE), run)
    expected = list(range(100, WHOLE + 1, 100))
    lines = curves(run)
    assert [line["images"] for line in lines] == expected
    read = EventAccumulator(str(run), size_guidance={"scalars": 0, "images": 0})
    read.Reload()
    tags = {key for key in lines[0] if key != "images"} | {"images_per_second"}
    assert set(read.Tags()["scalars"]) >= tags
    for tag in tags:
        events = read.Scalars(tag)
        assert [event.step for event in events] == expected, tag
        if tag != "images_per_second":
            assert [event.value for event in events] == pytest.approx([line[tag] for line in lines], rel=1e-6), tag
    grids = [event.step for event in read.Images("samples")]
    assert grids == sorted(set(grids))
    assert grids[-1] == WHOLE
    assert {300, 600, 900, 1200} <= set(grids)


def next_second() -> None:
    """Event files are read in the order of their names, which know whole seconds only."""
    time.sleep(1.01 - time.time() % 1)


def test_a_torn_last_line_of_the_curves_is_taken_back(tmp_path: Path) -> None:
    config, run = config_of("dcgan-nonsaturating"), tmp_path / "run"
    train(until(config, CUT), run)
    with open(run / "scalars.jsonl", "a") as file:
        file.write('{"images": 740, "loss/gen')
    with pytest.raises(ValueError, match="Unterminated"):
        curves(run)
    train(until(config, 1000), run)
    assert [line["images"] for line in curves(run)] == [400, 800, 1000]


def test_a_damaged_newest_checkpoint_costs_images_but_not_equality(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, whole, run = config_of("dcgan-nonsaturating"), tmp_path / "whole", tmp_path / "run"
    train(until(config, WHOLE), whole)
    train(until(config, 1000, checkpoint_every_images=500), run)
    newest = checkpoint.listed(run)[0]
    assert newest.name == "images-000001000.pt"
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(bytes(content))
    capsys.readouterr()
    train(until(config, WHOLE), run)
    said = capsys.readouterr().out
    assert "images-000001000.pt is damaged" in said
    assert "images-000000500.pt instead" in said
    same_runs(whole, run)


@pytest.mark.parametrize(
    "more",
    [
        ["trainer.precision=bfloat16"],
        ["optimizer=rmsprop", "optimizer.momentum=0.3"],
        ["trainer.accumulate=2"],
        ["trainer.ema_halflife_images=0"],
    ],
    ids=["bfloat16", "rmsprop", "accumulate", "no_ema"],
)
def test_resume_is_exact_under_other_settings(more: list[str], tmp_path: Path) -> None:
    config = config_of("dcgan-nonsaturating", *more)
    train(until(config, WHOLE), tmp_path / "whole")
    train(until(config, CUT), tmp_path / "run")
    train(until(config, WHOLE), tmp_path / "run")
    same_runs(tmp_path / "whole", tmp_path / "run")


def test_resume_is_exact_with_dropout(tmp_path: Path) -> None:
    config = compose_checked("model=gan_maxout", *TINY["gan_maxout"], *QUICK, *cadences(), "trainer.device=cpu")
    train(until(config, WHOLE), tmp_path / "whole")
    train(until(config, CUT), tmp_path / "run")
    train(until(config, WHOLE), tmp_path / "run")
    same_runs(tmp_path / "whole", tmp_path / "run")


def test_cadences_may_change_on_resume_without_changing_what_is_learned(tmp_path: Path) -> None:
    config = config_of("dcgan-nonsaturating")
    train(until(config, WHOLE), tmp_path / "whole")
    train(until(config, CUT), tmp_path / "run")
    changed = until(config, WHOLE, sample_every_images=100, checkpoint_every_images=150, preview_samples=3)
    train(changed, tmp_path / "run")
    one, other = (checkpoint.load(tmp_path / name, print)[1] for name in ("whole", "run"))
    for key in ("game", "ema", "optimizers", "progress"):
        same(one[key], other[key], key)


def test_another_seed_is_another_run(tmp_path: Path) -> None:
    """The equality above is not one of runs that don't depend on anything."""
    for seed in (3, 4):
        train(until(config_of("dcgan-nonsaturating", f"seed={seed}"), 200), tmp_path / str(seed))
    one, other = (checkpoint.load(tmp_path / name, print)[1] for name in ("3", "4"))
    assert not torch.equal(one["game"]["generator.layers.0.weight"], other["game"]["generator.layers.0.weight"])


@pytest.mark.parametrize("change", ["dataset.split=all", "dataset.split=test", "dataset.resolution=32"])
def test_a_changed_data_set_is_refused(change: str, tmp_path: Path) -> None:
    config = config_of("cdcgan-hinge-r1")
    train(until(config, 100), tmp_path / "run")
    before = checkpoint.listed(tmp_path / "run")[0].read_bytes()
    changed = copy.deepcopy(until(config, 200))
    key, value = change.removeprefix("dataset.").split("=")
    changed["dataset"][key] = int(value) if value.isdigit() else value
    with pytest.raises(UserError, match=r"data set has changed since the checkpoint \(1,438 samples then"):
        train(changed, tmp_path / "run")
    assert [path.read_bytes() for path in checkpoint.listed(tmp_path / "run")] == [before]
