"""The modes of `gan-sample` as a group of configs, and one that a stranger adds outside the tree."""

from __future__ import annotations

import csv
import inspect
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy
import pytest
import yaml
from conftest import QUICK, ROOT, TINY, compose_checked
from hydra.core.global_hydra import GlobalHydra

from gan_cli.cli import outcome
from gan_cli.cli import sample as sample_command
from gan_cli.game.build import locate
from gan_cli.run.train import train

MODES = sorted((ROOT / "conf" / "mode").glob("*.yaml"))
PARTS = """
from typing import Annotated

import torch
from annotated_types import Interval

from gan_cli.use.modes.mode import Asked, Made, Mode
from gan_cli.use.results import Table
from gan_cli.use.sample import draw


class Mean(Mode):
    def __init__(self, shade: Annotated[float, Interval(ge=0, le=1)] = 1.0):
        self.shade = shade

    def __call__(self, asked: Asked) -> Made:
        given = asked.trained.given(asked.count or 16, asked.seed, asked.classes)
        samples = torch.cat(list(draw(asked.trained, given, asked.batch_size)))
        return Made({"": Table(("shade", "mean, in all"), [(self.shade, self.shade * samples.mean().item())])})


class Columns(Mode):
    def __init__(self, columns: int = 1): ...


class Alone:
    pass
"""
MEAN = """\
# @package _global_
# How bright samples are, in the mean
#   gan-sample checkpoint=outputs/RUN mode=mean shade=0.5
mode:
  _target_: strange_parts.modes.Mean
  requires: {options: [count, labels], one_class: true, instead: {columns: it shows no pictures}}
  provides: {name: mean, output: [.csv]}
shade: 1.0          # of the mean
"""


class End(NamedTuple):
    code: int
    out: str
    err: str


Sample = Callable[..., End]


@pytest.fixture(scope="module")
def trained_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of pictures and one of points."""
    folder = tmp_path_factory.mktemp("runs of modes")
    for name in ("dcgan", "toy"):
        config = compose_checked(f"model={name}", *TINY[name], *QUICK, "trainer.total_images=16", "trainer.device=cpu")
        train(config, folder / name)
    return folder


@pytest.fixture
def sample(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, trained_runs: Path
) -> Sample:
    """Run `gan-sample` in this process, in a folder where `run` and `points` are runs and `strange_parts` a package."""
    shutil.copytree(trained_runs / "dcgan", tmp_path / "run")
    shutil.copytree(trained_runs / "toy", tmp_path / "points")
    write(tmp_path / "strange_parts" / "__init__.py", "")
    write(tmp_path / "strange_parts" / "modes.py", PARTS)
    write(tmp_path / "strange_parts" / "conf" / "mode" / "mean.yaml", MEAN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delenv("COMP_LINE", raising=False)

    def run(*arguments: str) -> End:
        GlobalHydra.instance().clear()
        monkeypatch.setattr(outcome, "code", 0)
        monkeypatch.setattr(sys, "argv", ["gan-sample", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            sample_command.main()
        return End(int(end.value.code or 0), *capsys.readouterr())

    yield run  # type: ignore[misc]
    for name in [name for name in sys.modules if name.startswith("strange_parts")]:
        del sys.modules[name]


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def refused(end: End) -> str:
    assert (end.code, len(end.err.splitlines())) == (2, 1), end
    return end.err


PLACES = {
    "--config-dir": ["--config-dir", "strange_parts/conf"],
    "a folder on the search path": ["hydra.searchpath=[file://strange_parts/conf]"],
    "a package on the search path": ["hydra.searchpath=[pkg://strange_parts.conf]"],
}


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """How a stranger's configs are found."""
    if "pkg" in PLACES[request.param][0]:
        monkeypatch.syspath_prepend(tmp_path)
        write(tmp_path / "strange_parts" / "conf" / "__init__.py", "")
    return PLACES[request.param]


def test_a_strangers_mode_is_in_the_help(sample: Sample, place: list[str]) -> None:
    text = sample(*place, "--help").out.splitlines()
    assert "  mean                   How bright samples are, in the mean" in text
    assert "  gan-sample checkpoint=outputs/RUN mode=mean shade=0.5" in text
    at = text.index("Keys of mode=mean:")
    assert text[at + 1] == "  shade = 1.0            of the mean"
    assert "strange_parts.modes" not in sys.modules, "nothing of it was run"


def test_of_two_files_of_one_name_the_first_folders_counts(sample: Sample) -> None:
    """As Hydra composes, so the help tells and the check judges, in whatever order the folders' names sort."""
    write(Path("another/mode/mean.yaml"), MEAN.replace("1.0", "0.25").replace("How bright", "How dark"))
    for first, second, shade in (("strange_parts/conf", "another", 1.0), ("another", "strange_parts/conf", 0.25)):
        folders = ["--config-dir", first, f"hydra.searchpath=[file://{second}]"]
        text = sample(*folders, "--help").out
        assert (text.count("  mean  "), f"  shade = {shade}  " in text) == (1, True)
        assert f"shade: {shade}\n" in sample(*folders, "mode=mean", "--cfg", "job").out


def test_a_strangers_mode_completes(sample: Sample, place: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for typed, words in {
        "mode=m": ["mode=mean"],
        "mode=mean sha": ["shade="],
        "mode=style_mixing ro": ["rows="],
    }.items():
        monkeypatch.setenv("COMP_LINE", f"gan-sample {' '.join(place)} {typed}")
        assert sample("-sc", "query=bash").out.split() == words


def test_a_strangers_mode_runs_with_trust_alone(sample: Sample, place: list[str], tmp_path: Path) -> None:
    asked = [*place, "checkpoint=run", "device=cpu", "threads=1", "mode=mean"]
    before = set(tmp_path.rglob("*"))
    assert "say trust=[strange_parts]" in refused(sample(*asked))
    assert "strange_parts.modes" not in sys.modules
    assert set(tmp_path.rglob("*")) == before
    end = sample(*asked, "trust=[strange_parts]", "shade=0.5", "count=4", "output=mean.csv")
    assert end.out.startswith("mode=mean of run")
    (row,) = csv.DictReader((tmp_path / "mean.csv").read_text().splitlines())
    assert row["shade"] == "0.5"
    assert sample(*asked[:-1], "format=npz", "count=4", "output=samples.npz").code == 0
    pixels = numpy.load(tmp_path / "samples.npz")["samples"]
    assert float(row["mean, in all"]) == pytest.approx(0.5 * (pixels / 127.5 - 1).mean(), abs=0.003)
    assert sample(*asked, "trust=[strange_parts]").code == 0
    assert [path.name for path in (tmp_path / "run" / "samples").glob("mean*")] == ["mean-000000016-seed0.csv"]


def test_a_strangers_mode_is_judged_as_any_other(sample: Sample, place: list[str]) -> None:
    asked = [*place, "checkpoint=run", "trust=[strange_parts]"]
    for typed, words in {
        "mode=mean shade=2": "shade=2 does not fit: a number from 0 to 1 is wanted",
        "mode=mean shaed=2": "shaed is not an option; did you mean shade or",
        "mode=mean rows=2": "rows= is for mode=style_mixing",
        "mode=interpolation shade=1": "shade= is for mode=mean",
        "mode=mean columns=2": "columns= is not for mode=mean: it shows no pictures",
        "mode=mean input=run": "input= is not for mode=mean; it is for mode=grid, project",
        "mode=mean labels=[1,2]": "mode=mean shows one class: say labels=[NAME], and one name",
        "mode=mean output=mean.png": "what this makes is written as .csv",
        "mode=mien": "did you mean mean?; mode is one of directions, grid, history, interpolation, mean, project",
    }.items():
        assert words in refused(sample(*asked, *typed.split())), typed


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("shade: 1.0", "seed: 1", "mode=mean has an option seed=, which gan-sample has itself: give it another name"),
        ("modes.Mean", "modes.Columns", "mode=mean has an option columns=, which gan-sample has itself"),
        (
            "name: mean",
            "name: mien",
            "mode.provides.name='mien' must be the name of the mode's file, one of directions, grid, history,"
            " interpolation, project, style_mixing, mean",
        ),
        ("[count, labels]", "[count, lables]", "mode=mean requires.options names lables, and there is count, labels"),
        ("one_class: true", "one_class: 3", "mode.requires.one_class=3 does not fit"),
        ("shade: 1.0", "shade: 3.0", "shade=3.0 does not fit"),
        ("shade: 1.0", "halo: 3.0", "halo is not an option; gan-sample"),
        ("modes.Mean", "modes.Alone", "mode._target_=strange_parts.modes.Alone is no mode: it does not derive from"),
    ],
)
def test_what_a_modes_author_gets_wrong_is_said(old: str, new: str, words: str, sample: Sample, tmp_path: Path) -> None:
    text = MEAN.replace(old, new)
    if "Alone" in new:
        text = text.replace("shade: 1.0 ", "# ")
    write(tmp_path / "strange_parts" / "conf" / "mode" / "mean.yaml", text)
    asked = [*PLACES["--config-dir"], "checkpoint=run", "mode=mean", "trust=[strange_parts]", "threads=1"]
    assert words in refused(sample(*asked))


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (["mode=[grid,project]"], "mode takes one option and no list"),
        (["mode=null"], "mode=null does not exist; mode is one of"),
        (["~mode"], "~mode: mode can't be taken out"),
        (["mode._target_=os.system"], "_target_='os.system' is not on the allow-list"),
        (["mode._target_=gan_cli.models.gan.Generator"], "mode is something to do with a trained run, a class of"),
        (["space=z"], "space= is not for mode=grid; it is for mode=directions, interpolation, project"),
        (["mode=directions", "dataset.root=x"], "dataset.root= is not for mode=directions; it is for mode=grid"),
        (["mode=interpolation", "mask=x"], "mask= is for mode=grid"),
        (["format=npz", "output=a.png"], "output=a.png can't be written: what this makes is written as .npz"),
        (["input=nowhere"], "input='nowhere' does not exist"),
    ],
)
def test_what_does_not_go_with_a_mode_is_said(typed: list[str], words: str, sample: Sample) -> None:
    assert words in refused(sample("checkpoint=run", *typed))


@pytest.mark.parametrize("file", MODES, ids=lambda file: file.stem)
def test_a_modes_file_says_what_its_constructor_does(file: Path) -> None:
    content = yaml.safe_load(file.read_text())
    node = content.pop("mode")
    defaults = {name: one.default for name, one in inspect.signature(locate(node["_target_"])).parameters.items()}
    assert content == defaults
    assert node["provides"]["name"] == file.stem


# ---- single files ----


def test_files_are_of_the_mediums_own_kind(sample: Sample, tmp_path: Path) -> None:
    points = ["checkpoint=points", "device=cpu", "threads=1", "count=3"]
    assert sample(*points, "format=files", "output=files").out.startswith("3 samples of points")
    assert sample(*points, "format=npz", "output=all.npz").code == 0
    names = sorted(path.name for path in (tmp_path / "files").iterdir())
    assert names == ["000000.csv", "000001.csv", "000002.csv", "latents.npz"]
    lines = [(tmp_path / "files" / name).read_text().split(",") for name in names[:3]]
    stored: Any = numpy.load(tmp_path / "all.npz")
    assert numpy.allclose(numpy.array(lines, dtype=float), stored["samples"], rtol=1e-5)
    assert numpy.array_equal(numpy.load(tmp_path / "files" / "latents.npz")["latents"], stored["latents"])
    before = set(tmp_path.rglob("*"))
    said = refused(sample(*points, "format=png", "output=pictures"))
    assert "format=png is for pictures; format=files writes these samples as .csv files" in said
    assert set(tmp_path.rglob("*")) == before
    for form in ("png", "files"):
        end = sample("checkpoint=run", "device=cpu", "threads=1", "count=3", f"format={form}", f"output=as {form}")
        assert end.code == 0, end
    pictures = {path.name: path.read_bytes() for path in (tmp_path / "as png").glob("*.png")}
    assert sorted(pictures) == [f"{number:06d}.png" for number in range(3)]
    assert pictures == {path.name: path.read_bytes() for path in (tmp_path / "as files").glob("*.png")}
