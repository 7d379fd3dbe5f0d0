"""Are strings words of the language, and do they use its pairs of letters as real words do?"""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any

from annotated_types import Ge

from gan_cli.metrics.evidence import Evidence, Metric
from gan_cli.metrics.gathered import Part, Passing
from tokens.data import ALPHABET, closed


class Words(Part):
    """How often each string occurs."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def add(self, batch: Passing) -> None:
        self.counts.update("".join(ALPHABET[place] for place in row) for row in batch.samples.tolist())

    def grams(self, size: int) -> dict[str, float]:
        """The share of each run of `size` letters."""
        found: Counter[str] = Counter()
        for word, count in self.counts.items():
            for start in range(len(word) - size + 1):
                found[word[start : start + size]] += count
        return {gram: count / found.total() for gram, count in found.items()}


class Language(Metric):
    """Share of closed words, and half the summed difference of the shares of runs of letters, from 0 to 1.

    Args:
        size: letters of a run.
    """

    real = fake = (Words,)

    def __init__(self, size: Annotated[int, Ge(1)] = 2) -> None:
        self.size = size

    def of(self, evidence: Evidence) -> dict[str, float]:
        made, real = evidence.of_fake(Words), evidence.of_real(Words)
        good = sum(count for word, count in made.counts.items() if closed(word))
        one, other = made.grams(self.size), real.grams(self.size)
        apart = sum(abs(one.get(gram, 0) - other.get(gram, 0)) for gram in {*one, *other}) / 2
        return {"closed": good / made.counts.total(), "gram_distance": apart}

    def protocol(self, evidence: Evidence) -> dict[str, Any]:
        return {"size": self.size}
