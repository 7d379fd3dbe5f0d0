"""Paths and free text as a user types them, quoted for Hydra's grammar."""

from __future__ import annotations

import os
import re

TEXT_KEYS = (
    *("checkpoint", "init_from", "input", "mask", "name", "notes", "output", "perceptual.weights", "resume", "sweep"),
    *("hydra.run.dir", "hydra.sweep.dir", "a", "b", "runs", "features.weights"),
)


def quote(argument: str, multirun: bool = False) -> str:
    """`dataset.root=/Pictures (2024)` -> `dataset.root='/Pictures (2024)'`; what is quoted already stays.

    In a sweep a comma separates values, unless the whole value is a path that exists.
    """
    key, equals, value = argument.partition("=")
    name = key.lstrip("+~")
    if not equals or argument.startswith("-") or not (name in TEXT_KEYS or name.endswith(".root")):
        return argument
    if value in ("", "null", "???") or (value[0] in "'\"" and value[-1:] == value[0] and len(value) > 1):
        return argument
    if re.search(r"\\[][\\(){}:=, \t]", value) and not os.path.exists(value):
        return argument  # escaped for Hydra already
    if "${" in value or (multirun and "," in value and not os.path.exists(os.path.expanduser(value))):
        return argument
    before_quotes = value.replace("\\'", "\\\\'").replace("'", "\\'")
    trailing = len(before_quotes) - len(before_quotes.rstrip("\\"))
    return f"{key}='{before_quotes}{chr(92) * trailing}'"
