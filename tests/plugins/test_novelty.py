"""A stranger's mode: a search on a trained run, in one file and one YAML. Its rules are in cli/test_mode_group.py."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from pathlib import Path

import numpy
import pytest
from conftest import QUICK, ROOT, TINY, compose_checked
from PIL import Image

from gan_cli.cli import sample
from gan_cli.run.train import train

PLUGIN = ROOT / "tests" / "plugins" / "novelty"
HERE = ["--config-dir", str(PLUGIN / "conf")]
ASKED = [*HERE, "trust=[novelty]", "checkpoint=run", "mode=novelty", "device=cpu", "threads=1"]
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("novelty")
    words = ["model=gan", *TINY["gan"], *QUICK, "trainer.total_images=16", "trainer.device=cpu"]
    train(compose_checked(*words), folder / "run")
    return folder


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, runs: Path) -> Command:
    """Calls `gan-sample` in this process; gives exit code, output and errors."""
    monkeypatch.chdir(runs)
    monkeypatch.syspath_prepend(str(PLUGIN))
    monkeypatch.delenv("COMP_LINE", raising=False)

    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["gan-sample", *words])
        with pytest.raises(SystemExit) as ended:
            sample.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return call


def test_what_the_generator_makes_is_less_strange_than_noise(command: Command) -> None:
    """Its own samples are told from noise, and a search of one step, which is none, does not find them."""
    assert command("checkpoint=run", "device=cpu", "format=png", "count=4", "seed=5", "output=own")[0] == 0
    with Image.open("own/000000.png") as picture:
        side = picture.size
    noise = numpy.random.default_rng(0).integers(0, 256, (4, *side), numpy.uint8)
    for number, picture in enumerate(noise):
        Image.fromarray(picture).save(f"own/noise{number}.png")
    scores = {}
    for steps in (1, 100):
        code, out, err = command(*ASKED, "input=own", f"steps={steps}", f"output=scores{steps}.csv")
        assert (code, err) == (0, ""), out
        with open(f"scores{steps}.csv") as file:
            scores[steps] = {row["picture"]: float(row["novelty"]) for row in csv.DictReader(file)}
    own = {steps: [v for name, v in found.items() if "noise" not in name] for steps, found in scores.items()}
    strange = [value for name, value in scores[100].items() if "noise" in name]
    assert (len(own[100]), len(strange)) == (4, 4)
    assert max(own[100]) < 0.01 * min(strange)
    assert max(own[100]) < 0.1 * min(own[1])


def test_it_is_in_the_help_completes_and_is_judged(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    text = command(*HERE, "--help")[1]
    assert "  novelty                How strange pictures are" in text
    assert "Keys of mode=novelty:" in text
    for typed, words in {
        (): "mode=novelty judges pictures: say which with input=FOLDER",
        ("input=run", "count=3"): "count= is not for mode=novelty",
        ("input=run", "steps=0"): "steps=0 does not fit",
    }.items():
        code, _, err = command(*ASKED, *typed)
        assert (code, len(err.splitlines())) == (2, 1)
        assert words in err
    monkeypatch.setenv("COMP_LINE", f"gan-sample {' '.join(HERE)} mode=nov")
    assert command("-sc", "query=bash")[1].split() == ["mode=novelty"]
