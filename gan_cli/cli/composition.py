"""The config that a command line composes to, for `--cfg`, `--help` and hints. Nothing is run."""

from __future__ import annotations

import re
from enum import Enum
from typing import Any

from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_automatic_config_search_path
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gan_cli.base.run_folder import flat
from gan_cli.check.config_folder import defaults_of
from gan_cli.cli.typed import Typed


def composed_as_typed(typed: Typed, root: str, overrides: list[str] | None = None) -> DictConfig:
    """Compose the config of one run, with its `hydra` node, as Hydra's main does.

    Args:
        typed: the command line.
        root: the name of the command's root config.
        overrides: overrides that replace the typed ones.

    Raises:
        HydraException: the config can't be composed.
    """
    first, *added = [str(folder.absolute()) for folder in typed.folders()]
    search_path = create_automatic_config_search_path(None, None, first)
    for folder in added:
        search_path.prepend("command-line", f"file://{folder}", SearchPathQuery("schema"))
    GlobalHydra.instance().clear()
    try:
        hydra = Hydra.create_main_hydra2(f"gan-{root}", search_path)
        config = hydra.compose_config(
            config_name=typed.flags.get("--config-name", root),
            overrides=typed.overrides if overrides is None else overrides,
            run_mode=RunMode.RUN,
            with_log_configuration=False,
        )
    finally:
        GlobalHydra.instance().clear()
    HydraConfig.instance().set_config(config)
    return config


def without_hydra(config: DictConfig) -> DictConfig:
    """Return a copy of a composed config without its `hydra` node."""
    return OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])


def names_of(typed: Typed, root: str) -> list[str]:
    """List the keys and groups of the config that the typed choices compose to, as hints for a misspelled key."""
    for overrides in (chosen_groups(typed), []):
        try:
            config = composed_as_typed(typed, root, overrides)
            break
        except HydraException:  # the choices don't compose: the user is told of the mistake that was met first
            continue
    else:
        return []
    content = OmegaConf.to_container(config, resolve=False)
    assert isinstance(content, dict)
    plain = {str(key): value for key, value in content.items() if key != "hydra"}
    keys = [key for key in flat(plain) if not {"_target_", "requires", "limits"} & set(key.split("."))]
    return [*keys, *plain, *defaults_of(root), *(["hydra.run.dir"] if root == "train" else [])]


def chosen_groups(typed: Typed) -> list[str]:
    """List the overrides such as `group=option` and `group=[option,option]`; of a sweep's options take the first."""
    chosen = []
    for text in typed.overrides:
        name, equals, value = text.partition("=")
        group = name.lstrip("+")
        options = value.strip("[]").split(",")
        if equals and all(exists(typed, group, option) for option in options):
            chosen.append(f"{name}={value if value.startswith('[') else options[0]}")
    return chosen


def exists(typed: Typed, group: str, option: str) -> bool:
    return bool(re.fullmatch(r"[\w./-]+", option)) and any(
        (folder / group / f"{option}.yaml").is_file() for folder in typed.folders()
    )


def resolved_where_possible(node: Any) -> Any:
    """Convert a node to plain values; a value that can't be resolved stays as it is written."""
    if OmegaConf.is_dict(node):
        return {str(key): value_at(node, key) for key in node}
    return [value_at(node, number) for number in range(len(node))]


def value_at(node: Any, key: Any) -> Any:
    raw = OmegaConf.to_container(node, resolve=False, enum_to_str=True)[key]  # type: ignore[index,call-overload]
    if OmegaConf.is_missing(node, key):
        return raw
    try:
        value = node[key]
    except OmegaConfBaseException:
        return raw
    return resolved_where_possible(value) if OmegaConf.is_config(value) else raw if isinstance(value, Enum) else value
