"""A sweep's report as one HTML file that needs nothing else: no script, no network, pictures inside."""

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
STATUSES = ("finished", "failed", "diverged", "unreadable", "cut", "interrupted", "running")  # those with a colour
FEW = 24  # cells whose grids are shown large
LARGE, SMALL = 512, 256  # widths of grids, pixels


def as_html(sweep: Sweep) -> str:
    """The page. The same folder gives the same bytes."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # here: `--help` needs no template

    house = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return house.get_template("page.html").render(content(sweep))


def content(sweep: Sweep) -> dict[str, object]:
    """All that the template shows, as plain data."""
    many = len(sweep.cells) > FEW
    with ThreadPoolExecutor() as pool:  # reading pictures is what takes long, and needs no Python
        cards = pool.map(lambda c: card(c[1], sweep.named(c[0]) if c[0] else "", many), sweep.ordered())
    return {
        "title": sweep.title,
        "folder": str(sweep.folder),
        "summary": written.summary(sweep),
        "how_to_score": how_to_score(sweep.folder),
        "which_counts": written.which_counts(sweep),
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
    """By how much the first row leads, and whether that is more than the seeds' own spread."""
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


def table_content(sweep: Sweep, table: Table) -> dict[str, object]:
    """One score under one protocol, with its seeds drawn and the protocol spelled out."""
    low, high, decimals = min(table.values()), max(table.values()), table.decimals()
    rows = [
        {
            "setting": written.parameter_cells(sweep, row.setting),
            "named": sweep.named(row.setting),
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
    """A caption and a panel for each score that was taken again, and for each loss."""
    runs = [run for setting in sweep.settings for run in setting.cells]
    for table in sweep.tables:
        curves = [curve(run.scores.get(table.key, [])) for run in runs]
        if any(len(points) > 1 for points in curves):
            yield f"{table.title}, {table.direction()}", panel(lines(sweep, curves), table.name)
    for name in sorted({name for run in sweep.cells for name in run.loss_names()}):
        curves = [run.losses_of(name) for run in runs]
        yield f"{name.removeprefix('loss/')} loss", panel(lines(sweep, curves), name)


def lines(sweep: Sweep, curves: Sequence[Points]) -> list[Line]:
    """The cells' curves, each in its setting's colour."""
    cells = [(at, setting, run) for at, setting in enumerate(sweep.settings) for run in setting.cells]
    return [
        Line(points, f"{sweep.named(setting)}, seed {spoken(run.record.get('seed'))}", colour(at))
        for (at, setting, run), points in zip(cells, curves, strict=True)
    ]


def legend(sweep: Sweep) -> list[tuple[str, str]]:
    """The settings by colour; those beyond the colours in one line."""
    items = [(colour(place), sweep.named(setting)) for place, setting in enumerate(sweep.settings[:COLOURS])]
    others = len(sweep.settings) - len(items)
    return [*items, ("rest", f"the other {plural(others, 'setting')}")] if others else items


def card(run: Run, setting: str, many: bool) -> dict[str, object]:
    """What the page shows of a cell.

    Args:
        setting: its parameters, as `loss=hinge`; empty where nobody knows them.
        many: whether the page has so many cells that its grids must be small.
    """
    seed = run.record.get("seed")
    title = ", ".join(filter(None, [setting, f"seed {spoken(seed)}" if seed is not None else ""])) or run.name
    names = run.loss_names()
    again = [(name, points) for (name, _), points in run.scores.items() if len(points) > 1]
    return {
        "title": title,
        "status": run.status,
        "look": run.status if run.status in STATUSES else "",
        "facts": facts(run),
        "folder": run.name,
        "error": run.record.get("error"),
        "grid": grid(run, many),
        "scores": scores(run),
        "scored_again": bool(again),
        "losses": panel([Line(run.losses_of(n), n, colour(at)) for at, n in enumerate(names)], "loss", height=122),
        "legend": [(colour(at), name) for at, name in enumerate(names[: COLOURS + 1])],
        "curves": [panel([Line(curve(points), name, "c2")], name, height=102) for name, points in again],
    }


def grid(run: Run, many: bool) -> dict[str, object]:
    """The last grid's picture, or why it is missing."""
    path = last_grid(run.folder)
    if path is None:
        return {"missing": "no grid was drawn"}
    found = as_uri(path, SMALL if many else LARGE, few_colours=many)
    if found is None:
        return {"missing": f"{path.name} can't be read"}
    source, (width, height) = found
    return {"source": source, "width": width, "height": height, "name": path.stem}


def facts(run: Run) -> str:
    """`50,000 of 50,000 images, 0:12 hours, generator 337,280, discriminator 134,400 parameters`."""
    if not run.record:
        return "no readable run.json"
    found = [f"{run.progress()} images"]
    seconds = run.number("seconds")
    if seconds is not None:
        found.append(f"{hours(seconds)} h" if seconds >= 60 else plural(round(seconds), "second"))
    counts = run.record.get("parameters")
    if isinstance(counts, dict) and counts:
        sizes = (f"{name} {count:,}" for name, count in counts.items() if isinstance(count, int))
        found.append(", ".join(sizes) + " parameters")
    return "; ".join(found)


def scores(run: Run) -> list[dict[str, str]]:
    """The newest value of each score, and the best of those that were taken more than once."""
    rows = []
    names = [name for name, _ in run.scores]
    for (name, digest), points in run.scores.items():
        best = best_of(points)
        words = f"{number(best.value)} at {best.images or 0:,}" if best.better and len(points) > 1 else NONE
        shown = digest if names.count(name) > 1 else ""
        rows.append({"name": name, "digest": shown, "newest": number(points[-1].value), "best": words})
    return rows
