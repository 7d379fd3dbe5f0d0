"""Closed-form directions in a generator's latent space, to which its first layers respond most (Shen and Zhou 2021)."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Interval
from torch import Tensor

from gan_cli.base.errors import UserError
from gan_cli.base.progress import Progress
from gan_cli.use.modes.mode import Asked, Made, Mode
from gan_cli.use.modes.trained_space import TrainedSpace
from gan_cli.use.results import Picture


class Directions(Mode):
    """One sample moved along the strongest directions, a row for each direction, in `columns` (7) steps.

    Args:
        top: number of directions.
        reach: how far to each side, in the latent's units.
    """

    def __init__(
        self,
        top: Annotated[int, Interval(ge=1, le=10_000)] = 8,
        reach: Annotated[float, Interval(gt=0, le=1e6)] = 3.0,
    ) -> None:
        self.top, self.reach = top, reach

    def __call__(self, asked: Asked) -> Made:
        space, columns = asked.searched, asked.columns or 7
        vectors, strength = directions(space, self.top)
        latent, label = asked.latents(1)
        with Progress("making samples"):
            pictures = strips(space, space.codes(latent, label), label, vectors, self.reach, columns)
        for number, value in enumerate(strength.tolist()):
            asked.say(f"row {number + 1}   strength {value:.4g}")
        return Made({"": Picture(asked.trained.medium.preview(pictures, columns))})


def directions(space: TrainedSpace, top: int) -> tuple[Tensor, Tensor]:
    """Compute unit directions (top, S) and their strengths (top,).

    They are the first singular vectors of the weights that read the codes: in w the style weights of all layers, in z
    the weights of the first layer.

    Raises:
        UserError: `top` is more than the directions of the space, or no layer reads the codes as they are.
    """
    _, strength, vectors = torch.linalg.svd(space.space.readers().detach().double().cpu(), full_matrices=False)
    if top > len(vectors):
        raise UserError(f"top={top} is more than this model's {len(vectors)} directions")
    vectors = vectors[:top]
    largest = vectors.abs().argmax(1, keepdim=True)
    return (vectors * vectors.gather(1, largest).sign()).float(), strength[:top].float()  # the sign is a convention


def strips(
    space: TrainedSpace, codes: Tensor, label: Tensor | None, vectors: Tensor, reach: float, columns: int
) -> Tensor:
    """Draw a row of pictures for each direction: a sample (1, S) moved along it from -reach to reach."""
    steps = torch.linspace(-reach, reach, columns, device=codes.device)
    moved = codes[None] + steps[None, :, None] * vectors.to(codes.device)[:, None]
    labels = None if label is None else label[:1].expand(moved.shape[0] * columns)
    return torch.cat(list(space.draw(moved.flatten(0, 1), labels, 64)))
