"""`from gan_cli import train, load, sample, evaluate`: what the commands do, called from Python."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import forked
import hydra
import numpy
import pytest
import torch
import yaml
from conftest import QUICK, ROOT, TINY, compose_checked

import gan_cli
from gan_cli.base.errors import UserError
from gan_cli.run.train import train

PAGE = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
CONDITIONAL = ["model=cdcgan", "dataset.resolution=12", "trainer=smoke", "trainer.device=cpu", "trainer.threads=1"]
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A conditional run of some steps, in a folder with blanks and a quote in its name."""
    folder = tmp_path_factory.mktemp("python") / "it's a run"
    return gan_cli.train(
        "model=cdcgan",
        "dataset.resolution=12",
        "trainer=smoke",
        "trainer.device=cpu",
        "trainer.threads=1",
        folder=folder,
    )


def test_a_run_is_where_it_was_asked_for_and_like_the_commands(run: Path, tmp_path: Path) -> None:
    assert run.name == "it's a run"
    assert (run / "run.json").is_file()
    done = forked.run(
        "gan-train",
        "model=cdcgan",
        "dataset.resolution=12",
        "trainer=smoke",
        "trainer.device=cpu",
        "trainer.threads=1",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    (other,) = (path.parent for path in tmp_path.rglob("run.json"))
    ours, theirs = (gan_cli.load(folder).networks["generator"].state_dict() for folder in (run, other))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_samples_are_those_of_the_command(run: Path, tmp_path: Path) -> None:
    trained = gan_cli.load(run)
    samples = gan_cli.sample(trained, 12, seed=3, labels=["7", 2])
    assert samples.shape == (12, 1, 12, 12)
    assert samples.dtype == torch.float32
    assert -1 <= samples.min() < samples.max() <= 1
    assert torch.equal(gan_cli.sample(run, 5, seed=3, labels=["7", 2], batch_size=16), samples[:5])
    assert not torch.equal(gan_cli.sample(run, 12, seed=4, labels=["7", 2]), samples)
    done = forked.run(
        *("gan-sample", f"checkpoint={tmp_path / 'run'}", "count=12", "seed=3", "labels=['7',2]", "format=npz"),
        *("output=samples.npz", "device=cpu"),
        cwd=linked(run, tmp_path),
    )
    assert done.returncode == 0, done.stderr
    written = numpy.load(tmp_path / "samples.npz")
    assert written["labels"].tolist() == [7, 2] * 6
    assert numpy.abs(written["samples"].astype(float) / 127.5 - 1 - samples.permute(0, 2, 3, 1).numpy()).max() < 1 / 127


def linked(run: Path, folder: Path) -> Path:
    (folder / "run").symlink_to(run)
    return folder


def test_a_run_goes_on(tmp_path: Path) -> None:
    run = gan_cli.train("trainer=smoke", "trainer.device=cpu", folder=tmp_path / "run")
    again = gan_cli.train(f"resume={run}", "trainer.total_images=1_500")
    assert again == run
    assert gan_cli.load(run).images >= 1_500 > 1_000


def test_scores_are_kept_with_the_run(run: Path) -> None:
    scores = {score.name: score.value for score in gan_cli.evaluate(run, "metric=[ms_ssim]", "count=64")}
    assert scores.keys() == {"ms_ssim", "ms_ssim_real"}
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert {line["name"]: line["value"] for line in lines} == scores


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["model=dcgn"], "did you mean dcgan"),
        (["trainer.total_image=5"], "did you mean trainer.total_images"),
        (["model=dcgan", "dataset.resolution=17"], "powers of two from 16 up"),
        (["-m", "seed=0,1"], "--multirun is for the command line"),
        (["--help"], "--help is for the command line"),
        (["seed=0,1"], "seed=0,1 has several values"),
        (["resume=nowhere"], "resume='nowhere' is no run"),
        (["trainer.total_images"], "neither KEY=VALUE nor a flag"),
        (["dry_run=true"], "makes no run: type it on the command line"),
        (["hydra.mode=MULTIRUN"], "call once for each run"),
        (["hydra.searchpath=[file:///nowhere]"], "there is nothing at what hydra.searchpath names"),
        (["init_from="], "init_from= names no run"),
    ],
)
def test_what_can_not_work_is_one_sentence(
    overrides: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["notebook", "-f", "kernel.json", "--epochs", "3"])  # the caller's own
    with pytest.raises(UserError, match=re.escape(words)) as refused:
        gan_cli.train(*overrides)
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_compose_gives_what_would_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    config = gan_cli.compose("model=dcgan", "loss=wgan_gp", "dataset.resolution=32")
    assert config["model"]["discriminator"]["resolution"] == 32
    assert config["model"]["discriminator"]["norm"] == "none"
    assert list(tmp_path.iterdir()) == []


def test_evaluate_and_sample_refuse_in_one_sentence(run: Path) -> None:
    with pytest.raises(UserError, match="scores one run"):
        gan_cli.evaluate(run, "sweep=outputs", "metric=[fid]", "features=classifier")
    for words, call in {
        "count=0": lambda: gan_cli.sample(run, 0),
        "count=4 does not fit: a whole number": lambda: gan_cli.sample(run, "4"),
        "device=gpu is unknown": lambda: gan_cli.load(run, device="gpu"),
        "truncation_psi=x does not fit": lambda: gan_cli.load(run, truncation_psi="x"),
        "trust='my_parts' must be a list": lambda: gan_cli.load(run, trust="my_parts"),
        "labels='seven' must be a list": lambda: gan_cli.sample(run, labels="seven"),
        "output= is for the command": lambda: gan_cli.evaluate(run, "metric=[ms_ssim]", "output=scores.json"),
        "checkpoint= is for the command": lambda: gan_cli.evaluate(run, "checkpoint=other"),
    }.items():
        with pytest.raises(UserError, match=re.escape(words)):
            call()
    assert torch.equal(gan_cli.sample(run, 2, labels=torch.tensor([3])), gan_cli.sample(run, 2, labels=["3"]))
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        gan_cli.trian  # noqa: B018


def test_compose_takes_a_run_that_goes_on(run: Path) -> None:
    config = gan_cli.compose(f"resume={run}", "trainer.total_images=1_500")
    assert config["model"]["_target_"] == gan_cli.load(run).config.plain["model"]["_target_"]
    assert (config["trainer"]["total_images"], config["dataset"]["resolution"]) == (1_500, 12)


def test_a_run_keeps_what_hydra_keeps(run: Path) -> None:
    """A resume finds data that moved with a variable by the config as it was written."""
    written = yaml.safe_load((run / ".hydra" / "config.yaml").read_text())
    assert written["model"]["generator"]["resolution"] == "${dataset.resolution}"
    assert yaml.safe_load((run / ".hydra" / "overrides.yaml").read_text())[: len(CONDITIONAL)] == CONDITIONAL


def test_a_folder_may_be_in_the_home_folder_and_have_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    run = gan_cli.train("model=gan", "trainer=smoke", "trainer.device=cpu", folder="~/a ${b}")
    assert run == tmp_path / "a ${b}"
    assert (run / "run.json").is_file()


def test_a_callers_own_hydra_stays_as_it_was() -> None:
    with hydra.initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        gan_cli.compose("model=gan")
        assert hydra.compose("report").at == "newest"


def test_a_model_that_is_given_pictures_says_so(tmp_path: Path) -> None:
    train(compose_checked("model=pix2pix", *TINY["pix2pix"], *QUICK, "trainer.total_images=8"), tmp_path / "run")
    with pytest.raises(UserError, match=r"gan-sample checkpoint=RUN input=FOLDER"):
        gan_cli.sample(tmp_path / "run", 2)


def test_the_interface_completes_in_a_notebook() -> None:
    assert {"train", "compose", "load", "sample", "evaluate"} <= set(dir(gan_cli))


def test_importing_the_package_loads_nothing_heavy() -> None:
    program = "import gan_cli, sys; print(sorted({'torch', 'hydra', 'omegaconf', 'yaml'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def slow_but_for_the_shortest(example: str) -> Any:
    return pytest.param(example, marks=[] if example in sorted(EXAMPLES, key=len)[:2] else [pytest.mark.slow])


@pytest.mark.parametrize("example", [slow_but_for_the_shortest(each) for each in EXAMPLES])
def test_the_examples_of_the_page_run(example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "docs/python.md", "exec"), {})
