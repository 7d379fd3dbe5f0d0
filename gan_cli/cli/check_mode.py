"""The checks of a mode of `gan-sample`: its YAML, and the options that are typed for it. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gan_cli.base.errors import UserError
from gan_cli.check.config_folder import config_folders, options_in, written
from gan_cli.check.declared import check_declared
from gan_cli.check.signatures import Argument
from gan_cli.cli.options import Sample, options_of

CHOSEN_BY_MODE = ("count", "labels", "columns", "space", "input", "dataset")  # options that only some modes take


def check_declaration(node: dict[str, Any], takes: Mapping[str, Argument]) -> None:
    """Check that the YAML of a mode fits the constructor of its class and the options of the command.

    Args:
        node: the config node of the mode, with its `_target_`.
        takes: the arguments of the constructor.

    Raises:
        UserError: a declaration that can't work, an option that the command has too, or an argument without a value.
    """
    check_declared("mode", node)
    name, options = (node.get("provides") or {}).get("name"), options_in(config_folders(), "mode")
    if name not in options:
        raise UserError(f"mode.provides.name={name!r} must be the name of the mode's file, one of {', '.join(options)}")
    mode_keys = {*options[name], *takes} - {"mode"}
    for key in sorted(mode_keys & {*options_of(Sample), "mode"}):
        raise UserError(f"mode={name} has an option {key}=, which gan-sample has itself: give it another name")
    for key in (node.get("requires") or {}).get("options") or []:
        if key not in CHOSEN_BY_MODE:
            raise UserError(f"mode={name} requires.options names {key}, and there is {', '.join(CHOSEN_BY_MODE)}")
    for key, argument in takes.items():
        if argument.needed and key not in options[name]:
            raise UserError(f"mode={name} lacks {key}, which {node['_target_']} needs: its YAML gives a value")


def check_given(typed: Mapping[str, Any]) -> None:
    """Check that the mode takes the typed options. Their values are checked before (`options`).

    Raises:
        UserError: an option that the mode does not take, one that it needs and lacks, or two that don't go together.
    """
    name, requires = typed["mode"]["provides"]["name"], typed["mode"].get("requires") or {}
    defaults = {**written("sample"), **options_in(config_folders(), "mode")[name]}
    typed_keys = {key for key in typed if key != "mode" and typed[key] != defaults.get(key)}
    for key, sentence in (requires.get("given") or {}).items():
        if key not in typed_keys:
            raise UserError(sentence)
    for key in CHOSEN_BY_MODE:
        if key in typed_keys and key not in (requires.get("options") or []):
            raise UserError(untaken(key, name, requires))
    for key, partners in (requires.get("beside") or {}).items():
        for other, sentence in partners.items():
            if key in typed_keys and other not in typed_keys:
                raise UserError(sentence)
    for key, others in (requires.get("without") or {}).items():
        for other, sentence in others.items():
            if {key, other} <= typed_keys:
                raise UserError(sentence)
    if requires.get("one_class") and len(typed["labels"] or []) > 1:
        raise UserError(f"mode={name} shows one class: say labels=[NAME], and one name")


def untaken(key: str, name: str, requires: Mapping[str, Any]) -> str:
    """Return the error message for an option of the command that a mode does not take."""
    typed = f"{key}.root" if key == "dataset" else key
    instead = (requires.get("instead") or {}).get(key)
    if instead is not None:
        return f"{typed}= is not for mode={name}: {instead}"
    modes = options_in(config_folders(), "mode")
    fits = [mode for mode, option in modes.items() if key in takes_of(option)]
    return f"{typed}= is not for mode={name}; it is for mode={', '.join(fits)}"


def takes_of(option: Mapping[str, Any]) -> list[str]:
    return ((option.get("mode") or {}).get("requires") or {}).get("options") or []
