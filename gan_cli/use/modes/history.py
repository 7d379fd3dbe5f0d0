"""How a run learned: the previews that it wrote while it trained, in one picture or one film."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy
import torch
from annotated_types import Interval
from torch import Tensor

from gan_cli.base.checkpoint import run_of
from gan_cli.base.errors import UserError
from gan_cli.data.picture import opened
from gan_cli.game.game import joined
from gan_cli.media.image import write_png
from gan_cli.use.modes.mode import Asked, Made, Mode
from gan_cli.use.results import Frames

FRAMES_A_SECOND = 3


class History(Mode):
    """The run's previews, which show the same latents each time.

    A picture shows the first column of each preview, the oldest on the left: for a conditional model one class to a
    row. Of a model that is given pictures it shows all of each. A film or a folder shows whole previews.

    Args:
        moments: previews that are shown at most, evenly spread from the first to the last.
    """

    def __init__(self, moments: Annotated[int, Interval(ge=2, le=1_000)] = 12) -> None:
        self.moments = moments

    def __call__(self, asked: Asked) -> Made:
        """Choose the previews to show.

        Raises:
            UserError: the run has fewer than two previews.
        """
        run = run_of(asked.trained.path)
        found = sorted((run / "samples").glob("images-*.png"))
        if len(found) < 2:
            raise UserError(
                f"{str(run)!r} has {len(found)} of the previews that show how a run learned: they are in its samples/"
                " folder, and trainer.sample_every_images says how often one is written"
            )
        files = spread(found, self.moments)
        return Made({"": Previews(files, column_width(asked))}, f"{len(files)} moments of")


@dataclass
class Previews:
    """Files of previews: an image of the first column of each, or a film of all that they show.

    Args:
        files: the oldest first.
        width: pixels of the column; None shows all of a preview.
    """

    files: Sequence[Path]
    width: int | None

    def write(self, path: Path) -> None:
        """Write a picture if the path ends with .png, else a film or a folder.

        Raises:
            PictureError: a preview can't be read.
        """
        if path.suffix.lower() != ".png":
            Frames(map(read_rgb, self.files), FRAMES_A_SECOND).write(path)
            return
        columns = [read_rgb(file)[:, :, : self.width] for file in self.files]
        height = max(column.shape[1] for column in columns)
        write_png(torch.cat([white_below(column, height) for column in columns], 2), path)


def spread(files: Sequence[Path], most: int) -> list[Path]:
    """Select at most `most` files at even distances, the first and the last among them."""
    count = min(len(files), most)
    return [files[round(index * (len(files) - 1) / (count - 1))] for index in range(count)]


def column_width(asked: Asked) -> int | None:
    """Measure how wide a preview of one column is, in pixels: by two samples, since one alone has no border.

    None, all of a preview, for a model that is given pictures: to measure, it would need the run's data.
    """
    trained = asked.trained
    if trained.game.translations:
        return None
    rows = joined(trained.game.sample(trained.networks, trained.given(2, asked.seed)))
    return trained.medium.rows({name: row.cpu() for name, row in rows.items()}, 1).shape[2]


def read_rgb(file: Path) -> Tensor:
    """Read a picture as (3, H, W) uint8.

    Raises:
        PictureError: it can't be read.
    """
    with opened(file) as image:
        return torch.from_numpy(numpy.array(image.convert("RGB"))).permute(2, 0, 1)


def white_below(picture: Tensor, height: int) -> Tensor:
    """Extend a picture (3, H, W) with white to `height` rows."""
    return torch.nn.functional.pad(picture, (0, 0, 0, height - picture.shape[1]), value=255)
