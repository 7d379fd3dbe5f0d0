"""Every YAML of `conf/` binds, composes and runs; every pair of model, loss and penalty trains or is refused."""

from __future__ import annotations

import gzip
import inspect
import io
import itertools
import json
import math
import os
import pickle
import re
import struct
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
import yaml
from conftest import QUICK, ROOT, ROOTS, TINY, compose_checked, compose_plain, composed, game_of, later, optimizers_of
from omegaconf import OmegaConf, open_dict
from PIL import Image
from torchvision import datasets

from gan_cli.base import machine, run_folder
from gan_cli.base.allow_list import META_KEYS, targets_in
from gan_cli.base.checkpoint import load
from gan_cli.base.errors import UserError
from gan_cli.base.run_config import RunConfig
from gan_cli.check.check import check
from gan_cli.check.config_folder import config_folder
from gan_cli.check.signatures import check_arguments, signature_of
from gan_cli.cli.config import plain
from gan_cli.game.build import OPTIMIZER_KEYS, locate
from gan_cli.run import jobs, start, train
from gan_cli.run.session import Session

CONF = ROOT / "conf"
FILES = sorted(CONF.glob("*/*.yaml"))
OPTIONS = {group.name: sorted(file.stem for file in group.glob("*.yaml")) for group in CONF.iterdir() if group.is_dir()}
del OPTIONS["hydra"]  # not ours: the sweeper is tested in test_search.py
PENALTIES = ["none", *OPTIONS["penalty"], "r1+r2"]
# a loss that brings a penalty itself does not take it twice; nothing else is refused
REFUSED = {("wgan_gp", "gradient_penalty"), ("dragan", "dragan")}
SOME_IMAGES = 80  # in each generated data set


# ---- generated files in the shape of the real data sets ----


def write_idx(file: Path, values: numpy.ndarray) -> None:
    """The format of MNIST: magic number with the count of dimensions, sizes, bytes."""
    file.parent.mkdir(parents=True, exist_ok=True)
    header = struct.pack(f">I{values.ndim}I", 0x0800 + values.ndim, *values.shape)
    file.write_bytes(header + values.astype(numpy.uint8).tobytes())


def generated_data(root: Path) -> Path:
    """MNIST, Fashion-MNIST, CIFAR-10 and CelebA as torchvision lays them out, of noise."""
    rng = numpy.random.default_rng(0)
    for name in ("MNIST", "FashionMNIST"):
        for part in ("train", "t10k"):
            pixels, labels = rng.integers(0, 256, (SOME_IMAGES, 28, 28)), numpy.arange(SOME_IMAGES) % 10
            write_idx(root / name / "raw" / f"{part}-images-idx3-ubyte", pixels)
            write_idx(root / name / "raw" / f"{part}-labels-idx1-ubyte", labels)
    cifar = root / "cifar-10-batches-py"
    cifar.mkdir(parents=True)
    for name in ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"):
        rows = rng.integers(0, 256, (SOME_IMAGES // 5, 3072), dtype=numpy.uint8)
        (cifar / name).write_bytes(pickle.dumps({"data": rows, "labels": [n % 10 for n in range(len(rows))]}))
    (cifar / "batches.meta").write_bytes(pickle.dumps({"label_names": [f"class {n}" for n in range(10)]}))
    celeba = root / "celeba"
    (celeba / "img_align_celeba").mkdir(parents=True)
    names = [f"{number:06d}.jpg" for number in range(1, SOME_IMAGES + 1)]
    for name in names:
        Image.fromarray(rng.integers(0, 256, (218, 178, 3), dtype=numpy.uint8)).save(celeba / "img_align_celeba" / name)
    attributes = ["Eyeglasses", "Smiling"]
    lines = [str(len(names)), " ".join(attributes)]
    lines += [f"{name} {1 if n % 3 else -1} {1 if n % 2 else -1}" for n, name in enumerate(names)]
    (celeba / "list_attr_celeba.txt").write_text("\n".join(lines) + "\n")
    tables = {"list_eval_partition": " 0", "identity_CelebA": " 1"}
    for table, columns in tables.items():
        (celeba / f"{table}.txt").write_text("".join(f"{name}{columns}\n" for name in names))
    for table, columns in {"list_bbox_celeba": 4, "list_landmarks_align_celeba": 10}.items():
        head = f"{len(names)}\n{' '.join(f'c{n}' for n in range(columns))}\n"
        (celeba / f"{table}.txt").write_text(head + "".join(f"{name}{' 1' * columns}\n" for name in names))
    return root


@pytest.fixture(scope="module")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generated_data(tmp_path_factory.mktemp("data"))


@pytest.fixture
def any_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    """torchvision knows the real files by their MD5; here it looks only whether they are there."""
    for name in ("train_list", "test_list"):
        monkeypatch.setattr(datasets.CIFAR10, name, [[file, None] for file, _ in getattr(datasets.CIFAR10, name)])
    monkeypatch.setattr(datasets.CIFAR10, "meta", {**datasets.CIFAR10.meta, "md5": None})
    files = [(key, None, name) for key, _, name in datasets.CelebA.file_list]
    monkeypatch.setattr(datasets.CelebA, "file_list", files)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Colour pictures in two sub-folders, so that they have labels."""
    folder = tmp_path_factory.mktemp("my pictures")
    rng = numpy.random.default_rng(1)
    for number in range(6):
        place = folder / ("cats" if number % 2 else "dogs")
        place.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (20, 24, 3), dtype=numpy.uint8)).save(place / f"{number}.png")
    return folder


# ---- files ----


def identifier(file: Path) -> str:
    return f"{file.parent.name}/{file.stem}"


@pytest.mark.parametrize("file", FILES, ids=identifier)
def test_first_line_is_a_comment_that_help_can_show(file: Path) -> None:
    lines = file.read_text().splitlines()
    assert lines[0].startswith("# ")
    described = [line for line in lines if line.startswith("# ") and not line.startswith("# @package")]
    assert described, "help shows the first comment that is no directive"
    assert len(described[0]) > 15


def raw_targets(node: Any) -> Iterator[dict[str, Any]]:
    """Every node of a YAML file that has a `_target_`."""
    if isinstance(node, dict):
        if node.get("_target_", "???") != "???":
            yield node
        for value in node.values():
            yield from raw_targets(value)


TARGETS = sorted({node["_target_"] for file in FILES for node in raw_targets(yaml.safe_load(file.read_text()))})


def test_every_option_that_names_a_part_has_a_target() -> None:
    for group in ("model", "loss", "penalty", "dataset", "optimizer", "trainer", "augment"):
        for option in OPTIONS[group]:
            node = yaml.safe_load((CONF / group / f"{option}.yaml").read_text())
            if "defaults" not in node:
                assert list(raw_targets(node)), f"{group}/{option}"


@pytest.mark.parametrize("target", TARGETS)
def test_signature_read_from_source_is_that_of_the_class(target: str) -> None:
    read = signature_of(target)
    parameters = inspect.signature(locate(target)).parameters
    if target.startswith("torch.nn."):
        assert read is None, "left to torch"
        return
    assert read is not None
    defaults = {name: parameter.default for name, parameter in parameters.items()}
    if target.startswith("torch.optim."):  # whose annotations are no strings
        assert list(read) == list(parameters)
        assert all(argument.needed or argument.kind.fits(defaults[name]) for name, argument in read.items())
        return
    unpacked = keys_unpacked(target, parameters)
    plain = {name: one for name, one in parameters.items() if one.kind is not inspect.Parameter.VAR_KEYWORD}
    assert list(read) == [*plain, *unpacked]
    assert {name for name, argument in read.items() if argument.needed} == {
        name for name in plain if defaults[name] is inspect.Parameter.empty
    }
    assert {name: argument.annotation for name, argument in read.items()} == {
        **{name: one.annotation for name, one in plain.items()},
        **unpacked,
    }
    for name in plain:
        assert read[name].needed or read[name].kind.fits(defaults[name]), name


def keys_unpacked(target: str, parameters: Mapping[str, inspect.Parameter]) -> dict[str, str]:
    """The keys of `**rules: Unpack[Rules]` and their types, as they are written; none of them is needed."""
    for one in parameters.values():
        if one.kind is inspect.Parameter.VAR_KEYWORD:
            made = next(kind for kind in locate(target).__mro__ if "__init__" in vars(kind))
            keys = eval(one.annotation, vars(sys.modules[made.__module__])).__args__[0]
            assert not keys.__required_keys__
            return {name: kind.__forward_arg__ for name, kind in keys.__annotations__.items()}
    return {}


@pytest.mark.parametrize("option", OPTIONS["optimizer"])
def test_an_optimizers_options_are_torchs_own(option: str) -> None:
    node = yaml.safe_load((CONF / "optimizer" / f"{option}.yaml").read_text())
    known = inspect.signature(locate(node["_target_"])).parameters
    given = set(node) - set(OPTIMIZER_KEYS)
    assert given <= set(known), given - set(known)
    assert "lr" in known


# ---- composition ----


def provided(dataset: str) -> set[str]:
    return set(yaml.safe_load((CONF / "dataset" / f"{dataset}.yaml").read_text())["provides"]["fields"])


def required(model: str) -> set[str]:
    node = yaml.safe_load((CONF / "model" / f"{model}.yaml").read_text())
    return {*node["requires"]["fields"], *(["label"] if node.get("conditional", "none") != "none" else [])}


def degraded(model: str) -> set[str]:
    """What the model's own degradation makes of a picture."""
    brings = yaml.safe_load((CONF / "model" / f"{model}.yaml").read_text()).get("brings", {})
    return set(brings.get("degradation", {}).get("provides", {}).get("fields", []))


@pytest.mark.parametrize("model", [pytest.param(model, marks=later(model)) for model in OPTIONS["model"]])
@pytest.mark.parametrize("dataset", OPTIONS["dataset"])
def test_model_and_dataset_compose_and_bind_or_are_refused(dataset: str, model: str, pictures: Path) -> None:
    more, fields = [], provided(dataset)
    if dataset == "image_folder":
        more, fields = [f"dataset.root='{pictures}'"], fields | {"label"}
    if dataset == "celeba" and "label" in required(model):
        more, fields = ["dataset.attribute=Smiling"], fields | {"label"}
    if dataset in ROOTS:
        more = [ROOTS[dataset], *(["dataset.resolution=32"] if dataset == "degraded" else [])]
    if dataset == "degraded":
        fields |= degraded(model)
    overrides = [f"model={model}", f"dataset={dataset}", *more]
    if (model, dataset) == ("srgan", "pairs"):
        with pytest.raises(UserError, match=r"4 times smaller than their targets.* dataset=degraded fits"):
            compose_checked(*overrides)
        return
    if not required(model) <= fields:
        with pytest.raises(UserError, match=f"model={model} .*needs .*dataset={dataset} has none"):
            compose_checked(*overrides)
        return
    config = compose_checked(*overrides)
    bound = [path for path, node in targets_in({k: v for k, v in config.items() if k != "trust"})]
    assert {"model", "loss", "dataset"} <= set(bound)
    assert len([path for path in bound if path.startswith("model.")]) >= 2, "a generator and a critic"
    for path, node in targets_in({k: v for k, v in config.items() if k != "trust"}):
        check_arguments(path, node)
        real = inspect.signature(locate(node["_target_"]))
        if not path.startswith("optimizer"):
            given = {key for key in node if key not in (*META_KEYS, "_target_")}
            extra = ("loss", "penalties", "augment") if path == "model" else ()
            real.bind(**dict.fromkeys([*given, *extra]))  # TypeError where the class does not take them
    if dataset == "image_folder" and "label" in required(model):
        assert config["model"]["num_classes"] == 2


@pytest.mark.parametrize("model", ["cgan", "cdcgan"])
@pytest.mark.parametrize("dataset", ["celeba", "image_folder"])
def test_a_model_that_needs_labels_says_so(dataset: str, model: str, pictures: Path) -> None:
    with pytest.raises(UserError, match=rf"model={model} needs labels, and dataset={dataset} has none.* digits"):
        compose_checked(f"model={model}", f"dataset={dataset}", f"dataset.root='{pictures / 'cats'}'")


GROUPS_ALONE = ("loss", "penalty", "optimizer", "trainer", "augment", "experiment")


def root_of(experiment: str, pictures: Path | None = None) -> list[str]:
    """The folder of pictures that an experiment leaves to its user."""
    node = yaml.safe_load((CONF / "experiment" / f"{experiment}.yaml").read_text())
    chosen = [entry["override /dataset"] for entry in node["defaults"] if "override /dataset" in entry]
    labelled = [f"dataset.root='{pictures}'"] if "image_folder" in chosen else []
    return [*labelled, *(ROOTS[name] for name in chosen if name in ROOTS)]


@pytest.mark.parametrize(("group", "option"), [(group, option) for group in GROUPS_ALONE for option in OPTIONS[group]])
@pytest.mark.sampled(2)
def test_option_composes_and_binds(group: str, option: str, pictures: Path) -> None:
    more = root_of(option, pictures) if group == "experiment" else []
    more += ["model=stylegan2"] if option == "path_length" else []
    config = compose_checked(f"{group}={option}", *more)
    for path, node in targets_in({key: value for key, value in config.items() if key != "trust"}):
        check_arguments(path, node)
    assert config["choices"][group] in (option, [option])
    if group == "penalty":
        assert set(config["penalty"]) == {option}


def test_the_wheels_of_every_group_are_tested_here() -> None:
    elsewhere = {"metric", "features", "mode"}  # test_evaluate.py, test_features.py, test_mode_group.py
    assert set(OPTIONS) == {"model", "dataset", "perceptual", *elsewhere, *GROUPS_ALONE}
    assert set(TINY) == set(OPTIONS["model"]), "a new model needs a tiny size in conftest.py"


def test_a_penalty_or_a_loss_takes_batch_norm_out_of_the_critic() -> None:
    assert compose_plain("model=dcgan", "loss=hinge")["model"]["discriminator"]["norm"] == "batch"
    by_gradient = set(OPTIONS["penalty"]) - {"drift", "path_length", "mode_seeking"}
    assert by_gradient == {"r1", "r2", "gradient_penalty", "dragan"}
    for choice in ("loss=wgan_gp", "loss=dragan", *(f"penalty={name}" for name in sorted(by_gradient))):
        assert compose_plain("model=dcgan", choice)["model"]["discriminator"]["norm"] == "none", choice
    typed = compose_plain("model=dcgan", "penalty=r1", "model.discriminator.norm=batch")
    assert typed["model"]["discriminator"]["norm"] == "batch", "an explicit override wins"


def test_the_optimizer_takes_what_the_loss_recommends_unless_told() -> None:
    recommended = compose_plain("loss=wgan_gp")
    assert (recommended["optimizer"]["learning_rate"], recommended["optimizer"]["betas"]) == (1e-4, [0.0, 0.9])
    told = compose_plain("loss=wgan_gp", "optimizer.learning_rate=0.003", "optimizer.betas=[0.3,0.4]")
    assert (told["optimizer"]["learning_rate"], told["optimizer"]["betas"]) == (0.003, [0.3, 0.4])
    usual = compose_plain("loss=hinge")
    assert (usual["optimizer"]["learning_rate"], usual["optimizer"]["betas"]) == (2e-4, [0.5, 0.999])
    assert compose_plain("loss=wgan_gp")["loss"]["n_critic"] == 5
    assert compose_plain("loss=wgan_gp", "optimizer=ttur")["loss"]["n_critic"] == 1


# ---- runs ----


@pytest.fixture
def quick_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a run looks up about its machine, looked up once; no waiting for the disk."""
    known, commit = machine.versions(), "tested"
    monkeypatch.setattr(jobs, "versions", lambda: known)
    monkeypatch.setattr(start, "versions", lambda: known)
    monkeypatch.setattr(start, "git_commit", lambda: commit)
    monkeypatch.setattr(run_folder.os, "fsync", lambda handle: None)


def step_images(config: dict[str, Any]) -> int:
    """A step's images: each repetition of a phase but the first of the later ones draws a batch of its own."""
    again = config["model"].get("generator_updates", 1) - 1
    return (config["loss"]["n_critic"] + again) * config["trainer"]["batch_size"]


def sized(config: dict[str, Any], steps: int, **trainer: Any) -> dict[str, Any]:
    return {
        **config,
        "trainer": {**config["trainer"], "total_images": steps * step_images(config), "device": "cpu", **trainer},
    }


def scalars(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "scalars.jsonl").read_text().splitlines()]


def moved_share(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor], network: str) -> float:
    """The share of a network's parameter tensors that changed."""
    names = [name for name in before if name.startswith(f"{network}.")]
    return sum(not torch.equal(before[name], after[name]) for name in names) / len(names)


def taken(session: Session) -> dict[str, torch.Tensor]:
    """The networks' parameters as they are now."""
    return {name: value.detach().clone() for name, value in session.game.named_parameters()}


def meter_of(session: Session) -> dict[str, float]:
    """A step's terms, every one finite."""
    session.meter.check()
    read = session.meter.read()
    assert all(math.isfinite(value) for value in read.values()), read
    return read


def assert_two_steps_and_a_third(config: dict[str, Any]) -> dict[str, float]:
    """Two steps move every network and stay finite; a session that is given their checkpoint does the third step as
    they would have, bit for bit. Returns the first step's terms.
    """
    config = sized(config, 3)
    session = Session.build(RunConfig.of(config), torch.device("cpu"))
    session.ema.update(0)
    first = taken(session)
    session.step()
    terms = meter_of(session)
    session.step()
    meter_of(session)
    after_two, state = taken(session), session.state
    assert (state.step, state.images) == (2, 2 * step_images(config))
    moves = 2 * config["model"].get("generator_updates", 1)
    levels = re.compile("_(8|32)$")  # of growing networks, whose last one alone is trained here
    updates = {levels.sub("", name): count for name, count in state.updates.items()}
    lazy = {name: updates.pop(name) for name in list(updates) if name not in ("discriminator", "generator")}
    assert updates == {"discriminator": 2 * config["loss"]["n_critic"], "generator": moves}
    assert set(lazy.values()) <= {1}, "a lazy phase comes at the first step, not at the second"
    networks = {name.split(".")[0] for name in first}
    assert networks >= set(session.game.networks)
    for network in networks:
        assert moved_share(first, after_two, network) > 0.6, network
    kept = io.BytesIO()
    torch.save(session.state_dict(), kept)
    again = Session.build(RunConfig.of(config), torch.device("cpu"))
    again.load_state_dict(torch.load(io.BytesIO(kept.getvalue()), weights_only=True))
    for each in (session, again):
        each.step()
    assert again.state.step == 3
    assert meter_of(session) == meter_of(again)
    for network in networks:
        assert moved_share(after_two, taken(again), network) > 0.6, network
    for name, value in session.game.state_dict().items():
        assert torch.equal(value, again.game.state_dict()[name]), name
    for name in {*config["penalty"], *(config["loss"].get("penalties") or {})}:
        assert any(key.split("/")[-1].startswith(name) and "/" in key for key in terms), (
            "a selected penalty is minimised"
        )
    return terms


def assert_a_run_goes_on(config: dict[str, Any], folder: Path) -> None:
    """The same through `train` and a folder: what its curves say of three steps, the third of them in a second call."""
    assert train.train(sized(config, 2, log_every_images=1), folder)["status"] == "finished"
    assert load(folder, print)[1]["progress"]["images"] == 2 * step_images(config)
    train.train(sized(config, 3, log_every_images=1), folder)
    assert load(folder, print)[1]["progress"]["step"] == 3
    lines = [line for line in scalars(folder) if not any(key.startswith("held_out/") for key in line)]
    assert [line["images"] for line in lines] == [n * step_images(config) for n in (1, 2, 3)]
    for line in lines:
        assert all(math.isfinite(value) for value in line.values()), line
    for name in {*config["penalty"], *(config["loss"].get("penalties") or {})}:
        assert any(key.split("/")[-1].startswith(name) and "/" in key for key in lines[0]), name


def combined(model: str, loss: str, penalty: str) -> dict[str, Any]:
    """What `model=... loss=... penalty=...` composes to, without composing anew (a tenth of the time)."""
    config = composed((f"model={model}", *TINY[model], *QUICK), config_folder()).copy()
    names = [] if penalty == "none" else penalty.split("+")
    with open_dict(config):
        config.loss = OmegaConf.load(CONF / "loss" / f"{loss}.yaml")
        config.penalty = OmegaConf.merge({}, *(OmegaConf.load(CONF / "penalty" / f"{name}.yaml") for name in names))
    return plain(config, {**config.hydra.runtime.choices, "loss": loss, "penalty": names})


@pytest.mark.parametrize(
    ("loss", "penalty"), [("wgan_gp", "r1+r2"), ("hinge", "gradient_penalty"), ("wgan", "none"), ("dragan", "r2")]
)
def test_combining_here_is_composing(loss: str, penalty: str) -> None:
    names = "" if penalty == "none" else penalty.replace("+", ",")
    typed = compose_plain("model=dcgan", *TINY["dcgan"], *QUICK, f"loss={loss}", f"penalty=[{names}]")
    made = combined("dcgan", loss, penalty)
    assert made["choices"].pop("penalty") == (penalty.split("+") if penalty != "none" else [])
    typed["choices"].pop("penalty", None)
    assert made == typed
    assert made["loss"]["n_critic"] == (5 if loss.startswith("wgan") else 1)


def refused(model: str, loss: str, penalty: str) -> str | None:
    """What the check says of a combination that can't work."""
    if loss == "wgan" and model in ("progan", "stylegan", "stylegan2"):
        return f"loss=wgan clips critic weights to 0.01, and model={model} scales its weights at run time"
    if penalty == "path_length" and model not in ("stylegan", "stylegan2"):
        return f"penalty=path_length needs a model with styles, and model={model} has none; model=stylegan or"
    if penalty == "mode_seeking" and "latent" not in yaml.safe_load((CONF / "model" / f"{model}.yaml").read_text()):
        return "penalty=mode_seeking needs a model with latent, and"
    if (loss, penalty) in REFUSED:
        return f"loss={loss} brings the penalty {penalty} itself"
    return None


EVERY = list(itertools.product(OPTIONS["model"], OPTIONS["loss"], PENALTIES))
# what a third part changes is its own: a suite in minutes tries each pair of them; GAN_TEST_EVERY=1 tries all
CHOSEN = [
    pytest.param(
        model,
        loss,
        penalty,
        marks=later(model) if loss == "nonsaturating" or penalty == "none" else pytest.mark.slow,
    )
    for model, loss, penalty in EVERY
    if os.environ.get("GAN_TEST_EVERY") or model == "gan" or loss == "nonsaturating" or penalty == "none"
]


@pytest.mark.parametrize(("model", "loss", "penalty"), CHOSEN)
def test_combination_trains_and_resumes_or_is_refused(model: str, loss: str, penalty: str) -> None:
    config = combined(model, loss, penalty)
    if why := refused(model, loss, penalty):
        with pytest.raises(UserError, match=why):
            check(config)
        return
    check(config)
    assert_two_steps_and_a_third(config)


@pytest.mark.slow
@pytest.mark.parametrize("model", OPTIONS["model"])
def test_the_check_judges_every_triple(model: str) -> None:
    """Each second one; GAN_TEST_EVERY=1 all."""
    triples = [(loss, penalty) for one, loss, penalty in EVERY if one == model]
    step = 1 if os.environ.get("GAN_TEST_EVERY") else 2
    for loss, penalty in triples[OPTIONS["model"].index(model) % step :: step]:
        config = combined(model, loss, penalty)
        if why := refused(model, loss, penalty):
            with pytest.raises(UserError, match=why):
                check(config)
        else:
            check(config)


@pytest.mark.parametrize("model", OPTIONS["model"])
def test_a_run_of_every_model_goes_on_in_its_folder(model: str, tmp_path: Path, quick_files: None) -> None:
    assert_a_run_goes_on(combined(model, "nonsaturating", "none"), tmp_path / "run")


SWITCHED = [
    name for name in OPTIONS["model"] if "conditional" in yaml.safe_load((CONF / f"model/{name}.yaml").read_text())
]


@pytest.mark.parametrize("way", ["none", "projection", "auxiliary"])
@pytest.mark.parametrize("model", SWITCHED)
@pytest.mark.sampled(3)
def test_each_way_of_telling_the_class_trains_and_resumes(model: str, way: str) -> None:
    config = compose_checked(f"model={model}", *TINY[model], *QUICK, f"model.conditional={way}")
    assert config["model"]["num_classes"] == (None if way == "none" else 10)
    terms = assert_two_steps_and_a_third(config)
    classes = {f"discriminator/class_{side}" for side in ("real", "fake")} | {"generator/class_fake"}
    assert (classes <= set(terms)) == (way == "auxiliary")


@pytest.mark.parametrize("optimizer", OPTIONS["optimizer"])
@pytest.mark.parametrize("loss", ["nonsaturating", "wgan_gp"])
def test_optimizer_trains_and_resumes(loss: str, optimizer: str) -> None:
    more = ["optimizer.learning_rate=0.001"] if optimizer == "sgd" else []  # 0.1 is for the first GAN's loss
    config = compose_checked(f"optimizer={optimizer}", f"loss={loss}", "model=gan", *TINY["gan"], *QUICK, *more)
    assert_two_steps_and_a_third(config)


RECIPES = {name: yaml.safe_load((CONF / "experiment" / f"{name}.yaml").read_text()) for name in OPTIONS["experiment"]}
FULL_SIZE = {  # published recipes, and the sides of what they make
    name: node.get("dataset", {}).get("resolution", 32) for name, node in RECIPES.items() if node.get("full_size")
}


@pytest.mark.parametrize("experiment", FULL_SIZE)
def test_recipe_at_its_published_size_has_the_right_shapes(
    experiment: str, pictures: Path, data_root: Path, any_digest: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Composed, bound, built and called on the meta device, where nothing is computed."""
    monkeypatch.setenv("GAN_DATA", str(data_root))
    config = compose_checked(f"experiment={experiment}", *root_of(experiment, pictures))
    with torch.device("meta"):
        gan = game_of(config)
        assert gan.latent is not None
        gan.set_progress(config["trainer"]["total_images"])
        gan.phases(optimizers_of(config))
        latent = torch.randn(4, gan.latent.size)
        label = torch.zeros(4, dtype=torch.long) if gan.num_classes else None
        images = gan.generator(latent, label)
        assert images.shape == (4, 3, FULL_SIZE[experiment], FULL_SIZE[experiment])
        assert gan.judge(images, label).shape == (4,)
    if "1024" in experiment:
        assert sum(parameter.numel() for parameter in gan.generator.parameters()) > 20_000_000


@pytest.mark.slow
@pytest.mark.parametrize("experiment", [option for option in OPTIONS["experiment"] if option not in FULL_SIZE])
def test_experiment_takes_two_steps_at_its_own_network_size(
    experiment: str, data_root: Path, pictures: Path, any_digest: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GAN_DATA", str(data_root))
    small = ["trainer.batch_size=4", "trainer.preview_samples=4", *root_of(experiment, pictures)]
    config = compose_checked(f"experiment={experiment}", *small)
    if "pretrain_images" in config["model"]:
        config["model"]["pretrain_images"] = 0  # that stage is in test_translation.py
    if "growth" in config["model"]:  # the last level alone; growing is in test_style_models.py
        config["model"]["batch_sizes"] = None
        for node in (config["model"], config["model"]["generator"], config["model"]["discriminator"]):
            node["growth"]["start"] = config["dataset"]["resolution"]
    assert_two_steps_and_a_third(config)


@pytest.mark.parametrize(
    ("dataset", "model", "more", "classes"),
    [
        ("mnist", "cdcgan", ["dataset.split=all", "dataset.crop_padding=2"], 10),
        ("fashion_mnist", "cgan", ["dataset.split=test"], 10),
        ("cifar10", "cdcgan", ["dataset.flip=true", "dataset.channels=1"], 10),
        ("celeba", "cdcgan", ["dataset.attribute=Smiling", "dataset.resolution=16"], 2),
        ("celeba", "dcgan", ["dataset.resolution=16", "dataset.memory_limit_mb=0"], None),
        ("image_folder", "cdcgan", ["dataset.resolution=16"], 2),
        ("image_folder", "gan", ["dataset.resolution=12", "dataset.memory_limit_mb=0", "dataset.fit=pad"], None),
    ],
)
def test_dataset_of_files_trains_with_its_options(
    dataset: str,
    model: str,
    more: list[str],
    classes: int | None,
    tmp_path: Path,
    data_root: Path,
    pictures: Path,
    any_digest: None,
    quick_files: None,
) -> None:
    root = pictures if dataset == "image_folder" else data_root
    base = [f"model={model}", f"dataset={dataset}", f"dataset.root='{root}'", *TINY[model], *QUICK, *more]
    config = compose_checked(*base)
    assert config["model"].get("num_classes") == classes
    assert_two_steps_and_a_third(config)
    assert_a_run_goes_on(config, tmp_path / "run")


def test_packed_idx_files_count_as_there(tmp_path: Path, data_root: Path) -> None:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for file in (data_root / "MNIST" / "raw").iterdir():
        (raw / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
    compose_checked("dataset=mnist", f"dataset.root='{tmp_path}'", "dataset.download=false")
    (raw / "train-images-idx3-ubyte.gz").unlink()
    with pytest.raises(UserError, match="train-images-idx3-ubyte"):
        compose_checked("dataset=mnist", f"dataset.root='{tmp_path}'", "dataset.download=false")
