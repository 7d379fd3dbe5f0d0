"""`model.conditional`: labels projected on the critic's features, or classes that the critic names."""

from __future__ import annotations

import math
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import QUICK, TINY, compose_checked, game_of, optimizers_of
from torch import Tensor, nn

from gan_cli.base.errors import UserError
from gan_cli.base.types import Batch, CriticOutput, Match, Noise, Side
from gan_cli.game.gan import GAN, Turn
from gan_cli.losses.adversarial import Hinge
from gan_cli.parts.latent import Gaussian
from gan_cli.run.train import train

Run = Callable[..., subprocess.CompletedProcess[str]]
MODELS = ["progan", "stylegan", "stylegan2", "sngan", "sagan", "biggan", "r3gan"]


class Teller(nn.Module):
    """Points (N, 1) -> a logit x and logits (0, 2 x, 0) of three classes."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones([]))

    def forward(self, x: Tensor, label: Tensor | None = None) -> CriticOutput:
        x = x * self.scale
        return CriticOutput(x[:, 0], torch.cat([0 * x, 2 * x, 0 * x], 1))


class First(nn.Module):
    """Latent (N, Z) -> its first value (N, 1)."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones([]))

    def forward(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        return latent[:, :1] * self.scale


def turn_of(gan: GAN, player: int, point: Tensor, label: Tensor) -> Turn:
    config = compose_checked("model=sngan", *TINY["sngan"], *QUICK)
    gan.plan = gan.phases(optimizers_of(config))
    batch = Batch({"point": point, "label": label}, 0, len(point), field="point")
    return Turn(gan, gan.plan[player], batch, Noise(torch.device("cpu"), batch, 0), {}, False)


def test_both_players_want_the_classes_right_by_hand() -> None:
    gan = GAN(First(), Teller(), Gaussian(2), Hinge(), num_classes=3, conditional="auxiliary", auxiliary_weight=0.5)
    point, label = torch.tensor([[0.0], [1.5], [-1.0]]), torch.tensor([0, 1, 2])

    def entropy(x: float, true: int) -> float:
        """-log softmax(0, 2 x, 0) of the true class, by half."""
        return 0.5 * (math.log(2 + math.exp(2 * x)) - (2 * x if true == 1 else 0))

    critics = turn_of(gan, 0, point, label)
    terms = gan.losses(critics)
    assert set(terms) == {"adversarial", "class_real", "class_fake"}
    assert terms["class_real"].tolist() == pytest.approx([entropy(0, 0), entropy(1.5, 1), entropy(-1, 2)])
    fakes = critics.fakes["fake"][:, 0].tolist()
    wanted = [entropy(x, true) for x, true in zip(fakes, (0, 1, 2), strict=True)]
    assert terms["class_fake"].tolist() == pytest.approx(wanted)
    assert terms["adversarial"].tolist() == pytest.approx(
        [max(0, 1 - real) + max(0, 1 + fake) for real, fake in zip((0, 1.5, -1), fakes, strict=True)]
    )
    terms = gan.losses(turn_of(gan, 1, point, label))
    assert set(terms) == {"adversarial", "class_fake"}, "the generator answers for its own pictures alone"
    assert terms["class_fake"].tolist() == pytest.approx(wanted)


def test_a_critic_that_tells_no_classes_is_not_asked_for_them() -> None:
    match = Match(lambda x: x.sum(1), Side(torch.ones(2, 1)), Side(torch.zeros(2, 1)))
    with pytest.raises(TypeError, match="this critic names no classes"):
        match.classes("real")


@pytest.mark.parametrize("model", MODELS)
def test_a_projecting_critic_is_told_the_label_and_an_auxiliary_one_names_it(model: str) -> None:
    answers: dict[str, Any] = {}
    for way in ("projection", "auxiliary"):
        gan = game_of(compose_checked(f"model={model}", *TINY[model], *QUICK, f"model.conditional={way}")).eval()
        config = compose_checked(f"model={model}", *TINY[model])
        side = config["dataset"]["resolution"]
        image, label = torch.randn(4, 1, side, side), torch.tensor([0, 1, 2, 3])
        answers[way] = [gan.judge(image, some) for some in (label, label.flip(0))]
        latent = gan.latent.draw(4, torch.Generator().manual_seed(0))  # type: ignore[union-attr]
        for parameter in gan.generator.parameters():  # gains of norms and of residual branches start at 0
            nn.init.normal_(parameter, std=0.3)
        made = [gan.generator(latent, some) for some in (label, label.flip(0))]
        assert not torch.equal(*made), "the generator is told the label in both"
    same, other = answers["projection"]
    assert same.shape == (4,)
    assert not torch.equal(same, other)
    same, other = answers["auxiliary"]
    assert (same.logits.shape, same.classes.shape) == ((4,), (4, 10))
    assert torch.equal(same.logits, other.logits)
    assert torch.equal(same.classes, other.classes)


@pytest.mark.parametrize(
    "more",
    [["loss.unroll_steps=2"], ["loss=relativistic_pairing", "penalty=[r1,mode_seeking]"], ["trainer.accumulate=2"]],
    ids=lambda more: more[0],
)
def test_auxiliary_classes_go_with_other_parts(more: list[str], tmp_path: Path) -> None:
    base = ["model=sngan", *TINY["sngan"], *QUICK, "model.conditional=auxiliary", "trainer.total_images=80"]
    assert train(compose_checked(*base, *more), tmp_path / "run")["status"] == "finished"


def test_an_unrolled_critic_learns_the_classes_too() -> None:
    """Looking ahead, it is moved by what it is moved by in its own turns: the class terms change where it gets to."""
    found = {}
    for weight in (0.0, 5.0):
        gan = GAN(First(), Teller(), Gaussian(2), Hinge(unroll_steps=3), num_classes=3, conditional="auxiliary")
        gan.class_weight = weight
        turn = turn_of(gan, 1, torch.tensor([[0.5], [1.5], [-1.0]]), torch.tensor([0, 1, 2]))
        gan.plan[0].optimizer.param_groups[0]["lr"] = 0.1
        (ahead,) = turn.matches
        found[weight] = (ahead.fake_logits / ahead.fake.sample[:, 0]).detach()[0].item()  # the scale it would get to
        assert gan.discriminator.scale.item() == 1
    assert abs(found[0.0] - found[5.0]) > 0.01, "equal where they are left out"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["model=sngan", "model.conditional=both"], "one of none, projection, auxiliary is wanted"),
        (["model=sngan", "model.num_classes=4"], "say model.conditional=projection or auxiliary"),
        (
            ["model=sngan", "model.conditional=auxiliary", "model.auxiliary_weight=-1"],
            "auxiliary_weight=-1 does not fit: a number from 0",
        ),
        (
            ["model=dcgan", "model.generator.channels=16"],
            "must be 1, which follows from the data (dataset.channels); the widths of its layers follow from base_",
        ),
        (["model=dcgan", "model.pack=2", "model.discriminator.channels=1"], "model.discriminator.channels=1 must be 2"),
        (["model=dcgan", "model.generator.width=8"], "no model.generator.width: model.generator.base_channels=32 is"),
        (["model=stylegan2", "model.generator.base_channels=8"], "did you mean model.generator.channels or model"),
        (
            ["model=dcgan", "model.conditional=auxiliary"],
            "model.conditional is not an option of this model; conditional is an option of model=biggan, progan, r3gan,"
            " sagan, sngan, stylegan, stylegan2",
        ),
    ],
)
@pytest.mark.sampled(4)
def test_what_can_not_be_is_said(arguments: list[str], words: str, run_command: Run) -> None:
    result = run_command("gan-train", *arguments)
    assert (result.returncode, len(result.stderr.splitlines())) == (2, 1), result.stderr
    assert words in result.stderr


def test_pictures_without_labels_are_refused_where_labels_are_asked_for(tiny_pictures: Path) -> None:
    unlabelled = ["dataset=image_folder", f"dataset.root={tiny_pictures / 'degraded'}"]
    with pytest.raises(
        UserError, match="model=sngan with conditional=auxiliary needs labels, and dataset=image_folder"
    ):
        compose_checked("model=sngan", "model.conditional=auxiliary", *unlabelled)
    with pytest.raises(UserError, match="model=biggan with conditional=projection needs labels"):
        compose_checked("model=biggan", *unlabelled)
    assert compose_checked("model=biggan", "model.conditional=none", *unlabelled)["model"]["num_classes"] is None
