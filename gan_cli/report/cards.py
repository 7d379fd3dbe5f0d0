"""A card of the page: one cell with its grid, its end, its scores and its curves."""

from __future__ import annotations

from html import escape

from gan_cli.report.curves import COLOURS, Line, colour, panel
from gan_cli.report.grids import as_uri, last_grid
from gan_cli.report.runs import Run, best_of
from gan_cli.report.text import NONE, hours, number, plural, spoken

STATUSES = ("finished", "failed", "diverged", "unreadable", "cut", "interrupted", "running")  # those with a colour
LARGE, SMALL = 512, 256  # widths of grids, pixels


def card(run: Run, setting: str, many: bool) -> str:
    """A cell of the sweep.

    Args:
        setting: its parameters, as `loss=hinge`; empty where nobody knows them.
        many: whether the page has so many cells that its grids must be small.
    """
    seed = run.record.get("seed")
    title = ", ".join(filter(None, [setting, f"seed {spoken(seed)}" if seed is not None else ""])) or run.name
    status = run.status if run.status in STATUSES else ""
    error = run.record.get("error")
    return (
        f'<article class="card">{grid(run, title, many)}<div class="body">'
        f'<h3>{escape(title)} <span class="pill {status}">{escape(run.status)}</span></h3>'
        f'<p class="soft small">{escape(facts(run))}<br><span class="mono">{escape(run.name)}</span></p>'
        f"{f'<p class=error>{escape(str(error))}</p>' if error else ''}{scores(run)}{curves(run)}</div></article>"
    )


def grid(run: Run, title: str, many: bool) -> str:
    path = last_grid(run.folder)
    if path is None:
        return '<div class="none">no grid was drawn</div>'
    found = as_uri(path, SMALL if many else LARGE, few_colours=many)
    if found is None:
        return f'<div class="none">{escape(path.name)} can\'t be read</div>'
    uri, (wide, high) = found
    words = escape(f"samples of {title}, {path.stem}", quote=True)
    return f'<img class="grid" src="{uri}" width="{wide}" height="{high}" alt="{words}" loading="lazy">'


def facts(run: Run) -> str:
    """`50,000 of 50,000 images, 0:12 hours, generator 337,280, discriminator 134,400 parameters`."""
    if not run.record:
        return "no readable run.json"
    total = run.number("total_images")
    found = [f"{run.images:,}" + (f" of {int(total):,}" if total is not None else "") + " images"]
    seconds = run.number("seconds")
    if seconds is not None:
        found.append(f"{hours(seconds)} h" if seconds >= 60 else plural(round(seconds), "second"))
    counts = run.record.get("parameters")
    if isinstance(counts, dict) and counts:
        sizes = (f"{name} {count:,}" for name, count in counts.items() if isinstance(count, int))
        found.append(", ".join(sizes) + " parameters")
    return "; ".join(found)


def scores(run: Run) -> str:
    """The newest value of each score, and the best of those that were taken more than once."""
    rows, again = "", any(len(points) > 1 for points in run.scores.values())
    for (name, digest), points in run.scores.items():
        several = sum(1 for other, _ in run.scores if other == name) > 1
        shown = escape(name) + (f' <span class="soft">{escape(digest)}</span>' if several else "")
        rows += f'<tr><td>{shown}</td><td class="n">{number(points[-1].value)}</td>'
        best = best_of(points)
        words = f"{number(best.value)} at {best.images or 0:,}" if best.better and len(points) > 1 else NONE
        rows += (f'<td class="n">{words}</td>' if again else "") + "</tr>"
    if not rows:
        return ""
    header = '<th>score</th><th class="n">newest</th>' + ('<th class="n">best</th>' if again else "")
    return f'<table class="scores"><thead><tr>{header}</tr></thead><tbody>{rows}</tbody></table>'


def curves(run: Run) -> str:
    """Both players' losses in one panel, and one for each score that was taken more than once."""
    names = sorted({name for entry in run.losses for name in entry} - {"images"})
    lines = [
        Line([(entry["images"], entry[name]) for entry in run.losses if name in entry], name, colour(place))
        for place, name in enumerate(names)
    ]
    parts = [panel(lines, "loss", height=170)]
    if parts[0]:
        words = (f'<li class="{colour(n)}">{escape(name)}</li>' for n, name in enumerate(names[: COLOURS + 1]))
        parts.insert(0, f'<ul class="legend">{"".join(words)}</ul>')
    for (name, _), points in run.scores.items():
        if len(points) > 1:
            parts.append(panel([Line([(p.images or 0, p.value) for p in points], name, "c2")], name, height=150))
    return "".join(parts)
