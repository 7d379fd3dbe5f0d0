"""Where the configs are. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from gan_cli.base.run_config import Node

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the first is eight times as fast, where it was built


def config_folder() -> Path:
    """`conf/` of a wheel (inside the package) or of a checkout (beside it)."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "conf"
    return inside if (inside / "train.yaml").is_file() else package.parent / "conf"


def yaml_of(file: Path) -> Any:
    """What a config says, its interpolations as they are written; read once for as long as the file stays as it is."""
    stat = file.stat()
    return _read(file, stat.st_mtime_ns, stat.st_size)


@cache
def _read(file: Path, changed: int, size: int) -> Any:
    return yaml.load(file.read_text(encoding="utf-8"), LOADER) or {}


@cache
def root_keys() -> frozenset[str]:
    """The keys and groups of `train.yaml`."""
    root = yaml_of(config_folder() / "train.yaml")
    groups = {group for entry in root["defaults"] if isinstance(entry, dict) for group in entry}
    return frozenset({*root, *groups} - {"defaults", "hydra", "experiment"} - {g for g in groups if "hydra/" in g})


def defaults_of(root: str) -> dict[str, Any]:
    """Each group of a command's config and what is chosen of it by default: an option, null, or a list."""
    entries = written(root)["defaults"]
    pairs = [pair for entry in entries if isinstance(entry, dict) for pair in entry.items()]
    return {group: option for group, option in pairs if not group.startswith("override ")}


def written(root: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml_of(config_folder() / f"{root}.yaml")
    return content


_folders: list[Path] = []


def look_in(folders: Iterable[Path]) -> None:
    """Remember where this command has its options from, one's own `--config-dir` too."""
    _folders[:] = folders


def config_folders() -> list[Path]:
    return _folders or [config_folder()]


def files_of(folders: Iterable[Path], group: str) -> dict[str, Path]:
    """The files of a group's options, the first folder's first; of two that share a name the first, as Hydra has it."""
    files: dict[str, Path] = {}
    for folder in folders:
        for file in sorted((folder / group).glob("*.yaml")):
            files.setdefault(file.stem, file)
    return files


def options_in(folders: Iterable[Path], group: str) -> dict[str, Node]:
    """The options of a group with what their YAML says."""
    return {name: yaml_of(file) for name, file in files_of(folders, group).items()}


def options_by_group(folders: Sequence[Path]) -> dict[str, dict[str, Node]]:
    """Each group's options with what their YAML says."""
    groups = sorted({file.parent.name for folder in folders for file in folder.glob("*/*.yaml")})
    return {group: options_in(folders, group) for group in groups}
