"""From a config to objects: a stranger's config must not run a stranger's code."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import data_of, game_of, medium_of, optimizers_of
from torch import nn

from gan_cli.base.allow_list import check_allowed, is_allowed, make_importable, targets_in
from gan_cli.base.errors import UserError
from gan_cli.data.sets import Digits
from gan_cli.game import build
from gan_cli.game.build import instantiate, locate, parameter_counts
from gan_cli.game.gan import GAN
from gan_cli.losses.adversarial import Hinge, Wasserstein
from gan_cli.media.image import ImageMedium
from gan_cli.media.points import PointMedium
from gan_cli.parts.latent import Uniform
from gan_cli.penalties.gradient import R1, GradientPenalty

GAN_CONFIG: dict[str, Any] = {
    "seed": 3,
    "model": {
        "_target_": "gan_cli.game.gan.GAN",
        "num_classes": None,
        "latent": {"_target_": "gan_cli.parts.latent.Uniform", "size": 5, "bound": 2.0},
        "generator": {
            "_target_": "gan_cli.models.gan.Generator",
            "latent_size": 5,
            "channels": 1,
            "resolution": 8,
            "width": 4,
        },
        "discriminator": {
            "_target_": "gan_cli.models.gan.Discriminator",
            "channels": 1,
            "resolution": 8,
            "width": 4,
        },
        "requires": {"fields": ["image"]},
    },
    "loss": {
        "_target_": "gan_cli.losses.adversarial.Wasserstein",
        "n_critic": 5,
        "clip": None,
        "penalties": {
            "gradient_penalty": {"_target_": "gan_cli.penalties.gradient.GradientPenalty", "weight": 10, "every": 2}
        },
        "brings": {"critic_norm": "none"},
    },
    "penalty": {"r1": {"_target_": "gan_cli.penalties.gradient.R1", "weight": 0.5, "brings": {"critic_norm": "none"}}},
    "augment": {"_target_": "torch.nn.Identity"},
    "dataset": {
        "_target_": "gan_cli.data.sets.Digits",
        "split": "test",
        "provides": {"medium": {"_target_": "gan_cli.media.image.ImageMedium"}, "fields": ["image", "label"]},
    },
    "optimizer": {
        "_target_": "torch.optim.Adam",
        "learning_rate": 1e-3,
        "betas": [0.5, 0.9],
        "rates": {"generator": 5e-4, "discriminator": None},
        "schedule": {"kind": "linear", "start_images": 0, "end_images": 100},
        "brings": {"n_critic": 1},
    },
}


# ---- what may be named ----


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "builtins.eval",
        "eval",
        "subprocess.Popen",
        "torch.load",
        "torch.hub.load",
        "torch.nnx.Linear",
        "torch.optimizer.Adam",
        "gan_cli.base.checkpoint.torch.load",
        "gan_cli.base.checkpoint.save",
        "gan_cli.base.errors.UserError",
        "gan_cli.base.files.Path",
        "gan_cli.base.console.Console",
        "gan_cli.run.session.Session",
        "gan_cli.use.load.Trained",
        "gan_cli.evaluation.evaluator.Evaluator",
        "gan_cli.cli.train.main",
        "gan_clix.models.gan.Generator",
        "",
        ".",
        None,
        7,
        ["torch.nn.Linear"],
    ],
    ids=repr,
)
def test_names_outside_the_allow_list_are_refused(target: Any) -> None:
    with pytest.raises(UserError, match="is not on the allow-list"):
        check_allowed(target)
    with pytest.raises(UserError, match="is not on the allow-list"):
        locate(target)
    assert not is_allowed(str(target))


@pytest.mark.parametrize(
    "target",
    [
        "gan_cli.data.sets.Path",  # pathlib's, re-exported
        "gan_cli.data.images.ThreadPoolExecutor",
        "gan_cli.data.sets.UserError",  # ours, but from a module that is not on the list
        "gan_cli.game.gan.Batch",
        "torch.nn.modules.module.OrderedDict",
        "gan_cli.data.planar.Tensor",
        "gan_cli.game.gan.Callable",
        "gan_cli.penalties.gradient.ClassVar",
    ],
)
def test_a_class_is_judged_by_where_it_is_defined(target: str) -> None:
    """An allowed module may hold whatever it has imported; only what is its own may be built."""
    with pytest.raises(UserError, match=r"which is not on the allow-list|is not a class"):
        locate(target)


@pytest.mark.parametrize(
    "target",
    [
        "gan_cli.data.planar.ring",
        "gan_cli.layers.norm.norm_2d",
        "gan_cli.data.sets.torch",
        "gan_cli.data.sets.DIGIT_NAMES",
        "torch.nn.functional.softplus",
        "torch.nn.init.normal_",
        "torch.nn.utils.get_total_norm",
        "torch.nn",
    ],
)
def test_only_classes_are_built(target: str) -> None:
    with pytest.raises(UserError, match="is not a class"):
        locate(target)


@pytest.mark.parametrize(
    "target",
    [
        "gan_cli.models.nothing.Generator",
        "gan_cli.models.gan.Nothing",
        "gan_cli.models.gan.",
        "gan_cli.game.gan.GAN.draw",
        "gan_cli.data.sets.torch.load",
        "gan_cli.data.images.torch.hub.load",
        "gan_cli.data.sets.resources.os.system",
        "torch.nn..Linear",
    ],
)
def test_what_cannot_be_imported_gets_a_sentence(target: str) -> None:
    """A walk through a module's attributes (`gan_cli.data.sets.torch.load`) is no import, and leads nowhere."""
    with pytest.raises(UserError, match=r"can't be imported|is not on the allow-list|is not a class"):
        locate(target)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("torch.nn.Linear", nn.Linear),
        ("torch.optim.Adam", torch.optim.Adam),
        ("gan_cli.game.gan.GAN", GAN),
        ("gan_cli.parts.latent.Uniform", Uniform),
        ("gan_cli.losses.adversarial.Hinge", Hinge),
    ],
)
def test_what_is_allowed_is_found(target: str, expected: type) -> None:
    assert locate(target) is expected


def test_nothing_is_run_on_the_way_to_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither called nor imported: a module's top level is code, too."""
    (tmp_path / "strange.py").write_text(f"import os; os.mkdir({str(tmp_path / 'imported')!r})\nclass Thing: ...\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    called: list[Any] = []
    monkeypatch.setattr(os, "system", called.append)
    for node in (
        {"_target_": "os.system", "command": "true"},
        {"_target_": "strange.Thing"},
        {"inner": [{"deep": {"_target_": "strange.Thing"}}]},
        {"_target_": "gan_cli.losses.adversarial.Hinge", "penalties": {"x": {"_target_": "strange.Thing"}}},
    ):
        with pytest.raises(UserError, match="not on the allow-list; if you trust the code of"):
            instantiate(node)
    assert called == []
    assert not (tmp_path / "imported").exists()


USERS = """
import torch

class Shift(torch.nn.Module):
    def __init__(self, by: float):
        super().__init__()
        self.by = by

from pathlib import Path
"""


def test_a_trusted_package_is_admitted_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_parts").mkdir()
    (tmp_path / "my_parts" / "__init__.py").write_text("")
    (tmp_path / "my_parts" / "shift.py").write_text(USERS)
    (tmp_path / "my_parts_too.py").write_text(USERS)
    monkeypatch.syspath_prepend(str(tmp_path))
    node = {"_target_": "my_parts.shift.Shift", "by": 2.5}
    with pytest.raises(UserError, match=r"if you trust the code of 'my_parts' to run, say trust=\[my_parts\]"):
        instantiate(node)
    for trust in (["my_parts"], ["my_parts."], ["my_parts.shift"], ["other", "my_parts"]):
        assert instantiate(node, trust).by == 2.5
    with pytest.raises(UserError, match="not on the allow-list"):
        instantiate({"_target_": "my_parts_too.Shift", "by": 1.0}, ["my_parts"])  # a name that only begins alike
    with pytest.raises(UserError, match="which is not on the allow-list"):
        instantiate({"_target_": "my_parts.shift.Path"}, ["my_parts"])
    with pytest.raises(UserError, match="not on the allow-list"):
        instantiate({"_target_": "os.system", "command": "true"}, ["my_parts"])


def test_a_trusted_package_may_lie_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only where something is trusted, and behind what is installed."""
    path = [entry for entry in build.importlib.sys.path if entry not in ("", str(tmp_path))]  # type: ignore[attr-defined]
    monkeypatch.setattr("sys.path", path)
    monkeypatch.chdir(tmp_path)
    make_importable([])
    assert str(tmp_path) not in path
    make_importable(["mine"])
    make_importable(["mine"])
    assert path[-1] == str(tmp_path)
    assert path.count(str(tmp_path)) == 1


def test_targets_are_found_wherever_they_are() -> None:
    node = {"_target_": "a", "x": {"_target_": "b"}, "y": [{"_target_": "c"}, {"z": {"_target_": "d"}}], "w": 3}
    assert [(path, found["_target_"]) for path, found in targets_in(node)] == [
        ("", "a"),
        ("x", "b"),
        ("y[0]", "c"),
        ("y[1].z", "d"),
    ]


# ---- building ----


@pytest.mark.parametrize(
    ("node", "sentence"),
    [
        ({"_target_": "torch.nn.Linear"}, r"torch\.nn\.Linear can't be built: .*in_features"),
        ({"_target_": "gan_cli.parts.latent.Uniform", "size": 3, "bond": 2}, r"can't be built: .*'bond'"),
        (
            {"_target_": "gan_cli.models.dcgan.Generator", "latent_size": 4, "channels": 1, "resolution": 28},
            r"can't be built: dcgan makes resolutions that are powers of two",
        ),
        ({"_target_": "gan_cli.data.planar.Gaussians", "arrangement": "spiral"}, "can't be built: .*spiral"),
        ({"_target_": "gan_cli.losses.adversarial.Hinge", "_args_": [1]}, "can't be built"),
        ({"_target_": "gan_cli.losses.adversarial.Hinge", "_partial_": True}, "can't be built"),
    ],
)
def test_a_constructors_refusal_is_a_sentence(node: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        instantiate(node)


def test_plain_values_stay_what_they_are() -> None:
    node = {"a": [1, "x", None, {"b": 2.5}], "c": True}
    assert instantiate(node) == node


def test_a_whole_game_is_built() -> None:
    gan = game_of(GAN_CONFIG)
    assert isinstance(gan, GAN)
    assert isinstance(gan.latent, Uniform)
    assert (gan.latent.size, gan.latent.bound) == (5, 2.0)
    assert isinstance(gan.loss, Wasserstein)
    assert gan.loss.n_critic == 5
    assert isinstance(gan.augment, nn.Identity)
    critic, generator = gan.players
    penalties = gan.penalties_of(critic)
    assert [(name, type(p), p.weight, p.every) for name, p in penalties.items()] == [
        ("gradient_penalty", GradientPenalty, 10, 2),
        ("r1", R1, 0.5, 1),
    ]
    assert gan.penalties_of(generator) == {}
    # 5*4+4 + 4*8+8 + 8*64+64 and 64*8+8 + 8*4+4 + 4+1
    assert parameter_counts(gan) == {"generator": 640, "discriminator": 561}


@pytest.mark.parametrize("missing", ["penalty", "augment"])
def test_penalties_and_augmentation_may_be_left_out(missing: str) -> None:
    for config in ({**GAN_CONFIG, missing: None}, {k: v for k, v in GAN_CONFIG.items() if k != missing}):
        gan = game_of(config)
        assert ("r1" in gan.penalties_of(gan.players[0])) == (missing != "penalty")
        assert isinstance(gan.augment, nn.Identity)


def test_first_weights_follow_the_seed_alone() -> None:
    made = []
    for seed, disturbance in ((3, 0), (3, 1), (4, 0)):
        torch.manual_seed(disturbance)
        made.append(next(game_of({**GAN_CONFIG, "seed": seed}).parameters()))
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])


def test_data_and_medium() -> None:
    data = data_of(GAN_CONFIG)
    assert isinstance(data, Digits)
    assert len(data) == 359
    assert isinstance(medium_of(GAN_CONFIG), ImageMedium)
    node = {"_target_": "gan_cli.media.points.PointMedium", "extent": 1.5}
    medium = medium_of({"dataset": {"_target_": "x", "provides": {"medium": node}}})
    assert isinstance(medium, PointMedium)
    assert medium.extent == 1.5


# ---- optimizers ----


def test_each_player_has_its_rate_and_its_parameters() -> None:
    """The generator's own 5e-4; the discriminator takes the common 1e-3; both fall linearly to 0 at 100 images."""
    gan = game_of(GAN_CONFIG)
    phases = {phase.player.name: phase for phase in gan.phases(optimizers_of(GAN_CONFIG))}
    for player, rate in (("discriminator", 1e-3), ("generator", 5e-4)):
        phase = phases[player]
        assert isinstance(phase.optimizer, torch.optim.Adam)
        (group,) = phase.optimizer.param_groups
        assert (group["lr"], tuple(group["betas"])) == (rate, (0.5, 0.9))
        assert list(map(id, group["params"])) == list(map(id, gan.networks[player].parameters()))
        assert [phase.course(images) for images in (0, 25, 100)] == pytest.approx([rate, 0.75 * rate, 0])
    assert phases["discriminator"].repeat == 5
    assert phases["generator"].repeat == 1
    assert list(phases["discriminator"].penalties) == ["gradient_penalty", "r1"]


def test_a_rate_of_zero_is_a_rate() -> None:
    """`rates.generator: 0` freezes the generator (a control run); it does not fall back on the common rate."""
    node = {**GAN_CONFIG["optimizer"], "rates": {"generator": 0}}
    optimizer, rate = optimizers_of({"optimizer": node})("generator", [nn.Linear(1, 1)])
    assert optimizer.param_groups[0]["lr"] == 0
    assert rate(0) == 0


@pytest.mark.parametrize("keys", [{"rates": None}, {"schedule": None}, {"rates": {}, "schedule": {}}])
def test_rates_and_schedule_may_be_left_out(keys: dict[str, Any]) -> None:
    node = {"_target_": "torch.optim.SGD", "learning_rate": 0.1, "momentum": 0.5, **keys}
    optimizer, rate = optimizers_of({"optimizer": node})("generator", [nn.Linear(1, 1)])
    assert optimizer.param_groups[0]["momentum"] == 0.5
    assert [rate(0), rate(10**9)] == [0.1, 0.1]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"_target_": "torch.optim.SGD"}, r"optimizer torch\.optim\.SGD can't be built: .*betas"),
        ({"betas": [0.5, 1.5]}, "can't be built: .*beta"),
        ({"rates": {"generator": -1.0}}, "can't be built: .*learning rate"),
        ({"_target_": "os.system"}, "not on the allow-list"),
        ({"_target_": "torch.optim.lr_scheduler.os.system"}, "can't be imported"),
    ],
)
def test_what_an_optimizer_refuses_is_a_sentence(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        optimizers_of({"optimizer": {**GAN_CONFIG["optimizer"], **change}})("generator", [nn.Linear(1, 1)])
