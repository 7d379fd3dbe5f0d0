"""Gradients are the same in the layout that training uses, channels_last, as in contiguous memory; batches of 1, 2, 3.

torch's instance norm is wrong there (2.14 on the CPU): in a batch of one, where the arriving gradient is channels_last.

    x = torch.randn(1, 3, 4, 4, dtype=torch.double, requires_grad=True)
    g = torch.randn(1, 3, 4, 4, dtype=torch.double)
    def slope(g): return torch.autograd.grad(torch.nn.functional.instance_norm(x), x, g)[0]
    right, wrong = slope(g), slope(g.contiguous(memory_format=torch.channels_last))
    print((right - wrong).abs().max())  # 3.9; 0 in a batch of two, and 0 of `group_norm(x, 3)`
"""

from __future__ import annotations

import copy
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest
import torch
from conftest import QUICK, TINY, compose_checked, data_of, game_of, medium_of, optimizers_of
from torch import Tensor, nn

import gan_cli.layers
from gan_cli.augment.ada import Ada
from gan_cli.augment.diffaugment import DiffAugment
from gan_cli.base.types import Batch, Noise, State
from gan_cli.data.order import Batches
from gan_cli.game.gan import Turn
from gan_cli.game.update import terms_of
from gan_cli.layers.equalized import EqualizedConv2d, PixelNorm
from gan_cli.layers.growth import GrowingCritic, Growth
from gan_cli.layers.minibatch import MinibatchStddev
from gan_cli.layers.modulation import LayerNoise, ModulatedConv2d
from gan_cli.layers.norm import ChannelLayerNorm, InstanceNorm, norm_2d
from gan_cli.layers.patchgan import PatchGAN
from gan_cli.layers.resample import Blur, Downsample, Upsample, double, halve
from gan_cli.layers.residual import ConditionalNorm, DownBlock, SelfAttention, UpBlock
from gan_cli.layers.resnet import ResidualBlock, ResNetGenerator
from gan_cli.layers.unet import UNet

CHANNELS = 4
LAYERS: dict[str, Callable[[], Any]] = {
    "EqualizedConv2d": lambda: EqualizedConv2d(CHANNELS, 3, 3),
    "PixelNorm": PixelNorm,
    "GrowingCritic": lambda: GrowingCritic(Growth(8), CHANNELS, [6, 4], blur=True),
    "MinibatchStddev": lambda: MinibatchStddev(2),
    "ChannelLayerNorm": lambda: ChannelLayerNorm(CHANNELS),
    "InstanceNorm": lambda: InstanceNorm(CHANNELS),
    "norm_2d batch": lambda: norm_2d("batch", CHANNELS),
    "norm_2d instance": lambda: norm_2d("instance", CHANNELS, affine=False),
    "norm_2d layer": lambda: norm_2d("layer", CHANNELS),
    "PatchGAN": lambda: PatchGAN(CHANNELS, 4, layers=1, norm="instance"),
    "Blur": lambda: Blur((1, 2, 1)),
    "Upsample": lambda: Upsample((1, 3, 3, 1)),
    "Downsample": lambda: Downsample((1, 3, 3, 1)),
    "double": lambda: double,
    "halve": lambda: halve,
    "ConditionalNorm": lambda: Conditioned(ConditionalNorm(CHANNELS, 3)),
    "UpBlock": lambda: UpBlock(CHANNELS, 3),
    "DownBlock": lambda: DownBlock(CHANNELS, 3, down=True),
    "SelfAttention": lambda: SelfAttention(CHANNELS),
    "ResNetGenerator": lambda: ResNetGenerator(CHANNELS, 3, blocks=1, width=4),
    "ResidualBlock": lambda: ResidualBlock(CHANNELS),
    "LayerNoise": lambda: LayerNoise(8),
    "ModulatedConv2d": lambda: Conditioned(ModulatedConv2d(CHANNELS, 3, 3, 3)),
    "ModulatedConv2d up": lambda: Conditioned(ModulatedConv2d(CHANNELS, 3, 3, 3, up=True)),
    "UNet": lambda: UNet(CHANNELS, 3, resolution=8, width=4, dropout=0.0),
    "UNet instance": lambda: UNet(CHANNELS, 3, resolution=8, width=4, norm="instance", dropout=0.0),
    "Ada": lambda: Ada(p=0.8, fixed=True),
    "DiffAugment": DiffAugment,
    "BatchNorm2d": lambda: nn.BatchNorm2d(CHANNELS),
    "GroupNorm": lambda: nn.GroupNorm(2, CHANNELS),
    "ConvTranspose2d": lambda: nn.ConvTranspose2d(CHANNELS, 3, 4, 2, 1),
    "ReflectionPad2d": lambda: nn.ReflectionPad2d(2),
    "PixelShuffle": lambda: nn.PixelShuffle(2),
    "AvgPool2d": lambda: nn.AvgPool2d(2),
}
NO_MAPS = {  # layers that no four-dimensional tensor goes through, bases, and one whose masks follow the memory
    *(
        "EqualizedLinear",
        "StyleGenerator",
        "Maxout",
        "MinibatchDiscrimination",
        "MappingNetwork",
        "Grown",
        "Filter",
        "NoisyDropout",
        "Head",
    ),
    "ImagePool",  # gives no gradient
}


class Conditioned(nn.Module):
    """A layer that is told a condition (N, 3) as well."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x, torch.linspace(-1, 1, len(x) * 3, dtype=x.dtype).view(-1, 3))


def test_every_layer_of_maps_is_in_the_table() -> None:
    modules = [import_module(f"gan_cli.layers.{found.name}") for found in pkgutil.iter_modules(gan_cli.layers.__path__)]
    classes = {
        name
        for module in modules
        for name, item in inspect.getmembers(module, inspect.isclass)
        if issubclass(item, nn.Module) and item.__module__ == module.__name__
    }
    assert classes - NO_MAPS == {name for name in LAYERS if name in classes}


def close(a: Tensor, b: Tensor) -> bool:
    return bool((a - b).abs().max() <= 1e-9 * (1 + a.abs().max()))


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("name", LAYERS)
def test_a_layers_gradients_do_not_depend_on_the_memory_format(name: str, count: int) -> None:
    torch.manual_seed(0)
    made_once = LAYERS[name]()
    if isinstance(made_once, nn.Module):
        made_once.double().train()
    image = torch.randn(count, CHANNELS, 8, 8, dtype=torch.double)
    found = []
    for form in (torch.contiguous_format, torch.channels_last):
        layer = copy.deepcopy(made_once)  # spectral norms move with each use
        x = image.clone(memory_format=form).requires_grad_()
        if isinstance(layer, nn.Module):
            layer.to(memory_format=form)  # type: ignore[call-overload]
        torch.manual_seed(1)  # layers that draw: the same twice
        made = layer(x)
        arriving = torch.randn(made.shape, dtype=torch.double, generator=torch.Generator().manual_seed(2))
        if arriving.dim() == 4:
            arriving = arriving.contiguous(memory_format=form)
        weights = list(layer.parameters()) if isinstance(layer, nn.Module) else []
        first = torch.autograd.grad(made, [x, *weights], arriving, create_graph=True, materialize_grads=True)
        slope = first[0].square().sum()
        curved = slope.requires_grad  # not of a filter, which is linear
        second = torch.autograd.grad(slope, [x, *weights], materialize_grads=True, allow_unused=True) if curved else []
        found.append([made, *first, *second])
    assert found[0][1].abs().max() > 0
    for plain, last in zip(*found, strict=True):
        assert close(plain, last)


DOUBLED = {"pix2pix": ["model.generator.dropout=0"], "medgan_translation": ["model.generator.dropout=0"]}
# of a norm over a single number nothing is left: torch refuses these with a batch of one
NOT_ONE = {"cdcgan": "Expected more than 1 value per channel"}


@pytest.fixture
def all_double(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Everything in float64, also where the code asks for float32."""
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def slopes(config: dict[str, Any], count: int, form: torch.memory_format) -> dict[str, Tensor]:
    """By phase and parameter: the gradient of what each player minimises on one batch."""
    device, found = torch.device("cpu"), {}
    gan = game_of(config).double().train().to(memory_format=form)  # type: ignore[call-overload]
    gan.plan = gan.phases(optimizers_of(config))
    drawn = Batches(data_of(config), count, 0, device, field=medium_of(config).field).next(State())
    fields = {name: value.double() if value.is_floating_point() else value for name, value in drawn.fields.items()}
    names = {id(parameter): name for name, parameter in gan.named_parameters()}
    gan.set_progress(0)
    for phase in gan.plan:
        if not phase.on(0):
            continue
        batch = Batch(fields, drawn.first, drawn.total, field=drawn.field)
        turn = Turn(gan, phase, batch, Noise(device, batch, 0), phase.penalties, False)
        turn.seed()
        total = torch.stack([term.mean() for term in terms_of(turn).values()]).sum()
        assert total.dtype == torch.double
        gradients = torch.autograd.grad(total, phase.parameters, materialize_grads=True, allow_unused=True)
        for parameter, gradient in zip(phase.parameters, gradients, strict=True):
            found[f"{phase.name} {names[id(parameter)]}"] = gradient
    return found


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("model", TINY)
@pytest.mark.sampled(3)
def test_a_games_gradients_do_not_depend_on_the_memory_format(model: str, count: int, all_double: None) -> None:
    config = compose_checked(f"model={model}", *TINY[model], *QUICK, *DOUBLED.get(model, []))
    if count == 1 and model in NOT_ONE:
        with pytest.raises(ValueError, match=NOT_ONE[model]):
            slopes(config, count, torch.channels_last)
        return
    plain, last = (slopes(config, count, form) for form in (torch.contiguous_format, torch.channels_last))
    assert any(gradient.abs().max() > 1e-6 for gradient in plain.values())
    assert [name for name in plain if not close(plain[name], last[name])] == []


def test_instance_norm_by_hand_and_of_one_pixel() -> None:
    x = torch.tensor([[[[1.0, 2.0], [3.0, 6.0]]]], dtype=torch.double)
    made = InstanceNorm(1, affine=False)(x)
    deviation = (3.5 + 1e-5) ** 0.5  # mean 3, squares 4, 1, 0, 9
    assert made.flatten().tolist() == pytest.approx([-2 / deviation, -1 / deviation, 0, 3 / deviation])
    with pytest.raises(ValueError, match="maps of one pixel"):
        InstanceNorm(1)(torch.zeros(2, 1, 1, 1))
