"""A sweep's report as one HTML file that needs nothing else: no script, no network, pictures inside."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from html import escape

from gan_cli.report.cards import card
from gan_cli.report.curves import COLOURS, Line, colour, panel, strip
from gan_cli.report.look import STYLE
from gan_cli.report.runs import Run
from gan_cli.report.sweep import Row, Setting, Sweep, Table, how_to_score
from gan_cli.report.text import NONE, fixed, number, plural, spoken
from gan_cli.report.written import (
    ROW_HEADER,
    parameter_cells,
    parameter_header,
    protocol_lines,
    row_cells,
    summary,
    which_counts,
)

FEW = 24  # cells whose grids are shown large

PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}: report of a sweep</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="gan_cli">
<style>
{style}
</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


def as_html(sweep: Sweep) -> str:
    """The page. The same folder gives the same bytes."""
    title = escape(sweep.title)
    many = len(sweep.cells) > FEW
    with ThreadPoolExecutor() as pool:  # reading pictures is what takes long, and needs no Python
        cells = pool.map(lambda c: card(c[1], sweep.named(c[0]) if c[0] else "", many), sweep.ordered())
    parts = [
        f'<p class="eyebrow">Report of a sweep</p><h1>{title}</h1><p class="soft">{escape(summary(sweep))}</p>',
        headline(sweep),
        notes(sweep),
        f'<p class="soft">{which_counts(sweep)} Spread is the sample standard deviation over seeds.</p>'
        if sweep.tables
        else "",
        *(table_section(sweep, table) for table in sweep.tables),
        losses_section(sweep) if not sweep.tables else "",
        curves_section(sweep),
        "<h2>Cells</h2>",
        '<p class="soft">Each with the last grid of samples that it drew, in the order of the first table.</p>',
        f'<div class="cells">{"".join(cells)}</div>',
        f"<footer>Made by gan-report from the run folders in <code>{escape(str(sweep.folder))}</code>.</footer>",
    ]
    return PAGE.format(title=title, style=STYLE, body="\n".join(filter(None, parts)))


def headline(sweep: Sweep) -> str:
    """What leads, by how much, and whether that is more than the seeds' own spread."""
    if not sweep.tables:
        command = escape(how_to_score(sweep.folder))
        return f'<div class="card headline"><div>Nothing is scored yet. <code>{command}</code> scores it.</div></div>'
    table = sweep.tables[0]
    if table.better is None:
        return ""
    row, decimals = table.rows[0], table.decimals()
    spread = f" <small>± {fixed(row.spread, decimals)}</small>" if row.spread is not None else ""
    seeds = plural(len(row.points), "seed")
    return (
        f'<div class="card headline"><div><div class="value">{fixed(row.mean, decimals)}{spread}</div>'
        f'<div class="soft small">{escape(table.name)}, {table.direction()}; {seeds}</div></div>'
        f'<div><div class="what">{escape(sweep.named(row.setting))}</div>'
        f'<div class="soft">{escape(lead_in_words(sweep, table))}</div></div></div>'
    )


def lead_in_words(sweep: Sweep, table: Table) -> str:
    if len(table.rows) < 2:
        return "the only setting with this score"
    (first, second), decimals = table.rows[:2], table.decimals()
    gap = abs(second.mean - first.mean)
    text = f"{fixed(gap, decimals)} ahead of {sweep.named(second.setting)}"
    spreads = [row.spread for row in (first, second) if row.spread is not None]
    if not spreads:
        return f"{text}; with one seed each, nobody knows if that is chance"
    widest, more = fixed(max(spreads), decimals), gap > max(spreads)
    text += f", {'more' if more else 'no more'} than the spread over seeds ({widest})"
    return text if len(spreads) == 2 or not more else f"{text}, but one of the two has one seed alone"


def notes(sweep: Sweep) -> str:
    found = "".join(f"<li>{escape(note)}</li>" for note in sweep.notes)
    return f'<ul class="notes">{found}</ul>' if found else ""


def table_section(sweep: Sweep, table: Table) -> str:
    """One score under one protocol, with its seeds drawn and the protocol spelled out."""
    low, high, decimals = min(table.values()), max(table.values()), table.decimals()
    header = "".join(f"<th>{escape(name)}</th>" for name in parameter_header(sweep))
    header += "".join(f'<th class="n">{name}</th>' for name in ROW_HEADER)
    ends = "".join(f"<span>{words}</span>" for words in (fixed(low, decimals), "each cell", fixed(high, decimals)))
    rows = "".join(table_row(sweep, table, row, low, high) for row in table.rows)
    return (
        f'<section><h2>{escape(table.title)} <span class="pill">{table.direction()}</span></h2>'
        f'<div class="card scroll"><table><thead><tr>{header}<th><span class="ends">{ends}</span></th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>{protocol(table)}</section>"
    )


def table_row(sweep: Sweep, table: Table, row: Row, low: float, high: float) -> str:
    first = ' class="first"' if table.better and row is table.rows[0] and len(table.rows) > 1 else ""
    cells = "".join(f"<td><code>{escape(cell)}</code></td>" for cell in parameter_cells(sweep, row.setting))
    for name, cell in zip(ROW_HEADER, row_cells(row, table.decimals()), strict=True):
        cells += f'<td class="n{" mean" if name == "mean" else ""}">{escape(cell)}</td>'
    dots = strip([point.value for _, point in row.points], row.mean, low, high)
    return f"<tr{first}>{cells}<td>{dots}</td></tr>"


def protocol(table: Table) -> str:
    pairs = {"protocol": table.digest, **protocol_lines(table.protocol)}
    items = (f"<div><dt>{escape(key)}</dt><dd>{escape(value)}</dd></div>" for key, value in pairs.items())
    return f'<dl class="protocol">{"".join(items)}</dl>'


def losses_section(sweep: Sweep) -> str:
    """What there is without scores: the means of the last log points."""
    names = sweep.losses()
    header = "".join(f"<th>{escape(name)}</th>" for name in [*parameter_header(sweep), "cells"])
    header += "".join(f'<th class="n">{escape(name.removeprefix("loss/"))}</th>' for name in names)
    rows = ""
    for setting in sweep.settings:
        losses = setting.final_losses()
        cells = "".join(f"<td><code>{escape(cell)}</code></td>" for cell in parameter_cells(sweep, setting))
        cells += f"<td>{escape(setting.statuses())}</td>"
        cells += "".join(f'<td class="n">{number(losses[n]) if n in losses else NONE}</td>' for n in names)
        rows += f"<tr>{cells}</tr>"
    return (
        '<section><h2>Final losses</h2><div class="card scroll"><table>'
        f"<thead><tr>{header}</tr></thead><tbody>{rows}</tbody></table></div>"
        '<p class="soft small">Means of the last log point; losses rank nothing.</p></section>'
    )


def curves_section(sweep: Sweep) -> str:
    """A panel for each score and each loss, a line for each cell in its setting's colour."""
    figures = []
    for table in sweep.tables:
        lines = [
            Line(
                [(p.images or 0, p.value) for p in run.scores[table.key]], line_name(sweep, setting, run), colour(place)
            )
            for place, setting in enumerate(sweep.settings)
            for run in setting.cells
            if table.key in run.scores
        ]
        if any(len(line.points) > 1 for line in lines):
            figures.append((f"{table.title}, {table.direction()}", panel(lines, table.name)))
    for name in sorted({name for run in sweep.cells for entry in run.losses for name in entry} - {"images"}):
        lines = [
            Line(
                [(e["images"], e[name]) for e in run.losses if name in e], line_name(sweep, setting, run), colour(place)
            )
            for place, setting in enumerate(sweep.settings)
            for run in setting.cells
        ]
        figures.append((f"{name.removeprefix('loss/')} loss", panel(lines, name)))
    drawn = "".join(
        f'<figure class="card"><figcaption>{escape(caption)}</figcaption>{svg}</figure>'
        for caption, svg in figures
        if svg
    )
    if not drawn:
        return ""
    return f'<section><h2>Curves</h2>{legend(sweep)}<div class="panels">{drawn}</div></section>'


def line_name(sweep: Sweep, setting: Setting, run: Run) -> str:
    return f"{sweep.named(setting)}, seed {spoken(run.record.get('seed'))}"


def legend(sweep: Sweep) -> str:
    """The settings by colour; those beyond the colours in one line."""
    shown = sweep.settings[:COLOURS]
    items = [f'<li class="{colour(place)}">{escape(sweep.named(setting))}</li>' for place, setting in enumerate(shown)]
    others = len(sweep.settings) - len(shown)
    if others:
        items.append(f'<li class="rest">the other {plural(others, "setting")}</li>')
    return f'<ul class="legend">{"".join(items)}</ul><p class="soft small">One line for each cell.</p>'
