"""The part of the check that sets a model's options against each other: classes, sizes that follow, levels."""

from __future__ import annotations

import re

import yaml
from omegaconf import DictConfig, OmegaConf

from gan_cli.base.allow_list import META_KEYS, targets_in
from gan_cli.base.errors import UserError
from gan_cli.base.run_config import Composed, Node
from gan_cli.cli.check_data import chosen, named_in
from gan_cli.cli.config_folder import config_folder
from gan_cli.cli.kinds import Simple, shown
from gan_cli.cli.players import check_players
from gan_cli.cli.signatures import check_value


def check_model(config: Composed) -> None:
    """
    Raises:
        UserError: the first options of the model that don't go together.
    """
    check_conditional(config)
    check_wired(config)
    check_growth(config)
    check_at_least(config)
    check_mapping(config)
    check_players(config)


def check_conditional(config: Composed) -> None:
    """One switch says what is done with labels; how many classes there are follows from it and the data."""
    model = config["model"]
    if "conditional" not in model:
        return
    wanted = None if model["conditional"] == "none" else config["dataset"]["provides"].get("classes")
    if model.get("num_classes") != wanted:
        raise UserError(
            f"model.num_classes={model['num_classes']} follows from model.conditional={model['conditional']} and the"
            " data set; say model.conditional=projection or auxiliary for a model that is told the class"
        )


WIRED = re.compile(
    r"\$\{(dataset\.(?:channels|source_channels|resolution|provides\.classes)"
    r"|model\.(?:latent\.size|num_classes|conditional|scale|growth))\}"
)


def check_wired(config: Composed) -> None:
    """What a model's YAML takes from the data, or from one place in the model, stays so in all its networks."""
    file = config_folder() / "model" / f"{chosen(config, 'model')}.yaml"
    if not file.is_file():
        return  # a user's own
    written = yaml.safe_load(file.read_text(encoding="utf-8"))
    composed = OmegaConf.create(config)  # once: what is slow here
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
        (wanted,) = OmegaConf.to_container(composed.wanted, resolve=True)  # type: ignore[misc,str-unpack]
        if node.get(key) != wanted:
            data = origin[1].startswith("dataset.")
            widths = [k for k in node if any(part in k for part in ("width", "base", "units", "max"))]
            hint = f"; the widths of its layers follow from {', '.join(widths)}" if widths else ""
            # `channels` may be mistaken for the widths of layers
            raise UserError(
                f"{path}.{key}={shown(node.get(key))} must be {shown(wanted)}, which follows from"
                f" {f'the data ({origin[1]})' if data else origin[1]}{hint if 'channels' in key else ''}"
            )


def check_growth(config: Composed) -> None:
    """Growing networks begin at one of their levels, 4, 8, 16, ... pixels, and end at the pictures' side."""
    for path, node in targets_in(config["model"], "model"):
        last, first = node.get("resolution"), node.get("start", 4)
        if str(node["_target_"]).endswith(".Growth") and (first < 4 or first > last or first & (first - 1)):
            raise UserError(
                f"{path}.start={first} must be a power of two from 4 up, at most the pictures' {last} pixels a side"
            )


def check_at_least(config: Composed) -> None:
    """What the model's YAML says of options whose least value follows from others."""
    for key, least in ((config["model"].get("requires") or {}).get("at_least") or {}).items():
        check_value(f"model.requires.at_least.{key}", least, Simple(int))
        value = named_in(config["model"], key)
        if value < least:
            raise UserError(
                f"model.{key}={value} must be at least {least}, the pictures' side, or a level has no channels"
            )


def check_mapping(config: Composed) -> None:
    """Without layers a mapping network passes on the latent as it is."""
    model = config["model"]
    generator = model.get("generator") or {}
    if "styles" not in (model.get("provides") or []) or generator.get("mapping_layers") != 0:
        return
    if model.get("num_classes") is not None:
        raise UserError("model.generator.mapping_layers=0 has no place for a label: say 1 or more, as 8")
    for name, node in (config.get("penalty") or {}).items():
        if "styles" in ((node.get("requires") or {}).get("model") or []):
            raise UserError(
                f"penalty={name} is about styles that are learned, and model.generator.mapping_layers=0 has none"
            )
    if generator.get("style_size") != generator.get("latent_size"):
        raise UserError(
            f"model.generator.mapping_layers=0 makes the latent the style, so model.generator.style_size="
            f"{generator.get('style_size')} must be model.latent.size={generator.get('latent_size')}"
        )
