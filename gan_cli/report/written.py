"""A sweep's report as Markdown and as CSV."""

from __future__ import annotations

from typing import Any

from gan_cli.report.runs import statuses
from gan_cli.report.sweep import Row, Setting, Sweep, Table
from gan_cli.report.text import NONE, comma_separated, fixed, hours, listed, markdown, number, plural, spoken


def summary(sweep: Sweep) -> str:
    """Summarize a sweep in one sentence: `4 cells, 2 settings of loss: 3 finished, 1 diverged.`"""
    of = f" of {listed(sweep.parameters)}" if sweep.parameters else ""
    return f"{plural(len(sweep.cells), 'cell')}, {plural(len(sweep.settings), 'setting')}{of}: {statuses(sweep.cells)}."


def counting_rule(sweep: Sweep) -> str:
    """Return a sentence that says which score of each cell is in the means."""
    if sweep.at == "best":
        return "Of each cell its best score counts (at=best), or its newest where a score has no better end."
    return "Of each cell the score at its newest images counts (at=newest)."


def parameter_header(sweep: Sweep) -> list[str]:
    return sweep.parameters or ["setting"]


def parameter_cells(sweep: Sweep, setting: Setting) -> list[str]:
    return list(setting.values) if sweep.parameters else ["all cells"]


def row_cells(row: Row, decimals: int) -> list[str]:
    """Format the columns of `ROW_HEADER`, which come after the parameters."""
    spread = "none (n=1)" if row.spread is None else fixed(row.spread, decimals)
    best = [NONE, NONE] if row.best is None else [fixed(row.best.value, decimals), at_images(row.best.images)]
    return [row.counted(), fixed(row.mean, decimals), spread, *best, row_images(row)]


ROW_HEADER = ("seeds", "mean", "spread", "best", "best at", "scored at")


def at_images(images: int | None) -> str:
    return NONE if images is None else f"{images:,}"


def row_images(row: Row) -> str:
    """Format the images at which the counted scores were taken: a number, or the lowest and the highest."""
    images = row.images()
    return NONE if not images else " to ".join(f"{value:,}" for value in dict.fromkeys((images[0], images[-1])))


def as_markdown(sweep: Sweep) -> str:
    """Format the whole report as Markdown, for a terminal and for a file."""
    blocks = [f"# Report of the sweep {sweep.title}", summary(sweep)]
    if sweep.tables:
        blocks.append(
            f"{counting_rule(sweep)} Spread is the sample standard deviation over seeds; one seed alone has none."
        )
    blocks += [block for table in sweep.tables for block in table_blocks(sweep, table)]
    if not sweep.tables:
        blocks += ["## Final losses", losses_table(sweep), "Means of the last log point; losses rank nothing."]
    if sweep.notes:
        blocks.append("\n".join(f"- {note}" for note in sweep.notes))
    blocks += ["## Cells", cells_table(sweep)]
    return "\n\n".join(blocks) + "\n"


def table_blocks(sweep: Sweep, table: Table) -> list[str]:
    header = [*parameter_header(sweep), *ROW_HEADER]
    decimals = table.decimals()
    rows = [[*parameter_cells(sweep, row.setting), *row_cells(row, decimals)] for row in table.rows]
    numbers = range(len(header) - len(ROW_HEADER), len(header))
    return [
        f"## {table.title} ({table.direction()})",
        markdown(header, rows, list(numbers)),
        "\n".join(
            [f"Protocol {table.digest}", "", *(f"- {part}: {t}" for part, t in protocol_lines(table.protocol).items())]
        ),
    ]


def protocol_lines(protocol: dict[str, str]) -> dict[str, str]:
    """Group the keys of a protocol by their first part: `{"features": "name classifier, resize none", "seed": "0"}`."""
    lines: dict[str, list[str]] = {}
    for key, value in protocol.items():
        part, _, rest = key.partition(".")
        lines.setdefault(part, []).append(f"{rest} {value}".strip())
    return {part: ", ".join(words) for part, words in lines.items()}


def losses_rows(sweep: Sweep) -> list[tuple[list[str], str, list[str]]]:
    """Return the parameters of each setting, the statuses of its cells, and the mean of each loss."""
    rows = []
    for setting in sweep.settings:
        losses = setting.final_losses()
        means = [number(losses[name]) if name in losses else NONE for name in sweep.losses()]
        rows.append((parameter_cells(sweep, setting), statuses(setting.cells), means))
    return rows


def losses_table(sweep: Sweep) -> str:
    names = [name.removeprefix("loss/") for name in sweep.losses()]
    header = [*parameter_header(sweep), "cells", *names]
    rows = [[*values, cells, *numbers] for values, cells, numbers in losses_rows(sweep)]
    return markdown(header, rows, list(range(len(header) - len(names), len(header))))


def cells_table(sweep: Sweep) -> str:
    """Format a table of all cells with their statuses. The folder comes last because it is long."""
    rows = []
    for setting, run in sweep.ordered():
        scores = sum(len(points) for points in run.scores.values())
        rows.append(
            [
                *(parameter_cells(sweep, setting) if setting else [NONE] * len(parameter_header(sweep))),
                *(spoken(run.record["seed"]) if "seed" in run.record else NONE, run.status),
                *(run.progress() if run.record else NONE, hours(run.number("seconds")), str(scores), run.name),
            ]
        )
    header = [*parameter_header(sweep), "seed", "status", "images", "h:mm", "scores", "folder"]
    first = len(parameter_header(sweep))
    return markdown(header, rows, [first, first + 2, first + 3, first + 4])


def as_csv(sweep: Sweep) -> str:
    """Format a sweep as CSV: each row of each table with all digits, each setting without a score, each stray."""
    rows = []
    for table in sweep.tables:
        rows += [line_of(sweep, row.setting, table, row) for row in table.rows]
    in_tables = {row.setting.values for table in sweep.tables for row in table.rows}
    rows += [line_of(sweep, setting) for setting in sweep.settings if setting.values not in in_tables]
    rows += [{"cells": 1, "status": f"1 {run.status}", "folder": run.name} for run in sweep.strays]
    return comma_separated(rows)


def line_of(sweep: Sweep, setting: Setting, table: Table | None = None, row: Row | None = None) -> dict[str, Any]:
    line: dict[str, Any] = {"score": None, "protocol": None, "better": None, "at": sweep.at}
    line |= dict(zip(sweep.parameters, setting.values, strict=True))
    line |= {"cells": len(setting.cells), "status": statuses(setting.cells), "scored": 0}
    line |= dict.fromkeys(("mean", "spread", "best", "best_images", "least_images", "most_images"))
    if table is not None and row is not None:
        images = row.images()
        line |= {"score": table.name, "protocol": table.digest, "better": table.better, "scored": len(row.points)}
        line |= {"mean": row.mean, "spread": row.spread}
        line |= {"best": row.best and row.best.value, "best_images": row.best and row.best.images}
        line |= {"least_images": images[0] if images else None, "most_images": images[-1] if images else None}
    line |= {f"final_{name.replace('/', '_')}": value for name, value in sorted(setting.final_losses().items())}
    return line
