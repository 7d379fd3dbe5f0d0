"""Small line plots in pixel coordinates. The page draws them as inline SVG, and its style sheet has the colours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gan_cli.report.text import number

COLOURS = 8  # CSS classes c0 ... c7; lines beyond them share "rest"
MANY_LINES = 24  # a panel with more lines draws them thin
MOST_POINTS = 160  # of one line, which a panel shows on 272 pixels
STRIP_WIDTH = 158  # pixels
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Line:
    """One curve.

    Attributes:
        points: images seen and value, sorted by images; within a panel, x and y in pixels.
        name: the tooltip of the line.
        colour: `c0` to `c7`, or `rest`.
    """

    points: Points
    name: str
    colour: str


@dataclass(frozen=True)
class Panel:
    """Curves over images seen, in pixels from the panel's upper left corner; the template leaves room for the axes.

    Attributes:
        name: the label of the y-axis.
        heights, images: ticks of the y-axis and of the x-axis, each a position in pixels and a label.
        lines: in drawing order, so the last lies on top.
        many: whether the lines are drawn thin.
        cut: whether values beyond the ends of the y-axis are cut off.
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
    """Make a panel of lines over images seen, in pixels. Return None where no line has points."""
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
        # reversed: the first line, which is the best setting's, lies on top
        lines=[replace(line, points=[(across(x), down(y)) for x, y in thinned(line.points)]) for line in lines[::-1]],
        many=len(lines) > MANY_LINES,
        cut=any(not low <= value <= high for value in values),
    )


def thinned(points: Points) -> list[tuple[float, float]]:
    """Return at most `MOST_POINTS` evenly spaced points, with the first and the last."""
    if len(points) <= MOST_POINTS:
        return list(points)
    step = (len(points) - 1) / (MOST_POINTS - 1)
    return [points[round(n * step)] for n in range(MOST_POINTS)]


def value_range(values: Sequence[float]) -> tuple[float, float]:
    """Return the ends of the y-axis: the range of all values, except a few spikes that would flatten the rest."""
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
    """List round numbers from `low` to `high`, in steps of 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    step = next(power * factor for factor in (1, 2, 5, 10) if (high - low) / (power * factor) <= most)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [count * step for count in range(first, last + 1)]


def tick_words(values: Sequence[float]) -> list[str]:
    """Format evenly spaced ticks with enough decimals to differ: `0`, `0.25`, `50k`, `1.2M`."""
    largest = max((abs(value) for value in values), default=0.0)
    factor, unit = next(((f, u) for f, u in ((1e9, "G"), (1e6, "M"), (1e3, "k")) if largest >= f), (1.0, ""))
    step = (values[1] - values[0]) / factor if len(values) > 1 else largest / factor or 1.0
    decimals = max(0, math.ceil(-math.log10(step) - 1e-9))
    if len(values) == 1:
        decimals += 1
    return ["0" if abs(v) < 1e-9 * largest or not v else f"{v / factor:.{decimals}f}{unit}" for v in values]


def strip(values: Sequence[float], mean: float, low: float, high: float) -> dict[str, object]:
    """Return the scores of a row's seeds and their mean as pixels, on a scale that all rows share."""

    def at(value: float) -> float:
        return round(STRIP_WIDTH * ((value - low) / (high - low) if high > low else 0.5), 1)

    words = f"seeds {', '.join(number(v) for v in values)}; mean {number(mean)}"
    return {"words": words, "dots": [at(value) for value in values], "mean": at(mean), "width": STRIP_WIDTH}
