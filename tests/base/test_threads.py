"""How many CPU threads a run takes: what the user said, else what it had, else what other programs leave."""

from __future__ import annotations

import json
import os
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import QUICK, TINY, compose_checked
from omegaconf import OmegaConf

from gan_cli.base import checkpoint, threads
from gan_cli.base.errors import UserError
from gan_cli.base.run_folder import digest_of, update_run
from gan_cli.base.threads import Look, Threads, choose
from gan_cli.cli import cells, command, loading
from gan_cli.cli import train as train_command
from gan_cli.game.update import Updater
from gan_cli.run.launch import follow, launch, lead, threads_of

OURS = (*threads.COUNTS, *threads.WAITING, "OMP_WAIT_POLICY", "KMP_LIBRARY")
DCGAN = ["model=dcgan", "dataset=digits", *TINY["dcgan"], *QUICK]


@pytest.fixture(autouse=True)
def _unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the environment says anything, and no command has begun."""
    for name in OURS:
        monkeypatch.setenv(name, "")  # so that what a command sets is taken back
        monkeypatch.delenv(name)
    monkeypatch.setattr(threads, "_watched", [])


@pytest.fixture
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "cores", lambda: 4)


def free(monkeypatch: pytest.MonkeyPatch, cores: int) -> None:
    """A command that found so many of its cores free."""
    monkeypatch.setattr(threads, "_watched", [Look(0.0, 0.0, 0.0)])
    monkeypatch.setattr(threads, "free_cores", lambda: cores)


@pytest.mark.usefixtures("four_cores")
@pytest.mark.parametrize(
    ("found", "asked", "wanted"),
    [
        (4, {}, Threads(4, "4 of 4 cores free", False)),
        (1, {}, Threads(1, "1 of 4 cores free", False)),
        (0, {}, Threads(1, "0 of 4 cores free", False)),
        (3, {"processes": 2}, Threads(1, "3 of 4 cores free", False)),
        (4, {"processes": 2}, Threads(2, "4 of 4 cores free", False)),
        (4, {"processes": 8}, Threads(1, "4 of 4 cores free", False)),
        (
            0,
            {"workers": 2},
            Threads(2, "4 cores for 2 runs at a time", False),
        ),  # the others of the sweep keep them busy
        (0, {"workers": 2, "processes": 2}, Threads(1, "4 cores for 2 runs at a time", False)),
        (0, {"workers": 3}, Threads(1, "4 cores for 3 runs at a time", False)),
        (1, {"wanted": 7}, Threads(7, "as asked for")),
        (1, {"wanted": 7, "before": 2}, Threads(7, "as asked for")),
        (2, {"before": 2}, Threads(2, "as before")),
        (0, {"before": 2}, Threads(2, "as before; 0 of 4 cores free")),
        (3, {"before": 1}, Threads(1, "as before; 3 of 4 cores free: threads=3 is faster")),
        (3, {"before": 16}, Threads(3, "3 of 4 cores free", False)),  # begun on a larger machine
        (4, {"before": 2, "processes": 4}, Threads(1, "4 of 4 cores free", False)),
    ],
)
def test_what_is_chosen(found: int, asked: dict[str, int], wanted: Threads, monkeypatch: pytest.MonkeyPatch) -> None:
    free(monkeypatch, found)
    assert choose(**asked) == wanted


@pytest.mark.usefixtures("four_cores")
@pytest.mark.parametrize("name", threads.COUNTS)
def test_what_the_environment_says_wins_over_all_but_what_was_typed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    free(monkeypatch, 1)
    monkeypatch.setenv(name, "3")
    assert choose(before=2, workers=2) == choose(processes=2) == Threads(None, name)
    assert choose(5).count == 5


def test_a_notebook_keeps_its_own_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """No command has begun, so nothing was looked at."""
    monkeypatch.setattr(threads, "cores", lambda: 4)
    assert choose() == Threads(None)
    assert choose(processes=2) == Threads(2, "4 cores", False)


def test_how_threads_wait_is_settled_before_torch_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """By every command, when it starts; what it starts inherits it."""
    for begun in (train_command.main, lambda: command.run("sample", print, str)):  # type: ignore[arg-type,return-value]
        for name in OURS:
            monkeypatch.delenv(name, raising=False)
        seen: dict[str, str | None] = {}

        def noted(*_: object, seen: dict[str, str | None] = seen) -> int:
            seen.update({name: os.environ.get(name) for name in OURS})
            return 0

        monkeypatch.setattr(train_command, "exit_code_of", noted)
        monkeypatch.setattr(command, "exit_code_of", noted)
        with pytest.raises(SystemExit):
            begun()
        assert {name: value for name, value in seen.items() if value} == {
            "GOMP_SPINCOUNT": "1000",
            "KMP_BLOCKTIME": "1",
        }
        assert len(threads._watched) == 1


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("OMP_WAIT_POLICY", {"OMP_WAIT_POLICY"}),
        ("GOMP_SPINCOUNT", {"GOMP_SPINCOUNT", "KMP_BLOCKTIME"}),
        ("KMP_BLOCKTIME", {"GOMP_SPINCOUNT", "KMP_BLOCKTIME"}),
        ("KMP_LIBRARY", {"GOMP_SPINCOUNT", "KMP_LIBRARY"}),
    ],
)
def test_what_the_user_says_of_waiting_wins(name: str, kept: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "mine")
    for other in OURS:  # so that all of them are put back
        monkeypatch.setenv(other, os.environ.get(other, ""))
    threads.begin()
    assert os.environ[name] == "mine"
    assert {other for other in OURS if os.environ[other]} == kept


def test_what_others_leave_is_what_is_not_busy_by_us(monkeypatch: pytest.MonkeyPatch) -> None:
    """In two seconds the machine used 6 CPU seconds, 2 of them ours: others have 2 of the 4 cores."""
    monkeypatch.setattr(threads, "allowed", lambda: 4)
    assert threads.left(Look(10.0, 100.0, 1.0), Look(12.0, 106.0, 3.0)) == pytest.approx(2.0)
    assert threads.left(Look(10.0, 100.0, 1.0), Look(12.0, 101.0, 3.0)) == pytest.approx(4.0), "never below nothing"
    assert threads.left(Look(10.0, None, 1.0), Look(12.0, None, 3.0)) == 4.0, "where it is not told"


def test_a_quota_is_shared_with_the_rest_of_its_group(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container that may use 2.5 cores used 4 s in 2 s, half of it ours: 1.5 are left, on an idle machine too."""
    monkeypatch.setattr(threads, "allowed", lambda: 64)
    first = Look(0.0, 0.0, 0.0, {"/group": (2.5, 10.0)})
    assert threads.left(first, Look(2.0, 4.0, 2.0, {"/group": (2.5, 14.0)})) == pytest.approx(1.5)
    assert threads.left(first, Look(2.0, 4.0, 2.0, {"/group": (2.5, None)})) == pytest.approx(2.5)


def test_free_cores_are_rounded_and_an_old_look_is_taken_again(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = [Look(100.0, 0.0, 0.0), Look(101.0, 1.4, 0.0)]
    monkeypatch.setattr(threads, "allowed", lambda: 4)
    monkeypatch.setattr(threads, "cores", lambda: 4)
    monkeypatch.setattr(threads, "look", lambda: looks.pop(0))
    monkeypatch.setattr(threads.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(threads.time, "monotonic", lambda: 101.0)
    monkeypatch.setattr(threads, "_watched", [Look(0.0, 0.0, 0.0)])
    assert threads.free_cores() == 3, "2.6, by two fresh looks: the first one was 101 seconds ago"
    looks[:] = [Look(101.0, 1.6, 0.0)]
    monkeypatch.setattr(threads, "_watched", [Look(100.0, 0.0, 0.0)])
    assert threads.free_cores() == 2, "2.4, from the look of the start"


STAT = """cpu  9 9 9 9 9 9 9 9 0 0
cpu0 100 20 30 900 50 1 2 7 0 0
cpu1 200 0 100 800 10 0 0 0 5 0
cpu2 999 0 999 0 0 0 0 0 0 0
intr 5
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads what Linux tells")
def test_busy_are_the_cores_that_we_may_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """cpu0: 100 + 20 + 30 + 1 + 2 + 7, cpu1: 200 + 100; waiting for a disk is idle; 100 ticks a second."""
    (tmp_path / "stat").write_text(STAT)
    monkeypatch.setattr(threads, "PROC", tmp_path)
    monkeypatch.setattr(threads.os, "sched_getaffinity", lambda pid: {0, 1})
    monkeypatch.setattr(threads.os, "sysconf", lambda name: 100)
    assert threads.busy_seconds() == pytest.approx(4.6)
    (tmp_path / "stat").write_text("cpu0 1 2\n")
    assert threads.busy_seconds() is None
    (tmp_path / "stat").unlink()
    assert threads.busy_seconds() is None


def test_elsewhere_psutil_tells_and_without_it_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads.sys, "platform", "darwin")
    core = types.SimpleNamespace(user=10.0, system=5.0, nice=1.0, idle=100.0)
    fake = types.SimpleNamespace(cpu_times=lambda percpu: [core, core])
    monkeypatch.setitem(sys.modules, "psutil", fake)  # type: ignore[arg-type]
    assert threads.busy_seconds() == 32.0
    monkeypatch.setitem(sys.modules, "psutil", None)  # type: ignore[arg-type]
    assert threads.busy_seconds() is None


@pytest.mark.parametrize(
    ("lines", "files", "wanted"),
    [
        ("0::/a/b", {"a/b/cpu.max": "max 100000", "a/cpu.max": "250000 100000"}, [2.5]),
        ("0::/", {"cpu.max": "150000 100000", "cpu.stat": "usage_usec 2500000\nuser_usec 1"}, [1.5]),
        ("0::/a", {"a/cpu.max": "100000 100000", "cpu.max": "400000 100000"}, [1.0, 4.0]),
        ("4:memory:/x\n3:cpu,cpuacct:/x", {"cpu,cpuacct/x/cpu.cfs_quota_us": "50000",
                                            "cpu,cpuacct/x/cpu.cfs_period_us": "100000"}, [0.5]),
        ("3:cpu:/host/path", {"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"}, [3.0]),
        ("3:cpu:/", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, []),
        ("2:name=systemd:/\n0::/", {"cpu.max": "rubbish"}, []),
        ("torn", {}, []),
    ],
)  # fmt: skip
def test_quotas_of_control_groups(
    lines: str, files: dict[str, str], wanted: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "self" / "cgroup").write_text(lines + "\n")
    for name, text in files.items():
        (tmp_path / "groups" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "groups" / name).write_text(text + "\n")
    monkeypatch.setattr(threads, "PROC", tmp_path / "proc")
    monkeypatch.setattr(threads, "CGROUPS", tmp_path / "groups")
    monkeypatch.setattr(threads, "allowed", lambda: 64)
    assert [quota for _, quota in threads.quotas()] == wanted
    assert threads.cores() == max(1, int(min([64, *wanted]) + 0.5))
    if "cpu.stat" in files:
        assert threads.used_by(tmp_path / "groups") == 2.5


@pytest.mark.parametrize(
    ("launcher", "wanted"),
    [({}, 1), ({"n_jobs": 3}, 3), ({"n_jobs": -1}, 4), ({"n_jobs": -2}, 3), ({"n_jobs": -9}, 1), ({"n_jobs": None}, 1)],
)
def test_a_sweeps_launcher_says_how_many_cells_run_at_a_time(
    launcher: dict[str, Any], wanted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cells, "cores", lambda: 4)
    assert cells.at_a_time(OmegaConf.create(launcher), 8) == wanted
    assert cells.at_a_time(OmegaConf.create(launcher), 2) == min(wanted, 2), "no more than there are cells"
    assert cells.at_a_time(OmegaConf.create(launcher), 0) == wanted, "where nobody knows how many"


def test_a_cell_gets_its_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(
        "gan_cli.run.launch.launch", lambda *_, cell: asked.append(cell.workers) or {"status": "finished"}
    )
    train_command.cell({"trust": [], "trainer": {}}, tmp_path / "cell", 0, ["seed=0"], workers=2)
    assert asked == [2]


def test_numbers_that_a_launcher_sets_for_its_workers_are_nobodys_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """joblib sets what the user has not set; what he has set it hands on."""
    monkeypatch.setenv("GAN_CLI_SWEEP", "")
    monkeypatch.setenv("MKL_NUM_THREADS", "3")
    cells.Note(2).leave()
    monkeypatch.setenv("OMP_NUM_THREADS", "2")  # in the worker process
    cells.Note.found().keep_to_said()
    assert threads.said() == ("MKL_NUM_THREADS",)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.delenv("GAN_CLI_SWEEP")
    cells.Note.found().keep_to_said()
    assert threads.said() == threads.COUNTS, "of no sweep nothing is known"


@pytest.mark.usefixtures("four_cores")
def test_a_cell_in_a_launchers_worker_shares_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """As loky makes it: the task is found by its import, the variables are set before."""
    monkeypatch.setenv("GAN_CLI_SWEEP", "")
    cells.Note(2).leave()
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("MKL_NUM_THREADS", "1")
    chosen: list[Threads] = []

    def cell(*given: object) -> None:
        chosen.append(choose(workers=2))

    about = {"mode": "MULTIRUN", "runtime": {"output_dir": "x", "choices": {}}, "overrides": {"task": []}}
    told = OmegaConf.create({**about, "job": {"num": 0}, "launcher": {"_target_": "JoblibLauncher"}})
    told.mode = train_command.RunMode.MULTIRUN
    monkeypatch.setattr(train_command.HydraConfig, "get", lambda: told)
    monkeypatch.setattr(train_command, "plain", lambda config, choices: {})
    monkeypatch.setattr(train_command, "cell", cell)
    train_command.task(OmegaConf.create({}))
    assert chosen == [Threads(2, "4 cores for 2 runs at a time", False)]


@pytest.fixture
def at_work(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """In how many threads each update was made."""
    original, counts = Updater.__call__, []

    def update(self: Updater, *arguments: Any, **named: Any) -> None:
        counts.append(torch.get_num_threads())
        original(self, *arguments, **named)

    monkeypatch.setattr(Updater, "__call__", update)
    return counts


@pytest.mark.usefixtures("four_cores")
def test_a_resume_takes_the_number_that_the_run_had_and_ends_in_its_bits(
    tmp_path: Path, at_work: list[int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def config(images: int, *more: str) -> dict[str, Any]:
        return compose_checked(*DCGAN, f"trainer.total_images={images}", *more)

    launch(config(64, "trainer.threads=2"), tmp_path / "whole")
    launch(config(32, "trainer.threads=2"), tmp_path / "cut")
    assert "cpu, 2 threads (as asked for)" in capsys.readouterr().out
    assert json.loads((tmp_path / "cut" / "run.json").read_text())["threads"] == 2
    free(monkeypatch, 4)
    launch(config(64), tmp_path / "cut")
    assert "cpu, 2 threads (as before; 4 of 4 cores free: threads=4 is faster)" in capsys.readouterr().out
    assert set(at_work) == {2}
    assert torch.get_num_threads() == 1, "what a run takes is given back"
    one, other = (checkpoint.load(tmp_path / name, print)[1]["game"] for name in ("whole", "cut"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_other_processes_under_torchrun_are_told_the_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard, sent = [], []
    monkeypatch.setattr("gan_cli.run.train.train", lambda *given: heard.append(given[3]) or {})
    monkeypatch.setattr("gan_cli.base.distributed.join", lambda: None)
    monkeypatch.setattr("gan_cli.base.distributed.world_described", lambda: 2)
    monkeypatch.setattr("gan_cli.base.distributed.broadcast_text", lambda text: sent.append(text) or text)
    lead(compose_checked(*DCGAN), tmp_path, [], Threads(3, "why", False))
    texts = [*sent, ""]
    monkeypatch.setattr("gan_cli.base.distributed.broadcast_text", lambda text: texts.pop(0))
    assert follow() == 0
    assert heard == [Threads(3, "why", False)] * 2


@pytest.mark.usefixtures("four_cores")
def test_another_number_in_a_resume_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    launch(compose_checked(*DCGAN, "trainer.total_images=16", "trainer.threads=2"), tmp_path / "run")
    assert "last bits" not in capsys.readouterr().out
    launch(compose_checked(*DCGAN, "trainer.total_images=32", "trainer.threads=1"), tmp_path / "run")
    told = capsys.readouterr().out
    assert "cpu, 1 thread (as asked for)" in told
    assert "its threads were 2 before: the last bits of sums may differ from here on" in told


@pytest.mark.usefixtures("four_cores")
def test_what_a_run_had_counts_for_as_many_processes_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free(monkeypatch, 4)
    tmp_path.joinpath("run").mkdir()
    one, two = compose_checked(*DCGAN), compose_checked(*DCGAN, "trainer.processes=2")
    assert threads_of(one, tmp_path / "run").count == 4
    update_run(tmp_path / "run", threads=1, processes=1)
    assert threads_of(one, tmp_path / "run").count == 4, "without a checkpoint there is nothing to go on with"
    (tmp_path / "run" / "checkpoints").mkdir()
    (tmp_path / "run" / "checkpoints" / "images-000000008.pt").touch()
    assert (threads_of(one, tmp_path / "run").count, threads_of(two, tmp_path / "run").count) == (1, 2)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert threads_of(one, tmp_path / "run").count == 1, "under torchrun: a quarter of the four"
    update_run(tmp_path / "run", threads="many")
    with pytest.raises(UserError, match=r"threads='many'|threads"):
        threads_of(one, tmp_path / "run")


def test_the_number_of_threads_makes_no_other_run() -> None:
    assert digest_of(compose_checked(*DCGAN)) == digest_of(compose_checked(*DCGAN, "trainer.threads=3"))


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5", "true", "100_000"])
def test_no_number_of_threads(value: str) -> None:
    with pytest.raises(UserError, match=r"trainer\.threads=.* whole number from 1 to 1,024 or null"):
        compose_checked(*DCGAN, f"trainer.threads={value}")


def test_the_other_commands_take_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    loading.chosen.cache_clear()
    loading.load_torch(3)
    assert torch.get_num_threads() == 3
    monkeypatch.setattr(threads, "cores", lambda: 4)
    free(monkeypatch, 2)
    loading.load_torch(None)
    assert torch.get_num_threads() == 2
    free(monkeypatch, 4)
    loading.load_torch(None)
    assert torch.get_num_threads() == 2, "once for all cells that are scored"
    loading.chosen.cache_clear()
    torch.set_num_threads(1)
    loading.load_torch(None)
    assert torch.get_num_threads() == 1, "torch's own number is the most"
    loading.chosen.cache_clear()
