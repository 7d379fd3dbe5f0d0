"""The networks that are given pictures: published sizes, what they see, what connects, what is random."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm, conv2d, conv_transpose2d, interpolate, leaky_relu, relu

from gan_cli.data.degrade import filled_smoothly
from gan_cli.layers.norm import InstanceNorm
from gan_cli.layers.patchgan import PatchGAN, receptive_field
from gan_cli.layers.resnet import ResNetGenerator
from gan_cli.layers.unet import NoisyDropout, UNet
from gan_cli.models import inpainting, srgan
from gan_cli.models.medgan_translation import CasNet

CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def modules(network: nn.Module, *kinds: type[nn.Module]) -> list[nn.Module]:
    return [module for module in network.modules() if isinstance(module, kinds)]


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


PUBLISHED = [
    ("U-Net 256", lambda: UNet(3, 3), 54_413_955),
    ("U-Net 256 grey", lambda: UNet(1, 1), 54_407_809),
    ("PatchGAN of pairs", lambda: PatchGAN(6), 2_768_705),
    ("PatchGAN, instance norm", lambda: PatchGAN(3, norm="instance"), 2_764_737),
    ("9 blocks", lambda: ResNetGenerator(3, 3), 11_378_179),
    ("6 blocks", lambda: ResNetGenerator(3, 3, 128), 7_837_699),
    ("SRResNet", lambda: srgan.Generator(3), 1_549_462),
    ("SRGAN critic 96", lambda: srgan.Discriminator(3, 96), 23_565_505),
    ("CasNet", lambda: CasNet(1, 1), 326_446_854),
]


@pytest.mark.parametrize(("build", "expected"), [case[1:] for case in PUBLISHED], ids=[case[0] for case in PUBLISHED])
def test_published_parameter_counts(build: Callable[[], nn.Module], expected: int) -> None:
    with torch.device("meta"):
        assert count(build()) == expected


def test_biases_everywhere_would_be_the_other_published_counts() -> None:
    """The authors' first (Lua) code: a bias on every convolution, the numbers that papers quote as well."""
    with torch.device("meta"):
        networks = UNet(3, 3), PatchGAN(6)
    without = [
        sum(layer.out_channels for layer in modules(network, *CONVOLUTIONS) if layer.bias is None)
        for network in networks
    ]
    assert [count(network) + more for network, more in zip(networks, without, strict=True)] == [54_419_459, 2_769_601]


# ---- the patch critic ----


@pytest.mark.parametrize(("layers", "field"), [(1, 16), (2, 34), (3, 70), (4, 142)])
def test_a_logit_sees_the_published_patch(layers: int, field: int) -> None:
    """Computed, and by the gradient of an interior logit: non-zero in one square of that side, zero elsewhere."""
    torch.manual_seed(0)
    critic = PatchGAN(1, width=2, layers=layers, norm="none").double()
    assert receptive_field(critic) == field
    image = normal(1, 1, 2 * field, 2 * field).double().requires_grad_()
    logits = critic(image)
    middle = logits.shape[1] // 2
    (gradient,) = torch.autograd.grad(logits[0, middle, middle], image)
    seen = gradient[0, 0] != 0
    rows, columns = seen.any(1).nonzero().flatten(), seen.any(0).nonzero().flatten()
    assert rows.tolist() == list(range(int(rows[0]), int(rows[0]) + field))
    assert columns.tolist() == list(range(int(columns[0]), int(columns[0]) + field))
    assert int(seen.sum()) == field**2
    assert rows[0] > 0  # the square is not cut off by the border
    assert rows[-1] < 2 * field - 1


@pytest.mark.parametrize(("layers", "side"), [(1, 62), (2, 30), (3, 14), (4, 6)])
def test_logits_by_patch(layers: int, side: int) -> None:
    """128 px, halved `layers` times, then two 4x4 convolutions that take one pixel each."""
    critic = PatchGAN(3, width=2, layers=layers)
    assert critic(normal(2, 3, 128, 128)).shape == (2, side, side)
    features = critic.features(normal(2, 3, 128, 128))
    assert [made.shape[1] for made in features] == [2 * min(2**level, 8) for level in range(layers + 1)]
    torch.testing.assert_close(critic.last(features[-1]).squeeze(1), critic(normal(2, 3, 128, 128)))


def test_the_first_layer_of_a_patch_critic_has_no_norm() -> None:
    """Widths 64 to 512; norms behind the three inner convolutions alone; logits on both sides of 0."""
    critic = PatchGAN(3, width=4, norm="instance")
    assert [norm.num_channels for norm in modules(critic, InstanceNorm)] == [8, 16, 32]
    assert all(not norm.affine for norm in modules(critic, InstanceNorm))
    assert [layer.bias is not None for layer in modules(PatchGAN(3, 4), nn.Conv2d)] == [True, False, False, False, True]
    for parameter in critic.parameters():
        nn.init.normal_(parameter, generator=torch.Generator().manual_seed(0))
    logits = critic(normal(2, 3, 64, 64))
    assert logits.min() < 0
    assert logits.max() > 1


# ---- the U-Net ----


@pytest.mark.parametrize(("resolution", "depth"), [(64, 6), (128, 7), (256, 8)])
def test_a_u_net_goes_down_to_one_pixel(resolution: int, depth: int) -> None:
    network = UNet(3, 2, resolution, width=2)
    seen: list[tuple[int, ...]] = []
    network.down[-1].register_forward_hook(lambda module, given, made: seen.append(tuple(made.shape)))
    image = network(10 * normal(1, 3, resolution, resolution))
    assert image.shape == (1, 2, resolution, resolution)
    assert -1 <= image.min() < 0 < image.max() <= 1
    assert (len(network.down), len(network.up), network.multiple) == (depth, depth, resolution)
    assert seen == [(1, 16, 1, 1)]
    assert [layer.out_channels for layer in network.down] == [2, 4, 8, *[16] * (depth - 3)]


@pytest.mark.parametrize("resolution", [0, 2, 48, 96, 255])
def test_a_u_net_refuses_what_it_cannot_halve(resolution: int) -> None:
    with pytest.raises(ValueError, match=rf"powers of two from 4 up, not {resolution}\b"):
        UNet(1, 1, resolution)


def test_a_u_net_takes_any_multiple() -> None:
    """A 64-px net at 128x64; `levels` makes the multiple smaller."""
    assert UNet(1, 1, 64, width=2)(normal(1, 1, 128, 64)).shape == (1, 1, 128, 64)
    shallow = UNet(1, 1, 64, width=2, levels=3)
    assert (len(shallow.down), shallow.multiple) == (3, 8)
    assert shallow(normal(1, 1, 24, 40)).shape == (1, 1, 24, 40)


def test_the_smallest_u_net_by_hand() -> None:
    """tanh(T0 relu[d0; bn(T1 relu(d1))]) with d0 = C0 x and d1 = C1 lrelu(d0)."""
    torch.manual_seed(0)
    network, image = UNet(1, 1, 4, width=2, dropout=0), normal(3, 1, 4, 4)
    (first, second), (inner, outer) = network.down, network.up
    gain = network.up_norm[0][0]
    nn.init.normal_(outer.bias)
    outermost = conv2d(image, first.weight, stride=2, padding=1)
    innermost = conv2d(leaky_relu(outermost, 0.2), second.weight, stride=2, padding=1)
    up = conv_transpose2d(relu(innermost), inner.weight, stride=2, padding=1)
    up = batch_norm(up, None, None, gain.weight, gain.bias, training=True)
    expected = conv_transpose2d(relu(torch.cat([outermost, up], 1)), outer.weight, outer.bias, stride=2, padding=1)
    torch.testing.assert_close(network(image), expected.tanh())


@pytest.mark.parametrize("number", range(1, 5))
def test_every_skip_connects_equals(number: int) -> None:
    """With all but one skip cut off, and all that comes from below it, the output still depends on the picture."""
    torch.manual_seed(0)
    network, pictures = UNet(1, 1, 32, width=2, dropout=0), normal(2, 1, 32, 32)
    with torch.no_grad():
        for place, up in enumerate(list(network.up)[1:], 1):
            half = up.in_channels // 2
            if place == number:
                up.weight[half:] = 0  # from below
            elif place > number:
                up.weight[:half] = 0
        assert (network(pictures[:1]) - network(pictures[1:])).abs().max() > 1e-3
        network.up[number].weight[:] = 0
        assert torch.equal(network(pictures[:1]), network(pictures[1:]))


def test_dropout_stays_on() -> None:
    """The generator's only noise: two calls in evaluation differ, equal seeds agree; with 0 there is none."""
    torch.manual_seed(0)
    image = normal(1, 1, 32, 32)
    network, quiet = UNet(1, 1, 32, width=2).eval(), UNet(1, 1, 32, width=2, dropout=0).eval()
    assert not torch.equal(network(image), network(image))
    torch.manual_seed(5)
    first = network(image)
    torch.manual_seed(5)
    assert torch.equal(network(image), first)
    assert torch.equal(quiet(image), quiet(image))
    assert modules(quiet, NoisyDropout) == []


@pytest.mark.parametrize(("resolution", "noisy"), [(256, [0, 1, 2]), (128, [0, 1, 2]), (64, [0, 1])])
def test_dropout_is_on_the_first_three_wide_levels_up(resolution: int, noisy: list[int]) -> None:
    with torch.device("meta"):
        network = UNet(3, 3, resolution)
    assert [number for number, norm in enumerate(network.up_norm) if modules(norm, NoisyDropout)] == noisy
    assert {layer.share for layer in modules(network, NoisyDropout)} == {0.5}


def test_dropout_drops_the_share_and_keeps_the_mean() -> None:
    """Of 10,000 ones a quarter become 0 and the rest 4/3 (five deviations of 0.43 %)."""
    made = NoisyDropout(0.25).eval()(torch.ones(10_000))
    assert (made == 0).float().mean().item() == pytest.approx(0.25, abs=0.022)
    assert made[made > 0].unique().tolist() == pytest.approx([4 / 3])


def test_neither_end_is_normalised_on_the_way_down() -> None:
    network = UNet(1, 1, 32, width=2)
    down = [isinstance(norm, nn.BatchNorm2d) for norm in network.down_norm]
    up = [isinstance(norm[0], nn.BatchNorm2d) for norm in network.up_norm]
    assert down == [False, True, True, True, False]
    assert up == [True, True, True, True, False]
    assert [layer.bias is not None for layer in modules(network, *CONVOLUTIONS)] == [*[False] * 9, True]


def test_batch_norm_takes_the_batch_in_evaluation_too() -> None:
    """Nothing tracked: no buffers, training and evaluation agree, and a picture's output depends on its batch."""
    torch.manual_seed(0)
    network, images = UNet(1, 1, 16, width=2, dropout=0), normal(3, 1, 16, 16)
    assert list(network.buffers()) == []
    training = network.train()(images)
    assert torch.equal(network.eval()(images), training)
    assert not torch.allclose(network(images[:1]), training[:1], atol=1e-4)


def test_instance_norm_in_a_u_net() -> None:
    """No gain, no statistics, biases everywhere; each picture for itself."""
    torch.manual_seed(0)
    network, images = UNet(1, 1, 16, width=2, dropout=0, norm="instance").eval(), normal(3, 1, 16, 16)
    assert all(not norm.affine for norm in modules(network, InstanceNorm))
    assert len(modules(network, InstanceNorm)) == 5  # two of four levels down, three of four up
    assert all(layer.bias is not None for layer in modules(network, *CONVOLUTIONS))
    torch.testing.assert_close(network(images)[:1], network(images[:1]))


def test_only_the_last_block_of_a_chain_is_squashed() -> None:
    torch.manual_seed(0)
    chain = CasNet(1, 3, 16, blocks=3, width=2)
    assert [block.tanh for block in chain.blocks] == [False, False, True]
    assert [block.down[0].in_channels for block in chain.blocks] == [1, 3, 3]
    assert chain.multiple == 16
    image = chain(normal(2, 1, 16, 32))
    assert image.shape == (2, 3, 16, 32)
    assert -1 <= image.min() < 0 < image.max() <= 1
    nn.init.constant_(chain.blocks[0].up[-1].bias, 7.0)
    assert chain.blocks[0](normal(2, 1, 16, 16)).max() > 5


# ---- the residual generator ----


def test_residual_generator() -> None:
    """Shape and range at sizes that are multiples of 4; biases everywhere, instance norm without gain."""
    torch.manual_seed(0)
    network = ResNetGenerator(3, 1, blocks=2, width=4)
    nn.init.normal_(network.layers[-1].weight)
    image = network(normal(2, 3, 20, 32))
    assert image.shape == (2, 1, 20, 32)
    assert -1 <= image.min() < -0.5 < 0.5 < image.max() <= 1
    assert all(layer.bias is not None for layer in modules(network, *CONVOLUTIONS))
    norms = modules(network, InstanceNorm)
    assert len(norms) == 3 + 2 * 2 + 2
    assert not any(norm.affine for norm in norms)


@pytest.mark.parametrize(("resolution", "blocks"), [(64, 6), (128, 6), (256, 9), (512, 9)])
def test_residual_blocks_by_resolution(resolution: int, blocks: int) -> None:
    with torch.device("meta"):
        network = ResNetGenerator(1, 1, resolution, width=1)
    assert sum(type(module).__name__ == "ResidualBlock" for module in network.layers) == blocks


def test_dilated_blocks_see_further() -> None:
    """Dilations 1, 2, 4, 8 in turn; the picture's size stays."""
    network = inpainting.Generator(1, resolution=64, width=2)
    blocks = [module for module in network.layers if type(module).__name__ == "ResidualBlock"]
    assert [block.layers[1].dilation[0] for block in blocks] == [1, 2, 4, 8, 1, 2]
    assert network(normal(1, 2, 48, 64)).shape == (1, 1, 48, 64)


@pytest.mark.parametrize("side", [32, 36])
def test_filling_works_at_the_smallest_size_that_its_config_allows(side: int) -> None:
    """A quarter of 32 px is 8: a block of dilation 8 can't be padded by reflection there."""
    assert inpainting.Generator(1, side, width=2)(normal(2, 2, side, side)).shape == (2, 1, side, side)


def test_residual_generators_begin_at_what_they_change() -> None:
    """The picture itself; its bicubic enlargement; a smooth filling of its hole."""
    image = normal(2, 3, 32, 32).clamp(-1, 1)
    assert torch.equal(ResNetGenerator(3, 3, blocks=1, width=2, residual=True)(image), image)
    large = srgan.Generator(3, 2, width=2, blocks=1, norm="none", residual=True)(image)
    bicubic = interpolate(image, scale_factor=2, mode="bicubic", align_corners=False, antialias=True)
    assert torch.equal(large, bicubic.clamp(-1, 1))
    mask = torch.zeros(2, 1, 32, 32)
    mask[:, :, 8:20, 4:30] = 1
    network = inpainting.Generator(3, 32, blocks=1, width=2, norm="none", residual=True)
    assert torch.equal(network(torch.cat([image * (1 - mask), mask], 1)), filled_smoothly(image * (1 - mask), mask))


def test_a_change_can_only_be_added_to_as_many_channels() -> None:
    with pytest.raises(ValueError, match="as many channels out as in, not 3 and 1"):
        ResNetGenerator(3, 1, residual=True)


@pytest.mark.parametrize("halvings", [0, 1, 2, 3])
def test_halvings(halvings: int) -> None:
    """The residual blocks work on a picture smaller by 2 to that power, with as many times the channels."""
    network = ResNetGenerator(1, 1, blocks=1, width=2, halvings=halvings)
    seen: list[torch.Size] = []
    block = next(module for module in network.layers if type(module).__name__ == "ResidualBlock")
    block.register_forward_hook(lambda module, given, made: seen.append(made.shape))
    assert network(normal(1, 1, 32, 48)).shape == (1, 1, 32, 48)
    assert seen == [(1, 2 << halvings, 32 >> halvings, 48 >> halvings)]
    assert network.multiple == 2**halvings
    side = network.smallest
    assert side % network.multiple == 0
    assert network(normal(1, 1, side, side)).shape == (1, 1, side, side)


@pytest.mark.parametrize(("norm", "kind"), [("batch", nn.BatchNorm2d), ("instance", InstanceNorm), ("none", None)])
def test_the_norm_of_a_filling_generator(norm: Any, kind: type | None) -> None:
    network = inpainting.Generator(1, 32, blocks=1, width=2, norm=norm)
    found = modules(network, nn.BatchNorm2d, InstanceNorm)
    assert [type(layer) for layer in found] == ([] if kind is None else [kind] * 7)


# ---- super-resolution ----


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_super_resolution_enlarges(scale: int) -> None:
    network = srgan.Generator(3, scale, width=2, blocks=1)  # type: ignore[arg-type]
    assert network(normal(2, 3, 5, 6)).shape == (2, 3, 5 * scale, 6 * scale)


def test_super_resolution_is_not_squashed() -> None:
    network = srgan.Generator(1, 2, width=2, blocks=1)
    nn.init.constant_(network.last.bias, 7.0)
    assert network(normal(1, 1, 4, 4)).max() > 5


@pytest.mark.parametrize("resolution", [0, 8, 15, 24, 100])
def test_the_super_resolution_critic_refuses_other_sides(resolution: int) -> None:
    with pytest.raises(ValueError, match=rf"multiple of 16, not {resolution}\b"):
        srgan.Discriminator(3, resolution)


@pytest.mark.parametrize("resolution", [16, 48])
def test_the_super_resolution_critic_answers_once(resolution: int) -> None:
    critic = srgan.Discriminator(3, resolution, width=2, dense=4)
    assert critic(normal(2, 3, resolution, resolution)).shape == (2,)
    assert critic.eval()(normal(1, 3, resolution, resolution)).shape == (1,)
    assert len(modules(critic, nn.BatchNorm2d)) == 7  # all convolutions but the first
