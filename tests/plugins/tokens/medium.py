"""Short strings of an alphabet: shown as text, saved as .txt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gan_cli.base.errors import UserError
from gan_cli.base.files import write_atomically

CELL = (8, 14)  # pixels of one letter in a preview, wide and high


class TokenMedium:
    """Strings (N, L, V): each of L letters as shares in [0, 1] of the V letters of an alphabet.

    Args:
        alphabet: its letters; a string is read as the largest share of each place.
    """

    field = "tokens"
    ending = ".txt"
    bounded = False

    def __init__(self, alphabet: str) -> None:
        self.alphabet = alphabet

    def texts(self, samples: Tensor) -> list[str]:
        return ["".join(self.alphabet[place] for place in row) for row in samples.argmax(-1).tolist()]

    def preview(self, samples: Tensor, columns: int, cells: Sequence[int] | None = None) -> Tensor:
        """Letters in a grid of strings."""
        from PIL import Image, ImageDraw
        from torchvision.transforms.functional import pil_to_tensor

        texts = self.texts(samples)
        shown = [texts[cell] if cell >= 0 else "" for cell in (range(len(texts)) if cells is None else cells)]
        wide, high = (samples.shape[1] + 1) * CELL[0], CELL[1]
        sheet = Image.new("RGB", (columns * wide, -(-len(shown) // columns) * high), "white")
        pen = ImageDraw.Draw(sheet)
        for number, text in enumerate(shown):
            row, column = divmod(number, columns)
            for place, letter in enumerate(text):
                pen.text((column * wide + place * CELL[0] + 1, row * high), letter, "black")
        return pil_to_tensor(sheet)

    def rows(self, rows: dict[str, Tensor], columns: int, cells: Sequence[int] | None = None) -> Tensor:
        return torch.cat([self.preview(samples, columns, cells) for samples in rows.values()], 1)

    def save(self, sample: Tensor, path: Path) -> None:
        write_atomically(path, f"{self.texts(sample[None])[0]}\n".encode(), durable=False)

    def judged(self, samples: Tensor) -> Tensor:
        """(N, L) int64: what a file would hold."""
        return samples.detach().argmax(-1).cpu()

    def described(self, sample: Tensor) -> str | None:
        return None

    def size(self, dataset: Mapping[str, Any]) -> str:
        return f"strings of {dataset['length']} letters"

    def read(self, path: Path, dataset: Mapping[str, Any]) -> Tensor:
        raise UserError(f"this model makes strings, and those are not read from {str(path)!r}")

    def array(self, samples: Tensor) -> Tensor:
        return self.judged(samples)
