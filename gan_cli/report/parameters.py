"""The parameters in which the cells of a sweep differ, found in their composed configs."""

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

# the order of columns; an experiment comes first because it chooses options of all other groups
GROUPS = ("experiment", "model", "loss", "penalty", "dataset", "optimizer", "trainer", "augment", "perceptual")

Values = dict[str, Any]  # by parameter: the option of a group, or the value of a dotted key


def values_of(config: dict[str, Any], choices: dict[str, Any]) -> Values:
    """Return the choices and dotted keys that determine what a cell trains, without the seed."""
    keys = {key: value for key, value in flat(config).items() if key != "seed" and key not in choices}
    return {key: value for key, value in {**choices, **keys}.items() if not not_learned(key)}


def typed_keys(folder: Path) -> set[str]:
    """Read the keys that a cell's command line overrode. Return an empty set where Hydra's record is gone."""
    try:
        overrides = yaml.safe_load(read_yaml(folder / ".hydra" / "overrides.yaml"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError, UserError):
        return set()
    return {str(text).lstrip("+~").partition("=")[0] for text in overrides} if isinstance(overrides, list) else set()


def differing(cells: Sequence[Values], groups: set[str], typed: set[str]) -> list[str]:
    """List the parameters that distinguish the cells, as few as possible, in the order of the columns.

    The list has all differing names that were overridden by hand. It also has choices that do not follow from choices
    made by hand (as an experiment's do), and keys that differ among cells which are equal in all of these. So `loss`
    is listed, and the keys that follow from it are not.

    Args:
        cells: the values of each cell.
        groups: the names that are config groups.
        typed: the names that were overridden by hand.
    """
    names = sorted({name for cell in cells for name in cell}, key=lambda name: order(name, groups))
    varying = [name for name in names if len({as_json(cell, name) for cell in cells}) > 1]
    kept = [name for name in varying if name in typed]
    chosen = [name for name in kept if name in groups]
    kept += [name for name in varying if name in groups and name not in kept and not follows(cells, name, chosen)]
    # untyped keys that change together are all listed: none is a better choice than the others
    kept += [name for name in varying if name not in groups and name not in kept and not follows(cells, name, kept)]
    return sorted(kept, key=lambda name: order(name, groups))


def order(name: str, groups: set[str]) -> tuple[int, int, str]:
    """Return a sort key: groups before dotted keys, in the order of `GROUPS`, then by name."""
    return name not in groups, GROUPS.index(name) if name in GROUPS else len(GROUPS), name


def follows(cells: Sequence[Values], name: str, kept: Sequence[str]) -> bool:
    """Return whether cells with equal values of the `kept` names also have equal values of `name`."""
    value_of_kept: dict[tuple[str, ...], str] = {}
    for cell in cells:
        value = as_json(cell, name)
        if value_of_kept.setdefault(tuple(as_json(cell, other) for other in kept), value) != value:
            return False
    return True


def as_json(cell: Values, name: str) -> str:
    """Format a value so that equal values give equal texts. A missing key differs from null."""
    return json.dumps(cell[name], sort_keys=True, default=str) if name in cell else NONE


def label(cell: Values, name: str) -> str:
    """Format a value as it is typed, for a table."""
    return spoken(cell[name]) if name in cell else NONE
