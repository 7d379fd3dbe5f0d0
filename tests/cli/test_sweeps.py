"""A sweep: what its cells are called, how they are found again, what it says."""

from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy
import pytest
import torch
from conftest import QUICK, TINY, compose_checked, data_of
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata

from gan_cli.base import checkpoint
from gan_cli.base.errors import Interrupted, UserError
from gan_cli.base.run_folder import identity_of
from gan_cli.check.config_folder import config_folder
from gan_cli.cli import outcome
from gan_cli.cli import train as train_command
from gan_cli.cli.callbacks import grid
from gan_cli.cli.cells import NOTE, Cells, GridSweeper, Note, axes_of, varying
from gan_cli.cli.config import STAMP
from gan_cli.cli.inherit import with_base
from gan_cli.cli.train import command, headline
from gan_cli.cli.typed import read
from gan_cli.run.start import common_block

SMALL = ["model=gan", *TINY["gan"], *QUICK, "trainer.total_images=16", "trainer.device=cpu"]
Sweep = Callable[..., str]


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Sweep:
    """Carry out `gan-train -m` in this process; returns what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["gan-train"])
    for name in (NOTE, STAMP):
        monkeypatch.setenv(name, "{}")

    def run(*arguments: str, code: int = 0) -> str:
        with ExitStack() as held:
            for name, value in {"code": 0, "runs": [], "places": {}, "begun": False, "_held": held}.items():
                monkeypatch.setattr(outcome, name, value)
            assert command(["-m", *SMALL, *arguments]) == code
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return said.out + said.err

    return run


def cells_of(name: str) -> list[str]:
    return sorted(path.name for path in Path("outputs/sweeps", name).iterdir() if path.is_dir())


def untouched(name: str) -> dict[str, int]:
    """When each file of a sweep was written, but for Hydra's records."""
    files = [path for path in Path("outputs/sweeps", name).rglob("*") if path.is_file()]
    return {str(path): path.stat().st_mtime_ns for path in files if ".hydra" not in path.parts and path.name != ".lock"}


# ---- names ----


@pytest.mark.parametrize("names", [("实验一", "实验二"), ("lr 0.1", "lr-0.1"), ("a/b", "a b"), ("LR", "lr")])
@pytest.mark.sampled(4)
def test_sweeps_of_different_names_share_no_folder(names: tuple[str, str], sweep: Sweep) -> None:
    for name in names:
        said = sweep("seed=0", f"sweep={name}")
        assert "sweep: 1 finished" in said
        assert "skipped" not in said
    assert len(list(Path("outputs/sweeps").iterdir())) == 2


def test_runs_of_different_names_share_no_folder(sweep: Sweep, tmp_path: Path) -> None:
    for name in ("猫", "犬"):
        assert command([*SMALL, f"name={name}"]) == 0
    assert {path.name for path in (tmp_path / "outputs").iterdir()} == {
        "猫-gan-nonsaturating-digits",
        "犬-gan-nonsaturating-digits",
    }


def test_swept_texts_that_differ_in_what_a_path_can_not_have_get_folders_of_their_own(sweep: Sweep) -> None:
    sweep("optimizer.betas=[0.5,0.9],[0.5,0.99]", "sweep=betas")
    first, second = cells_of("betas")
    assert first != second
    for name in (first, second):
        assert re.fullmatch(r"optimizer\.betas-0\.5-0\.99?-[0-9a-f]{10}", name)


@pytest.mark.slow
def test_only_what_varies_is_in_a_cells_name_and_the_order_of_typing_does_not_matter(sweep: Sweep) -> None:
    said = sweep("seed=0,1", "loss=hinge,lsgan", "optimizer.learning_rate=1e-3", "sweep=a")
    cells = ["loss-hinge--seed-0", "loss-hinge--seed-1", "loss-lsgan--seed-0", "loss-lsgan--seed-1"]
    assert cells_of("a") == cells
    assert "sweep: 4 finished" in said
    before = untouched("a")
    said = sweep("optimizer.learning_rate=0.001", "loss=lsgan,hinge", "seed=1,0", "sweep=a", "notes=again")
    assert "sweep: 4 skipped" in said
    assert cells_of("a") == cells
    assert untouched("a") == before


@pytest.mark.slow
def test_an_axis_added_later_trains_no_cell_again(sweep: Sweep) -> None:
    sweep("seed=0,1", "sweep=a")
    assert cells_of("a") == ["seed-0", "seed-1"]
    before = untouched("a")
    said = sweep("seed=0,1", "optimizer.learning_rate=2e-4,1e-3", "sweep=a")
    assert "sweep: 2 finished, 2 skipped" in said
    assert re.search(
        r"^\[1 of 4\] seed=0 optimizer.learning_rate=0.0002   skipped.* outputs/sweeps/a/seed-0$", said, re.M
    )
    rates = [f"seed-{seed}--optimizer.learning_rate-0.001" for seed in (0, 1)]
    assert cells_of("a") == sorted(["seed-0", "seed-1", *rates])
    assert {name: time for name, time in untouched("a").items() if name in before} == before

    said = sweep("seed=0,1", "loss=hinge", "sweep=a")  # what is the same in all of them now, but not in the folder
    assert "sweep: 2 finished" in said
    new = sorted(set(cells_of("a")) - {"seed-0", "seed-1", *rates})
    assert [re.fullmatch(r"seed-(\d)-[0-9a-f]{10}", name)[1] for name in new] == ["0", "1"]  # type: ignore[index]
    assert {json.loads(Path("outputs/sweeps/a", name, "run.json").read_text())["parts"]["loss"] for name in new} == {
        "hinge"
    }
    assert "sweep: 2 skipped" in sweep("seed=0,1", "loss=hinge", "sweep=a")
    assert "sweep: 2 skipped" in sweep("seed=0,1", "loss=hinge", "sweep=a", "optimizer.learning_rate=2e-4")


@pytest.mark.slow
def test_a_cell_that_was_cut_or_renamed_is_found_by_what_it_trains(sweep: Sweep) -> None:
    sweep("seed=0,1", "sweep=a", "trainer.checkpoint_every_images=8")
    home = Path("outputs/sweeps/a")
    cut = (home / "seed-0").rename(home / "mine")
    whole = checkpoint.load(cut, print)[1]["game"]
    for path in (cut / "checkpoints").glob("images-000000016.*"):
        path.unlink()
    record = json.loads((cut / "run.json").read_text())
    (cut / "run.json").write_text(json.dumps({**record, "status": "interrupted", "images": 8}))
    said = sweep("loss=hinge,nonsaturating", "seed=0,1", "sweep=a", "trainer.checkpoint_every_images=8")
    assert re.search(r"^\[3 of 4\] loss=nonsaturating seed=0   going on from \S.*000000008.pt, 8 images$", said, re.M)
    assert "sweep: 3 finished, 1 skipped" in said
    assert cells_of("a") == ["loss-hinge--seed-0", "loss-hinge--seed-1", "mine", "seed-1"]
    again = checkpoint.load(cut, print)[1]["game"]
    assert all(torch.equal(again[name], whole[name]) for name in whole), "as if it had not been cut"


def test_cells_that_train_the_same_are_refused(sweep: Sweep, capsys: pytest.CaptureFixture[str]) -> None:
    for typed, words in {
        "seed=0,0": "seed=0 twice",
        "notes=a,b": "train the same thing",
        "seed=range(2,2)": "no cells",
    }.items():
        with pytest.raises(SystemExit) as ended:
            sweep("sweep=a", typed)
        assert ended.value.code == 2
        assert words in capsys.readouterr().err
    assert not Path("outputs").exists()


def test_a_sweep_that_is_under_way_is_not_started_again(sweep: Sweep, capsys: pytest.CaptureFixture[str]) -> None:
    sweep("seed=0", "sweep=a")
    with open("outputs/sweeps/a/.lock", "a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(SystemExit) as ended:
            sweep("seed=0,1", "sweep=a")
    assert ended.value.code == 2
    assert "in use by another process" in capsys.readouterr().err
    assert cells_of("a") == ["cell"]


def always(place: Path, content: Any) -> bool:
    return True


def test_places_follow_no_link_and_take_no_folder_of_another_run(tmp_path: Path) -> None:
    def run(place: Path, **config: Any) -> Path:
        place.mkdir(parents=True)
        (place / "config.json").write_text(json.dumps(config))
        return place

    run(tmp_path / "elsewhere", seed=0)
    home = tmp_path / "sweep"
    other = run(home / "loss-a--seed-1", seed=7)
    os.symlink(tmp_path / "elsewhere", home / "linked")
    (home / "seed-5").write_text("no folder")
    (home / "seed-6" / ".hydra").mkdir(parents=True)  # of a command that was killed as it began
    cells = Cells(home, always)
    assert cells.place({"seed": 7.0}, "seed-7") == other, "7 and 7.0 are the same"
    assert cells.place({"seed": 0}, "seed-0") == home / "seed-0"
    assert cells.place({"seed": 1}, "loss-a--seed-1") == home / f"loss-a--seed-1-{identity_of({'seed': 1})[:10]}"
    assert cells.place({"seed": 2}, "linked").name.startswith("linked-")
    assert cells.place({"seed": 5}, "seed-5").name.startswith("seed-5-")
    assert cells.place({"seed": 6}, "seed-6") == home / "seed-6"
    assert cells.place({"seed": 8}, "seed-6") != home / "seed-6", "given away already"
    assert cells.place({"seed": 0, "notes": "other", "dataset": {"provides": {"count": 3}}}, "x") == home / "seed-0"


def test_a_cell_whose_data_moved_is_found_and_one_of_other_data_is_another(tmp_path: Path) -> None:
    home, here, gone = tmp_path / "sweep", tmp_path / "here", tmp_path / "gone"
    here.mkdir()
    for name, seed, root in (("a", 0, gone), ("b", 1, here)):
        (home / name).mkdir(parents=True)
        (home / name / "config.json").write_text(json.dumps({"seed": seed, "dataset": {"root": str(root)}}))
    cells, there = Cells(home, always), {"root": str(tmp_path / "there")}
    assert cells.place({"seed": 0, "dataset": there}, "seed-0") == home / "a"
    assert cells.place({"seed": 1, "dataset": there}, "seed-1") == home / "seed-1", "what it learned from is still here"
    assert cells.place({"seed": 1, "dataset": {"root": str(here)}}, "seed-1") == home / "b"


def test_a_place_whose_data_moved_is_given_to_one_cell_and_only_with_its_own_data(tmp_path: Path) -> None:
    home = tmp_path / "sweep"
    for name in ("a", "b"):
        (home / name).mkdir(parents=True)
        (home / name / "config.json").write_text(json.dumps({"seed": 0, "dataset": {"root": f"/gone/{name}"}}))
    cells = Cells(home, lambda place, content: place.name in ("root-c", Path(content["dataset"]["root"]).name))
    for name in ("b", "a", "c"):
        place = cells.place({"seed": 0, "dataset": {"root": f"/moved/{name}"}}, f"root-{name}")
        assert place == home / (name if name != "c" else "root-c")
    with pytest.raises(UserError, match=r"the data set has changed since .*a was trained \(other files.* sweep=NAME"):
        Cells(home, lambda place, content: False).place({"seed": 0, "dataset": {"root": "/gone/a"}}, "root-a")


def pictures(folder: Path, seed: int) -> Path:
    folder.mkdir(parents=True)
    noise = numpy.random.default_rng(seed).integers(0, 256, (10, 16, 16), dtype=numpy.uint8)
    for number, picture in enumerate(noise):
        Image.fromarray(picture).save(folder / f"{number}.png")
    return folder


FOLDERS = ("dataset=image_folder", "dataset.channels=1", "dataset.resolution=16")


@pytest.mark.slow
def test_cells_are_found_again_with_the_data_that_each_has_learned_from(sweep: Sweep, tmp_path: Path) -> None:
    for number, name in enumerate("AB"):
        pictures(tmp_path / name, number)
    sweep(*FOLDERS, "dataset.root=A,B", "sweep=s")
    (tmp_path / "moved").mkdir()
    for name in "AB":
        (tmp_path / name).rename(tmp_path / "moved" / name)
    before = untouched("s")
    said = sweep(*FOLDERS, "dataset.root=moved/B,moved/A", "sweep=s")
    assert re.findall(r"root=moved/(.)   skipped.*root-(.)", said) == [("B", "B"), ("A", "A")]
    assert untouched("s") == before
    (tmp_path / "moved" / "A").rename(tmp_path / "aside")
    pictures(tmp_path / "C", 7)
    assert "root=C   finished" in sweep(*FOLDERS, "dataset.root=C,moved/B", "sweep=s"), "other data is another cell"
    pictures(tmp_path / "moved" / "A", 8)
    said = sweep(*FOLDERS, "dataset.root=moved/A", "sweep=s", code=0)
    assert "skipped" not in said, "new pictures where the old ones were moved to are another cell's"
    (tmp_path / "C" / "0.png").write_bytes((tmp_path / "C" / "1.png").read_bytes())
    with pytest.raises(SystemExit):
        sweep(*FOLDERS, "dataset.root=C,moved/B", "sweep=s")


def test_a_cell_whose_pictures_go_away_fails_alone(
    sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, held, number = pictures(tmp_path / "A", 0), tmp_path / "held", iter(range(9))
    carry_out = train_command.carry_out

    def spoiled(content: Any, folder: Path, about: Any = None) -> Any:
        done = carry_out(content, folder, about)
        if next(number) == 0:
            root.rename(held)
        return done

    monkeypatch.setattr(train_command, "carry_out", spoiled)
    said = sweep(*FOLDERS, f"dataset.root={root}", "seed=0,1,2", code=1)
    assert "sweep: 2 failed, 1 finished" in said
    assert said.count("does not exist") == 4, "each once when it fails, and once in the summary"
    assert "Error executing job" not in said


def test_a_cell_is_not_trained_on_fewer_pictures_than_the_sweep_was_checked_with(
    sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, carry_out = pictures(tmp_path / "A", 0), train_command.carry_out

    def loses(content: Any, folder: Path, about: Any = None) -> Any:
        done = carry_out(content, folder, about)
        (root / "0.png").unlink(missing_ok=True)
        return done

    monkeypatch.setattr(train_command, "carry_out", loses)
    said = sweep(*FOLDERS, f"dataset.root={root}", "seed=0,1", code=1)
    assert "sweep: 1 failed, 1 finished" in said
    assert "the data set has changed since the sweep began" in said


def test_what_refers_to_another_key_is_worked_out_in_each_cell(sweep: Sweep) -> None:
    sweep("trainer.batch_size=4,8", "trainer.preview_samples=${trainer.batch_size}", "sweep=s")
    configs = [json.loads((place / "config.json").read_text()) for place in Path("outputs/sweeps/s").glob("*/")]
    found = {(config["trainer"]["batch_size"], config["trainer"]["preview_samples"]) for config in configs}
    assert found == {(4, 4), (8, 8)}


def test_cells_may_be_numbered_as_hydra_numbers_them(sweep: Sweep, tmp_path: Path) -> None:
    assert "sweep: 2 finished" in sweep("seed=4,5", "sweep=s", "hydra.sweep.subdir=${hydra.job.num}")
    assert all((tmp_path / "outputs/sweeps/s" / name / "run.json").is_file() for name in "01")


@pytest.mark.slow
def test_a_sweep_goes_on_into_a_closed_pipe(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from gan_cli.cli.train import main; main()", "-m", *SMALL, "seed=0,1", "sweep=s"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        run.stdout.readline()
        run.stdout.close()
        said = run.stderr.read().decode()
    assert "Traceback" not in said
    assert "raised" not in said
    assert {json.loads(file.read_text())["status"] for file in tmp_path.glob("outputs/sweeps/s/*/run.json")} == {
        "finished"
    }
    assert len(list(tmp_path.glob("outputs/sweeps/s/*/run.json"))) == 2


@pytest.mark.slow
def test_a_sweep_of_runs_that_began_from_another_needs_nothing_of_it(sweep: Sweep, tmp_path: Path) -> None:
    sweep("seed=7", "hydra.sweep.dir=base", "hydra.sweep.subdir=a")
    begun = ("init_from=base/a", "seed=0,1", "sweep=fine")
    sweep(*begun)
    (tmp_path / "base").rename(tmp_path / "gone")
    assert "sweep: 2 skipped" in sweep(*begun)
    assert "sweep: 2 skipped" in sweep(*begun[:-1], "sweep=outputs/sweeps/fine/"), "as it is printed"
    for elsewhere in ("sweep=other", "hydra.sweep.dir=other"):
        with pytest.raises(UserError, match="there is no checkpoint in 'base/a'"):
            sweep("init_from=base/a", "seed=0,1", elsewhere)
    (tmp_path / "outputs" / "sweeps" / "fine").rename(tmp_path / "other")
    assert "sweep: 2 skipped" in sweep("init_from=base/a", "seed=0,1", "hydra.sweep.dir=other")


@pytest.mark.parametrize(
    ("typed", "again"),
    [
        (["sweep=a"], "sweep=a"),
        (["hydra.sweep.dir=b/c d", "hydra.sweep.subdir=deep/cell"], "'hydra.sweep.dir=b/c d'"),
    ],
)
def test_a_sweep_that_is_stopped_says_what_starts_it_again(
    typed: list[str],
    again: str,
    sweep: Sweep,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def stopped(*given: Any) -> None:
        raise Interrupted("stopped at 64 images", 15)

    monkeypatch.setattr(train_command, "carry_out", stopped)
    with pytest.raises(SystemExit) as end:
        sweep("seed=3", *typed)
    assert end.value.code == 143
    assert f"stopped at 64 images; the same command with {again} goes on with the sweep" in capsys.readouterr().err


@pytest.mark.slow
def test_a_sweep_over_bases_takes_its_model_from_them(sweep: Sweep) -> None:
    for name, width in (("a", 8), ("b", 8), ("c", 6)):
        place = ("hydra.sweep.dir=base", f"hydra.sweep.subdir={name}", f"seed={ord(name)}")
        sweep(*place, f"model.generator.width={width}")
    assert "sweep: 2 finished" in sweep("init_from=choice(base/a,base/b)", "sweep=s")
    brought = with_base(read(["-m", "init_from=base/a,base/b"])).overrides
    assert {"model=gan", "model.generator.width=8"} <= {*brought}
    with pytest.raises(UserError, match="'base/a' and init_from='base/c' are runs of different networks"):
        with_base(read(["-m", "init_from=base/a,base/c"]))


def test_axes_are_what_differs_parts_and_the_seed_first() -> None:
    config = {"overrides": {"task": ["seed=0,1", "b.c=1e-3", "a.b=[1,2],[3]", "loss=hinge,lsgan", "notes=x"]}}
    hydra = {**config, "sweeper": {"params": {"d.e": "5,6"}}}
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        cells = grid(OmegaConf.create({"hydra": hydra}))
    assert len(cells) == 16
    assert axes_of(cells) == ("loss", "seed", "a.b", "d.e")
    assert varying(cells[0], axes_of(cells)) == [("loss", "hinge"), ("seed", "0"), ("a.b", "[1,2]"), ("d.e", "5")]
    assert axes_of([["seed=0"]]) == ()
    assert axes_of([["seed=0"], ["seed=0", "x=1"]]) == ("x",)


# ---- what it says ----


def test_the_common_block_decodes_no_picture(tiny_pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def decoded(*_: object) -> None:
        raise AssertionError("a picture was decoded")

    configs = [
        compose_checked(
            "dataset=image_folder", f"dataset.root={tiny_pictures / 'degraded'}", "model=gan", f"seed={seed}"
        )
        for seed in (0, 1)
    ]
    monkeypatch.setattr("gan_cli.data.sets.all_decoded", decoded)
    assert common_block(configs)["data"].startswith("image_folder   10 samples, 64x64x3")
    with pytest.raises(UserError, match="a picture was decoded"):
        data_of(configs[0])


def test_the_start_block_stands_once_then_a_line_a_cell_and_what_next_once(sweep: Sweep) -> None:
    lines = sweep("seed=0,1", "loss=hinge,wgan_gp", "sweep=first").splitlines()
    home = "outputs/sweeps/first"
    assert re.fullmatch(r"model      gan   generator [\d,]+, discriminator [\d,]+ parameters", lines.pop(1))
    assert re.fullmatch(r"run        16 images, batch 8, float32, cpu, \d+ threads? \(.+\)", lines.pop(2))
    assert lines == [
        "sweep      4 cells of loss and seed; checked before the first one starts",
        "data       digits   1,438 samples, 10 classes, 8x8x1",
        f"folder     {home}",
        "[1 of 4] loss=hinge seed=0   begins; what each cell says in full is in its run.log",
        f"[1 of 4] loss=hinge seed=0   finished   {home}/loss-hinge--seed-0",
        f"[2 of 4] loss=wgan_gp seed=0   finished   {home}/loss-wgan_gp--seed-0",
        f"[3 of 4] loss=hinge seed=1   finished   {home}/loss-hinge--seed-1",
        f"[4 of 4] loss=wgan_gp seed=1   finished   {home}/loss-wgan_gp--seed-1",
        "sweep: 4 finished",
        f"next       tensorboard --logdir {home}",
        f"           gan-report sweep={home}",
    ]
    log = Path(home, "loss-hinge--seed-0", "run.log").read_text()
    topics = [line.split()[0] for line in log.splitlines()]
    assert topics[:8] == ["model", "loss", "optimizer", "data", "run", "folder", "done", "next"]
    assert "loss       hinge" in log


def test_what_is_equal_in_all_cells_is_in_the_start_block(sweep: Sweep) -> None:
    lines = sweep("seed=0,1", "sweep=seeds").splitlines()
    assert [line.split()[0] for line in lines[:7]] == ["sweep", "model", "loss", "optimizer", "data", "run", "folder"]
    log = Path("outputs/sweeps/seeds/seed-0/run.log").read_text().splitlines()
    assert lines[1:6] == log[:5], "as a single run says it"


def test_a_cell_that_diverges_says_so_in_one_line_and_again_in_the_summary(sweep: Sweep) -> None:
    more = ["optimizer=sgd", "loss=lsgan", "trainer.total_images=64", "optimizer.learning_rate=1e-3,10"]
    lines = sweep(*more, "sweep=bad", code=1).splitlines()
    (told,) = [line for line in lines if line.startswith("[2 of 2] optimizer.learning_rate=10   diverged: ")]
    assert re.search(r"became NaN or infinite at step \d+; .*   outputs/sweeps/bad/\S+$", told)
    assert any(line.startswith("  diverged: outputs/sweeps/bad/") for line in lines)
    assert "sweep: 1 diverged, 1 finished" in lines


@pytest.mark.parametrize(
    ("scores", "keep_best", "told"),
    [
        ({"precision_classifier": 0.5, "fid_classifier": 12.345678}, None, "   fid_classifier 12.35"),
        ({"precision_classifier": 0.5, "fid_classifier": 12.0}, "precision_classifier", "   precision_classifier 0.5"),
        ({"other": 1.0}, None, "   other 1"),
        ({"fid_classifier": "a stranger's"}, None, ""),
        ("a stranger's", None, ""),
        (None, None, ""),
    ],
)
def test_a_cells_score_is_the_one_that_decides(scores: Any, keep_best: str | None, told: str) -> None:
    features = {"provides": {"name": "classifier"}}
    metric = {"fid": {"requires": {"features": True}, "provides": {"scores": {"fid": "lower"}}}}
    content = {"trainer": {"keep_best": keep_best}, "metric": metric, "features": features}
    assert headline({"scores": scores}, content) == told


def test_how_cells_ended_is_known_wherever_they_ran(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As under joblib, whose processes share no memory with the command's."""
    places = {("seed=0",): tmp_path / "it's 0", ("seed=1",): tmp_path / "猫"}
    monkeypatch.setattr(outcome, "places", places)
    monkeypatch.setattr(outcome, "runs", [])
    led = []

    def launch(jobs: list[list[str]], initial_job_idx: int) -> list[Any]:
        led.append((initial_job_idx, jobs))
        return [
            SimpleNamespace(return_value={"status": "skipped", "folder": str(tmp_path / "x"), "text": ""}) for _ in jobs
        ]

    sweeper = GridSweeper(max_batch_size=1)
    sweeper.config = OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}}})
    sweeper.launcher = SimpleNamespace(launch=launch)  # type: ignore[assignment]
    sweeper.sweep([])
    assert led == [
        (0, [["seed=0", "hydra.sweep.subdir='it\\'s 0'"]]),
        (1, [["seed=1", "hydra.sweep.subdir='猫'"]]),
    ]
    assert outcome.runs == [(tmp_path / "x", "skipped", "")] * 2
    Note(2, ("seed",)).leave()
    monkeypatch.setenv(NOTE, os.environ[NOTE])
    assert Note.found().label(1, ["seed=1", "loss=hinge"]) == "[2 of 2] seed=1"


# ---- TensorBoard ----


def test_tensorboard_has_columns_for_what_varies_alone(sweep: Sweep) -> None:
    sweep("seed=0", "loss=hinge,lsgan", "model.generator.width=8,9", "dataset.flip=true", "sweep=a")
    rows = {}
    for name in cells_of("a"):
        read = EventAccumulator(f"outputs/sweeps/a/{name}").Reload()
        content = read.PluginTagToContent(metadata.PLUGIN_NAME)[metadata.SESSION_START_INFO_TAG]
        found = metadata.parse_session_start_info_plugin_data(content).hparams
        rows[name] = {key: value.string_value or value.number_value for key, value in found.items()}
    assert rows == {
        f"loss-{loss}--model.generator.width-{width}": {"loss": loss, "generator.width": width}
        for loss in ("hinge", "lsgan")
        for width in (8, 9)
    }
