"""`gan-train resume=RUN`: the run's own config, with the few changes that may be made to it."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError

from gan_cli.cli.check import check
from gan_cli.cli.config import plain
from gan_cli.cli.folder import config_folder
from gan_cli.cli.hints import meant, synonym
from gan_cli.cli.judge import parse
from gan_cli.cli.printed import show_config
from gan_cli.cli.typed import Typed
from gan_cli.errors import UserError
from gan_cli.files import read_json, read_yaml, write_atomically
from gan_cli.printable import tell
from gan_cli.run_folder import CONFIG, check_entries, flat, not_learned
from gan_cli.settings import TrainerSettings
from gan_cli.stored import check_config, foreign, read_record

FREE = (*(f"trainer.{key}" for key in TrainerSettings.FREE_ON_RESUME),)
SET_BY_CHECK = ("dataset.provides.",)  # facts found by looking, not chosen


def resume(run: Path, typed: Typed) -> int:
    """Go on with the run of a folder, or print with `--cfg job` and `--help` what it would go on with.

    Returns:
        the exit code.

    Raises:
        UserError: no run there, or a change that would make it another run.
    """
    overrides = beside(typed)
    config, content, record = prepared(run, overrides)
    changes = changed_keys(run, content)
    locked_in = [change for change in changes if not change.startswith(FREE)]
    if locked_in:
        raise UserError(
            f"resume= goes on with the same run, and this would make it another: {'; '.join(locked_in)};"
            f" start a new run from its weights with init_from={run}"
        )
    with foreign(str(run / CONFIG)):
        check(content)
    if "--cfg" in typed.flags:
        return show_config(typed, "train", {key: value for key, value in content.items() if key != "choices"})
    check_there(content["dataset"], run)
    for change in changes:
        tell(f"changed: {change}")
    images, total = record.get("images") or 0, content["trainer"]["total_images"]
    if record.get("status") == "finished" and images >= total:
        tell(f"{run} is finished ({images:,} images); to go on for longer: trainer.total_images=N above that")
        return 0
    from gan_cli.launch import launch

    source = run / ".hydra" / "config.yaml"
    keep = partial(write_atomically, source, OmegaConf.to_yaml(config).encode()) if source.is_file() else None
    launch(content, run, content["trust"], keep)
    return 0


def prepared(run: Path, overrides: list[str]) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """The run's stored config with the overrides applied, as Hydra's and plain, and its record.

    Raises:
        UserError: no run there, a config that is none, or no such key.
    """
    check_entries(run)
    record, source = read_record(run), run / ".hydra" / "config.yaml"
    stored = read_json(run / CONFIG)  # resolved: what follows from total_images keeps its value in a longer run
    if record is None or not (stored or source.is_file()):
        raise UserError(
            f"resume={str(run)!r} is no run: give a folder that has a run.json, as gan-train printed it at its start"
        )
    stored = {key: value for key, value in (stored or {}).items() if key != "choices"}
    if stored:
        check_config(stored, str(run / CONFIG))
    config = OmegaConf.create(stored) if stored else OmegaConf.load(io.StringIO(read_yaml(source)))
    config.trust = []  # taken from the command line alone: the folder may be a stranger's
    OmegaConf.set_struct(config, True)
    parts = record.get("parts") or {}
    for override in overrides:
        apply(config, parse(override, "gan-train"), parts)
    with foreign(str(run / CONFIG)):
        content = plain(config, parts)  # type: ignore[arg-type]
        check_config(content, str(run / CONFIG))
    return config, content, record


def beside(typed: Typed) -> list[str]:
    """The overrides beside `resume=`. A folder of one's own configs is not looked into: the run has its config whole.

    Raises:
        UserError: a flag that makes no sense with a resume.
    """
    if typed.sweeps:
        raise UserError(
            "resume= goes on with one run; a sweep goes on when the same sweep is started again with sweep=NAME"
        )
    for flag, value in typed.flags.items():
        if flag not in ("--config-dir", "--run", "--resolve", "--package") and (flag, value) != ("--cfg", "job"):
            raise UserError(
                f"resume= goes on with a run by the config that is stored in it: leave out {flag} {value}".rstrip()
            )
    return [override for override in typed.overrides if not override.startswith("resume=")]


def check_there(dataset: dict[str, Any], run: Path) -> None:
    """A resume fetches nothing: the folder may be a stranger's, and it is the folder that says where to.

    Raises:
        UserError: files of the data set are missing.
    """
    if not dataset.get("download"):
        return
    known = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in (config_folder() / "dataset").glob("*.yaml")]
    files = next((y["provides"].get("files") for y in known if y["_target_"] == dataset["_target_"]), None)
    root = Path(str(dataset.get("root"))).expanduser()
    missing = [name for name in files or [] if not (root / name).exists() and not (root / f"{name}.gz").exists()]
    if missing:
        raise UserError(
            f"the data set of {str(run)!r} is not in {str(root)!r} ({', '.join(missing)}): resume= downloads nothing,"
            " put it there first"
        )


def apply(config: Any, override: Any, parts: dict[str, Any]) -> None:
    """One `key=value` of the command line on a stored config; a choice of `parts` typed again changes nothing.

    Raises:
        UserError: no such key, or a group whose choice can't change.
    """
    key = override.key_or_group
    if override.is_sweep_override():
        raise UserError(f"{key} has several values; resume= goes on with one run")
    value = override.value()
    try:
        present = OmegaConf.select(config, key, throw_on_missing=False, throw_on_resolution_failure=False)
        if OmegaConf.is_dict(present) and not isinstance(value, dict):
            if (key in parts and value == parts[key]) or (isinstance(value, list) and value == list(present)):
                return
            raise UserError(
                f"resume= keeps the run's parts: {key}={value} needs a new run (init_from= starts from its weights)"
            )
        OmegaConf.update(config, key, value)
    except (ConfigAttributeError, ConfigKeyError) as error:
        names = list(flat(OmegaConf.to_container(config, resolve=False)))  # type: ignore[arg-type]
        hint = synonym(key, names) or f"{key} is not an option of this run{meant(key, names)}"
        raise UserError(hint) from error


def changed_keys(run: Path, content: dict[str, Any]) -> list[str]:
    """`key: before -> after` for what differs from the run's stored config; nothing where none is stored."""
    stored = read_json(run / CONFIG)
    if stored is None:
        return []
    before, after = flat(stored), flat(content)
    keys = [key for key in sorted({*before, *after}) if not not_learned(key)]
    return [
        f"{key}: {before.get(key)} -> {after.get(key)}"
        for key in keys
        if before.get(key) != after.get(key) and not key.startswith(SET_BY_CHECK)
    ]
