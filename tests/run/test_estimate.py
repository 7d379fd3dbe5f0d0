"""`gan-train dry_run=true`: sums by hand, and nothing left on disk."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import QUICK, TINY, compose_checked

from gan_cli.base.checkpoint import load
from gan_cli.base.run_config import RunConfig
from gan_cli.cli.dry_run import duration
from gan_cli.run import estimate
from gan_cli.run.train import train

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps of known length: 1 s for each phase that comes always, 3 s for a lazy one, 2 s more with a due penalty."""

    def seconds(self: estimate.Rehearsal, images: int, kind: estimate.Kind) -> float:
        due = [phase for phase in self.session.phases if phase.name in kind.due]
        rare = [
            (phase.name, name)
            for phase in due
            for name, penalty in phase.penalties.items()
            if penalty.every > 1 and not phase.regularizes
        ]
        return sum(3.0 if phase.regularizes else 1.0 for phase in due) + 2.0 * any(pair in kind.due for pair in rare)

    monkeypatch.setattr(estimate.Rehearsal, "seconds", seconds)
    monkeypatch.setattr(estimate.Rehearsal, "grid_seconds", lambda self: 7.0)


def found(*overrides: str) -> estimate.Estimate:
    return estimate.estimate(RunConfig.of(compose_checked(*overrides, *QUICK, "trainer.device=cpu")))


@pytest.mark.parametrize(("length", "steps", "told"), [(0.01, 152, 0.01), (1.0, 5, 1.0), (40.0, 2, 40.0)])
def test_a_long_step_is_measured_once(length: float, steps: int, told: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large model on a CPU takes minutes for a few steps: one warms up, one is measured."""
    config = RunConfig.of(compose_checked("model=dcgan", *TINY["dcgan"], *QUICK, "trainer.device=cpu"))
    rehearsal = estimate.Rehearsal(config, torch.device("cpu"))
    (kind, share), clock, taken = rehearsal.kinds(0)[0], [0.0], []

    def step() -> None:
        taken.append(1)
        clock[0] += length

    monkeypatch.setattr(rehearsal.session, "step", step)
    monkeypatch.setattr(rehearsal.session.meter, "read", lambda: None)
    monkeypatch.setattr(estimate.time, "perf_counter", lambda: clock[0])
    assert rehearsal.seconds(0, kind) == pytest.approx(told)
    assert (share, len(taken)) == (1, pytest.approx(steps, abs=1))


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

    def seconds(self: estimate.Rehearsal, images: int, kind: estimate.Kind) -> float:
        seen.append(len(self.session.batches.at(0, self.session.batches.batch_size)))
        self.session.step()
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


def test_a_rehearsal_takes_the_steps_of_the_run(tmp_path: Path) -> None:
    """One build and one step: eight images of a rehearsal end in the weights of a run of eight."""
    config = compose_checked(
        *("model=stylegan2", *TINY["stylegan2"], *QUICK, "trainer.device=cpu", "trainer.total_images=8")
    )
    rehearsal = estimate.Rehearsal(RunConfig.of(config), torch.device("cpu"))
    kinds = rehearsal.kinds(0)
    assert [(len(kind.due), share) for kind, share in kinds] == [(6, 1 / 16), (2, 3 / 4), (4, 3 / 16)]
    rehearsal.session.step()
    assert train(config, tmp_path / "run")["status"] == "finished"
    weights = load(tmp_path / "run", print)[1]["game"]
    assert all(torch.equal(value, weights[name]) for name, value in rehearsal.session.game.state_dict().items())


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
