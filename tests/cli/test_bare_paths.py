"""A path typed without its key, and one that names a folder of runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gan_cli.base.checkpoint import newest_summary
from gan_cli.base.errors import UserError
from gan_cli.cli.bare import check_bare
from gan_cli.cli.resume import resume
from gan_cli.cli.typed import read

RUNS = ("outputs/gan/1", "outputs/gan/2", "outputs/sweeps/first/seed-0", "outputs/sweeps/first/seed-1")


@pytest.fixture(autouse=True)
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for number, run in enumerate(RUNS):
        Path(run, "checkpoints").mkdir(parents=True)
        Path(run, "run.json").write_text("{}")
        os.utime(Path(run, "run.json"), (number, number))
    Path("outputs/gan/1/checkpoints/images-000000064.pt").write_text("")
    Path("pictures").mkdir()
    Path("my picture.png").write_text("")


@pytest.mark.parametrize(
    ("program", "path", "words"),
    [
        ("gan-sample", "outputs/gan/1", "say gan-sample checkpoint=outputs/gan/1"),
        ("gan-sample", "outputs/gan/gone", "say gan-sample checkpoint=outputs/gan/gone"),
        ("gan-sample", "my picture.png", "say gan-sample 'input=my picture.png'"),
        ("gan-sample", "pictures", "say gan-sample input=pictures"),
        ("gan-export", "outputs/gan/1", "say gan-export checkpoint=outputs/gan/1"),
        ("gan-evaluate", "outputs/gan/1/", "say gan-evaluate checkpoint=outputs/gan/1/"),
        ("gan-evaluate", "outputs/sweeps/first", "say gan-evaluate sweep=outputs/sweeps/first"),
        ("gan-report", "outputs/sweeps/first", "say gan-report sweep=outputs/sweeps/first"),
        ("gan-report", "outputs", "say gan-report runs=outputs"),
        ("gan-train", "outputs/gan/1", "say gan-train resume=outputs/gan/1 or gan-train init_from=outputs/gan/1"),
        ("gan-train", "outputs/gan/1/checkpoints/images-000000064.pt", "say gan-train init_from=outputs/gan/1/checkp"),
        ("gan-train", "pictures", "say gan-train dataset.root=pictures"),
        ("gan-train", "outputs/sweeps/first", "started again by the same words, with sweep=first; or say resume=CELL"),
    ],
)
def test_a_bare_path_is_told_its_key(program: str, path: str, words: str) -> None:
    with pytest.raises(UserError, match=path) as told:
        check_bare(read([path, "seed=0"]).overrides, program)
    assert words in str(told.value)


@pytest.mark.parametrize(
    ("program", "path", "words"),
    [
        ("gan-train", "outputs", r"'outputs' is no run: it holds 4 runs, .*; name one of them, as resume=RUN or init"),
        ("gan-train", "outputs/gan", r"'outputs/gan' is no run: it holds 2 runs, .*, as resume=RUN or init_from=RUN"),
        ("gan-sample", "outputs/sweeps/first", r"is no run: it holds 2 runs, .*; name one of them, as checkpoint=RUN$"),
        ("gan-export", "outputs", r"is no run: it holds 4 runs, .*; name one of them, as checkpoint=RUN$"),
        ("gan-evaluate", "outputs", r"is no run: it holds 4 runs, .*; name one of them, as checkpoint=RUN$"),
    ],
)
def test_a_bare_folder_of_runs_says_what_it_holds(program: str, path: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        check_bare([path], program)


def test_bare_folders_of_pictures_are_told_the_keys_of_both() -> None:
    Path("real ones").mkdir()
    with pytest.raises(UserError, match="say gan-evaluate a=pictures b='real ones', the real ones in b="):
        check_bare(["pictures", "real ones", "count=100"], "gan-evaluate")
    with pytest.raises(UserError, match="say gan-evaluate a=pictures b=FOLDER,"):
        check_bare(["pictures"], "gan-evaluate")


def test_keys_flags_and_words_are_no_paths() -> None:
    for program in ("gan-train", "gan-sample"):
        check_bare(read(["seed=0", "checkpoint=outputs/gan/1", "--config-dir", "pictures", "~x"]).overrides, program)
        check_bare(["seed"], program)


def test_the_commands_look_for_bare_paths_first(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    from gan_cli.cli import evaluate, export, report, sample, train

    for module in (evaluate, export, report, sample, train):
        monkeypatch.setattr("sys.argv", ["gan", "outputs/gan/1"])
        with pytest.raises(SystemExit) as ended:
            module.main()
        assert ended.value.code == 2
        key = {"train": "resume", "report": "runs"}.get(module.__name__.rpartition(".")[2], "checkpoint")
        assert f"{key}=outputs/gan/1" in capsys.readouterr().err


def test_a_folder_of_runs_says_which_there_are() -> None:
    words = (
        r"no checkpoint in 'outputs': it holds 4 runs, outputs/sweeps/first/seed-1, outputs/sweeps/first/seed-0,"
        r" outputs/gan/2, outputs/gan/1; name one of them"
    )
    with pytest.raises(UserError, match=words):
        newest_summary(Path("outputs"))
    with pytest.raises(UserError, match=r"resume='outputs/sweeps/first' is no run: it holds 2 runs, .*seed-1"):
        resume(Path("outputs/sweeps/first"), read([]))
    with pytest.raises(UserError, match=r"no checkpoint in 'pictures': give a run's folder"):
        newest_summary(Path("pictures"))


def test_of_many_runs_the_newest_are_told() -> None:
    for number in range(9):
        Path(f"outputs/more/{number}").mkdir(parents=True)
        Path(f"outputs/more/{number}/run.json").write_text("{}")
        os.utime(f"outputs/more/{number}/run.json", (100 + number, 100 + number))
    with pytest.raises(UserError, match=r"holds 13 runs, the newest are (outputs/more/[5-8],? ?){4}; name"):
        newest_summary(Path("outputs"))
