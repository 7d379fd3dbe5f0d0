"""The check that a run was trained on the data that a config names now. Loads torch if the run has a checkpoint."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gan_cli.base.checkpoint import claimed
from gan_cli.base.errors import UserError
from gan_cli.base.run_config import DataConfig


class SameData:
    """A function of a run's folder and a composed config: whether the run was trained on the config's data.

    The cells of a sweep often share a data set, so the fingerprint of each data set is computed once.
    """

    def __init__(self) -> None:
        self.known: dict[str, str] = {}  # fingerprints, by the config node of the data set

    def __call__(self, run: Path, content: Mapping[str, Any]) -> bool:
        """Return whether the fingerprint in the run's newest checkpoint is that of the config's data.

        Return true for a run without a checkpoint, which has learned nothing.

        Raises:
            UserError: the data is missing.
        """
        before = claimed(run) if run.is_dir() else None
        if before is None:
            return True
        key = json.dumps(content["dataset"], sort_keys=True)
        if key not in self.known:
            self.known[key] = fingerprint(DataConfig("", content["dataset"]), content["trust"])
        return self.known[key] == before["data"]["fingerprint"]


def check(data: DataConfig, before: str, trust: Sequence[str] = ()) -> None:
    """Check that a folder holds the data that a run was trained on.

    Args:
        data: the data part of the run's config, with the folder in which the data lies now.
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
    """Compute the fingerprint of a data set. Download nothing."""
    from gan_cli.game.build import build_data

    return build_data(data.without_download().undecoded(), trust).fingerprint
