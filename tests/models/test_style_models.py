"""Style and resolution: published parameter counts, growing, modulation, statistics over a batch, lazy phases."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import QUICK, TINY, compose_checked, game_of, optimizers_of
from torch import nn
from torch.nn.functional import conv2d, interpolate

from gan_cli.base.checkpoint import load
from gan_cli.base.types import Batch, Noise, Span, State
from gan_cli.game.meter import Meter
from gan_cli.game.update import Updater
from gan_cli.layers.equalized import EqualizedConv2d, EqualizedLinear, PixelNorm
from gan_cli.layers.growth import Growth, shrunk
from gan_cli.layers.minibatch import MinibatchDiscrimination, MinibatchStddev
from gan_cli.layers.modulation import LayerNoise, MappingNetwork, ModulatedConv2d, mixed
from gan_cli.layers.resample import Blur, Downsample, Upsample
from gan_cli.layers.residual import ConditionalNorm, SelfAttention, spectral
from gan_cli.models import biggan, progan, r3gan, sagan, sngan, stylegan, stylegan2
from gan_cli.parts.ema import EMA
from gan_cli.parts.schedule import Course, Schedule
from gan_cli.run.train import train


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


PUBLISHED: dict[str, tuple[Any, Any, int, int]] = {
    "progan 1024": (
        lambda: progan.Generator(Growth(1024), 512, 3),
        lambda: progan.Discriminator(Growth(1024), 3),
        *(23_079_115, 23_087_249),
    ),
    "progan 64": (
        lambda: progan.Generator(Growth(64), 512, 3),
        lambda: progan.Discriminator(Growth(64), 3),
        *(22_490_383, 22_498_049),
    ),
    "stylegan 1024": (
        lambda: stylegan.Generator(Growth(1024), 512, 3),
        lambda: stylegan.Discriminator(Growth(1024), 3),
        *(26_219_627, 23_087_249),
    ),
    "stylegan 64": (
        lambda: stylegan.Generator(Growth(64), 512, 3),
        lambda: stylegan.Discriminator(Growth(64), 3),
        *(25_137_935, 22_498_049),
    ),
    "stylegan2 config F, 1024": (
        lambda: stylegan2.Generator(512, 3, 1024),
        lambda: stylegan2.Discriminator(3, 1024),
        *(30_370_060, 29_012_513),
    ),
    "stylegan2 256, half the channels": (
        lambda: stylegan2.Generator(512, 3, 256, channel_base=16384),
        lambda: stylegan2.Discriminator(3, 256, channel_base=16384),
        *(24_767_458, 24_001_089),
    ),
    "stylegan2 256": (
        lambda: stylegan2.Generator(512, 3, 256),
        lambda: stylegan2.Discriminator(3, 256),
        *(30_034_338, 28_864_129),
    ),
    "stylegan2 32": (
        lambda: stylegan2.Generator(512, 3, 32, mapping_layers=2),
        lambda: stylegan2.Discriminator(3, 32, "plain"),
        *(19_947_539, 20_720_641),
    ),
    "stylegan2 32, 10 classes": (
        lambda: stylegan2.Generator(512, 3, 32, mapping_layers=2, num_classes=10),
        lambda: stylegan2.Discriminator(3, 32, "plain", num_classes=10),
        *(20_215_315, 23_089_664),
    ),
    "biggan 128, 1000 classes": (
        lambda: biggan.Generator(120, 3, 128, num_classes=1000),
        lambda: biggan.Discriminator(3, 128, num_classes=1000),
        *(70_433_988, 87_982_370),
    ),
    "biggan 32, 10 classes": (
        lambda: biggan.Generator(128, 3, 32, 64, attention_at=0, hierarchical=False, num_classes=10),
        lambda: biggan.Discriminator(3, 32, 64, attention_at=0, num_classes=10),
        *(4_668_163, 4_207_361),
    ),
    "r3gan 32, 10 classes": (
        lambda: r3gan.Generator(64, 3, 32, num_classes=10),
        lambda: r3gan.Discriminator(3, 32, num_classes=10),
        *(20_781_952, 21_280_512),
    ),
    "r3gan 64": (
        lambda: r3gan.Generator(64, 3, 64),
        lambda: r3gan.Discriminator(3, 64),
        *(22_429_824, 22_381_440),
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameter_counts_are_the_published_ones(name: str) -> None:
    generator, discriminator, in_generator, in_discriminator = PUBLISHED[name]
    with torch.device("meta"):
        assert count(generator()) == in_generator
        assert count(discriminator()) == in_discriminator


@pytest.mark.parametrize("resolution", [16, 32, 64, 128])
@pytest.mark.parametrize("module", [sngan, sagan, biggan], ids=lambda module: module.__name__.split(".")[-1])
def test_residual_networks_fit_each_other_at_every_size(module: Any, resolution: int) -> None:
    if module is biggan and resolution == 16:
        with pytest.raises(ValueError, match="32, 64, 128, 256, 512, not 16"):
            biggan.Generator(64, 1, 16)
        return
    generator = module.Generator(840, 3, resolution, 16, num_classes=7)
    discriminator = module.Discriminator(3, resolution, 16, num_classes=7)
    label = torch.tensor([0, 6])
    with torch.device("cpu"):
        images = generator(torch.randn(2, 840), label)
        assert images.shape == (2, 3, resolution, resolution)
        assert discriminator(images, label).shape == (2,)
        assert not torch.equal(discriminator(images, label), discriminator(images, label.flip(0)))


# ---- layers ----


def test_equalized_layers_scale_at_run_time() -> None:
    layer = EqualizedLinear(4, 2, gain=3.0, rate=0.01, bias_init=1.0)
    assert layer.weight.std().item() > 10, "stored 1 / rate larger"
    x = torch.randn(5, 4)
    assert torch.allclose(layer(x), x @ layer.weight.t() * (3 * 0.01 / 2) + 1, atol=1e-5)
    convolution = EqualizedConv2d(3, 2, 3, gain=math.sqrt(2))
    image = torch.randn(1, 3, 5, 5)
    assert torch.allclose(
        convolution(image), conv2d(image, convolution.weight * math.sqrt(2 / 27), padding=1), atol=1e-6
    )
    assert torch.allclose(PixelNorm()(image).square().mean(1), torch.ones(1, 5, 5), atol=1e-5)


def test_resampling_keeps_constants_and_has_exact_derivatives() -> None:
    taps = (1, 3, 3, 1)
    up, down = Upsample(taps).double(), Downsample(taps).double()
    ones = torch.ones(1, 2, 8, 8, dtype=torch.double)
    assert torch.allclose(up(ones)[:, :, 2:-2, 2:-2], torch.ones(1, 2, 12, 12, dtype=torch.double))
    assert torch.allclose(down(ones)[:, :, 1:-1, 1:-1], torch.ones(1, 2, 2, 2, dtype=torch.double))
    point = torch.zeros(1, 1, 4, 4, dtype=torch.double)
    point[0, 0, 1, 1] = 1
    line = torch.tensor(taps, dtype=torch.double)
    start = 1
    wanted = torch.zeros(8, 8, dtype=torch.double)
    wanted[start : start + len(taps), start : start + len(taps)] = torch.outer(line, line) / line.sum() ** 2 * 4
    assert torch.allclose(up(point)[0, 0], wanted)
    x = torch.randn(2, 3, 6, 6, dtype=torch.double, requires_grad=True)
    for layer in (up, down, Blur((1, 2, 1)).double()):
        assert torch.autograd.gradcheck(layer, x)
        assert torch.autograd.gradgradcheck(lambda value, layer=layer: layer(value).pow(3), x)


def test_minibatch_deviation_by_hand() -> None:
    layer = MinibatchStddev(group=2)
    x = torch.zeros(4, 3, 2, 2)
    x[2] = 2.0  # groups are (0, 2) and (1, 3)
    out = layer(x)
    assert out.shape == (4, 4, 2, 2)
    assert torch.allclose(out[:, 3, 0, 0], torch.tensor([1.0, 1e-4, 1.0, 1e-4]), atol=1e-4)
    same = torch.ones(4, 3, 2, 2, requires_grad=True)
    layer(same).sum().backward()
    assert same.grad is not None
    assert same.grad.isfinite().all(), "the root of 0"
    assert MinibatchStddev(4)(torch.randn(6, 3, 2, 2)).shape == (6, 4, 2, 2), "3 divides 6"


def test_minibatch_discrimination_by_hand_and_for_any_order() -> None:
    layer = MinibatchDiscrimination(2, kernels=1, dimensions=2)
    with torch.no_grad():
        layer.tensor.copy_(torch.eye(2)[:, None])  # M = f
    x = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 3.0]])
    expected = torch.tensor([math.exp(-1) + math.exp(-3), math.exp(-1) + math.exp(-4), math.exp(-3) + math.exp(-4)])
    assert torch.allclose(layer(x)[:, 2], expected)
    assert count(MinibatchDiscrimination(7, 5, 3)) == 7 * 5 * 3
    big = MinibatchDiscrimination(6, 4, 3)
    some, order = torch.randn(5, 6), torch.randperm(5)
    assert torch.allclose(big(some)[order], big(some[order]), atol=1e-6)


def test_modulation_is_a_convolution_with_weights_for_each_sample() -> None:
    layer = ModulatedConv2d(3, 4, 3, 5)
    x, w = torch.randn(2, 3, 6, 6), torch.randn(2, 5)
    style = layer.affine(w)
    for number in range(2):
        weight = layer.weight * layer.scale * style[number][None, :, None, None]
        weight = weight / (weight.square().sum([1, 2, 3], keepdim=True) + 1e-8).sqrt()
        alone = conv2d(x[number : number + 1], weight, padding=1)
        assert torch.allclose(layer(x, w)[number : number + 1], alone, atol=1e-5)
    larger = ModulatedConv2d(3, 4, 3, 5, up=True)
    assert larger(x, w).shape == (2, 4, 12, 12)


def test_demodulation_takes_the_size_of_styles_out() -> None:
    layer = ModulatedConv2d(3, 4, 3, 5)
    x, w = torch.randn(2, 3, 6, 6), torch.randn(2, 5)
    before = layer(x, w)
    with torch.no_grad():
        layer.affine.weight.mul_(10)
        layer.affine.bias.mul_(10)  # type: ignore[union-attr]
    assert torch.allclose(layer(x, w), before, rtol=1e-4, atol=1e-5)
    plain = ModulatedConv2d(3, 4, 1, 5, demodulate=False)
    assert torch.allclose(plain(10 * x, w), 10 * plain(x, w), rtol=1e-4, atol=1e-4)


def test_signals_keep_their_size_through_stylegan2_at_initialisation() -> None:
    torch.manual_seed(0)
    generator = stylegan2.Generator(64, 3, 32, 64, 8, 2048, 128)
    sizes: dict[str, float] = {}

    def size_of(name: str) -> Any:
        return lambda module, given, made: sizes.__setitem__(name, made.square().mean().sqrt().item())

    for name, module in generator.named_modules():
        if isinstance(module, (ModulatedConv2d, EqualizedLinear)) and "affine" not in name and "image" not in name:
            module.register_forward_hook(size_of(name))
    generator(torch.randn(64, 64))
    mapping = [size for name, size in sizes.items() if name.startswith("mapping")]
    first = sizes["synthesis.first.convolution"]
    finer = [size for name, size in sizes.items() if name.startswith("synthesis.convolutions")]
    assert len(mapping) == 8
    assert all(0.7 < size < 1.4 for size in [*mapping, first]), sizes
    # a transposed convolution and its filter keep 0.39 of the variance of uncorrelated pixels, more of smooth ones
    assert all(0.4 < size < 1.4 for size in finer), sizes


def test_layer_noise_is_new_in_training_and_fixed_in_evaluation() -> None:
    layer, x = LayerNoise(4), torch.zeros(3, 2, 4, 4)
    assert torch.equal(layer(x), x), "its strength starts at 0"
    with torch.no_grad():
        layer.strength.fill_(2.0)
    made = layer(x)
    assert torch.equal(made[:, 0], made[:, 1])
    assert not torch.equal(made[0], made[1])
    layer.eval()
    assert torch.equal(layer(x), 2 * layer.fixed.expand(3, 2, 4, 4))


def test_the_mean_style_is_tracked_and_truncation_moves_towards_it() -> None:
    torch.manual_seed(0)
    mapping = MappingNetwork(6, 8, 2)
    w = mapping(torch.randn(50, 6), track=True)
    assert torch.allclose(mapping.mean, 0.005 * w.mean(0), atol=1e-6)
    mapping.eval()
    before = mapping.mean.clone()
    mapping(torch.randn(50, 6), track=True)
    assert torch.equal(mapping.mean, before), "only in training"
    assert torch.equal(mapping.truncated(w, 1.0), w)
    assert torch.allclose(mapping.truncated(w, 0.0), before.expand_as(w))
    assert torch.allclose(mapping.truncated(w, 0.7), before + 0.7 * (w - before), atol=1e-6)


def test_mixed_styles_change_at_one_layer_for_the_asked_share() -> None:
    noise = Noise(torch.device("cpu"), Span(0, 4000, 0, 4000), 1)
    a, b = torch.zeros(4000, 1), torch.ones(4000, 1)
    styles = mixed(a, b, 6, 0.9, noise)[:, :, 0]
    assert styles.shape == (4000, 6)
    assert (styles.diff(dim=1) >= 0).all(), "first the one, then the other"
    changed = styles[:, -1] == 1
    assert changed.float().mean().item() == pytest.approx(0.9, abs=0.02)
    assert (styles[:, 0] == 0).all()
    layers = styles[changed].sum(1)
    assert set(layers.tolist()) == {1.0, 2.0, 3.0, 4.0, 5.0}


def test_spectral_norm_is_the_largest_singular_value() -> None:
    torch.manual_seed(0)
    layer = spectral(nn.Conv2d(3, 8, 3))
    x = torch.randn(1, 3, 5, 5)
    for _ in range(50):
        layer(x)
    assert torch.linalg.svdvals(layer.weight.detach().flatten(1))[0].item() == pytest.approx(1, abs=1e-3)


def test_attention_starts_as_the_identity_and_weighs_all_places() -> None:
    torch.manual_seed(0)
    layer, x = SelfAttention(16), torch.randn(2, 16, 4, 4)
    assert torch.equal(layer(x), x)
    with torch.no_grad():
        layer.gamma.fill_(1.0)
    layer.eval()
    moved = layer(x) - x
    other = x.clone()
    other[:, :, 0, 0] += 10
    assert not torch.allclose((layer(other) - other)[:, :, 3, 3], moved[:, :, 3, 3]), "every place sees every other"


def test_conditional_norm_by_hand() -> None:
    layer = ConditionalNorm(2, 3)
    x, told = torch.randn(4, 2, 3, 3), torch.eye(3)[[0, 1, 2, 0]]
    plain = nn.functional.batch_norm(x, None, None, training=True)
    assert torch.allclose(layer(x, told), plain, atol=1e-5), "starts as batch norm"
    with torch.no_grad():
        layer.gain.weight.copy_(torch.tensor([[1.0, 2, 3], [4, 5, 6]]))  # type: ignore[union-attr]
        layer.bias.weight.copy_(torch.tensor([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]]))  # type: ignore[union-attr]
    assert torch.allclose(layer(x, told)[1, 1], plain[1, 1] * 6 + 0.5, atol=1e-5)


# ---- growing ----


def test_levels_come_when_the_paper_says() -> None:
    growth = Growth(16, 4, fade_images=600, stable_images=400)
    assert [growth.span(level) for level in growth.levels] == [(0, 400), (400, 1400), (1400, None)]
    assert growth.at(399) == (0, 1.0)
    assert growth.at(400) == (1, 0.0)
    assert growth.at(700) == (1, 0.5)
    assert growth.at(1000) == (1, 1.0)
    assert growth.at(1400) == (2, 0.0)
    assert growth.at(9999) == (2, 1.0)
    assert Growth(16, 16).at(0) == (2, 1.0), "no growing"
    stages = [(0, False, 0, 400), (1, True, 400, 1000), (1, False, 1000, 1400), (2, True, 1400, 2000)]
    assert [tuple(stage) for stage in growth.stages] == [*stages, (2, False, 2000, None)]


@pytest.mark.parametrize("module", [progan, stylegan], ids=["progan", "stylegan"])
def test_a_fade_starts_as_the_level_before_and_ends_as_the_new_one(module: Any) -> None:
    torch.manual_seed(0)
    growth = Growth(16, 4, 100, 100)
    generator = module.Generator(growth, 8, 1, channel_base=128, channel_max=16).eval()
    critic = module.Discriminator(growth, 1, channel_base=128, channel_max=16).eval()
    grown = getattr(generator, "synthesis", generator)
    z = torch.randn(4, 8)

    def at(level: int, faded: float) -> torch.Tensor:
        for network in (grown, critic):
            network.level, network.faded = level, faded
        return generator(z)

    before, start, end, middle = at(1, 1.0), at(2, 0.0), at(2, 1.0), at(2, 0.25)
    upsampled = interpolate(before, scale_factor=2)
    assert (start - upsampled).abs().max() < 1e-5
    assert (middle - (0.75 * upsampled + 0.25 * end)).abs().max() < 1e-5
    assert (end - upsampled).abs().max() > 0.01
    # the critic: at 0 it sees the halved picture by the old path alone
    at(1, 1.0)
    old = critic(before)
    at(2, 0.0)
    assert (critic(interpolate(before, scale_factor=2)) - old).abs().max() < 1e-5
    real = torch.rand(2, 1, 16, 16)
    assert torch.equal(shrunk(real, 2, 1.0), real)
    assert torch.allclose(shrunk(real, 1, 1.0)[0, 0, 0, 0], real[0, 0, :2, :2].mean())
    assert torch.allclose(shrunk(real, 2, 0.0), interpolate(shrunk(real, 1, 1.0), scale_factor=2))


GROWING = [
    *("model=progan", *TINY["progan"], *QUICK, "dataset.resolution=16", "model.growth.start=4"),
    *("model.growth.fade_images=32", "model.growth.stable_images=32", "trainer.batch_size=8"),
    *("trainer.checkpoint_every_images=8", "trainer.device=cpu"),
]


def test_a_growing_run_moves_what_its_level_uses_and_resumes_in_a_fade(tmp_path: Path) -> None:
    """Bit for bit: weights, averages, optimizers and curves; cut at 48 images, in the middle of the first fade."""
    config = compose_checked(*GROWING, "trainer.total_images=176", "trainer.keep_checkpoints=50")
    train(config, tmp_path / "whole")
    short = {**config, "trainer": {**config["trainer"], "total_images": 48}}
    train(short, tmp_path / "cut")
    train(config, tmp_path / "cut")
    whole, cut = (load(tmp_path / name, print)[1] for name in ("whole", "cut"))
    assert whole["progress"] == cut["progress"]
    assert whole["progress"]["updates"]["generator_4"] == 4
    assert whole["progress"]["updates"]["generator_8_fade"] == 4
    assert whole["progress"]["updates"]["generator_8"] == 4
    for part in ("game", "ema"):
        flat = torch.utils._pytree.tree_leaves(whole[part]), torch.utils._pytree.tree_leaves(cut[part])
        assert all(torch.equal(a, b) for a, b in zip(*flat, strict=True)), part
    assert whole["optimizers"]["generator_4"]["state"] == {}, "a level that is over keeps no moments"
    assert whole["optimizers"]["generator_16"]["state"]
    faded = load(tmp_path / "whole" / "checkpoints" / "images-000000072.pt", print)[1]["optimizers"]
    for player in ("generator", "discriminator"):  # the fade of 8x8 ended at 64 images, a step ago
        assert faded[f"{player}_8_fade"]["state"] == {}
        assert faded[f"{player}_8"]["state"][0]["step"] == 1, "its end too starts with fresh moments"
    first = load(tmp_path / "whole" / "checkpoints" / "images-000000032.pt", print)[1]["game"]
    start = game_of(config).state_dict()
    moved = {name for name, value in first.items() if not torch.equal(value, start[name])}
    assert "generator.to_image.0.weight" in moved
    assert not any("blocks" in name or "to_image.1" in name for name in moved), "other levels are left alone"


def test_a_grown_model_goes_on_as_one_that_grows_no_more(tmp_path: Path) -> None:
    """`init_from` asks for equal networks; when which level came is no part of them."""
    config = compose_checked(*GROWING, "trainer.total_images=32")
    train(config, tmp_path / "grown")
    done = compose_checked(
        *[option for option in GROWING if "growth" not in option],
        *("model.growth.start=16", f"init_from={tmp_path / 'grown'}", "trainer.total_images=16"),
    )
    (tmp_path / "on").mkdir()
    assert train(done, tmp_path / "on")["status"] == "finished"


def test_averages_grow_as_the_networks_do() -> None:
    config = compose_checked(*GROWING, "trainer.total_images=8")
    gan = game_of(config)
    ema = EMA(gan.averaged, 100)
    gan.set_progress(48)
    ema.update(48)
    grown: Any = ema.networks["generator"]
    assert (grown.level, grown.faded) == (1, 0.5)
    z = torch.randn(2, 8)
    made = gan.make(ema.networks, {"latent": z})["samples"]
    assert made.shape == (2, 1, 16, 16), "samples of every level have the final size"


# ---- lazy phases and schedules ----


def test_lazy_regularizers_have_phases_of_their_own_and_adam_is_rescaled(tmp_path: Path) -> None:
    config = compose_checked("model=stylegan2", *TINY["stylegan2"], *QUICK, "trainer.device=cpu")
    phases = game_of(config).phases(optimizers_of(config))
    assert [phase.name for phase in phases] == [
        *("discriminator", "discriminator_r1", "generator", "generator_path_length")
    ]
    assert [phase.every for phase in phases] == [1, 16, 1, 4]
    assert phases[0].optimizer is phases[1].optimizer
    for phase, interval in zip(phases, (16, 16, 4, 4), strict=True):
        phase.course.set(phase.optimizer, 0)
        (group,) = phase.optimizer.param_groups
        share = interval / (interval + 1)
        assert group["lr"] == pytest.approx(2.5e-3 * share)
        assert group["betas"] == pytest.approx((0.0, 0.99**share))
    config["trainer"]["total_images"], config["trainer"]["log_every_images"] = 8 * 17, 8
    train(config, tmp_path / "run")
    updates = load(tmp_path / "run", print)[1]["progress"]["updates"]
    assert updates == {"discriminator": 17, "discriminator_r1": 2, "generator": 17, "generator_path_length": 5}
    lines = [json.loads(line) for line in (tmp_path / "run" / "scalars.jsonl").read_text().splitlines()]
    assert "discriminator/r1" in lines[0]
    assert "discriminator/r1" not in lines[1]


def test_course_follows_its_schedule() -> None:
    optimizer = torch.optim.Adam([nn.Parameter(torch.zeros(1))], lr=1.0, betas=(0.5, 0.9))
    course = Course(2e-4, Schedule("cosine", 0, 100, 0.25), (0.0, 0.9), final_beta2=0.99)
    for images, rate, beta in [(0, 2e-4, 0.9), (50, 1.25e-4, 0.945), (100, 5e-5, 0.99), (500, 5e-5, 0.99)]:
        course.set(optimizer, images)
        (group,) = optimizer.param_groups
        assert group["lr"] == pytest.approx(rate)
        assert group["betas"] == pytest.approx((0.0, beta))


@pytest.mark.parametrize(
    ("resolution", "width", "would_do"), [(32, 100, [96, 104]), (64, 104, [96, 112]), (64, 8, [16])]
)
def test_a_width_that_groups_do_not_divide_is_refused_with_ones_that_they_do(
    resolution: int, width: int, would_do: list[int]
) -> None:
    words = f"width={' or '.join(map(str, would_do))} would do"
    with pytest.raises(ValueError, match=f"width={width} does not fit group=16 at {resolution} pixels.*; {words}"):
        r3gan.Generator(8, 1, resolution, width=width, blocks=1)
    for fitting in would_do:
        r3gan.Generator(8, 1, resolution, width=fitting, blocks=1)


def test_a_penaltys_weight_follows_its_ramp() -> None:
    more = ["penalty.r1.weight=0.05", "penalty.r1.final_weight=0.005", "penalty.r1.ramp_images=100"]
    gan = game_of(compose_checked("model=r3gan", *TINY["r3gan"], *more))
    for images, weight in [(0, 0.05), (50, 0.0275), (100, 0.005), (1000, 0.005)]:
        gan.set_progress(images)
        assert gan.penalties["r1"].weight == pytest.approx(weight)
        assert gan.penalties["r2"].weight == 0.05


def test_path_length_against_finite_differences(tmp_path: Path) -> None:
    """The length of J^T y at single styles, y the penalty's own direction."""
    torch.manual_seed(0)
    more = ["penalty=[path_length]", "penalty.path_length.shrink=1", "model.mixing=0"]
    config = compose_checked("model=stylegan2", *TINY["stylegan2"], *QUICK, *more)
    gan = game_of(config).double().eval()
    styles = torch.randn(3, gan.generator.synthesis.layers, 8, dtype=torch.double)  # type: ignore[union-attr]
    noise = Noise(torch.device("cpu"), Span(0, 3, 0, 3), 1)

    class FakeTurn:
        def __init__(self) -> None:
            self.game, self.noise = gan, noise
            self.batch: Any = type("B", (), {"real": styles, "__len__": lambda self: 3})()

    gan.styles = lambda turn, name: styles.clone().requires_grad_()  # type: ignore[method-assign,assignment]
    gan.generator.synthesis.forward, whole = None, gan.generator.synthesis.forward  # type: ignore
    gan.generator.synthesis.forward = lambda w: whole(w.double())  # type: ignore
    penalty = gan.penalties["path_length"]
    term = penalty.terms("path_length", FakeTurn())["path_length"]
    direction = noise.normal("path_direction", 1, 8, 8) / 8
    lengths = []
    for row in range(3):
        gradient = torch.zeros_like(styles[row])
        for place in range(gradient.numel()):
            step = torch.zeros(gradient.numel(), dtype=torch.double)
            step[place] = 1e-5
            sides = [whole((styles[row] + sign * step.view_as(gradient))[None]) for sign in (1, -1)]
            gradient.view(-1)[place] = ((sides[0] - sides[1]) * direction[row]).sum() / 2e-5
        lengths.append(gradient.square().sum(1).mean().sqrt())
    expected = torch.stack(lengths)
    assert penalty.mean.item() == pytest.approx(0.01 * expected.mean().item(), rel=1e-4)
    assert torch.allclose(term, 2.0 * (expected - penalty.mean).square(), rtol=1e-3)


def test_a_run_with_lazy_path_length_resumes_exactly(tmp_path: Path) -> None:
    """Cut between two of its steps: the running mean, the optimizer that two phases share, when it is due."""
    more = ["penalty.path_length.every=3", "penalty.r1.every=4", "trainer.device=cpu"]
    config = compose_checked("model=stylegan2", *TINY["stylegan2"], *QUICK, *more)

    def until(images: int) -> dict[str, Any]:
        return {**config, "trainer": {**config["trainer"], "total_images": images}}

    train(until(88), tmp_path / "whole")
    train(until(40), tmp_path / "cut")
    train(until(88), tmp_path / "cut")
    whole, cut = (load(tmp_path / name, print)[1] for name in ("whole", "cut"))
    assert whole["game"]["penalties.path_length.mean"] > 0
    assert whole["progress"] == cut["progress"]
    for part in ("game", "ema", "optimizers"):
        flat = torch.utils._pytree.tree_leaves(whole[part]), torch.utils._pytree.tree_leaves(cut[part])
        same = (torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b for a, b in zip(*flat, strict=True))
        assert all(same), part


def test_a_lazy_step_is_worth_as_many_eager_ones() -> None:
    """R1's gradient on a batch: k times, in a step of its own, what the eager term adds to each step."""

    def gradients(*more: str, phase: str) -> list[torch.Tensor]:
        config = compose_checked("model=stylegan2", *TINY["stylegan2"], *QUICK, "model.discriminator.group=0", *more)
        gan = game_of(config)
        phases = gan.plan = gan.phases(optimizers_of(config))
        update = Updater(gan, torch.device("cpu"), 1, "float32", Meter(torch.device("cpu")))
        image = torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(1))
        update(next(p for p in phases if p.name == phase), Batch({"image": image}, 0, 8), State())
        return [parameter.grad.clone() for parameter in gan.discriminator.parameters() if parameter.grad is not None]

    weight = "penalty.r1.weight=30"
    lazy = gradients("penalty=[r1]", weight, "penalty.r1.every=16", phase="discriminator_r1")
    eager = gradients("penalty=[r1]", weight, "penalty.r1.every=1", phase="discriminator")
    plain = gradients("penalty=[]", phase="discriminator")
    for k_times, both, alone in zip(lazy, eager, plain, strict=True):
        assert torch.allclose(k_times, 16 * (both - alone), rtol=1e-3, atol=1e-4)
    assert sum(gradient.square().sum() for gradient in lazy).sqrt() > 1


def test_a_run_that_ends_before_its_last_level_says_so_at_its_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["loss=nonsaturating", "augment=ada", "trainer.total_images=16", "trainer.log_every_images=8"]
    config = compose_checked(*GROWING, *more)
    train(config, tmp_path / "run")
    said = capsys.readouterr().out
    assert (
        "4 from 0, 8 from 32, 16 from 96 images; NOT REACHED: the last is faded in at 128, the run ends at 16" in said
    )
    assert ", augment ada" in said
    lines = (tmp_path / "run" / "scalars.jsonl").read_text().splitlines()
    assert "augment/p" in json.loads(lines[0])
