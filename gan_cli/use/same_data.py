"""Whether a folder holds the data that a run was trained on."""

from __future__ import annotations

from collections.abc import Sequence

from gan_cli.base.errors import UserError
from gan_cli.base.run_config import DataConfig
from gan_cli.game.build import build_data


def check_same_data(data: DataConfig, fingerprint: str, trust: Sequence[str] = ()) -> None:
    """By its fingerprint.

    Raises:
        UserError: it holds other data, or none.
    """
    if build_data(data.without_download().undecoded(), trust).fingerprint != fingerprint:
        raise UserError(
            f"dataset.root={str(data.node['root'])!r} holds other data than the run was trained on: other files, or the"
            " same under other names"
        )
