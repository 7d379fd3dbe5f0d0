"""The part of the check that compares a model's options with each other: classes, sizes that follow, levels."""

from __future__ import annotations

import re

from omegaconf import DictConfig, OmegaConf

from gan_cli.base.allow_list import META_KEYS
from gan_cli.base.errors import UserError
from gan_cli.base.run_config import Composed, Node
from gan_cli.check.check_data import option_of
from gan_cli.check.config_folder import config_folders, options_in
from gan_cli.check.kinds import Simple, shown
from gan_cli.check.players import check_players
from gan_cli.check.rules import chosen
from gan_cli.check.signatures import check_value


def check_model(config: Composed) -> None:
    """Refuse options of the model that contradict each other.

    Raises:
        UserError: the first options that do.
    """
    check_wired(config)
    check_at_least(config)
    check_players(config)


WIRED = re.compile(
    r"\$\{(dataset\.(?:channels|source_channels|resolution|provides\.classes)"
    r"|model\.(?:latent\.size|num_classes|conditional|scale|growth))\}"
)


def check_wired(config: Composed) -> None:
    """Refuse other values for options that the model's YAML takes from the data or from the model's other options."""
    written = options_in(config_folders(), "model").get(chosen(config, "model"), {})
    composed = OmegaConf.create({**config})  # made once, since this is slow
    check_followed(composed, "model", config["model"], written)
    for name, inner in written.items():
        node = config["model"].get(name)
        if isinstance(inner, dict) and isinstance(node, dict) and name not in META_KEYS:
            check_followed(composed, f"model.{name}", node, inner)


def check_followed(composed: DictConfig, path: str, node: Node, written: Node) -> None:
    for key, source in written.items():
        origin = WIRED.search(str(source)) if isinstance(source, str) else None
        if origin is None:
            continue
        composed.wanted = [source]
        (expected,) = OmegaConf.to_container(composed.wanted, resolve=True)  # type: ignore[misc,str-unpack]
        if node.get(key) != expected:
            data = origin[1].startswith("dataset.")
            widths = [k for k in node if any(part in k for part in ("width", "base", "units", "max"))]
            hint = f"; the widths of its layers follow from {', '.join(widths)}" if widths else ""
            # `channels` may be mistaken for the widths of layers
            raise UserError(
                f"{path}.{key}={shown(node.get(key))} must be {shown(expected)}, which follows from"
                f" {f'the data ({origin[1]})' if data else origin[1]}{hint if 'channels' in key else ''}"
            )


def check_at_least(config: Composed) -> None:
    """Refuse options below the least value that the model's YAML derives from other options."""
    for key, least in ((config["model"].get("requires") or {}).get("at_least") or {}).items():
        check_value(f"model.requires.at_least.{key}", least, Simple(int))
        value = option_of(config["model"], key)
        if value < least:
            raise UserError(
                f"model.{key}={value} must be at least {least}, the pictures' side, or a level has no channels"
            )
