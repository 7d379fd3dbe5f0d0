"""The paths of what a run uses: valid in any working directory, and found again after a move."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gan_cli.base.errors import UserError
from gan_cli.base.files import expanded, read_yaml
from gan_cli.base.run_config import RunConfig
from gan_cli.check.config_folder import config_folders, options_in
from gan_cli.cli import learned_from

PATHS = ("dataset.root", "init_from", "model.base", "perceptual.weights", "features.weights")  # keys of a run's config


def absolute(path: Any) -> str:
    """Convert a path to an absolute one. A path that is not on this machine (`s3://...`) stays as it is."""
    text = str(path)
    return text if "://" in text else str(expanded(text).absolute())


def make_absolute(config: DictConfig) -> None:
    """Make the paths of a composed config absolute, in place: a resume may have another working directory."""
    for key in PATHS:
        value = OmegaConf.select(config, key)
        if isinstance(value, (str, int)) and not isinstance(value, bool):
            OmegaConf.update(config, key, absolute(value))


def missing(dataset: Mapping[str, Any], root: str) -> list[str]:
    """List what is missing of a data set: those files that the YAML of its class names, or else the folder itself."""
    known = options_in(config_folders(), "dataset").values()
    of_class = [node.get("provides") or {} for node in known if node.get("_target_") == dataset["_target_"]]
    files = next((provides.get("files") for provides in of_class), None)
    place = Path(root)
    if files is None:
        return [] if "://" in root or place.exists() else [root]
    return [name for name in files if not (place / name).exists() and not (place / f"{name}.gz").exists()]


def as_typed(run: Path) -> str | None:
    """Return the folder to which a run's `dataset.root`, as typed or by default, would lead now; None if none."""
    source = run / ".hydra" / "config.yaml"
    content = yaml.safe_load(read_yaml(source)) if source.is_file() else None
    dataset = content.get("dataset") if isinstance(content, dict) else None
    try:
        root = OmegaConf.create({"root": dataset.get("root") if isinstance(dataset, dict) else None}).root
    except OmegaConfBaseException:
        return None
    return absolute(root) if isinstance(root, (str, int)) else None


def whereabouts(dataset: Mapping[str, Any], run: Path, typed: Any = None) -> str:
    """Find the folder of a run's data: the typed one, else the former one, else that of its record (`as_typed`).

    Download nothing: the run may be a stranger's, and its config names the folder to write to.

    Args:
        dataset: the data set's node in the run's config, with its root.
        run: the folder of the run.
        typed: the value of `dataset.root=` in this command; None where it is not typed.

    Raises:
        UserError: the data is in none of these folders.
    """
    then = absolute(dataset["root"] if typed is None else typed)
    places = [then] if typed is not None else [then, as_typed(run) or then]
    for place in places:
        if not missing(dataset, place):
            return place
    lacking = [name for name in missing(dataset, then) if name != then]
    which = f" ({', '.join(lacking)})" if lacking else ", which does not exist"
    raise UserError(
        f"the data set of {str(run)!r} is not in {then!r}{which}: put it there, or say where it is with"
        " dataset.root=FOLDER; for a run that is there already nothing is downloaded"
    )


def located(config: RunConfig, run: Path, typed: Any, fingerprint: str) -> RunConfig:
    """Return the config of a trained run with the folder in which its data lies now.

    Args:
        config: the config in the checkpoint.
        run: the folder of the run.
        typed: the value of `dataset.root=` in this command, or None.
        fingerprint: the fingerprint of the data that the run was trained on.

    Raises:
        UserError: the data is in no known folder, or is other data.
    """
    dataset = config.data.node
    if dataset.get("root") is None:
        if typed is not None:
            raise UserError(f"dataset.root={str(typed)!r} has no use: the data of {str(run)!r} lies in no folder")
        return config
    place = whereabouts(dataset, run, typed)
    moved = config.data.changed(root=place)
    learned_from.check(moved, fingerprint, config.trust)
    return config.on_data(moved)
