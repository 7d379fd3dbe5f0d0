"""The kinds of values that an annotation allows in a YAML, and their names in messages. Imports no torch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

WORDS: dict[type, tuple[str, str]] = {  # one, several
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    str: ("a word", "words"),
    bool: ("true or false", "truth values"),
    type(None): ("null", "nulls"),
}


@dataclass(frozen=True)
class Kind:
    """Any value: what can't be read from the source is left to the constructor."""

    def fits(self, value: Any) -> bool:
        return True

    def words(self, many: bool = False) -> str:
        return "values" if many else "a value"


@dataclass(frozen=True)
class Simple(Kind):
    """A number, a word, true or false, or null. Numbers are finite; an integer is also a number, a boolean is not."""

    of: type

    def fits(self, value: Any) -> bool:
        if self.of is float:
            return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        return type(value) is self.of

    def words(self, many: bool = False) -> str:
        return WORDS[self.of][many]


@dataclass(frozen=True)
class OneOf(Kind):
    """One of several values, as `Literal[...]`."""

    values: tuple[Any, ...]

    def fits(self, value: Any) -> bool:
        return any(type(value) is type(choice) and value == choice for choice in self.values)

    def words(self, many: bool = False) -> str:
        known = ", ".join(shown(choice) for choice in self.values)
        return f"{'some' if many else 'one'} of {known}" if len(self.values) > 1 else known


@dataclass(frozen=True)
class Limited(Kind):
    """A kind with limits, as `Annotated[int, Ge(1)]`, by name (ge, gt, le, lt, multiple_of, min_length, max_length)."""

    of: Kind
    limits: dict[str, float] = field(hash=False)

    def fits(self, value: Any) -> bool:
        return self.of.fits(value) and all(TESTS[name](value, limit) for name, limit in self.limits.items())

    def words(self, many: bool = False) -> str:
        phrases = [self.of.words(many), range_of(self.limits)]
        if "multiple_of" in self.limits:
            phrases.append(f"that {number(self.limits['multiple_of'])} divides")
        if self.limits.keys() & {"min_length", "max_length"}:
            phrases.append(f"({length_of(self.limits)})")
        return " ".join(word for word in phrases if word)


def range_of(limits: dict[str, float]) -> str:
    """Format numeric limits as `from 0 to below 1`."""
    low = next(
        (f"{word} {number(limits[key])}" for key, word in (("ge", "from"), ("gt", "above")) if key in limits), ""
    )
    if "le" in limits:
        high = f"{'to' if 'ge' in limits else 'and at most' if low else 'at most'} {number(limits['le'])}"
    elif "lt" in limits:
        high = f"{'to below' if 'ge' in limits else 'and below' if low else 'below'} {number(limits['lt'])}"
    else:
        high = "up" if "ge" in limits else ""
    return f"{low} {high}".strip()


def compared(test: Callable[[Any, float], bool]) -> Callable[[Any, float], bool]:
    """Make a test of a limit that judges numbers, and passes null and other values beside them."""
    return lambda value, limit: not isinstance(value, (int, float)) or test(value, limit)


TESTS: dict[str, Callable[[Any, float], bool]] = {
    "ge": compared(lambda value, limit: value >= limit),
    "gt": compared(lambda value, limit: value > limit),
    "le": compared(lambda value, limit: value <= limit),
    "lt": compared(lambda value, limit: value < limit),
    "multiple_of": compared(lambda value, limit: value % limit == 0),
    "min_length": lambda value, limit: not hasattr(value, "__len__") or len(value) >= limit,
    "max_length": lambda value, limit: not hasattr(value, "__len__") or len(value) <= limit,
}


def length_of(limits: dict[str, float]) -> str:
    least, most = limits.get("min_length"), limits.get("max_length")
    if least == most:
        return f"{least} of them"
    return f"at least {least}" if most is None else f"at most {most}" if not least else f"{least} to {most}"


@dataclass(frozen=True)
class Either(Kind):
    """One of several kinds, as `int | None`."""

    of: tuple[Kind, ...]

    def fits(self, value: Any) -> bool:
        return any(kind.fits(value) for kind in self.of)

    def words(self, many: bool = False) -> str:
        parts = [kind for kind in self.of if isinstance(kind, Part)]
        others = [kind for kind in self.of if not isinstance(kind, Part)]
        joined = [Part(" or ".join(part.name for part in parts))] if parts else []
        if Simple(float) in others:
            others = [kind for kind in others if kind != Simple(int)]  # a number says both
        *words, last = [kind.words(many) for kind in [*joined, *others]]
        return f"{', '.join(words)} or {last}" if words else last


@dataclass(frozen=True)
class ListOf(Kind):
    """A list, as `list[int]`, `Sequence[int]` or `tuple[int, ...]`; with `each`, a `tuple[int, str]`."""

    of: Kind
    each: tuple[Kind, ...] | None = None

    def fits(self, value: Any) -> bool:
        if not isinstance(value, (list, tuple)):
            return False
        if self.each is not None:
            return len(value) == len(self.each) and all(k.fits(v) for k, v in zip(self.each, value, strict=True))
        return all(self.of.fits(item) for item in value)

    def words(self, many: bool = False) -> str:
        start = "lists" if many else "a list"
        if self.each is None:
            return f"{start} of {self.of.words(many=True)}"
        if len(set(self.each)) == 1:
            return f"{start} of {len(self.each)} {self.each[0].words(many=True)}"
        return f"{start} of {', '.join(kind.words() for kind in self.each)}"


@dataclass(frozen=True)
class Table(Kind):
    """A table, as `Mapping[int, float]` or `dict[str, int]`. A config kept as JSON has its integer keys as strings."""

    key: Kind
    value: Kind

    def fits(self, value: Any) -> bool:
        if not isinstance(value, dict) or "_target_" in value:
            return False
        return all(self.key.fits(number_in(key)) for key in value) and all(map(self.value.fits, value.values()))

    def words(self, many: bool = False) -> str:
        return f"{'tables' if many else 'a table'} from {self.key.words(True)} to {self.value.words(True)}"


def table_in(kind: Kind) -> Table | None:
    """Return the table that a kind is, or that it allows beside other kinds, else None."""
    kinds = kind.of if isinstance(kind, Either) else (kind,)
    return next((alternative for alternative in kinds if isinstance(alternative, Table)), None)


def number_in(key: Any) -> Any:
    return int(key) if isinstance(key, str) and key.isascii() and key.isdecimal() else key


@dataclass(frozen=True)
class Part(Kind):
    """A class, which a node with a `_target_` makes. Whether the node makes this class is not checked here."""

    name: str

    def fits(self, value: Any) -> bool:
        return isinstance(value, dict) and "_target_" in value

    def words(self, many: bool = False) -> str:
        return f"parts with a _target_ ({self.name})" if many else f"a part with a _target_ ({self.name})"


def number(value: float) -> str:
    """Format a number as a person writes it: 65,536, 0.5, 1e+06."""
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def shown(value: Any) -> str:
    """Format a value as it is typed in YAML, cut to 80 characters."""
    if value is None or isinstance(value, bool):
        return {True: "true", False: "false", None: "null"}[value]
    text = str(value) if str(value).strip() else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
