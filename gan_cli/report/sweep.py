"""A sweep as tables: one for each score and protocol, with mean and spread over the seeds of each setting."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gan_cli.base.errors import UserError
from gan_cli.base.naming import name_of
from gan_cli.base.run_folder import cells_in, flat, links_in
from gan_cli.base.scoring import NOT_COMPARED
from gan_cli.report.parameters import differing, label, typed_keys, values_of
from gan_cli.report.runs import Key, Point, Run, best_of, is_run, read_run
from gan_cli.report.text import decimals_for, listed, plural, spoken

AT = ("newest", "best")


@dataclass
class Setting:
    """The cells with equal parameters, which differ only in the seed.

    Attributes:
        values: the values as text, one for each parameter of the sweep.
    """

    values: tuple[str, ...]
    cells: list[Run]

    def final_losses(self) -> dict[str, float]:
        """Compute the mean of each loss over the last log points of the cells."""
        by_name: dict[str, list[float]] = {}
        for run in self.cells:
            for name, value in run.final_losses().items():
                by_name.setdefault(name, []).append(value)
        return {name: statistics.fmean(values) for name, values in by_name.items()}


@dataclass
class Row:
    """One setting in one table.

    Attributes:
        points: each scored cell with the point that counts.
        spread: the sample standard deviation over cells, or None for a single one.
        best: the best of all points of its cells, or None where neither end is better.
    """

    setting: Setting
    points: list[tuple[Run, Point]]
    best: Point | None

    @property
    def mean(self) -> float:
        return statistics.fmean(point.value for _, point in self.points)

    @property
    def spread(self) -> float | None:
        return statistics.stdev(point.value for _, point in self.points) if len(self.points) > 1 else None

    def counted(self) -> str:
        """Count the cells in the mean: `3`, `2 of 3`, or `3, 1 diverged` where a run that did not finish counts."""
        scored, all_cells = len(self.points), len(self.setting.cells)
        ends = Counter(run.status for run, _ in self.points if run.status != "finished")
        text = str(scored) if scored == all_cells else f"{scored} of {all_cells}"
        return text + "".join(f", {count} {status}" for status, count in sorted(ends.items()))

    def images(self) -> list[int]:
        """List the numbers of images at which the points that count were taken, the lowest first."""
        return sorted({point.images for _, point in self.points if point.images is not None})


@dataclass
class Table:
    """One score under one protocol, with the best row first.

    Attributes:
        protocol: values by dotted keys; where the seed or versions differ among its points, all values.
        distinction: how its protocol differs from those of the other tables of the score, as `real.split test`; empty
            where the score has one table.
    """

    name: str
    digest: str
    better: str | None
    protocol: dict[str, str]
    rows: list[Row]
    distinction: str = ""

    @property
    def key(self) -> Key:
        return self.name, self.digest

    def values(self) -> list[float]:
        return [point.value for row in self.rows for _, point in row.points]

    def decimals(self) -> int:
        return decimals_for([row.mean for row in self.rows])

    @property
    def title(self) -> str:
        return f"{self.name}, {self.distinction}" if self.distinction else self.name

    def direction(self) -> str:
        return f"{self.better} is better" if self.better else "neither end is better"


@dataclass
class Sweep:
    """The cells of a sweep, grouped for the report.

    Attributes:
        parameters: names in which the cells differ, without the seed: `loss`, `optimizer.learning_rate`.
        settings: those of the leading table first, in its order.
        strays: cells without a readable config, so that their setting is unknown.
        tables: the leading one first; empty where no cell has a score.
        notes: sentences about what the tables don't show.
    """

    folder: Path
    at: str
    parameters: list[str]
    cells: list[Run]
    settings: list[Setting]
    strays: list[Run]
    tables: list[Table] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def title(self) -> str:
        return self.folder.resolve().name

    def ordered(self) -> list[tuple[Setting | None, Run]]:
        """List every cell with its setting: those of the leading table first, strays last."""
        return [
            *((setting, run) for setting in self.settings for run in setting.cells),
            *((None, r) for r in self.strays),
        ]

    def losses(self) -> list[str]:
        """List the names of all losses in the last log points, such as `loss/generator`."""
        return sorted({name for run in self.cells for name in run.final_losses()})

    def describe(self, setting: Setting) -> str:
        """Format the parameters of a setting, as `loss=hinge, model=dcgan`."""
        pairs = zip(self.parameters, setting.values, strict=True)
        return ", ".join(f"{name}={value}" for name, value in pairs) or "all cells"


def read_sweep(folder: Path, by: str | None = None, at: str = "newest") -> Sweep:
    """Read the cells of a sweep's folder and make its tables.

    Args:
        by: the score of the leading table; by default the first one with a better end, in the order of the files.
        at: the point of a cell that counts: its "newest" or its "best".

    Raises:
        UserError: the folder is no sweep, or `by` or `at` is unknown.
    """
    if at not in AT:
        raise UserError(f"at={at!r} is unknown; use {' or '.join(AT)}")
    cells = read_cells(folder)
    readable = [run for run in cells if run.config]
    values = [values_of(run.config, run.choices) for run in readable]
    groups = {name for run in readable for name in run.choices}
    parameters = differing(values, groups, set().union(*(typed_keys(run.folder) for run in readable)))
    settings: dict[tuple[str, ...], Setting] = {}
    for run, cell_values in zip(readable, values, strict=True):
        labels = tuple(label(cell_values, parameter) for parameter in parameters)
        settings.setdefault(labels, Setting(labels, [])).cells.append(run)
    for setting in settings.values():
        setting.cells.sort(key=lambda run: (run.number("seed") or 0, run.name))
    sweep = Sweep(folder, at, parameters, cells, list(settings.values()), [run for run in cells if not run.config])
    rank_tables(sweep, by)
    sweep.notes = notes(sweep)
    return sweep


def read_cells(folder: Path) -> list[Run]:
    """Read the runs below a folder, sorted by name, without following links.

    Raises:
        UserError: the folder does not exist, is a run itself, or has no runs below it.
    """
    if not folder.is_dir():
        usual = (Path("outputs") / "sweeps" / name for name in (folder, name_of(folder.name)))
        hint = next((f"; did you mean sweep={place}?" for place in usual if place.is_dir()), "")
        raise UserError(f"there is no sweep folder {str(folder)!r}{hint}")
    if is_run(folder):
        parent = folder.resolve().parent
        raise UserError(f"{str(folder)!r} is a single run: say runs={folder}, or sweep={parent} for its whole sweep")
    cells = [read_run(place, place.relative_to(folder).as_posix()) for place in cells_in(folder, is_run)]
    if not cells:
        raise UserError(f"{str(folder)!r} has no cells: none of its subfolders is a run; runs={folder} looks deeper")
    return cells


def rank_tables(sweep: Sweep, by: str | None) -> None:
    """Make the tables, the leading score's first, and sort the settings as in the first table.

    Raises:
        UserError: no cell has the score `by`.
    """
    keys = list(dict.fromkeys(key for run in sweep.cells for key in run.scores))
    names = list(dict.fromkeys(name for name, _ in keys))
    if by is not None and by not in names:
        available = (
            f"this sweep has {listed(names)}" if names else f"nothing is scored yet; {how_to_score(sweep.folder)}"
        )
        raise UserError(f"by={by!r} is no score of a cell; {available}")
    tables = [table for key in keys if (table := table_of(sweep, key)) is not None]
    directed = [table.name for table in tables if table.better]
    first = by or next(iter([*directed, *names]), None)
    rank = {name: number for number, name in enumerate(names)}
    tables.sort(key=lambda table: (table.name != first, rank[table.name], -len(table.values()), table.digest))
    sweep.tables = tables
    if tables:
        place = {row.setting.values: number for number, row in enumerate(tables[0].rows)}
        sweep.settings.sort(key=lambda setting: place.get(setting.values, len(place)))


def table_of(sweep: Sweep, key: Key) -> Table | None:
    """Make the table of one score and protocol. Return None where only cells without a config have it."""
    rows = []
    for setting in sweep.settings:
        scored = [(run, run.scores[key]) for run in setting.cells if key in run.scores]
        if not scored:
            continue
        counted = [(run, best_of(points) if sweep.at == "best" else points[-1]) for run, points in scored]
        best = best_of([point for _, points in scored for point in points])
        rows.append(Row(setting, counted, best if best.better else None))
    if not rows:
        return None
    better = rows[-1].points[-1][1].better
    if better:
        rows.sort(key=lambda row: row.mean if better == "lower" else -row.mean)
    return Table(*key, better, merged_protocol([point.protocol for row in rows for _, point in row.points]), rows)


def merged_protocol(protocols: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Merge the protocols of a table, with all values of a key: `{"seed": "0", "versions.torch": "2.14 or 2.15"}`."""
    texts_of_key: dict[str, dict[str, None]] = {}  # the inner dict is an ordered set
    for protocol in protocols:
        for key, value in flat(protocol).items():
            texts_of_key.setdefault(key, {})[spoken(value)] = None
    return {key: listed(list(texts), "or") for key, texts in texts_of_key.items()}


def notes(sweep: Sweep) -> list[str]:
    """List the sentences that a reader needs besides the numbers."""
    sentences = []
    by_name: dict[str, list[Table]] = {}
    for table in sweep.tables:
        by_name.setdefault(table.name, []).append(table)
    sentences += [distinguish(tables) for tables in by_name.values() if len(tables) > 1]
    if not sweep.tables:
        sentences.append(f"No cell has a score yet: {how_to_score(sweep.folder)} makes some.")
    unscored = sum(1 for run in sweep.cells if sweep.tables and not run.scores)
    if unscored:
        sentences.append(
            f"{plural(unscored, 'cell has', 'cells have')} no score; the list of cells says how each ended."
        )
    if any(run.status != "finished" for run in sweep.cells if run.scores):
        sentences.append("Scores of runs that did not finish count as they are; the column of seeds says where.")
    if sweep.strays:
        text = plural(len(sweep.strays), "cell has", "cells have")
        sentences.append(
            f"{text} no readable config, so nobody knows the setting: {listed([r.name for r in sweep.strays])}."
        )
    sentences += [f"{link.name} is a link to a run, and no cell of this sweep." for link in links_in(sweep.folder)]
    return [*sentences, *(f"{problem}." for run in sweep.cells for problem in run.problems)]


def distinguish(tables: Sequence[Table]) -> str:
    """Set the `distinction` of each table of a score, and return a sentence that says how their protocols differ."""
    keys = sorted({key for table in tables for key in table.protocol if key.split(".")[0] not in NOT_COMPARED})
    different = []
    for key in keys:
        values = [table.protocol.get(key, "not said") for table in tables]
        if len(set(values)) > 1:
            different.append(f"{key} ({' against '.join(dict.fromkeys(values))})")
            for table, value in zip(tables, values, strict=True):
                table.distinction += f"{', ' if table.distinction else ''}{key} {value}"
    for table in tables:
        table.distinction = table.distinction if 0 < len(table.distinction) <= 60 else f"protocol {table.digest}"
    why = f"differ in {listed(different)}" if different else "have different digests"
    return f"The {len(tables)} tables of {tables[0].name} can't be compared with each other: their protocols {why}."


def how_to_score(folder: Path) -> str:
    return f"gan-evaluate sweep={folder} metric=[fid] features=classifier"
