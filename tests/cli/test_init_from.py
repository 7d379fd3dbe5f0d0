"""`init_from=RUN`: the model comes from the run, and what is typed changes it."""

from __future__ import annotations

import json
import shutil
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
import yaml
from conftest import QUICK, TINY, compose_checked, compose_plain
from PIL import Image

from gan_cli.base import checkpoint
from gan_cli.base.errors import UserError
from gan_cli.base.run_folder import model_facts
from gan_cli.check.config_folder import config_folder
from gan_cli.cli.inherit import rendered, with_base
from gan_cli.cli.train import command, main
from gan_cli.cli.typed import read
from gan_cli.run.train import train

NEW = ["trainer.batch_size=8", "trainer.total_images=8", "trainer.device=cpu", "trainer.preview_samples=4"]
BASES: dict[str, list[str]] = {
    "gan": ["model=gan", *TINY["gan"], "dataset=digits"],
    "dcgan": ["model=dcgan", *TINY["dcgan"], "loss=wgan_gp", "model.latent.size=7", "dataset=digits"],
    "cdcgan": ["model=cdcgan", *TINY["cdcgan"], "dataset=digits"],
    "sngan": ["model=sngan", *TINY["sngan"], "model.conditional=projection", "dataset=digits"],
    "stylegan2": ["model=stylegan2", *TINY["stylegan2"], "augment=ada", "penalty=[r1,path_length]", "dataset=digits"],
    "stylegan": ["model=stylegan", *TINY["stylegan"], "dataset=digits"],
    "toy": ["model=toy", *TINY["toy"]],
    "pix2pix": ["model=pix2pix", *TINY["pix2pix"]],
    "cyclegan": ["model=cyclegan", *TINY["cyclegan"], "model.pool_size=4"],
    "srgan": ["model=srgan", *TINY["srgan"]],
}


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run of each, made when it is asked for."""
    root = tmp_path_factory.mktemp("bases")

    class Made(dict[str, Path]):
        def __missing__(self, name: str) -> Path:
            config = compose_checked(*BASES[name], *QUICK, *NEW)
            with redirect_stdout(StringIO()):  # it is none of what the test that asks first looks at
                train(config, root / name)
            (root / name / "config.json").write_text(json.dumps(config))
            self[name] = root / name
            return self[name]

    return Made()


def composed(*typed: str) -> dict[str, Any]:
    return compose_checked(*with_base(read(typed)).overrides)


@pytest.mark.parametrize("model", BASES)
@pytest.mark.sampled(3)
def test_the_model_of_a_run_comes_with_its_weights(model: str, bases: dict[str, Path], tmp_path: Path) -> None:
    """Nothing of the model is typed: the networks are the run's, and so are their first weights."""
    base = bases[model]
    config = composed(f"init_from={base}", *NEW, "optimizer.learning_rate=0")
    stored = json.loads((base / "config.json").read_text())
    assert model_facts(config) == model_facts(stored)
    assert config["choices"]["model"] == model
    assert config["dataset"] == stored["dataset"], "no data set was typed: that of the run"
    train(config, tmp_path / "run")
    old, new = checkpoint.load(base, print)[1], checkpoint.load(tmp_path / "run", print)[1]
    for name, averaged in old["ema"].items():
        for key, value in new["ema"][name].items():
            if value.is_floating_point() and "running" not in key and not key.endswith((".mean", "_u", "_v")):
                assert torch.allclose(value, averaged[key], atol=1e-5), f"{name}.{key}"


def pictures(folder: Path, names: list[str]) -> Path:
    rng = numpy.random.default_rng(0)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (20, 20, 3), dtype=numpy.uint8)).save(folder / name)
    return folder


FLAT = [f"{number}.png" for number in range(6)]


def test_other_data_comes_at_the_size_that_the_networks_are_made_for(bases: dict[str, Path], tmp_path: Path) -> None:
    root = pictures(tmp_path / "my pictures (2024)", FLAT)
    config = composed(f"init_from={bases['dcgan']}", "dataset=image_folder", f"dataset.root={root}", *NEW)
    assert (config["dataset"]["resolution"], config["dataset"]["channels"]) == (16, 1)
    assert config["model"]["generator"]["base_channels"] == 4
    assert config["model"]["latent"]["size"] == 7
    assert config["model"]["discriminator"]["norm"] == "none", "as wgan_gp had it"
    assert config["choices"]["loss"] == "nonsaturating"
    assert train(config, tmp_path / "run")["status"] == "finished"


def test_nothing_is_fetched_to_a_folder_that_a_base_names(
    bases: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The base may be a stranger's."""
    base, place = tmp_path / "base.pt", tmp_path / "chosen"
    shutil.copy(checkpoint.listed(bases["dcgan"])[0], base)
    content = torch.load(base, weights_only=True)
    dataset = compose_plain("model=dcgan", *TINY["dcgan"], "dataset=mnist", f"dataset.root={place}")["dataset"]
    content["config"]["choices"]["dataset"] = "mnist"
    content["config"]["dataset"] = {**content["config"]["dataset"], **dataset, "download": True}
    torch.save(content, base)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["gan-train", f"init_from={base}", *NEW])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "is not on disk" in capsys.readouterr().err
    assert not place.exists()
    assert composed(f"init_from={base}", "dataset=digits", *NEW)["choices"]["dataset"] == "digits"


def test_data_of_a_root_alone_is_read_as_the_runs_was(tmp_path: Path) -> None:
    one, other = pictures(tmp_path / "one", FLAT), pictures(tmp_path / "other", FLAT)
    how = ["dataset=image_folder", "dataset.fit=pad", "dataset.resolution=16", f"dataset.root={one}"]
    train(compose_checked("model=dcgan", *TINY["dcgan"], *how, *QUICK, *NEW), tmp_path / "base")
    config = composed(f"init_from={tmp_path / 'base'}", f"dataset.root={other}", *NEW)
    assert (config["dataset"]["root"], config["dataset"]["fit"]) == (str(other), "pad")


@pytest.mark.parametrize(
    ("base", "typed", "words"),
    [
        ("dcgan", ["dataset.resolution=32"], r"resolution is 16 there and 32 here; .*say dataset\.resolution=16"),
        ("dcgan", ["dataset.channels=3"], r"channels is 1 there and 3 here; .*say dataset\.channels=1"),
        (
            "cdcgan",
            ["dataset=image_folder"],
            r"num_classes is 10 there and 2 here; .* 2 classes: only data with 10",
        ),
        ("sngan", ["model.generator.width=8"], r"width is 4 there and 8 here; leave out what is typed of the model"),
        ("dcgan", ["model=gan"], r"another model: .* there .*; leave out what is typed of the model"),
        ("cdcgan", ["loss=wgan_gp"], r"norm is batch there and none here; the loss or a penalty wants it so"),
    ],
    ids=["resolution", "channels", "classes", "width", "model", "norm"],
)
def test_what_does_not_fit_the_weights_is_said_in_one_sentence(
    base: str, typed: list[str], words: str, bases: dict[str, Path], tmp_path: Path
) -> None:
    if "dataset=image_folder" in typed:
        root = pictures(tmp_path / "two", ["cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png"])
        typed = [*typed, f"dataset.root={root}"]
    with pytest.raises(UserError, match=words):
        composed(f"init_from={bases[base]}", *typed, *NEW)


def test_a_model_that_is_typed_is_taken_as_it_is_typed(bases: dict[str, Path]) -> None:
    base = bases["gan"]
    typed = read([f"init_from={base}", "model=gan", "dataset=gaussians"])
    assert with_base(typed) == typed
    with pytest.raises(UserError, match=r"width is 8 there and \d+ here; leave out what is typed of the model"):
        composed(f"init_from={base}", "model=gan", *NEW)


def test_an_experiment_is_what_is_typed(bases: dict[str, Path]) -> None:
    brought = with_base(read([f"init_from={bases['gan']}", "experiment=ring"])).overrides
    assert not [word for word in brought if word.startswith(("model", "dataset"))]


def test_cfg_job_and_help_show_the_model_that_is_brought(
    bases: dict[str, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = [f"init_from={bases['gan']}", *NEW]
    monkeypatch.setattr("sys.argv", ["gan-train", *typed])
    assert command([*typed, "--cfg", "job"]) == 0
    shown = yaml.safe_load(capsys.readouterr().out)
    assert shown["model"]["generator"]["width"] == 8
    assert shown["dataset"]["_target_"] == composed(*typed)["dataset"]["_target_"]
    assert command([*typed, "--help"]) == 0
    assert "\n  model.generator.width = 8 " in capsys.readouterr().out


@pytest.mark.parametrize("where", ["cell", "file", "copied file", "best"])
def test_a_run_is_named_by_its_cell_or_by_a_checkpoints_file(
    where: str, bases: dict[str, Path], tmp_path: Path
) -> None:
    cell = tmp_path / "outputs" / "sweeps" / "first" / "loss-hinge--seed-0"
    shutil.copytree(bases["gan"], cell)
    (file,) = checkpoint.listed(cell)
    named = {"cell": cell, "file": file, "copied file": tmp_path / "mine.pt", "best": file.with_name("best.pt")}[where]
    if named not in (cell, file):
        shutil.copy(file, named)
    config = composed(f"init_from={named}", *NEW)
    assert config["model"]["generator"]["width"] == 8
    assert config["init_from"] == str(named)
    assert train(config, tmp_path / "run")["status"] == "finished"


def test_several_runs_to_start_from_are_cells_of_a_sweep(bases: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(bases["gan"], tmp_path / "other")
    words = with_base(read(["-m", f"init_from={bases['gan']},{tmp_path / 'other'}", "seed=0"])).arguments
    assert words[:2] == ["--multirun", "model=gan"]
    assert words[-2:] == [f"init_from={bases['gan']},{tmp_path / 'other'}", "seed=0"]


def test_a_model_of_ones_own_needs_its_folder_of_configs(bases: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(bases["gan"], tmp_path / "run")
    (file,) = checkpoint.listed(tmp_path / "run")
    content = checkpoint.read(file)
    content["config"]["choices"]["model"] = "mine"
    checkpoint.write(file, content, {})
    with pytest.raises(UserError, match=r"a run of model=mine, which is no option here: add the --config-dir"):
        composed(f"init_from={tmp_path / 'run'}", *NEW)
    own = tmp_path / "conf" / "model"
    own.mkdir(parents=True)
    shutil.copy(config_folder() / "model" / "gan.yaml", own / "mine.yaml")
    words = with_base(read(["-cd", str(own.parent), f"init_from={tmp_path / 'run'}"])).arguments
    assert words[:3] == ["--config-dir", str(own.parent), "model=mine"]
    assert "model.generator.width=8" in words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "null"),
        (True, "true"),
        (0.5, "0.5"),
        ([1, "a"], "[1,'a']"),
        ({8: 16}, "{8:16}"),
        ("it's", r"'it\'s'"),
    ],
)
def test_a_value_is_said_again_in_words(value: Any, words: str) -> None:
    assert rendered(value) == words
