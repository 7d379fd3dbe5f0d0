"""The space of a search, read from the ranges on a command line in Hydra's grammar, and the study that stores it."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any, TypedDict

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep

from gan_cli.base.errors import UserError
from gan_cli.base.run_folder import cells_in, not_learned

STUDY = "study.db"
EXAMPLE = "'optimizer.learning_rate=tag(log,interval(1e-5,1e-3))' or loss=hinge,wgan_gp"
# keys that change no training, but on which the score depends
SCORING = ("metric", "features", "trainer.evaluate", "trainer.keep_best")


@dataclass(frozen=True)
class Dimension:
    """One key of a search with its choices, or with numbers from `low` to `high`, both included.

    Attributes:
        key: the key as typed, with its `+` if it has one.
        choices: the values as text; None for numbers.
        step: the distance between the whole numbers, or between the values of a range; None: any number in between.
        log: whether orders of magnitude are equally likely.
    """

    key: str
    choices: tuple[str, ...] | None = None
    low: float = 0
    high: float = 0
    step: float | None = None
    log: bool = False

    def corners(self) -> list[str]:
        """List one override for each choice, or for each of the two ends."""
        if self.choices is not None:
            return [f"{self.key}={text}" for text in self.choices]
        return [self.override(self.low), self.override(self.high)]

    def override(self, value: Any) -> str:
        """Convert a value from Optuna to an override. A number gets four digits, so that it can be read and typed."""
        if self.choices is not None or isinstance(value, int):
            return f"{self.key}={value}"
        digits = 4 if self.step is None else 12
        return f"{self.key}={min(max(float(f'{value:.{digits}g}'), self.low), self.high)}"

    def size(self) -> float:
        """Return the number of possible values."""
        if self.choices is not None:
            return len(self.choices)
        return math.inf if self.step is None else round((self.high - self.low) / self.step) + 1

    def distribution(self) -> Any:
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if self.choices is not None:
            return CategoricalDistribution(self.choices)
        if isinstance(self.low, int):
            return IntDistribution(self.low, int(self.high), log=self.log, step=int(self.step or 1))
        return FloatDistribution(self.low, self.high, log=self.log, step=self.step)


def read(arguments: list[str], config_loader: Any = None) -> tuple[list[Dimension], list[str]]:
    """Parse a command line into the dimensions of its search and its fixed overrides.

    Of a key that is typed twice the last one counts.

    Raises:
        UserError: no range, or one that can't be searched.
    """
    parser = OverridesParser.create(config_loader=config_loader)
    last = {override.get_key_element(): override for override in parser.parse_overrides(arguments)}
    space = [dimension(override) for override in last.values() if override.is_sweep_override()]
    if not space:
        raise UserError(f"nothing to search: give a key several values or an interval, as {EXAMPLE}")
    fixed = [written(override) for override in last.values() if not override.is_sweep_override()]
    return space, fixed


def written(override: Override) -> str:
    """Format a fixed override as Hydra's own sweeper does, so that cells get the same names."""
    if override.is_delete():
        return str(override.input_line)
    return f"{override.get_key_element()}={override.get_value_element_as_str()}"


def dimension(override: Override) -> Dimension:
    """Convert an override that has several values to a dimension.

    Raises:
        UserError: a key that is no hyper-parameter, or a range without values.
    """
    key, name, value = override.get_key_element(), override.key_or_group, override.value()
    if name == "seed":
        raise UserError("a search over seed would pick the luckiest; fix it, and repeat the best with -m seed=0,1,2")
    if name.split(".")[0] == "dataset":
        raise UserError(f"{name} has several values: scores against different data can't be compared; give it one")
    if not_learned(name) or override.is_hydra_override():
        raise UserError(f"{name} changes nothing that is learned, so there is nothing to search; give it one value")
    tags: set[str] = getattr(value, "tags", set())
    if tags - {"log"} or (tags and not isinstance(value, IntervalSweep)):
        raise UserError(f"{key}: the only tag is log, of an interval: tag(log,interval(1e-5,1e-3))")
    if isinstance(value, IntervalSweep):
        return interval(key, value, bool(tags))
    if isinstance(value, RangeSweep):
        numbers = sorted(n if isinstance(n, int) else float(f"{n:.12g}") for n in override.sweep_iterator())
        if not numbers:
            raise UserError(f"{key}: its range is empty")
        return Dimension(key, None, numbers[0], numbers[-1], abs(value.step))  # type: ignore[arg-type]
    choices = tuple(dict.fromkeys(override.sweep_string_iterator()))
    if not choices:
        raise UserError(f"{key}: there is nothing to choose from")
    return Dimension(key, choices)


def interval(key: str, value: IntervalSweep, log: bool) -> Dimension:
    low, high = value.start, value.end
    assert low is not None
    assert high is not None
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise UserError(f"{key}: interval({low},{high}) has no room; the lower end comes first")
    if log and low <= 0:
        raise UserError(f"{key}: a log scale starts above 0, not at {low}")
    return Dimension(key, None, low, high, 1 if isinstance(low, int) else None, log)


def deciding(fixed: list[str]) -> list[str]:
    """List the fixed overrides on which the scores depend: other values would make another search."""
    kept = []
    for text in fixed:
        key = text.lstrip("+~").partition("=")[0]
        if not not_learned(key) or key.startswith(SCORING):
            kept.append(text)
    return sorted(kept)


def opened(folder: Path, score: str, better: str, space: list[Dimension], fixed: list[str]) -> Any:
    """Open the study in a sweep's folder, or create it.

    Raises:
        UserError: the folder holds another search or a grid, or Optuna can't read the study.
    """
    import optuna
    from sqlalchemy import URL

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    file = folder / STUDY
    if not file.exists() and cells_in(folder):
        raise UserError(f"{folder} holds runs of a sweep that was no search; choose another sweep=NAME")
    try:
        url = URL.create("sqlite", database=str(file.resolve())).render_as_string()
        study = optuna.create_study(
            storage=url,
            study_name="search",
            direction="minimize" if better == "lower" else "maximize",
            load_if_exists=True,
        )
        before = study.user_attrs.get("search")
    except Exception as error:
        about = str(error).strip().splitlines()[0]
        raise UserError(
            f"Optuna {optuna.__version__} can't read {file} ({about}); choose another sweep=NAME"
        ) from error
    ranges = {d.key: optuna.distributions.distribution_to_json(d.distribution()) for d in space}
    now = json.loads(json.dumps({"score": score, "fixed": deciding(fixed), "ranges": ranges}))
    if before is None:
        study.set_user_attr("search", now)
    elif before != now:
        raise UserError(f"{folder} holds another search ({difference(before, now)}); choose another sweep=NAME")
    return study


class Search(TypedDict):
    """The settings that identify a search. The ranges are Optuna's JSON, by key."""

    score: str
    fixed: list[str]
    ranges: dict[str, str]


def difference(before: Search, now: Search) -> str:
    """Describe the first difference between two searches."""
    if before["score"] != now["score"]:
        return f"hydra.sweeper.score={before['score']}, not {now['score']}"
    old, new = before["ranges"], now["ranges"]
    keys = [key for key in [*old, *new] if old.get(key) != new.get(key)]
    if keys:
        return f"the range of {keys[0]} is another"
    gone, come = ([text for text in a if text not in b] for a, b in permutations((before["fixed"], now["fixed"])))
    return f"{' '.join(gone) or 'the default'}, not {' '.join(come) or 'the default'}"
