"""Closed-form directions in a generator's latent space (Shen and Zhou 2021): where the first layers listen most."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from gan_cli.base.errors import UserError
from gan_cli.layers.equalized import EqualizedLinear
from gan_cli.use.modes.space import Space

LABELS = ("embed", "shared")  # layers that read a class, as generators call them


def directions(space: Space, top: int) -> tuple[Tensor, Tensor]:
    """Unit directions (top, S) and their strengths (top,): the first singular vectors of what reads the codes.

    In w these are all layers' style weights, in z the first layer's.

    Raises:
        UserError: more directions than the space has, or no layer that reads the codes as they are.
    """
    weights = style_weights(space.generator.synthesis) if space.name == "w" else first_weight(space)
    _, strength, found = torch.linalg.svd(weights.detach().double().cpu(), full_matrices=False)
    if top > len(found):
        raise UserError(f"top={top} is more than this model's {len(found)} directions")
    found = found[:top]
    largest = found.abs().argmax(1, keepdim=True)
    return (found * found.gather(1, largest).sign()).float(), strength[:top].float()  # the sign is a convention


def style_weights(synthesis: nn.Module) -> Tensor:
    """(all styles, W)"""
    return torch.cat(
        [m.weight for name, m in synthesis.named_modules() if isinstance(m, EqualizedLinear) and "affine" in name]
    )


def first_weight(space: Space) -> Tensor:
    """(units, Z) of the first layer with weights."""
    size = space.trained.gan.latent.size  # type: ignore[union-attr]
    for name, module in space.generator.named_modules():
        if name.rpartition(".")[2] in LABELS:
            continue
        weight: Any = getattr(module, "weight", None)
        if isinstance(module, nn.ConvTranspose2d):
            weight = weight.transpose(0, 1)
        if isinstance(module, (nn.Linear, EqualizedLinear, nn.ConvTranspose2d)):
            units = weight.flatten(2).permute(0, 2, 1).flatten(0, 1) if weight.dim() == 4 else weight
            if units.shape[1] >= size:  # a conditional model's class stands behind the latent
                return units[:, :size]
            break
    raise UserError("mode=directions finds no layer of this model that reads the latent as it is")


def strips(space: Space, codes: Tensor, label: Tensor | None, found: Tensor, reach: float, columns: int) -> Tensor:
    """Pictures, a row for each direction: a sample (1, S) moved from -reach to reach along it."""
    steps = torch.linspace(-reach, reach, columns, device=codes.device)
    moved = codes[None] + steps[None, :, None] * found.to(codes.device)[:, None]
    same = None if label is None else label[:1].expand(moved.shape[0] * columns)
    return torch.cat(list(space.draw(moved.flatten(0, 1), same, 64)))
