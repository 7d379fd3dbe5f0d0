"""`gan-train resume=RUN`: a run goes on with its stored config and the few changes that are allowed."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError

from gan_cli.base.checkpoint import check_not_lost, listed, newest_summary
from gan_cli.base.errors import UserError
from gan_cli.base.files import read_json, read_yaml, write_atomically
from gan_cli.base.printable import tell
from gan_cli.base.records import Record
from gan_cli.base.run_config import Choices, Composed
from gan_cli.base.run_folder import BASE, CONFIG, PLACES, SET_BY_CHECK, check_entries, flat, not_learned, runs_in
from gan_cli.base.settings import TrainerSettings
from gan_cli.base.stored import check_config, foreign, read_record
from gan_cli.check.check import check
from gan_cli.check.check_base import of_begun
from gan_cli.check.hints import meant, synonym
from gan_cli.cli.config import plain
from gan_cli.cli.dry_run import dry_run
from gan_cli.cli.judge import parse
from gan_cli.cli.places import PATHS, absolute, whereabouts
from gan_cli.cli.printed import show_config
from gan_cli.cli.typed import Typed, key_of, value_of

FREE = (*(f"trainer.{key}" for key in TrainerSettings.FREE_ON_RESUME), *PLACES)


def resume(run: Path, typed: Typed) -> int:
    """Resume the run in a folder, or print with `--cfg job` the config that it would go on with.

    Returns:
        the exit code.

    Raises:
        UserError: the folder holds no run, or a change would make it another run.
    """
    overrides = beside(typed)
    config, content, record = prepared(run, overrides)
    check_data(run, content)
    changes = changed_keys(run, content)
    check_changes(run, changes)
    with foreign(str(run / CONFIG)):
        check(without_base(run, content))
    if "--cfg" in typed.flags:
        return show_config(typed, "train", {key: value for key, value in content.items() if key != "choices"})
    for change in changes:
        tell(f"changed: {change}")
    if content["dry_run"]:
        dry_run(content)
        return 0
    images, total = record.get("images") or 0, content["trainer"]["total_images"]
    if record.get("status") == "finished" and images >= total:
        tell(f"{run} is finished ({images:,} images); to go on for longer: trainer.total_images=N above that")
        return 0
    from gan_cli.run.launch import launch

    launch(content, run, content["trust"], lambda: keep(source_of(run), config, overrides))
    return 0


def source_of(run: Path) -> Path:
    """Return the path of Hydra's config with interpolations; under `hydra.output_subdir=null` there is no such file."""
    return run / ".hydra" / "config.yaml"


def prepared(run: Path, overrides: list[str]) -> tuple[DictConfig, Composed, Record]:
    """Load a run's config and record, and apply the overrides.

    Returns:
        the changed config, as Hydra's and as plain values, and the record.

    Raises:
        UserError: the folder holds no run, its config is invalid, a key is unknown, or the data is missing.
    """
    check_entries(run)
    record = read_record(run)
    stored = read_json(run / CONFIG) or {}  # resolved: what follows from total_images keeps its value in a longer run
    if record is None or not (stored or source_of(run).is_file()):
        hint = runs_in(run) or ": give a folder that has a run.json, as gan-train printed it at its start"
        raise UserError(f"resume={str(run)!r} is no run{hint}")
    if listed(run):
        newest_summary(run)  # refuses a checkpoint of another version
    parts = record.get("parts") or {}
    config = changed(run, stored, overrides, parts)
    with foreign(str(run / CONFIG)):
        content = plain(config, parts)
        check_config(content, str(run / CONFIG))
    return config, content, record


def changed(run: Path, stored: Mapping[str, Any], overrides: list[str], parts: Choices) -> DictConfig:
    """Return the stored config of a run with the typed overrides and the folder in which its data lies now."""
    stored = {key: value for key, value in stored.items() if key != "choices"}
    if stored:
        check_config(stored, str(run / CONFIG))
    source = source_of(run)
    with foreign(str(source)):
        config = OmegaConf.create(stored) if stored else OmegaConf.load(io.StringIO(read_yaml(source)))
        assert isinstance(config, DictConfig)
    config.trust = []  # taken from the command line alone: the folder may be a stranger's
    OmegaConf.set_struct(config, True)
    for override in overrides:
        apply(config, parse(override, "gan-train"), parts)
    with foreign(str(run / CONFIG)):
        dataset = OmegaConf.to_container(config.dataset, resolve=False)
        if isinstance(dataset, dict) and dataset.get("root") is not None:
            root = config.dataset.root  # an earlier version stored its interpolations
            typed_root = root if value_of(overrides, "dataset.root") is not None else None
            known = {str(key): value for key, value in dataset.items()}
            config.dataset.root = whereabouts({**known, "root": root}, run, typed_root)
    return config


def check_data(run: Path, content: Composed) -> None:
    """Check that the facts of the data files are those of the run's start.

    The content of the files is compared later, once torch is loaded.

    Raises:
        UserError: the facts differ, and the run has learned from the former data.
    """
    differing = differences(run, content)
    facts = [
        f"{key.removeprefix(SET_BY_CHECK)} {then} then, {now} now"
        for key, then, now in differing
        if key.startswith(SET_BY_CHECK)
    ]
    if facts and listed(run):
        places = [f"; dataset.root is {then} there and {now} here" for key, then, now in differing if key in PLACES]
        raise UserError(
            f"the data set has changed since the run began ({'; '.join(facts)}{''.join(places)}): the order of the data"
            " would not be the same; start a new run with init_from= instead of resume="
        )


def check_changes(run: Path, changes: list[str]) -> None:
    """Refuse changes that would make it another run.

    Raises:
        UserError: there is such a change.
    """
    locked = locked_in(changes, FREE)
    if locked:
        raise UserError(
            f"resume= goes on with the same run, and this would make it another: {'; '.join(locked)};"
            f" start a new run from its weights with init_from={run}"
        )


def without_base(run: Path, content: Composed) -> Composed:
    """Return the config to check: without the run that this one began from, once this one has a checkpoint.

    Raises:
        UserError: this run has no checkpoint yet, and the run that it began from is gone.
    """
    if content.get("init_from") is None:
        return of_begun(content) if listed(run) or (run / BASE).is_file() else content
    check_not_lost(run)
    if not listed(run):
        try:
            newest_summary(Path(str(content["init_from"])))
        except UserError as error:
            raise UserError(
                f"{str(run)!r} was cut before its first checkpoint, so it begins again from the weights of"
                f" init_from={content['init_from']!r}, and they are gone ({error}); put them back there, or start a"
                " new run with init_from= where they are now"
            ) from error
        return content
    return of_begun(content)


def keep(source: Path, config: DictConfig, overrides: list[str]) -> None:
    """Write the changed config to Hydra's record of a run. An unchanged `dataset.root` stays as it was typed."""
    if not source.is_file():
        return
    kept, before = config.copy(), yaml.safe_load(read_yaml(source))
    words = before.get("dataset") if isinstance(before, dict) else None
    root = words.get("root") if isinstance(words, dict) and "root" in kept.dataset else None
    if value_of(overrides, "dataset.root") is None and isinstance(root, (str, int)):
        kept.dataset.root = root
    write_atomically(source, OmegaConf.to_yaml(kept).encode())


def beside(typed: Typed) -> list[str]:
    """Return the overrides beside `resume=`. Folders of configs are ignored: the run holds its complete config.

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
    return [override for override in typed.overrides if key_of(override) != "resume"]


def apply(config: Any, override: Any, parts: Choices) -> None:
    """Apply one `key=value` of the command line to a stored config.

    A choice that repeats one of `parts` changes nothing.

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


def changed_keys(run: Path, content: Composed) -> list[str]:
    """List the differences from the stored config of a run as `key: before -> after`, without facts of the data.

    The list is empty where no config is stored.
    """
    return [
        f"{key}: {then} -> {now}" for key, then, now in differences(run, content) if not key.startswith(SET_BY_CHECK)
    ]


def differences(run: Path, content: Composed) -> list[tuple[str, Any, Any]]:
    """List all differences from the stored config of a run, facts of the data too: key, value before and after."""
    stored = read_json(run / CONFIG)
    if stored is None:
        return []
    before, after = flat(stored), flat(content)
    for key in PATHS:  # an earlier version kept them as they were typed
        if isinstance(before.get(key), str):
            before[key] = absolute(before[key])
    keys = [key for key in sorted({*before, *after}) if not not_learned(key)]
    return [(key, before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key)]


def locked_in(changes: list[str], free: tuple[str, ...]) -> list[str]:
    """List the changes of keys that are not free."""
    return [change for change in changes if change.partition(":")[0] not in free]
