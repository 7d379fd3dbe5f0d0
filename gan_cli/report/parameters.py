"""In which overrides do the cells of a sweep differ? Read from their composed configs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from gan_cli.base.errors import UserError
from gan_cli.base.files import read_yaml
from gan_cli.base.run_folder import flat, not_learned
from gan_cli.report.text import NONE, spoken

# the order of columns; an experiment chooses in all other groups and so comes first
GROUPS = ("experiment", "model", "loss", "penalty", "dataset", "optimizer", "trainer", "augment", "perceptual")

Values = dict[str, Any]  # by parameter: a group's option, or the value of a dotted key


def values_of(config: dict[str, Any], choices: dict[str, Any]) -> Values:
    """All choices and keys that say what a cell trains, but the seed."""
    keys = {key: value for key, value in flat(config).items() if key != "seed" and key not in choices}
    return {key: value for key, value in {**choices, **keys}.items() if not not_learned(key)}


def typed_keys(folder: Path) -> set[str]:
    """What was overridden on the command line of a cell; none where Hydra's record is gone."""
    try:
        overrides = yaml.safe_load(read_yaml(folder / ".hydra" / "overrides.yaml"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError, UserError):
        return set()
    return {str(text).lstrip("+~").partition("=")[0] for text in overrides} if isinstance(overrides, list) else set()


def differing(cells: Sequence[Values], groups: set[str], typed: set[str]) -> list[str]:
    """The parameters that tell cells apart, fewest first.

    What was typed and differs is kept; so is a choice that does not follow from typed choices (an experiment makes
    others), and a key that differs among cells which are equal in all of these. So `loss` is kept, and the keys that
    follow from it are not.

    Args:
        cells: the values of each.
        groups: which of the names are groups.
        typed: names that were overridden by hand.
    """
    names = sorted({name for cell in cells for name in cell}, key=lambda name: order(name, groups))
    apart = [name for name in names if len({shown(cell, name) for cell in cells}) > 1]
    kept = [name for name in apart if name in typed]
    chosen = [name for name in kept if name in groups]
    kept += [name for name in apart if name in groups and name not in kept and not follows(cells, name, chosen)]
    # no untyped key hides another one: of those that change together none is better than the rest
    kept += [name for name in apart if name not in groups and name not in kept and not follows(cells, name, kept)]
    return sorted(kept, key=lambda name: order(name, groups))


def order(name: str, groups: set[str]) -> tuple[int, int, str]:
    """Groups before keys, as they stand in `GROUPS`."""
    return name not in groups, GROUPS.index(name) if name in GROUPS else len(GROUPS), name


def follows(cells: Sequence[Values], name: str, kept: Sequence[str]) -> bool:
    """Whether cells that are equal in what is kept are equal in this too."""
    found: dict[tuple[str, ...], str] = {}
    for cell in cells:
        value = shown(cell, name)
        if found.setdefault(tuple(shown(cell, other) for other in kept), value) != value:
            return False
    return True


def shown(cell: Values, name: str) -> str:
    """A value in one spelling; a key that a cell does not have is told from null."""
    return json.dumps(cell[name], sort_keys=True, default=str) if name in cell else NONE


def label(cell: Values, name: str) -> str:
    """The value as it was typed, for a table."""
    return spoken(cell[name]) if name in cell else NONE
