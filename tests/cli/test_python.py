"""`from gan_cli import train, load, sample, evaluate`: what the commands do, called from Python."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import forked
import numpy
import pytest
import torch
from conftest import ROOT

import gan_cli
from gan_cli.base.errors import UserError

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
    ],
)
def test_what_can_not_work_is_one_sentence(
    overrides: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
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
    with pytest.raises(UserError, match="count=0"):
        gan_cli.sample(run, 0)
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        gan_cli.trian  # noqa: B018


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
