"""The options of `gan-sample`, `gan-evaluate`, `gan-export` and `gan-report`: their types, limits and values.

No sane call meets an upper limit: more would take days or all memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from annotated_types import Interval, MinLen

from gan_cli.base.errors import UserError
from gan_cli.base.files import expanded
from gan_cli.base.limits import Batch, Samples, SixteenBit, Where, Workers
from gan_cli.check.hints import no_key
from gan_cli.check.signatures import Argument, check_values, signature_of

Passes = Annotated[int, Interval(ge=0, le=10_000)]
Columns = Annotated[int, Interval(ge=1, le=10_000)]
Moved = dict[Literal["root"], Annotated[str, MinLen(1)] | int | None]
Seed = Annotated[int, Interval(ge=0, lt=9_223_372_036_854_775_808)]


class Chosen(dict[str, Any]):
    """The config node of a chosen option of a group, as metric=[fid] brings it."""


@dataclass
class Sample:
    checkpoint: Where
    count: Annotated[int, Interval(ge=1, le=1_000_000)] | None
    mode: Chosen
    truncation_psi: Annotated[float, Interval(ge=-2, le=2)]
    input: Where | None
    columns: Columns | None
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
    by: Annotated[str, MinLen(1)] | None
    at: Literal["newest", "best"]
    output: Where | None


Command = TypeVar("Command", Sample, Evaluate, Export, Report)


def options_of(command: type) -> dict[str, Argument]:
    return signature_of(f"{__name__}.{command.__name__}") or {}


def checked(command: type[Command], typed: Mapping[str, Any], more: Mapping[str, Argument] | None = None) -> Command:
    """Check the names and values of a command's options, and return them as an object of its class.

    Args:
        command: one of the classes here.
        typed: the composed options of the command.
        more: the options that a chosen part adds to those of the command.

    Raises:
        UserError: a value of the wrong type or beyond its limits, an option that is missing or not there.
    """
    known = options_of(command)
    signature = {**(more or {}), **known}
    for key in typed:
        if key not in signature:
            raise UserError(no_key(str(key), list(signature), [], f"gan-{command.__name__.lower()}"))
    for key in known:
        if key not in typed and key != "features":
            raise UserError(f"{key} is needed: give it as {key}=...")
    check_values("", typed, signature)
    values: dict[str, Any] = {key: typed.get(key) for key in known}
    return command(**values)


def path(typed: Where | None) -> Path | None:
    """Convert a typed path to a `Path`, with `~` replaced by the home folder."""
    return None if typed is None else expanded(str(typed))


def free(output: Path | None, overwrite: bool) -> Path | None:
    """Check that an output path is free or may be overwritten, and return it.

    Raises:
        UserError: something exists there already.
    """
    if output is not None and output.exists() and not overwrite:
        raise UserError(f"output {str(output)!r} exists already; choose another or say overwrite=true")
    return output
