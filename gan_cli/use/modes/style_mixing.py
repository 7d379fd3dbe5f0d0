"""Style mixing (Karras et al. 2019, fig. 3): coarse styles of one set of samples with fine styles of another."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Ge, Interval
from torch import Tensor

from gan_cli.base.errors import UserError
from gan_cli.base.progress import Progress
from gan_cli.use.modes.mode import Asked, Made, Mode
from gan_cli.use.modes.trained_space import TrainedSpace
from gan_cli.use.results import Picture


class StyleMixing(Mode):
    """A grid of `columns` (8) samples, each mixed with `rows` others.

    Args:
        rows: number of samples whose coarse styles are taken.
        layers: those whose styles come from the row's sample; None: the coarser half.
    """

    def __init__(
        self,
        rows: Annotated[int, Interval(ge=1, le=10_000)] = 5,
        layers: list[Annotated[int, Ge(0)]] | None = None,
    ) -> None:
        self.rows, self.layers = rows, layers

    def __call__(self, asked: Asked) -> Made:
        columns = asked.columns or 8
        (givers, label), (takers, column_label) = asked.latents(self.rows), asked.latents(columns, "columns")
        if label is not None and column_label is not None:
            label = torch.cat([label, column_label])
        with Progress("making samples"):
            pictures = mixed_grid(asked.searched, torch.cat([givers, takers]), label, self.rows, columns, self.layers)
        return Made({"": Picture(asked.trained.medium.preview(pictures, columns + 1))})


def mixed_grid(
    space: TrainedSpace, latent: Tensor, label: Tensor | None, rows: int, columns: int, layers: list[int] | None
) -> Tensor:
    """Draw the pictures of a grid, (1 + rows) x (1 + columns), row by row; the corner is white.

    The first column shows the samples that give the styles of `layers`; the first row shows the samples that receive
    them.

    Args:
        latent: (rows + columns, Z).
        layers: those whose styles come from the row's sample; None: the coarser half.

    Raises:
        UserError: the model has no styles, or lacks one of `layers`.
    """
    if space.space.layers < 2:
        raise UserError("mode=style_mixing needs a model with a mapping network")
    count = space.space.layers
    chosen = list(range(count // 2)) if layers is None else layers
    if not chosen or any(layer not in range(count) for layer in chosen):
        raise UserError(f"layers={layers} must be some of this model's layers, 0 to {count - 1}, coarse to fine")
    codes = space.codes(latent, label)
    givers, takers = codes[:rows], codes[rows:]
    styles = takers[None, :, None].repeat(rows, 1, count, 1)
    styles[:, :, chosen] = givers[:, None, None].expand(-1, columns, len(chosen), -1)
    mixed = torch.cat(list(space.draw(styles.flatten(0, 1), None, 64)))
    top, side = (torch.cat(list(space.draw(unmixed, None, 64))) for unmixed in (takers, givers))
    white = torch.ones_like(top[:1])
    body = mixed.view(rows, columns, *mixed.shape[1:])
    return torch.cat([white, top, *(torch.cat([side[row : row + 1], body[row]]) for row in range(rows))])
