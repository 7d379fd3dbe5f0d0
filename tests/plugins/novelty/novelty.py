"""How strange pictures are to a trained generator: how near it can come to each (after Schlegl et al. 2017, eq. 5)."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Interval

from gan_cli.use.modes.mode import Asked, Made, Mode
from gan_cli.use.results import Table
from gan_cli.use.search import search
from gan_cli.use.translate import find_inputs, picture_for


class Novelty(Mode):
    """A table with a line for each picture of `input`: the mean squared difference to the nearest sample found.

    Args:
        steps: of the search.
        restarts: searches for each picture; the nearest is kept.
    """

    def __init__(
        self,
        steps: Annotated[int, Interval(ge=1, le=100_000)] = 200,
        restarts: Annotated[int, Interval(ge=1, le=64)] = 1,
    ) -> None:
        self.steps, self.restarts = steps, restarts

    def __call__(self, asked: Asked) -> Made:
        assert asked.input is not None
        files, trained = find_inputs(asked.input), asked.trained
        pictures = torch.cat([picture_for(trained, file) for file in files.values()]).to(trained.device)
        found = search(
            *(asked.searched, lambda samples, rows: (samples - pictures[rows]).square().flatten(1).mean(1)),
            *(len(pictures), None, self.steps, asked.seed, self.restarts),
        )
        return Made({"": Table(("picture", "novelty"), list(zip(files, found.values.tolist(), strict=True)))})
