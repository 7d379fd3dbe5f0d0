"""Small curves as inline SVG: no script, no file; colours come from the page's style."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from gan_cli.report.text import number

COLOURS = 8  # classes c0 ... c7 of the style; "rest" for what has none of its own
MANY_LINES = 24  # beyond it they are drawn thin
MOST_POINTS = 160  # of one line: a panel is not wider in pixels
Place = Callable[[float, float], tuple[float, float]]  # images and value to pixels
LEFT, RIGHT, TOP, BOTTOM = 54, 14, 10, 38  # room for the axes' words, pixels


@dataclass(frozen=True)
class Line:
    """One curve.

    Attributes:
        points: images and value, by images.
        name: shown when the pointer rests on it.
        colour: `c0` to `c7`, or `rest`.
    """

    points: Sequence[tuple[float, float]]
    name: str
    colour: str


def colour(place: int) -> str:
    return f"c{place}" if place < COLOURS else "rest"


def panel(lines: Sequence[Line], y_label: str, width: int = 340, height: int = 210) -> str:
    """Lines over images seen with both axes named; nothing where there are no points."""
    lines = [line for line in lines if line.points]
    if not lines:
        return ""
    values = [y for line in lines for _, y in line.points]
    low, high = value_range(values)
    last = max(0.0, *(x for line in lines for x, _ in line.points)) or 1.0
    inner_width, inner_height = width - LEFT - RIGHT, height - TOP - BOTTOM

    def at(x: float, y: float) -> tuple[float, float]:
        y = min(max(y, low), high)
        return LEFT + inner_width * x / last, TOP + inner_height * (high - y) / (high - low)

    parts = [axis_lines(low, high, last, at), axis_names(y_label, width, height)]
    parts += [drawn(line, at) for line in reversed(lines)]  # the first, which is the best, lies on top
    cut = sum(1 for value in values if not low <= value <= high)
    if cut:
        parts.append(
            f'<text class="tick" x="{width - RIGHT}" y="{TOP + 9}" text-anchor="end">spikes are cut off</text>'
        )
    label = escape(f"{y_label} over images seen", quote=True)
    look = "panel many" if len(lines) > MANY_LINES else "panel"
    return f'<svg class="{look}" viewBox="0 0 {width} {height}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def axis_lines(low: float, high: float, last: float, at: Place) -> str:
    """Ticks with thin lines across; at the foot the images."""
    parts = []
    values = ticks(low, high, 6)
    for value, words in zip(values, tick_words(values), strict=True):
        (left, y), (right, _) = at(0, value), at(last, value)
        parts.append(f'<line class="across" x1="{left:.1f}" y1="{y:.1f}" x2="{right:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{left - 6:.1f}" y="{y + 3.5:.1f}" text-anchor="end">{words}</text>')
    _, foot = at(0, low)
    values = ticks(0, last, 5)
    for value, words in zip(values, tick_words(values), strict=True):
        x, _ = at(value, low)
        parts.append(f'<text class="tick" x="{x:.1f}" y="{foot + 14:.1f}" text-anchor="middle">{words}</text>')
    return "".join(parts)


def axis_names(y_label: str, width: int, height: int) -> str:
    middle = TOP + (height - TOP - BOTTOM) / 2
    y_label = y_label if len(y_label) <= 22 else y_label[:21] + "…"
    across, foot = LEFT + (width - LEFT - RIGHT) / 2, height - 6
    return (
        f'<text class="axis" x="{across:.1f}" y="{foot}" text-anchor="middle">images seen</text>'
        f'<text class="axis" transform="translate(11 {middle:.1f}) rotate(-90)" text-anchor="middle">{escape(y_label)}'
        "</text>"
    )


def drawn(line: Line, at: Place) -> str:
    """A polyline; dots too where the points are few."""
    points = [at(x, y) for x, y in thinned(line.points)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.4"/>' for x, y in points) if len(points) <= 12 else ""
    return f'<g class="{line.colour}"><title>{escape(line.name)}</title><polyline points="{path}"/>{dots}</g>'


def thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Every k-th point and the last, `MOST_POINTS` at most."""
    if len(points) <= MOST_POINTS:
        return list(points)
    step = (len(points) - 1) / (MOST_POINTS - 1)
    return [points[round(n * step)] for n in range(MOST_POINTS)]


def value_range(values: Sequence[float]) -> tuple[float, float]:
    """What the y-axis spans: all values, but for a few spikes that would flatten the rest."""
    ordered = sorted(values)
    low, high = ordered[0], ordered[-1]
    inner_low, inner_high = ordered[int(0.02 * (len(ordered) - 1))], ordered[math.ceil(0.98 * (len(ordered) - 1))]
    if high - low > 5 * (inner_high - inner_low) > 0:
        low, high = inner_low, inner_high
    room = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
    return low - room, high + room


def ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers within a span: steps of 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    step = next(power * factor for factor in (1, 2, 5, 10) if (high - low) / (power * factor) <= most)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [count * step for count in range(first, last + 1)]


def tick_words(values: Sequence[float]) -> list[str]:
    """Evenly spaced ticks, each told from the next: `0`, `0.25`, `50k`, `1.2M`."""
    largest = max((abs(value) for value in values), default=0.0)
    factor, unit = next(((f, u) for f, u in ((1e9, "G"), (1e6, "M"), (1e3, "k")) if largest >= f), (1.0, ""))
    step = (values[1] - values[0]) / factor if len(values) > 1 else largest / factor or 1.0
    decimals = max(0, math.ceil(-math.log10(step) - 1e-9))
    if len(values) == 1:
        decimals += 1
    return ["0" if abs(v) < 1e-9 * largest or not v else f"{v / factor:.{decimals}f}{unit}" for v in values]


def strip(values: Sequence[float], mean: float, low: float, high: float, width: int = 170) -> str:
    """The seeds of one row as dots with a bar at their mean, on a scale that all rows share."""
    span = high - low or 1.0

    def at(value: float) -> float:
        return 6 + (width - 12) * ((value - low) / span if high > low else 0.5)

    label = escape(f"seeds {', '.join(number(v) for v in values)}; mean {number(mean)}", quote=True)
    dots = "".join(f'<circle cx="{at(value):.1f}" cy="11" r="3.6"/>' for value in values)
    return (
        f'<svg class="strip" viewBox="0 0 {width} 22" width="{width}" height="22" role="img" aria-label="{label}">'
        f"<title>{label}</title>"
        f'<line class="across" x1="6" y1="11" x2="{width - 6}" y2="11"/><g class="dots">{dots}</g>'
        f'<line class="mean" x1="{at(mean):.1f}" y1="3" x2="{at(mean):.1f}" y2="19"/></svg>'
    )
