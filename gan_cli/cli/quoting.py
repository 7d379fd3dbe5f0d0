"""Quotes for paths and free text that a user types, so that Hydra's grammar reads them as text."""

from __future__ import annotations

import os
import re
from typing import Any

TEXT_KEYS = (
    *("checkpoint", "init_from", "input", "mask", "name", "notes", "output", "perceptual.weights", "resume", "sweep"),
    *("hydra.run.dir", "hydra.sweep.dir", "a", "b", "runs", "features.weights"),
)
NAME_KEYS = ("labels",)
NAME = r"""\s*(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^\s,'"][^,]*)\s*"""  # one name of a list, with or without quotes


def quote(argument: str, multirun: bool = False) -> str:
    """Quote the path or text of an override: `dataset.root=/My pictures` becomes `dataset.root='/My pictures'`.

    A quoted value stays as it is. In a sweep a comma separates values, unless the whole value is a path that exists.
    """
    key, equals, value = argument.partition("=")
    name = key.lstrip("+~")
    if equals and name in NAME_KEYS and not argument.startswith("-"):
        names = names_in(value)
        return argument if names is None else f"{key}=[{','.join(map(as_text, names))}]"
    if not equals or argument.startswith("-") or not (name in TEXT_KEYS or name.endswith(".root")):
        return argument
    if value in ("", "null", "???") or (value[0] in "'\"" and value[-1:] == value[0] and len(value) > 1):
        return argument
    if re.search(r"\\[][\\(){}:=, \t]", value) and not os.path.exists(value):
        return argument  # escaped for Hydra already
    if "${" in value or (multirun and "," in value and not os.path.exists(os.path.expanduser(value))):
        return argument
    return f"{key}={as_text(value)}"


def as_text(value: str) -> str:
    """Quote a text so that Hydra reads exactly this text: `it's` becomes `'it\\'s'`."""
    before_quotes = value.replace("\\'", "\\\\'").replace("'", "\\'")
    trailing = len(before_quotes) - len(before_quotes.rstrip("\\"))
    return f"'{before_quotes}{chr(92) * trailing}'"


def names_in(value: str) -> list[str] | None:
    """Parse a list of names as text: a folder of pictures may be called 1, true, null or 007.

    One name needs no brackets; a name with a comma needs quotes. Return None where Hydra has to read the value: no
    list, a reference to another key, or a value that can't be parsed.
    """
    if value in ("", "null", "???") or "${" in value:
        return None
    inside = value[1:-1] if value[0] == "[" and value[-1] == "]" else value
    if not re.fullmatch(f"{NAME}(?:,{NAME})*", inside):
        return None
    return [unquoted(match.group().strip()) for match in re.finditer(NAME, inside)]


def unquoted(name: str) -> str:
    """Remove the quotes around a name: `'T-shirt'` becomes `T-shirt`."""
    quote = name[0]
    if quote not in "'\"" or len(name) < 2 or name[-1] != quote:
        return name
    return name[1:-1].replace(f"\\{quote}", quote)


def rendered(value: Any) -> str:
    """Format a plain value in Hydra's override grammar."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{rendered(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(rendered, value)) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return as_text(value) if isinstance(value, str) else str(value)
