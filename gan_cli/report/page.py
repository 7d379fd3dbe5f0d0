"""A sweep's report as one HTML file that contains its pictures and needs no script and no network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gan_cli.report import written
from gan_cli.report.curves import COLOURS, Line, Panel, Points, colour, panel, strip
from gan_cli.report.grids import as_uri, last_grid
from gan_cli.report.runs import Run, best_of, curve
from gan_cli.report.sweep import Sweep, Table, how_to_score
from gan_cli.report.text import NONE, fixed, hours, number, plural, spoken

HERE = Path(__file__).parent
STATUSES = ("finished", "failed", "diverged", "unreadable", "cut", "interrupted", "running")  # each has a colour
MOST_LARGE_GRIDS = 24  # a page with more cells shows small grids
LARGE, SMALL = 512, 256  # widths of grids, pixels


def as_html(sweep: Sweep) -> str:
    """Render the page. The same folder gives the same bytes."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # late: `--help` needs no template

    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("page.html").render(content(sweep))


def content(sweep: Sweep) -> dict[str, object]:
    """Collect all values that the template shows, as plain data."""
    many = len(sweep.cells) > MOST_LARGE_GRIDS
    with ThreadPoolExecutor() as pool:  # most time goes to reading pictures, which runs outside of the interpreter lock
        cards = pool.map(lambda c: card(c[1], sweep.describe(c[0]) if c[0] else "", many), sweep.ordered())
    return {
        "title": sweep.title,
        "folder": str(sweep.folder),
        "summary": written.summary(sweep),
        "how_to_score": how_to_score(sweep.folder),
        "which_counts": written.counting_rule(sweep),
        "notes": sweep.notes,
        "parameters": written.parameter_header(sweep),
        "tables": [table_content(sweep, table) for table in sweep.tables],
        "losses": {
            "columns": [name.removeprefix("loss/") for name in sweep.losses()],
            "rows": written.losses_rows(sweep),
        },
        "settings": legend(sweep),
        "figures": [(caption, drawn) for caption, drawn in figures(sweep) if drawn],
        "cards": list(cards),
    }


def lead_in_words(sweep: Sweep, table: Table) -> str:
    """Describe by how much the first row leads, and whether that is more than the spread over seeds."""
    if len(table.rows) < 2:
        return "the only setting with this score"
    (first, second), decimals = table.rows[:2], table.decimals()
    gap = abs(second.mean - first.mean)
    text = f"{fixed(gap, decimals)} ahead of {sweep.describe(second.setting)}"
    spreads = [row.spread for row in (first, second) if row.spread is not None]
    if not spreads:
        return f"{text}; with one seed each, nobody knows if that is chance"
    widest, more = fixed(max(spreads), decimals), gap > max(spreads)
    text += f", {'more' if more else 'no more'} than the spread over seeds ({widest})"
    return text if len(spreads) == 2 or not more else f"{text}, but one of the two has one seed alone"


def table_content(sweep: Sweep, table: Table) -> dict[str, object]:
    """Return a table for the template: rows with a strip of their seeds' scores, and the protocol in words."""
    low, high, decimals = min(table.values()), max(table.values()), table.decimals()
    rows = [
        {
            "setting": written.parameter_cells(sweep, row.setting),
            "named": sweep.describe(row.setting),
            "seeds": plural(len(row.points), "seed"),
            "numbers": dict(zip(written.ROW_HEADER, written.row_cells(row, decimals), strict=True)),
            "strip": strip([point.value for _, point in row.points], row.mean, low, high),
        }
        for row in table.rows
    ]
    return {
        "score": table.name,
        "title": table.title,
        "direction": table.direction(),
        "low": fixed(low, decimals),
        "high": fixed(high, decimals),
        "lead": lead_in_words(sweep, table) if table.better else "",
        "rows": rows,
        "protocol": [("protocol", table.digest), *written.protocol_lines(table.protocol).items()],
    }


def figures(sweep: Sweep) -> Iterator[tuple[str, Panel | None]]:
    """Yield a caption and a panel for each score that a cell has more than once, and for each loss."""
    runs = [run for setting in sweep.settings for run in setting.cells]
    for table in sweep.tables:
        curves = [curve(run.scores.get(table.key, [])) for run in runs]
        if any(len(points) > 1 for points in curves):
            yield f"{table.title}, {table.direction()}", panel(lines(sweep, curves), table.name)
    for name in sorted({name for run in sweep.cells for name in run.loss_names()}):
        curves = [run.losses_of(name) for run in runs]
        yield f"{name.removeprefix('loss/')} loss", panel(lines(sweep, curves), name)


def lines(sweep: Sweep, curves: Sequence[Points]) -> list[Line]:
    """Make a line of each cell's curve, in the colour of its setting."""
    cells = [(at, setting, run) for at, setting in enumerate(sweep.settings) for run in setting.cells]
    return [
        Line(points, f"{sweep.describe(setting)}, seed {spoken(run.record.get('seed'))}", colour(at))
        for (at, setting, run), points in zip(cells, curves, strict=True)
    ]


def legend(sweep: Sweep) -> list[tuple[str, str]]:
    """List colours and settings; one entry stands for all settings beyond the colours."""
    items = [(colour(place), sweep.describe(setting)) for place, setting in enumerate(sweep.settings[:COLOURS])]
    others = len(sweep.settings) - len(items)
    return [*items, ("rest", f"the other {plural(others, 'setting')}")] if others else items


def card(run: Run, setting: str, many: bool) -> dict[str, object]:
    """Collect what the page shows of one cell.

    Args:
        setting: the parameters of the cell, as `loss=hinge`; empty where they are unknown.
        many: whether the page has so many cells that its grids are small.
    """
    seed = run.record.get("seed")
    title = ", ".join(filter(None, [setting, f"seed {spoken(seed)}" if seed is not None else ""])) or run.name
    names = run.loss_names()
    repeated = [(name, points) for (name, _), points in run.scores.items() if len(points) > 1]
    return {
        "title": title,
        "status": run.status,
        "look": run.status if run.status in STATUSES else "",
        "facts": facts(run),
        "folder": run.name,
        "error": run.record.get("error"),
        "grid": grid(run, many),
        "scores": scores(run),
        "scored_again": bool(repeated),
        "losses": panel([Line(run.losses_of(n), n, colour(at)) for at, n in enumerate(names)], "loss", height=122),
        "legend": [(colour(at), name) for at, name in enumerate(names[: COLOURS + 1])],
        "curves": [panel([Line(curve(points), name, "c2")], name, height=102) for name, points in repeated],
    }


def grid(run: Run, many: bool) -> dict[str, object]:
    """Return the run's last sample grid for the template, or the reason why there is none."""
    path = last_grid(run.folder)
    if path is None:
        return {"missing": "no grid was drawn"}
    encoded = as_uri(path, SMALL if many else LARGE, few_colours=many)
    if encoded is None:
        return {"missing": f"{path.name} can't be read"}
    source, (width, height) = encoded
    return {"source": source, "width": width, "height": height, "name": path.stem}


def facts(run: Run) -> str:
    """Format key figures: `50,000 of 50,000 images; 0:12 h; generator 337,280, discriminator 134,400 parameters`."""
    if not run.record:
        return "no readable run.json"
    texts = [f"{run.progress()} images"]
    seconds = run.number("seconds")
    if seconds is not None:
        texts.append(f"{hours(seconds)} h" if seconds >= 60 else plural(round(seconds), "second"))
    counts = run.record.get("parameters")
    if isinstance(counts, dict) and counts:
        sizes = (f"{name} {count:,}" for name, count in counts.items() if isinstance(count, int))
        texts.append(", ".join(sizes) + " parameters")
    return "; ".join(texts)


def scores(run: Run) -> list[dict[str, str]]:
    """List each score of a run with its newest value, and with its best where it was taken more than once."""
    rows = []
    names = [name for name, _ in run.scores]
    for (name, digest), points in run.scores.items():
        best = best_of(points)
        words = f"{number(best.value)} at {best.images or 0:,}" if best.better and len(points) > 1 else NONE
        shown = digest if names.count(name) > 1 else ""
        rows.append({"name": name, "digest": shown, "newest": number(points[-1].value), "best": words})
    return rows
