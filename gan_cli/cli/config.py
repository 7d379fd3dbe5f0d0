"""The resolvers of the YAML files, and a composed config as a plain dict. Imports no torch."""

from __future__ import annotations

import math
import os
import shlex
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from gan_cli.base.allow_list import make_importable
from gan_cli.base.naming import name_of, name_of_list
from gan_cli.base.run_config import Composed
from gan_cli.check.check_data import check_fields
from gan_cli.check.check_root import check_parts
from gan_cli.check.declared import check_declared
from gan_cli.check.players import players_of
from gan_cli.check.signatures import check_typed, nodes_of, tables_of
from gan_cli.cli.cells import cell_name
from gan_cli.cli.complete import complete
from gan_cli.cli.composition import without_hydra
from gan_cli.cli.places import make_absolute

STAMP = "GAN_CLI_STAMP"  # this command's start, in the environment
SWEEPS = Path("outputs/sweeps")  # as train.yaml has it


def register_resolvers() -> None:
    """Register the resolvers that the YAML files use; a second call does no harm."""
    resolvers: dict[str, Callable[..., Any]] = {
        "brought": brought,
        "classes_if": classes_if,
        "critic_norm": critic_norm,
        "half": lambda number: None if number is None else int(number) // 2,
        "times": lambda *numbers: None if None in numbers else math.prod(numbers),
        "sum": lambda *numbers: None if None in numbers else sum(numbers),  # None: the files are not read yet
        "n_critic": n_critic,
        "r1_weight": lambda side, batch: None if side is None else 2e-4 * side**2 / batch,  # StyleGAN2-ADA's rule
        "recommended": recommended,
        "run_name": run_name,
        "cell_name": lambda overrides: cell_name(list(overrides)),
        "sweep_name": sweep_name,
        "stamp": stamp,
    }
    for name, function in resolvers.items():
        OmegaConf.register_new_resolver(name, function, replace=True)


def stamp() -> str:
    """Return the start time of this command, to the millisecond: two runs of one second need two folders."""
    return os.environ.get(STAMP) or set_stamp()


def set_stamp() -> str:
    """Set the start time of this command to now, and return it.

    It is kept in the environment: the worker processes of a sweep's launcher must name the same folder.
    """
    now = time.time()
    os.environ[STAMP] = f"{time.strftime('%Y-%m-%d_%H-%M-%S', time.localtime(now))}.{int(now % 1 * 1000):03d}"
    return os.environ[STAMP]


def critic_norm(default: str, *, _root_: DictConfig) -> str:
    """Return the norm that the loss or a penalty demands in the critic, else the default of the model."""
    parts = [_root_.get("loss"), *(_root_.get("penalty") or {}).values()]
    demanded = [OmegaConf.select(part, "brings.critic_norm") for part in parts if part is not None]
    return next((norm for norm in demanded if norm is not None), default)


def classes_if(conditional: str, *, _root_: DictConfig) -> Any:
    """Return the number of classes of the data set for a conditional model, else None."""
    return None if conditional == "none" else OmegaConf.select(_root_, "dataset.provides.classes")


def n_critic(default: int, *, _root_: DictConfig) -> int:
    """Return the number of critic updates for each generator update.

    The optimizer decides (TTUR: one), else the model, else the default of the loss.
    """
    brought = (OmegaConf.select(_root_, f"{part}.brings.n_critic") for part in ("optimizer", "model"))
    return next((number for number in brought if number is not None), default)


def brought(key: str, default: Any, *, _root_: DictConfig) -> Any:
    """Return the value that the loss brings, else the model's, else the default. A model that `insists` comes first."""
    parts = ("model", "loss") if OmegaConf.select(_root_, "model.brings.insists") else ("loss", "model")
    values = (OmegaConf.select(_root_, f"{part}.brings.{key}") for part in parts)
    chosen = next((value for value in values if value is not None), default)
    return OmegaConf.create(chosen) if isinstance(chosen, list) else chosen  # else `--resolve` can't print it


def recommended(key: str, default: Any, *, _root_: DictConfig) -> Any:
    """Return the optimizer setting that the loss or the model recommends, else the default."""
    return brought(f"optimizer.{key}", default, _root_=_root_)


def name_players(config: DictConfig) -> None:
    """Give each player of the model a place in the tables of the optimizer, with its recommended setting.

    Remove the places of players that the model does not have, where nothing was typed for them.
    """
    players = players_of(config.get("model"))
    for place in tables_of("optimizer"):
        table = OmegaConf.select(config, place)
        if not isinstance(table, DictConfig):
            continue
        for name in [str(name) for name in table]:
            if name not in players and table[name] is None:
                del table[name]
        for name in players:
            if name not in table:
                table[name] = recommended(f"{place.partition('.')[2]}.{name}", None, _root_=config)


def run_name(name: Any, *parts: Any) -> str:
    """Return the name of a run's folder: `<name>-<model>-<loss>-<dataset>`, or without `<name>` where there is none."""
    joined = name_of_list([str(part) for part in parts], "-")
    return joined if name in (None, "") else f"{name_of(str(name))}-{joined}"


def sweep_name(name: Any) -> str:
    """Return the name of a sweep's folder; by default the start time of the command, to the second.

    An existing folder may be typed by its name, or by its path as `gan-train` prints it.
    """
    if name in (None, ""):
        return stamp()[:-4]
    printed = str(name).rstrip("/").removeprefix(f"{SWEEPS.as_posix()}/")
    return printed if printed in existing_sweeps() else name_of(str(name))


def named_again(sweep: Path) -> str:
    """Return the override that starts a sweep again, quoted for a shell: `sweep=NAME`, or its folder elsewhere."""
    usual = sweep.absolute().parent == SWEEPS.absolute()
    return shlex.quote(f"sweep={sweep.name}" if usual else f"hydra.sweep.dir={sweep}")


def existing_sweeps() -> list[str]:
    """List the stored names of the sweeps' folders: a file system may find a folder under another spelling too."""
    return [entry.name for entry in SWEEPS.iterdir() if entry.is_dir()] if SWEEPS.is_dir() else []


def chosen_of(choices: Mapping[Any, Any]) -> dict[str, Any]:
    """Return Hydra's record of the chosen options as plain values, without its own groups."""
    return {
        str(group): list(option) if isinstance(option, (list, ListConfig)) else option
        for group, option in choices.items()
        if not str(group).startswith("hydra")
    }


def plain(config: DictConfig, choices: Mapping[Any, Any]) -> Composed:
    """Convert a composed config to plain values, and complete it with facts of the data set. A run needs no more.

    Args:
        config: the composed config; its `hydra` node, if there is one, is left out.
        choices: Hydra's record of the chosen options, by group.

    Raises:
        UserError: a value that its part can't take, a data set that can't be read (`complete`), or one of another
            kind than the model needs.
    """
    chosen = chosen_of(choices)
    copy = without_hydra(config)
    OmegaConf.set_struct(copy, False)
    trust = copy.get("trust")
    trust = [str(name) for name in trust] if isinstance(trust, ListConfig) else []
    make_importable(trust)
    # before anything is computed from a wrong value: an error would blame the computed value, or be a crash
    typed = OmegaConf.to_container(copy, resolve=False)
    check_parts(typed)  # type: ignore[arg-type]
    check_typed(typed, trust)  # type: ignore[arg-type]
    for path, node in nodes_of(typed):  # type: ignore[arg-type]
        check_declared(path, node)
    make_absolute(copy)
    complete(copy)
    name_players(copy)
    # before anything is resolved: a model may refer to what another kind of data does not have
    raw = OmegaConf.to_container(copy, resolve=False)
    check_fields({**raw, "choices": chosen})  # type: ignore[typeddict-item]
    content = OmegaConf.to_container(copy, resolve=True, throw_on_missing=True)
    content["choices"] = chosen  # type: ignore[index,call-overload]
    return content  # type: ignore[return-value]
