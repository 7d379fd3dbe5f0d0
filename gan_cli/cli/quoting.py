"""Paths and free text as a user types them, quoted for Hydra's grammar."""

from __future__ import annotations

import difflib
import os
import re
from itertools import pairwise

from gan_cli.errors import UserError

TEXT_KEYS = (
    *("checkpoint", "init_from", "input", "mask", "name", "notes", "output", "perceptual.weights", "resume", "sweep"),
    *("hydra.run.dir", "hydra.sweep.dir", "a", "b", "runs", "features.weights"),
)
NAME_KEYS = ("labels",)
NAME = r"""\s*(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^\s,'"][^,]*)\s*"""  # one of a list, in quotes or without


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
    if equals and name in NAME_KEYS and not argument.startswith("-"):
        names = names_in(value)
        return argument if names is None else f"{key}=[{','.join(map(as_text, names))}]"
    if not equals or argument.startswith("-") or not (name in TEXT_KEYS or name.endswith(".root")):
        return argument
    if value in ("", "null", "???") or (value[0] in "'\"" and value[-1:] == value[0] and len(value) > 1):
        return argument
    if "${" in value or (multirun and "," in value and not os.path.exists(os.path.expanduser(value))):
        return argument
    return f"{key}={as_text(value)}"


def as_text(value: str) -> str:
    """`it's` -> `'it\\'s'`: what Hydra reads as just this text."""
    before_quotes = value.replace("\\'", "\\\\'").replace("'", "\\'")
    trailing = len(before_quotes) - len(before_quotes.rstrip("\\"))
    return f"'{before_quotes}{chr(92) * trailing}'"


def names_in(value: str) -> list[str] | None:
    """The names of a list as they are typed: a folder of pictures may be called 1, true, null or 007.

    One name needs no brackets, and one with a comma in it quotes. None where Hydra shall read it: no list at all, one
    that refers to another key, and what can't be read.
    """
    if value in ("", "null", "???") or "${" in value:
        return None
    inside = value[1:-1] if value[0] == "[" and value[-1] == "]" else value
    if not re.fullmatch(f"{NAME}(?:,{NAME})*", inside):
        return None
    return [unquoted(match.group().strip()) for match in re.finditer(NAME, inside)]


def unquoted(name: str) -> str:
    """`'T-shirt'` -> `T-shirt`"""
    quote = name[0]
    if quote not in "'\"" or len(name) < 2 or name[-1] != quote:
        return name
    return name[1:-1].replace(f"\\{quote}", quote)


# Hydra's own flags, and how many values each takes; `--info` may have one
FLAGS = {
    **dict.fromkeys(("-m", "--multirun", "-r", "--run", "--resolve", "--hydra-help", "-sc", "--shell-completion"), 0),
    **dict.fromkeys(("-cd", "--config-dir", "-cn", "--config-name", "-cp", "--config-path", "-c", "--cfg"), 1),
    **dict.fromkeys(("-p", "--package", "--experimental-rerun"), 1),
}
INFO = ("--info", "-i")


def flags_first(arguments: list[str]) -> list[str]:
    """Hydra's parser wants its flags before the overrides; a person puts them anywhere.

    Raises:
        UserError: a flag that does not exist.
    """
    flags, overrides, rest = [], [], list(arguments)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            overrides.append(word)
        elif word.partition("=")[0] in FLAGS:
            flags += [word, *(rest.pop(0) for _ in range(FLAGS.get(word, 0)) if rest)]
        elif word in INFO:
            flags += [word, rest.pop(0) if rest and "=" not in rest[0] and not rest[0].startswith("-") else "all"]
        else:
            known = [*FLAGS, *INFO, "--help", "--version"]
            near = difflib.get_close_matches(word.partition("=")[0], known, n=1)
            raise UserError(f"there is no flag {word}" + (f"; did you mean {near[0]}?" if near else "; see --help"))
    return [*flags, *overrides]


def typed_flags(arguments: list[str]) -> tuple[list[str], list[str]]:
    """The flags among arguments that `flags_first` has ordered, without their values, and the overrides."""
    flags, rest = [], list(arguments)
    while rest and rest[0].startswith("-"):
        flag = rest.pop(0)
        flags.append(flag.partition("=")[0])
        takes = 1 if flag in INFO else FLAGS.get(flag, 0)
        rest = rest[takes:]
    return flags, rest


def flag_value(arguments: list[str], *names: str) -> str | None:
    """What follows a flag that takes a value; None where it was not given."""
    return next((value for flag, value in pairwise(arguments) if flag in names), None)


def value_of(arguments: list[str], key: str) -> str | None:
    """The value typed for `key`, unquoted; None where it was not given or is null."""
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if equals and name == key and value not in ("", "null"):
            quotes = value[0] in "'\"" and value[-1] == value[0] and len(value) > 1
            return value[1:-1].replace("\\'", "'") if quotes else value
    return None
