"""Recipes that call themselves published, field by field; initialisations and averages that papers prescribe."""

from __future__ import annotations

import math
import os
from functools import reduce
from typing import Any

import pytest
import torch
from conftest import TINY, compose_checked, compose_plain, game_of, optimizers_of
from torch import nn

from gan_cli.augment.diffaugment import DiffAugment, pixels
from gan_cli.base.settings import TrainerSettings
from gan_cli.layers.modulation import MappingNetwork
from gan_cli.models import r3gan, sagan, sngan, stylegan, stylegan2
from gan_cli.parts.ema import EMA
from gan_cli.penalties.generator import PathLength

ADAM = {"_target_": "torch.optim.Adam", "eps": 1e-8, "weight_decay": 0.0}
NO_AVERAGE = {"ema_halflife_images": 0, "ema_decay": None}
# by recipe and part: what the papers, or where they are silent their authors' code, say of each field
PUBLISHED: dict[str, dict[str, dict[str, Any]]] = {
    "gan_2014": {
        "model.latent": {"_target_": "gan_cli.parts.latent.Uniform", "size": 100, "bound": pytest.approx(3**0.5)},
        "loss": {"_target_": "gan_cli.losses.adversarial.NonSaturating", "n_critic": 1},
        "optimizer": {"_target_": "torch.optim.SGD", "learning_rate": 0.1, "momentum": 0.5},
        "optimizer.rates": {"discriminator": 0.05, "generator": None},
        # over 1.000004 at each update: after 30,000 of 100 images
        "optimizer.schedule": {"end_images": 3_000_000, "final_factor": pytest.approx(1.000004**-30_000, abs=1e-3)},
        "trainer": {"batch_size": 100, **NO_AVERAGE},
    },
    "wgan_paper": {
        "model.latent": {"_target_": "gan_cli.parts.latent.Gaussian", "size": 100},
        "loss": {"n_critic": 5, "clip": 0.01},
        "optimizer": {"_target_": "torch.optim.RMSprop", "learning_rate": 5e-5, "alpha": 0.99, "momentum": 0.0},
        "dataset": {"resolution": 64, "flip": False},
        "trainer": {"batch_size": 64, **NO_AVERAGE},
    },
    "dcgan_ttur": {
        "model.latent": {"_target_": "gan_cli.parts.latent.Uniform", "size": 100},
        "loss": {"n_critic": 1},
        "optimizer": {**ADAM, "betas": [0.5, 0.999]},
        "optimizer.rates": {"generator": 5e-4, "discriminator": 1e-4},
        "dataset": {"resolution": 32, "flip": False},
        "trainer": {"batch_size": 64, "total_images": 500 * 50_000, **NO_AVERAGE},
    },
    "progan_celebahq1024": {
        "model.growth": {"start": 4, "fade_images": 600_000, "stable_images": 600_000},
        "model": {
            "batch_sizes": {4: 128, 8: 128, 16: 128, 32: 64, 64: 32, 128: 16, 256: 8, 512: 4, 1024: 4},
            "rates": {1024: 1.5},
        },
        "model.discriminator": {"group": 4},
        "loss": {"n_critic": 1},
        "loss.penalties.gradient_penalty": {"weight": 10, "target": 1.0, "every": 1},
        "penalty.drift": {"weight": 1e-3},
        "optimizer": {**ADAM, "learning_rate": 1e-3, "betas": [0.0, 0.99]},
        "dataset": {"flip": True},
        "trainer": {"total_images": 12_000_000, "ema_decay": 0.999},
    },
    "stylegan_ffhq1024": {
        "model.growth": {"start": 8, "fade_images": 600_000, "stable_images": 600_000},
        "model": {
            "batch_sizes": {8: 256, 16: 128, 32: 64, 64: 32, 128: 32, 256: 32, 512: 32, 1024: 32},
            "rates": {128: 1.5, 256: 2.0, 512: 3.0, 1024: 3.0},
            "mixing": 0.9,
        },
        "penalty.r1": {"weight": 10.0, "every": 1},
        "optimizer": {**ADAM, "learning_rate": 1e-3, "betas": [0.0, 0.99]},
        "dataset": {"flip": True},
        "trainer": {"total_images": 25_000_000, "ema_halflife_images": 10_000, "ema_ramp_up": None, "ema_decay": None},
    },
    "stylegan2_ffhq1024": {
        "model": {"mixing": 0.9},
        "model.generator": {"mapping_layers": 8, "channel_base": 32768, "channel_max": 512},
        "model.discriminator": {"kind": "resnet", "group": 4},
        "penalty.r1": {"weight": 10.0, "every": 16},
        "penalty.path_length": {"weight": 2.0, "every": 4, "decay": 0.01, "shrink": 2},
        "optimizer": {**ADAM, "learning_rate": 2e-3, "betas": [0.0, 0.99]},
        "dataset": {"flip": True},
        "trainer": {"batch_size": 32, "total_images": 25_000_000, "ema_halflife_images": 10_000, "ema_ramp_up": None},
    },
    "stylegan2_cifar10": {
        "model": {"mixing": 0.0, "conditional": "none"},
        "model.generator": {"mapping_layers": 2},
        "model.discriminator": {"kind": "plain", "group": 32},
        "augment": {"p": 0.0, "target": 0.6, "ada_images": 500_000, "interval": 4, "fixed": False, "final_p": None}
        | {"color": 1.0, "cutout": 0.0},
        "penalty.r1": {"weight": 0.01, "every": 16},
        "optimizer": {**ADAM, "learning_rate": 2.5e-3, "betas": [0.0, 0.99]},
        "dataset": {"flip": False},
        "trainer": {"batch_size": 64, "total_images": 100_000_000, "ema_halflife_images": 500_000, "ema_ramp_up": 0.05},
    },
    "sngan_cifar10": {
        "model.latent": {"_target_": "gan_cli.parts.latent.Gaussian", "size": 128},
        "model.generator": {"width": 256},
        "model.discriminator": {"width": 128, "norm": "spectral"},
        "loss": {"_target_": "gan_cli.losses.adversarial.Hinge", "n_critic": 5},
        "optimizer": {**ADAM, "learning_rate": 2e-4, "betas": [0.0, 0.9]},
        "optimizer.schedule": {"kind": "linear", "start_images": 0, "end_images": 50_000 * 5 * 64, "final_factor": 0.0},
        "dataset": {"flip": False},
        "trainer": {"batch_size": 64, "total_images": 50_000 * 5 * 64, **NO_AVERAGE},
    },
    "sagan_imagenet128": {
        "model": {"conditional": "projection"},
        "model.latent": {"size": 128},
        "model.generator": {"width": 64, "attention_at": 32},
        "loss": {"_target_": "gan_cli.losses.adversarial.Hinge", "n_critic": 1},
        "optimizer": {**ADAM, "betas": [0.0, 0.9]},
        "optimizer.rates": {"generator": 1e-4, "discriminator": 4e-4},
        "dataset": {"flip": False},
        "trainer": {"batch_size": 256, **NO_AVERAGE},
    },
    "biggan_imagenet128": {
        "model": {"conditional": "projection"},
        "model.latent": {"size": 120},
        "model.generator": {"width": 96, "shared": 128, "attention_at": 64, "hierarchical": True},
        "loss": {"_target_": "gan_cli.losses.adversarial.Hinge", "n_critic": 1},
        "optimizer": {**ADAM, "eps": 1e-6, "betas": [0.0, 0.999]},
        "optimizer.rates": {"generator": 1e-4, "discriminator": 4e-4},
        "dataset": {"flip": False},
        "trainer": {"batch_size": 2048, "accumulate": 8, "ema_decay": 0.9999},
    },
    "r3gan_cifar10": {
        "model": {"conditional": "projection"},
        "model.latent": {"size": 64},
        "model.generator": {"width": 768, "blocks": 2, "group": 16, "embedding": 64},
        "loss": {"_target_": "gan_cli.losses.adversarial.RelativisticPairing", "n_critic": 1},
        "penalty.r1": {"weight": 0.05, "final_weight": 0.005, "ramp_images": 20_000_000, "every": 1},
        "penalty.r2": {"weight": 0.05, "final_weight": 0.005, "ramp_images": 20_000_000, "every": 1},
        "augment": {"p": 0.0, "final_p": 0.55, "ramp_images": 20_000_000, "color": 0.5, "cutout": 1.0, "fixed": False},
        "optimizer": {**ADAM, "learning_rate": 2e-4, "betas": [0.0, 0.9], "final_beta2": 0.99},
        "optimizer.schedule": {"kind": "cosine", "start_images": 0, "end_images": 20_000_000, "final_factor": 0.25},
        "dataset": {"flip": True},
        "trainer": {"batch_size": 512, "total_images": 250_000_000, "ema_halflife_images": 5_000_000}
        | {"ema_ramp_images": 20_000_000, "ema_decay": None},
    },
}


def recipe(name: str) -> dict[str, Any]:
    """Composed; a recipe for a folder gets one with two classes."""
    root = [f"dataset.root={os.environ['GAN_TINY_PICTURES']}/pairs"] if "1024" in name or "imagenet" in name else []
    return compose_plain(f"experiment={name}", *root)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_recipe_has_the_published_values(name: str) -> None:
    config = recipe(name)
    for path, wanted in PUBLISHED[name].items():
        node = reduce(lambda inner, key: inner[key], path.split("."), config)
        assert {f"{path}.{key}": node[key] for key in wanted} == {f"{path}.{k}": v for k, v in wanted.items()}


def test_adam_of_the_cifar_recipe_is_rescaled_for_a_lazy_step_that_is_empty() -> None:
    """As published: the generator has its lazy phase, every 4th step, though there is nothing in it."""
    config = recipe("stylegan2_cifar10")
    with torch.device("meta"):
        phases = {phase.name: phase for phase in game_of(config).phases(optimizers_of(config))}
    for phase in phases.values():
        phase.course.set(phase.optimizer, 0)
    generator, critic = (phases[name].optimizer.param_groups[0] for name in ("generator", "discriminator"))
    assert generator["lr"] == pytest.approx(2.5e-3 * 4 / 5)
    assert generator["betas"] == pytest.approx((0.0, 0.99 ** (4 / 5)), abs=1e-6)
    assert critic["lr"] == pytest.approx(2.5e-3 * 16 / 17)
    assert critic["betas"] == pytest.approx((0.0, 0.99 ** (16 / 17)))


# ---- averages ----


def test_a_halflife_grows_along_its_cosine() -> None:
    ema = EMA({}, 5_000_000, ramp_images=20_000_000)
    wanted = {0: 0.0, 5_000_000: 5e6 * (1 - 2**-0.5) / 2, 10_000_000: 2.5e6, 20_000_000: 5e6, 90_000_000: 5e6}
    assert {images: ema.halflife(images) for images in wanted} == pytest.approx(wanted)
    assert EMA({}, 1000, ramp_up=None).halflife(10) == 1000
    assert EMA({}, 1000).halflife(10) == 0.5


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({"ema_decay": 0.999}, 0.999),  # whatever the batch and the half-life
        ({"ema_halflife_images": 128, "ema_ramp_up": None}, 0.5),
        ({"ema_halflife_images": 512, "ema_ramp_images": 256}, 0.5**0.5),  # half of the ramp: 256
        ({"ema_halflife_images": 10**6, "ema_ramp_up": 0.5}, 0.25),  # 64
        ({"ema_halflife_images": 0}, 0.0),
    ],
    ids=str,
)
def test_what_stays_of_an_average_at_a_step(settings: dict[str, Any], kept: float) -> None:
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, 0.0)
    ema = EMA.of({"generator": network}, TrainerSettings(**settings))
    nn.init.constant_(network.weight, 1.0)
    ema.update(128)
    assert 1 - ema.networks["generator"].weight.item() == pytest.approx(kept, abs=1e-6)  # type: ignore[operator,union-attr]


# ---- initialisations ----


def within(weight: torch.Tensor, gain: float) -> bool:
    """Whether weights are Xavier uniform with a gain: up to its bound and no further."""
    receptive = weight[0, 0].numel()
    bound = gain * math.sqrt(6 / ((weight.shape[0] + weight.shape[1]) * receptive))
    return 0.95 * bound < weight.abs().max() <= bound


def test_sngan_has_glorot_weights_of_the_published_gains() -> None:
    torch.manual_seed(0)
    generator, critic = sngan.Generator(16, 3, 32, width=32), sngan.Discriminator(3, 32, width=32, norm="none")
    assert within(generator.to_image.weight, 1.0), "the last convolution is no part of a block"
    for block in (*generator.blocks, *critic.blocks):
        assert within(block.first.weight, math.sqrt(2))  # type: ignore[arg-type]
        assert within(block.second.weight, math.sqrt(2))  # type: ignore[arg-type]
        if block.skip is not None:
            assert within(block.skip.weight, 1.0)  # type: ignore[arg-type,union-attr]
    assert within(generator.dense.weight, 1.0)
    assert within(critic.head.answer.weight, 1.0)
    assert critic.head.answer.bias is None


def test_sagan_has_xavier_weights() -> None:
    torch.manual_seed(0)
    networks = sagan.Generator(16, 3, 32, width=16), sagan.Discriminator(3, 32, width=16, num_classes=5)
    raw = [weight for network in networks for name, weight in network.named_parameters() if name.endswith("original")]
    assert len(raw) > 20
    for weight in raw:
        if weight.numel() > 500:  # enough to come near the bound
            assert within(weight, 1.0)


@pytest.mark.parametrize("classes", [10, 1000])
def test_r3gans_critic_starts_with_class_vectors_of_the_published_size(classes: int) -> None:
    torch.manual_seed(0)
    critic = r3gan.Discriminator(3, 32, width=64, num_classes=classes)
    assert critic.head.embed is not None
    assert critic.head.embed.weight.shape == (64, classes)
    assert critic.head.embed.weight.std().item() == pytest.approx(1 / math.sqrt(64 * classes), rel=0.1)
    generator = r3gan.Generator(8, 3, 32, width=64, num_classes=classes)
    assert generator.embed is not None
    assert generator.embed.weight.std().item() == pytest.approx(1 / math.sqrt(classes), rel=0.1)


@pytest.mark.parametrize(("module", "in_weights"), [(stylegan, True), (stylegan2, False)])
def test_the_mapping_brings_its_gain_where_each_paper_has_it(module: Any, in_weights: bool) -> None:
    """StyleGAN: lrelu(sqrt 2 W x / (100 sqrt n) + b / 100), W stored 100 times larger; StyleGAN2: sqrt 2 lrelu(...)."""
    config = {"stylegan": {"growth": stylegan.Growth(8)}, "stylegan2": {"resolution": 8}}[
        module.__name__.split(".")[-1]
    ]
    mapping: MappingNetwork = module.Generator(
        latent_size=6, channels=1, style_size=5, mapping_layers=2, channel_base=64, channel_max=8, **config
    ).mapping
    z = torch.randn(3, 6)
    x = z / z.square().mean(1, keepdim=True).add(1e-8).sqrt()
    for layer in mapping.layers:
        nn.init.normal_(layer.bias)  # type: ignore[arg-type]
        scaled = layer.weight * 0.01 / math.sqrt(x.shape[1])  # type: ignore[operator]
        before = x @ scaled.t() * (math.sqrt(2) if in_weights else 1) + layer.bias * 0.01  # type: ignore[operator]
        x = nn.functional.leaky_relu(before, 0.2) * (1 if in_weights else math.sqrt(2))
    torch.testing.assert_close(mapping(z), x)


# ---- terms ----


class Flat:
    """A game whose picture is its style, seen at one pixel: the path length is the norm of a drawn direction."""

    def __init__(self, factor: torch.Tensor) -> None:
        self.factor = factor

    def styles(self, turn: Any, name: str = "") -> torch.Tensor:
        return torch.ones(len(self.factor), 1, 1, requires_grad=True)

    def synthesize(self, styles: torch.Tensor) -> torch.Tensor:
        return (styles[:, 0, 0] * self.factor)[:, None, None, None]


def test_the_mean_path_length_moves_with_the_lengths_in_the_gradient() -> None:
    """Of w (l - m)^2 with m = 0.9 m0 + 0.1 mean(l), as in the authors' code: not m held fixed."""

    class Given:
        real = torch.zeros(3, 1)

        def __len__(self) -> int:
            return 3

    class Drawn:
        @staticmethod
        def normal(name: str, *shape: int) -> torch.Tensor:
            return torch.ones(3, *shape)

    factor = torch.tensor([1.0, 2.0, 4.0], requires_grad=True)
    penalty = PathLength(weight=2.0, decay=0.1, shrink=1)
    penalty.mean.fill_(0.5)

    class Turn:
        game, batch, noise = Flat(factor), Given(), Drawn()

    term = penalty.terms("path_length", Turn())["path_length"]
    mean = 0.9 * 0.5 + 0.1 * 7 / 3
    lengths = torch.tensor([1.0, 2.0, 4.0])
    assert torch.allclose(term, 2 * (lengths - mean) ** 2)
    assert penalty.mean.item() == pytest.approx(mean)
    (slope,) = torch.autograd.grad(term.sum(), factor)
    assert torch.allclose(slope, 4 * (lengths - mean) - 4 * (lengths - mean).sum() * 0.1 / 3)


def test_diffaugment_rounds_halves_up() -> None:
    """At 20 pixels an eighth is 2.5, at 5 a half: 3 pixels in the authors' code, where Python rounds to 2."""
    assert [pixels(20, 0.125), pixels(5, 0.5), pixels(28, 0.125), pixels(32, 0.125)] == [3, 3, 4, 4]
    torch.manual_seed(0)
    cut = DiffAugment(0, 0, 0.5)(torch.ones(200, 1, 5, 5))
    assert int((cut == 0).sum([1, 2, 3]).max()) == 9
    moved = DiffAugment(0, 0.125, 0)(torch.ones(500, 1, 20, 20))
    assert int((moved[:, 0].amax(2) == 0).sum(1).max()) == 3


def test_betas_of_a_player_are_its_own() -> None:
    config = compose_checked("model=gan", *TINY["gan"], "optimizer.player_betas.generator=[0.1,0.8]")
    phases = game_of(config).phases(optimizers_of(config))
    assert [tuple(phase.optimizer.defaults["betas"]) for phase in phases] == [(0.5, 0.999), (0.1, 0.8)]
