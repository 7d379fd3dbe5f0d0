"""A walk through latents, closed to a loop."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import torch
from annotated_types import Interval
from torch import Tensor

from gan_cli.base.progress import counted
from gan_cli.use.modes.mode import Asked, Made, Mode
from gan_cli.use.modes.trained_space import TrainedSpace
from gan_cli.use.results import Frames

FRAMES_A_SECOND = 30


class Interpolation(Mode):
    """A closed walk through `count` (8) latents.

    Args:
        frames: of the whole walk, at 30 a second.
    """

    def __init__(self, frames: Annotated[int, Interval(ge=1, le=1_000_000)] = 240) -> None:
        self.frames = frames

    def __call__(self, asked: Asked) -> Made:
        latent, label = asked.latents(asked.count or 8)
        frames = walk(asked.searched, latent, label, self.frames, asked.batch_size)
        medium = asked.trained.medium
        pictures = (
            medium.preview(frame[None], 1) for frame in counted(frames, "drawing frames", self.frames, "frames")
        )
        return Made({"": Frames(pictures, FRAMES_A_SECOND)})


def walk(space: TrainedSpace, latent: Tensor, label: Tensor | None, frames: int, batch_size: int) -> Iterator[Tensor]:
    """Yield the frames (C, R, R) of a closed walk through all latents, without a pause, equally many for every stretch.

    A conditional model keeps its first label: classes have no in-between.
    """
    count = len(latent)
    codes = space.codes(latent, None if label is None else label[:1].expand(count))
    places = torch.arange(frames, dtype=torch.float64) * count / frames
    first = places.long()
    share = (places - first).float()[:, None].to(codes.device)
    path = space.space.between(codes[first % count], codes[(first + 1) % count], share)
    labels = None if label is None else label[:1].expand(frames)
    for batch in space.draw(path, labels, batch_size):
        yield from batch
