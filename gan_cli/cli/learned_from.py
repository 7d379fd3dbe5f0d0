"""Whether a run that is there was trained on the data that a config names now. Loads torch where there is one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gan_cli.base.checkpoint import claimed
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
        return before is None or before["data"]["fingerprint"] == self.fingerprint(content)

    def fingerprint(self, content: Mapping[str, Any]) -> str:
        """What the data of a composed config is known by."""
        from gan_cli.game.build import build_data

        data = DataConfig("", content["dataset"]).without_download().undecoded()
        key = json.dumps(data.node, sort_keys=True)
        if key not in self.known:
            self.known[key] = build_data(data, content["trust"]).fingerprint
        return self.known[key]
