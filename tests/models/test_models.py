"""Every model: published sizes, shapes, ranges, first weights, and what a label or a batch may change."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from gan_cli.base.types import Match, Side
from gan_cli.layers.maxout import Maxout
from gan_cli.layers.norm import norm_1d, norm_2d
from gan_cli.models import cdcgan, cgan, dcgan, gan, gan_maxout, toy

# name, builds (generator, discriminator), published parameter counts
PUBLISHED = [
    ("gan", lambda: (gan.Generator(100, 1, 28), gan.Discriminator(1, 28)), (559_632, 533_505)),
    (
        "gan_maxout",
        lambda: (gan_maxout.Generator(100, 1, 28), gan_maxout.Discriminator(1, 28)),
        (2_503_984, 1_231_441),
    ),
    ("dcgan 64 colour", lambda: (dcgan.Generator(100, 3, 64), dcgan.Discriminator(3, 64)), (3_576_704, 2_765_568)),
    ("dcgan 64 grey", lambda: (dcgan.Generator(100, 1, 64), dcgan.Discriminator(1, 64)), (3_574_656, 2_763_520)),
    ("dcgan 32 colour", lambda: (dcgan.Generator(100, 3, 32), dcgan.Discriminator(3, 32)), (1_068_928, 663_296)),
    ("dcgan 32 grey", lambda: (dcgan.Generator(100, 1, 32), dcgan.Discriminator(1, 32)), (1_066_880, 661_248)),
    ("cgan", lambda: (cgan.Generator(100, 10, 1, 28), cgan.Discriminator(10, 1, 28)), (2_413_984, 1_224_351)),
    ("cdcgan", lambda: (cdcgan.Generator(100, 10, 1, 28), cdcgan.Discriminator(10, 1, 28)), (6_820_538, 6_688_202)),
    ("toy", lambda: (toy.Generator(256), toy.Discriminator()), (49_666, 17_025)),
]

CONDITIONAL = ("cgan", "cdcgan")


def pair_at(name: str, channels: int, resolution: int) -> tuple[nn.Module, nn.Module]:
    """Generator and discriminator of a model, narrow where it has a width."""
    return {
        "gan": lambda: (gan.Generator(7, channels, resolution, 8), gan.Discriminator(channels, resolution, 8)),
        "gan_maxout": lambda: (
            gan_maxout.Generator(7, channels, resolution, 8),
            gan_maxout.Discriminator(channels, resolution, 8, 3),
        ),
        "dcgan": lambda: (dcgan.Generator(7, channels, resolution, 4), dcgan.Discriminator(channels, resolution, 4)),
        "cgan": lambda: (cgan.Generator(7, 3, channels, resolution), cgan.Discriminator(3, channels, resolution)),
        "cdcgan": lambda: (
            cdcgan.Generator(7, 3, channels, resolution, 4),
            cdcgan.Discriminator(3, channels, resolution, 4),
        ),
    }[name]()


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("build", "counts"), [case[1:] for case in PUBLISHED], ids=[case[0] for case in PUBLISHED])
def test_published_parameter_counts(build, counts: tuple[int, int]) -> None:
    with torch.device("meta"):
        networks = build()
    assert tuple(sum(p.numel() for p in network.parameters()) for network in networks) == counts


@pytest.mark.parametrize(
    ("name", "channels", "resolution"),
    [
        ("gan", 1, 28),
        ("gan", 3, 5),
        ("gan", 1, 1),
        ("gan_maxout", 1, 28),
        ("gan_maxout", 3, 9),
        ("dcgan", 3, 16),
        ("dcgan", 1, 32),
        ("dcgan", 3, 64),
        ("dcgan", 1, 128),
        ("cgan", 1, 28),
        ("cgan", 3, 9),
        ("cdcgan", 1, 28),
        ("cdcgan", 3, 8),
        ("cdcgan", 1, 32),
        ("cdcgan", 3, 64),
    ],
)
def test_shapes_and_range(name: str, channels: int, resolution: int) -> None:
    """Images (N, C, R, R) in [-1, 1] on both sides of 0, from a wild latent too; one logit a sample."""
    torch.manual_seed(0)
    generator, discriminator = pair_at(name, channels, resolution)
    label = torch.tensor([0, 1, 2, 1]) if name in CONDITIONAL else None
    image = generator(normal(4, 7), label)
    assert image.shape == (4, channels, resolution, resolution)
    assert image.dtype == torch.float32
    wild = generator(100 * normal(4, 7), label)
    assert -1 <= wild.min() <= wild.max() <= 1
    if resolution > 1:
        assert wild.min() < 0 < wild.max()  # the whole range, not [0, 1]
    assert discriminator(image, label).shape == (4,)
    discriminator.eval()
    assert discriminator(image[:1], None if label is None else label[:1]).shape == (1,)  # no squeeze to a scalar


def test_shapes_of_points() -> None:
    points = toy.Generator(7, 3, 8)(normal(5, 7))
    assert points.shape == (5, 3)
    assert toy.Discriminator(3, 8)(points).shape == (5,)


@pytest.mark.parametrize("name", ["gan", "gan_maxout", "cgan"])
def test_logits_are_raw(name: str) -> None:
    """A sigmoid left in a discriminator would keep its logits in (0, 1), and twice through the loss."""
    torch.manual_seed(0)
    _, discriminator = pair_at(name, 1, 4)
    label = torch.zeros(64, dtype=torch.int64) if name in CONDITIONAL else None
    for parameter in discriminator.parameters():
        nn.init.normal_(parameter)
    logits = discriminator(normal(64, 1, 4, 4), label)
    assert logits.min() < 0
    assert logits.max() > 1


@pytest.mark.parametrize("resolution", [0, 4, 8, 15, 28, 48, 63, 96])
@pytest.mark.parametrize("network", ["generator", "discriminator"])
def test_dcgan_refuses_a_resolution_it_cannot_make(network: str, resolution: int) -> None:
    with pytest.raises(ValueError, match=rf"powers of two from 16 up, not {resolution}\b"):
        dcgan.Generator(7, 1, resolution) if network == "generator" else dcgan.Discriminator(1, resolution)


@pytest.mark.parametrize(
    ("resolution", "base", "most", "channels"),
    [(16, 64, 1024, [64, 128]), (64, 64, 1024, [64, 128, 256, 512]), (256, 64, 256, [64, 128, 256, 256, 256, 256])],
)
def test_dcgan_widths_double_up_to_the_bound(resolution: int, base: int, most: int, channels: list[int]) -> None:
    assert dcgan.widths(resolution, base, most) == channels


def test_dcgan_first_weights() -> None:
    """Convolutions N(0, 0.02), batch norm gains N(1, 0.02), offsets 0; no norm at the two ends."""
    torch.manual_seed(0)
    for network in (dcgan.Generator(100, 3, 32), dcgan.Discriminator(3, 32)):
        layers = list(network.layers)
        convolutions = [m for m in layers if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d))]
        norms = [m for m in layers if isinstance(m, nn.BatchNorm2d)]
        assert len(convolutions) == 4
        for layer in convolutions:
            assert layer.bias is None
            count = layer.weight.numel()
            assert layer.weight.mean().item() == pytest.approx(0, abs=5 * 0.02 / math.sqrt(count))
            assert layer.weight.std().item() == pytest.approx(0.02, abs=5 * 0.02 / math.sqrt(2 * count))
        gains = torch.cat([m.weight for m in norms])
        assert gains.mean().item() == pytest.approx(1, abs=5 * 0.02 / math.sqrt(len(gains)))
        assert gains.std().item() == pytest.approx(0.02, rel=0.25)
        assert all(m.bias.abs().max() == 0 for m in norms)
    assert isinstance(dcgan.Generator(7, 1, 32, 4).layers[-1], nn.ConvTranspose2d)  # no norm after the last layer
    assert isinstance(dcgan.Discriminator(1, 32, 4).layers[1], nn.LeakyReLU)  # none after the first


def test_cdcgan_first_weights() -> None:
    torch.manual_seed(0)
    for network in (cdcgan.Generator(100, 10, 1, 8, 16), cdcgan.Discriminator(10, 1, 8, 16)):
        weights = torch.cat([p.flatten() for p in network.parameters()])
        assert weights.std().item() == pytest.approx(0.02, rel=0.02)
        assert weights.mean().item() == pytest.approx(0, abs=5 * 0.02 / math.sqrt(len(weights)))


def test_toy_first_weights_are_orthogonal_with_gain() -> None:
    """Rows (or columns, where there are fewer) of norm 1.4, at right angles; biases 0."""
    torch.manual_seed(0)
    for network in (toy.Generator(256), toy.Discriminator()):
        for layer in network.layers:
            if isinstance(layer, nn.Linear):
                w = layer.weight if layer.in_features >= layer.out_features else layer.weight.T
                torch.testing.assert_close(w @ w.T, 1.96 * torch.eye(len(w)), atol=1e-4, rtol=0)
                assert layer.bias.abs().max() == 0


@pytest.mark.parametrize(
    ("network", "bound"),
    [(lambda: gan_maxout.Generator(100, 1, 8), 0.05), (lambda: gan_maxout.Discriminator(1, 8), 0.005)],
    ids=["generator", "discriminator"],
)
def test_gan_maxout_first_weights_are_uniform(network, bound: float) -> None:
    torch.manual_seed(0)
    for layer in network().modules():
        if isinstance(layer, nn.Linear):
            largest = layer.weight.abs().max().item()
            assert 0.97 * bound < largest <= bound
            assert layer.bias.abs().max() == 0


def test_gan_maxout_keeps_the_published_dropout() -> None:
    """0.2 dropped of the input and 0.5 of both hidden layers, none in evaluation."""
    discriminator = gan_maxout.Discriminator(1, 4, 8, 2)
    assert [m.p for m in discriminator.modules() if isinstance(m, nn.Dropout)] == [0.2, 0.5, 0.5]
    nn.init.normal_(discriminator.layers[-1].weight)
    for layer in discriminator.modules():
        if isinstance(layer, Maxout):
            nn.init.normal_(layer.linear.weight)
    image = normal(8, 1, 4, 4)
    torch.manual_seed(0)
    assert not torch.equal(discriminator(image), discriminator(image))
    discriminator.eval()
    assert torch.equal(discriminator(image), discriminator(image))


def test_maxout_is_the_largest_of_its_pieces() -> None:
    layer = Maxout(2, units=2, pieces=3)
    with torch.no_grad():
        layer.linear.weight.copy_(torch.tensor([[1.0, 0], [0, 1], [-1, -1], [2, 0], [0, -2], [0, 0]]))
        layer.linear.bias.copy_(torch.tensor([0.0, 0, 0, 0, 0, 0.5]))
    out = layer(torch.tensor([[1.0, 2.0], [-3.0, 1.0]]))
    # unit 0: max(x, y, -x-y); unit 1: max(2x, -2y, 0.5)
    assert out.tolist() == [[2.0, 2.0], [2.0, 0.5]]


@pytest.mark.parametrize("name", ["dcgan", "cdcgan"])
def test_reals_are_judged_without_the_fakes(name: str) -> None:
    """Batch norm in training mode: other fakes must not change the logits of the reals (no mixed batch)."""
    torch.manual_seed(0)
    _, discriminator = pair_at(name, 1, 16)
    assert discriminator.training
    assert any(isinstance(m, nn.BatchNorm2d) for m in discriminator.modules())
    label = torch.tensor([0, 1, 2, 1, 0, 2]) if name in CONDITIONAL else None
    critic = partial(discriminator, label=label)
    real, fake, other = normal(6, 1, 16, 16), normal(6, 1, 16, 16, seed=1), 3 + normal(6, 1, 16, 16, seed=2)
    first, second = Match(critic, Side(real), Side(fake)), Match(critic, Side(real), Side(other))
    _ = first.fake_logits, second.fake_logits  # the order of the passes must not matter either
    assert torch.equal(first.real_logits, second.real_logits)
    assert not torch.equal(first.fake_logits, second.fake_logits)
    # what the test would see if both went through in one batch
    twice = None if label is None else label.repeat(2)
    mixed = [discriminator(torch.cat([real, side]), twice)[:6] for side in (fake, other)]
    assert (mixed[0] - mixed[1]).abs().max() > 1e-3 * mixed[0].abs().max()


@pytest.mark.parametrize("name", CONDITIONAL)
def test_the_label_matters_in_both_networks(name: str) -> None:
    """A label that only one network hears is soon ignored. Each sample follows its own label alone."""
    torch.manual_seed(0)
    generator, discriminator = (network.eval() for network in pair_at(name, 1, 8))
    one, two = torch.tensor([0, 1, 2]), torch.tensor([0, 2, 2])
    latent, image = normal(3, 7), normal(3, 1, 8, 8)
    for network, samples in ((generator, latent), (discriminator, image)):
        difference = (network(samples, one) - network(samples, two)).flatten(1 if network is generator else 0)
        moved = difference.abs() if network is discriminator else difference.abs().amax(1)
        assert moved[1] > 0
        assert moved[0] == moved[2] == 0


def test_cdcgan_hears_the_label_at_every_layer() -> None:
    """Each layer's weights for the label, behind those for its input, matter to the output."""
    torch.manual_seed(0)
    generator, discriminator = pair_at("cdcgan", 1, 8)
    label = torch.tensor([0, 1, 2, 0])
    (generator(normal(4, 7), label) * normal(4, 1, 8, 8)).sum().backward()
    (discriminator(normal(4, 1, 8, 8), label) * normal(4)).sum().backward()
    for layer, inputs, axis in (
        (generator.dense1, 7, 1),
        (generator.dense2, 64, 1),
        (generator.up1, 8, 0),
        (generator.up2, 4, 0),
        (discriminator.down1, 1, 1),
        (discriminator.down2, 4, 1),
        (discriminator.dense3, 32, 1),
        (discriminator.dense4, 64, 1),
    ):
        gradient = layer.weight.grad.movedim(axis, 0)[inputs:]  # type: ignore[union-attr]
        assert len(gradient) == 3
        assert (gradient.flatten(1).abs().amax(1) > 0).all()


@pytest.mark.parametrize("name", ["gan", "gan_maxout", "dcgan"])
def test_unconditional_networks_ignore_a_label(name: str) -> None:
    generator, discriminator = (network.eval() for network in pair_at(name, 1, 16))
    latent, image, label = normal(2, 7), normal(2, 1, 16, 16), torch.tensor([0, 1])
    assert torch.equal(generator(latent, label), generator(latent))
    assert torch.equal(discriminator(image, label), discriminator(image))


@pytest.mark.parametrize(("kind", "coupled"), [("batch", True), ("instance", False), ("layer", False), ("none", False)])
@pytest.mark.parametrize("dimensions", [1, 2])
def test_norms_couple_samples_only_where_they_should(kind: str, coupled: bool, dimensions: int) -> None:
    """A penalty per sample needs a norm per sample: "batch" alone mixes the samples of a batch."""
    norm = norm_2d(kind, 6) if dimensions == 2 else norm_1d(kind, 6)
    shape = (4, 6, 3, 3) if dimensions == 2 else (4, 6)
    x = normal(*shape)
    other = torch.cat([x[:1], 5 * normal(*shape, seed=1)[1:]])
    assert torch.equal(norm(x)[0], norm(other)[0]) == (not coupled)
    if kind != "none":
        assert not torch.allclose(norm(7 * x + 3), 7 * x + 3)


def test_layer_norm_is_over_channels_and_pixels() -> None:
    """One mean and deviation for each sample, over C, H and W together."""
    x = torch.tensor([[[[1.0, 3.0]], [[5.0, 7.0]]]])  # mean 4, variance 5
    expected = torch.tensor([-3.0, -1.0, 1.0, 3.0]) / math.sqrt(5 + 1e-5)
    torch.testing.assert_close(norm_2d("layer", 2)(x).flatten(), expected)


@pytest.mark.parametrize("norm", [norm_1d, norm_2d])
def test_an_unknown_norm_names_the_known_ones(norm) -> None:
    with pytest.raises(ValueError, match=r"'spectral' is unknown: use one of batch, instance, layer, none"):
        norm("spectral", 4)


@pytest.mark.parametrize("name", ["dcgan", "cdcgan"])
def test_critic_without_batch_norm_has_none(name: str) -> None:
    """What WGAN-GP asks for: `norm: none` leaves no batch statistics anywhere in the critic."""
    critic = (
        dcgan.Discriminator(1, 16, 4, norm="none") if name == "dcgan" else cdcgan.Discriminator(3, 1, 16, 4, "none")
    )
    assert not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in critic.modules())
    assert list(critic.buffers()) == []
