"""`gan-train init_from=RUN`: the model comes from the run that the weights come from, and what is typed changes it.

What was said of that run is put before Hydra in the words of its grammar, as if it were typed again: so it is seen by
`--cfg job`, kept in the run's record, and checked like anything else.
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

OF_PICTURES = ("resolution", "channels", "source_channels")  # of a data set: what networks are made for
NORM = "${critic_norm:"  # what a loss or a penalty may demand


def with_base(typed: Typed) -> Typed:
    """A command line with what `init_from=` brings before what is typed.

    Raises:
        UserError: the run's model is no option here, or there is no checkpoint.
    """
    overrides, sources = typed.overrides, sources_of(typed)
    bases = [base_of(source, typed) for source in sources]
    base = bases[0] if bases else None
    if base is None:  # a file that is there and can't be read: loading it will tell what is wrong with it
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
    """What `init_from=` names, a run for each cell of a sweep over it."""
    source = value_of(typed.overrides, "init_from")
    if source is None:
        return []
    if typed.sweeps and not expanded(source).exists():
        override = parse(f"init_from={source}", "gan-train")
        if override.is_sweep_override() and not override.is_interval_sweep():
            return [str(text) for text in override.sweep_string_iterator()]
    return [source]


def base_of(source: str, typed: Typed) -> Composed | None:
    """The config of the run that weights come from; None where its checkpoint can't be read.

    Raises:
        UserError: there is no checkpoint, and the sweep that is gone on with has no cell that began from it.
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
    """The folder of the sweep that is typed."""
    where = value_of(typed.overrides, "hydra.sweep.dir")
    return SWEEPS / sweep_name(value_of(typed.overrides, "sweep")) if where is None else expanded(where)


def check_alike(sources: Sequence[str], bases: Sequence[Composed | None]) -> None:
    """
    Raises:
        UserError: the runs that cells start from are of several models.
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
    """The option of a group that a config was composed with: by its own record, else by its class; None: not here."""
    known = options.get(group, {})
    name = (base.get("choices") or {}).get(group)
    if isinstance(name, str):
        return name if name in known else None
    target = base[group].get("_target_")
    return next((option for option, written in known.items() if written.get("_target_") == target), None)


def model_of(
    base: Mapping[str, Any], options: Mapping[str, Any], typed: set[str], demanded: bool, source: str
) -> list[str]:
    """`model=...` and its options, as the base has them.

    Raises:
        UserError: there is no such model here.
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
    """`group=...` and its options, as the base has them; nothing where it has an option that is not here."""
    name = option_of(group, base, options)
    return [] if name is None else [f"{group}={name}", *changes(group, base[group], options[group][name], typed)]


def pictures_of(
    base: Mapping[str, Any], dataset: Mapping[str, Any], model: Mapping[str, Any], typed: set[str]
) -> list[str]:
    """The size and the channels for which the networks are made, for a data set that has options for them."""
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
    """Whether a loss or a penalty of this command wants a norm of its own in the critic."""
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
    """`key=value` for each option that the base has otherwise than the option's YAML, but for what follows from others.

    Args:
        path: of both nodes.
        base: as it was composed.
        written: as the YAML has it.
        typed: keys that are typed: they stay as they are.
        keep_norm: whether the critic's norm is the base's, whatever would be brought.
    """
    for key, value in base.items():
        name, there = f"{path}.{key}", written.get(key)
        if key in META_KEYS or name in typed or follows(value):
            continue
        if isinstance(value, dict) and isinstance(there, dict) and all(isinstance(inner, str) for inner in value):
            yield from changes(name, value, there, typed, keep_norm)
        elif follows(there) and not name.endswith(".root") and not (NORM in str(there) and keep_norm):
            continue
        elif value != there and not any(inner.startswith(f"{name}.") for inner in typed):
            yield f"{'' if key in written else '++'}{name}={rendered(value)}"


def follows(value: Any) -> bool:
    """Whether a value is worked out from others."""
    return isinstance(value, str) and "${" in value
