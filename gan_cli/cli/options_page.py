"""Make `docs/options.md` of the YAML files, for `make options`.

Every group, its options, and their keys with default, what each may be, and what it is. Keys that several options of a
group share, and those that follow from others, stand once.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gan_cli.base.run_folder import flat
from gan_cli.check.comments import first_comment, is_overlay
from gan_cli.check.config_folder import config_folder, defaults_of, files_of, yaml_of
from gan_cli.cli.help import ORDER
from gan_cli.cli.keys import Key, keys_of_option, keys_of_root, value_text
from gan_cli.cli.option_help import SEARCHES

SHARED = 3  # options in which a key is told once for all of them
INTRODUCTION = """\
# Options

Every group of options, every option, and every key, with its default, what it may be, and what it is. This page is made
from `conf/` by `make options`; what is true of your own command line says the program itself:

    gan-train --help                             # groups, options, examples
    gan-train --help model=sngan loss=hinge      # every key of that composition, with the value that would run
    gan-train --help trainer.keep_checkpoints    # all of one key; also by its last part: keep_checkpoints

A key is typed as `KEY=VALUE`, an option as `GROUP=OPTION`. `*` behind a default: the loss or the model may bring
another one, as its section says. *Needed*: there is no default."""
ABOUT = {
    "train": "gan-train",
    "sample": "gan-sample",
    "evaluate": "gan-evaluate",
    "report": "gan-report",
    "export": "gan-export",
}
OF_TTUR = {f"ttur.{player}": f"optimizer.rates.{player}" for player in ("generator", "discriminator")}
FOR = {  # the keys that words of `brings:` are for
    **OF_TTUR,
    "n_critic": "loss.n_critic",
    "critic_norm": "model.discriminator.norm",
    "adversarial_weight": "model.adversarial_weight",
}
Options = Mapping[str, Sequence[Key]]


def page() -> str:
    """Return the whole page."""
    groups = sorted(defaults_of("train"), key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))
    groups = [*groups, SEARCHES, "mode"]
    links = ", ".join(f"[{name}](#{anchor(name)})" for name in groups)
    commands = ", ".join(f"[{name}](#keys-of-{name})" for name in ABOUT.values())
    lines = [INTRODUCTION, "", f"Groups: {links}. Keys of the commands themselves: {commands}.", ""]
    for group in groups:
        lines += of_group(group)
    for root, program in ABOUT.items():
        lines += [f"## Keys of {program}", "", *table(keys_of_root(root, [config_folder()])), ""]
    return "\n".join(lines).rstrip() + "\n"


def of_group(group: str) -> list[str]:
    """Write a group: its options, the keys that they share, then each option."""
    files = files_of([config_folder()], group)
    own = {name: keys_of_option(group, name, [config_folder()]) for name in files}
    shared = [key for key in shared_keys(own) if not follows(key)]
    lines = [f"## {group}", "", typed_as(group), ""]
    lines += ["| option | what it is |", "|---|---|"]
    lines += [
        f"| [{name}](#{anchor(f'{group}={name}')}) | {cell(first_comment(file))} |" for name, file in files.items()
    ]
    if shared:
        lines += ["", f"Keys of several options of {group}:", ""]
        lines += ["| key | default | may be | what it is | options |", "|---|---|---|---|---|"]
        lines += [row_of_shared(key, own) for key in shared]
    if following := following_keys(own):
        lines += ["", f"Keys of {group} that follow from others unless they are typed:", ""]
        lines += ["| key | what it is | options |", "|---|---|---|"]
        lines += [f"| `{name}` | {cell(text)} | {listed(having, own)} |" for (name, text), having in following.items()]
    for name, file in files.items():
        lines += ["", *of_option(group, name, file, own[name], shared)]
    return [*lines, ""]


def typed_as(group: str) -> str:
    """Say how a group is typed, and what is chosen of it by default."""
    if group == SEARCHES:
        return f"`gan-train -m {group}=OPTION`: instead of a grid of all values."
    program, root = ("gan-sample", "sample") if group == "mode" else ("gan-train", "train")
    programs = f"`{program}`" + (" and `gan-evaluate`" if group in defaults_of("evaluate") else "")
    default = defaults_of(root)[group]
    if isinstance(default, list):
        return f"`{group}=[OPTION,OPTION]`, of {programs}; none by default."
    chosen = f"`{default}` by default" if default is not None else "none by default"
    return f"`{group}=OPTION`, of {programs}; {chosen}."


def of_option(group: str, name: str, file: Path, keys: Sequence[Key], shared: Sequence[Key]) -> list[str]:
    """Write an option: what it is, what it chooses and brings, and the keys that are not told above."""
    lines = [f"### {group}={name}", "", f"{cell(first_comment(file))}."]
    content = yaml_of(file)
    chosen = [f"`{key}={value_text(option)}`" for key, option in chosen_by(content).items()]
    lines += ["", f"Chooses {', '.join(chosen)}."] if chosen else []
    if is_overlay(file, group):
        sets = flat({key: value for key, value in content.items() if key != "defaults"})
        return [*lines, "", f"Sets {', '.join(f'`{key}={value_text(value)}`' for key, value in sets.items())}."]
    if brought := brought_by(content):
        lines += ["", f"Brings {', '.join(brought)}."]
    like = [same(key) for key in shared]
    elsewhere = [key for key in keys if same(key) in like or follows(key)]
    own = [key for key in keys if key not in elsewhere]
    lines += ["", *table(own)] if own else []
    if elsewhere:
        names = ", ".join(f"`{key.name}{f'={key.value}' if key.value else ''}`" for key in elsewhere)
        lines += ["", f"{'Also' if own else 'It has'}, as [above](#{anchor(group)}): {names}."]
    return lines


def chosen_by(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of other groups that an option's file chooses."""
    entries = [entry for entry in content.get("defaults") or [] if isinstance(entry, dict)]
    pairs = [pair for entry in entries for pair in entry.items()]
    return {str(key).removeprefix("override /").partition("@")[0]: option for key, option in pairs}


def brought_by(content: Mapping[str, Any]) -> list[str]:
    """Say what a loss or a model brings for the keys of others, where nothing is typed for them."""
    brings = content.get("brings") or {}
    plain = {key: value for key, value in brings.items() if not (isinstance(value, dict) and "_target_" in value)}
    values = {name: value_text(value) for name, value in flat(plain).items() if name != "insists"}
    return [
        f"`{FOR.get(name, name)}={value}`{' with optimizer=ttur' * (name in OF_TTUR)}" for name, value in values.items()
    ]


# ---- tables ----


def table(keys: Iterable[Key]) -> list[str]:
    rows = [f"| `{key.name}` | {default(key)} | {cell(key.may_be)} | {cell(key.about)} |" for key in keys]
    return ["| key | default | may be | what it is |", "|---|---|---|---|", *rows]


def row_of_shared(key: Key, own: Options) -> str:
    """Write a key that several options have, with each of its defaults."""
    by_default: dict[str, list[str]] = {}
    for name, keys in own.items():
        for one in keys:
            if same(one) == same(key):
                by_default.setdefault(default(one), []).append(name)
    having = [name for names in by_default.values() for name in names]
    usual = max(by_default, key=lambda value: len(by_default[value]))
    others = [f"{value} with {', '.join(names)}" for value, names in by_default.items() if value != usual]
    told = [f"`{key.name}`", "; ".join([usual, *others]), cell(key.may_be), cell(key.about), listed(having, own)]
    return f"| {' | '.join(told)} |"


def shared_keys(own: Options) -> list[Key]:
    """Return the keys that at least `SHARED` options have in the same words, or all of a smaller group."""
    found: dict[tuple[Any, ...], list[Key]] = {}
    for keys in own.values():
        for key in keys:
            found.setdefault(same(key), []).append(key)
    all_of_them = max(2, len([keys for keys in own.values() if keys]))
    return [keys[0] for keys in found.values() if len(keys) >= min(SHARED, all_of_them)]


def following_keys(own: Options) -> dict[tuple[str, str], list[str]]:
    """Return what is said of keys without a default of their own, with the options that have them."""
    found: dict[tuple[str, str], list[str]] = {}
    for name, keys in own.items():
        for key in keys:
            if follows(key):
                found.setdefault((key.name, key.about), []).append(name)
    return dict(sorted(found.items()))


def follows(key: Key) -> bool:
    return not key.value


def same(key: Key) -> tuple[str, str, str]:
    """Return what two options say of a key in the same words."""
    return key.name, key.may_be, key.about


def default(key: Key) -> str:
    shown = "*needed*" if key.value == "needed" else f"`{key.value}`"
    return f"{shown} \\*" if key.mark == "brought" else shown


def listed(names: Sequence[str], own: Options) -> str:
    """Name options, in one word where they are all that have keys."""
    return "all" if len(names) == len([keys for keys in own.values() if keys]) else ", ".join(names)


def cell(text: str) -> str:
    """Escape a text that stands in a table's cell as it is."""
    return re.sub(r"([|*<]|\b_(?=\w)|(?<=\w)_\b)", r"\\\1", text)


def anchor(title: str) -> str:
    """Return the name of a heading in a link, as GitHub and MkDocs make it."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def main(arguments: Sequence[str]) -> int:
    """Write the page to the file that is named, or print it."""
    if arguments:
        Path(arguments[0]).write_text(page(), encoding="utf-8")
    else:
        sys.stdout.write(page())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
