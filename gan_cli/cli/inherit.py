"""`gan-train init_from=RUN`: the model and its options come from the run that gives the weights.

Those options become overrides before the typed ones, as if they were typed again. So `--cfg job` shows them, the
record of the new run keeps them, and the check sees them. What the user types comes last and wins.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gan_cli.base.allow_list import META_KEYS
from gan_cli.base.checkpoint import config_of, newest_summary
from gan_cli.base.errors import UserError
from gan_cli.base.files import expanded
from gan_cli.base.run_config import Composed, DataConfig
from gan_cli.base.run_folder import cells_in, model_facts
from gan_cli.check.config_folder import options_by_group
from gan_cli.cli.config import SWEEPS, sweep_name
from gan_cli.cli.judge import parse
from gan_cli.cli.places import absolute
from gan_cli.cli.quoting import rendered
from gan_cli.cli.typed import Typed, key_of, value_of

OF_PICTURES = ("resolution", "channels", "source_channels")  # the options of a data set that networks are built for
NORM = "${critic_norm:"  # begins the norm of a critic that a loss or a penalty may demand


def with_base(typed: Typed) -> Typed:
    """Add the overrides that `init_from=` brings, before those that are typed.

    Raises:
        UserError: the model of the run is no option here, or the run has no checkpoint.
    """
    overrides, sources = typed.overrides, sources_of(typed)
    bases = [base_of(source, typed) for source in sources]
    base = bases[0] if bases else None
    if base is None:  # the file exists but can't be read: loading it reports why
        return typed
    options, source = options_by_group(typed.folders()), sources[0]
    keys = set(map(key_of, overrides))
    if "model" not in keys:
        check_alike(sources, bases)
    experiment = options.get("experiment", {}).get(value_of(overrides, "experiment") or "") or {}
    chosen = {key.removeprefix("override /"): option for key, option in defaults_of(experiment)}
    brought: list[str] = []
    if "model" not in keys and "model" not in chosen:
        brought += model_of(base, options, keys, demanded(overrides, chosen, options), source)
    if "dataset" not in keys and "dataset" not in chosen:
        brought += chosen_again(
            "dataset", {**base, "dataset": DataConfig("", base["dataset"]).without_download().node}, options, keys
        )
    else:
        name = (value_of(overrides, "dataset") or str(chosen.get("dataset"))).partition(",")[0]
        model = value_of(overrides, "model") or str(chosen.get("model") or option_of("model", base, options) or "")
        written = options.get("model", {}).get(model.partition(",")[0]) or {}
        brought += pictures_of(base, options.get("dataset", {}).get(name) or {}, written, keys)
    return Typed(typed.flags, [*brought, *overrides])


def sources_of(typed: Typed) -> list[str]:
    """List the runs in `init_from=`: one, or one for each value of a sweep."""
    source = value_of(typed.overrides, "init_from")
    if source is None:
        return []
    if typed.sweeps and not expanded(source).exists():
        override = parse(f"init_from={source}", "gan-train")
        if override.is_sweep_override() and not override.is_interval_sweep():
            return [str(text) for text in override.sweep_string_iterator()]
    return [source]


def base_of(source: str, typed: Typed) -> Composed | None:
    """Return the config of the run that the weights come from, or None if its checkpoint can't be read.

    Raises:
        UserError: there is no checkpoint, and no cell of the resumed sweep began from that run.
    """
    where = expanded(source)
    try:
        base = config_of(where)
        if base is None:
            newest_summary(where)
        return base
    except UserError:
        for cell in cells_in(sweep_of(typed)) if typed.sweeps else []:
            begun = config_of(cell)
            if begun is not None and begun.get("init_from") == absolute(source):
                return begun
        raise


def sweep_of(typed: Typed) -> Path:
    """Return the folder of the sweep that is typed."""
    where = value_of(typed.overrides, "hydra.sweep.dir")
    return SWEEPS / sweep_name(value_of(typed.overrides, "sweep")) if where is None else expanded(where)


def check_alike(sources: Sequence[str], bases: Sequence[Composed | None]) -> None:
    """Check that all runs from which the cells of a sweep start have the same networks.

    Raises:
        UserError: two of them differ.
    """
    facts = [None if base is None else model_facts(base) for base in bases]
    for source, other in zip(sources, facts, strict=True):
        if other != facts[0]:
            raise UserError(
                f"init_from={sources[0]!r} and init_from={source!r} are runs of different networks, and the cells of a"
                " sweep take their model from one run: make a sweep of each"
            )


def defaults_of(experiment: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for entry in experiment.get("defaults") or []:
        if isinstance(entry, dict):
            yield from entry.items()


def option_of(group: str, base: Mapping[str, Any], options: Mapping[str, Any]) -> str | None:
    """Find the option of a group that a config was composed with, by its record of choices, else by the class.

    Return None where this program has no such option.
    """
    known = options.get(group, {})
    name = (base.get("choices") or {}).get(group)
    if isinstance(name, str):
        return name if name in known else None
    target = base[group].get("_target_")
    return next((option for option, written in known.items() if written.get("_target_") == target), None)


def model_of(
    base: Mapping[str, Any], options: Mapping[str, Any], typed: set[str], demanded: bool, source: str
) -> list[str]:
    """List the overrides that choose the model of the base, with its options.

    Raises:
        UserError: this program has no such model.
    """
    name = option_of("model", base, options)
    if name is None:
        word = (base.get("choices") or {}).get("model") or base["model"].get("_target_")
        raise UserError(
            f"init_from={source!r} is a run of model={word}, which is no option here: add the --config-dir that has it"
        )
    return [
        f"model={name}",
        *changes("model", base["model"], options["model"][name], typed, keep_norm=not demanded),
    ]


def chosen_again(group: str, base: Mapping[str, Any], options: Mapping[str, Any], typed: set[str]) -> list[str]:
    """List the overrides that choose the base's option of a group, with its settings; none for an unknown option."""
    name = option_of(group, base, options)
    return [] if name is None else [f"{group}={name}", *changes(group, base[group], options[group][name], typed)]


def pictures_of(
    base: Mapping[str, Any], dataset: Mapping[str, Any], model: Mapping[str, Any], typed: set[str]
) -> list[str]:
    """List overrides that set a data set to the size and channels of the networks, where it has options for them."""
    words = str({key: value for key, value in model.items() if key not in META_KEYS})
    return [
        f"dataset.{key}={rendered(base['dataset'][key])}"
        for key in OF_PICTURES
        if key in dataset
        and not follows(dataset[key])
        and f"${{dataset.{key}}}" in words
        and base["dataset"].get(key) is not None
        and f"dataset.{key}" not in typed
    ]


def demanded(overrides: list[str], chosen: Mapping[str, Any], options: Mapping[str, Any]) -> bool:
    """Return whether a loss or a penalty of this command demands a certain norm in the critic."""
    for group in ("loss", "penalty"):
        words = value_of(overrides, group) or str(chosen.get(group) or "")
        for name in re.findall(r"[\w.-]+", words):
            written = options.get(group, {}).get(name) or {}
            if (written.get("brings") or {}).get("critic_norm") is not None:
                return True
    return False


def changes(
    path: str, base: Mapping[str, Any], written: Mapping[str, Any], typed: set[str], keep_norm: bool = True
) -> Iterator[str]:
    """Yield `key=value` for each setting in which the base differs from the YAML, unless it follows from others.

    Args:
        path: the path of both nodes.
        base: the node as it was composed.
        written: the node as its YAML has it.
        typed: the typed keys, which stay as they are.
        keep_norm: whether to keep the critic's norm of the base, whatever a loss or a penalty brings.
    """
    for key, value in base.items():
        name, default = f"{path}.{key}", written.get(key)
        if key in META_KEYS or name in typed or follows(value):
            continue
        if isinstance(value, dict) and isinstance(default, dict) and all(isinstance(inner, str) for inner in value):
            yield from changes(name, value, default, typed, keep_norm)
        elif follows(default) and not name.endswith(".root") and not (NORM in str(default) and keep_norm):
            continue
        elif value != default and not any(inner.startswith(f"{name}.") for inner in typed):
            yield f"{'' if key in written else '++'}{name}={rendered(value)}"


def follows(value: Any) -> bool:
    """Return whether a value is an interpolation, which follows from other values."""
    return isinstance(value, str) and "${" in value
