"""A data set's node of a config, changed for what looks at the data without training on it. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def without_download(dataset: Mapping[str, Any]) -> dict[str, Any]:
    """The same, taken from where it lies: nothing is fetched to a folder that another run names, which may be a
    stranger's.
    """
    return {**dataset, "download": False} if "download" in dataset else dict(dataset)


def undecoded(dataset: Mapping[str, Any]) -> dict[str, Any]:
    """The same, its pictures decoded when they are asked for: to tell of them takes no wait."""
    return {**dataset, "memory_limit_mb": 0} if "memory_limit_mb" in dataset else dict(dataset)
