"""Words of two kinds of brackets that are closed in order."""

from __future__ import annotations

import itertools
from typing import Annotated

import torch
from annotated_types import Interval
from torch import Tensor
from torch.nn.functional import one_hot

from gan_cli.base.types import Noise
from gan_cli.data.order import Order

ALPHABET = "()[]"
CLOSES = {")": "(", "]": "["}


def closed(word: str) -> bool:
    """Whether each bracket is closed by its own kind, in order."""
    open_ones: list[str] = []
    for letter in word:
        if letter not in CLOSES:
            open_ones.append(letter)
        elif not open_ones or open_ones.pop() != CLOSES[letter]:
            return False
    return not open_ones


class Brackets:
    """All closed words of one length; field `tokens`, (N, L, 4) of 0 and 1.

    Args:
        length: letters of a word, an even number.
        split: "train", "test" (each fifth word) or "all".
    """

    def __init__(self, length: Annotated[int, Interval(ge=2, le=8)] = 6, split: str = "train") -> None:
        every = [word for word in map("".join, itertools.product(ALPHABET, repeat=length)) if closed(word)]
        kept = {"train": lambda n: n % 5 > 0, "test": lambda n: n % 5 == 0, "all": lambda n: True}[split]
        words = [word for number, word in enumerate(every) if kept(number)]
        letters = torch.tensor([[ALPHABET.index(letter) for letter in word] for word in words])
        self.tokens = one_hot(letters, len(ALPHABET)).float()
        self.class_names: list[str] = []
        self.fingerprint = f"brackets-{length}-{split}"
        self.note = ""

    def __len__(self) -> int:
        return len(self.tokens)

    def to(self, device: torch.device) -> None:
        self.tokens = self.tokens.to(device)

    def order(self, seed: int) -> Order:
        return Order(len(self), seed)

    def fetch(self, indices: Tensor, device: torch.device, noise: Noise | None = None) -> dict[str, Tensor]:
        return {"tokens": self.tokens[indices.to(self.tokens.device)].to(device)}

    def prefetch(self, indices: Tensor) -> None:
        pass
