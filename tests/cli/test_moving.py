"""A run whose data, whose base or whose own folder moved goes on; one that is refused stays as it is."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from conftest import QUICK, TINY, compose_checked, same
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf
from PIL import Image

from gan_cli.base import checkpoint
from gan_cli.base.errors import RunError, UserError
from gan_cli.base.run_config import RunConfig
from gan_cli.base.run_folder import locked
from gan_cli.check.config_folder import config_folder
from gan_cli.cli import learned_from
from gan_cli.cli.evaluate import evaluate
from gan_cli.cli.resume import resume
from gan_cli.cli.sample import sample
from gan_cli.cli.train import cell, command
from gan_cli.cli.typed import read
from gan_cli.run.launch import launch
from gan_cli.use.load import load_trained

SHORT, LONG = 16, 32
TRAINED = ["model=dcgan", *TINY["dcgan"], *QUICK, "trainer.device=cpu", f"trainer.total_images={SHORT}"]


def picture(seed: int, side: int = 16) -> Image.Image:
    pixels = numpy.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=numpy.uint8)
    return Image.fromarray(pixels)


def pictures(folder: Path, count: int = 12, seed: int = 0) -> Path:
    """Stored as they are, so that files of other pictures are as long."""
    folder.mkdir(parents=True)
    for number in range(count):
        picture(seed + number).save(folder / f"{number:02d}.bmp")
    return folder


def started(run: Path, *overrides: str, until: int = SHORT) -> Path:
    """A run as the command leaves it, with Hydra's record of the words."""
    config = compose_checked(*TRAINED, *overrides)
    words = next((o.removeprefix("dataset.root=") for o in overrides if o.startswith("dataset.root=")), None)
    if words is None and "root" in config["dataset"]:
        words = "${oc.env:GAN_DATA,data}"
    (run / ".hydra").mkdir(parents=True)
    dataset = {**config["dataset"], **({} if words is None else {"root": words})}
    (run / ".hydra" / "config.yaml").write_text(json.dumps({**config, "dataset": dataset}))
    config["trainer"]["total_images"] = until
    launch(config, run)
    return run


def on(run: Path, *arguments: str) -> int:
    """`gan-train resume=RUN ...` to twice its length."""
    typed = [f"resume={run}", f"trainer.total_images={LONG}", *arguments]
    return resume(run, read(typed))


def files(run: Path) -> dict[str, bytes]:
    return {str(path.relative_to(run)): path.read_bytes() for path in sorted(run.rglob("*")) if path.is_file()}


def refused(run: Path, words: str, *arguments: str) -> None:
    """In a sentence, and nothing in the folder is another."""
    before = files(run)
    with pytest.raises((UserError, RunError), match=words):
        on(run, *arguments)
    assert files(run) == before


def record(run: Path) -> dict[str, Any]:
    return json.loads((run / "run.json").read_text())


def root_of(run: Path) -> str:
    return json.loads((run / "config.json").read_text())["dataset"]["root"]


FOLDER = ["dataset=image_folder", "dataset.resolution=16"]


# ---- data that moved ----


def test_a_relative_root_is_found_from_another_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures(tmp_path / "mine" / "pictures")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "mine")
    run = started(tmp_path / "run", *FOLDER, "dataset.root=pictures")
    assert root_of(run) == str(tmp_path / "mine" / "pictures")
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert on(run) == 0
    assert record(run)["images"] == LONG


def test_a_run_whose_data_moved_says_what_to_type_and_goes_on_to_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = pictures(tmp_path / "old")
    whole = started(tmp_path / "whole", *FOLDER, f"dataset.root={data}", until=LONG)
    run = started(tmp_path / "run", *FOLDER, f"dataset.root={data}")
    data.rename(tmp_path / "new place")
    refused(run, r"the data set of '.*run' is not in '.*old', which does not exist: .* dataset\.root=FOLDER")
    monkeypatch.chdir(tmp_path)
    assert on(run, "dataset.root=new place") == 0
    assert f"changed: dataset.root: {data} -> {tmp_path / 'new place'}" in capsys.readouterr().out
    assert root_of(run) == str(tmp_path / "new place")
    one, other = checkpoint.load(whole, print)[1], checkpoint.load(run, print)[1]
    for key in ("game", "ema", "optimizers", "progress", "data"):
        same(one[key], other[key], key)
    assert resume(run, read([f"resume={run}", "trainer.total_images=40"])) == 0, "now it is remembered"


def test_a_run_without_hydras_record_goes_on_where_its_data_lies_now(tmp_path: Path) -> None:
    """`hydra.output_subdir=null` leaves the words of `dataset.root` out."""
    data = pictures(tmp_path / "old")
    run = started(tmp_path / "run", *FOLDER, f"dataset.root={data}")
    shutil.rmtree(run / ".hydra")
    data.rename(tmp_path / "new")
    refused(run, r"is not in '.*old', which does not exist: .* dataset\.root=FOLDER")
    assert on(run, f"dataset.root={tmp_path / 'new'}") == 0
    assert not (run / ".hydra").exists()
    assert (record(run)["images"], root_of(run)) == (LONG, str(tmp_path / "new"))


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"count": 7}, r"count 12 then, 7 now; dataset\.root is .*old there and .*other here"),
        ({"seed": 100}, r"\(12 samples then, 12 now: other files, or the same .*; dataset\.root is .*old there and "),
    ],
    ids=["fewer", "others of equal names and sizes"],
)
def test_a_run_does_not_go_on_with_other_data(other: dict[str, int], words: str, tmp_path: Path) -> None:
    data, others = pictures(tmp_path / "old"), pictures(tmp_path / "other", **other)
    assert {file.stat().st_size for file in data.iterdir()} == {file.stat().st_size for file in others.iterdir()}
    run = started(tmp_path / "run", *FOLDER, f"dataset.root={data}")
    refused(run, words, f"dataset.root={others}")


def test_data_that_changed_in_its_place_is_other_data(tmp_path: Path) -> None:
    data = pictures(tmp_path / "old")
    run = started(tmp_path / "run", *FOLDER, f"dataset.root={data}")
    picture(99).save(data / "03.bmp")
    os.utime(data / "03.bmp", (1, 1))
    refused(run, "the data set has changed since the checkpoint")


def mnist(folder: Path, seed: int = 0) -> Path:
    """A few digits in torchvision's layout."""
    from test_configs import write_idx

    rng, raw = numpy.random.default_rng(seed), folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part in ("train", "t10k"):
        write_idx(raw / f"{part}-images-idx3-ubyte", rng.integers(0, 256, (20, 28, 28), dtype=numpy.uint8))
        write_idx(raw / f"{part}-labels-idx1-ubyte", (numpy.arange(20) % 10).astype(numpy.uint8))
    return folder


def test_the_variable_that_names_the_data_may_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAN_DATA", str(mnist(tmp_path / "a")))
    run = started(tmp_path / "run", "dataset=mnist", "dataset.resolution=16", "dataset.download=false")
    monkeypatch.setenv("GAN_DATA", str(mnist(tmp_path / "c", seed=1)))
    assert on(run) == 0, "the run's own data is where it was"
    assert root_of(run) == str(tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / "b")
    before = files(run)
    with pytest.raises(UserError, match=r"the data set has changed since the checkpoint .*dataset\.root is .*a there"):
        on(run, "trainer.total_images=48")
    assert files(run) == before
    monkeypatch.setenv("GAN_DATA", str(tmp_path / "b"))
    assert on(run, "trainer.total_images=48") == 0
    assert root_of(run) == str(tmp_path / "b")
    monkeypatch.delenv("GAN_DATA")
    (tmp_path / "b").rename(tmp_path / "d")
    refused(run, r"not in '.*b' \(MNIST/raw/train-images-idx3-ubyte, .*dataset\.root=FOLDER; .*nothing is downloaded")


def test_to_compare_data_fetches_none(tmp_path: Path) -> None:
    typed = ["dataset=mnist", "dataset.resolution=16", f"dataset.root={mnist(tmp_path / 'here')}"]
    data = RunConfig.of(compose_checked(*TRAINED, *typed, "dataset.download=true")).data
    learned_from.check(data, learned_from.fingerprint(data))
    (tmp_path / "here").rename(tmp_path / "gone")
    with pytest.raises(UserError, match=r"not in '.*here' or is damaged, and dataset\.download=false fetches nothing"):
        learned_from.check(data, "of another")
    assert not (tmp_path / "here").exists()


def test_a_sweeps_cell_is_the_same_wherever_its_data_lies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, run = pictures(tmp_path / "old"), tmp_path / "seed-0"
    first = compose_checked(*TRAINED, *FOLDER, f"dataset.root={data}")
    launch(first, run)
    data.rename(tmp_path / "new")
    config = compose_checked(*TRAINED, *FOLDER, f"dataset.root={tmp_path / 'new'}")
    assert cell(config, run, 0, ["seed=0"])["status"] == "skipped"
    (run / "run.json").write_text(json.dumps({**record(run), "status": "interrupted"}))
    assert cell(config, run, 0, ["seed=0"])["status"] == "finished"
    others = compose_checked(*TRAINED, *FOLDER, f"dataset.root={pictures(tmp_path / 'other', seed=9)}")
    (run / "run.json").write_text(json.dumps({**record(run), "status": "interrupted"}))
    assert cell(others, run, 0, ["seed=0"])["status"] == "failed"
    assert "the data set has changed since the checkpoint" in capsys.readouterr().err
    assert record(run)["status"] == "interrupted"


# ---- a folder, or a base, that moved ----


def test_a_run_folder_goes_on_and_is_drawn_from_in_another_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Copied by a tool that leaves out names with a dot."""
    run = started(tmp_path / "outputs" / "a" / "run")
    moved = tmp_path / "other disk" / "copy"
    shutil.copytree(run, moved, ignore=shutil.ignore_patterns(".*"))
    shutil.rmtree(tmp_path / "outputs")
    monkeypatch.chdir(moved.parent)
    assert on(Path("copy")) == 0
    assert record(moved)["images"] == LONG
    assert load_trained(Path("copy"), device="cpu").images == LONG
    assert not (tmp_path / "outputs").exists(), "nothing is written where it was"


def test_a_fine_tuned_run_goes_on_without_its_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = started(tmp_path / "base")
    monkeypatch.chdir(tmp_path)
    run = started(tmp_path / "run", "init_from=base", "optimizer.learning_rate=0.001")
    shutil.rmtree(base)
    assert on(run) == 0
    assert record(run)["images"] == LONG


def test_a_fine_tuned_run_that_was_cut_before_its_first_checkpoint_says_what_it_needs(tmp_path: Path) -> None:
    base = started(tmp_path / "base")
    run = started(tmp_path / "run", f"init_from={base}")
    shutil.rmtree(run / "checkpoints")
    (run / "run.json").write_text(json.dumps({**record(run), "images": 0, "status": "running"}))
    base.rename(tmp_path / "gone")
    refused(run, r"cut before its first checkpoint, so it begins again from .*init_from='.*base', and they are gone")
    (tmp_path / "gone").rename(base)
    assert on(run) == 0


# ---- what is typed ----


def test_a_dry_run_of_a_run_that_goes_on_trains_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = started(tmp_path / "run")
    before = files(run)
    for yes in ("true", "TRUE"):
        assert on(run, f"dry_run={yes}") == 0
        assert "measured in a few steps" in capsys.readouterr().out
    assert files(run) == before


@pytest.mark.parametrize("words", [["++resume=run"], ["+resume=run"], ["resume=other", "resume=run"]])
def test_the_run_that_hydra_would_read_is_the_one_that_goes_on(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = started(tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    assert command([*words, f"trainer.total_images={LONG}"]) == 0
    assert record(run)["images"] == LONG
    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize("word", ["resume=", "++resume=", "init_from=", "resume=''"])
def test_a_run_of_no_name_is_none(word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"(resume|init_from)= names no run: give its folder, or leave it out"):
        command([word, "trainer.total_images=8"])
    assert list(tmp_path.iterdir()) == []


# ---- the other commands ----


def wanted(command: str, *overrides: str) -> dict[str, Any]:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        return OmegaConf.to_container(compose(command, overrides=list(overrides)), resolve=True)  # type: ignore[return-value]


def test_scores_are_of_the_data_where_it_lies_now(tmp_path: Path) -> None:
    data = pictures(tmp_path / "old")
    run = started(tmp_path / "run", *FOLDER, f"dataset.root={data}")
    asked = [f"checkpoint={run}", "metric=[ms_ssim]", "metric.ms_ssim.pairs=4", "count=8", "device=cpu"]
    evaluate(wanted("evaluate", *asked))
    data.rename(tmp_path / "new")
    with pytest.raises(UserError, match=r"not in '.*old', which does not exist: .*dataset\.root=FOLDER"):
        evaluate(wanted("evaluate", *asked))
    evaluate(wanted("evaluate", *asked, f"dataset.root={tmp_path / 'new'}"))
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    kept = [{key: line[key] for key in ("name", "value", "protocol_digest")} for line in lines]
    assert kept[: len(kept) // 2] == kept[len(kept) // 2 :], "the same data, the same scores"
    others, before = pictures(tmp_path / "other", seed=50), files(run)
    with pytest.raises(UserError, match=r"dataset\.root='.*other' holds other data than the run was trained on"):
        evaluate(wanted("evaluate", *asked, f"dataset.root={others}"))
    shutil.rmtree(data, ignore_errors=True)
    others.rename(data)
    with pytest.raises(UserError, match=r"dataset\.root='.*old' holds other data than the run was trained on"):
        evaluate(wanted("evaluate", *asked))
    assert files(run) == before


def test_held_out_pictures_are_shown_from_where_they_lie_now(
    tmp_path: Path, tiny_pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(tiny_pictures / "pairs", tmp_path / "old")
    config = compose_checked(
        *("model=pix2pix", *TINY["pix2pix"][1:3], "dataset=pairs", f"dataset.root={tmp_path / 'old'}"),
        *(*QUICK, "trainer.device=cpu", "trainer.total_images=8"),
    )
    run = tmp_path / "run"
    launch(config, run)
    (tmp_path / "old").rename(tmp_path / "new")
    asked = [f"checkpoint={run}", "device=cpu"]
    with pytest.raises(UserError, match=r"dataset\.root=FOLDER; .*say input=FOLDER_OR_IMAGE"):
        sample(wanted("sample", *asked))
    sample(wanted("sample", *asked, f"dataset.root={tmp_path / 'new'}"))
    assert "of held-out pictures by" in capsys.readouterr().out
    shutil.rmtree(tmp_path / "new" / "B")
    shutil.copytree(tmp_path / "new" / "A", tmp_path / "new" / "B")
    with pytest.raises(UserError, match="holds other data than the run was trained on"):
        sample(wanted("sample", *asked, f"dataset.root={tmp_path / 'new'}"))


def test_a_root_for_what_looks_at_no_data_is_refused(tmp_path: Path) -> None:
    run = started(tmp_path / "run")
    with pytest.raises(UserError, match=r"dataset\.root= is for grids of a run's held-out pictures"):
        sample(wanted("sample", f"checkpoint={run}", "dataset.root=x", "device=cpu"))
    with pytest.raises(UserError, match=r"dataset\.root='x' has no use: the data of '.*run' lies in no folder"):
        evaluate(wanted("evaluate", f"checkpoint={run}", "metric=[ms_ssim]", "dataset.root=x", "device=cpu"))
    with pytest.raises(UserError, match="a= and b= are the folders themselves"):
        evaluate(wanted("evaluate", "a=x", "b=y", "metric=[ms_ssim]", "dataset.root=x"))


# ---- refused in every way ----


def without_checkpoints(run: Path) -> None:
    for path in (run / "checkpoints").glob("images-*"):
        path.unlink()


def damaged(run: Path) -> None:
    for path in checkpoint.listed(run):
        path.write_bytes(path.read_bytes()[:-9] + b"123456789")


def of_another_run(run: Path) -> None:
    other = started(run.parent / "other", "seed=9", until=LONG)
    for path in (other / "checkpoints").glob("images-000000032*"):
        shutil.copy(path, run / "checkpoints")


def without_an_optimizer(run: Path) -> None:
    (path,) = checkpoint.listed(run)
    content = checkpoint.read(path)
    del content["optimizers"]["generator"]
    checkpoint.write(path, content, {})


def of_other_tensors(run: Path) -> None:
    (path,) = checkpoint.listed(run)
    content = checkpoint.read(path)
    content["optimizers"]["generator"]["state"][0]["exp_avg"] = torch.zeros(3)
    checkpoint.write(path, content, {})


def nothing(run: Path) -> None:
    pass


WAYS: dict[str, tuple[Callable[[Path], None], list[str], str]] = {
    "no such device": (nothing, ["trainer.device=mps"], "trainer.device=mps"),
    "another rate": (nothing, ["optimizer.learning_rate=0.1"], "would make it another"),
    "another part": (nothing, ["loss=hinge"], "keeps the run's parts"),
    "an unknown key": (nothing, ["trainer.totl_images=9"], "did you mean"),
    "a bad value": (nothing, ["trainer.keep_checkpoints=none"], "whole number"),
    "a sweep": (nothing, ["-m"], "goes on with one run"),
    "processes that don't share": (nothing, ["trainer.processes=3"], "can't be cut into 3"),
    "a root for no folder": (nothing, ["dataset.root=x"], "not an option of this run"),
    "no checkpoints": (without_checkpoints, [], "are gone"),
    "no whole checkpoint": (damaged, [], "no valid checkpoint is left"),
    "the checkpoint of another run": (of_another_run, [], "a checkpoint of another run: seed is 9 there"),
    "a checkpoint of other phases": (without_an_optimizer, [], "has no optimizer for generator"),
    "a checkpoint of other tensors": (of_other_tensors, [], "exp_avg of parameter 0 does not fit"),
}


@pytest.mark.parametrize("status", ["finished", "running"])
@pytest.mark.parametrize("way", WAYS)
def test_a_refused_run_stays_as_it_is_byte_for_byte(way: str, status: str, tmp_path: Path) -> None:
    """What a killed process left half written too, and what a run that was killed says of itself."""
    harm, typed, words = WAYS[way]
    run = started(tmp_path / "run")
    (run / "run.json").write_text(json.dumps({**record(run), "status": status}, indent=2) + "\n")
    (run / ".run.json.abcdefgh").write_text("{")
    (run / "samples" / "images-000000099.png.tmp").write_text("")
    harm(run)
    refused(run, words, *typed)


def test_a_device_that_torch_alone_knows_to_be_missing_refuses_a_run_before_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = started(tmp_path / "run")
    monkeypatch.setattr("gan_cli.check.check.check_device", lambda key, value: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    refused(run, "trainer.device=cuda, but torch finds no CUDA GPU here", "trainer.device=cuda")


def test_a_run_in_use_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    run = started(tmp_path / "run")
    with open(run / ".lock", "a+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        refused(run, "in use by another process")
    with locked(run, "the run folder"):
        pass


class Unready:
    def __init__(self, *rest: Any) -> None:
        pass

    def ready(self, gan: Any) -> None:
        raise UserError("the weights of the features are gone")


def test_scores_that_can_not_be_made_refuse_a_run_before_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored = ["metric=[ms_ssim]", "trainer.evaluate_count=8", "metric.ms_ssim.pairs=4"]
    run = started(tmp_path / "run", *scored)
    monkeypatch.setattr("gan_cli.run.train.Evaluator", Unready)
    refused(run, "weights of the features are gone")


def test_a_run_that_fails_once_it_goes_on_says_so_in_its_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it was killed before, so that its record reads the same when it goes on."""
    run = started(tmp_path / "run")

    def broken(*rest: Any) -> None:
        raise RunError("broken for the test")

    monkeypatch.setattr("gan_cli.run.train.loop", broken)
    (run / "run.json").write_text(
        json.dumps({**record(run), "status": "running", "total_images": LONG}, indent=2) + "\n"
    )
    with pytest.raises(RunError, match="broken for the test"):
        on(run)
    assert (record(run)["status"], record(run)["total_images"]) == ("failed", LONG)
    assert "broken for the test" in record(run)["error"]
