"""Say what each key of a config may be, in words, as the check would judge it. Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gan_cli.base.errors import UserError
from gan_cli.check.kinds import Either, Kind, Limited, OneOf, Simple, shown, table_in
from gan_cli.check.signatures import bound, nodes_of

NULL, WORD = Simple(type(None)), Simple(str)
LARGEST = 2**62  # a limit above it is of the machine, and none that a person meets


def kinds_in(config: Mapping[str, Any]) -> dict[str, Kind]:
    """Return what the keys of a config's parts may be, by dotted key; those of a class that can't be read are left out.

    Args:
        config: a node for each group, interpolations may be in it.
    """
    kinds: dict[str, Kind] = {}
    for path, node in nodes_of(config):
        if not isinstance(node.get("_target_"), str):
            continue
        try:
            known = bound(path, node)
        except UserError:  # a package that is not installed
            continue
        kinds |= {f"{path}.{key}": argument.kind for key, argument in known.items()}
    return kinds


def kind_at(key: str, kinds: Mapping[str, Kind]) -> Kind:
    """Return what a key may be, in a table too; a `Kind` that takes all where nothing is known of it."""
    if key in kinds:
        return kinds[key]
    table, _, _ = key.rpartition(".")
    inner = table_in(kind_at(table, kinds)) if table else None
    return Kind() if inner is None else inner.value


def may_be(kind: Kind) -> str:
    """Say a kind in words: `a number from 0 to 1 or null`; "" where that says nothing."""
    if type(kind) is Kind:
        return ""
    if isinstance(kind, Limited) and kind.limits.get("lt", 0) > LARGEST:
        return may_be(Limited(kind.of, {name: limit for name, limit in kind.limits.items() if name != "lt"}))
    if not isinstance(kind, Either):
        return kind.words() if kind != Limited(WORD, {"min_length": 1}) else "a word"
    parts = [WORD if one == Limited(WORD, {"min_length": 1}) else one for one in kind.of]
    null = [NULL] if NULL in parts else []
    others = [one for one in parts if one != NULL]
    if others == [WORD, Simple(int)]:  # `limits.Where`: a path may look like a number
        words = ["a path"]
    elif {*others} == {WORD, *map(Simple, (int, float, bool))}:
        words = ["any word"]
    else:
        return Either((*others, *null)).words()
    return " or ".join([*words, *(["null"] if null else [])])


def or_null(kind: Kind) -> Kind:
    """Return the same kind, null too: what files or models fill in."""
    if type(kind) is Kind or kind.fits(None):
        return kind
    return Either((*(kind.of if isinstance(kind, Either) else (kind,)), NULL))


def choices_of(kind: Kind) -> tuple[Any, ...]:
    """Return the values of a `Literal`, alone or beside null; none where it is something else."""
    kinds = [one for one in (kind.of if isinstance(kind, Either) else (kind,)) if one != NULL]
    return kinds[0].values if len(kinds) == 1 and isinstance(kinds[0], OneOf) else ()


def adds_to(kind: Kind, comment: str) -> str:
    """Say what a key may be where its comment or its value does not show that already."""
    if kind in (WORD, Simple(bool)):
        return ""
    choices = choices_of(kind)
    words = re.findall(r"[\w.]+", comment)
    if choices and all(shown(choice) in words for choice in choices) and (not kind.fits(None) or "null" in words):
        return ""
    return may_be(kind)
