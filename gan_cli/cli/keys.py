"""Tell every key of a composition, or of an option alone: its value, what it may be, and what its YAML says of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from gan_cli.base.allow_list import META_KEYS
from gan_cli.check.check_root import ROOT
from gan_cli.check.comments import Said, comment_on, follows_from, is_overlay, is_typable, said_by, said_in, typable
from gan_cli.check.config_folder import config_folder, defaults_of, files_of, yaml_of
from gan_cli.check.kinds import Kind, shown
from gan_cli.check.may_be import adds_to, kind_at, kinds_in, may_be, or_null
from gan_cli.check.signatures import bound, signature_of
from gan_cli.cli import options
from gan_cli.cli.printed import Values

COMMANDS: dict[str, type] = {
    "sample": options.Sample,
    "evaluate": options.Evaluate,
    "export": options.Export,
    "report": options.Report,
}
BROUGHT = re.compile(r"\$\{(brought|recommended):([\w.]+),")  # what a loss or a model may bring
LITERAL = re.compile(r"^\$\{[\w.]+:(?:[^$]*,)?([^$,\[\]]+|\[[^$\]]*\])\}$")  # a function with a plain last argument
SEARCH = "hydra.sweeper"


@dataclass(frozen=True)
class Key:
    """Hold a key that can be typed.

    Attributes:
        name: dotted.
        value: as it is typed; of an option alone the default, "" where it follows from other keys.
        kind: what it may be.
        about: its comment, or what it follows from; "" where nothing is known of it.
        mark: who set the value, "typed" or "experiment"; of an option alone "brought" where a loss or a model may.
    """

    name: str
    value: str
    kind: Kind
    about: str
    mark: str = ""

    @property
    def may_be(self) -> str:
        return may_be(self.kind)

    @property
    def line(self) -> str:
        """Return what is said behind the value in a list."""
        return ": ".join(text for text in (adds_to(self.kind, self.about), self.about) if text)


def value_text(value: Any) -> str:
    """Write a value as it is typed, in one line."""
    if isinstance(value, (list, tuple)):
        return f"[{','.join(map(value_text, value))}]"
    if isinstance(value, dict):
        own = {name: inner for name, inner in value.items() if name not in ("_target_", *META_KEYS)}
        return "{" + ",".join(f"{name}:{value_text(inner)}" for name, inner in own.items()) + "}"
    return shown(value)


def root_kinds(root: str) -> dict[str, Kind]:
    """Return what the keys at the top of a command's config may be."""
    if root == "train":
        own = options.options_of(options.Sample)
        return {**ROOT, "seed": own["seed"].kind, "trust": own["trust"].kind}
    return {key: argument.kind for key, argument in options.options_of(COMMANDS[root]).items()}


def kinds_of(content: Mapping[str, Any], root: str | None) -> dict[str, Kind]:
    """Return what all keys of a config may be.

    Args:
        content: with a node for each group.
        root: the command whose keys are at its top; None for those of an option alone.
    """
    kinds = {**(root_kinds(root) if root else {}), **kinds_in(content)}
    mode = content.get("mode")
    if isinstance(mode, dict) and isinstance(mode.get("_target_"), str):
        kinds |= {key: argument.kind for key, argument in bound("mode", mode).items()}
    if isinstance(content.get("sweeper"), dict):
        search = signature_of("gan_cli.cli.optuna_search.OptunaSweeper") or {}
        kinds |= {f"{SEARCH}.{key}": argument.kind for key, argument in search.items()}
    return kinds


def about(name: str, said: Mapping[str, Said]) -> str:
    """Return what is said of a key: the comment on it, and the keys that it follows from."""
    comment = comment_on(name, dict(said))
    keys = follows_from(said[name].value) if name in said else []
    told = all(key.rpartition(".")[2] in comment for key in keys)
    follows = "" if told else f"follows {' and '.join(keys)}"
    return "; ".join(text for text in (comment, follows) if text)


# ---- of a composition ----


@dataclass
class Composition:
    """Hold what would run, with what its files say of its keys.

    Attributes:
        values: of it.
        root: of the command's config.
        typed: the keys that were typed.
        folders: of the configs.
    """

    values: Values
    root: str
    typed: Sequence[str]
    folders: list[Path]
    said: dict[str, Said] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.said = {**said_of_root(self.root, self.folders)}
        for group, names in self.chosen.items():
            for name in names:
                if not self.lays_over(group, name):
                    self.said |= said_by(group, name, self.folders)

    @cached_property
    def several(self) -> list[str]:
        """Return the groups of which several options may be chosen."""
        return [group for group, option in defaults_of(self.root).items() if isinstance(option, list)]

    @cached_property
    def chosen(self) -> dict[str, list[str]]:
        """Return the options of each group: none, one, or several."""
        choices = {group.partition("@")[0]: option for group, option in self.values.choices.items()}
        several = {group: list(self.values.content.get(group) or {}) for group in self.several}
        one = {group: [str(option)] if option is not None else [] for group, option in choices.items()}
        return {group: [] for group in defaults_of(self.root)} | one | several  # Hydra keeps no record of lists

    @cached_property
    def kinds(self) -> dict[str, Kind]:
        return kinds_of(self.values.content, self.root)

    def lays_over(self, group: str, name: str) -> bool:
        file = files_of(self.folders, group).get(name)
        return file is not None and is_overlay(file, group)

    @cached_property
    def overlaid(self) -> set[str]:
        """Return the keys that an experiment sets."""
        files = [
            files_of(self.folders, group)[name]
            for group, names in self.chosen.items()
            for name in names
            if self.lays_over(group, name)
        ]
        return {key for file in files for key in typable(said_in(file))}

    def all_keys(self) -> list[Key]:
        """Return all that can be typed, in the order of the config."""
        return [self.key(name, value) for name, value in self.leaves(self.values.content, "")]

    def leaves(self, content: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
        """Yield names and values: a table is one value where its file has none of its keys, as `${...}` of a part."""
        for inner, value in content.items():
            name = f"{prefix}{inner}"
            written = self.said.get(name)
            table = isinstance(value, dict) and (written is None or isinstance(written.value, dict))
            if table and (value or name in self.chosen):
                yield from self.leaves(value, f"{name}.")
            elif is_typable(name, self.said) and name not in self.chosen:
                yield name, value

    def key(self, name: str, value: Any) -> Key:
        kind = kind_at(name, self.kinds)
        written = self.said.get(name)
        if written is not None and written.value is None:
            kind = or_null(kind)
        mark = "typed" if any(f"{name}.".startswith(f"{key}.") for key in self.typed if key not in self.chosen) else ""
        if not mark and any(f"{name}.".startswith(f"{key}.") for key in self.overlaid):
            mark = "experiment"
        text = about(name, self.said)
        by = "" if mark else self.bringer(written)
        about_it = "; ".join(part for part in (text, by) if part)
        elsewhere = isinstance(value, dict) and written is not None and isinstance(written.value, str) and not mark
        word = written.value if elsewhere and written else "needed" if value == "???" else value_text(value)
        return Key(name, word, kind, about_it, mark)

    def bringer(self, written: Said | None) -> str:
        """Say `loss=wgan brings it` of a value that the loss or the model has brought; else ""."""
        found = BROUGHT.search(str(written.value)) if written is not None else None
        if found is None:
            return ""
        path = [*(["optimizer"] if found.group(1) == "recommended" else []), *found.group(2).split(".")]
        content = self.values.content
        insists = ((content.get("model") or {}).get("brings") or {}).get("insists")
        for group in ("model", "loss") if insists else ("loss", "model"):
            value: Any = (content.get(group) or {}).get("brings")
            for part in path:
                value = value.get(part) if isinstance(value, dict) else None
            if value is not None:
                return f"{group}={','.join(self.chosen.get(group) or ['...'])} brings it"
        return ""

    def group_of(self, name: str) -> str:
        """Return the group whose option has a key; "" for one of the command's own."""
        top = name.partition(".")[0]
        if top in self.chosen:
            return top
        modes = (group for group, names in self.chosen.items() for option in names if self.has(group, option, name))
        return next(modes, "")

    def has(self, group: str, option: str, name: str) -> bool:
        return not self.lays_over(group, option) and name in said_by(group, option, self.folders)


# ---- of an option alone ----


def names_in_option(group: str, name: str, folders: Sequence[Path]) -> list[str]:
    """Return the keys that an option has; none of one that is laid over others."""
    return [] if is_overlay(files_of(folders, group)[name], group) else list(typable(said_by(group, name, folders)))


def keys_of_option(group: str, name: str, folders: Sequence[Path]) -> list[Key]:
    """Return them with the defaults of its file, and what each may be."""
    names = names_in_option(group, name, folders)
    if not names:
        return []
    said, kinds = said_by(group, name, folders), kinds_of(node_of(group, name, folders), None)
    return [written_key(key, said, kinds) for key in names]


def node_of(group: str, name: str, folders: Sequence[Path]) -> dict[str, Any]:
    """Return an option's file as it would stand in a config."""
    files = files_of(folders, group)
    content: dict[str, Any] = {}
    for entry in yaml_of(files[name]).get("defaults") or []:
        if isinstance(entry, str) and entry in files and entry != name:
            content |= yaml_of(files[entry])
    content |= yaml_of(files[name])
    return content if group in content or "/" in group else {group: content}


def said_of_root(root: str, folders: Sequence[Path]) -> dict[str, Said]:
    """Return what a command's own config says, the first folder's that has it."""
    files = [folder / f"{root}.yaml" for folder in (*folders, config_folder())]
    return next((said_in(file) for file in files if file.is_file()), {})


def keys_of_root(root: str, folders: Sequence[Path]) -> list[Key]:
    """Return those of a command's own config."""
    said = said_of_root(root, folders)
    kinds = root_kinds(root)
    return [written_key(key, said, kinds) for key in typable(said) if not isinstance(said[key].value, dict)]


def written_key(name: str, said: dict[str, Said], kinds: Mapping[str, Kind]) -> Key:
    value, kind = said[name].value, kind_at(name, kinds)
    mark = "brought" if BROUGHT.search(str(value)) else ""
    return Key(name, default_of(value), or_null(kind) if value is None else kind, about(name, said), mark)


def default_of(value: Any) -> str:
    """Write a default as its file has it; of `${recommended:eps,1e-8}` the last argument, "" where there is none."""
    if not (isinstance(value, str) and "${" in value):
        return "needed" if value == "???" else value_text(value)
    found = LITERAL.match(value)
    return value_text(yaml.safe_load(found.group(1))) if found else ""
