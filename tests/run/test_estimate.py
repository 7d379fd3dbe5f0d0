"""`gan-train dry_run=true`: sums by hand, and nothing left on disk."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import QUICK, TINY, compose_checked, game_of, optimizers_of

from gan_cli.cli.dry_run import duration
from gan_cli.run import estimate
from gan_cli.run.train import train

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps of known length: 1 s for each phase that comes always, 3 s for a lazy one, 2 s more with a due penalty."""
    monkeypatch.setattr(estimate.Rehearsal, "seconds", lambda self, phases, due: len(phases) + 2.0 * due)
    monkeypatch.setattr(estimate.Rehearsal, "lazy_seconds", lambda self, phase: 3.0)
    monkeypatch.setattr(estimate, "jobs_seconds", lambda rehearsal, settings: 7.0)


def found(*overrides: str) -> estimate.Estimate:
    return estimate.estimate(compose_checked(*overrides, *QUICK, "trainer.device=cpu"))


def test_lazy_terms_count_by_how_often_they_come(measured: None) -> None:
    plain = found("model=dcgan", *TINY["dcgan"], "trainer.total_images=4000")
    (stage,) = plain.stages
    assert stage.seconds == pytest.approx(2 / 8 * 1000), "two phases on a batch of 8"
    assert plain.total_seconds == pytest.approx(4 * 250 + 7)
    lazy = found("model=stylegan2", *TINY["stylegan2"], "trainer.total_images=4000")
    assert lazy.stages[0].seconds == pytest.approx((2 + 3 / 16 + 3 / 4) / 8 * 1000)
    inside = found("model=dcgan", *TINY["dcgan"], "penalty=[r1]", "penalty.r1.every=4", "trainer.total_images=4000")
    assert inside.stages[0].seconds == pytest.approx((2 + 2 / 4) / 8 * 1000)
    five = found("loss=wgan_gp", "model=dcgan", *TINY["dcgan"], "trainer.total_images=4000")
    assert five.stages[0].seconds == pytest.approx(2 / 40 * 1000), "a step sees five batches"


def test_one_of_several_processes_takes_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch of 8 in 4 processes: 2 pictures are timed, and 8 are counted."""
    seen: list[int] = []

    def seconds(self: estimate.Rehearsal, phases: list[Any], due: bool) -> float:
        self.take(phases, due)
        seen.append(len(self.batches.at(0, self.share(phases[0].batch_size))))
        return 1.0

    monkeypatch.setattr(estimate.Rehearsal, "seconds", seconds)
    (stage,) = found("model=dcgan", *TINY["dcgan"], "trainer.processes=4", "trainer.total_images=4000").stages
    assert set(seen) == {2}
    assert stage.seconds == pytest.approx(1 / 8 * 1000)


def test_levels_and_stages_are_taken_one_by_one(measured: None) -> None:
    grown = found(
        *("model=progan", *TINY["progan"], "dataset.resolution=16", "model.growth.start=4", "trainer.total_images=500"),
        *("model.growth.fade_images=100", "model.growth.stable_images=50", "model.batch_sizes={4: 16}"),
    )
    assert [(stage.begin, stage.end, stage.batch_size) for stage in grown.stages] == [
        *((0, 50, 16), (50, 150, 8), (150, 200, 8), (200, 300, 8), (300, 500, 8))
    ]
    assert grown.stages[0].seconds == pytest.approx(2 / 16 * 1000)
    assert grown.total_seconds == pytest.approx(0.05 * 125 + 0.45 * 250 + 7)


def test_a_step_of_the_rehearsal_is_a_step_of_the_run(tmp_path: Path) -> None:
    """The same phases, batches and updates; counters stay where they were."""
    config = compose_checked("model=stylegan2", *TINY["stylegan2"], *QUICK, "trainer.device=cpu")
    rehearsal = estimate.Rehearsal(config, estimate.trainer_settings(config), estimate.pick_device("cpu"), ())
    always = [phase for phase in rehearsal.phases if phase.every == 1]
    rehearsal.take(always, due=False)
    assert rehearsal.state.images == 0
    short = {**config, "trainer": {**config["trainer"], "total_images": 8}}
    config["penalty"] = {}
    weights = game_of(config).state_dict()
    assert any(not value.equal(weights[name]) for name, value in rehearsal.gan.state_dict().items() if name in weights)
    assert train(short, tmp_path / "run")["status"] == "finished"
    assert len(game_of(short).phases(optimizers_of(short))) == 4


def test_the_command_prints_and_leaves_nothing(run_command: Run, tmp_path: Path) -> None:
    done = run_command("gan-train", "model=dcgan", *TINY["dcgan"], "dry_run=true", "trainer.total_images=20_000")
    assert done.returncode == 0, done.stderr
    assert "generator        13,400 parameters" in done.stdout
    assert " s for 1,000 images, " in done.stdout
    assert " MiB at most, on cpu" in done.stdout
    assert list(tmp_path.iterdir()) == []
    for arguments, words in [
        (["-m", "seed=0,1", "dry_run=true"], "dry_run=true is for one run"),
        (["dry_run=perhaps"], "dry_run=perhaps does not fit: true or false is wanted"),
        (["dry_run=true", "model=dcgann"], "model=dcgann does not exist"),
    ]:
        refused = run_command("gan-train", *arguments)
        assert (refused.returncode, words in refused.stderr) == (2, True), refused.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("seconds", "text"), [(8.34, "8.3s"), (75, "1m15s"), (3_725, "1h02m"), (360_000, "100h00m")])
def test_durations_read_well(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_total_time_needs_every_stage() -> None:
    stages: list[Any] = [estimate.Stage(0, 1000, ("a",), 8, 2.0), estimate.Stage(1000, 3000, ("a",), 8, 5.0)]
    assert estimate.Estimate({}, stages, 1.0, 0.0, "cpu").total_seconds == pytest.approx(2 + 10 + 1)
