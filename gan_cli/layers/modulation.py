"""The layers of style-based generators: the mapping network, mixed styles, noise, modulated convolutions."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, leaky_relu, one_hot

from gan_cli.base.types import Noise
from gan_cli.layers.equalized import EqualizedLinear
from gan_cli.layers.resample import Filter

TAPS = (1, 3, 3, 1)
TRACKED = 0.995  # share of the running mean of w that each batch keeps


def activate(x: Tensor) -> Tensor:
    """Apply LeakyReLU(0.2) times sqrt(2), so that a signal of unit variance about keeps this variance."""
    return leaky_relu(x, 0.2) * math.sqrt(2)


class StyleGenerator(nn.Module):
    """The base of generators with two parts, `mapping` (z to w) and `synthesis` (w to pictures)."""

    @staticmethod
    def refusal(
        at: str, latent_size: int, style_size: int = 512, mapping_layers: int = 8, num_classes: int | None = None
    ) -> str | None:
        """Return why `mapping_layers` 0, where the latent is the style, does not fit, or None (see `check.rules`)."""
        if mapping_layers:
            return None
        if num_classes is not None:
            return f"{at}.mapping_layers=0 has no place for a label: say 1 or more, as 8"
        if style_size == latent_size:
            return None
        return (
            f"{at}.mapping_layers=0 makes the latent the style, so {at}.style_size={style_size} must be"
            f" model.latent.size={latent_size}"
        )


class MappingNetwork(nn.Module):
    """Latent (N, Z), label (N,) or None -> w (N, W): `layers` dense layers with a hundredth of the learning rate.

    The latent is scaled to unit mean square. A class vector of length W, scaled in the same way, is appended to it (as
    in StyleGAN2-ADA; StyleGAN scales both as one). The mean of w is tracked in training, for truncation. With
    `latent_size` 0 a label alone is mapped.

    Args:
        gain: sqrt(2) if the weights bring this factor (StyleGAN), 1 if the activations do (StyleGAN2). Both are the
            same at the start, but the biases learn sqrt(2) times as fast in the latter.
    """

    mean: Tensor

    def __init__(
        self, latent_size: int, size: int, layers: int, num_classes: int | None = None, gain: float = 1.0
    ) -> None:
        super().__init__()
        self.num_classes, self.rest = num_classes, math.sqrt(2) / gain
        self.embed = EqualizedLinear(num_classes, size) if num_classes else None
        first = latent_size + (size if num_classes else 0)
        self.layers = nn.ModuleList(
            EqualizedLinear(size if number else first, size, gain, rate=0.01) for number in range(layers)
        )
        self.register_buffer("mean", torch.zeros(size))

    def forward(self, latent: Tensor | None, label: Tensor | None = None, track: bool = False) -> Tensor:
        parts = [] if latent is None else [unit(latent)]
        if self.embed is not None:
            assert label is not None
            parts.append(unit(self.embed(one_hot(label, self.num_classes or 0).float())))
        w = torch.cat(parts, 1)
        for layer in self.layers:
            w = leaky_relu(layer(w), 0.2) * self.rest
        if track and self.training:
            with torch.no_grad():
                self.mean.lerp_(w.float().mean(0), 1 - TRACKED)
        return w

    def truncated(self, w: Tensor, psi: float) -> Tensor:
        """Move w towards its mean: psi 1 leaves w as it is, 0 makes it the mean."""
        return w if psi == 1 else torch.lerp(self.mean, w, psi)


def unit(x: Tensor) -> Tensor:
    """Scale each row to a mean square of 1."""
    return x * (x.square().mean(1, keepdim=True) + 1e-8).rsqrt()


def mixed(w: Tensor, other: Tensor, layers: int, probability: float, noise: Noise, name: str = "") -> Tensor:
    """Mix styles (N, L, W): for a share of the samples, `w` up to a random layer and `other` from there on.

    Karras et al. 2019, sec. 3.1 (style mixing); the layer is drawn for each sample.
    """
    chosen = noise.uniform(f"mixing_share{name}") < probability
    cut = 1 + (noise.uniform(f"mixing_layer{name}") * (layers - 1)).long()  # 1 to layers - 1
    cut = torch.where(chosen, cut, layers)
    first = torch.arange(layers, device=w.device) < cut[:, None]
    return torch.where(first[:, :, None], w[:, None], other[:, None])


def spread(w: Tensor, layers: int) -> Tensor:
    """Expand w (N, W) to styles (N, L, W); styles that have one for each layer already stay as they are."""
    return w[:, None].expand(-1, layers, -1) if w.dim() == 2 else w


class LayerNoise(nn.Module):
    """Noise, one map for all channels, with a strength learned from 0: new in training, fixed in evaluation.

    Args:
        resolution: resolution of the fixed map, which is part of the weights.
        channels: None: one strength for all (StyleGAN2); else one for each (StyleGAN).
    """

    fixed: Tensor

    def __init__(self, resolution: int, channels: int | None = None) -> None:
        super().__init__()
        self.strength = nn.Parameter(torch.zeros([]) if channels is None else torch.zeros(channels, 1, 1))
        self.register_buffer("fixed", torch.randn(resolution, resolution))

    def forward(self, x: Tensor) -> Tensor:
        new = self.training
        noise = torch.randn(x.shape[0], 1, *x.shape[2:], device=x.device, dtype=x.dtype) if new else self.fixed
        return x + noise.to(x.dtype) * self.strength.to(x.dtype)


class ModulatedConv2d(nn.Module):
    """A convolution whose input channels a style scales, and whose outputs are scaled back (Karras et al. 2020).

    x (N, I, H, W), w (N, W) -> (N, O, H, W), or twice the size with `up`. The scales multiply the activations before
    and after one convolution for the whole batch. This equals separate weights for each sample, and is cheaper.

    Args:
        demodulate: divide by the weights' expected effect on the deviation; not for the layer that makes the image.
        up: a transposed convolution of stride 2, then the low-pass filter.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, style: int, demodulate: bool = True, up: bool = False
    ) -> None:
        super().__init__()
        self.affine = EqualizedLinear(style, inputs, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.scale, self.padding, self.demodulate = 1 / math.sqrt(inputs * kernel**2), kernel // 2, demodulate
        self.filter = Filter(TAPS) if up else None

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        style, weight = self.affine(w), self.weight * self.scale
        x = x * style[:, :, None, None].to(x.dtype)
        if self.filter is None:
            x = conv2d(x, weight.to(x.dtype), padding=self.padding)
        else:
            x = conv_transpose2d(x, weight.transpose(0, 1).to(x.dtype), stride=2)
            x = self.filter.blur(x, padding=1, gain=4.0)
        if self.demodulate:
            power = style.square() @ weight.square().sum([2, 3]).t()
            x = x * (power + 1e-8).rsqrt()[:, :, None, None].to(x.dtype)
        return x
