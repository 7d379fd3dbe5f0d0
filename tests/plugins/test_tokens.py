"""A stranger's medium, strings of letters, with data, model and metric of its own: every command works with it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from conftest import ROOT
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf
from PIL import Image

from gan_cli.base import checkpoint
from gan_cli.base.errors import UserError
from gan_cli.base.scoring import read_scores
from gan_cli.check.check import check
from gan_cli.check.config_folder import config_folder
from gan_cli.cli.config import plain, register_resolvers
from gan_cli.cli.evaluate import evaluate
from gan_cli.cli.export import export
from gan_cli.cli.report import report
from gan_cli.cli.sample import sample
from gan_cli.metrics.evidence import Evidence
from gan_cli.metrics.gathered import Gathered, Passing, pass_by
from gan_cli.run.train import train

HERE = Path(__file__).parent
CONF = HERE / "tokens" / "conf"
TRUST = ["tokens"]
LETTERS = ["trust=[tokens]", "model=letters", "dataset=brackets", "trainer.batch_size=16", "trainer.device=cpu"]


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HERE))


def composed(root: str, *overrides: str) -> Any:
    register_resolvers()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        return compose(root, [f"hydra.searchpath=[file://{CONF}]", *overrides], return_hydra_config=True)


def checked(*overrides: str) -> dict[str, Any]:
    config = composed("train", *LETTERS, *overrides)
    made = plain(config, config.hydra.runtime.choices)
    check(made)
    return made


def options(root: str, *overrides: str) -> dict[str, Any]:
    """A command's, as it hands them on."""
    trust = [] if root == "report" else ["trust=[tokens]"]
    config = composed(root, *trust, *overrides)
    keys = [key for key in config if key != "hydra"]
    made: Any = OmegaConf.to_container(OmegaConf.masked_copy(config, keys), resolve=True)
    return made


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """320 strings seen, scored at the half and at the end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(HERE))
        run = tmp_path_factory.mktemp("tokens") / "run"
        scores = ("metric=[language]", "trainer.evaluate_every_images=160", "trainer.evaluate_count=20")
        config = checked("trainer.total_images=320", *scores, "trainer.keep_best=closed")
        run.mkdir(parents=True)
        train(config, run, TRUST)
    return run


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run"))


def test_a_run_draws_strings_and_scores_them(trained: Path) -> None:
    scores = [(score["name"], score["images"]) for score in read_scores(trained)]
    assert scores == [(name, images) for images in (160, 320) for name in ("closed", "gram_distance")]
    assert "32 samples, strings of 6 letters" in (trained / "run.log").read_text()
    with Image.open(trained / "samples" / "images-000000320.png") as sheet:
        grid = numpy.asarray(sheet)
    assert grid.shape[:2] == (8 * 14, 8 * 7 * 8), "8 rows and 8 columns of 6 letters and a space"
    assert 0 < (grid < 128).mean() < 0.5


def test_samples_are_letters_in_files_and_arrays(run: Path) -> None:
    from tokens.data import ALPHABET

    sample(options("sample", f"checkpoint={run}", "format=npz", "count=5", f"output={run}/five.npz"))
    sample(options("sample", f"checkpoint={run}", "format=files", "count=5", f"output={run}/five"))
    sample(options("sample", f"checkpoint={run}", "count=5", f"output={run}/five.png"))
    texts = [file.read_text() for file in sorted((run / "five").glob("*.txt"))]
    array = numpy.load(run / "five.npz")["samples"]
    assert array.shape == (5, 6)
    assert texts == ["".join(ALPHABET[place] for place in row) + "\n" for row in array.tolist()]
    assert (run / "five.png").is_file()


def test_an_evaluation_gives_the_scores_of_training(run: Path) -> None:
    before = read_scores(run)[-2:]
    evaluate(options("evaluate", f"checkpoint={run}", "metric=[language]", "count=20"))
    after = read_scores(run)[-2:]
    for key in ("name", "value", "protocol_digest"):
        assert [score[key] for score in before] == [score[key] for score in after]
    assert after[0]["protocol"]["real"]["count"] == 20


def test_the_metric_by_hand() -> None:
    from tokens.metric import Language

    def side(*words: str) -> Gathered:
        letters = torch.tensor([["()[]".index(letter) for letter in word] for word in words])
        batches = [Passing(some, lambda x: (x, None)) for some in letters.split(1)]
        return Gathered(Language.fake, lambda parts: pass_by(parts, batches))

    found = Language().of(Evidence(sides={"real": side("()", "[]"), "fake": side("()", "()", "()", "][")}))
    assert found == {"closed": 0.75, "gram_distance": 0.5}, "of (): 3/4 against 1/2, of [] none against 1/2, of ][ 1/4"


def test_a_resume_is_exact(trained: Path, run: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    whole.mkdir()
    train(checked("trainer.total_images=400"), whole, TRUST)
    shutil.rmtree(tmp_path / "whole" / "samples")
    half = tmp_path / "half"
    half.mkdir()
    train(checked("trainer.total_images=320"), half, TRUST)
    train(checked("trainer.total_images=400"), half, TRUST)
    ends = [checkpoint.load(folder, pytest.fail)[1]["game"] for folder in (whole, half)]
    assert set(ends[0]) == set(ends[1])
    assert all(torch.equal(value, ends[1][name]) for name, value in ends[0].items())


def test_a_generator_of_strings_is_exported(run: Path) -> None:
    export(options("export", f"checkpoint={run}", "format=export", f"output={run}/letters.pt2"))
    program = torch.export.load(str(run / "letters.pt2")).module()
    made = program(torch.randn(3, 16))
    assert made.shape == (3, 6, 4)
    torch.testing.assert_close(made.sum(-1), torch.ones(3, 6))


def test_a_walk_is_drawn_and_a_search_from_a_picture_refused(run: Path) -> None:
    sample(options("sample", f"checkpoint={run}", "mode=interpolation", "frames=3", f"output={run}/walk.gif"))
    with Image.open(run / "walk.gif") as walk:
        assert walk.n_frames >= 1
    picture = next((run / "samples").glob("*.png"))
    with pytest.raises(UserError, match="this model makes strings, and those are not read from"):
        sample(options("sample", f"checkpoint={run}", "mode=project", f"input={picture}", f"output={run}/found"))


def test_a_sweep_of_strings_has_a_report(run: Path) -> None:
    sweep = run / "sweep"
    shutil.copytree(run, sweep / "seed-0", ignore=shutil.ignore_patterns("sweep"))
    report(options("report", f"sweep={sweep}"))
    page = (sweep / "report.html").read_text()
    assert "gram_distance" in page
    assert "data:image/png" in page


REFUSED = {
    "scores of pictures": (["metric=[fid]", "features=classifier"], "metric=fid needs pictures, and dataset=brackets"),
    "a model of pictures": (["model=gan"], "model=gan needs images, and dataset=brackets has none"),
    "strings of nothing": (["dataset=digits"], "model=letters needs tokens"),
    "an augmentation of pictures": (["augment=diffaugment"], "augment=diffaugment changes pictures"),
    "a limit of its own": (["dataset.length=10"], "dataset.length=10 does not fit: a whole number from 2 to 8"),
    "its score of pictures": (["model=gan", "dataset=digits", "metric=[language]"], "metric=language needs tokens"),
}


@pytest.mark.parametrize(("words", "sentence"), REFUSED.values(), ids=REFUSED.keys())
def test_what_does_not_go_with_strings_is_refused(words: list[str], sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        checked(*words)
    assert sentence in str(caught.value)


def gan_train(*words: str, cwd: Path) -> str:
    program = "import sys; from gan_cli.cli.train import main; sys.argv[0] = 'gan-train'; main()"
    command = [sys.executable, "-c", program, "--config-dir", str(CONF), *LETTERS, *words]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_command_finds_a_package_beside_it_in_two_processes(tmp_path: Path) -> None:
    """The package lies where the command is called from, the path holds this project alone."""
    (tmp_path / "tokens").symlink_to(HERE / "tokens")
    told = gan_train("trainer.processes=2", "trainer.total_images=64", "hydra.run.dir=run", cwd=tmp_path)
    assert "2 processes" in told
    assert (tmp_path / "run" / "samples" / "images-000000064.png").is_file()


@pytest.mark.slow
def test_a_dry_run_measures_it(tmp_path: Path) -> None:
    (tmp_path / "tokens").symlink_to(HERE / "tokens")
    told = gan_train("dry_run=true", cwd=tmp_path)
    assert "letters on brackets" in told
    assert not (tmp_path / "outputs").exists()


def test_the_package_has_no_line_of_it() -> None:
    for folder in ("gan_cli", "conf"):
        for file in (ROOT / folder).rglob("*"):
            if file.suffix in (".py", ".yaml"):
                assert not {"tokens", "brackets"} & set(file.read_text().replace(".", " ").split()), file
