"""The real side of scores: pictures of a run's data set, and their statistics in features, kept on disk."""

from __future__ import annotations

import hashlib
import inspect
import io
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gan_cli.base.errors import UserError
from gan_cli.base.files import write_atomically
from gan_cli.base.progress import Progress
from gan_cli.base.randomness import permutation
from gan_cli.base.run_config import DataConfig
from gan_cli.data.order import Data
from gan_cli.game.build import build_data, build_medium, locate
from gan_cli.metrics.features import Labelled
from gan_cli.metrics.gathered import Looked, Part, Passing

FORMAT = 1  # of the kept statistics


class Reference:
    """Real samples of one data set.

    Args:
        config: the data set.
        batch_size: samples at a time.
        device: where they go.
        trust: packages whose classes the config may use.
    """

    def __init__(self, config: DataConfig, batch_size: int, device: torch.device, trust: Sequence[str]) -> None:
        self.config, self.batch_size, self.device, self.trust = config, batch_size, device, trust
        self.name, self.medium = config.name, build_medium(config, trust)
        self._data: dict[str, Data] = {}

    @property
    def has_splits(self) -> bool:
        """Return whether part of the data set is held out from training."""
        target = locate(self.config.node["_target_"], self.trust)
        return "split" in inspect.signature(target).parameters

    def data(self, split: str) -> Data:
        """Return a split of the data set without jitter, or the whole set if it has no splits.

        Raises:
            UserError: the data set is not there any more.
        """
        if split not in self._data:
            config = self.config.without_download()
            self._data[split] = build_data(config.of_split(split) if self.has_splits else config, self.trust)
        return self._data[split]

    def rows(self, split: str, count: int) -> Tensor:
        """Return the indices of the pictures that are compared, in order: `count` by a fixed draw, or all of fewer."""
        size = len(self.data(split))
        return torch.arange(size) if count >= size else permutation(size, "reference")[:count].sort().values

    def batches(self, split: str, count: int, what: str = "reading real pictures") -> Iterator[dict[str, Tensor]]:
        """Yield the fields of the compared pictures in batches; `what` is the title of the progress bar."""
        data, chosen = self.data(split), self.rows(split, count)
        with Progress(what, len(chosen), "pictures") as step:
            for rows in chosen.split(self.batch_size):
                yield data.fetch(rows, self.device)
                step(len(rows))

    def plain_samples(self, fields: dict[str, Tensor]) -> Tensor:
        """Return the field that a model of plain samples makes."""
        return fields[self.medium.field]

    def passing(self, split: str, count: int, look: Callable[[Tensor], Looked], what: str) -> Iterator[Passing]:
        """Yield the compared pictures in batches from which parts can be gathered."""
        for fields in self.batches(split, count, what):
            yield Passing(self.medium.judged(self.plain_samples(fields)), look, fields.get("label"))

    def samples(self, split: str, count: int) -> Tensor:
        """Return all compared pictures, as scores look at them (`Medium.judged`)."""
        return torch.cat([self.medium.judged(self.plain_samples(fields)) for fields in self.batches(split, count)])

    def labels(self, split: str, count: int) -> Tensor:
        return torch.cat([fields["label"].cpu() for fields in self.batches(split, count)])

    def labelled(self, split: str) -> Labelled | None:
        """Return all pictures of a split with their labels; None for data without labels."""
        data = self.data(split)
        if not data.class_names:
            return None
        return Labelled(self.samples(split, len(data)), self.labels(split, len(data)), len(data.class_names))

    def protocol_entries(self, samples: Sequence[Tensor]) -> dict[str, Any]:
        """Return entries of a protocol: the sizes of real samples, and the white level of 16-bit files if it is set."""
        white = self.config.node.get("white_level")
        sizes = [size for size in dict.fromkeys(map(self.medium.described, samples)) if size is not None]
        entries = {"pixels": ", ".join(sizes)} if sizes else {}
        return entries if white is None else {**entries, "white_level": white}

    def digest(self, split: str, count: int) -> str:
        """Compute a digest of all compared pictures, so that a changed data set never meets kept statistics."""
        state = hashlib.sha256()
        for fields in self.batches(split, count):
            state.update(self.medium.judged(self.plain_samples(fields)).contiguous().numpy().tobytes())
        return state.hexdigest()[:16]


def kept_file(cache: Path | None, part: Part, depends: dict[str, Any]) -> Path | None:
    """Return the file in which a part of real samples is kept; None without a cache.

    Args:
        cache: the folder.
        part: one that is `kept`.
        depends: all that it depends on besides its key: data, counts, resolution, preprocessing, weights.
    """
    if cache is None:
        return None
    key = {"format": FORMAT, **part.key(), **depends}
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    return cache / f"features-{digest[:24]}.pt"


def restored(part: Part, file: Path | None) -> bool:
    """Load a part from its file; return whether that was possible. A torn file is deleted."""
    if file is None or not file.is_file():
        return False
    try:
        part.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    except Exception:  # unpickling a torn file may raise anything: the part is made anew
        file.unlink(missing_ok=True)
        return False
    return True


def keep(part: Part, file: Path | None) -> None:
    """Write a part to its file, for the next evaluation."""
    if file is not None:
        buffer = io.BytesIO()
        torch.save(part.state_dict(), buffer)
        with suppress(OSError):  # a full or read-only disk costs time, not the score
            write_atomically(file, buffer.getvalue())


def need_splits(reference: Reference, name: str) -> None:
    """Check that the data set has held-out pictures.

    Raises:
        UserError: it has none, and the metric needs them.
    """
    if not reference.has_splits:
        raise UserError(f"metric={name} needs held-out pictures, and dataset={reference.name} has no test split")
