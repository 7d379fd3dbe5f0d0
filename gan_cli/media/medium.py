"""The medium of a game: how to show samples as one picture, and how to save one as the file that a user expects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor


class Medium(Protocol):
    """A kind of samples, such as images or points.

    Attributes:
        field: the name of a sample among the fields of a batch.
        ending: the ending of a file that holds one sample.
        bounded: whether samples lie in [-1, 1].
    """

    field: str
    ending: str
    bounded: bool

    def preview(self, samples: Tensor, columns: int, cells: Sequence[int] | None = None) -> Tensor:
        """Draw many samples as one picture, (3, H, W) uint8, on the CPU.

        Args:
            samples: in order, unless `cells` says otherwise.
            columns: the number of columns of a grid.
            cells: the index of the sample in each cell, row by row, or -1 for an empty cell; see `placed`.
        """

    def rows(self, rows: dict[str, Tensor], columns: int, cells: Sequence[int] | None = None) -> Tensor:
        """Draw the rows of `Game.sample` as one picture: a grid, or the rows of each example one above the other."""

    def save(self, sample: Tensor, path: Path) -> None:
        """Save one sample as a file."""

    def judged(self, samples: Tensor) -> Tensor:
        """Convert samples to the values that scores see, on the CPU: those that files would hold."""

    def described(self, sample: Tensor) -> str | None:
        """Describe a sample's size in a word for a score's protocol. Return None where all samples have one size."""

    def size(self, dataset: Mapping[str, Any]) -> str:
        """Describe the size of a data set's samples in words, from its complete YAML."""

    def read(self, path: Path, dataset: Mapping[str, Any]) -> Tensor:
        """Read the sample (1, ...) in a file, as a model of that data set would make it.

        Raises:
            UserError: the file holds no sample, or samples of this medium are not read from files.
        """

    def array(self, samples: Tensor) -> Tensor:
        """Convert many samples to the array that a user expects: images (N, H, W, C) uint8, points (N, D) float32."""


MOST_COLUMNS = 8  # in a grid that shows several rows for each example


def arranged(rows: Mapping[str, Tensor], label: Tensor | None = None) -> tuple[int, list[int] | None]:
    """Return columns and cells of a grid: samples by class (`placed`), or several rows for each example."""
    count = len(next(iter(rows.values())))
    return placed(count, label) if len(rows) == 1 else (min(count, MOST_COLUMNS), None)


def placed(count: int, label: Tensor | None = None, columns: int | None = None) -> tuple[int, list[int] | None]:
    """Return columns and cells of a grid of `count` samples; with labels (N,), each row shows one class.

    A class has one row, or several where `columns` are too few; the rest of its last row stays white. The grid is
    nearly square, in the order of the samples, where rows by class would not help: without labels, with one class, or
    where most classes have a single sample, whose rows would be nearly white.
    """
    classes: dict[int, list[int]] = {}
    for index, class_index in enumerate([] if label is None else label.tolist()):
        classes.setdefault(class_index, []).append(index)
    if len(classes) < 2 or 2 * sum(len(members) == 1 for members in classes.values()) > len(classes):
        return columns or max(1, round(count**0.5)), None
    width = columns or max(map(len, classes.values()))
    return width, [cell for members in classes.values() for cell in [*members, *[-1] * (-len(members) % width)]]
