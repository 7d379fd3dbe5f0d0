"""Types of the contents of a run's files: run.json, a checkpoint, a checkpoint's side file. Imports no torch.

`stored` checks whether a file has such a content.
"""

from __future__ import annotations

from typing import Any, TypedDict

from gan_cli.base.run_config import Choices, Composed

StateDict = dict[str, Any]  # of a torch module or optimizer: tensors and plain values


class Record(TypedDict, total=False):
    """The content of run.json; a file of a stranger or of an earlier version may lack any key."""

    status: str
    images: int
    total_images: int
    seconds: float
    seed: int
    processes: int
    threads: int
    parts: Choices
    parameters: dict[str, int]
    scores: dict[str, float]
    digest_of_config: str
    started: str
    name: str | None
    notes: str | None
    error: str | None


class Progress(TypedDict):
    """The progress of a run: `types.State` as plain values."""

    seed: int
    images: int
    step: int
    updates: dict[str, int]


class DataFacts(TypedDict):
    """Facts by which a resumed run recognises its data set."""

    fingerprint: str
    count: int
    class_names: list[str]


class MeterSums(TypedDict):
    """The sums of a `Meter` over its scalars since the last log point; `sums` is a tensor."""

    names: list[str]
    sums: Any
    count: int


class OfEveryRun(TypedDict):
    """The keys that every checkpoint has: tensors and plain values."""

    config: Composed
    progress: Progress
    game: StateDict
    ema: dict[str, StateDict]
    optimizers: dict[str, StateDict]
    scaler: StateDict
    meter: list[MeterSums]
    data: DataFacts


class Content(OfEveryRun, total=False):
    """The content of a checkpoint; `base` is the digest of the file that the run builds on."""

    base: str


class BestScore(TypedDict):
    """The score by which a best checkpoint was chosen."""

    name: str
    value: float
    protocol_digest: str


class SideFile(TypedDict, total=False):
    """The content of a checkpoint's side file, readable without torch.

    Attributes:
        before: the side file's content for the file that is being replaced; absent once the new file is in place.
    """

    format: int
    digest: str
    model: str | None
    networks: dict[str, Any]
    parameters: dict[str, int]
    versions: dict[str, str]
    digest_of_config: str
    progress: Progress
    score: BestScore
    before: SideFile
