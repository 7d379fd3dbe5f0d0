"""The command line as it was typed: flags and overrides, parsed once. `judge` refuses what can't work."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

from gan_cli.base.errors import UserError
from gan_cli.base.files import expanded
from gan_cli.check.config_folder import config_folder
from gan_cli.cli.quoting import quote

SHORT = {
    **{"-h": "--help", "-m": "--multirun", "-r": "--run", "-sc": "--shell-completion", "-c": "--cfg", "-i": "--info"},
    **{"-p": "--package", "-cp": "--config-path", "-cn": "--config-name", "-cd": "--config-dir"},
}
ALONE = ("--help", "--version", "--hydra-help", "--multirun", "--run", "--resolve", "--shell-completion")
WITH_VALUE = {  # the values that each flag takes; an empty tuple: any value
    "--cfg": ("job", "hydra", "all"),
    "--info": ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath"),
    **dict.fromkeys(("--package", "--config-path", "--config-name", "--config-dir", "--experimental-rerun"), ()),
}
FOLDERS = ("--config-path", "--config-dir")


@dataclass
class Typed:
    """A parsed command line: flag values (or "") by the long names of the flags, and overrides quoted for Hydra."""

    flags: dict[str, str] = field(default_factory=dict)
    overrides: list[str] = field(default_factory=list)

    @property
    def sweeps(self) -> bool:
        return "--multirun" in self.flags or value_of(self.overrides, "hydra.mode") == "MULTIRUN"

    @property
    def arguments(self) -> list[str]:
        """Return the words for Hydra's own parser: flags first, then overrides."""
        flags = [word for flag, value in self.flags.items() for word in ([flag, value] if value else [flag])]
        return [*flags, *self.overrides]

    def folders(self) -> list[Path]:
        """List the folders that hold config groups.

        The project's configs (or `--config-path`) come first, then `--config-dir`, then `hydra.searchpath`.
        """
        first = Path(self.flags["--config-path"]) if "--config-path" in self.flags else config_folder()
        added = [Path(self.flags["--config-dir"])] if "--config-dir" in self.flags else []
        return [first, *added, *search_path(value_of(self.overrides, "hydra.searchpath"))]


def completed(typed: Typed) -> Typed:
    """Add to a completion query the config folders that the line under completion names.

    The shell puts that line into `COMP_LINE`.
    """
    words = os.environ.get("COMP_LINE", "").replace("=", " ").split()
    named = [(SHORT.get(word, word), value) for word, value in pairwise(words)]
    folders = {flag: str(Path(value).expanduser().absolute()) for flag, value in named if flag in FOLDERS}
    existing = {flag: folder for flag, folder in folders.items() if Path(folder).is_dir()}
    return Typed({**existing, **typed.flags}, typed.overrides)


def read(arguments: Sequence[str]) -> Typed:
    """Parse a command line into flags and overrides.

    Raises:
        UserError: a flag that does not exist, lacks its value or has a wrong one; the home folder of an unknown user.
    """
    typed, rest = Typed(), list(arguments)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            typed.overrides.append(word)
            continue
        name, equals, value = word.partition("=")
        flag = SHORT.get(name, name)
        if flag == "--info" and not equals:
            value = rest.pop(0) if rest and "=" not in rest[0] and not rest[0].startswith(("-", "~")) else "all"
        elif flag in WITH_VALUE and not equals:
            value = rest.pop(0) if rest and not rest[0].startswith("-") else ""
        typed.flags[flag] = checked_value(name, flag, value, equals)
        if flag in FOLDERS:  # Hydra would look for a relative one beside this program's own files
            typed.flags[flag] = str(expanded(value).absolute())
    typed.overrides = [quote(word, typed.sweeps) for word in typed.overrides]
    return typed


def checked_value(name: str, flag: str, value: str, equals: str) -> str:
    if flag in ALONE and not equals:
        return ""
    if flag in ALONE:
        raise UserError(f"{name} takes no value: leave out ={value}")
    if flag not in WITH_VALUE:
        near = difflib.get_close_matches(flag, [*ALONE, *WITH_VALUE], n=1)
        raise UserError(f"there is no flag {name}" + (f"; did you mean {near[0]}?" if near else "; see --help"))
    known = WITH_VALUE[flag]
    if not value or (known and value not in known):
        expected = f"one of {', '.join(known)}" if known else "a value"
        raise UserError(
            f"{name} takes {expected}" + (f", not {value}" if value else f": {name} {(known or ('...',))[0]}")
        )
    return value


def value_of(overrides: Sequence[str], key: str) -> str | None:
    """Return the value typed for `key`, with or without a `+`, unquoted; of several the last one, as Hydra does.

    Return None where the key is not typed, or its value is empty or null.
    """
    for override in reversed(overrides):
        _, equals, value = override.partition("=")
        if equals and key_of(override) == key:
            quotes = value[:1] in ("'", '"') and value[-1] == value[0] and len(value) > 1
            text = value[1:-1].replace("\\'", "'") if quotes else value
            return None if text in ("", "null") else text
    return None


def search_path(text: str | None) -> list[Path]:
    """List the existing folders that `hydra.searchpath=[file://DIR,pkg://PACKAGE]` names."""
    return folders_at(entry.strip(" '\"") for entry in (text or "").strip("[]").split(","))


def folders_at(places: Iterable[str]) -> list[Path]:
    """List the existing folders among places such as `file://DIR` or `pkg://PACKAGE`. Import no package."""
    folders = []
    for text in places:
        scheme, _, place = text.rpartition("://")
        if scheme == "pkg":
            package, *below = place.replace("/", ".").split(".")
            spec = find_spec(package) if package else None
            folders += [Path(root, *below) for root in (spec and spec.submodule_search_locations) or []]
        elif place and scheme in ("", "file"):
            folders.append(Path(place))
    return [folder for folder in folders if folder.is_dir()]


def key_of(override: str) -> str:
    """Return the key of an override, without a `+` or `~` before it."""
    return override.partition("=")[0].lstrip("+~")


def check_named(overrides: Sequence[str], keys: Sequence[str] = ("resume", "init_from")) -> None:
    """Check that none of the keys is typed without a value.

    Raises:
        UserError: a key has no value, as when a variable of the shell is not set.
    """
    for override in overrides:
        _, equals, value = override.partition("=")
        if equals and key_of(override) in keys and value in ("", "''", '""'):
            raise UserError(f"{key_of(override)}= names no run: give its folder, or leave it out")
