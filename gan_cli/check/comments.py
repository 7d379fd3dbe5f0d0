"""Read what YAML files say of their keys: values as written, and the comments behind them. Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from gan_cli.base.allow_list import META_KEYS
from gan_cli.check.config_folder import files_of, yaml_of

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
REFERENCE = re.compile(r"\$\{([A-Za-z_][\w.]*)\}")  # to a key, not to a function


class Said(NamedTuple):
    """Hold a key as its file has it: its value, interpolations unresolved, and its comment, "" where there is none."""

    value: Any
    comment: str


def first_comment(file: Path) -> str:
    """Return the first comment line of a file, which describes it; "" where there is none."""
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith("#") and not line.startswith("# @package"):
            return line.lstrip("# ")
    return ""


def is_overlay(file: Path, group: str) -> bool:
    """Say whether a file is laid over the whole config, as an experiment is: its keys are those of others."""
    return package_of(file, group) == "" and group not in yaml_of(file)


def package_of(file: Path, group: str) -> str:
    """Return where the keys of an option's file stand: "" at the root, else below a dotted key."""
    found = re.match(r"# @package (\S+)", file.read_text(encoding="utf-8"))
    package = found.group(1) if found else group.replace("/", ".")
    return "" if package == "_global_" else package


def said_by(group: str, name: str, folders: Iterable[Path]) -> dict[str, Said]:
    """Return what an option's file, and those that it begins with, say of its keys, by dotted key."""
    files = files_of(folders, group)
    return _of_file(files[name], group, tuple(files.values())) if name in files else {}


def _of_file(file: Path, group: str, others: tuple[Path, ...], begun_by: tuple[Path, ...] = ()) -> dict[str, Said]:
    prefix = package_of(file, group)
    said: dict[str, Said] = {}
    for entry in yaml_of(file).get("defaults") or []:
        begun = [other for other in others if other.stem == entry and other not in (file, *begun_by)]
        for other in begun[:1]:
            said |= _of_file(other, group, others, (file, *begun_by))
    for key, one in said_in(file).items():
        full = f"{prefix}.{key}" if prefix else key
        if not one.comment and full in said:
            one = Said(one.value, said[full].comment)
        said[full] = one
    return said


def said_in(file: Path) -> dict[str, Said]:
    """Return what a file says of its keys and tables, by dotted keys within it; not of `defaults` and `hydra`."""
    stat = file.stat()
    return _said_in(file, stat.st_mtime_ns, stat.st_size)


@cache
def _said_in(file: Path, changed: int, size: int) -> dict[str, Said]:
    text = file.read_text(encoding="utf-8")
    root = yaml.compose(text, LOADER)
    if not isinstance(root, yaml.MappingNode):
        return {}
    ends: dict[int, int] = {}  # where the last value of a line ends
    firsts: dict[int, str] = {}  # the first key of a line: a comment is about that one
    pairs = list(_pairs(root, yaml_of(file), ""))
    for key, name, node, _ in pairs:
        firsts.setdefault(name.start_mark.line, key)
        for one in _inside(node, name):
            line = one.end_mark.line
            ends[line] = max(ends.get(line, 0), one.end_mark.column)
    lines, comments = text.splitlines(), {}
    for line, key in firsts.items():
        found = re.search(r"(?:^|\s)#\s*(.*)", lines[line][ends.get(line, 0) :])
        comments[key] = found.group(1).strip() if found else ""
    left_out = ("defaults", "hydra")
    return {
        key: Said(value, comments.get(key, "")) for key, _, _, value in pairs if key.partition(".")[0] not in left_out
    }


def _pairs(node: yaml.MappingNode, content: Mapping[Any, Any], prefix: str) -> Iterator[tuple[str, Any, Any, Any]]:
    """Yield each key of a table and of those in it: dotted, as its node, its value's node, and its value."""
    values = {str(key): value for key, value in content.items()}
    for name, inner in node.value:
        key, value = f"{prefix}{name.value}", values.get(name.value)
        yield key, name, inner, value
        if isinstance(inner, yaml.MappingNode) and isinstance(value, dict):
            yield from _pairs(inner, value, f"{key}.")


def _inside(value: Any, name: Any) -> Iterator[Any]:
    """Yield the nodes of a pair that end where they are seen to end: not a table that goes on below its key."""
    yield name
    if isinstance(value, yaml.ScalarNode) or value.flow_style:
        yield value


def typable(said: dict[str, Said]) -> Iterator[str]:
    """Yield the keys that a user types: those of values, and of no section for the check but parts that it brings."""
    for key, one in said.items():
        if isinstance(one.value, dict) and one.value:
            continue
        if is_typable(key, said):
            yield key


def is_typable(key: str, said: dict[str, Said]) -> bool:
    *above, last = key.split(".")
    if last in META_KEYS or (last == "_target_" and (key not in said or said[key].value != "???")):
        return False
    sections = [number for number, part in enumerate(above) if part in META_KEYS]
    if not sections:
        return True
    part = ".".join(above[: sections[0] + 2])  # as model.brings.degradation
    return len(sections) == 1 and above[sections[0]] == "brings" and f"{part}._target_" in said


def comment_on(key: str, said: dict[str, Said]) -> str:
    """Return what is said of a key: by its own comment, or by that of the table that it is in; "" where nothing is."""
    own = said.get(key)
    if own is not None and own.comment:
        return own.comment
    if own is not None and follows_from(own.value):
        return ""
    table = key.rpartition(".")[0]
    if not table or f"{table}._target_" in said:
        return ""
    return comment_on(table, said)


def follows_from(value: Any) -> list[str]:
    """Return the keys that a written value follows from: `${times:${dataset.channels},${model.pack}}` names two."""
    return list(dict.fromkeys(REFERENCE.findall(value))) if isinstance(value, str) else []
