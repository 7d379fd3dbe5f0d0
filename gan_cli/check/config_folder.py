"""The folders of configs, and the contents of their YAML files. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from gan_cli.base.errors import UserError
from gan_cli.base.run_config import Node

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the first is eight times as fast, where it was built


def config_folder() -> Path:
    """Return `conf/`, which a wheel has inside the package and a checkout has beside it."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "conf"
    return inside if (inside / "train.yaml").is_file() else package.parent / "conf"


def yaml_of(file: Path) -> Any:
    """Read a config file with its interpolations unresolved, and read it again only when the file has changed."""
    stat = file.stat()
    return _read(file, stat.st_mtime_ns, stat.st_size)


@cache
def _read(file: Path, changed: int, size: int) -> Any:
    try:
        content = yaml.load(file.read_text(encoding="utf-8"), LOADER) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{str(file)!r} can't be read as YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict) or not isinstance(content.get("defaults") or [], list):
        raise UserError(f"{str(file)!r} holds no config: it must be keys with values, and its defaults: a list")
    return content


@cache
def root_keys() -> frozenset[str]:
    """Return the keys and groups of `train.yaml`."""
    root = yaml_of(config_folder() / "train.yaml")
    groups = {group for entry in root["defaults"] if isinstance(entry, dict) for group in entry}
    return frozenset({*root, *groups} - {"defaults", "hydra", "experiment"} - {g for g in groups if "hydra/" in g})


def defaults_of(root: str) -> dict[str, Any]:
    """Map each group of a command's config to what the config chooses by default: an option, null, or a list."""
    entries = written(root)["defaults"]
    pairs = [pair for entry in entries if isinstance(entry, dict) for pair in entry.items()]
    return {group: option for group, option in pairs if not group.startswith("override ")}


def written(root: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml_of(config_folder() / f"{root}.yaml")
    return content


_folders: list[Path] = []


def look_in(folders: Iterable[Path]) -> None:
    """Remember the folders from which this command takes its options, a typed `--config-dir` too."""
    _folders[:] = folders


def config_folders() -> list[Path]:
    return _folders or [config_folder()]


def files_of(folders: Iterable[Path], group: str) -> dict[str, Path]:
    """Map each option of a group to its file, the first folder's options first.

    Of two options of one name the first counts, as Hydra has it.
    """
    files: dict[str, Path] = {}
    for folder in folders:
        for file in sorted((folder / group).glob("*.yaml")):
            files.setdefault(file.stem, file)
    return files


def options_in(folders: Iterable[Path], group: str) -> dict[str, Node]:
    """Map each option of a group to the content of its YAML."""
    return {name: yaml_of(file) for name, file in files_of(folders, group).items()}


def options_by_group(folders: Sequence[Path]) -> dict[str, dict[str, Node]]:
    """Map each group to its options, and each option to the content of its YAML."""
    groups = sorted({file.parent.name for folder in folders for file in folder.glob("*/*.yaml")})
    return {group: options_in(folders, group) for group in groups}
