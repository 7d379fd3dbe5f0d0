"""The spaces in which a trained game's samples can be moved and searched, and its ways from pictures to pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gan_cli.base.errors import UserError
from gan_cli.layers.equalized import EqualizedLinear
from gan_cli.parts.latent import Latent

LABELS = ("embed", "shared")  # names of the generators' layers that read a class


class Translation(NamedTuple):
    """A way from pictures to pictures.

    Attributes:
        network: the generator's name.
        source: the field of `given` that the generator translates.
        output: the row of `sample` that holds the result.
        channels: the data set's option for the number of the source's channels.
        scale: how many times larger the output is.
        mask: the field that marks holes, for games that fill them.
    """

    network: str
    source: str
    output: str
    channels: str = "source_channels"
    scale: int = 1
    mask: str | None = None


class Space:
    """Codes (N, S) and the samples that they stand for.

    Attributes:
        layers: how many codes a sample may have, one for each layer, coarse to fine; 1: one code for all layers.
        has_middle: whether the mean of many codes stands for a sample, so that a search can start there.
    """

    layers = 1
    has_middle = False

    def codes(self, latent: Tensor, label: Tensor | None) -> Tensor:
        """Convert latents (N, Z), with labels (N,) if the game has classes, to codes (N, S)."""
        raise NotImplementedError

    def between(self, a: Tensor, b: Tensor, place: Tensor) -> Tensor:
        """Compute the codes (N, S) at places (N, 1) in [0, 1] on the way from `a` to `b`."""
        raise NotImplementedError

    def samples(self, codes: Tensor, label: Tensor | None) -> Tensor:
        """Make samples, with their graph, from codes (N, S) or, with several layers, one for each layer (N, L, S)."""
        raise NotImplementedError

    def readers(self) -> Tensor:
        """Return the weights (units, S) of the layers that read the codes.

        Raises:
            UserError: no layer reads the codes directly.
        """
        raise NotImplementedError


class LatentSpace(Space):
    """The space z, in which the codes are the latents.

    Args:
        latent: the distribution of the latents.
        generator: the network whose first layer reads the latent.
        make: (codes, labels) -> samples.
        near: truncates latents.
    """

    def __init__(
        self,
        latent: Latent,
        generator: nn.Module,
        make: Callable[[Tensor, Tensor | None], Tensor],
        near: Callable[[Tensor], Tensor] = lambda latent: latent,
    ) -> None:
        self.latent, self.generator, self.make, self.near = latent, generator, make, near

    def codes(self, latent: Tensor, label: Tensor | None) -> Tensor:
        return self.near(latent)

    def between(self, a: Tensor, b: Tensor, place: Tensor) -> Tensor:
        return self.latent.between(a, b, place)

    def samples(self, codes: Tensor, label: Tensor | None) -> Tensor:
        return self.make(codes, label)

    def readers(self) -> Tensor:
        for name, module in self.generator.named_modules():
            if name.rpartition(".")[2] in LABELS:
                continue
            if isinstance(module, nn.ConvTranspose2d):
                units = module.weight.flatten(2).permute(1, 2, 0).flatten(0, 1)
            elif isinstance(module, (nn.Linear, EqualizedLinear)):
                units = module.weight
            else:
                continue
            if units.shape[1] >= self.latent.size:  # a conditional model appends the class to the latent
                return units[:, : self.latent.size]
            break
        raise UserError("no layer of this model reads the latent as it is: no directions are found in it")


class StyleSpace(Space):
    """The space w behind a mapping network, in which a sample may have one style for each layer.

    Args:
        mapping: (latent, label) -> w, with its running `mean`.
        synthesis: styles -> pictures; has `layers`.
        finish: postprocesses the pictures.
        psi: factor of the truncation.
    """

    has_middle = True

    def __init__(
        self, mapping: nn.Module, synthesis: nn.Module, finish: Callable[[Tensor], Tensor], psi: float = 1.0
    ) -> None:
        self.mapping, self.synthesis, self.finish, self.psi = mapping, synthesis, finish, psi

    @property
    def layers(self) -> int:  # type: ignore[override]
        """Return L; for a growing network, that of the level it has reached."""
        return int(self.synthesis.layers)  # type: ignore[arg-type]

    def codes(self, latent: Tensor, label: Tensor | None) -> Tensor:
        mapping: Any = self.mapping
        return mapping.truncated(mapping(latent.to(mapping.mean), label), self.psi)

    def between(self, a: Tensor, b: Tensor, place: Tensor) -> Tensor:
        return torch.lerp(a, b, place)

    def samples(self, codes: Tensor, label: Tensor | None) -> Tensor:
        return self.finish(self.synthesis(codes))

    def readers(self) -> Tensor:
        layers = self.synthesis.named_modules()
        return torch.cat([m.weight for name, m in layers if isinstance(m, EqualizedLinear) and "affine" in name])
