"""What a shell is answered at its key: runs, sweeps and options in a list; the rest is Hydra's."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT
from hydra.core.global_hydra import GlobalHydra

from gan_cli.cli import outcome
from gan_cli.cli.completion import completions

RUNS = ("outputs/dcgan-digits/1", "outputs/dcgan-digits/2", "outputs/gan-digits/1", "outputs/my runs/1")
CELLS = ("outputs/sweeps/first/seed-0", "outputs/sweeps/first/seed-1", "outputs/sweeps/second/seed-0")

Asked = Callable[..., list[str]]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with runs and sweeps, beside what is neither."""
    for run in (*RUNS, *CELLS):
        (tmp_path / run / "checkpoints").mkdir(parents=True)
        (tmp_path / run / "run.json").write_text("{}")
    (tmp_path / "outputs" / "sweeps" / "empty").mkdir()
    (tmp_path / "outputs" / "pictures").mkdir()
    (tmp_path / "elsewhere" / "run").mkdir(parents=True)
    (tmp_path / "elsewhere" / "run" / "run.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Asked:
    """What a command answers to a line, in this process."""
    monkeypatch.setattr(sys, "path", [*sys.path])

    def ask(line: str, shell: str = "bash") -> list[str]:
        name = line.split()[0]
        GlobalHydra.instance().clear()
        monkeypatch.setattr(outcome, "code", 0)
        monkeypatch.setattr(sys, "argv", [name, "-sc", f"query={shell}"])
        monkeypatch.setenv("COMP_LINE", line)
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            importlib.import_module(f"gan_cli.cli.{name.removeprefix('gan-')}").main()
        out, err = capsys.readouterr()
        assert (end.value.code or 0, err) == (0, "")
        return out.splitlines() if shell == "fish" else out.split(" ") if not out.isspace() else []

    return lambda *arguments: [word.strip() for word in ask(*arguments)]


ALL_RUNS = [*RUNS[:3], *CELLS]  # bash parts words at spaces


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("gan-train resume=", [f"resume={run}" for run in ALL_RUNS]),
        ("gan-train resume=out", [f"resume={run}" for run in ALL_RUNS]),
        ("gan-train resume=outputs/dc", ["resume=outputs/dcgan-digits/1", "resume=outputs/dcgan-digits/2"]),
        ("gan-train resume=outputs/gan-digits/", ["resume=outputs/gan-digits/1"]),
        ("gan-train resume=./outputs/gan", ["resume=./outputs/gan-digits/1"]),
        ("gan-train init_from=outputs/sweeps/second", ["init_from=outputs/sweeps/second/seed-0"]),
        ("gan-train model=gan model.base=outputs/g", ["model.base=outputs/gan-digits/1"]),
        ("gan-train -m sweep=f", ["sweep=first"]),
        ("gan-train -m sweep=", ["sweep=empty", "sweep=first", "sweep=second"]),
        ("gan-sample mode=grid checkpoint=outputs/g", ["checkpoint=outputs/gan-digits/1"]),
        ("gan-export checkpoint=outputs/g", ["checkpoint=outputs/gan-digits/1"]),
        ("gan-evaluate checkpoint=outputs/g", ["checkpoint=outputs/gan-digits/1"]),
        ("gan-evaluate sweep=", ["sweep=outputs/sweeps/first", "sweep=outputs/sweeps/second"]),
        ("gan-report sweep=outputs/sweeps/s", ["sweep=outputs/sweeps/second"]),
        ("gan-train penalty=[r1,pa", ["penalty=[r1,path_length"]),
        ("gan-train penalty=[r1,r", ["penalty=[r1,r2"]),
        ("gan-train penalty=[m", ["penalty=[mode_seeking"]),
        ("gan-train model=dcgan metric=[fi", ["metric=[fid"]),
        ("gan-evaluate metric=[fid,p", [f"metric=[fid,{name}" for name in ("ppl", "precision_recall", "psnr")]),
        ("gan-train -m model=gan,dcg", ["model=gan,dcgan"]),
        ("gan-train -m +penalty=[r1,dri", ["+penalty=[r1,drift"]),
    ],
)
def test_a_line_completes(line: str, words: list[str], asked: Asked) -> None:
    assert asked(line) == words


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("gan-train model=style", ["model=stylegan", "model=stylegan2"]),
        ("gan-train trainer.keep_c", ["trainer.keep_checkpoints="]),
        ("gan-train penalty=[r1] penalty.r1.ev", ["penalty.r1.every="]),
        ("gan-train init_from=./else", ["init_from=./elsewhere"]),
        ("gan-train loss=[hin", []),
    ],
)
def test_the_rest_is_hydras(line: str, words: list[str], asked: Asked) -> None:
    assert completions(line, "train") is None
    assert asked(line) == words


def test_absolute_paths_and_other_shells(asked: Asked, place: Path) -> None:
    assert asked(f"gan-train resume={place}/outputs/g") == [f"resume={place}/outputs/gan-digits/1"]
    assert asked("gan-train resume=outputs/m", "fish") == ["resume=outputs/my runs/1"]
    assert asked("gan-train resume=outputs/m", "bash") == []
    assert asked("gan-train penalty=[r1,pa", "zsh") == ["penalty=[r1,path_length"]


def test_options_of_ones_own_are_in_a_list_too(asked: Asked, place: Path) -> None:
    (place / "my_conf" / "metric").mkdir(parents=True)
    (place / "my_conf" / "metric" / "fine.yaml").write_text("fine: {_target_: mine.Fine}\n")
    for where in ("--config-dir my_conf", "hydra.searchpath=[file://my_conf]"):
        assert asked(f"gan-train {where} metric=[fi") == ["metric=[fid", "metric=[fine"]


def test_a_folder_without_runs_is_no_failure(place: Path, monkeypatch: pytest.MonkeyPatch, asked: Asked) -> None:
    (place / "bare").mkdir()
    monkeypatch.chdir(place / "bare")
    for line in ("gan-train resume=", "gan-train -m sweep=", "gan-train resume=~nobody-here/", "gan-report sweep=x/"):
        assert completions(line, line.split()[0].removeprefix("gan-")) is None
    assert asked("gan-train resume=o") == []


@pytest.mark.parametrize("line", ["gan-train resume=", "gan-train penalty=[r1,pa"])
def test_what_is_known_is_answered_before_hydra_composes(line: str, place: Path) -> None:
    """What takes a shell's key press long is loading: torch never, Hydra's plugins not for these."""
    program = (
        "import atexit, sys\nfrom gan_cli.cli.train import main\n"
        "atexit.register(lambda: print(sorted({'torch', 'hydra._internal.core_plugins'} & set(sys.modules))))\nmain()"
    )
    settings = {**os.environ, "COMP_LINE": line, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", program, "-sc", "query=bash"]
    done = subprocess.run(command, cwd=place, env=settings, capture_output=True, text=True, check=True)
    *answers, loaded = done.stdout.splitlines()
    assert answers
    assert loaded == "[]"
