"""The output of `--cfg`, and the values that `--help` shows: those that would run."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

import yaml
from omegaconf import DictConfig, OmegaConf

from gan_cli.base.errors import UserError
from gan_cli.base.printable import tell
from gan_cli.base.run_folder import flat
from gan_cli.check.brought import check_brought
from gan_cli.check.hints import meant
from gan_cli.check.kinds import shown
from gan_cli.cli.composition import composed_as_typed, resolved_where_possible, without_hydra
from gan_cli.cli.config import chosen_of, plain
from gan_cli.cli.judge import settled
from gan_cli.cli.sentences import REFUSALS, sentence
from gan_cli.cli.typed import Typed


class Values(NamedTuple):
    """Hold what would run, why it would be refused ("" if it would not), and the chosen option of each group."""

    content: Mapping[str, Any]
    refusal: str
    choices: Mapping[str, Any]


def values(typed: Typed, root: str) -> Values:
    """Return what a command line would run."""
    return values_of(composed_as_typed(settled(typed, root), root), root)


def values_of(config: DictConfig, root: str) -> Values:
    typed = without_hydra(config)
    choices = chosen_of(config.hydra.runtime.choices)
    if root != "train":
        return Values(resolved_where_possible(typed), "", choices)
    try:
        content = plain(config, config.hydra.runtime.choices)
        check_brought(content)
    except REFUSALS as error:
        return Values(resolved_where_possible(typed), sentence(error, list), choices)
    return Values({key: value for key, value in content.items() if key != "choices"}, "", choices)


def show_config(typed: Typed, root: str, content: Mapping[str, Any] | None = None) -> int:
    """Print what `--cfg` asks for, and return the exit code.

    Args:
        content: the values that would run, where they are known already, as for a resume.

    Raises:
        UserError: `--package` names nothing.
    """
    node: Any = {}
    refusal, kind = "", typed.flags["--cfg"]
    if content is None:
        config = composed_as_typed(typed, root)
        if kind != "job":
            node["hydra"] = hydra_settings(config, "--resolve" in typed.flags)
        if kind != "hydra":
            content, refusal, _ = values_of(config, root)
    node |= content or {}
    package = typed.flags.get("--package", "_global_")
    if package != "_global_":
        node = select(node, package)
        print(f"# @package {package}") if isinstance(node, dict) else None
    text = written(node) if isinstance(node, (dict, list)) else f"{shown(node)}\n"
    sys.stdout.write(text)
    if refusal:
        tell(f"this can't run yet: {refusal}", sys.stderr)
    return 0


def hydra_settings(config: DictConfig, resolve: bool) -> dict[str, Any]:
    """Return Hydra's own settings, without its help texts."""
    node = config.hydra
    content: Any = (
        resolved_where_possible(node) if resolve else OmegaConf.to_container(node, resolve=False, enum_to_str=True)
    )
    return {key: value for key, value in content.items() if key not in ("help", "hydra_help")}


def select(node: Any, package: str) -> Any:
    selected, names = node, [*flat(node), *node]
    for key in package.split("."):
        if not isinstance(selected, dict) or key not in selected:
            raise UserError(f"--package {package}: there is no {package} here{meant(package, names)}")
        selected = selected[key]
    return selected


def written(node: Any) -> str:
    return yaml.safe_dump(node, sort_keys=False, allow_unicode=True, width=1_000)
