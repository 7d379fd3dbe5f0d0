"""A stranger's mode: a search on a trained run, in one file and one YAML. Its rules are in cli/test_mode_group.py."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy
import pytest
from conftest import QUICK, ROOT, TINY, Command, compose_checked
from PIL import Image

from gan_cli.cli import sample
from gan_cli.run.train import train

PLUGIN = ROOT / "tests" / "plugins" / "novelty"
HERE = ["--config-dir", str(PLUGIN / "conf")]
ASKED = [*HERE, "trust=[novelty]", "mode=novelty", "device=cpu", "threads=1"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("novelty")
    words = ["model=gan", *TINY["gan"], *QUICK, "trainer.total_images=16", "trainer.device=cpu"]
    train(compose_checked(*words), folder)
    return folder


def test_what_the_generator_makes_is_less_strange_than_noise(run: Path, command: Command) -> None:
    """Its own samples are told from noise, and a search of one step, which is none, does not find them."""
    assert command(sample, f"checkpoint={run}", "device=cpu", "format=png", "count=4", "seed=5", "output=own")[0] == 0
    with Image.open("own/000000.png") as picture:
        side = picture.size
    noise = numpy.random.default_rng(0).integers(0, 256, (4, *side), numpy.uint8)
    for number, picture in enumerate(noise):
        Image.fromarray(picture).save(f"own/noise{number}.png")
    scores = {}
    for steps in (1, 100):
        code, out, err = command(
            sample, *ASKED, f"checkpoint={run}", "input=own", f"steps={steps}", f"output=scores{steps}.csv"
        )
        assert (code, err) == (0, ""), out
        with open(f"scores{steps}.csv") as file:
            scores[steps] = {row["picture"]: float(row["novelty"]) for row in csv.DictReader(file)}
    own = {steps: [v for name, v in found.items() if "noise" not in name] for steps, found in scores.items()}
    strange = [value for name, value in scores[100].items() if "noise" in name]
    assert (len(own[100]), len(strange)) == (4, 4)
    assert max(own[100]) < 0.01 * min(strange)
    assert max(own[100]) < 0.1 * min(own[1])


def test_it_is_in_the_help_completes_and_is_judged(
    run: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = command(sample, *HERE, "--help")[1]
    assert "  novelty                How strange pictures are" in text
    assert "Keys of mode=novelty:" in text
    for typed, words in {
        (): "mode=novelty judges pictures: say which with input=FOLDER",
        ("input=.", "count=3"): "count= is not for mode=novelty",
        ("input=.", "steps=0"): "steps=0 does not fit",
    }.items():
        code, _, err = command(sample, *ASKED, f"checkpoint={run}", *typed)
        assert (code, len(err.splitlines())) == (2, 1)
        assert words in err
    monkeypatch.setenv("COMP_LINE", f"gan-sample {' '.join(HERE)} mode=nov")
    assert command(sample, "-sc", "query=bash")[1].split() == ["mode=novelty"]
