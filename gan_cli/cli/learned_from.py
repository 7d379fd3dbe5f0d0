"""Whether a run that is there was trained on the data that a config names now. Loads torch where there is one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gan_cli.base.checkpoint import claimed
from gan_cli.base.errors import UserError
from gan_cli.base.run_config import DataConfig


class SameData:
    """Called with a run's folder and a composed config. The cells of a sweep often share a data set: it is looked at
    once.
    """

    def __init__(self) -> None:
        self.known: dict[str, str] = {}  # fingerprints by the data set's node

    def __call__(self, run: Path, content: Mapping[str, Any]) -> bool:
        """By the fingerprint in the run's newest checkpoint; true of a run that has none, and so has learned nothing.

        Raises:
            UserError: the data is not there.
        """
        before = claimed(run) if run.is_dir() else None
        if before is None:
            return True
        key = json.dumps(content["dataset"], sort_keys=True)
        if key not in self.known:
            self.known[key] = fingerprint(DataConfig("", content["dataset"]), content["trust"])
        return self.known[key] == before["data"]["fingerprint"]


def check(data: DataConfig, before: str, trust: Sequence[str] = ()) -> None:
    """
    Args:
        data: what a run's config says of its data, with the folder in which it lies now.
        before: the fingerprint of the data that the run was trained on.
        trust: packages whose classes the config may use.

    Raises:
        UserError: the folder holds other data, or none.
    """
    if fingerprint(data, trust) != before:
        raise UserError(
            f"dataset.root={str(data.node['root'])!r} holds other data than the run was trained on: other files, or the"
            " same under other names"
        )


def fingerprint(data: DataConfig, trust: Sequence[str] = ()) -> str:
    """What data is known by; nothing is fetched."""
    from gan_cli.game.build import build_data

    return build_data(data.without_download().undecoded(), trust).fingerprint
