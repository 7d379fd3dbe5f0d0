"""Small curves as places in pixels: the page draws them as inline SVG; colours come from its style."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gan_cli.report.text import number

COLOURS = 8  # classes c0 ... c7 of the style; "rest" for what has none of its own
MANY_LINES = 24  # beyond it they are drawn thin
MOST_POINTS = 160  # of one line: a panel is not wider in pixels
STRIP_WIDTH = 158  # pixels
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Line:
    """One curve.

    Attributes:
        points: images and value, by images; within a panel x and y in pixels.
        name: shown when the pointer rests on it.
        colour: `c0` to `c7`, or `rest`.
    """

    points: Points
    name: str
    colour: str


@dataclass(frozen=True)
class Panel:
    """Curves over images seen, in pixels from the panel's upper left corner; the template leaves room for the axes.

    Attributes:
        name: of the y-axis.
        heights, images: ticks of the y-axis and of the x-axis, each with its words.
        lines: the last lies on top.
        many: whether they are drawn thin.
        cut: whether spikes lie outside.
    """

    name: str
    width: int
    height: int
    heights: list[tuple[float, str]]
    images: list[tuple[float, str]]
    lines: list[Line]
    many: bool
    cut: bool


def colour(place: int) -> str:
    return f"c{place}" if place < COLOURS else "rest"


def panel(lines: Sequence[Line], name: str, height: int = 162, width: int = 272) -> Panel | None:
    """Lines over images seen, in pixels; None where there are no points."""
    lines = [line for line in lines if line.points]
    if not lines:
        return None
    values = [y for line in lines for _, y in line.points]
    low, high = value_range(values)
    last = max(0.0, *(x for line in lines for x, _ in line.points)) or 1.0

    def across(x: float) -> float:
        return round(width * x / last, 1)

    def down(y: float) -> float:
        return round(height * (high - min(max(y, low), high)) / (high - low), 1)

    return Panel(
        *(name, width, height),
        heights=[(down(value), words) for value, words in named_ticks(low, high, 6)],
        images=[(across(value), words) for value, words in named_ticks(0, last, 5)],
        # the first, which is the best, is drawn last
        lines=[replace(line, points=[(across(x), down(y)) for x, y in thinned(line.points)]) for line in lines[::-1]],
        many=len(lines) > MANY_LINES,
        cut=any(not low <= value <= high for value in values),
    )


def thinned(points: Points) -> list[tuple[float, float]]:
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


def named_ticks(low: float, high: float, most: int) -> list[tuple[float, str]]:
    values = ticks(low, high, most)
    return list(zip(values, tick_words(values), strict=True))


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


def strip(values: Sequence[float], mean: float, low: float, high: float) -> dict[str, object]:
    """The seeds of one row and their mean, in pixels on a scale that all rows share."""

    def at(value: float) -> float:
        return round(STRIP_WIDTH * ((value - low) / (high - low) if high > low else 0.5), 1)

    words = f"seeds {', '.join(number(v) for v in values)}; mean {number(mean)}"
    return {"words": words, "dots": [at(value) for value in values], "mean": at(mean), "width": STRIP_WIDTH}
