"""Plain samples: a grid, single files, or one array; for a model that is given pictures, its outputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

import torch
from torch import Tensor

from gan_cli.base.errors import UserError
from gan_cli.base.files import expanded
from gan_cli.base.limits import Where
from gan_cli.base.progress import counted
from gan_cli.game.game import Given
from gan_cli.media.image import to_pixels
from gan_cli.media.medium import arranged, placed
from gan_cli.use.modes.mode import Asked, Made, Mode
from gan_cli.use.results import Arrays, Picture, Result, Sample
from gan_cli.use.sample import arrays_of, count_of, draw_with_progress
from gan_cli.use.translate import find_inputs, find_masks, held_out_rows, remarks, translated


class Grid(Mode):
    """`count` (64) samples, one output for each picture of `input`, or rows of a run's held-out pictures.

    Args:
        format: "grid" is one picture, "png" pictures as single files, "npz" one array, "files" single files of the
            medium's own kind.
        direction: of the translation.
        mask: a picture, or a folder with equal names, white where pixels are missing.
    """

    def __init__(
        self,
        format: Literal["grid", "png", "npz", "files"] = "grid",
        direction: Literal["a_to_b", "b_to_a"] = "a_to_b",
        mask: Where | None = None,
    ) -> None:
        self.format, self.direction, self.mask = format, direction, mask

    def __call__(self, asked: Asked) -> Made:
        if asked.input is not None:
            return self.translated(asked)
        if asked.trained.game.translations:
            return self.held_out(asked)
        if asked.root is not None:
            raise UserError(
                "dataset.root= is for grids of a run's held-out pictures: leave it out where none of its data is"
                " looked at"
            )
        return self.drawn(asked)

    def drawn(self, asked: Asked) -> Made:
        """Make samples of a model that draws from noise.

        Raises:
            UserError: the format is for pictures, and the samples are no pictures.
        """
        trained, ending = asked.trained, asked.trained.medium.ending
        if self.format == "png" and ending != ".png":
            raise UserError(f"format=png is for pictures; format=files writes these samples as {ending} files")
        given = trained.given(asked.count or 64, asked.seed, asked.classes)
        words = f"{count_of(given):,} samples of"
        if self.format in ("png", "files"):
            return Made(sample_files(asked, given), words)
        batches = draw_with_progress(trained, given, asked.batch_size)
        if self.format == "npz":
            samples = torch.cat([trained.medium.array(batch) for batch in batches])
            return Made({"": Arrays({"samples": samples, **arrays_of(given)}, asked.about)}, words)
        samples = torch.cat(list(batches))
        cells = placed(len(samples), given.get("label"), asked.columns)
        return Made({"": Picture(trained.medium.preview(samples, *cells))}, words)

    def held_out(self, asked: Asked) -> Made:
        """Make rows of held-out pictures, for a model that is given pictures.

        Raises:
            UserError: an option is not for models that are given pictures, or the data is gone.
        """
        trained = asked.trained
        if self.format != "grid" or asked.labels is not None:
            raise UserError("this model is given pictures: say input=FOLDER_OR_IMAGE, or leave out format= and labels=")
        count = asked.count or trained.config.trainer.preview_samples
        rows = held_out_rows(trained, count, trained.config.seed + asked.seed)
        columns, cells = arranged(rows)
        picture = Picture(trained.medium.rows(rows, asked.columns or columns, cells))
        return Made({"": picture}, f"rows {', '.join(rows)} of held-out pictures by")

    def translated(self, asked: Asked) -> Made:
        """Translate the pictures of `input`.

        Raises:
            UserError: there are no pictures, or the model is not given pictures.
        """
        assert asked.input is not None
        inputs, masks, paths = find_inputs(asked.input), None, [asked.input]
        if self.mask is not None:
            paths.append(expanded(str(self.mask)))
            masks = find_masks(paths[1], list(inputs))
        for remark in remarks(asked.trained, *paths):
            asked.say(remark)
        outputs = translated(asked.trained, inputs, self.direction, masks, asked.seed)
        outputs = counted(outputs, "making pictures", len(inputs), "pictures")
        return Made(
            as_pictures(outputs, asked.one_file), f"{len(inputs):,} {'picture' if len(inputs) == 1 else 'pictures'} by"
        )


def as_pictures(outputs: Iterable[tuple[str, Tensor]], one_file: bool = False) -> Iterator[tuple[str, Result]]:
    """Convert outputs (C, H, W) in [-1, 1] to pictures; the name is that of the file, or "" for the only file."""
    return (("" if one_file else name, Picture(to_pixels(picture))) for name, picture in outputs)


def sample_files(asked: Asked, given: Given) -> Iterator[tuple[str, Result]]:
    """Yield one file for each sample, and `latents.npz` with the tensors that the samples were made from."""
    medium, number, digits = asked.trained.medium, 0, max(6, len(str(count_of(given) - 1)))
    for batch in draw_with_progress(asked.trained, given, asked.batch_size):
        for sample in batch:
            yield f"{number:0{digits}d}{medium.ending}", Sample(medium, sample)
            number += 1
    yield "latents.npz", Arrays(arrays_of(given), asked.about)
