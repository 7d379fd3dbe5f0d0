"""Where the configs are. Imports no torch."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml


def config_folder() -> Path:
    """`conf/` of a wheel (inside the package) or of a checkout (beside it)."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "conf"
    return inside if (inside / "train.yaml").is_file() else package.parent / "conf"


@cache
def root_keys() -> frozenset[str]:
    """The keys and groups of `train.yaml`."""
    root = yaml.safe_load((config_folder() / "train.yaml").read_text(encoding="utf-8"))
    groups = {group for entry in root["defaults"] if isinstance(entry, dict) for group in entry}
    return frozenset({*root, *groups} - {"defaults", "hydra", "experiment"} - {g for g in groups if "hydra/" in g})


def defaults_of(root: str) -> dict[str, Any]:
    """Each group of a command's config and what is chosen of it by default: an option, null, or a list."""
    entries = written(root)["defaults"]
    pairs = [pair for entry in entries if isinstance(entry, dict) for pair in entry.items()]
    return {group: option for group, option in pairs if not group.startswith("override ")}


def written(root: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((config_folder() / f"{root}.yaml").read_text(encoding="utf-8"))
    return content
