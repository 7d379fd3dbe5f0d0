"""What a key or option that does not exist may have meant: a near name, another part's, or another program's word."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path

import yaml

from gan_cli.cli.synonyms import KEYS, OPTIONS, Instead


def no_key(key: str, known: Sequence[str], folders: Iterable[Path], program: str) -> str:
    """The sentence for a key that the chosen options don't have.

    Args:
        key: as it was typed, dotted.
        known: the keys of what is chosen, and the groups.
        folders: where the options of groups are.
    """
    group, _, rest = key.partition(".")
    if group in ("penalty", "metric") and group in known and rest:
        name = rest.partition(".")[0]
        brought = f"loss.penalties.{key.partition('.')[2]}"
        if brought in known:
            return f"{key} is not an option: the loss brings that penalty itself; {brought} is its key"
        chosen = any(each.startswith(f"{group}.{name}.") for each in known)
        if not chosen and any((folder / group / f"{name}.yaml").is_file() for folder in folders):
            return f"{key} is not an option: is its {group} selected? {group}=[{name}] adds it"
    having = owners(folders, group, rest) if rest and "." not in rest and group in known else []
    if having:
        return f"{key} is not an option of this {group}; {rest} is an option of {group}={', '.join(having)}"
    return synonym(key, known) or (
        f"{key} is not an option{meant(key, known) or beside(key, known)}; {program} --cfg job prints all of them"
    )


def synonym(key: str, known: Sequence[str]) -> str:
    """`there is no lr: ...`, where other programs have that word and this one another; else nothing."""
    word = key.rpartition(".")[2]
    if any(each.rpartition(".")[0] == key.rpartition(".")[0] and near(word, each) for each in known):
        return ""  # a slip of the fingers is nearer than another program's word
    for instead in KEYS.get(word.lower(), ()):
        if typable(instead, known):
            return f"there is no {key}: {said(instead)}"
    return ""


def near(word: str, key: str) -> bool:
    last = key.rpartition(".")[2]
    return word != last and bool(difflib.get_close_matches(word, [last], cutoff=0.85))


def said(instead: Instead) -> str:
    return f"{' '.join(instead.typed)} {instead.about}".strip()


def typable(instead: Instead, known: Sequence[str]) -> bool:
    """Whether the chosen options have these keys and groups; what is below an option typed with them is its own."""
    keys = [text.partition("=")[0] for text in instead.typed]
    there = all(key in known or key.partition(".")[0] in {*known} & {*keys} for key in keys)
    return there and (not instead.of or instead.of in known)


def no_option(group: str, option: str, options: Sequence[str]) -> str:
    """The sentence for an option that a group does not have."""
    typed = OPTIONS.get(group, {}).get(option.lower(), "").format(word=option.lower())
    hint = f"; {typed} is the nearest here" if typed else meant(option, options)
    there = f"; {group} is one of {', '.join(options)}" if options else f": there is no group {group}"
    return f"{group}={option} does not exist{hint}{there}"


def owners(folders: Iterable[Path], group: str, key: str) -> list[str]:
    """The options of a group whose YAML has a key at its top: of `mixing`, stylegan and stylegan2."""
    files = sorted(file for folder in folders for file in (folder / group).glob("*.yaml"))
    return [file.stem for file in files if key in (yaml.safe_load(file.read_text(encoding="utf-8")) or {})]


def beside(key: str, names: Sequence[str]) -> str:
    """`; model.generator has a, b`, where there is a model.generator: what else its key may have meant."""
    parent = key.rpartition(".")[0]
    inside = [name.removeprefix(f"{parent}.") for name in names if parent and name.startswith(f"{parent}.")]
    others = dict.fromkeys(name.partition(".")[0] for name in inside)
    return f"; {parent} has {', '.join(others)}" if others else ""


def meant(word: str, names: Sequence[str]) -> str:
    """`; did you mean a or b?`, or nothing. A key is also found by its last part, and never without it."""
    names, last = list(dict.fromkeys(names)), word.rpartition(".")[2]
    near = difflib.get_close_matches(word, names, n=3, cutoff=0.6)
    near = [name for name in near if difflib.get_close_matches(last, [name.rpartition(".")[2]])]
    if not near:
        tails = {name.rpartition(".")[2]: name for name in names}
        near = [tails[tail] for tail in difflib.get_close_matches(last, list(tails), n=3, cutoff=0.75)]
    return f"; did you mean {' or '.join(near)}?" if near else ""
