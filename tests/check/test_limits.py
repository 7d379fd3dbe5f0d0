"""What the check refuses of values: each kind once by hand, and every number of every YAML by the same few bad ones."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from conftest import ROOT, TINY, compose_plain
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

from gan_cli.base.errors import UserError
from gan_cli.base.limits import Width
from gan_cli.check import check_device
from gan_cli.check.annotations import kind_of
from gan_cli.check.check import UNFIT, check
from gan_cli.check.config_folder import config_folder
from gan_cli.check.declared import check_declared
from gan_cli.check.kinds import Kind
from gan_cli.check.signatures import IMPLIED, bound, check_arguments, check_typed, nodes_of, signature_of
from gan_cli.cli import check_built, evaluate, export, report, sample
from gan_cli.cli.config import plain, register_resolvers
from gan_cli.game.build import instantiate, locate

BASES = {
    "gan": ["model=gan"],
    "wgan": ["model=gan", "loss=wgan"],
    "r1": ["model=gan", "penalty=[r1]"],
    "unrolled": ["model=gan", "loss.unroll_steps=1"],
    "sgd": ["model=gan", "optimizer=sgd"],
    "rmsprop": ["model=gan", "optimizer=rmsprop"],
    "ada": ["model=gan", "augment=ada"],
    "modes": ["model=toy", "dataset=gaussians", "metric=[modes]"],
    "ms_ssim": ["model=gan", "metric=[ms_ssim]"],
    "precise": ["model=gan", "metric=[precision_recall]", "features=classifier"],
    **{name: [f"model={name}", *TINY[name]] for name in ("dcgan", "cgan", "progan", "stylegan2", "cyclegan", "srgan")},
    **{name: [f"model={name}", *TINY[name]] for name in ("pix2pix", "inpainting", "r3gan")},
    "told": ["model=stylegan2", *TINY["stylegan2"], "model.conditional=projection"],
}


@cache
def base(name: str) -> tuple[DictConfig, dict[str, Any]]:
    """A composition, made once, and what was chosen for it."""
    register_resolvers()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        config = compose("train", overrides=BASES[name], return_hydra_config=True)
    chosen = dict(config.hydra.runtime.choices)
    kept = OmegaConf.masked_copy(config, [key for key in config if key != "hydra"])
    OmegaConf.set_struct(kept, False)
    return kept, chosen


def checked(of: str, **values: Any) -> dict[str, Any]:
    """A composition with some values (`a__b` is the key a.b), through all that a command does before torch."""
    config, chosen = base(of)
    config = config.copy()
    for key, value in values.items():
        OmegaConf.update(config, key.replace("__", "."), value, merge=False)
    content = plain(config, chosen)
    check(content)
    return content


HUGE = 10**12
REFUSED: list[tuple[str, str, Any, str]] = [  # a composition, a key, a value, words of the sentence
    # beyond a limit, beside the constructor's argument
    ("gan", "model.generator.width", 0, "a whole number from 1 to 65,536 is wanted"),
    ("gan", "model.generator.width", HUGE, "a whole number from 1 to 65,536 is wanted"),
    ("gan", "model.latent.size", -1, "a whole number from 1"),
    ("gan", "model.pack", 0, "a whole number from 1"),
    ("dcgan", "model.generator.max_channels", 0, "a whole number from 1"),
    ("dcgan", "model.discriminator.minibatch_kernels", -1, "from 0"),
    ("cyclegan", "model.a_to_b.blocks", 0, "a whole number from 1 to 1,024 or null"),
    ("cyclegan", "model.pool_size", -1, "from 0"),
    ("cyclegan", "model.cycle", -1.0, "a number from 0"),
    ("pix2pix", "model.generator.dropout", 1.5, "a number from 0 to 1"),
    ("stylegan2", "model.mixing", -0.1, "a number from 0 to 1"),
    ("wgan", "loss.clip", 0, "a number above 0 or null"),
    ("wgan", "loss.clip", -0.01, "a number above 0 or null"),
    ("gan", "loss.n_critic", 0, "a whole number from 1 to 1,000"),
    ("gan", "loss.n_critic", 10**9, "a whole number from 1 to 1,000"),
    ("gan", "loss.unroll_steps", 10**9, "a whole number from 0 to 100"),
    ("r1", "penalty.r1.weight", -1, "a number from 0"),
    ("r1", "penalty.r1.every", 0, "a whole number from 1 up"),
    ("ada", "augment.p", 2, "a number from 0 to 1"),
    ("ada", "augment.target", 1, "above 0 and below 1"),
    ("modes", "dataset.count", 0, "a whole number from 1"),
    ("modes", "dataset.deviation", -1, "a number from 0"),
    ("modes", "metric.modes.least_share", 0, "above 0 and at most 1"),
    ("srgan", "dataset.held_out", 1, "a number above 0 and below 1"),
    ("srgan", "dataset.workers", 0, "a whole number from 1"),
    ("srgan", "dataset.background", 300, "from 0 to 255"),
    ("inpainting", "model.brings.degradation.area", 1.5, "a number above 0 and below 1"),
    ("gan", "dataset.channels", 2, "one of 1, 3 or null"),
    ("gan", "dataset.crop_padding", -1, "from 0"),
    # the trainer's and the optimizer's
    ("gan", "trainer.batch_size", 0, "a whole number from 1 to 65,536"),
    ("gan", "trainer.batch_size", HUGE, "a whole number from 1 to 65,536"),
    ("gan", "trainer.total_images", 0, "a whole number from 1 up"),
    ("gan", "trainer.preview_samples", HUGE, "to 10,000"),
    ("gan", "trainer.ema_halflife_images", -1, "from 0 up"),
    ("gan", "trainer.status_every_s", math.nan, "a number from 0"),
    ("gan", "trainer.processes", HUGE, "to 1,024"),
    ("gan", "trainer.evaluate_split", "tset", "one of train, valid, test, all or null"),
    ("gan", "optimizer.learning_rate", 1e9, "a number from 0 to 10"),
    ("gan", "optimizer.learning_rate", -1, "a number from 0 to 10"),
    ("gan", "optimizer.rates.generator", 1e9, "a number from 0 to 10"),
    (
        "gan",
        "optimizer.rates.critic",
        1e-3,
        "optimizer.rates.critic is of no player of the model; it has discriminator and generator",
    ),
    ("gan", "optimizer.betas", [0.5, 1.0], "a list of 2 numbers from 0 to below 1"),
    ("gan", "optimizer.betas", [0.5], "a list of 2 numbers"),
    ("gan", "optimizer.eps", -1e-8, "a number from 0"),
    ("gan", "optimizer.weight_decay", -1, "a number from 0"),
    ("gan", "optimizer.amsgrad", "yes", "true or false"),
    ("gan", "optimizer.differentiable", True, "false is wanted"),
    ("gan", "optimizer.beta", [0.5, 0.9], "did you mean betas?"),
    ("gan", "optimizer.final_beta2", 1, "to below 1 or null"),
    ("gan", "optimizer.schedule.kind", "wobbly", "one of constant, linear, cosine"),
    ("gan", "optimizer.schedule.warmup_images", -1, "from 0 up"),
    ("gan", "optimizer.schedule.warmup", 5, "did you mean warmup_images"),
    ("gan", "optimizer._target_", "torch.optim.LBFGS", "looks at the loss several times"),
    ("rmsprop", "optimizer.alpha", 1, "to below 1"),
    ("sgd", "optimizer.momentum", 2, "a number from 0 to 1"),
    # no value of that kind at all
    ("gan", "model.generator.width", 0.5, "a whole number"),
    ("gan", "model.generator.width", True, "a whole number"),
    ("gan", "model.generator", "abc", "a part with a _target_ (nn.Module)"),
    ("gan", "model.latent", 5, "a part with a _target_ (Latent)"),
    ("gan", "loss.penalties", "abc", "a table from words to parts"),
    ("gan", "loss.penalties.mine", 3, "a table from words to parts"),
    ("progan", "model.growth", "abc", "a part with a _target_ (Growth)"),
    ("progan", "model.batch_sizes", 0.5, "a table from whole numbers to whole numbers"),
    ("progan", "model.batch_sizes", {8: 0.5}, "model.batch_sizes.8=0.5 does not fit: a whole number from 1"),
    ("progan", "model.batch_sizes", {8: 0}, "model.batch_sizes.8=0 does not fit: a whole number from 1"),
    ("progan", "model.rates", [1], "a table from whole numbers to numbers"),
    ("srgan", "model.perceptual", [], "a part with a _target_ (Features) or null"),
    ("srgan", "dataset.degradation", "1", "a part with a _target_ (Degradation)"),
    ("srgan", "dataset.held_out", "", "dataset.held_out='' does not fit: a number above 0 and below 1"),
    ("gan", "model", 3, "model=3 is no part"),
    ("gan", "trainer", None, "trainer=null is no part"),
    ("gan", "dataset", [], "dataset=[] is no part"),
    ("gan", "penalty", {"r1": 3}, "a table from words to parts"),
    ("gan", "name", [1], "name=[1] does not fit"),
    ("gan", "full_size", "abc", "true or false"),
    ("gan", "trust", [3], "trust=[my_package]"),
    # what parts declare of themselves
    ("gan", "model.requires", 3, "a table from words"),
    ("gan", "model.requires.fields", "image", "a list of words"),
    ("gan", "model.requires.resolution", {"multiple_of": 4}, "lacks minimum"),
    ("gan", "model.requires.resolution", 4, "a table from words"),
    ("progan", "model.requires.at_least", {"generator.channel_base": "abc"}, "a whole number"),
    ("progan", "model.requires.at_least", {"generator.chanel_base": 8}, "is no option of this model"),
    ("cyclegan", "model.requires.same_channels", ["identty"], "is no option of this model"),
    ("gan", "model.requires.resolution.minimum", "abc", "a whole number from 1"),
    ("dcgan", "model.requires.resolution.multiple_of", 3, "no resolution fits model.requires.resolution"),
    ("gan", "dataset.provides", [], "a table from words"),
    ("gan", "dataset.provides.resolution", None, "dataset.resolution=PIXELS is needed"),
    ("gan", "dataset.provides", {}, "dataset.provides.medium=null does not fit: a part with a _target_ (Medium)"),
    ("gan", "dataset.provides.medium", 3, "a part with a _target_ (Medium)"),
    ("gan", "dataset.provides.resolution", "abc", "a whole number from 1"),
    ("wgan", "loss.brings", [1], "a table from words"),
    ("r1", "penalty.r1.requires", "abc", "a table from words"),
    ("modes", "metric.modes.provides.scores", {"modes": "best"}, "one of lower, higher or null"),
    # what follows from other keys
    ("progan", "model.growth.start", 3, "must be a power of two from 4 up, at most the pictures' 8 pixels"),
    ("progan", "model.growth.start", 16, "must be a power of two from 4 up, at most the pictures' 8 pixels"),
    ("progan", "model.generator.channel_base", 2, "must be at least 8"),
    ("stylegan2", "model.generator.channel_base", 2, "must be at least 8"),
    ("stylegan2", "model.discriminator.channel_base", 2, "must be at least 8"),
    ("told", "model.generator.mapping_layers", 0, "has no place for a label"),
    ("gan", "model.generator.latent_size", 3, "must be 100, which follows from model.latent.size"),
    ("cgan", "model.num_classes", 3, "must be 10, which follows from the data (dataset.provides.classes)"),
    ("cgan", "model.discriminator.num_classes", 3, "must be 10, which follows from model.num_classes"),
    ("ms_ssim", "dataset.resolution", 8, "metric=ms_ssim needs pictures of at least 11 pixels a side, not"),
    ("precise", "trainer.evaluate_count", 3, "metric=precision_recall, which needs at least 4"),
    ("sgd", "optimizer.nesterov", True, ""),  # with momentum: see below
    ("gan", "trainer.device", "cuda:x", "cuda (or cuda:1, ...)"),
    ("gan", "trainer.device", "auto:1", "cuda (or cuda:1, ...)"),
    ("unrolled", "optimizer.fused", True, "can't be looked through"),
]
REFUSED = [row for row in REFUSED if row[3]]


@pytest.mark.parametrize(("name", "key", "value", "words"), REFUSED, ids=lambda value: str(value)[:40])
def test_a_value_that_can_not_work_is_refused_in_one_sentence(name: str, key: str, value: Any, words: str) -> None:
    with pytest.raises(UserError) as caught:
        checked(name, **{key: value})
    text = str(caught.value)
    assert words in text
    assert "\n" not in text
    top = key.split(".")[0]
    assert top in text, "it says where"


def test_what_goes_together_with_other_options() -> None:
    checked("sgd", optimizer__nesterov=True)
    with pytest.raises(UserError, match=r"optimizer\.nesterov=true needs optimizer\.momentum above 0"):
        checked("sgd", optimizer__nesterov=True, optimizer__momentum=0)
    with pytest.raises(UserError, match="say one of them"):
        checked("gan", optimizer__fused=True, optimizer__foreach=True)
    with pytest.raises(UserError, match=r"style_size=8 must be model\.latent\.size=16"):
        checked("stylegan2", penalty={}, model__generator__mapping_layers=0, model__latent__size=16)
    checked("stylegan2", penalty={}, model__generator__mapping_layers=0)
    with pytest.raises(UserError, match=r"model=stylegan2 has none with model\.generator\.mapping_layers=0"):
        checked("stylegan2", model__generator__mapping_layers=0)


ACCEPTED = [  # odd, and they work
    *[("gan", "model.generator.width", 7), ("gan", "model.auxiliary_weight", 0), ("gan", "loss.n_critic", 7)],
    *[("gan", "optimizer.learning_rate", 0), ("gan", "optimizer.betas", [0, 0]), ("gan", "optimizer.eps", 0)],
    *[("gan", "trainer.total_images", HUGE), ("gan", "trainer.keep_checkpoints", HUGE), ("gan", "name", 3)],
    *[("r1", "penalty.r1.weight", 0), ("dcgan", "model.discriminator.base_channels", 3), ("gan", "seed", 2**40)],
    *[("progan", "model.batch_sizes", {8: 16}), ("progan", "model.batch_sizes", {"8": 16}), ("gan", "penalty", {})],
    *[("progan", "model.rates", {8: 1.5}), ("pix2pix", "model.generator.dropout", 1), ("wgan", "loss.clip", None)],
    *[("gan", "augment", None), ("gan", "trainer.status_every_s", 0), ("gan", "optimizer.schedule.final_factor", 2)],
]


@pytest.mark.parametrize(("name", "key", "value"), ACCEPTED, ids=lambda value: str(value)[:40])
def test_a_value_that_works_is_taken(name: str, key: str, value: Any) -> None:
    content = checked(name, **{key: value})
    top, _, rest = key.partition(".")
    assert content[top] == value or rest


# ---- every YAML ----

GROUPS = ("model", "loss", "penalty", "dataset", "optimizer", "trainer", "augment", "metric", "features", "perceptual")
FILES = [file for group in GROUPS for file in sorted((ROOT / "conf" / group).glob("*.yaml"))]
BAD = (math.nan, math.inf, -math.inf, "abc", True, [1], {}, "")


def arguments(config: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], str, Kind]]:
    """Every (dotted key of its node, node, key, kind) of a file's options."""
    for path, node in nodes_of(config):
        target = str(node["_target_"])
        if target != "???":
            signature = bound(path, node)
            yield from ((path, node, key, signature[key].kind) for key in node if key in signature)


def put(config: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    """A copy with one value."""
    head, _, rest = key.partition(".")
    return {**config, head: put(config[head], rest, value) if rest else value}


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_every_number_of_a_file_refuses_what_is_none(file: Path) -> None:
    config = {file.parent.name: yaml.safe_load(file.read_text())}
    check_typed(config, [])  # as it is
    for path, _, key, kind in arguments(config):
        if not any(kind.fits(number) for number in (0.5, 1, 4)):
            continue
        for bad in BAD:
            if kind.fits(bad):  # a metric's layer may be a word
                assert isinstance(bad, str), (path, key)
                continue
            with pytest.raises(UserError) as caught:
                check_typed(put(config, f"{path}.{key}", bad), [])
            assert str(caught.value).startswith(f"{path}.{key}=")


def test_every_file_has_numbers_that_are_bound() -> None:
    """Else the test above would pass for want of anything to look at."""
    found = {}
    for file in FILES:
        config = {file.parent.name: yaml.safe_load(file.read_text())}
        found[file.stem] = sum(any(kind.fits(n) for n in (0.5, 1, 4)) for *_, kind in arguments(config))
    assert sum(found.values()) > 300
    assert found["adam"] >= 8
    assert found["dcgan"] >= 10


@pytest.mark.parametrize(
    "name", sorted(set(dir(torch.optim)) & {"Adam", "NAdam", "RAdam", "Adamax", "Adagrad", "ASGD"})
)
def test_an_optimizer_that_no_file_names_is_bound_too(name: str) -> None:
    parameters = locate(f"torch.optim.{name}").__init__.__code__.co_varnames
    assert set(signature_of(f"torch.optim.{name}") or {}) <= set(parameters)


def test_what_torch_has_of_optimizers_is_known_or_known_not_to_fit() -> None:
    kinds = {n for n, o in vars(torch.optim).items() if isinstance(o, type) and issubclass(o, torch.optim.Optimizer)}
    assert kinds >= {"Adam", "AdamW", "SGD", "RMSprop", "NAdam", "RAdam", "Adafactor", "LBFGS", "SparseAdam"}
    for name in kinds - {"Optimizer"}:
        read, real = signature_of(f"torch.optim.{name}"), inspect.signature(vars(torch.optim)[name]).parameters
        assert list(read or {}) == list(real), "the installed torch's own"
    assert {name.rpartition(".")[2] for name in UNFIT} <= kinds
    assert set(signature_of(IMPLIED["schedule"]) or {}) == set(base("gan")[0].optimizer.schedule)


def test_a_strangers_yaml_says_limits_of_a_class_that_has_none() -> None:
    words = {"momentum_decay": "Annotated[float, Interval(ge=0, lt=1)]", "weight_decay": "Decay", "foreach": "None"}
    node = {"_target_": "torch.optim.NAdam", "learning_rate": 0.1, "momentum_decay": 0.5, "limits": words}
    check_declared("optimizer", node)
    check_arguments("optimizer", node)
    for key, bad, said in (
        ("momentum_decay", 1, "a number from 0 to below 1 is wanted"),
        ("weight_decay", -1, "a number from 0 to 100 is wanted"),
        ("foreach", True, "null is wanted"),
        ("decoupled_weight_decay", 3, "true or false is wanted"),  # by torch's own annotation
        ("momentum_decoy", 1, "did you mean momentum_decay?"),
    ):
        with pytest.raises(UserError, match=re.escape(f"optimizer.{key}")) as caught:
            check_arguments("optimizer", {**node, key: bad})
        assert said in str(caught.value)
    with pytest.raises(UserError, match=r"optimizer\.limits\.momentum_decay=abc says no limit"):
        check_declared("optimizer", {**node, "limits": {"momentum_decay": "abc"}})
    with pytest.raises(UserError, match=r"optimizer\.limits\.eps=3 does not fit: a word is wanted"):
        check_declared("optimizer", {**node, "limits": {"eps": 3}})


def test_limits_of_a_yaml_reach_a_layer_of_torch_and_not_its_constructor() -> None:
    node = {"_target_": "torch.nn.Linear", "in_features": 2, "out_features": 3, "limits": {"in_features": "Width"}}
    assert instantiate(node).weight.shape == (3, 2)
    with pytest.raises(UserError, match=r"model\.head\.in_features=0 does not fit: a whole number from 1"):
        check_arguments("model.head", {**node, "in_features": 0})


# ---- reading annotations ----

STRANGER = """
from __future__ import annotations
from typing import Annotated, Any, Callable, Literal, NamedTuple, Optional, TypedDict, Union
import annotated_types as at
from annotated_types import Ge, Interval, Len, MultipleOf
from torch import nn
from .sizes import Size as Wide

Loop = Loop
Even = Annotated[int, MultipleOf(2)]
LEAST = 3

class Options(TypedDict):
    a: int

class Critic(nn.Module):
    def __init__(self, layers: int = 0, width: Wide = 8, share: Annotated[float, at.Interval(gt=0, lt=1)] = 0.5,
                 sizes: "Annotated[list[Wide], Len(1, 2)]" = (1,), even: Optional[Even] = None,
                 either: Union[int, Literal["auto"]] = "auto", what: Options = None, made: Callable[..., Any] = None,
                 least: Annotated[int, Ge(LEAST)] = 3, inner: nn.Module = None, loop: Loop = 1, free=None):
        super().__init__()
"""


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "limits_of_mine").mkdir()
    (tmp_path / "limits_of_mine" / "__init__.py").write_text("")
    sizes = "from typing import Annotated\nfrom annotated_types import Ge, Le\nSize = Annotated[int, Ge(1), Le(9)]\n"
    (tmp_path / "limits_of_mine" / "sizes.py").write_text(sizes)
    (tmp_path / "limits_of_mine" / "nets.py").write_text(STRANGER)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "limits_of_mine.nets.Critic"


@pytest.mark.parametrize(
    ("key", "good", "bad", "words"),
    [
        ("layers", [0, -5, 10**20], [0.5, True, "a", math.nan], "a whole number"),
        ("width", [1, 9], [0, 10, 2.0], "a whole number from 1 to 9"),
        ("share", [0.1], [0, 1, math.inf, "x"], "a number above 0 and below 1"),
        ("sizes", [[1], [1, 9]], [[], [1, 2, 3], [0], 1, "ab"], "a list of whole numbers from 1 to 9 (1 to 2)"),
        ("even", [2, None], [3, "x"], "a whole number that 2 divides or null"),
        ("either", [3, "auto"], ["manual", 0.5, True], "a whole number or auto"),
        ("inner", [{"_target_": "x"}], ["x", [], {}, 3], "a part with a _target_ (nn.Module)"),
    ],
)
def test_limits_of_strangers_are_read(stranger: str, key: str, good: list[Any], bad: list[Any], words: str) -> None:
    for value in good:
        check_arguments("model.critic", {"_target_": stranger, key: value})
    for value in bad:
        with pytest.raises(UserError) as caught:
            check_arguments("model.critic", {"_target_": stranger, key: value})
        assert f"model.critic.{key}=" in str(caught.value)
        assert f": {words} is wanted" in str(caught.value)


@pytest.mark.parametrize("key", ["what", "made", "least", "loop", "free"])
def test_what_can_not_be_read_takes_all(stranger: str, key: str) -> None:
    for value in (1, -1, 2.5, {"a": 1}):
        if key != "least" or isinstance(value, int):
            check_arguments("model.critic", {"_target_": stranger, key: value})


def test_a_strangers_zero_layers_are_no_matter_of_the_name(stranger: str) -> None:
    config = compose_plain("model=gan", "trust=[limits_of_mine]")
    config["model"]["discriminator"] = {"_target_": stranger, "layers": 0}
    config["choices"]["model"] = "mine"
    check(config)


def test_aliases_of_this_package_are_read_like_what_they_stand_for() -> None:
    assert kind_of("Width | None", "gan_cli.game.gan").fits(3) is True  # not imported there: takes all
    found = kind_of("Weight", "gan_cli.game.gan")
    assert [found.fits(value) for value in (0, 1e6, -1e-9, 1e7)] == [True, True, False, False]
    low, high = Width.__metadata__[0].ge, Width.__metadata__[0].le  # type: ignore[attr-defined]
    width = kind_of("Width", "gan_cli.base.limits")
    assert [width.fits(value) for value in (low, low - 1, high, high + 1)] == [True, False, True, False]


# ---- the other commands ----

COMMANDS = {"sample": sample.check, "evaluate": evaluate.check, "export": export.check, "report": report.check}
GIVEN = {
    "sample": {"checkpoint": "run"},
    "evaluate": {"checkpoint": "run"},
    "export": {"checkpoint": "run"},
    "report": {},
}


MODE = yaml.safe_load((ROOT / "conf" / "mode" / "grid.yaml").read_text())


def options(command: str, key: str = "format") -> dict[str, Any]:
    """As composed; of `gan-sample` with those of the mode that has `key`."""
    node = yaml.safe_load((ROOT / "conf" / f"{command}.yaml").read_text())
    fid = {"fid": {"_target_": "gan_cli.metrics.fid.FrechetDistance"}}
    kept = {key: value for key, value in node.items() if key not in ("defaults", "hydra")}
    modes = [yaml.safe_load(file.read_text()) for file in (ROOT / "conf" / "mode").glob("*.yaml")]
    own = next((mode for mode in modes if key in mode), MODE) if command == "sample" else {}
    return {**kept, **own, **GIVEN[command], **({"metric": fid, "features": None} if command == "evaluate" else {})}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_of_the_other_commands_is_bound(command: str) -> None:
    wanted = options(command)
    COMMANDS[command](dict(wanted))  # as they are
    known = signature_of(f"gan_cli.cli.options.{command.capitalize()}") or {}
    more = signature_of(MODE["mode"]["_target_"]) if command == "sample" else None
    known = {**known, **(more or {})}
    assert set(known) == set(wanted)
    for key in wanted:
        for bad in (math.nan, -1.5, [1.5], {"a": 1}, "", -(10**12)):
            if not known[key].kind.fits(bad):
                with pytest.raises(UserError) as caught:
                    COMMANDS[command]({**wanted, key: bad})
                assert f"{key}=" in str(caught.value)
        assert any(not known[key].kind.fits(bad) for bad in (math.nan, -1.5, [1.5], {"a": 1}))


@pytest.mark.parametrize(
    ("command", "key", "value", "words"),
    [
        ("sample", "count", HUGE, "from 1 to 1,000,000 or null"),
        ("sample", "labels", [], "a list of whole numbers or words (at least 1)"),
        ("sample", "labels", [None], "a list of whole numbers or words"),
        ("sample", "layers", [-1], "a list of whole numbers from 0 up"),
        ("sample", "truncation_psi", 3, "a number from -2 to 2"),
        ("sample", "reach", 0, "a number above 0"),
        ("sample", "device", 3, "device=3 does not fit"),
        ("evaluate", "count", 1, "a whole number from 2 to 1,000,000"),
        ("evaluate", "standing_statistics", HUGE, "from 0 to 10,000"),
        ("evaluate", "metric", "fid", "metric=fid does not fit"),
        ("export", "direction", "c", "one of a_to_b, b_to_a or null"),
        ("report", "at", "oldest", "one of newest, best"),
    ],
)
def test_an_option_that_can_not_work_is_refused(command: str, key: str, value: Any, words: str) -> None:
    with pytest.raises(UserError) as caught:
        COMMANDS[command]({**options(command, key), key: value})
    assert words in str(caught.value)


# ---- the machine ----


def test_a_gpu_that_is_certainly_not_there_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    here = {"system": "Linux", "version": "2.6.0", "driver": False, "nodes": tmp_path}
    monkeypatch.setattr(check_device.platform, "system", lambda: here["system"])
    monkeypatch.setattr(check_device, "torch_version", lambda: here["version"])
    monkeypatch.setattr(check_device, "has_driver", lambda: here["driver"])
    monkeypatch.setattr(check_device, "Path", lambda _: tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with pytest.raises(
        UserError, match=r"^trainer\.device=cuda is not to be had here: the machine has no GPU's driver"
    ):
        checked("gan", trainer__device="cuda")
    with pytest.raises(UserError, match=r"^device=cuda:1 is not to be had here"):
        sample.check({**options("sample"), "device": "cuda:1"})
    with pytest.raises(UserError, match=r"^device=mps is not to be had here: MPS is Apple's"):
        evaluate.check({**options("evaluate"), "device": "mps"})
    (tmp_path / "nvidia0").write_text("")
    assert check_device.missing("cuda") is None, "not certain: left to torch"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "hides every GPU" in str(check_device.missing("cuda"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    here["version"] = "2.6.0+cpu"
    assert "built for the CPU alone" in str(check_device.missing("cuda"))
    (tmp_path / "nvidia0").unlink()
    here.update(version="2.6.0", driver=True)
    assert check_device.missing("cuda") is None
    assert [check_device.missing(kind) for kind in ("auto", "cpu")] == [None, None]
    here["system"] = "Darwin"
    assert check_device.missing("mps") is None
    assert "macOS" in str(check_device.missing("cuda"))


# ---- networks that don't fit ----


@pytest.mark.parametrize("model", ["gan", "sngan", "progan", "stylegan2", "toy", "cyclegan", "srgan", "inpainting"])
def test_networks_that_fit_are_left_alone(model: str) -> None:
    content = compose_plain(f"model={model}", *TINY[model])
    check_built.check_built(content)


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("r3gan", {"model__generator__group": 6}, r"width=8 does not fit group=6 .*; width=6 or 9 would do"),
        (
            "gan",
            {"model__generator__width": 65_536, "model__latent__size": 65_536},
            r"model\.\w+ has [\d,]+ parameters: ",
        ),
        (
            "progan",
            {"model__generator__growth": {"_target_": "gan_cli.layers.growth.Growth", "resolution": 8}},
            "growth",
        ),
    ],
)
def test_networks_that_do_not_fit_each_other_or_the_machine_are_refused(
    name: str, values: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check_built.os, "sysconf", lambda key: {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 2**20}[key])
    with pytest.raises(UserError, match=words):
        check_built.check_built(checked(name, **values))


def test_a_batch_norm_over_one_sample_is_refused() -> None:
    content = compose_plain("model=cdcgan", *TINY["cdcgan"], "trainer.batch_size=1")
    with pytest.raises(UserError, match=r"do not fit each other with these options \(Expected more than 1 value"):
        check_built.check_built(content)
    check_built.check_built({**content, "trust": ["somebody"]})  # their code may read tensors: not looked at


def test_refused_before_a_folder_is_made(run_command: Any, tmp_path: Path) -> None:
    done = run_command("gan-train", "model=r3gan", "dataset.resolution=8", "model.generator.group=7", "trainer=smoke")
    assert done.returncode == 2
    assert "does not fit group=7" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
