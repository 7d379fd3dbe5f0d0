"""Hints for keys and options that do not exist: a near name, another part's option, or another program's word."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gan_cli.base.allow_list import META_KEYS
from gan_cli.check.config_folder import options_in
from gan_cli.check.synonyms import KEYS, OPTIONS, Instead


def no_key(key: str, known: Sequence[str], folders: Iterable[Path], program: str) -> str:
    """Return the message for a key that the chosen options don't have.

    Args:
        key: as it was typed, dotted.
        known: the keys of the chosen options, and the groups.
        folders: the folders that hold the options of groups.
        program: the command's name.
    """
    if any(each.startswith(f"{key}.") for each in known):  # the key exists, and a table was typed for it
        return f"{key}={{...}} has a key that is not there{beside(f'{key}.', known)}"
    return (
        sentence_for_list(key, known, folders)
        or sentence_for_choice(key, known, folders)
        or sentence_for_group(key, known, folders)
        or synonym(key, known)
        or f"{key} is not an option{meant(key, known) or beside(key, known)}; {program} --cfg job prints all of them"
    )


def sentence_for_list(key: str, known: Sequence[str], folders: Iterable[Path]) -> str:
    """Return the message for a key of a penalty or metric that is not selected, else ""."""
    group, name, *_ = [*key.split("."), ""]
    if group not in ("penalty", "metric") or group not in known or not name:
        return ""
    key_of_loss = f"loss.penalties.{key.partition('.')[2]}"
    if key_of_loss in known:
        return f"{key} is not an option: the loss brings that penalty itself; {key_of_loss} is its key"
    options = options_in(folders, group)
    if any(each.startswith(f"{group}.{name}.") for each in known) or name not in options:
        return ""
    return sentence_for_unselected(key, group, name, options[name])


def sentence_for_choice(key: str, known: Sequence[str], folders: Iterable[Path]) -> str:
    """Return the message for a key that another option of a group brings to the root, as a mode does, else ""."""
    for group in known:
        options = {} if "." in group else options_in(folders, group)
        matches = [name for name, option in options.items() if key in option and is_part(option.get(group))]
        if matches and key != group:
            return f"{key}= is for {group}={', '.join(matches)}"
    return ""


def is_part(node: Any) -> bool:
    return isinstance(node, dict) and "_target_" in node


def sentence_for_group(key: str, known: Sequence[str], folders: Iterable[Path]) -> str:
    """Return the message for a key of another option of its group, or of a group without a choice, else ""."""
    group, _, rest = key.partition(".")
    if not rest or group not in known:
        return ""
    options = options_in(folders, group)
    chosen = any(each.startswith(f"{group}.") for each in known)
    where = f" of this {group}" if chosen else f": no {group} is chosen"
    matches = [name for name, option in options.items() if rest in option]
    if matches:
        return f"{key} is not an option{where}; {rest} is an option of {group}={', '.join(matches)}"
    if chosen or not any("_target_" in option for option in options.values()):
        return ""  # without any `_target_` they are experiments, whose keys belong to other groups
    return f"{key} is not an option{where}; {group} is one of {', '.join(options)}"


def synonym(key: str, known: Sequence[str]) -> str:
    """Return `there is no lr: ...` where other programs have that word for an option of another name here, else ""."""
    word = key.rpartition(".")[2]
    if any(each.rpartition(".")[0] == key.rpartition(".")[0] and is_slip_of(word, each) for each in known):
        return ""  # a typing error is likelier than another program's word
    for instead in KEYS.get(word.lower(), ()):
        if typable(instead, known):
            return f"there is no {key}: {phrase(instead)}"
    return ""


def is_slip_of(word: str, key: str) -> bool:
    last = key.rpartition(".")[2]
    return word != last and bool(difflib.get_close_matches(word, [last], cutoff=0.85))


def phrase(instead: Instead) -> str:
    return f"{' '.join(instead.typed)} {instead.about}".strip()


def typable(instead: Instead, known: Sequence[str]) -> bool:
    """Return whether the chosen options have the keys and groups that a replacement types.

    A key of a group that the replacement itself chooses counts as known.
    """
    keys = [text.partition("=")[0] for text in instead.typed]
    keys_exist = all(key in known or key.partition(".")[0] in {*known} & {*keys} for key in keys)
    return keys_exist and (not instead.of or instead.of in known)


def no_option(group: str, option: str, options: Sequence[str]) -> str:
    """Return the message for an option that a group does not have."""
    typed = OPTIONS.get(group, {}).get(option.lower(), "").format(word=option.lower())
    hint = f"; {typed} is the nearest here" if typed else meant(option, options)
    known_options = f"; {group} is one of {', '.join(options)}" if options else f": there is no group {group}"
    return f"{group}={option} does not exist{hint}{known_options}"


def sentence_for_unselected(key: str, group: str, name: str, option: Mapping[str, Any]) -> str:
    """Return the message for a key of a penalty or metric that is not selected, and that may lack the key too."""
    node = option.get(name, {})  # its file is merged into its group's table
    own_keys = {inner: f"{group}.{name}.{inner}" for inner in node if inner not in ("_target_", *META_KEYS)}
    inner_key = key.removeprefix(f"{group}.{name}").lstrip(".")
    if not inner_key or inner_key.partition(".")[0] in own_keys:
        return f"{key} is not an option: is its {group} selected? {group}=[{name}] adds it"
    has = f"has {', '.join(own_keys)}" if own_keys else "has no keys of its own"
    return (
        f"{key} is not an option{meant(key, list(own_keys.values()))}; {group}=[{name}], which is not selected, {has}"
    )


def beside(key: str, names: Sequence[str]) -> str:
    """Return `; model.generator has a, b`, the keys that a mistyped key has beside it, or "" where it has none."""
    parent = key.rpartition(".")[0]
    inside = [name.removeprefix(f"{parent}.") for name in names if parent and name.startswith(f"{parent}.")]
    others = [name for name in dict.fromkeys(name.partition(".")[0] for name in inside) if name not in META_KEYS]
    return f"; {parent} has {', '.join(others)}" if others else ""


def meant(word: str, names: Sequence[str]) -> str:
    """Return `; did you mean a or b?` with the names that are near to a word, or "".

    A key is also found by its last part alone, and only if its last part is near.
    """
    names, last = [name for name in dict.fromkeys(names) if name != word], word.rpartition(".")[2]
    matches = difflib.get_close_matches(word, names, n=3, cutoff=0.6)
    matches = [name for name in matches if difflib.get_close_matches(last, [name.rpartition(".")[2]])]
    if not matches:
        tails = {name.rpartition(".")[2]: name for name in names}
        matches = [tails[tail] for tail in difflib.get_close_matches(last, list(tails), n=3, cutoff=0.75)]
    return f"; did you mean {' or '.join(matches)}?" if matches else ""
