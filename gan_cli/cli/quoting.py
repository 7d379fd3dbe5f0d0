"""Paths and free text as a user types them, quoted for Hydra's grammar."""

from __future__ import annotations

import os

TEXT_KEYS = ("checkpoint", "init_from", "input", "mask", "name", "notes", "output", "resume", "sweep",
             "hydra.run.dir", "hydra.sweep.dir")  # fmt: skip


def quoted(arguments: list[str]) -> list[str]:
    """Command-line arguments with the values of paths and free text quoted, so that they work as typed."""
    multirun = any(argument in ("-m", "--multirun") for argument in arguments)
    return [quote(argument, multirun) for argument in arguments]


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
    if "${" in value or (multirun and "," in value and not os.path.exists(os.path.expanduser(value))):
        return argument
    before_quotes = value.replace("\\'", "\\\\'").replace("'", "\\'")
    trailing = len(before_quotes) - len(before_quotes.rstrip("\\"))
    return f"{key}='{before_quotes}{chr(92) * trailing}'"


def value_of(arguments: list[str], key: str) -> str | None:
    """The value typed for `key`, unquoted; None where it was not given or is null."""
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if equals and name == key and value not in ("", "null"):
            quotes = value[0] in "'\"" and value[-1] == value[0] and len(value) > 1
            return value[1:-1].replace("\\'", "'") if quotes else value
    return None
