"""The base of a run: loaded from another run once, kept in the run's own folder, and read from there afterwards."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import torch

from gan_cli.base import checkpoint
from gan_cli.base.errors import UserError
from gan_cli.base.files import expanded
from gan_cli.base.run_config import RunConfig
from gan_cli.base.run_folder import BASE
from gan_cli.use.load import base_of, kept_base, trained_of

KEPT = ("config", "progress", "game", "ema", "data")  # of a checkpoint: all but the state of training


def with_base(
    config: RunConfig, folder: Path | None, device: torch.device, warn: Callable[[str], object]
) -> tuple[RunConfig, bytes | None]:
    """Load the base that a run's model names into its config.

    Args:
        folder: the run's folder, or None for a run without one. Once it has a checkpoint, its own file is the base.
        warn: called with each message for the user.

    Returns:
        the config with the base, and the content of the base's file, where the folder has none.

    Raises:
        UserError: there is no such run, or it lacks what the model needs.
    """
    where = config.game.base
    if where is None:
        return config, None
    spaces = ((config.game.model.get("requires") or {}).get("base") or {}).get("spaces") or ()
    if folder is not None and (checkpoint.listed(folder) or holds_only_copy(folder, where)):
        base, data = kept_base(folder, None, config.trust, device), None
    else:
        path, content = checkpoint.load(expanded(where), warn)
        trained = trained_of(path, content, device=device.type, trust=config.trust)
        data = checkpoint.packed({key: value for key, value in content.items() if key in KEPT})
        base = base_of(trained, hashlib.sha256(data).hexdigest())
    base.check_spaces(spaces)
    return config.on_base(base), data


def holds_only_copy(folder: Path, where: str) -> bool:
    """Return whether a run that has no checkpoint yet has the file of its base, and the base's own run is gone."""
    return (folder / BASE).is_file() and not checkpoint.candidates(expanded(where))


def write_base(folder: Path, data: bytes | None) -> None:
    """Write the file of a base into the run's folder, so that the run needs no other."""
    if data is not None:
        checkpoint.put(folder / BASE, data, {})


def check_same_base(path: Path, digest: str | None, config: RunConfig) -> None:
    """Refuse a checkpoint of another base.

    Raises:
        UserError: `digest`, of the base that the checkpoint at `path` was trained on, is not that of the folder's base.
    """
    base = config.game.model.get("base")
    if digest != getattr(base, "digest", None):
        raise UserError(f"{path} was trained on another base than {path.parent.parent / BASE}")
