"""A picture that breaks or goes away: one sentence that names it, and nothing that was learned is lost."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import wait
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from conftest import QUICK, TINY, compose_checked
from PIL import Image

from gan_cli.base import checkpoint, distributed
from gan_cli.base.allow_list import make_importable
from gan_cli.base.errors import PictureError, RunError, UserError
from gan_cli.base.scoring import read_scores
from gan_cli.base.stored import read_record
from gan_cli.base.types import Batch
from gan_cli.cli import outcome
from gan_cli.cli.train import cell
from gan_cli.data.order import Batches
from gan_cli.evaluation.evaluator import Evaluator
from gan_cli.evaluation.folders import folder_scores
from gan_cli.evaluation.setting import Plan
from gan_cli.run.failures import explain
from gan_cli.run.launch import launch
from gan_cli.run.train import train

COUNT = 40


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder, rng = tmp_path / "pictures", numpy.random.default_rng(0)
    folder.mkdir()
    for number in range(COUNT):
        Image.fromarray(rng.integers(0, 256, (16, 16), dtype=numpy.uint8)).save(folder / f"{number:02}.png")
    return folder


def options(root: Path, *more: str) -> list[str]:
    return [
        *("model=dcgan", *TINY["dcgan"], *QUICK, "dataset=image_folder", f"dataset.root={root}"),
        *("dataset.resolution=16", "dataset.memory_limit_mb=0", "dataset.workers=1", "trainer.total_images=96", *more),
    ]


def delete(file: Path) -> None:
    file.unlink()


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-40])


def replace(file: Path) -> None:
    file.unlink()
    file.mkdir()


def breaking(monkeypatch: pytest.MonkeyPatch, root: Path, harm: Callable[[Path], None], first: int) -> None:
    """Harm every file before the batch that begins with image `first` is fetched, what is decoded ahead being there."""
    real, done = Batches.at, []

    def at(self: Batches, start: int, total: int) -> Batch:
        if start >= first and not done:
            wait(self.data.store.ahead.values())  # type: ignore[attr-defined]
            for file in sorted(root.iterdir()):
                harm(file)
            done.append(start)
        return real(self, start, total)

    monkeypatch.setattr(Batches, "at", at)


def whole(root: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in root.iterdir()}


def put_back(content: dict[Path, bytes]) -> None:
    """With their old times: the files that a user has back from a copy."""
    for file, data in content.items():
        if file.is_dir():
            file.rmdir()
        file.write_bytes(data)


# ---- in training ----


@pytest.mark.parametrize("harm", [delete, cut, replace])
@pytest.mark.parametrize("loss", [[], ["loss=wgan_gp"]], ids=["one draw a step", "five draws a step"])
def test_a_run_keeps_what_it_learned_and_goes_on_as_if_nothing_had_been(
    harm: Callable[[Path], None], loss: list[str], root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of a step nothing is lost or taken twice: the end is that of a run that was never cut."""
    config, content = compose_checked(*options(root, *loss)), whole(root)
    train(config, tmp_path / "straight")
    with monkeypatch.context() as patched:
        breaking(patched, root, harm, 40)
        with pytest.raises(RunError) as caught:
            launch(config, tmp_path / "cut")
    (file,) = (tmp_path / "cut" / "checkpoints").glob("*.pt")
    images = int(file.stem.split("-")[1])
    assert 0 < images < 96
    told = str(caught.value)
    for words in (str(root), f"stopped at {images} of 96 images, checkpoint written", file.name, "gan-train resume="):
        assert words in told
    assert "yours" not in told
    assert (caught.value.exit_code, isinstance(caught.value, UserError)) == (1, False)
    record = read_record(tmp_path / "cut")
    assert record is not None
    assert (record["status"], record["images"], record["error"]) == ("failed", images, told)
    put_back(content)
    launch(config, tmp_path / "cut")
    one, other = (checkpoint.load(tmp_path / name, print)[1] for name in ("straight", "cut"))
    assert one["progress"] == other["progress"]
    assert all(torch.equal(value, other["game"][name]) for name, value in one["game"].items())


def test_a_disk_that_is_gone_is_told_as_the_system_tells_it(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(file: Path) -> None:
        def open_nothing(path: Path, *args: Any, **more: Any) -> None:
            raise OSError(errno.EIO, "Input/output error", str(path))

        monkeypatch.setattr(Image, "open", open_nothing)

    breaking(monkeypatch, root, gone, 40)
    with pytest.raises(RunError, match=r"\.png' can't be read \(Input/output error\); the run stopped at"):
        launch(compose_checked(*options(root)), tmp_path / "run")


def test_before_the_first_step_there_is_nothing_to_keep(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = compose_checked(*options(root))
    breaking(monkeypatch, root, delete, 0)
    with pytest.raises(RunError, match="nothing was learned yet, there is no checkpoint; put the file back"):
        launch(config, tmp_path / "run")
    assert not list((tmp_path / "run").glob("checkpoints/*"))


def test_a_checkpoint_that_cannot_be_written_then_does_not_hide_the_picture(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: Any) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    breaking(monkeypatch, root, delete, 40)
    monkeypatch.setattr(checkpoint, "save", full)
    with pytest.raises(RunError, match=r"\.png' can't be read .* no checkpoint could be written of that \(.*No space"):
        launch(compose_checked(*options(root)), tmp_path / "run")


def test_pictures_that_go_away_while_a_run_is_built(root: Path, tmp_path: Path) -> None:
    """Between the look at the folder and the decoding into memory."""
    config = compose_checked(*options(root, "dataset.memory_limit_mb=100"))
    from gan_cli.data import sets

    real = sets.scan

    def scan(*args: Any) -> Any:
        found = real(*args)
        (root / "07.png").unlink()
        return found

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sets, "scan", scan)
        with pytest.raises(RunError, match=r"07\.png' can't be read \(No such file .*; no checkpoint was written yet"):
            launch(config, tmp_path / "run")


@pytest.mark.slow
def test_the_command_has_one_line_to_say_and_exit_code_1(root: Path, tmp_path: Path) -> None:
    """Hydra tells nothing of its own before it."""
    code = (
        "import sys, pathlib\n"
        "from gan_cli.cli.train import main\n"
        "from gan_cli.data.order import Batches\n"
        "real = Batches.at\n"
        "def at(self, first, total):\n"
        "    if first == 40:\n"
        f"        [file.unlink() for file in pathlib.Path({str(root)!r}).glob('*.png')]\n"
        "    return real(self, first, total)\n"
        "Batches.at = at\n"
        "main()\n"
    )
    settings = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code, *options(root), "hydra.run.dir=run"]
    done = subprocess.run(command, cwd=tmp_path, env=settings, capture_output=True, text=True, timeout=240)
    assert done.returncode == 1, done.stderr
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith(f"error: '{root}/")
    assert line.count("gan-train resume=run") == 1


def test_a_sweep_goes_on_after_such_a_cell(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(outcome, "runs", [])
    config = compose_checked(*options(root))
    with monkeypatch.context() as patched:
        breaking(patched, root, delete, 40)
        assert cell(config, tmp_path / "s" / "0", 0, ["seed=0"])["status"] == "failed"
    told = capsys.readouterr().err
    assert told.startswith(f"[1]   failed: '{root}/")
    assert "Traceback" not in told
    digits = compose_checked("model=dcgan", *TINY["dcgan"], *QUICK, "trainer.total_images=8")
    assert cell(digits, tmp_path / "s" / "1", 1, ["seed=1"])["status"] == "finished"


# ---- several processes ----

LOSING = '''
"""A user's own data set, whose files go away on one process alone."""
import os
from gan_cli.base import distributed
from gan_cli.data.sets import Digits


class Losing(Digits):
    def fetch(self, indices, device, noise=None):
        self.fetched = getattr(self, "fetched", 0) + 1
        if distributed.rank() == 1 and self.fetched > 3:
            raise FileNotFoundError(2, "No such file or directory", "/mnt/gone/7.npy")
        return super().fetch(indices, device, noise)
'''


@pytest.mark.slow
def test_several_processes_end_with_the_same_words_and_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "losing.py").write_text(LOSING)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    make_importable(["losing"])
    config = compose_checked(
        *("model=dcgan", *TINY["dcgan"], *QUICK, "trust=[losing]", "dataset._target_=losing.Losing"),
        *("trainer.processes=2", "trainer.device=cpu", "trainer.total_images=96"),
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    with pytest.raises(RunError) as caught:
        launch(config, tmp_path / "run", ["losing"])
    assert str(caught.value).startswith(
        "/mnt/gone/7.npy can't be read (No such file or directory); the run stopped at 24"
    )
    assert (tmp_path / "run" / "checkpoints" / "images-000000024.pt").exists()


def test_one_process_that_cannot_read_stops_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """As process 0 of two sees it, whose neighbour has lost a picture."""

    def gather(faults: list[Exception | None], mine: Exception | None) -> None:
        faults[:] = [mine, PictureError("'b.png' can't be read")]

    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    monkeypatch.setattr(distributed, "any_process", lambda flag: 1)
    monkeypatch.setattr(distributed.dist, "all_gather_object", gather)
    with pytest.raises(PictureError, match=r"^'b\.png' can't be read$"):
        distributed.all_or_none(lambda: 3)
    monkeypatch.setattr(distributed, "any_process", lambda flag: flag)
    assert distributed.all_or_none(lambda: 3) == 3


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (UserError("too few"), UserError("too few")),
        (OSError(errno.ENOSPC, "No space left on device", "/x"), OSError(errno.ENOSPC, "No space left", "/x")),
        (ValueError("of a user's own"), RunError("ValueError: of a user's own")),
    ],
)
def test_what_one_process_meets_alone_ends_all_of_them(
    fault: Exception, told: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On its own as it was, and elsewhere as a failure that every Python can hold; within another only once."""
    sent: list[Exception | None] = []

    def gather(faults: list[Exception | None], mine: Exception | None) -> None:
        sent.append(mine)
        faults[:] = [mine, None] if mine is not None else [None, sent[0]]

    def fail() -> None:
        raise fault

    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    monkeypatch.setattr(distributed, "any_process", lambda flag: 1)
    monkeypatch.setattr(distributed.dist, "all_gather_object", gather)
    with pytest.raises(type(fault)) as here:
        distributed.all_or_none(lambda: distributed.all_or_none(fail))
    assert here.value is fault
    assert len(sent) == 1
    with pytest.raises(type(told), match=str(told.args[-1])) as there:
        distributed.all_or_none(lambda: 3)
    assert distributed.agreed(here.value)
    assert distributed.agreed(there.value)
    assert not distributed.agreed(OSError(errno.EIO, "Input/output error"))


# ---- scores ----


def test_a_scoring_that_failed_is_made_up_for(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run ends with its checkpoint; gone on, it has the scores of one that was never cut."""
    scored = ["metric=[ms_ssim]", "trainer.evaluate_every_images=32", "trainer.evaluate_count=8"]
    config = compose_checked(*options(root, *scored, "metric.ms_ssim.pairs=2"))
    train(config, tmp_path / "straight")
    real, calls = Evaluator.scores, []

    def scores(self: Evaluator, *args: Any) -> Any:
        calls.append(args)
        if len(calls) == 2:
            raise PictureError(f"'{root}/03.png' can't be read (No such file or directory)")
        return real(self, *args)

    with monkeypatch.context() as patched:
        patched.setattr(Evaluator, "scores", scores)
        with pytest.raises(
            RunError, match=r"03\.png' can't be read .*; the run stopped at 64 of 96 images, checkpoint wr"
        ):
            launch(config, tmp_path / "cut")
    assert [line["images"] for line in read_scores(tmp_path / "cut")] == [32, 32]
    launch(config, tmp_path / "cut")
    one, other = (
        [(line["images"], line["name"], line["value"]) for line in read_scores(tmp_path / name)]
        for name in ("straight", "cut")
    )
    assert one == other
    assert [images for images, *_ in one] == [32, 32, 64, 64, 96, 96]


def test_folders_that_lose_a_file_while_they_are_scored(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = {"ms_ssim": {"_target_": "gan_cli.metrics.ms_ssim.MultiScaleSSIM", "provides": {"scores": {}}}}
    from gan_cli.evaluation import folders

    real = folders.scan

    def scan(*args: Any, **more: Any) -> Any:
        found = real(*args, **more)
        (root / "05.png").unlink(missing_ok=True)
        return found

    monkeypatch.setattr(folders, "scan", scan)
    with pytest.raises(RunError, match=r"05\.png' can't be read \(No such file or directory\)$") as caught:
        folder_scores(root, root, node, None, Plan(), torch.device("cpu"))
    assert caught.value.exit_code == 1


# ---- what else the system refuses ----


@pytest.mark.parametrize(
    ("number", "where", "words"),
    [
        (errno.ENOENT, "elsewhere/a.bin", r"a\.bin can't be used \(No such file or directory\); no checkpoint"),
        (errno.EACCES, "elsewhere/a.bin", r"a\.bin can't be used \(Permission denied\); no checkpoint"),
        (errno.EACCES, "run/run.log", r"run\.log can't be written \(Permission denied\): choose another hydra.run.dir"),
        (errno.ENOENT, "run/run.log", r"run\.log can't be used \(No such file or directory\)"),
        (errno.EIO, None, r"the system refused something to the run \(.*Input/output error\)"),
    ],
)
def test_what_the_system_refuses_is_a_sentence_about_the_right_file(
    number: int, where: str | None, words: str, tmp_path: Path
) -> None:
    name = None if where is None else str(tmp_path / where)
    error = OSError(number, os.strerror(number), name) if name else OSError(number, os.strerror(number))
    told = explain(error, tmp_path / "run")
    assert isinstance(told, RunError)
    with pytest.raises(RunError, match=words):
        raise told
    if where is None or not where.startswith("run"):
        assert "hydra.run.dir" not in str(told)


def test_a_closed_pipe_is_left_to_who_knows_it(tmp_path: Path) -> None:
    error = BrokenPipeError(errno.EPIPE, "Broken pipe")
    assert explain(error, tmp_path) is error
