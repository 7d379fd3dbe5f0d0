"""Where the configs are. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable
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


_own: list[Path] = []


def look_in(folders: Iterable[Path]) -> None:
    """Remember where this command has its options from, one's own `--config-dir` too."""
    _own[:] = folders


def config_folders() -> list[Path]:
    return _own or [config_folder()]


def options_of(folders: Iterable[Path]) -> dict[str, dict[str, dict[str, Any]]]:
    """Each group's options with their raw YAML, from the project's folder and a user's own."""
    groups: dict[str, dict[str, Any]] = {}
    for folder in folders:
        for file in sorted(folder.glob("*/*.yaml")):
            groups.setdefault(file.parent.name, {})[file.stem] = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    return groups
