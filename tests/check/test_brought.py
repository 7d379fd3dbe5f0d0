"""What a model or a loss brings to others: each rung of the precedence, and what is read by nobody."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import TINY, compose_plain, game_of, optimizers_of, with_all

from gan_cli.base.errors import UserError
from gan_cli.base.run_config import RunConfig
from gan_cli.base.run_folder import digest_of, identity_of
from gan_cli.check.brought import check_brought, taken
from gan_cli.cli.config import register_resolvers
from gan_cli.cli.printed import values
from gan_cli.cli.typed import read
from gan_cli.run.start import of_game

FILES = {
    "model/mine": "defaults: [gan, _self_]\nbrings:\n"
    "  optimizer: {learning_rate: 0.003, betas: [0.1, 0.2]}\n  trainer: {batch_size: 32}\n",
    "model/insisting": "defaults: [mine, _self_]\nbrings: {insists: true}\n",
    "loss/mine": "defaults: [nonsaturating, _self_]\nbrings:\n"
    "  optimizer: {learning_rate: 0.004}\n  trainer: {batch_size: 48}\n",
    "experiment/mine": "# @package _global_\noptimizer: {learning_rate: 0.005}\ntrainer: {batch_size: 96}\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        file = tmp_path / "conf" / f"{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path / "conf"


def composed(folder: Path, *overrides: str) -> dict[str, Any]:
    return compose_plain(f"hydra.searchpath=[file://{folder}]", *overrides)


RUNGS = [  # what is typed, and the rate, the first beta and the batch that come out
    (["model=gan"], 0.0002, 0.5, 64),
    (["model=mine"], 0.003, 0.1, 32),
    (["model=gan", "loss=mine"], 0.004, 0.5, 48),
    (["model=mine", "loss=mine"], 0.004, 0.1, 48),
    (["model=insisting", "loss=mine"], 0.003, 0.1, 32),
    (["model=insisting", "loss=mine", "experiment=mine"], 0.005, 0.1, 96),
    (["model=insisting", "loss=mine", "experiment=mine", "optimizer.learning_rate=0.006"], 0.006, 0.1, 96),
    (["model=insisting", "loss=mine", "trainer.batch_size=64", "optimizer.betas=[0.3,0.4]"], 0.003, 0.3, 64),
]


@pytest.mark.parametrize(("typed", "rate", "beta", "batch"), RUNGS, ids=lambda value: str(value)[:60])
def test_each_rung_wins_over_those_below(folder: Path, typed: list[str], rate: float, beta: float, batch: int) -> None:
    content = composed(folder, *typed)
    check_brought(content)
    found = content["optimizer"]["learning_rate"], content["optimizer"]["betas"][0], content["trainer"]["batch_size"]
    assert found == (rate, beta, batch)
    register_resolvers()
    shown, refusal, _ = values(read(["--cfg", "job", "--config-dir", str(folder), *typed]), "train")
    assert refusal == ""
    assert {key: shown[key] for key in ("optimizer", "trainer")} == {k: content[k] for k in ("optimizer", "trainer")}


@pytest.mark.parametrize(
    ("part", "brings", "words"),
    [
        ("model", {"trainer": {"accumulate": 2}}, r"brings has trainer\.accumulate, which no option takes"),
        (
            "model",
            {"trainer": {"batchsize": 2}},
            r"did you mean trainer\.batch_size\?; taken are trainer\.batch_size, ",
        ),
        ("loss", {"optimiser": {"learning_rate": 2}}, r"^loss\.brings has optimiser\.learning_rate, .* did you mean"),
        ("loss", {"n_critic": 5}, r"n_critic, which is taken from model\.brings or optimizer\.brings$"),
        ("model", {"critic_norm": "none"}, r"critic_norm, which is taken from loss\.brings or penalty\.brings$"),
        (
            "dataset",
            {"trainer": {"batch_size": 2}},
            r"^dataset\.brings has trainer\.batch_size, which is taken from model",
        ),
        (
            "model.generator",
            {"insists": True},
            r"^model\.generator\.brings has insists, which is taken from model\.brings$",
        ),
    ],
)
def test_what_is_brought_and_read_by_nobody_is_refused(part: str, brings: dict[str, Any], words: str) -> None:
    content = compose_plain("model=gan", "penalty=[r1]")
    check_brought(content)
    node = content
    for key in part.split("."):
        node = node[key]
    node["brings"] = brings
    with pytest.raises(UserError, match=words):
        check_brought(content)


def test_what_every_file_brings_is_taken() -> None:
    for model in TINY:  # one of each, and then the losses
        data = [text for text in TINY[model] if text.startswith("dataset")]
        check_brought(compose_plain(f"model={model}", *data))
    for loss in ("wgan_gp", "lsgan", "wgan", "dragan"):
        check_brought(compose_plain(f"loss={loss}", "optimizer=ttur"))
    assert {"trainer.batch_size", "optimizer.betas", "ttur.generator", "n_critic", "penalty.r1.weight"} <= {*taken()}


def test_the_start_block_tells_what_the_chosen_option_lacks(folder: Path) -> None:
    def line(*overrides: str) -> str:
        config = composed(folder, "model=mine", *TINY["gan"], *overrides)
        game = game_of(config)
        return of_game(RunConfig.of(with_all(config)), game, game.phases(optimizers_of(config)))["optimizer"]

    assert line("optimizer=sgd").endswith("   without betas of model=mine")
    assert "without" not in line("optimizer=adam", "loss=wgan_gp")


def test_a_run_is_the_same_whatever_its_parts_declare(folder: Path) -> None:
    """A sweep goes on although a later version says more of limits, or what is brought."""
    content = composed(folder, "model=mine")
    before = {**content, "optimizer": {key: value for key, value in content["optimizer"].items() if key != "limits"}}
    before["model"] = {key: value for key, value in content["model"].items() if key not in ("brings", "requires")}
    assert before != content
    assert identity_of(before) == identity_of(content)
    assert digest_of(before) == digest_of(content)
    other = {**content, "dataset": {**content["dataset"], "provides": {**content["dataset"]["provides"], "count": 3}}}
    assert digest_of(other) != digest_of(content), "what is known of the data is no declaration"
