"""What the keys of `gan-sample`, `gan-evaluate`, `gan-export` and `gan-report` may be; read from here, never made.

An upper limit is one that no sane call meets, where more would take days or all memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Interval, MinLen

from gan_cli.base.errors import UserError
from gan_cli.base.limits import Batch, Samples, SixteenBit, Where, Workers
from gan_cli.check.hints import no_key
from gan_cli.check.signatures import Argument, check_values, signature_of

Passes = Annotated[int, Interval(ge=0, le=10_000)]
Some = Annotated[int, Interval(ge=1, le=10_000)]
Moved = dict[Literal["root"], Annotated[str, MinLen(1)] | int | None]
Seed = Annotated[int, Interval(ge=0, lt=9_223_372_036_854_775_808)]


class Chosen:
    """An option of a group, as metric=[fid] brings it."""


@dataclass
class Sample:
    checkpoint: Where
    count: Annotated[int, Interval(ge=1, le=1_000_000)] | None
    mode: Chosen
    truncation_psi: Annotated[float, Interval(ge=-2, le=2)]
    input: Where | None
    columns: Some | None
    space: Annotated[str, MinLen(1)] | None
    labels: Annotated[list[int | str], MinLen(1)] | None
    seed: Seed
    output: Where | None
    overwrite: bool
    best: bool
    ema: bool
    standing_statistics: Passes
    batch_size: Batch
    device: str
    threads: Workers | None
    dataset: Moved
    trust: list[str]


@dataclass
class Evaluate:
    checkpoint: Where | None
    sweep: Where | None
    a: Where | None
    b: Where | None
    metric: dict[str, Chosen]
    features: Chosen | None
    count: Samples
    white_level: SixteenBit | None
    split: Literal["train", "valid", "test", "all"] | None
    seed: Seed
    ema: bool
    standing_statistics: Passes
    best: bool
    batch_size: Batch
    output: Where | None
    overwrite: bool
    device: str
    threads: Workers | None
    dataset: Moved
    trust: list[str]


@dataclass
class Export:
    checkpoint: Where
    format: Literal["onnx", "export", "safetensors"]
    output: Where | None
    overwrite: bool
    direction: Literal["a_to_b", "b_to_a"] | None
    best: bool
    ema: bool
    standing_statistics: Passes
    threads: Workers | None
    trust: list[str]


@dataclass
class Report:
    sweep: Where | None
    runs: Where | None
    by: Where | None
    at: Literal["newest", "best"]
    output: Where | None


def options_of(command: type) -> dict[str, Argument]:
    return signature_of(f"{__name__}.{command.__name__}") or {}


def check_options(
    command: type, wanted: dict[str, Any], more: Mapping[str, Argument] | None = None, partly: bool = False
) -> None:
    """Refuse a value that a command can't take; paths become words.

    Args:
        command: one of the classes here.
        wanted: the command's options, as composed.
        more: options that a choice adds to the command's own.
        partly: whether `wanted` holds some of them only.

    Raises:
        UserError: a value of the wrong type or beyond its limits.
    """
    own = options_of(command)
    signature = {**(more or {}), **own}
    program = f"gan-{command.__name__.lower()}"
    for key in wanted:
        if key not in signature:
            raise UserError(no_key(str(key), list(signature), [], program))
    for key in own:
        if key not in wanted and key != "features" and not partly:
            raise UserError(f"{key} is needed: give it as {key}=...")
    check_values("", wanted, signature)
    for key in wanted:
        if "Where" in signature[key].annotation and wanted[key] is not None:
            wanted[key] = str(wanted[key])
