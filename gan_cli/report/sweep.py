"""A sweep as tables: cells by their parameters, mean and spread over seeds, one table for what may be compared."""

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
    """The cells of equal parameters: seeds of one another.

    Attributes:
        values: as shown, one for each parameter of the sweep.
    """

    values: tuple[str, ...]
    cells: list[Run]

    def final_losses(self) -> dict[str, float]:
        """Of the last log points of its cells, the mean of each loss."""
        found: dict[str, list[float]] = {}
        for run in self.cells:
            for name, value in run.final_losses().items():
                found.setdefault(name, []).append(value)
        return {name: statistics.fmean(values) for name, values in found.items()}


@dataclass
class Row:
    """One setting in one table.

    Attributes:
        points: of each scored cell the point that counts.
        spread: the sample standard deviation over cells, or None for a single one.
        best: of all points of its cells, or None where a score has no better end.
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
        """How many cells the mean is of: `3`, `2 of 3`, `3, 1 diverged` where a run that did not finish counts."""
        scored, all_cells = len(self.points), len(self.setting.cells)
        ends = Counter(run.status for run, _ in self.points if run.status != "finished")
        text = str(scored) if scored == all_cells else f"{scored} of {all_cells}"
        return text + "".join(f", {count} {status}" for status, count in sorted(ends.items()))

    def images(self) -> list[int]:
        """At how many images the points that count were taken, the least first."""
        return sorted({point.images for _, point in self.points if point.images is not None})


@dataclass
class Table:
    """One score under one protocol: best rows first.

    Attributes:
        protocol: dotted keys; where the seed or versions differ among its points, all of their values.
        told_apart: what its protocol has otherwise than those of the same score's other tables, as
            `real.split test`; empty where the score has one table.
    """

    name: str
    digest: str
    better: str | None
    protocol: dict[str, str]
    rows: list[Row]
    told_apart: str = ""

    @property
    def key(self) -> Key:
        return self.name, self.digest

    def values(self) -> list[float]:
        return [point.value for row in self.rows for _, point in row.points]

    def decimals(self) -> int:
        return decimals_for([row.mean for row in self.rows])

    @property
    def title(self) -> str:
        return f"{self.name}, {self.told_apart}" if self.told_apart else self.name

    def direction(self) -> str:
        return f"{self.better} is better" if self.better else "neither end is better"


@dataclass
class Sweep:
    """A sweep as it is reported.

    Attributes:
        parameters: in which the cells differ, the seed aside; `loss`, `optimizer.learning_rate`.
        settings: those of the leading table first, in its order.
        strays: cells of which no config could be read, so nobody knows their setting.
        tables: the leading one first; empty where nothing was scored.
        notes: sentences on what the tables don't show.
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
        """Every cell with its setting: those of the leading table first, strays last."""
        return [
            *((setting, run) for setting in self.settings for run in setting.cells),
            *((None, r) for r in self.strays),
        ]

    def losses(self) -> list[str]:
        """The names of all losses, as `loss/generator`."""
        return sorted({name for run in self.cells for name in run.final_losses()})

    def named(self, setting: Setting) -> str:
        """`loss=hinge, model=dcgan`."""
        pairs = zip(self.parameters, setting.values, strict=True)
        return ", ".join(f"{name}={value}" for name, value in pairs) or "all cells"


def read_sweep(folder: Path, by: str | None = None, at: str = "newest") -> Sweep:
    """Read the cells of a sweep's folder and make its tables.

    Args:
        by: the score that leads; by default the first that was written and has a better end.
        at: the point of a cell that counts: its "newest", or its "best".

    Raises:
        UserError: no sweep's folder, or an unknown `by` or `at`.
    """
    if at not in AT:
        raise UserError(f"at={at!r} is unknown; use {' or '.join(AT)}")
    cells = read_cells(folder)
    known = [run for run in cells if run.config]
    values = [values_of(run.config, run.choices) for run in known]
    groups = {name for run in known for name in run.choices}
    parameters = differing(values, groups, set().union(*(typed_keys(run.folder) for run in known)))
    by_values: dict[tuple[str, ...], Setting] = {}
    for run, found in zip(known, values, strict=True):
        name = tuple(label(found, parameter) for parameter in parameters)
        by_values.setdefault(name, Setting(name, [])).cells.append(run)
    for setting in by_values.values():
        setting.cells.sort(key=lambda run: (run.number("seed") or 0, run.name))
    sweep = Sweep(folder, at, parameters, cells, list(by_values.values()), [run for run in cells if not run.config])
    lead(sweep, by)
    sweep.notes = notes(sweep)
    return sweep


def read_cells(folder: Path) -> list[Run]:
    """The runs below a folder, by name; links are not followed.

    Raises:
        UserError: there are none.
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


def lead(sweep: Sweep, by: str | None) -> None:
    """Make the tables with the leading score's first, and bring the settings into its order.

    Raises:
        UserError: no cell has the score `by`.
    """
    keys = list(dict.fromkeys(key for run in sweep.cells for key in run.scores))
    names = list(dict.fromkeys(name for name, _ in keys))
    if by is not None and by not in names:
        there = f"this sweep has {listed(names)}" if names else f"nothing is scored yet; {how_to_score(sweep.folder)}"
        raise UserError(f"by={by!r} is no score of a cell; {there}")
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
    """The table of one score and protocol; None where only cells without a config have it."""
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
    return Table(*key, better, together([point.protocol for row in rows for _, point in row.points]), rows)


def together(protocols: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Protocols of one table as one: `{"fake.count": "10000", "versions.torch": "2.14 or 2.15"}`."""
    found: dict[str, dict[str, None]] = {}  # a dict for its order
    for protocol in protocols:
        for key, value in flat(protocol).items():
            found.setdefault(key, {})[spoken(value)] = None
    return {key: listed(list(values), "or") for key, values in found.items()}


def notes(sweep: Sweep) -> list[str]:
    """What a reader must know besides the numbers."""
    found = []
    by_name: dict[str, list[Table]] = {}
    for table in sweep.tables:
        by_name.setdefault(table.name, []).append(table)
    found += [tell_apart(tables) for tables in by_name.values() if len(tables) > 1]
    if not sweep.tables:
        found.append(f"No cell has a score yet: {how_to_score(sweep.folder)} makes some.")
    left = sum(1 for run in sweep.cells if sweep.tables and not run.scores)
    if left:
        found.append(f"{plural(left, 'cell has', 'cells have')} no score; the list of cells says how each ended.")
    if any(run.status != "finished" for run in sweep.cells if run.scores):
        found.append("Scores of runs that did not finish count as they are; the column of seeds says where.")
    if sweep.strays:
        text = plural(len(sweep.strays), "cell has", "cells have")
        found.append(
            f"{text} no readable config, so nobody knows the setting: {listed([r.name for r in sweep.strays])}."
        )
    found += [f"{link.name} is a link to a run, and no cell of this sweep." for link in links_in(sweep.folder)]
    return [*found, *(f"{problem}." for run in sweep.cells for problem in run.problems)]


def tell_apart(tables: Sequence[Table]) -> str:
    """Name tables of one score by what differs in their protocols; returns the sentence that says it."""
    keys = sorted({key for table in tables for key in table.protocol if key.split(".")[0] not in NOT_COMPARED})
    different = []
    for key in keys:
        values = [table.protocol.get(key, "not said") for table in tables]
        if len(set(values)) > 1:
            different.append(f"{key} ({' against '.join(dict.fromkeys(values))})")
            for table, value in zip(tables, values, strict=True):
                table.told_apart += f"{', ' if table.told_apart else ''}{key} {value}"
    for table in tables:
        table.told_apart = table.told_apart if 0 < len(table.told_apart) <= 60 else f"protocol {table.digest}"
    why = f"differ in {listed(different)}" if different else "have different digests"
    return f"The {len(tables)} tables of {tables[0].name} can't be compared with each other: their protocols {why}."


def how_to_score(folder: Path) -> str:
    return f"gan-evaluate sweep={folder} metric=[fid] features=classifier"
