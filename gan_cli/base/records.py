"""What the files of a run hold, as types: run.json, a checkpoint, the JSON beside it. Imports no torch.

Whether a file that was found holds that is for `stored` to say.
"""

from __future__ import annotations

from typing import Any, TypedDict

from gan_cli.base.run_config import Choices, Composed

StateDict = dict[str, Any]  # what a part of torch gives of itself: tensors, and for an optimizer plain values too


class Record(TypedDict, total=False):
    """What run.json says; that of a stranger or of an earlier version may lack any of it."""

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
    """How far a run is: `types.State` as plain values."""

    seed: int
    images: int
    step: int
    updates: dict[str, int]


class DataFacts(TypedDict):
    """By what a run knows its data again."""

    fingerprint: str
    count: int
    class_names: list[str]


class MeterSums(TypedDict):
    """What a `Meter` has summed up of some scalars since the last log point; `sums` is a tensor."""

    names: list[str]
    sums: Any
    count: int


class OfEveryRun(TypedDict):
    """What each checkpoint holds: tensors and plain values."""

    config: Composed
    progress: Progress
    game: StateDict
    ema: dict[str, StateDict]
    optimizers: dict[str, StateDict]
    scaler: StateDict
    meter: list[MeterSums]
    data: DataFacts


class Content(OfEveryRun, total=False):
    """What a checkpoint holds; `base` is the digest of the file that the run builds on."""

    base: str


class BestScore(TypedDict):
    """By what a best checkpoint was chosen."""

    name: str
    value: float
    protocol_digest: str


class SideFile(TypedDict, total=False):
    """What the JSON beside a checkpoint says, readable without torch.

    Attributes:
        before: the words on the file that is being replaced; gone once the new one is in place.
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
