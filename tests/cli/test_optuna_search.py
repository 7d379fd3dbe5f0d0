"""A search: `gan-train -m hydra/sweeper=optuna`, through the command, and its ranges."""

from __future__ import annotations

import json
import math
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import forked
import pytest
from conftest import QUICK
from omegaconf import OmegaConf

from gan_cli.base.errors import UserError
from gan_cli.base.files import write_json
from gan_cli.cli import optuna_search, outcome
from gan_cli.cli.cells import NOTE
from gan_cli.cli.search_space import Dimension, deciding, read

optuna = pytest.importorskip("optuna", reason="Optuna is not installed: pip install 'gan_cli[search]'")

Run = Callable[..., subprocess.CompletedProcess[str]]
TOY = ["model=toy", "dataset=gaussians", "dataset.count=500", "model.generator.width=8", "model.discriminator.width=8"]
SMALL = [*TOY, *QUICK, "trainer.total_images=64", "trainer.evaluate_count=64", "trainer.device=cpu"]
SEARCH = ["-m", "hydra/sweeper=optuna", "hydra.sweeper.score=high_quality_share", "metric=[modes]", *SMALL]
WILD = [
    "loss=lsgan",
    "optimizer=sgd",
    "optimizer.learning_rate=10",
    "penalty=[r1]",
]  # diverges under a penalty that is large enough
RATE = "optimizer.learning_rate=tag(log,interval(1e-5,1e-2))"


def finished(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Warning" not in done.stderr, done.stderr
    return done.stdout


def trials(folder: Path) -> list[Any]:
    study = optuna.load_study(study_name=None, storage=f"sqlite:///{folder}/study.db")
    return study.get_trials()


def told(text: str) -> list[tuple[str, str]]:
    """What was tried and what came of it, by the lines after each trial."""
    return re.findall(r"^trial \d+ of \d+   (\S.*?)   (\S.*?)(?:   |$)", text, re.MULTILINE)


# ---- ranges ----


@pytest.mark.parametrize(
    ("typed", "expected", "size"),
    [
        ("a.b=interval(1e-5,1e-3)", Dimension("a.b", None, 1e-5, 1e-3), math.inf),
        ("a.b=tag(log,interval(1,10))", Dimension("a.b", None, 1.0, 10.0, log=True), math.inf),
        ("a.b=int(interval(1,8))", Dimension("a.b", None, 1, 8, 1), 8),
        ("a.b=tag(log,int(interval(1,8)))", Dimension("a.b", None, 1, 8, 1, True), 8),
        ("a.b=range(1,10,3)", Dimension("a.b", None, 1, 7, 3), 3),
        ("a.b=range(9,2,-3)", Dimension("a.b", None, 3, 9, 3), 3),
        ("a.b=range(0.1,1,0.2)", Dimension("a.b", None, 0.1, 0.9, 0.2), 5),
        ("a.b=choice(32,64)", Dimension("a.b", ("32", "64")), 2),
        ("+a=x,y,x", Dimension("+a", ("x", "y")), 2),
        ("a.b=[0.5,0.9],[0,0.99],null,'a b'", Dimension("a.b", ("[0.5,0.9]", "[0,0.99]", "null", "'a b'")), 4),
    ],
)
def test_ranges_are_read_in_hydras_grammar(typed: str, expected: Dimension, size: float) -> None:
    (dimension,), fixed = read(["seed=3", typed, "~penalty"])
    assert (dimension, dimension.size(), fixed) == (expected, size, ["seed=3", "~penalty"])
    low, *_, high = dimension.corners()
    distribution = dimension.distribution()
    if dimension.choices is None:
        assert (distribution.low, distribution.high) == (dimension.low, dimension.high)
        assert (low, high) == (f"{dimension.key}={dimension.low}", f"{dimension.key}={dimension.high}")
    else:
        assert distribution.choices == dimension.choices


def test_a_number_is_written_with_four_digits_within_its_ends() -> None:
    rate = Dimension("r", None, 1e-5, 0.12345)
    assert rate.override(3.14159e-4) == "r=0.0003142"
    assert rate.override(0.123449) == "r=0.1234"
    assert rate.override(0.12345) == "r=0.12345", "0.1235 would be above the end"
    assert Dimension("r", None, 0.1, 0.9, 0.2).override(0.1 + 0.2) == "r=0.3"
    assert Dimension("r", None, 10000, 20000, 1).override(12345) == "r=12345"


def test_of_a_key_given_twice_the_last_counts() -> None:
    (dimension,), fixed = read(["loss=hinge", "optimizer.eps=1,2", "loss=wgan,lsgan", "optimizer.eps=3"])
    assert (dimension.key, dimension.choices, fixed) == ("loss", ("wgan", "lsgan"), ["optimizer.eps=3"])


def test_scores_depend_on_what_is_learned_and_on_how_it_is_scored() -> None:
    free = ["sweep=x", "notes=y", "trainer.device=cpu", "trainer.checkpoint_every_images=5"]
    kept = ["features=classifier", "metric=[fid]", "seed=1", "trainer.evaluate_count=9", "~penalty"]
    assert deciding([*free, *kept[::-1]]) == kept


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("seed=0,1", "luckiest"),
        ("dataset.resolution=8,16", "can't be compared"),
        ("trainer.device=cpu,cuda", "nothing that is learned"),
        ("a=interval(1,1)", "no room"),
        ("a=tag(log,interval(0,1))", "above 0"),
        ("a=tag(big,interval(1,2))", "the only tag is log"),
        ("a=tag(log,choice(1,2))", "the only tag is log"),
        ("a=range(3,3)", "empty"),
        ("a=3", "tag(log,interval(1e-5,1e-3))"),
    ],
)
def test_what_can_not_be_searched_is_refused(typed: str, words: str) -> None:
    with pytest.raises(UserError, match=re.escape(words)):
        read([typed])


# ---- the command ----


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ([*SEARCH, RATE, "hydra.sweeper.score=mode"], "did you mean modes?; metric= gives modes, high_quality_share"),
        ([*SEARCH, RATE, "hydra.sweeper.score=null"], "metric= gives modes, high_quality_share"),
        ([*SEARCH, RATE, "metric=[]"], "say metric=[fid] features=classifier"),
        ([*SEARCH, RATE, "hydra.sweeper.trials=0"], "hydra.sweeper.trials=0 is not a whole number from 1 up"),
        ([*SEARCH, RATE, "hydra.sweeper.trails=3"], "hydra.sweeper.trails is not an option"),
        ([*SEARCH, RATE, "loss=hinge,hinges"], "loss=hinges does not exist; did you mean hinge?"),
        ([*SEARCH, "model.generator.widht=interval(8,16)"], "model.generator.widht is not an option"),
        ([*SEARCH, "trainer.batch_size=interval(8,16)"], "trainer.batch_size=int(interval(...)) gives whole numbers"),
        ([*SEARCH, "loss=hinge,lsgan", "optimizer.learning_rate=interval(-1,1)"], "(with loss=hinge"),
        (["hydra/sweeper=optuna"], "add -m"),
        (["-m", RATE], "hydra/sweeper=optuna searches it"),
    ],
)
@pytest.mark.sampled(4)
def test_bad_input_is_refused_before_anything_starts(
    typed: list[str], words: str, run_command: Run, tmp_path: Path
) -> None:
    done = run_command("gan-train", *typed)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stdout + done.stderr
    assert words in done.stderr
    assert not (tmp_path / "outputs").exists()


def test_without_optuna_one_sentence_names_what_to_install(run_command: Run, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\nfind = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'optuna' else find(name, *rest)\n"
    )
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = run_command("gan-train", *SEARCH, RATE, PYTHONPATH=path)
    assert done.returncode == 2
    assert done.stderr.strip() == "error: hydra/sweeper=optuna needs Optuna: pip install 'gan_cli[search]'"
    assert not (tmp_path / "outputs").exists()


def test_the_help_names_the_search_and_no_command_imports_optuna_at_its_start(run_command: Run) -> None:
    assert "hydra/sweeper=optuna" in finished(run_command("gan-train", "--help"))
    program = "import sys, gan_cli.cli.train, gan_cli.cli.optuna_search; print({'optuna', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A search of three trials that was not cut: its folder, and what it said."""
    folder = tmp_path_factory.mktemp("whole")
    return folder / "outputs" / "sweeps" / "lr", finished(ended(folder, *LONG))


def ended(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return forked.run("gan-train", *arguments, cwd=folder)


def begun(folder: Path, *arguments: str) -> forked.Command:
    return forked.start("gan-train", *arguments, cwd=folder)


LONG = [
    *SEARCH, RATE, "loss=nonsaturating,hinge", "hydra.sweeper.trials=3", "hydra.sweeper.seed=5", "sweep=lr",
    "trainer.total_images=12_000", "trainer.checkpoint_every_images=2_000", "trainer.log_every_images=500",
    "trainer.batch_size=32",
]  # fmt: skip


def wait_for(folder: Path, pattern: str, count: int, process: forked.Command) -> None:
    until = time.monotonic() + 120
    while len(list(folder.glob(pattern))) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.slow
def test_a_search_says_and_writes_what_was_best(whole: tuple[Path, str], run_command: Run) -> None:
    folder, text = whole
    lines = told(text)
    assert len(lines) == 3
    values = [float(value.removeprefix("high_quality_share ")) for _, value in lines]
    best = json.loads((folder / "best.json").read_text())
    assert best["value"] == pytest.approx(max(values), rel=1e-5)
    assert (best["score"], best["better"], best["finished"], best["failed"]) == ("high_quality_share", "higher", 3, 0)
    assert values[best["trial"] - 1] == max(values)
    cell = folder.parent.parent.parent / best["folder"]
    assert json.loads((cell / "run.json").read_text())["scores"]["high_quality_share"] == best["value"]
    assert best["parameters"].keys() == {"optimizer.learning_rate", "loss"}
    config = json.loads((cell / "config.json").read_text())
    assert config["optimizer"]["learning_rate"] == best["parameters"]["optimizer.learning_rate"]
    assert config["choices"]["loss"] == best["parameters"]["loss"]
    assert "gan-report sweep=outputs/sweeps/lr" in text
    assert f"again      {best['command']}\n" in text
    again = shlex.split(best["command"])
    finished(run_command(again[0], *again[1:], "hydra.run.dir=again", cwd=cell.parent))
    assert json.loads((cell.parent / "again" / "run.json").read_text())["scores"] == {
        **json.loads((cell / "run.json").read_text())["scores"]
    }


@pytest.mark.slow
def test_a_search_that_was_killed_and_stopped_goes_on_as_if_it_was_not(whole: tuple[Path, str], tmp_path: Path) -> None:
    folder = tmp_path / "outputs" / "sweeps" / "lr"
    process = begun(tmp_path, *LONG)
    wait_for(folder, "*/checkpoints/*.pt", 1, process)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert [trial.state.name for trial in trials(folder)] == ["RUNNING"]

    process = begun(tmp_path, *LONG)
    wait_for(folder, "*/scalars.jsonl", 2, process)
    process.send_signal(signal.SIGTERM)
    first, err = process.communicate(timeout=60)
    assert process.returncode == 143, first + err
    assert "the same command with sweep=lr goes on" in err
    assert "going on from" in first
    assert [trial.state.name for trial in trials(folder)] == ["COMPLETE", "RUNNING"]

    second = finished(ended(tmp_path, *LONG))
    assert second.count("going on from") == 1
    assert told(first) + told(second) == told(whole[1])
    assert [(t.state.name, t.params, t.value) for t in trials(folder)] == [
        (t.state.name, t.params, t.value) for t in trials(whole[0])
    ]
    assert (folder / "best.json").read_text() == (whole[0] / "best.json").read_text()

    third = finished(ended(tmp_path, *LONG))  # nothing left to do
    assert told(third) == []
    assert "search: 3 finished, 0 failed" in third
    fourth = finished(ended(tmp_path, *LONG, "hydra.sweeper.trials=4", "notes=more"))
    assert len(told(fourth)) == 1
    other = ended(tmp_path, *LONG, "trainer.evaluate_count=32")
    assert other.returncode == 2
    assert "holds another search (trainer.evaluate_count=64, not trainer.evaluate_count=32)" in other.stderr
    assert "choose another sweep=NAME" in other.stderr


@pytest.mark.slow
def test_a_trial_that_diverges_has_failed_and_the_search_goes_on(run_command: Run, tmp_path: Path) -> None:
    """Also: two values are two trials, however many are asked for."""
    done = run_command("gan-train", *SEARCH, *WILD, "penalty.r1.weight=1e-4,1e6", "sweep=bad")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    ends = dict(told(done.stdout))
    assert ends["penalty.r1.weight=1000000.0"] == "diverged"
    assert ends["penalty.r1.weight=0.0001"].startswith("high_quality_share ")
    assert "search: 1 finished, 1 failed; there is nothing else to try" in done.stdout
    assert "  diverged: outputs/sweeps/bad/" in done.stdout
    folder = tmp_path / "outputs" / "sweeps" / "bad"
    states = {trial.params["penalty.r1.weight"]: trial.state.name for trial in trials(folder)}
    assert states == {"1000000.0": "FAIL", "0.0001": "COMPLETE"}
    other = run_command("gan-train", *SEARCH, *WILD, "penalty.r1.weight=interval(1e-4,1e-2)", "sweep=bad")
    assert other.returncode == 2
    assert "holds another search (the range of penalty.r1.weight is another)" in other.stderr


@pytest.mark.slow
def test_the_folder_of_a_grid_and_a_broken_study_are_refused(run_command: Run, tmp_path: Path) -> None:
    folder = tmp_path / "outputs" / "sweeps" / "used"
    (folder / "seed-0").mkdir(parents=True)
    (folder / "seed-0" / "run.json").write_text("{}")
    done = run_command("gan-train", *SEARCH, RATE, "sweep=used")
    assert (done.returncode, "was no search" in done.stderr) == (2, True)
    (folder / "study.db").write_text("no data base")
    done = run_command("gan-train", *SEARCH, RATE, "sweep=used")
    assert (done.returncode, "can't read" in done.stderr, len(done.stderr.splitlines())) == (2, True, 1), done.stderr


# ---- the sweeper, with runs that take no time ----

Score = Callable[[dict[str, str]], float | str]


@pytest.fixture
def searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any] | None]:
    """Search with a function in place of runs; it gives a score or the status of a run that failed."""
    monkeypatch.setattr(optuna_search, "composed", lambda config, overrides, number=0: overrides)
    monkeypatch.setattr(optuna_search, "checked", lambda overrides: dict(text.split("=", 1) for text in overrides))
    monkeypatch.setattr(optuna_search, "content_of", lambda overrides: {})
    monkeypatch.setattr(optuna_search, "tell_common", lambda contents, folder: None)
    monkeypatch.setattr(sys, "argv", ["gan-train"])
    monkeypatch.setenv(NOTE, "{}")
    monkeypatch.setattr(outcome, "runs", [])
    monkeypatch.setattr(outcome, "code", 0)

    def run(
        score: Score, *arguments: str, trials: int = 5, seed: int = 0, better: str = "lower", folder: str = "s"
    ) -> dict[str, Any] | None:
        def launch(jobs: list[list[str]], initial_job_idx: int) -> list[Any]:
            ((*overrides, led),) = jobs
            value = score(dict(text.split("=", 1) for text in overrides))  # type: ignore[misc]
            cell = home / led.removeprefix("hydra.sweep.subdir=").strip("'")
            status = value if isinstance(value, str) else "finished"
            write_json(cell / "config.json", dict(text.split("=", 1) for text in overrides))  # type: ignore[misc]
            write_json(cell / "run.json", {"status": status, "scores": {"fid_classifier": value}})
            return [SimpleNamespace(return_value={"status": status, "folder": str(cell), "text": ""})]

        home = tmp_path / folder
        home.mkdir(exist_ok=True)
        monkeypatch.setattr(optuna_search, "better_end", lambda cell, score: better)
        sweeper = optuna_search.OptunaSweeper("fid_classifier", trials, seed)
        sweeper.config = OmegaConf.create({"hydra": {"sweep": {"dir": str(home)}}})
        sweeper.hydra_context = SimpleNamespace(config_loader=None)  # type: ignore[assignment]
        sweeper.launcher = SimpleNamespace(launch=launch)  # type: ignore[assignment]
        return sweeper.sweep(list(arguments))

    return run


def bowl(values: dict[str, str]) -> float:
    """0 at a rate of 1e-3 with hinge."""
    return math.log10(float(values["r"]) / 1e-3) ** 2 + (values["loss"] != "hinge")


BOWL = ["r=tag(log,interval(1e-6,1))", "loss=hinge,wgan,lsgan"]


@pytest.mark.slow
def test_it_comes_near_the_best_at_either_end(searched: Callable[..., Any]) -> None:
    best = searched(bowl, *BOWL, trials=30)
    assert best["parameters"]["loss"] == "hinge"
    assert 2e-4 < best["parameters"]["r"] < 5e-3
    assert best["value"] < 0.5
    mirrored = searched(lambda values: -bowl(values), *BOWL, trials=30, better="higher", folder="h")
    assert mirrored["value"] == -best["value"]
    assert {**mirrored, "value": 0, "folder": 0, "better": 0} == {**best, "value": 0, "folder": 0, "better": 0}


def test_the_same_seed_tries_the_same_and_another_does_not(
    searched: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    def tried(**more: Any) -> list[tuple[str, str]]:
        searched(bowl, *BOWL, **more)
        return told(capsys.readouterr().out)

    once = tried(trials=14, folder="a")
    assert len(once) == 14
    assert tried(trials=14, folder="b") == once
    assert tried(trials=14, folder="c", seed=1) != once
    assert tried(trials=12, folder="d") + tried(trials=14, folder="d") == once, "asked for more later"


def test_failed_trials_count_and_nothing_is_tried_twice(
    searched: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    tried = []

    def score(values: dict[str, str]) -> float | str:
        tried.append((values["n"], values["loss"]))
        return "diverged" if values["loss"] == "wgan" else float("nan") if values["n"] == "3" else int(values["n"])

    best = searched(score, "n=range(1,4)", "loss=hinge,wgan", trials=50)
    assert len(tried) == len(set(tried)) == 6
    assert (best["value"], best["parameters"]) == (1, {"n": 1, "loss": "hinge"})
    assert (best["finished"], best["failed"]) == (2, 4)
    out = capsys.readouterr().out
    assert out.count("\n  diverged: ") == 3
    assert out.count("it has no finite fid_classifier; its scores: fid_classifier") == 1
    assert searched(score, "n=range(1,4)", "loss=hinge,wgan", trials=50) == best
    assert len(tried) == 6, "a failed trial is not tried again"


def test_a_search_without_any_score_ends_with_1(searched: Callable[..., Any], tmp_path: Path) -> None:
    assert searched(lambda values: "failed", "n=1,2") is None
    assert outcome.code == 1
    assert not (tmp_path / "s" / "best.json").exists()
