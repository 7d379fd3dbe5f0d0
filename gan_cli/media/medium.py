"""What a sample is: how to show many as one picture, and how to save one as the file a user expects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor


class Medium(Protocol):
    """What a sample is.

    Attributes:
        field: the name of a sample among the fields of a batch.
        ending: of the file that one sample is saved as.
        bounded: whether samples lie in [-1, 1].
    """

    field: str
    ending: str
    bounded: bool

    def preview(self, samples: Tensor, columns: int, cells: Sequence[int] | None = None) -> Tensor:
        """Many samples as one picture, (3, H, W) uint8, on the CPU.

        Args:
            samples: in order, unless `cells` says otherwise.
            columns: of a grid.
            cells: row by row, which sample stands there, or -1 for none; see `placed`.
        """

    def rows(self, rows: dict[str, Tensor], columns: int, cells: Sequence[int] | None = None) -> Tensor:
        """What `GAN.preview` gives as one picture: a grid, or several rows for each example, one above the other."""

    def save(self, sample: Tensor, path: Path) -> None:
        """One sample as a file."""

    def judged(self, samples: Tensor) -> Tensor:
        """Samples as scores look at them, on the CPU: what files would hold."""

    def described(self, sample: Tensor) -> str | None:
        """How large a sample is, in a word for the protocol of a score; None where all have one size."""

    def size(self, dataset: Mapping[str, Any]) -> str:
        """How large the samples of a data set are, in words, from its complete YAML."""

    def read(self, path: Path, dataset: Mapping[str, Any]) -> Tensor:
        """The sample (1, ...) that a file holds, as a model of that data set would make it.

        Raises:
            UserError: it holds none, or samples of this medium are read from no file.
        """

    def array(self, samples: Tensor) -> Tensor:
        """Many samples as the array a user expects: images (N, H, W, C) uint8, points (N, D) float32."""


MOST_COLUMNS = 8  # of a grid that shows several rows for each example


def arranged(rows: Mapping[str, Tensor], label: Tensor | None = None) -> tuple[int, list[int] | None]:
    """Columns and cells of a grid: of samples by class (`placed`), or of several rows for each example."""
    count = len(next(iter(rows.values())))
    return placed(count, label) if len(rows) == 1 else (min(count, MOST_COLUMNS), None)


def placed(count: int, label: Tensor | None = None, columns: int | None = None) -> tuple[int, list[int] | None]:
    """Columns and cells of a grid of `count` samples: with labels (N,), every row is of one class.

    A class has one row, or, where `columns` are too few for it, several; what is left of its last one stays white.
    Nearly square in the order of the samples where there is nothing to tell apart: no labels, one class, or most
    classes with a single sample, whose rows would be white but for that.
    """
    classes: dict[int, list[int]] = {}
    for number, one in enumerate([] if label is None else label.tolist()):
        classes.setdefault(one, []).append(number)
    if len(classes) < 2 or 2 * sum(len(own) == 1 for own in classes.values()) > len(classes):
        return columns or max(1, round(count**0.5)), None
    wide = columns or max(map(len, classes.values()))
    return wide, [cell for own in classes.values() for cell in [*own, *[-1] * (-len(own) % wide)]]
