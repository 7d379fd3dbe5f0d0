"""What a run leaves and says at its end, and what it says when it goes on from there."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import QUICK, TINY, compose_checked
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from gan_cli.game.update import Updater
from gan_cli.run.closing import rounded
from gan_cli.run.jobs import SaveCheckpoint, speed
from gan_cli.run.train import train

SHORT = [*("model=toy", *TINY["toy"], *QUICK, "trainer.device=cpu"), "trainer.log_every_images=100"]


def config_of(images: int, *overrides: str) -> dict[str, Any]:
    config = copy.deepcopy(compose_checked(*SHORT, *overrides))
    config["trainer"]["total_images"] = images
    return config


def lines_of(run: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (run / "scalars.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "images_per_second"} for line in lines]


def points_of(run: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard shows of the losses."""
    read = EventAccumulator(str(run)).Reload()
    tags = [tag for tag in read.Tags()["scalars"] if tag.startswith("loss/")]
    return {tag: [(event.step, event.value) for event in read.Scalars(tag)] for tag in tags}


def agree(run: Path) -> None:
    lines, points = lines_of(run), points_of(run)
    assert points
    for tag, found in points.items():
        expected = [(line["images"], line[tag]) for line in lines]
        assert [step for step, _ in found] == [step for step, _ in expected]
        assert [value for _, value in found] == pytest.approx([value for _, value in expected], rel=1e-6)


def test_a_run_shorter_than_a_log_interval_leaves_its_curves(tmp_path: Path) -> None:
    train(config_of(40), tmp_path / "run")
    assert [line["images"] for line in lines_of(tmp_path / "run")] == [40]
    agree(tmp_path / "run")


def test_what_was_said_of_a_cut_interval_is_said_of_the_whole_by_a_longer_run(tmp_path: Path) -> None:
    """Twice, then killed over it: each time the curves are those of a run that was long from the start."""
    train(config_of(240), tmp_path / "whole")
    assert [line["images"] for line in lines_of(tmp_path / "whole")] == [104, 200, 240]
    for images in (40, 160, 160, 240):
        train(config_of(images), tmp_path / "run")
        agree(tmp_path / "run")
    assert lines_of(tmp_path / "run") == lines_of(tmp_path / "whole")
    assert points_of(tmp_path / "run") == points_of(tmp_path / "whole")


def test_an_end_at_a_log_point_says_nothing_twice(tmp_path: Path) -> None:
    train(config_of(104), tmp_path / "run")
    assert [line["images"] for line in lines_of(tmp_path / "run")] == [104]
    train(config_of(128), tmp_path / "run")
    assert [line["images"] for line in lines_of(tmp_path / "run")] == [104, 128]
    agree(tmp_path / "run")


def test_no_log_points_at_all_where_none_are_wanted(tmp_path: Path) -> None:
    train(config_of(40, "trainer.log_every_images=0"), tmp_path / "run")
    assert not (tmp_path / "run" / "scalars.jsonl").exists()


def test_the_next_step_is_one_beyond_what_was_seen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Five critic updates of 64 see 320 images where 128 were asked for."""
    config = config_of(128, "loss=wgan_gp", "trainer.batch_size=64", "trainer.log_every_images=0")
    assert train(config, tmp_path / "run")["images"] == 320
    (proposed,) = re.findall(r"resume=\S+ trainer\.total_images=(\d+)", capsys.readouterr().out)
    assert int(proposed) == 640


@pytest.mark.parametrize(
    ("images", "proposed"), [(1, 1), (64, 64), (200_064, 200_000), (2_876, 2_900), (9_990, 10_000)]
)
def test_a_proposed_number_is_one_that_a_person_would_type(images: int, proposed: int) -> None:
    assert rounded(images) == proposed


@pytest.mark.parametrize(
    ("rate", "told"),
    [
        (1538.6, "1,539 images/s"),
        (12.4, "12 images/s"),
        (9.96, "10 images/s"),
        (2.44, "2.4 images/s"),
        (0.4, "0.4 images/s"),
        (0.04, "25 s/image"),
    ],
)
def test_a_slow_model_has_a_speed_too(rate: float, told: str) -> None:
    assert speed(rate) == told


FALLEN = [f"optimizer.schedule.{key}" for key in ("kind=linear", "end_images=32")]


def test_a_run_whose_rate_has_fallen_to_0_proposes_no_more_and_warns_of_more(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    train(config_of(40, *FALLEN), run)
    said = capsys.readouterr().out
    assert "resume=" not in said
    assert "warning" not in said
    train(config_of(56, *FALLEN), run)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("warning")]
    assert "the learning rate fell to 0 before these 40 images" in line
    assert f"gan-train init_from={run} optimizer.schedule.kind=constant" in line


def test_a_run_that_still_learns_is_not_warned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for images in (16, 40):
        train(config_of(images, *FALLEN, "optimizer.schedule.warmup_images=8"), tmp_path / "run")
    assert "warning" not in capsys.readouterr().out


def test_the_last_speed_is_that_of_training_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step takes a second by this clock, and the checkpoint of the end a hundred."""
    clock = [0.0]
    real_update, real_finish = Updater.__call__, SaveCheckpoint.finish

    def update(self: Updater, phase: Any, *more: Any, **options: Any) -> None:
        clock[0] += 0.5  # of both players
        real_update(self, phase, *more, **options)

    def finish(self: SaveCheckpoint) -> None:
        clock[0] += 100
        real_finish(self)

    monkeypatch.setattr("gan_cli.run.jobs.time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(Updater, "__call__", update)
    monkeypatch.setattr(SaveCheckpoint, "finish", finish)
    config = compose_checked("model=gan", *TINY["gan"], *QUICK, "trainer.total_images=24")
    train(config, tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run" / "scalars.jsonl").read_text().splitlines()]
    assert [(line["images"], line["images_per_second"]) for line in lines] == [(16, 8.0), (24, 8.0)]
    train(config, tmp_path / "run")
    again = [json.loads(line) for line in (tmp_path / "run" / "scalars.jsonl").read_text().splitlines()]
    assert [line["images"] for line in again][-1] == 24
    assert again[-1].get("images_per_second") in (8.0, None), "nothing was trained: no speed"
