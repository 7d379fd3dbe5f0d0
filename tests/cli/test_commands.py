"""The commands as a person runs them: what they write, how they end, what they refuse."""

from __future__ import annotations

import fcntl
import json
import math
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import forked
import numpy
import pytest
import torch
import yaml
from conftest import QUICK, ROOT, TINY, compose_checked
from PIL import Image

from gan_cli.base import checkpoint
from gan_cli.base.errors import DivergedError, UserError
from gan_cli.base.naming import name_of
from gan_cli.base.run_folder import model_facts
from gan_cli.cli.help import first_comment
from gan_cli.run.train import train
from gan_cli.use.load import load_trained
from gan_cli.use.sample import class_numbers

Run = Callable[..., "subprocess.CompletedProcess[str]"]

CPU = "trainer.device=cpu"
SMALL = ["model=gan", *TINY["gan"], *QUICK, CPU]


def started(*arguments: str, cwd: Path, name: str = "gan-train") -> forked.Command:
    """A command that goes on while the test does."""
    return forked.start(name, *arguments, cwd=cwd)


def finished(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Warning" not in done.stderr, done.stderr
    return done.stdout


def run_json(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "run.json").read_text())


def scalars(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "scalars.jsonl").read_text().splitlines()]


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one finished run in `run`, of 64 images, which no test changes."""
    folder = tmp_path_factory.mktemp("place")
    process = started(*SMALL, "trainer.total_images=64", "hydra.run.dir=run", cwd=folder)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, out + err
    return folder


@pytest.fixture
def copied(place: Path, tmp_path: Path) -> Path:
    """A copy of that run that a test may change."""
    shutil.copytree(place / "run", tmp_path / "run")
    return tmp_path / "run"


# ---- what a run writes ----


def test_a_run_writes_its_folder_and_says_what_comes_next(run_command: Run, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    more = ["trainer.total_images=64", "trainer.checkpoint_every_images=32", "trainer.sample_every_images=32"]
    out = finished(run_command("gan-train", *SMALL, *more, "name=first try", "notes=it's (a) test = yes"))
    (folder,) = (tmp_path / "outputs").glob("*/*")
    assert folder.parent.name == f"{name_of('first try')}-gan-nonsaturating-digits"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d\.\d{3}", folder.name)
    found = files_below(folder)
    expected = {".hydra/config.yaml", "config.json", "run.json", "run.log", "scalars.jsonl"}
    expected |= {f"checkpoints/images-{n:09d}.{end}" for n in (32, 64) for end in ("pt", "json")}
    expected |= {f"samples/images-{n:09d}.png" for n in (32, 64)}
    assert expected <= found
    assert sum("tfevents" in name for name in found) == 1
    assert not [name for name in found if name.endswith(".tmp")]

    record = run_json(folder)
    assert (record["status"], record["images"], record["total_images"]) == ("finished", 64, 64)
    assert record["parameters"] == {"generator": 2040, "discriminator": 64 * 16 + 16 + 16 * 8 + 8 + 8 + 1}
    assert 0 < record["seconds"] < 240
    assert record["versions"]["torch"] == metadata.version("torch")
    assert "git_commit" in record
    assert record["device"].startswith("cpu")
    assert record["notes"] == "it's (a) test = yes"
    assert record["error"] is None
    assert [line["images"] for line in scalars(folder)] == [16, 32, 48, 64]

    side = json.loads((folder / "checkpoints" / "images-000000064.json").read_text())
    assert side["progress"]["images"] == 64
    assert side["model"] == "gan"
    assert len(side["digest"]) == 64
    with Image.open(folder / "samples" / "images-000000064.png") as grid:
        assert grid.size == (2 * 48 + 6, 2 * 48 + 6), "4 samples of 8x8, enlarged to 48, with borders of 2"

    assert (folder / "run.log").read_text() == out
    shown = folder.relative_to(tmp_path)
    for line in (
        "model      gan   generator 2,040",
        f"next       gan-sample checkpoint={shown}",
        "done       64 images",
    ):
        assert line in out


def test_resume_extends_a_finished_run_by_the_printed_command(run_command: Run, copied: Path, tmp_path: Path) -> None:
    before = scalars(copied)
    out = finished(run_command("gan-train", f"resume={copied}", "trainer.total_images=112"))
    assert "changed: trainer.total_images: 64 -> 112" in out
    assert "images-000000064.pt, 64 images" in out
    record = run_json(copied)
    assert (record["status"], record["images"], record["total_images"]) == ("finished", 112, 112)
    assert scalars(copied)[: len(before)] == before
    assert [line["images"] for line in scalars(copied)] == [16, 32, 48, 64, 80, 96, 112]
    assert not (tmp_path / "outputs").exists(), "a resume makes no second folder"


def test_resume_of_a_finished_run_says_so_and_changes_nothing(run_command: Run, copied: Path, no_torch: str) -> None:
    before = {name: (copied / name).stat().st_mtime_ns for name in files_below(copied)}
    done = run_command("gan-train", f"resume={copied}", PYTHONPATH=no_torch)
    assert "is finished (64 images)" in finished(done)
    assert "trainer.total_images=N" in done.stdout
    assert {name: (copied / name).stat().st_mtime_ns for name in files_below(copied)} == before


def test_init_from_starts_a_new_run_with_the_weights_of_another(run_command: Run, copied: Path, tmp_path: Path) -> None:
    arguments = [*SMALL, "loss=hinge", f"init_from={copied}", "hydra.run.dir=new", "optimizer.learning_rate=0"]
    out = finished(run_command("gan-train", *arguments, "trainer.total_images=16"))
    assert "weights from" in out
    assert run_json(tmp_path / "new")["init_from"] == str(copied)
    old, new = checkpoint.load(copied, print)[1], checkpoint.load(tmp_path / "new", print)[1]
    assert new["progress"]["images"] == 16
    for name, value in old["ema"]["generator"].items():
        assert torch.equal(value, new["game"][f"generator.{name}"]), "the averaged generator"
    critic = [name for name in old["game"] if name.startswith("discriminator.")]
    assert critic
    for name in critic:
        assert torch.equal(old["game"][name], new["game"][name])


# ---- gan-sample ----


def test_sample_writes_a_grid_files_or_an_array_and_repeats_itself(run_command: Run, copied: Path) -> None:
    first = finished(run_command("gan-sample", f"checkpoint={copied}", "count=6", "columns=3", "output=a grid.png"))
    home = copied.parent
    assert "6 samples of" in first
    with Image.open(home / "a grid.png") as grid:
        assert grid.size == (3 * 50 + 2, 2 * 50 + 2)
    finished(run_command("gan-sample", f"checkpoint={copied}", "format=npz", "count=6", "output=array"))
    stored = numpy.load(home / "array" / "samples.npz")
    assert stored["samples"].shape == (6, 8, 8, 1)
    assert stored["samples"].dtype == numpy.uint8
    assert stored["latents"].shape == (6, 100)
    assert json.loads(str(stored["about"]))["images"] == 64
    file = copied / "checkpoints" / "images-000000064.pt"
    finished(run_command("gan-sample", f"checkpoint={file}", "format=png", "count=6", "output=files", "batch_size=4"))
    names = sorted(path.name for path in (home / "files").glob("*.png"))
    assert names == [f"{number:06d}.png" for number in range(6)]
    for number, name in enumerate(names):
        with Image.open(home / "files" / name) as image:
            pixels = numpy.asarray(image).astype(int)
        assert abs(pixels - stored["samples"][number, :, :, 0]).max() <= 1, "one seed, one set of samples"


def test_sample_takes_labels_by_number_and_by_name(run_command: Run, tmp_path: Path) -> None:
    config = compose_checked("model=cdcgan", *TINY["cdcgan"], *QUICK, CPU, "trainer.total_images=16")
    train(config, tmp_path / "run")
    finished(run_command("gan-sample", "checkpoint=run", "labels=[3,7]", "count=5", "format=npz", "output=a.npz"))
    assert numpy.load(tmp_path / "a.npz")["labels"].tolist() == [3, 7, 3, 7, 3]
    trained = load_trained(tmp_path / "run", device="cpu")
    assert class_numbers(["0", 4], trained) == [0, 4]
    with pytest.raises(UserError, match=r"'12', which is no class of this model; .*it knows 0 \"0\", .*, 9 \"9\""):
        class_numbers([3, 12], trained)


SAMPLE_REFUSALS = {
    "no checkpoint": (["checkpoint=nowhere"], "no checkpoint in 'nowhere'"),
    "nothing given": ([], "checkpoint is needed"),
    "count of zero": (["checkpoint=run", "count=0"], "count=0"),
    "count of a word": (["checkpoint=run", "count=many"], "many"),
    "negative seed": (["checkpoint=run", "seed=-1"], "seed=-1"),
    "unknown format": (["checkpoint=run", "format=gif"], "grid, png, npz"),
    "columns of zero": (["checkpoint=run", "columns=0"], "columns=0"),
    "ema of a word": (["checkpoint=run", "ema=perhaps"], "ema"),
    "unknown device": (["checkpoint=run", "device=tpu"], "tpu"),
    "no label": (["checkpoint=run", "labels=[]"], "labels=[]"),
    "several classes of one walk": (["checkpoint=run", "labels=[1,2]", "mode=interpolation"], "shows one class"),
    "misspelled key": (["checkpoint=run", "colums=3"], "did you mean columns"),
    "a key of gan-train's": (
        ["checkpoint=run", "optimizer.learning_rate=1"],
        "optimizer.learning_rate is not an option; gan-sample --cfg job",
    ),
    "output that exists": (["checkpoint=run", "output=taken.png"], "exists already"),
    "a sweep": (["-m", "checkpoint=run", "seed=0,1"], "no sweeps"),
}


@pytest.mark.parametrize("name", SAMPLE_REFUSALS)
def test_sample_refuses_before_torch_is_loaded(name: str, run_command: Run, no_torch: str, tmp_path: Path) -> None:
    arguments, words = SAMPLE_REFUSALS[name]
    fake_run(tmp_path / "run", "gan")
    (tmp_path / "taken.png").write_bytes(b"mine")
    before = files_below(tmp_path)
    done = run_command("gan-sample", *arguments, PYTHONPATH=no_torch)
    assert_refused(done)
    assert words in done.stderr
    assert files_below(tmp_path) == before
    assert (tmp_path / "taken.png").read_bytes() == b"mine"


def test_sample_says_that_an_unconditional_model_has_no_labels(run_command: Run, copied: Path) -> None:
    done = run_command("gan-sample", f"checkpoint={copied}", "labels=[1]")
    assert_refused(done)
    assert "conditional" in done.stderr


# ---- what is said without a run ----


@pytest.fixture
def no_torch(tmp_path_factory: pytest.TempPathFactory) -> str:
    """For PYTHONPATH: a command that imports torch ends at once with exit code 99."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "sitecustomize.py").write_text(
        "import os, sys\n"
        "class NoTorch:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('torch', 'torchvision', 'tensorboard'):\n"
        "            os.write(2, b'torch was imported')\n"
        "            os._exit(99)\n"
        "sys.meta_path.insert(0, NoTorch())\n"
    )
    return str(folder)


def test_torch_is_missed_where_it_is_needed(run_command: Run, no_torch: str) -> None:
    """The tests that use `no_torch` can fail."""
    assert run_command("gan-train", *SMALL, "trainer.total_images=16", PYTHONPATH=no_torch).returncode == 99


def test_help_lists_every_group_option_and_key(run_command: Run, no_torch: str, tmp_path: Path) -> None:
    out = finished(run_command("gan-train", "--help", PYTHONPATH=no_torch))
    sample = finished(run_command("gan-sample", "--help", PYTHONPATH=no_torch))
    for file in (ROOT / "conf").glob("*/*.yaml"):
        of_samples = file.parent.name == "mode"
        there, elsewhere = (sample, out) if of_samples else (out, sample)
        assert f"{file.parent.name}= (one of" in there
        assert f"{file.parent.name}= (one of" not in elsewhere
        described = rf"^  {file.stem} +{re.escape(first_comment(file))}$"
        assert re.search(described, there, re.MULTILINE), file
        for key in yaml.safe_load(file.read_text()) if of_samples else []:
            assert key == "mode" or re.search(rf"^  {key} = ", sample, re.MULTILINE), key
    for key in ("seed", "name", "notes", "sweep", "resume", "init_from", "trust"):
        assert re.search(rf"^  {key} = ", out, re.MULTILINE), key
    for key in ("checkpoint", "count", "labels", "format", "output", "ema", "device"):
        assert re.search(rf"^  {key} = ", sample, re.MULTILINE), key
    assert files_below(tmp_path) == set()


@pytest.mark.parametrize("name", ["gan-train", "gan-sample", "gan-evaluate", "gan-report"])
def test_version_is_one_line(name: str, run_command: Run, no_torch: str) -> None:
    assert re.fullmatch(r"gan_cli \d+\.\d+\.\d+\S*\n", finished(run_command(name, "--version", PYTHONPATH=no_torch)))


def test_cfg_job_prints_the_config_and_makes_no_folder(run_command: Run, no_torch: str, tmp_path: Path) -> None:
    out = finished(run_command("gan-train", "loss=wgan_gp", "--cfg", "job", PYTHONPATH=no_torch))
    assert "gan_cli.losses.adversarial.Wasserstein" in out
    assert "total_images: 100000" in out
    out = finished(run_command("gan-train", "loss=wgan_gp", "--cfg", "job", "--resolve", PYTHONPATH=no_torch))
    assert "batch_size: 64" in out
    assert "${" not in out
    assert files_below(tmp_path) == set()


@pytest.mark.parametrize("model", TINY)
@pytest.mark.sampled(3)
def test_every_config_can_be_printed_resolved(model: str, run_command: Run, no_torch: str) -> None:
    dataset = [option for option in TINY[model] if option.startswith("dataset")]
    out = finished(
        run_command("gan-train", f"model={model}", *dataset, "--cfg", "job", "--resolve", PYTHONPATH=no_torch)
    )
    assert "_target_: gan_cli" in out
    assert "${" not in out


def test_info_does_not_crash(run_command: Run, tmp_path: Path) -> None:
    done = run_command("gan-train", "--info", "defaults")
    assert done.returncode == 0
    assert "Traceback" not in done.stdout + done.stderr
    assert "model" in done.stdout
    assert files_below(tmp_path) == set()


# ---- refusals ----


def assert_refused(done: subprocess.CompletedProcess[str]) -> None:
    """Exit code 2 and one sentence."""
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    lines = done.stderr.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: ")
    assert len(lines[0]) > 20
    assert "Traceback" not in done.stdout + done.stderr


def fake_run(folder: Path, model: str) -> None:
    """What the check may see of another run: its checkpoint's side file."""
    facts = model_facts(compose_checked(f"model={model}", *TINY[model]))
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "images-000000064.pt").write_bytes(b"never read")
    side = {"format": checkpoint.FORMAT, "digest": "", "networks": facts}
    (folder / "checkpoints" / "images-000000064.json").write_text(json.dumps(side))


def materials(folder: Path) -> None:
    """Inputs that can't work: an empty folder, one with a corrupt picture, one without labels."""
    for name in ("empty", "corrupt", "flat"):
        (folder / name).mkdir()
    for number in range(3):
        Image.new("RGB", (20, 20), (number * 60, 0, 0)).save(folder / "flat" / f"{number}.png")
    shutil.copy(folder / "flat" / "0.png", folder / "corrupt" / "good.png")
    (folder / "corrupt" / "cut short.png").write_bytes((folder / "flat" / "1.png").read_bytes()[:45])
    (folder / "a file").write_text("no folder")
    fake_run(folder / "other", "dcgan")
    for place, (width, height) in {
        **{f"pairs/{side}/{number}": (32, 32) for side in "AB" for number in range(3)},
        **{f"lone/A/{number}": (32, 32) for number in range(3)},
        **{f"strangers/{name}": (32, 32) for name in ("A/1", "A/2", "B/2", "B/3")},
        **{"sizes/A/1": (32, 32), "sizes/B/1": (32, 40), "odd/1": (33, 32), "half/trainA/1": (32, 32)},
    }.items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (width, height)).save(folder / f"{place}.png")
    (folder / "half" / "trainB").mkdir()


def on(model: str, dataset: str, root: str, *more: str) -> list[str]:
    return [f"model={model}", f"dataset={dataset}", f"dataset.root={root}", *more]


# name: what is typed, and words that the sentence must have
REFUSALS: dict[str, tuple[list[str], list[str]]] = {
    "misspelled group": (["los=hinge"], ["los", "did you mean loss"]),
    "misspelled option": (["model=dcgann"], ["model=dcgann", "did you mean dcgan", "cdcgan"]),
    "misspelled experiment": (["experiment=ringg"], ["did you mean ring"]),
    "misspelled key": (["trainer.batchsize=3"], ["did you mean trainer.batch_size"]),
    "misspelled key of a chosen model": (["model=pix2pix", "model.l1_wieght=3"], ["did you mean model.l1_weight"]),
    "misspelled key of the second metric": (
        ["metric=[fid,kid]", "metric.kid.subsest=3"],
        ["did you mean metric.kid.sub"],
    ),
    "misspelled key of a network": (["model.generator.base_channel=3"], ["did you mean model.generator.base_channels"]),
    "a word for a number": (["trainer.total_images=abc"], ["trainer.total_images=abc", "whole number"]),
    "a fraction of a count": (["trainer.batch_size=2.5"], ["trainer.batch_size=2.5", "whole number"]),
    "a number for a truth value": (["dataset.flip=3"], ["dataset.flip=3", "true or false"]),
    "a batch of none": (["trainer.batch_size=0"], ["trainer.batch_size=0"]),
    "a negative cadence": (["trainer.log_every_images=-1"], ["trainer.log_every_images=-1"]),
    "a negative seed": (["seed=-1"], ["seed=-1"]),
    "a seed of a word": (["seed=x"], ["seed='x'"]),
    "an unknown precision": (["trainer.precision=float8"], ["float8", "bfloat16"]),
    "an unknown device": (["trainer.device=tpu"], ["tpu", "cuda"]),
    "a batch that can't be cut": (["trainer.batch_size=10", "trainer.accumulate=3"], ["9 or 12"]),
    "processes that don't divide": (["trainer.processes=3"], ["63 or 66"]),
    "a mean over a cut batch": (["loss=relativistic_average", "trainer.accumulate=2"], ["relativistic_average"]),
    "a deviation over a cut batch": (["penalty=dragan", "trainer.accumulate=2"], ["penalty=dragan"]),
    "a penalty twice": (["loss=wgan_gp", "penalty=gradient_penalty"], ["loss.penalties.gradient_penalty.weight"]),
    "no critic updates": (["loss.n_critic=0"], ["loss.n_critic=0"]),
    "a penalty never due": (["penalty=r1", "penalty.r1.every=0"], ["penalty.r1.every=0"]),
    "one beta": (["optimizer.betas=[0.5]"], ["optimizer.betas"]),
    "a negative rate": (["optimizer.learning_rate=-1"], ["optimizer.learning_rate=-1"]),
    "a rate of a word": (["optimizer.learning_rate=fast"], ["fast"]),
    "a schedule without end": (["optimizer.schedule.kind=linear"], ["optimizer.schedule.end_images"]),
    "an unknown schedule": (["optimizer.schedule.kind=wobbly"], ["wobbly", "cosine"]),
    "no folder given": (["dataset=image_folder"], ["dataset.root=FOLDER"]),
    "a missing folder": (["dataset=image_folder", "dataset.root=nowhere"], ["nowhere", "does not exist"]),
    "an empty folder": (["dataset=image_folder", "dataset.root=empty"], ["empty", "no images"]),
    "a file for a folder": (["dataset=image_folder", "dataset.root=a file"], ["a file", "folder of images"]),
    "a corrupt picture": (["dataset=image_folder", "dataset.root=corrupt"], ["cut short.png", "skip_corrupt=true"]),
    "no labels": (["model=cdcgan", "dataset=image_folder", "dataset.root=flat"], ["needs labels", "sub-folders"]),
    "faces without an attribute": (["model=cdcgan", "dataset=celeba"], ["needs labels", "dataset.attribute"]),
    "points for images": (["model=dcgan", "dataset=gaussians"], ["needs images", "model=toy"]),
    "images for points": (["model=toy"], ["needs points", "gaussians"]),
    "files not there": (["dataset=mnist", "dataset.root=nowhere", "dataset.download=false"], ["nowhere", "digits"]),
    "no power of two": (["dataset.resolution=20"], ["16 or 32"]),
    "no multiple of four": (["model=cdcgan", "dataset.resolution=10"], ["8 or 12"]),
    "a resolution of none": (["model=gan", "dataset.resolution=0"], ["dataset.resolution=0"]),
    "two channels": (["dataset.channels=2"], ["dataset.channels=2"]),
    "an unknown split": (["dataset.split=dev"], ["dataset.split=dev", "test"]),
    "a negative crop": (["dataset.crop_padding=-1"], ["dataset.crop_padding=-1"]),
    "a crop wider than the image": (["model=gan", "dataset.crop_padding=8"], ["dataset.crop_padding=8"]),
    "a class not allowed": (["model._target_=os.system"], ["os.system", "trust=[os]"]),
    "a class not there": (["loss._target_=gan_cli.losses.adversarial.Hing"], ["did you mean Hinge"]),
    "trust of no list": (["trust=my_package"], ["trust=[my_package]"]),
    "several values without -m": (["loss=hinge,wgan"], ["loss=hinge,wgan"]),
    "no value": (["seed"], ["seed"]),
    "weights of nothing": (["init_from=nowhere"], ["no checkpoint in 'nowhere'"]),
    "weights of another model": (["model=gan", "init_from=other"], ["another model"]),
    "weights of another size": (["model=dcgan", "init_from=other"], ["another model", "base_channels is 4", "64"]),
    "a resume of nothing": (["resume=nowhere"], ["nowhere", "run.json"]),
    "a resume of no run": (["resume=flat"], ["flat", "run.json"]),
    "a bad cell of a grid": (["-m", "seed=0,1", "dataset.resolution=16,20"], ["dataset.resolution=20"]),
    "a flag between overrides": (["seed=0,1", "-m", "dataset.resolution=16,20"], ["dataset.resolution=20"]),
    "an unknown flag": (["--sweep", "seed=0,1"], ["--sweep"]),
    "an unknown option in a grid": (["-m", "loss=hinge,hingy"], ["hingy"]),
    "pairs without a folder": (["model=pix2pix", "dataset=pairs"], ["dataset.root=FOLDER"]),
    "one side of pairs": (on("pix2pix", "pairs", "lone"), ["A/", "no B/"]),
    "names that don't match": (on("pix2pix", "pairs", "strangers"), ["1 of 2", "'1.png'", "dataset=unpaired"]),
    "partners of two sizes": (on("pix2pix", "pairs", "sizes"), ["32x32", "32x40", "one size"]),
    "halves of an odd width": (on("pix2pix", "pairs", "odd"), ["33 pixels wide", "A/ and B/"]),
    "an empty side": (on("cyclegan", "unpaired", "half"), ["half/trainB", "no images"]),
    "a side that is missing": (on("cyclegan", "unpaired", "lone"), ["no folder B/", "trainA/ and trainB/"]),
    "pictures smaller than the crop": (on("srgan", "degraded", "pairs"), ["5 of 5", "dataset.resolution=96", "32x32"]),
    "a window wider than the picture": (
        on("pix2pix", "pairs", "pairs", "dataset.resolution=32", "dataset.load_resolution=20"),
        ["dataset.load_resolution=20", "at least", "32"],
    ),
    "nothing held out": (on("pix2pix", "pairs", "pairs", "dataset.held_out=0"), ["dataset.held_out=0"]),
    "images for pairs": (["model=pix2pix"], ["sources and targets", "data sets that fit: pairs (", "dcgan"]),
    "pairs for two piles": (on("cyclegan", "pairs", "pairs"), ["unpaired sides", "fit: unpaired", "pix2pix)"]),
    "pairs for enlarging": (on("srgan", "pairs", "pairs"), ["srgan", "degraded"]),
    "good pictures for pix2pix": (on("pix2pix", "degraded", "pairs", "dataset.resolution=32"), ["fit: pairs", "srgan"]),
    "an odd scale": (on("srgan", "degraded", "pairs", "dataset.resolution=32", "model.scale=3"), ["scale=3", "2, 4"]),
    "a hole larger than the picture": (
        on("inpainting", "degraded", "pairs", "dataset.resolution=32", "model.brings.degradation.area=1.5"),
        ["area=1.5", "above 0 and below 1"],
    ),
    "identity of grey and colour": (
        on("cyclegan", "unpaired", "pairs", "dataset.source_channels=1"),
        ["model.identity=0.5", "1 and 3", "model.identity=0"],
    ),
    "features for a model without": (
        ["perceptual=vgg19"],
        ["perceptual=vgg19", "model=medgan_translation or srgan has"],
    ),
    "features of no network": (
        on("srgan", "degraded", "pairs", "dataset.resolution=32", "perceptual=features"),
        ["perceptual.network._target_ is needed"],
    ),
    "a cell twice in a grid": (["-m", "seed=0,0"], ["the sweep has the cell seed=0 twice"]),
}


@pytest.mark.parametrize("name", REFUSALS)
@pytest.mark.sampled(3)
def test_refused_in_one_sentence_without_torch_or_a_folder(
    name: str, run_command: Run, no_torch: str, tmp_path: Path
) -> None:
    arguments, words = REFUSALS[name]
    materials(tmp_path)
    before = files_below(tmp_path)
    done = run_command("gan-train", *arguments, PYTHONPATH=no_torch, XDG_CACHE_HOME=str(Path(no_torch) / "cache"))
    assert_refused(done)
    for word in words:
        assert word in done.stderr, done.stderr
    assert files_below(tmp_path) == before, "nothing was made"


RESUME_REFUSALS: dict[str, tuple[list[str], list[str]]] = {
    "another part": (["model=dcgan"], ["model=dcgan", "init_from="]),
    "another rate": (["optimizer.learning_rate=0.1"], ["optimizer.learning_rate: 0.0002 -> 0.1", "init_from="]),
    "another batch": (["trainer.batch_size=16"], ["trainer.batch_size: 8 -> 16"]),
    "another seed": (["seed=1"], ["seed: 0 -> 1"]),
    "an unknown key": (["trainer.totl_images=99"], ["did you mean trainer.total_images"]),
    "a sweep": (["-m"], ["sweep="]),
    "several values": (["trainer.total_images=99,100"], ["several values"]),
    "a bad value": (["trainer.total_images=abc"], ["whole number"]),
}


@pytest.mark.parametrize("name", RESUME_REFUSALS)
def test_a_resume_that_would_be_another_run_is_refused(
    name: str, run_command: Run, copied: Path, no_torch: str
) -> None:
    arguments, words = RESUME_REFUSALS[name]
    before = {name: (copied / name).stat().st_mtime_ns for name in files_below(copied)}
    done = run_command("gan-train", f"resume={copied}", *arguments, PYTHONPATH=no_torch)
    assert_refused(done)
    for word in words:
        assert word in done.stderr, done.stderr
    assert {name: (copied / name).stat().st_mtime_ns for name in files_below(copied)} == before


def test_a_second_run_in_the_same_folder_is_refused(run_command: Run, copied: Path, no_torch: str) -> None:
    kept = ("config.json", ".hydra/config.yaml", "run.json")
    before = [(copied / name).read_bytes() for name in kept]
    with open(copied / ".lock", "a+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        going_on = run_command("gan-train", f"resume={copied}", "trainer.total_images=99", PYTHONPATH=no_torch)
        assert [(copied / name).read_bytes() for name in kept] == before, "the run that goes on there keeps its config"
        same = [*SMALL, "trainer.total_images=64", f"hydra.run.dir={copied}"]
        anew = run_command("gan-train", *same, PYTHONPATH=no_torch)
    for done in (going_on, anew):
        assert_refused(done)
        assert "in use by another process" in done.stderr
    assert run_json(copied)["images"] == 64


def test_a_new_run_does_not_go_on_in_the_folder_of_another_one(run_command: Run, copied: Path) -> None:
    """The same hydra.run.dir with another config: refused, or the old checkpoint would be continued under it."""
    before = checkpoint.listed(copied)[0].read_bytes()
    arguments = [*SMALL, "loss=hinge", f"hydra.run.dir={copied}", "trainer.total_images=128"]
    done = run_command("gan-train", *arguments)
    assert_refused(done)
    assert [path.read_bytes() for path in checkpoint.listed(copied)] == [before]
    assert run_json(copied)["parts"]["loss"] == "nonsaturating"
    assert json.loads((copied / "config.json").read_text())["loss"]["_target_"].endswith("NonSaturating")


# ---- paths as typed ----


def test_paths_with_spaces_parentheses_equals_and_an_apostrophe_work_as_typed(run_command: Run, tmp_path: Path) -> None:
    pictures = tmp_path / "it's (my) a=b, pictures"
    pictures.mkdir()
    for number in range(4):
        Image.new("L", (12, 12), number * 60).save(pictures / f"picture {number}.png")
    run = "run (1) of a=b, it's mine"
    arguments = ["dataset=image_folder", f"dataset.root={pictures.name}", "dataset.resolution=8"]
    out = finished(run_command("gan-train", *SMALL, *arguments, "trainer.total_images=16", f"hydra.run.dir={run}"))
    (command,) = re.findall(r"^next +gan-sample (.*)$", out, re.MULTILINE)
    (again,) = re.findall(r"^ +gan-train (resume=.*)$", out, re.MULTILINE)
    assert json.loads((tmp_path / run / "config.json").read_text())["dataset"]["root"] == str(pictures)
    finished(run_command("gan-train", *shlex.split(again)))
    assert run_json(tmp_path / run)["images"] == 32
    finished(run_command("gan-sample", *shlex.split(command), "output=out (1)=it's.png", "count=4"))
    assert (tmp_path / "out (1)=it's.png").is_file()


# ---- sweeps ----


def test_a_sweep_records_a_failing_cell_goes_on_and_started_again_does_only_what_is_left(
    run_command: Run, tmp_path: Path
) -> None:
    sweep = ["-m", *SMALL, "optimizer=sgd", "trainer.total_images=64", "trainer.checkpoint_every_images=32"]
    sweep.append("sweep=four cells")
    grid = ["optimizer.learning_rate=1e-3,10", "loss=hinge,lsgan"]
    first = run_command("gan-train", *sweep, *grid)
    home = tmp_path / "outputs" / "sweeps" / name_of("four cells")
    assert first.returncode == 1, first.stdout + first.stderr
    cells = sorted(path for path in home.iterdir() if path.is_dir())
    assert len(cells) == 4
    for cell in cells:
        assert re.fullmatch(r"[A-Za-z0-9._-]+", cell.name), "can be typed back unquoted"
    rates = {cell: json.loads((cell / "config.json").read_text())["optimizer"]["learning_rate"] for cell in cells}
    good = [cell for cell in cells if rates[cell] < 1]
    bad = [cell for cell in cells if cell not in good]
    assert len(good) == len(bad) == 2
    assert [run_json(cell)["status"] for cell in good] == ["finished"] * 2
    assert [run_json(cell)["status"] for cell in bad] == ["diverged"] * 2
    assert all("became NaN or infinite at step" in run_json(cell)["error"] for cell in bad)
    assert "sweep: 2 diverged, 2 finished" in first.stdout
    assert "Traceback" not in first.stderr

    cut, kept = good
    whole = checkpoint.load(cut, print)[1]
    for path in (cut / "checkpoints").glob("images-000000064.*"):
        path.unlink()
    (cut / "run.json").write_text(json.dumps({**run_json(cut), "status": "interrupted", "images": 32}))
    untouched = {name: (kept / name).stat().st_mtime_ns for name in files_below(kept)}
    second = run_command("gan-train", *sweep, *reversed(grid))
    assert second.returncode == 1
    assert sorted(path for path in home.iterdir() if path.is_dir()) == cells, "names don't depend on the order typed"
    assert re.search(rf"   skipped: finished already   \S*{re.escape(kept.name)}$", second.stdout, re.MULTILINE)
    assert "images-000000032.pt, 32 images" in second.stdout
    assert "sweep: 2 diverged, 1 finished, 1 skipped" in second.stdout
    changed = {name for name in files_below(kept) if (kept / name).stat().st_mtime_ns != untouched.get(name)}
    assert {name for name in changed if not name.startswith(".hydra")} == set()
    again = checkpoint.load(cut, print)[1]
    assert again["progress"] == whole["progress"]
    assert all(torch.equal(whole["game"][name], again["game"][name]) for name in whole["game"])


def test_a_sweep_cut_by_a_signal_says_how_to_go_on(tmp_path: Path) -> None:
    more = ["trainer.total_images=100_000_000", "sweep=cut", "seed=0,1"]
    process = started("-m", *SMALL, *more, cwd=tmp_path)
    cell = wait_for(tmp_path, "outputs/sweeps/cut/*/scalars.jsonl", process).parent
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 143, out + err
    assert "sweep=cut" in err
    assert "Traceback" not in err
    assert run_json(cell)["status"] == "interrupted"
    assert [path for path in cell.parent.iterdir() if path.is_dir()] == [cell], "the second cell was not started"


# ---- signals, divergence ----


def wait_for(folder: Path, pattern: str, process: forked.Command) -> Path:
    """The first file that a running command writes under that name."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        found = [path for path in folder.glob(pattern) if path.stat().st_size]
        if found:
            return found[0]
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    raise AssertionError(f"no {pattern}")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_leaves_a_checkpoint_and_the_command_to_go_on_with(
    number: signal.Signals, code: int, run_command: Run, tmp_path: Path
) -> None:
    process = started(*SMALL, "trainer.total_images=100_000_000", "hydra.run.dir=my run", cwd=tmp_path)
    run = wait_for(tmp_path, "my run/scalars.jsonl", process).parent
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, out + err
    assert len(err.splitlines()) == 1
    assert re.match(r"stopped at [\d,]+ of 100,000,000 images, checkpoint written", err)
    images = run_json(run)["images"]
    assert run_json(run)["status"] == "interrupted"
    assert checkpoint.load(run, print)[1]["progress"]["images"] == images > 0
    command = shlex.split(err.split("go on with:")[1])
    assert command[0] == "gan-train"
    done = run_command("gan-train", *command[1:], f"trainer.total_images={images + 64}")
    assert f"{images:,} images" in finished(done)
    assert (run_json(run)["status"], run_json(run)["images"]) == ("finished", images + 64)
    points = [line["images"] for line in scalars(run)]
    assert points == sorted({*range(16, images + 65, 16), images + 64}), "no gap and no point twice; the end's own"


def test_a_diverged_run_names_step_and_term_and_keeps_the_last_good_checkpoint(
    run_command: Run, tmp_path: Path
) -> None:
    # the rate rises from 0 without measure: some steps are good, then everything breaks
    more = ["loss=lsgan", "optimizer.learning_rate=10", "optimizer.schedule.warmup_images=1_000"]
    often = ["trainer.total_images=8000", "trainer.checkpoint_every_images=8", "trainer.log_every_images=8"]
    done = run_command("gan-train", *SMALL, *more, *often, "optimizer=sgd", "hydra.run.dir=run")
    assert done.returncode == 1, done.stdout + done.stderr
    assert len(done.stderr.splitlines()) == 1
    found = re.match(r"error: the run diverged: (\S+) became NaN or infinite at step (\d+); ", done.stderr)
    assert found, done.stderr
    step, record = int(found.group(2)), run_json(tmp_path / "run")
    assert record["status"] == "diverged"
    assert found.group(1) in record["error"]
    path, content = checkpoint.load(tmp_path / "run", print)
    assert re.search(rf"the last checkpoint is \S*run/checkpoints/{path.name}$", done.stderr.strip())
    assert step > 3, "some steps were good"
    assert content["progress"]["step"] == step, "of steps 0 to step - 1, which were good"
    assert all(math.isfinite(value) for line in scalars(tmp_path / "run") for value in line.values())
    assert all(value.isfinite().all() for value in content["game"].values())


def test_weights_that_are_not_finite_are_never_saved(tmp_path: Path) -> None:
    """Losses are those before an update: they can be finite when the generator's weights are no more."""
    config = compose_checked(
        *SMALL, "optimizer=sgd", "trainer.checkpoint_every_images=8", "trainer.total_images=64",
        "trainer.log_every_images=0",
    )  # fmt: skip
    config["optimizer"]["rates"]["generator"] = 9e37  # no command takes it: to be there within a few steps
    config["optimizer"]["weight_decay"] = 100
    with pytest.raises(DivergedError):
        train(config, tmp_path / "run")
    for path in checkpoint.listed(tmp_path / "run"):
        assert all(value.isfinite().all() for value in checkpoint.read(path)["game"].values()), path


# ---- pictures through a trained model ----


@pytest.fixture(scope="module")
def translators(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of each kind, and pictures in sub-folders, of sizes that no network takes as they are."""
    folder = tmp_path_factory.mktemp("translators")
    for model in ("pix2pix", "cyclegan", "srgan", "inpainting"):
        train(compose_checked(f"model={model}", *TINY[model], *QUICK, CPU, "trainer.total_images=8"), folder / model)
    rng = numpy.random.default_rng(0)
    for name, size in [("one.jpg", (20, 30, 3)), ("deep/two.png", (41, 37, 3)), ("deep/three.png", (24, 24))]:
        (folder / "new" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, size, dtype=numpy.uint8)).save(folder / "new" / name)
    mask = numpy.zeros((41, 37), dtype=numpy.uint8)
    mask[10:20, 10:20] = 255
    Image.fromarray(mask).save(folder / "mask.png")
    return folder


def sizes(folder: Path) -> dict[str, tuple[int, int]]:
    found = {}
    for path in sorted(folder.rglob("*.png")):
        with Image.open(path) as image:
            found[path.relative_to(folder).as_posix()] = image.size
    return found


def test_a_folder_is_translated_both_ways(translators: Path, run_command: Run, tmp_path: Path) -> None:
    run, new = f"checkpoint={translators / 'cyclegan'}", f"input={translators / 'new'}"
    out = finished(run_command("gan-sample", run, new, "output=forth"))
    assert out.startswith("3 pictures by ")
    expected = {"deep/three.png": (24, 24), "deep/two.png": (37, 41), "one.png": (30, 20)}
    assert sizes(tmp_path / "forth") == expected
    finished(run_command("gan-sample", run, new, "output=back", "direction=b_to_a"))
    assert sizes(tmp_path / "back") == expected
    with Image.open(tmp_path / "forth" / "one.png") as one, Image.open(tmp_path / "back" / "one.png") as other:
        assert numpy.asarray(one).shape == numpy.asarray(other).shape
        assert (numpy.asarray(one) != numpy.asarray(other)).any()


def test_pictures_are_enlarged(translators: Path, run_command: Run, tmp_path: Path) -> None:
    run = f"checkpoint={translators / 'srgan'}"
    finished(run_command("gan-sample", run, f"input={translators / 'new'}", "output=large"))
    assert sizes(tmp_path / "large") == {"deep/three.png": (48, 48), "deep/two.png": (74, 82), "one.png": (60, 40)}
    out = finished(run_command("gan-sample", run, f"input={translators / 'new' / 'one.jpg'}", "output=large.png"))
    assert out.startswith("1 picture by ")
    with Image.open(tmp_path / "large.png") as image:
        assert image.size == (60, 40)


def test_a_hole_is_filled_and_the_rest_left_alone(translators: Path, run_command: Run, tmp_path: Path) -> None:
    given = translators / "new" / "deep" / "two.png"
    mask = f"mask={translators / 'mask.png'}"
    finished(
        run_command("gan-sample", f"checkpoint={translators / 'inpainting'}", f"input={given}", mask, "output=full.png")
    )
    with Image.open(given) as before, Image.open(tmp_path / "full.png") as after:
        changed = (numpy.asarray(before) != numpy.asarray(after)).any(2)
    assert changed[10:20, 10:20].mean() > 0.9
    changed[10:20, 10:20] = False
    assert not changed.any()


def test_without_input_the_held_out_pictures_are_shown(translators: Path, run_command: Run, tmp_path: Path) -> None:
    """The grid of the run's end."""
    for model in ("cyclegan", "srgan"):
        run = translators / model
        out = finished(run_command("gan-sample", f"checkpoint={run}", f"output={model}.png"))
        assert out.startswith("rows ")
        (last,) = (run / "samples").glob("*.png")
        with Image.open(last) as one, Image.open(tmp_path / f"{model}.png") as other:
            assert numpy.abs(numpy.asarray(one).astype(int) - numpy.asarray(other)).max() <= 1  # rounding


TRANSLATE_REFUSALS: dict[str, tuple[str, list[str], list[str]]] = {
    "nothing there": ("pix2pix", ["input=nowhere"], ["input='nowhere' does not exist"]),
    "no pictures": ("pix2pix", ["input=empty"], ["empty", "no images"]),
    "no picture": ("pix2pix", ["input=text.txt"], ["text.txt", "no picture", ".png"]),
    "the way back of one that has none": ("pix2pix", ["input={new}", "direction=b_to_a"], ["it knows a_to_b"]),
    "a direction of a word": ("cyclegan", ["input={new}", "direction=up"], ["direction=up", "one of a_to_b, b_to_a"]),
    "a mask for one that fills nothing": ("pix2pix", ["input={new}", "mask={mask}"], ["fill holes"]),
    "no mask": ("inpainting", ["input={new}"], ["mask=IMAGE", "white where pixels are missing"]),
    "a mask of another size": ("inpainting", ["input={new}/one.jpg", "mask={mask}"], ["37x41", "30x20"]),
    "a mask and no picture": ("inpainting", ["mask={mask}"], ["input="]),
    "an output that exists": ("srgan", ["input={new}", "output=taken"], ["taken", "overwrite=true"]),
    "labels": ("pix2pix", ["labels=[1]"], ["input=FOLDER_OR_IMAGE"]),
    "a folder into one file": ("pix2pix", ["input={new}", "output=all.png"], ["a folder too"]),
    "another ending": ("pix2pix", ["input={new}/one.jpg", "output=one.jpg"], ["written as .png"]),
    "what is for noise": ("pix2pix", ["input={new}", "count=3"], ["count=", "leave it out"]),
    "a form for noise": ("pix2pix", ["input={new}", "format=npz"], ["format=", "PNG"]),
    "a direction without pictures": ("cyclegan", ["direction=b_to_a"], ["input="]),
}


@pytest.mark.parametrize("name", TRANSLATE_REFUSALS)
@pytest.mark.sampled(3)
def test_what_cannot_be_translated_is_refused(name: str, translators: Path, run_command: Run, tmp_path: Path) -> None:
    model, arguments, words = TRANSLATE_REFUSALS[name]
    (tmp_path / "empty").mkdir()
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine.png").write_bytes(b"mine")
    (tmp_path / "text.txt").write_text("no picture")
    places = {"new": translators / "new", "mask": translators / "mask.png"}
    before = files_below(tmp_path)
    done = run_command(
        "gan-sample", f"checkpoint={translators / model}", *(argument.format(**places) for argument in arguments)
    )
    assert_refused(done)
    for word in words:
        assert word in done.stderr, done.stderr
    assert {name for name in files_below(tmp_path) if not name.startswith("cache")} == before


def test_pictures_for_a_model_of_noise_are_refused(copied: Path, translators: Path, run_command: Run) -> None:
    done = run_command("gan-sample", f"checkpoint={copied}", f"input={translators / 'new'}")
    assert_refused(done)
    assert "draws from noise" in done.stderr


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["perceptual.weights=nowhere.pth"], "nowhere.pth"),
        (["perceptual.weights=text.txt"], "do not fit MobileNetV2"),
    ],
)
def test_features_without_their_file_are_refused_before_anything_is_made(
    more: list[str], words: str, run_command: Run, tmp_path: Path
) -> None:
    (tmp_path / "text.txt").write_text("no weights")
    network = ["perceptual=features", "perceptual.network._target_=torchvision.models.MobileNetV2"]
    done = run_command("gan-train", "model=srgan", *TINY["srgan"], *network, "perceptual.layers=[features.3]", *more)
    assert_refused(done)
    assert words in done.stderr
    assert {name for name in files_below(tmp_path) if not name.startswith("cache")} == {"text.txt"}
