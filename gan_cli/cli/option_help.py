"""Answer `--help` beside what is typed: the keys of that composition, or all that there is to say of one key."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

from gan_cli.base.errors import UserError
from gan_cli.base.printable import tell
from gan_cli.check.comments import first_comment
from gan_cli.check.config_folder import defaults_of, files_of, yaml_of
from gan_cli.check.hints import beside, meant, synonym
from gan_cli.cli import outcome
from gan_cli.cli.composition import names_of
from gan_cli.cli.help import ORDER, options_of
from gan_cli.cli.judge import judge, parse, split_table
from gan_cli.cli.keys import Composition, Key, keys_of_option, keys_of_root, names_in_option
from gan_cli.cli.printed import Values
from gan_cli.cli.sentences import REFUSALS, sentence
from gan_cli.cli.typed import Typed, key_of

WIDTH, COLUMN = 100, 44  # of a line, and where its text begins
SEARCHES = "hydra/sweeper"  # the one group of Hydra's that this program has an option of

WouldRun = Callable[[Typed, str], Values]


def help_beside(typed: Typed, root: str, help_text: Callable[[list[Path]], str], would_run: WouldRun) -> int:
    """Print what `--help` says where something is typed beside it; returns the exit code.

    Args:
        typed: with overrides.
        root: of the command's config.
        help_text: what `--help` prints alone, for what composes to nothing.
        would_run: what would run.

    Raises:
        UserError: there is no such key.
    """
    words = [word for word in typed.overrides if is_key(word)]
    rest = Typed(typed.flags, [word for word in typed.overrides if word not in words])
    if typed.sweeps:  # of many compositions none is shown
        rest = Typed({flag: value for flag, value in typed.flags.items() if flag != "--multirun"}, [])
    try:
        judge(rest, f"gan-{root}", root)
        values = would_run(rest, root)
    except REFUSALS as error:
        values = Values({}, sentence(error, lambda: outcome.names(root), f"gan-{root}"), {})
    composition = Composition(values, root, keys_typed(rest, root), typed.folders())
    if words:
        print("\n\n".join(told(word, composition, rest) for word in dict.fromkeys(words)))
    elif values.content and any(not word.startswith("hydra.") for word in rest.overrides):
        print("\n".join(listed(composition)))
    else:
        print(help_text(typed.folders()))
    if values.refusal and (not words or not values.content):
        tell(f"this can't run yet: {values.refusal}", sys.stderr)
    return 0


def keys_typed(typed: Typed, root: str) -> list[str]:
    """Return the keys of what is typed: of a table those that it gives values to."""
    try:
        return [
            key_of(text) for override in typed.overrides for text in split_table(parse(override, f"gan-{root}"), root)
        ]
    except UserError:  # that is said elsewhere
        return list(map(key_of, typed.overrides))


def is_key(word: str) -> bool:
    """Say whether a word is a key alone, with no value; a path is none."""
    return "=" not in word and not word.startswith(("+", "~")) and ("/" not in word or word == SEARCHES)


# ---- a composition ----


def listed(composition: Composition) -> list[str]:
    """Write a line for each key, by groups: its value, what it may be, and what it is."""
    program = f"gan-{composition.root}"
    lines = [
        "The keys of what is typed here: KEY = the value that would run, what it may be, what it is.",
        f"{program} --help lists groups and examples, {program} --help KEY says all of one key.",
    ]
    by_group: dict[str, list[Key]] = {}
    for key in composition.all_keys():
        by_group.setdefault(composition.group_of(key.name), []).append(key)
    groups = sorted(composition.chosen, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))
    for group in sorted(groups, key=lambda name: name != "experiment"):  # which chooses the others
        if composition.chosen[group] or group != "experiment":
            lines += ["", *heading(group, composition), *map(line_of, by_group.get(group, []))]
    for override in composition.typed:
        if override == SEARCHES:
            found = keys_of_option(SEARCHES, "optuna", composition.folders)
            lines += ["", f"{SEARCHES}=optuna (typed)", *map(line_of, found)]
    return [*lines, "", "Keys of the command itself", *map(line_of, by_group.get("", []))]


def heading(group: str, composition: Composition) -> list[str]:
    """Write `model=sngan (typed): SNGAN (Miyato et al. 2018): ...`"""
    names, files = composition.chosen[group], files_of(composition.folders, group)
    several = group in composition.several
    word = f"[{','.join(names)}]" if several else names[0] if names else "null"
    by = chosen_by(group, composition)
    about = [first_comment(files[name]) for name in names if name in files]
    if not names:
        about = [f"{'none' if several else 'nothing'} chosen; there is {', '.join(files)}"]
    if len(about) == 1:
        return wrapped(f"{group}={word}{f' ({by})' if by else ''}: {about[0]}", "", "    ")
    titles = [
        line for name, text in zip(names, about, strict=False) for line in wrapped(f"{name}: {text}", "  ", "      ")
    ]
    return [f"{group}={word}{f' ({by})' if by else ''}", *titles]


def chosen_by(group: str, composition: Composition) -> str:
    """Return `typed`, or `by model=sngan`, for what another option chooses; "" for what is chosen by default."""
    if group in composition.typed:
        return "typed"
    for other in ("experiment", "model"):
        for name in composition.chosen.get(other, []):
            file = files_of(composition.folders, other).get(name)
            entries = (yaml_of(file).get("defaults") or []) if file is not None else []
            chosen = [str(key) for entry in entries if isinstance(entry, dict) for key in entry]
            if any(key.removeprefix("override /").partition("@")[0] == group for key in chosen):
                return f"by {other}={name}"
    return ""


def line_of(key: Key) -> str:
    """Write `  KEY = VALUE    what it may be: what it is`, wrapped below its text."""
    head = f"  {key.name} = {key.value}{f' ({key.mark})' if key.mark else ''}"
    lines = wrap(key.line, WIDTH - COLUMN, break_long_words=False, break_on_hyphens=False)
    first = [head] if len(head) > COLUMN - 2 else [f"{head:<{COLUMN}}{lines.pop(0)}"] if lines else [head]
    return "\n".join([*first, *(" " * COLUMN + line for line in lines)])


def wrapped(text: str, first: str, others: str) -> list[str]:
    return wrap(
        text, WIDTH, initial_indent=first, subsequent_indent=others, break_long_words=False, break_on_hyphens=False
    )


# ---- a key ----


def told(word: str, composition: Composition, typed: Typed) -> str:
    """Say all that there is to say of a key, or of all keys whose last part a word is.

    Raises:
        UserError: there is none.
    """
    folders, groups = composition.folders, groups_of(composition.root)
    if word in groups:
        return "\n".join(options_of(word, folders, ", several as [a,b]" if word in composition.several else ""))
    here = {key.name: key for key in composition.all_keys()}
    own = {key.name: key for key in keys_of_root(composition.root, folders)}
    options = [(group, option) for group in groups for option in files_of(folders, group)]
    inside = {(group, option): names_in_option(group, option, folders) for group, option in options}
    names = list(dict.fromkeys([*own, *here, *(name for each in inside.values() for name in each)]))
    found = [name for name in names if name == word or name.startswith(f"{word}.")]
    found = found or [name for name in names if f".{word}." in f".{name}."]
    if not found:
        raise UserError(of_option(word, composition) or missing(word, [*names, *groups], composition, typed))
    elsewhere = {
        choice(group, option, composition.root): keys_of_option(group, option, folders)
        for (group, option), each in inside.items()
        if {*each} & {*found}
    }
    said = [of_key(name, here.get(name), own.get(name), elsewhere, composition) for name in found]
    return "\n\n".join("\n".join(lines) for lines in said)


def groups_of(root: str) -> list[str]:
    return [*defaults_of(root), *([SEARCHES] if root == "train" else [])]


def of_option(word: str, composition: Composition) -> str:
    """Return the sentence for a word that is an option's name; "" where it is none."""
    of = [group for group in groups_of(composition.root) if word in files_of(composition.folders, group)]
    program = f"gan-{composition.root}"
    asked = " or ".join(f"{program} --help {choice(group, word, composition.root)}" for group in of)
    return f"{word} is an option and no key: {asked} lists its keys" if of else ""


def choice(group: str, name: str, root: str) -> str:
    return f"{group}=[{name}]" if isinstance(defaults_of(root).get(group), list) else f"{group}={name}"


def missing(word: str, names: Sequence[str], composition: Composition, typed: Typed) -> str:
    if word.startswith("hydra."):
        return f"{word} is for Hydra's own settings, as hydra.run.dir, the run's folder; --cfg hydra prints all of them"
    here = names_of(typed, composition.root)
    known = list(dict.fromkeys([*here, *names]))
    return synonym(word, here) or f"there is no key {word}{meant(word, known) or beside(word, known)}"


def of_key(
    name: str,
    here: Key | None,
    own: Key | None,
    elsewhere: Mapping[str, Sequence[Key]],
    composition: Composition,
) -> list[str]:
    """Write a key in full: the value that would run, then default, what it may be and what it is, by option."""
    options: dict[tuple[Any, ...], list[str]] = {}
    described: dict[tuple[Any, ...], Key] = {}
    for option, keys in elsewhere.items():
        for key in keys:
            if key.name == name:
                like = (key.value, key.may_be, key.about)
                options.setdefault(like, []).append(option)
                described[like] = key
    if own is not None:
        options, described = {("own",): []}, {("own",): own}
    if not options and here is not None:  # named by a model's players, or typed into a table
        options, described = {("here",): []}, {("here",): here}
    if here is not None:
        lines = [f"{name} = {here.value}{f' ({here.mark})' if here.mark else ''}"]
    else:
        why = absent(options.values(), composition)
        lines = [f"{name}, {why}" if why else name]
    kinds = {key.may_be for key in described.values()}
    if len(described) > 1 and len(kinds) == 1:
        lines += rows(("may be", kinds.pop()))
    for like, key in described.items():
        default = key.value or "none of its own"
        if len(described) == 1:
            lines += rows(
                ("default", default), ("may be", key.may_be), ("is", key.about), ("of", " ".join(options[like]))
            )
        else:
            kind = key.may_be if len({one.may_be for one in described.values()}) > 1 else ""
            text = ": ".join(part for part in (kind, key.about) if part)
            lines += wrapped(f"{' '.join(options[like])}: {default}; {text}", "    ", " " * 8)
    return lines


def rows(*titled: tuple[str, str]) -> list[str]:
    return [line for title, text in titled if text for line in wrapped(f"{title:<9}{text}", "    ", " " * 13)]


def absent(options: Iterable[Sequence[str]], composition: Composition) -> str:
    """Say why a key is none of this composition's; "" for a key of the command where nothing could be composed."""
    option = next((names[0] for names in options if names), None)
    if option is None:
        return ""
    group = option.partition("=")[0]
    chosen = composition.chosen.get(group, [])
    return f"which {group}={','.join(chosen)} does not have" if chosen else f"with {group}= as below"
