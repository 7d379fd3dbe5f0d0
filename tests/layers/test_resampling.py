"""Whatever changes a picture's resolution leaves it in its place: by mirrors, by shifts, and by what a pixel becomes.

A filter of odd length cannot halve or double without a shift by half a fine pixel, and parameter counts don't see it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from conftest import TINY, compose_checked, game_of
from torch import Tensor, nn

from gan_cli.data import degrade, images
from gan_cli.layers import resample
from gan_cli.layers.growth import shrunk
from gan_cli.layers.modulation import ModulatedConv2d
from gan_cli.layers.resample import Blur, Downsample, Upsample, double, halve
from gan_cli.layers.residual import DownBlock, UpBlock
from gan_cli.media.image import nearest
from gan_cli.models import r3gan, stylegan, stylegan2

WIDE = (1, 3, 3, 1)
SIDE = 16


def even_(network: nn.Module) -> nn.Module:
    """Every kernel made its own mirror image in both directions, so that only resampling can take sides."""
    for weight in network.parameters():
        if weight.dim() >= 3 and weight.shape[-1] > 1:
            weight += weight.flip(-1)
            weight += weight.flip(-2)
            weight /= 4
    return network


def told(layer: nn.Module, *, size: int = 3) -> Callable[[Tensor], Tensor]:
    even_(layer).double().eval()
    return lambda x: layer(x, torch.linspace(-1, 1, size, dtype=torch.double).expand(len(x), -1))


def alone(layer: nn.Module) -> Callable[[Tensor], Tensor]:
    return even_(layer).double().eval()


def stylegan_up(x: Tensor) -> Tensor:
    """The part of a StyleGAN level that doubles; the rest of it is 3x3 convolutions, and norms of the whole map."""
    torch.manual_seed(0)
    level: Any = alone(stylegan.Level(2, 2, 2 * SIDE, 3))
    return level.blur(level.up(double(x)))


def pixels(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Of pictures (N, C, H, W) uint8."""
    return lambda x: function((x * 20 + 128).round().clamp(0, 255).to(torch.uint8)).double()


# by name: what it does, and how many pixels of the outcome stand for one of what it was given
RESAMPLING: dict[str, tuple[Callable[[], Callable[[Tensor], Tensor]], float]] = {
    "Blur": (lambda: Blur((1, 2, 1)).double(), 1),
    "Upsample": (lambda: Upsample(WIDE).double(), 2),
    "Downsample": (lambda: Downsample(WIDE).double(), 0.5),
    "double": (lambda: double, 2),
    "halve": (lambda: halve, 0.5),
    "r3gan's": (lambda: Upsample(r3gan.TAPS).double(), 2),
    "r3gan's critic's": (lambda: Downsample(r3gan.TAPS).double(), 0.5),
    "StyleGAN's level": (lambda: stylegan_up, 2),
    "StyleGAN2's convolution": (lambda: told(ModulatedConv2d(2, 2, 3, 3, up=True)), 2),
    "StyleGAN2's critic's": (lambda: alone(stylegan2.Down(2, 2)), 0.5),
    "StyleGAN2's block": (lambda: alone(stylegan2.DownBlock(2, 2, residual=True)), 0.5),
    "UpBlock": (lambda: alone(UpBlock(2, 2)), 2),
    "DownBlock": (lambda: alone(DownBlock(2, 2, down=True)), 0.5),
    "DCGAN's, transposed": (lambda: alone(nn.ConvTranspose2d(2, 2, 4, 2, 1)), 2),
    "DCGAN's critic's": (lambda: alone(nn.Conv2d(2, 2, 4, 2, 1)), 0.5),
    "a growing level's reals": (lambda: lambda x: shrunk(x, 1, 0.3), 0.5),
    "degrade.enlarge": (lambda: lambda x: degrade.enlarge(x / 8, 2).double(), 2),
    "degrade.downscale": (lambda: lambda x: degrade.downscale(x / 8, 2).double(), 0.5),
    "images.resize, down": (lambda: pixels(lambda x: images.resize(x, x.shape[2] // 2)), 0.5),
    "images.resize, up": (lambda: pixels(lambda x: images.resize(x, 2 * x.shape[2])), 2),
    "a grid's pixels": (lambda: lambda x: nearest(x, 2 * x.shape[2]), 2),
}


def test_every_filter_of_the_module_is_here() -> None:
    classes = {
        name
        for name, item in inspect.getmembers(resample, inspect.isclass)
        if issubclass(item, nn.Module) and item.__module__ == resample.__name__ and item is not resample.Filter
    }
    assert {*classes, "double", "halve"} <= set(RESAMPLING)


@pytest.fixture(autouse=True)
def _no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def made(name: str) -> tuple[Callable[[Tensor], Tensor], float]:
    torch.manual_seed(0)
    make, scale = RESAMPLING[name]
    return make(), scale


def noise() -> Tensor:
    return torch.randn(2, 2, SIDE, SIDE, dtype=torch.double, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("axis", [2, 3])
@pytest.mark.parametrize("name", RESAMPLING)
def test_a_mirrored_picture_becomes_the_mirrored_outcome(name: str, axis: int) -> None:
    layer, scale = made(name)
    x = noise()
    straight = layer(x)
    assert straight.shape[2:] == (SIDE * scale, SIDE * scale)
    assert straight.std() > 0.01
    rounding = 2.01 if "images.resize" in name else 1e-5 if "degrade" in name else 1e-9  # of 8 bits; of float32
    torch.testing.assert_close(layer(x.flip(axis)), straight.flip(axis), rtol=0, atol=rounding)


@pytest.mark.parametrize("axis", [2, 3])
@pytest.mark.parametrize("name", RESAMPLING)
def test_a_shifted_picture_becomes_the_shifted_outcome(name: str, axis: int) -> None:
    layer, scale = made(name)
    x = noise()
    by = 4  # given pixels: a whole number of the outcome's, and of a fading level's
    out, inside = int(by * scale), int(4 * scale)  # away from the borders
    straight, moved = layer(x), layer(x.roll(by, axis))
    middle = slice(inside + out, int(SIDE * scale) - inside)
    where: list[Any] = [slice(None), slice(None), slice(inside, -inside), slice(inside, -inside)]
    where[axis] = middle
    rounding = 2.01 if "images.resize" in name else 1e-5 if "degrade" in name else 1e-9
    torch.testing.assert_close(moved[tuple(where)], straight.roll(out, axis)[tuple(where)], rtol=0, atol=rounding)


@pytest.mark.parametrize("name", ["Upsample", "r3gan's", "double", "StyleGAN2's convolution", "DCGAN's, transposed"])
def test_where_a_pixel_goes_when_the_picture_is_doubled(name: str) -> None:
    """Pixel i covers places 2i and 2i + 1: what it becomes lies about 2i + 1/2, and weighs four times as much."""
    layer, _ = made(name)
    for place in (7, 8):
        given = torch.zeros(1, 2, SIDE, SIDE, dtype=torch.double)
        before = layer(given)
        given[:, :, place, place] = 1
        became = (layer(given) - before)[0].sum(0)
        at = torch.arange(2 * SIDE, dtype=torch.double)
        total = became.sum()
        assert (became.sum(0) * at).sum() / total == pytest.approx(2 * place + 0.5)
        assert (became.sum(1) * at).sum() / total == pytest.approx(2 * place + 0.5)


@pytest.mark.parametrize("name", ["Downsample", "r3gan's critic's", "halve", "DCGAN's critic's"])
def test_where_a_pair_of_pixels_goes_when_the_picture_is_halved(name: str) -> None:
    layer, _ = made(name)
    given = torch.zeros(1, 2, SIDE, SIDE, dtype=torch.double)
    before = layer(given)
    given[:, :, 8:10, 8:10] = 1
    became = (layer(given) - before)[0].sum(0)
    at = torch.arange(SIDE // 2, dtype=torch.double)
    assert (became.sum(0) * at).sum() / became.sum() == pytest.approx(4)
    assert (became.sum(1) * at).sum() / became.sum() == pytest.approx(4)


def test_an_impulse_through_each_filter_by_hand() -> None:
    at = torch.zeros(1, 1, 6, 6, dtype=torch.double)
    at[0, 0, 2, 3] = 1
    up = Upsample(WIDE).double()(at)[0, 0]
    line = torch.tensor([0.25, 0.75, 0.75, 0.25], dtype=torch.double)
    assert torch.equal(up[3:7, 5:9], torch.outer(line, line))
    assert up.sum() == 4
    down = Downsample(WIDE).double()(at)[0, 0]  # row 2 is the second tap of row 1's window, and the last of row 0's
    assert torch.equal(down[:3, 1], torch.tensor([1, 3, 0], dtype=torch.double) / 8 * 3 / 8)
    assert torch.equal(down[:3, 2], torch.tensor([1, 3, 0], dtype=torch.double) / 8 * 1 / 8)
    blurred = Blur((1, 2, 1)).double()(at)[0, 0]
    assert torch.equal(blurred[1:4, 3], torch.tensor([1, 2, 1], dtype=torch.double) / 8)
    assert r3gan.TAPS == WIDE, "the published [1,2,1], convolved with [1,1]"


@pytest.mark.parametrize(("layer", "taps"), [(Upsample, (1, 2, 1)), (Downsample, (1, 2, 1)), (Blur, WIDE)])
def test_a_filter_that_would_shift_the_picture_is_refused(layer: Any, taps: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=f"an (odd|even) number of taps, not {len(taps)}"):
        layer(taps)


# dense layers that make maps of 4x4, or read them: by model, network and name, and which side of the weights has places
DENSE = {
    "progan": {"generator": ("first.0.dense", 0), "discriminator": ("last.4", 1)},
    "stylegan": {"discriminator": ("last.4", 1)},
    "stylegan2": {"discriminator": ("dense", 1)},
    "sngan": {"generator": ("dense", 0)},
    "sagan": {"generator": ("dense", 0)},
    "biggan": {"generator": ("dense", 0)},
    "r3gan": {},
    "dcgan": {},
}


def evened(network: nn.Module, dense: tuple[str, int] | None) -> nn.Module:
    if dense is not None:
        layer: Any = network.get_submodule(dense[0])
        spectral = hasattr(layer, "parametrizations")
        weight = layer.parametrizations.weight.original if spectral else layer.weight
        shape = (-1, 4, 4, weight.shape[1]) if dense[1] == 0 else (weight.shape[0], -1, 4, 4)
        maps = weight.view(shape)
        for axis in (1, 2) if dense[1] == 0 else (2, 3):
            maps += maps.flip(axis)
        if dense[1] == 0 and layer.bias is not None:
            bias = layer.bias.view(-1, 4, 4)
            bias += bias.flip(1)
            bias += bias.flip(2)
    return even_(network)


@pytest.mark.parametrize("model", DENSE)
def test_networks_with_even_kernels_don_t_know_left_from_right(model: str) -> None:
    game = game_of(compose_checked(f"model={model}", *TINY[model], "dataset.resolution=32"))
    game.set_progress(10**9)  # grown
    torch.manual_seed(0)
    for module in game.modules():
        if isinstance(module, r3gan.Block):  # starts at 0: a block would be no part of the test
            nn.init.normal_(module.narrow_out.weight, 0.0, 0.2)
    generator = evened(game.generator, DENSE[model].get("generator")).double().eval()
    critic = evened(game.discriminator, DENSE[model].get("discriminator")).double().eval()
    assert game.latent is not None
    latent = torch.randn(2, game.latent.size, dtype=torch.double)
    label = torch.tensor([1, 2]) if game.num_classes else None
    image = generator(latent, label)
    assert image.std() > 1e-7, "DCGAN starts with small weights"
    for axis in (2, 3):
        torch.testing.assert_close(image.flip(axis), image, rtol=1e-6, atol=1e-14)
    given = torch.randn(2, 1, 32, 32, dtype=torch.double)
    answer = critic(given, label)
    assert (answer - critic(given.roll(9, 3), label)).abs().max() > 1e-6, "it does look at places"
    for axis in (2, 3):
        torch.testing.assert_close(critic(given.flip(axis), label), answer, rtol=1e-9, atol=1e-12)
