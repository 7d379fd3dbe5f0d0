"""Where the configs are, the resolvers they use, and the plain dict that comes out. Imports no torch."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, ListConfig, OmegaConf

from gan_cli.cli.check import complete

STAMP = "GAN_CLI_STAMP"  # this command's start, in the environment


def config_folder() -> Path:
    """`conf/` of a wheel (inside the package) or of a checkout (beside it)."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "conf"
    return inside if (inside / "train.yaml").is_file() else package.parent / "conf"


def register_resolvers() -> None:
    """Make the resolvers of the YAML files known; may be called again."""
    # kept in the environment: a launcher's worker processes must name the same folder
    stamp = os.environ.setdefault(
        STAMP, f"{time.strftime('%Y-%m-%d_%H-%M-%S')}.{time.time_ns() // 1_000_000 % 1000:03d}"
    )
    for name, function in {
        "critic_norm": critic_norm,
        "n_critic": n_critic,
        "recommended": recommended,
        "run_name": run_name,
        "cell_name": lambda overrides: cell_name(list(overrides)),
        "sweep_name": lambda name: slug(str(name)) if name is not None else stamp[:-4],
        "stamp": lambda: stamp,
    }.items():
        OmegaConf.register_new_resolver(name, function, replace=True)


def critic_norm(own: str, *, _root_: DictConfig) -> str:
    """What the loss or a penalty demands of the critic's norm, else the model's own."""
    parts = [_root_.get("loss"), *(_root_.get("penalty") or {}).values()]
    demanded = [OmegaConf.select(part, "brings.critic_norm") for part in parts if part is not None]
    return next((norm for norm in demanded if norm is not None), own)


def n_critic(own: int, *, _root_: DictConfig) -> int:
    """The optimizer's critic updates for each generator update (TTUR: one), else the loss's own."""
    brought = OmegaConf.select(_root_, "optimizer.brings.n_critic")
    return own if brought is None else brought


def recommended(key: str, default: Any, *, _root_: DictConfig) -> Any:
    """What the loss recommends for the optimizer, else the default."""
    value = OmegaConf.select(_root_, f"loss.brings.optimizer.{key}")
    return default if value is None else value


def run_name(name: Any, *parts: Any) -> str:
    """`<name>-<model>-<loss>-<dataset>` for the run's folder."""
    return "-".join(slug(str(part)) for part in (name, *parts) if part is not None)


def slug(text: str) -> str:
    """Letters, digits, `.`, `_` and `-` only, so that a path can be typed back unquoted."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.") or "x"


def cell_name(overrides: Iterable[str]) -> str:
    """A sweep cell's folder name: from its overrides in any order, unique, at most 120 characters."""
    kept = sorted(
        text for text in overrides if not text.lstrip("+~").startswith(("sweep=", "hydra.", "trust=", "notes="))
    )
    text = ",".join(kept)
    name = "_".join(slug(part.replace("=", "-")) for part in kept) or "defaults"
    plain = ",".join(part.replace("=", "-") for part in kept)
    lossless = re.fullmatch(r"[A-Za-z0-9.,-]*", plain) is not None and len(name) <= 120
    if lossless:
        return name
    return f"{name[:109]}-{hashlib.blake2b(text.encode(), digest_size=5).hexdigest()}"


def plain(config: DictConfig, choices: Mapping[Any, Any]) -> dict[str, Any]:
    """The composed config as plain values, completed from the data set's facts; what a run is made of.

    Args:
        config: as composed; its `hydra` node, if it is there, is left out.
        choices: Hydra's record of the chosen options, by group.

    Raises:
        UserError: the data set can't be looked at (`complete`).
    """
    copy = OmegaConf.masked_copy(config, [key for key in config if key != "hydra"])
    OmegaConf.set_struct(copy, False)
    complete(copy)
    content = OmegaConf.to_container(copy, resolve=True, throw_on_missing=True)
    content["choices"] = {  # type: ignore[index,call-overload]
        str(group): list(option) if isinstance(option, (list, ListConfig)) else option
        for group, option in choices.items()
        if not str(group).startswith("hydra")
    }
    return content  # type: ignore[return-value]


def options_of(group_folders: Iterable[Path]) -> dict[str, dict[str, Any]]:
    """Each group's options with their raw YAML, from the project's folder and a user's own."""
    groups: dict[str, dict[str, Any]] = {}
    for folder in group_folders:
        for file in sorted(folder.glob("*/*.yaml")):
            groups.setdefault(file.parent.name, {})[file.stem] = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    return groups
