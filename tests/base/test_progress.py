"""No minute of silence: what is going on, how far, and how long about; a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import gc
import io
import re
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy
import pytest
import torch
from conftest import QUICK, TINY, compose_checked
from forked import unhurried
from PIL import Image

from gan_cli.base import progress, threads
from gan_cli.base.progress import Progress, counted, duration
from gan_cli.base.run_config import RunConfig
from gan_cli.cli.sentences import exit_code_of
from gan_cli.data.folder import scan
from gan_cli.data.images import Decoder
from gan_cli.data.sets import store_of
from gan_cli.evaluation.evaluator import Evaluator
from gan_cli.evaluation.folders import folder_scores
from gan_cli.evaluation.setting import Plan
from gan_cli.metrics import classifier
from gan_cli.run import estimate
from gan_cli.run.train import train
from gan_cli.use import sample
from gan_cli.use.load import load_trained, take_standing_statistics

CPU = torch.device("cpu")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def until(holds: Callable[[], bool]) -> None:
    """Wait for another thread; a machine that is busy may take its time."""
    end = time.monotonic() + 20
    while not holds() and time.monotonic() < end:
        time.sleep(0.005)
    assert holds()


def test_off_a_terminal_lines_come_every_so_often(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0.01)
    said = ""

    def grown(times: int) -> bool:
        nonlocal said
        said += capsys.readouterr().err
        return said.count("\n") >= times

    with Progress("counting\x1b sheep", 1_400, "sheep") as step:
        step(500)
        until(lambda: grown(2))
    lines = said.splitlines()
    assert re.fullmatch(r"  counting\\x1b sheep   500 of 1,400 sheep   \d+s, \d+s left", lines[0])
    assert len(lines) >= 2
    assert "\r" not in said
    assert capsys.readouterr().out == "", "what another program reads stays clean"


def test_what_is_left_is_worked_out_from_what_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """500 of 1,400 in 100 s: 180 s more."""
    monkeypatch.setattr(progress.time, "monotonic", lambda: 1_100.0)
    step = Progress("training", 1_400, "steps")
    step.begun = 1_000.0
    assert step.line() == "training   0 of 1,400 steps   1m40s"
    step(500)
    assert step.line() == "training   500 of 1,400 steps   1m40s, 3m00s left"
    files = Progress("finding", unit="files")
    files.begun = 1_000.0
    files(1_234)
    assert files.line() == "finding   1,234 files   1m40s"
    alone = Progress("loading", about="a minute")
    alone.begun = 1_000.0
    assert alone.line() == "loading   1m40s, a minute"


def test_what_is_done_soon_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(counted(range(3), "counting", 3)) == [0, 1, 2]
    assert capsys.readouterr() == ("", "")
    assert [thread for thread in threading.enumerate() if "_watch" in thread.name] == []


def test_on_a_terminal_there_is_a_bar_that_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(progress, "BAR_AFTER_S", 0.01)
    monkeypatch.setattr(progress, "BAR_EVERY_S", 0.01)
    with Progress("counting", 4, "sheep") as step:
        step(3)
        until(lambda: "3/4" in terminal.getvalue())
    assert "counting: " in terminal.getvalue()
    assert "\n" not in terminal.getvalue()
    assert terminal.getvalue().rsplit("\r", 2)[-2].strip() == "", "wiped at the end"


def test_what_may_not_be_able_to_speak_later_speaks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with Progress("loading torch", about="a while", at_once=True):
        assert "loading torch, a while" in terminal.getvalue()
    monkeypatch.delitem(sys.modules, "torch")
    assert progress.loading_torch().at_once
    monkeypatch.setitem(sys.modules, "torch", torch)
    assert not progress.loading_torch().at_once, "it is there: nothing flickers"


def test_the_tests_know_lines_of_progress_from_others() -> None:
    """A busy machine adds them to what a command says, and a test of a command's words leaves them out."""
    lines = []
    for what, total, done, about in (
        ("loading torch", None, 0, "slow"),
        ("making samples", 9, 3, ""),
        ("x", None, 2, ""),
    ):
        step = Progress(what, total, "samples", about)
        step.begun, step.done = time.monotonic() - 75, done
        lines.append(f"  {step.line()}\n")
    kept = "error: it is 12s late\n  6,528 of 100,000 images   1,304 images/s\n"
    assert unhurried(lines[0] + kept + lines[1] + lines[2]) == kept


def test_garbage_is_collected_seldom_until_torch_is_loaded() -> None:
    usual = gc.get_threshold()
    try:
        threads.begin()
        assert gc.get_threshold()[0] > 10 * usual[0]
        with progress.loading_torch():
            assert gc.get_threshold()[0] > 10 * usual[0], "importing makes little garbage too"
        assert gc.get_threshold() == usual
        threads.begin()
        assert exit_code_of(lambda: 3, list) == 3
        assert gc.get_threshold() == usual, "a caller in the same process has what it had"
    finally:
        gc.set_threshold(*usual)


def test_one_of_several_processes_speaks(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0.01)
    monkeypatch.setenv("RANK", "1")
    with Progress("counting") as step:
        assert not step.thread.is_alive()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("gone", [None, "closed"])
def test_a_closed_terminal_ends_nothing(gone: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0.01)
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed if gone else None)
    with Progress("counting") as step:
        waits: list[float] = []
        original = step.ended.wait
        step.ended.wait = lambda pause: waits.append(pause) or original(pause)  # type: ignore[method-assign]
        until(lambda: len(waits) >= 3)
        assert step.thread.is_alive()


def test_an_error_inside_comes_out_and_the_thread_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyError), Progress("counting") as step:  # noqa: PT012
        assert step.thread.is_alive()
        raise KeyError
    assert not step.thread.is_alive()
    items = counted(range(3), "counting", 3)
    next(items)
    items.close()
    assert not any("Progress" in repr(thread) for thread in threading.enumerate())


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0s"), (59.6, "1m00s"), (3_599.4, "59m59s"), (7_260.0, "2h01m")])
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


# ---- where it is used: what each says that it does, and that it counted to the end ----


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[int, int | None]]:
    """What was said to be done: how much was counted, of how much."""
    told: dict[str, tuple[int, int | None]] = {}
    original = Progress.__exit__

    def ended(self: Progress, *failure: object) -> None:
        told[self.what] = (self.done, self.total)
        original(self, *failure)

    monkeypatch.setattr(Progress, "__exit__", ended)
    return told


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(5):
        Image.fromarray(numpy.full((16, 16, 3), 40 * number, dtype=numpy.uint8)).save(folder / f"{number}.png")
    return folder


Said = dict[str, tuple[int, int | None]]


def test_a_big_folder_is_looked_at_in_the_open(said: Said, pictures: Path) -> None:
    scan(pictures)
    assert said == {
        f"finding the pictures of {pictures}": (5, None),
        f"comparing the pictures of {pictures} with what is known": (5, 5),
        f"looking at the pictures of {pictures}, once": (5, 5),
    }
    said.clear()
    scan(pictures)
    assert f"looking at the pictures of {pictures}, once" not in said


def test_pictures_are_read_into_memory_in_the_open(said: Said, pictures: Path) -> None:
    store_of(sorted(pictures.iterdir()), Decoder(8, 3), 100, 2)
    assert said == {"reading the pictures into memory": (5, 5)}


def test_the_classifier_of_an_evaluation_is_trained_in_the_open(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifier, "LEAST_STEPS", 3)
    monkeypatch.setattr(classifier, "EPOCHS", 0)
    pixels, labels = torch.zeros(20, 1, 8, 8, dtype=torch.uint8), torch.arange(20) % 2
    made = classifier.trained_classifier(pixels, labels, 2)
    classifier.accuracy(made, pixels, labels)
    assert said == {
        "training a classifier on the data's labels, once": (3, 3),
        "trying the classifier on held-out pictures": (1, 1),
    }


def test_scores_are_made_in_the_open(said: Said, tmp_path: Path) -> None:
    dcgan = compose_checked(*("model=dcgan", "dataset=digits", *TINY["dcgan"], *QUICK, "trainer.total_images=8"))
    metric = {"ms_ssim": {"_target_": "gan_cli.metrics.ms_ssim.MultiScaleSSIM", **PROVIDES}}
    train(dcgan, tmp_path / "run")
    trained = load_trained(tmp_path / "run", device="cpu")
    said.clear()
    Evaluator(RunConfig.of(dcgan).data, metric, None, Plan(20, batch_size=8)).scores(trained)
    assert said["making samples to judge"] == (20, 20)
    assert said["reading real pictures"] == (20, 20)
    assert "computing ms_ssim" in said
    said.clear()
    assert [len(batch) for batch in sample.draw_with_progress(trained, trained.given(6, 0), 4)] == [4, 2]
    assert said == {"making samples": (6, 6)}
    said.clear()
    take_standing_statistics(trained, 2)
    assert said == {"measuring batch norms anew": (2, 2)}


PROVIDES = {"requires": {}, "provides": {"scores": {"ms_ssim": "lower", "ms_ssim_real": None}}}


def test_folders_are_compared_in_the_open(said: Said, pictures: Path, tmp_path: Path) -> None:
    metric = {"ms_ssim": {"_target_": "gan_cli.metrics.ms_ssim.MultiScaleSSIM", **PROVIDES}}
    folder_scores(pictures, pictures, metric, None, Plan(5), CPU)
    assert said[f"looking at {pictures}"] == said[f"fingerprint of {pictures}"] == (5, 5)


def test_a_dry_run_measures_in_the_open(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate.Rehearsal, "seconds", lambda self, images, kind: 1.0)
    monkeypatch.setattr(estimate.Rehearsal, "grid_seconds", lambda self: 7.0)
    estimate.estimate(RunConfig.of(compose_checked("model=dcgan", *TINY["dcgan"], *QUICK, "trainer.device=cpu")))
    assert said["measuring each kind of step"] == (1, 1)
