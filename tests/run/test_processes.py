"""Several processes train what one would have trained, agree bit for bit, and end together."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import QUICK, TINY, compose_plain
from forked import unhurried

from gan_cli.base import checkpoint, distributed
from gan_cli.base.allow_list import make_importable
from gan_cli.base.errors import RunError, UserError
from gan_cli.base.threads import Threads
from gan_cli.run.launch import follow, lead, leading
from gan_cli.run.train import train

TOLERANCE = 1e-5  # relative and absolute, on weights: sums are added in another order
SPY = '''
"""A user's own package: a game that notes what each process holds, and a generator without batch norm."""
import hashlib, os
from pathlib import Path
import torch
from torch import nn
from gan_cli.base import distributed
from gan_cli.game.gan import GAN


class SpyGAN(GAN):
    def set_progress(self, images):
        digest = hashlib.sha256()
        for value in self.state_dict().values():
            digest.update(value.detach().contiguous().numpy().tobytes())
        rank, folder = distributed.rank(), os.environ.get("SPY_FOLDER")
        if folder:
            with open(Path(folder) / f"rank-{rank}.txt", "a") as file:
                file.write(f"{images} {digest.hexdigest()} {os.getpid()}\\n")
        once = Path(folder or ".") / "died once"
        if os.environ.get("SPY_DIES_AT") == str(images) and rank == 1:
            os._exit(3)
        if os.environ.get("SPY_DIES_ONCE_AT") == str(images) and rank == 1 and not once.exists():
            once.touch()
            os._exit(3)


class Generator(nn.Module):
    def __init__(self, latent_size, channels, resolution, base_channels, max_channels):
        super().__init__()
        self.shape = (channels, resolution, resolution)
        self.layers = nn.Sequential(nn.Linear(latent_size, 16), nn.SiLU(), nn.Linear(16, channels * resolution**2))

    def forward(self, latent, label=None):
        return torch.tanh(self.layers(latent)).view(-1, *self.shape)
'''
GAME = ["trust=[spy]", "model._target_=spy.SpyGAN", "trainer.device=cpu", *QUICK]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the user's package, from which commands are called."""
    (tmp_path / "spy").mkdir()
    (tmp_path / "spy" / "__init__.py").write_text(SPY)
    (tmp_path / "notes").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "spy", raising=False)
    return tmp_path


def started(place: Path, *arguments: str, prefix: tuple[str, ...] = (), **more: str) -> subprocess.Popen[str]:
    (place / "command.py").write_text("from gan_cli.cli.train import main\n\nif __name__ == '__main__':\n    main()\n")
    settings = {**os.environ, "OMP_NUM_THREADS": "1", "SPY_FOLDER": str(place / "notes"), **more}
    command = [sys.executable, *prefix, "command.py", *arguments]
    return subprocess.Popen(command, cwd=place, env=settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str], code: int) -> tuple[str, str]:
    out, err = process.communicate(timeout=200)
    assert process.returncode == code, out + err
    return out, unhurried(err)


def noted(place: Path, rank: int) -> list[list[str]]:
    """What a process noted: images, digest, its own number."""
    return [line.split() for line in (place / "notes" / f"rank-{rank}.txt").read_text().splitlines()]


def assert_ranks_agreed(place: Path, steps: int) -> None:
    """At every step that both began, in every bit of weights and buffers; as two processes, now gone."""
    first, second = noted(place, 0), noted(place, 1)
    count = min(len(first), len(second))
    assert count >= steps
    assert [line[:2] for line in first[:count]] == [line[:2] for line in second[:count]]
    assert len({line[1] for line in first}) > 1, "weights moved"
    numbers = {int(line[2]) for line in first + second}
    assert len(numbers) >= 2
    until = time.monotonic() + 20
    while any(alive(number) for number in numbers):
        assert time.monotonic() < until, "a process outlived the command"
        time.sleep(0.1)


def alive(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True


def runs_below(place: Path) -> list[Path]:
    return sorted(path.parent for path in place.rglob("run.json"))


def assert_near(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Weights, averaged weights and progress of two checkpoints."""
    assert one["progress"] == other["progress"]
    assert list(one["ema"]) == list(other["ema"])
    for left, right in [(one["game"], other["game"]), *((one["ema"][name], other["ema"][name]) for name in one["ema"])]:
        assert list(left) == list(right)
        for name in left:
            torch.testing.assert_close(left[name], right[name], rtol=TOLERANCE, atol=TOLERANCE)


def single(place: Path, folder: str, *overrides: str) -> dict[str, Any]:
    """The final checkpoint of the same game, trained here by one process."""
    config = compose_plain(*overrides)
    make_importable(["spy"])
    train({**config, "trainer": {**config["trainer"], "processes": 1}}, place / folder, ["spy"])
    return checkpoint.load(place / folder, print)[1]


def curves(run: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (run / "scalars.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "images_per_second"} for line in lines]


def test_two_processes_train_what_one_does_in_one_folder_and_one_goes_on_with_it(place: Path) -> None:
    game = [*GAME, "model=gan", *TINY["gan"], "loss=wgan_gp", "trainer.log_every_images=80", "dataset.flip=true"]
    # Adam divides by the gradient's size: a larger eps, or the rounding of gradients near 0 would be compared
    game += ["dataset.crop_padding=1", "optimizer.eps=1e-4"]
    process = started(place, *game, "trainer.processes=2", "trainer.total_images=400")
    out, _ = finish(process, 0)
    assert out.count("done       400 images") == 1
    (run,) = runs_below(place)
    assert json.loads((run / "run.json").read_text())["processes"] == 2
    assert len(list(run.glob("events.out.tfevents.*"))) == 1
    assert_ranks_agreed(place, steps=10)
    assert_near(single(place, "one", *game, "trainer.total_images=400"), checkpoint.load(run, print)[1])
    for here, there in zip(curves(place / "one"), curves(run), strict=True):
        assert here == pytest.approx(there, rel=1e-3, abs=1e-5)
    whole = single(place, "one", *game, "trainer.total_images=800")
    assert_near(whole, single(place, str(run), *game, "trainer.total_images=800"))


@pytest.mark.slow
def test_two_processes_of_cyclegan_keep_one_pool(place: Path) -> None:
    """Each picture of the pool is shown where one process would have shown it."""
    game = ["model=cyclegan", *TINY["cyclegan"], "loss=lsgan", "trainer.device=cpu", *QUICK, "optimizer.eps=1e-4"]
    # three steps: the pool is full in the second; further on, instance norms this narrow amplify rounding a hundredfold
    game += ["model.pool_size=12", "dataset.load_resolution=36", "trainer.total_images=24"]
    process = started(place, *game, "trainer.processes=2")
    finish(process, 0)
    (run,) = runs_below(place)
    both, one = checkpoint.load(run, print)[1], single(place, "one", *game)
    assert_near(one, both)
    pools = [name for name in both["game"] if name.startswith("pool_")]
    assert len(pools) >= 2
    assert any(both["game"][name].abs().sum() > 0 for name in pools)


@pytest.mark.slow
def test_torchrun_trains_a_sweep_of_conv_critics_as_one_process_does(place: Path) -> None:
    """Gradients of a hinge critic with R1, and means over the global batch (relativistic average, DRAGAN)."""
    game = [*GAME, "model=dcgan", *TINY["dcgan"], "model.generator._target_=spy.Generator", "trainer.total_images=80"]
    prefix = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    process = started(place, "-m", *game, "loss=hinge,relativistic_average", "penalty=r1,dragan", prefix=prefix)
    finish(process, 0)
    runs = runs_below(place)
    assert len(runs) == 4
    assert_ranks_agreed(place, steps=40)
    for number, run in enumerate(runs):
        config = json.loads((run / "config.json").read_text())
        assert config["model"]["discriminator"]["norm"] == "none"
        make_importable(["spy"])
        train(config, place / f"one-{number}", ["spy"])
        assert_near(checkpoint.load(place / f"one-{number}", print)[1], checkpoint.load(run, print)[1])


@pytest.mark.slow
def test_torchrun_ends_at_once_where_there_is_nothing_left_to_train(place: Path) -> None:
    game = [*GAME, "model=gan", *TINY["gan"], "trainer.total_images=16", "hydra.run.dir=run"]
    prefix = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    finish(started(place, *game, prefix=prefix), 0)
    out, err = finish(started(place, "resume=run", "trust=[spy]", prefix=prefix), 0)
    assert "is finished (16 images)" in out
    assert "terminate" not in err


LOSING = '''
"""A user's own data set, whose files are gone for one process alone."""
import os
from gan_cli.base import distributed
from gan_cli.data.sets import Digits
from gan_cli.base.errors import PictureError


class Losing(Digits):
    def fetch(self, indices, device, noise=None):
        rank, at = os.environ["LOST_AT"].split()
        self.fetched = getattr(self, "fetched", 0) + 1
        if distributed.rank() == int(rank) and self.fetched > int(at):
            raise PictureError("'/mnt/gone/7.png' can't be read")
        return super().fetch(indices, device, noise)
'''


@pytest.mark.parametrize(
    ("lost", "typed", "words"),
    [
        pytest.param(
            *("0 0", ["-m", "seed=0,1", "hydra.sweep.dir=s"], "can't be read; no checkpoint was written yet"),
            marks=pytest.mark.slow,
            id="cells whose first look at the data fails in process 0 alone",
        ),
        pytest.param(
            *("1 3", ["hydra.run.dir=run"], "can't be read; the run stopped at"),
            marks=pytest.mark.slow,
            id="a run that fails in training",
        ),
    ],
)
def test_under_torchrun_a_failure_is_one_sentence_and_all_processes_end(
    lost: str, typed: list[str], words: str, place: Path
) -> None:
    """No process waits for another, and none but the first has anything to say."""
    (place / "losing.py").write_text(LOSING)
    game = ["trust=[losing]", "dataset._target_=losing.Losing", "model=gan", *TINY["gan"], *QUICK]
    prefix = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    process = started(
        place, *game, "trainer.device=cpu", "trainer.total_images=96", *typed, prefix=prefix, LOST_AT=lost
    )
    _, err = finish(process, 1)
    assert err.count(words) == (2 if "-m" in typed else 1), err
    assert err.count("Traceback") == 1, "that of torch's own program, which tells of process 0 alone"
    assert err.count("exitcode  : 1") == 1, err
    assert "rank      : 0" in err


@pytest.mark.parametrize("fault", ["Connection closed by peer", "other words"])
def test_a_follower_whose_peer_is_gone_ends_without_a_word(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    gloo = f"[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:547] {fault} [127.0.0.1]:2750"
    left: list[bool] = []

    def lost(text: str) -> str:
        raise RuntimeError(gloo)

    monkeypatch.setattr(distributed, "join", lambda: None)
    monkeypatch.setattr(distributed, "leave", lambda: left.append(True))
    monkeypatch.setattr(distributed, "broadcast_text", lost)
    assert follow() == 1
    gloo = "of the user's own"
    with pytest.raises(RuntimeError, match="the user's own"):
        follow()
    assert left == [True, True]


@pytest.mark.parametrize("error", [None, OSError(28, "No space left"), RunError("diverged"), UserError("agreed")])
def test_the_others_are_told_that_it_is_over_where_they_wait_for_it(
    error: Exception | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What process 0 meets alone leaves them in the middle of another exchange: it leaves the group."""
    if isinstance(error, UserError):
        error.agreed = True  # type: ignore[attr-defined]
    seen: list[str] = []

    def trained(*given: Any) -> dict[str, Any]:
        if error is not None:
            raise error
        return {}

    monkeypatch.setattr("gan_cli.run.train.train", trained)
    monkeypatch.setattr(distributed, "_left", [])
    monkeypatch.setattr(distributed, "joined", lambda: not distributed.has_left())
    monkeypatch.setattr(distributed, "join", lambda: None)
    monkeypatch.setattr(distributed, "broadcast_text", lambda text: seen.append("a run" if text else "the end"))
    monkeypatch.setattr(distributed, "leave", lambda: distributed._left.append(True))
    with suppress(Exception), leading():
        lead({"trainer": {"accumulate": 1, "batch_size": 8}}, tmp_path, [], Threads(1))
    assert seen == (["a run"] if isinstance(error, OSError) else ["a run", "the end"])


def test_a_world_is_not_joined_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "_left", [True])
    with pytest.raises(RunError, match="failed in this one alone; start them again"):
        distributed.join()


LEAVING = """
import os
from pathlib import Path

import torch

from gan_cli.base import distributed


def threads():
    return {file.read_text().strip() for file in Path("/proc/self/task").glob("*/comm")}


distributed.join()
weights = torch.nn.Parameter(torch.ones(2))
weights.sum().backward()
distributed.average([weights.grad])
torch.optim.Adam([weights]).step()
during = threads()
distributed.leave()
Path(f"threads-{os.environ['RANK']}").write_text("\\n".join(sorted(during) + ["left"] + sorted(threads())))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs the list of threads that Linux keeps")
def test_no_thread_of_gloo_outlives_the_group(place: Path) -> None:
    (place / "leaving.py").write_text(LEAVING)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "leaving.py"]
    settings = {**os.environ, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, cwd=place, env=settings, capture_output=True, text=True, timeout=200)
    assert ended.returncode == 0, ended.stderr
    for rank in (0, 1):
        during, after = (place / f"threads-{rank}").read_text().split("left")
        assert "gloo" in during
        assert "gloo" not in after


@pytest.mark.parametrize("error", [None, ValueError("lost"), RunError("diverged")])
def test_a_follower_leaves_the_group_however_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception | None
) -> None:
    """Threads of gloo that are still running when Python ends abort the process, now and then."""
    told = [json.dumps([{}, str(tmp_path), [], [1, "", True]]), ""]
    seen: list[str] = []

    def trained(*given: Any) -> None:
        seen.append("train")
        if error is not None:
            raise error

    monkeypatch.setattr("gan_cli.run.train.train", trained)
    monkeypatch.setattr(distributed, "join", lambda: seen.append("join"))
    monkeypatch.setattr(distributed, "broadcast_text", lambda text: told.pop(0))
    monkeypatch.setattr(distributed, "leave", lambda: seen.append("leave"))
    if isinstance(error, ValueError):
        with pytest.raises(ValueError, match="lost"):
            follow()
    else:
        assert follow() == 0
    assert seen == ["join", "train", "leave"]


@pytest.mark.slow
def test_two_processes_with_batch_norm_agree_and_stop_together_on_a_signal(place: Path) -> None:
    game = [*GAME, "model=dcgan", *TINY["dcgan"], "hydra.run.dir=run", "trainer.total_images=100_000_000"]
    process = started(place, *game, "trainer.processes=2")
    until = time.monotonic() + 120
    while not (place / "run" / "scalars.jsonl").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, err = finish(process, 143)
    assert len(err.splitlines()) == 1, err
    assert re.match(
        r"stopped at [\d,]+ of 100,000,000 images, checkpoint written; go on with:  ?gan-train resume=run", err
    )
    assert_ranks_agreed(place, steps=2)
    assert len(noted(place, 0)) == len(noted(place, 1)), "after the same step"
    record = json.loads((place / "run" / "run.json").read_text())
    assert record["status"] == "interrupted"
    assert (
        checkpoint.load(place / "run", print)[1]["progress"]["images"] == record["images"] == 8 * len(noted(place, 0))
    )


@pytest.mark.slow
def test_a_restart_goes_on_from_the_newest_checkpoint_to_the_same_weights(place: Path) -> None:
    game = [*GAME, "model=dcgan", *TINY["dcgan"], "trainer.checkpoint_every_images=16", "trainer.total_images=64"]
    plain = started(place, *game, "trainer.processes=2", "hydra.run.dir=plain")
    finish(plain, 0)
    again = started(
        place, *game, "trainer.processes=2", "trainer.max_restarts=1", "hydra.run.dir=again", SPY_DIES_ONCE_AT="40"
    )
    out, _ = finish(again, 0)
    assert (place / "notes" / "died once").exists()
    assert "images-000000032.pt" in out
    one, two = (checkpoint.load(place / name, print)[1]["game"] for name in ("plain", "again"))
    assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.slow
def test_a_process_that_dies_ends_the_run_with_one_sentence_and_no_orphan(place: Path) -> None:
    game = [*GAME, "model=dcgan", *TINY["dcgan"], "trainer.checkpoint_every_images=16", "hydra.run.dir=run"]
    process = started(place, *game, "trainer.processes=2", "trainer.total_images=100_000_000", SPY_DIES_AT="40")
    _, err = finish(process, 1)
    assert len(err.splitlines()) == 1, err
    assert re.match(r"error: process 1 of the run died \(exit code 3\) and the others were stopped; the last", err)
    assert "images-000000032.pt" in err
    record = json.loads((place / "run" / "run.json").read_text())
    assert record["status"] == "failed"
    assert "process 1" in record["error"]
    assert runs_below(place) == [place / "run"]
    assert_ranks_agreed(place, steps=5)
    assert checkpoint.load(place / "run", print)[1]["progress"]["images"] == 32
