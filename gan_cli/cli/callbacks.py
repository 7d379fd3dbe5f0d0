"""Hydra's callbacks: the check before a run's folder is made, the check of a grid, and the summary of a sweep.

Hydra turns an exception in a callback into a warning, so a refusal leaves as SystemExit.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict

from gan_cli.base.errors import UserError
from gan_cli.base.files import expanded
from gan_cli.base.naming import name_of_settings
from gan_cli.base.printable import shown, tell
from gan_cli.base.run_config import Composed
from gan_cli.base.run_folder import PLACES, check_entries, identity_of
from gan_cli.check.brought import check_brought
from gan_cli.check.check import check
from gan_cli.check.check_base import of_begun
from gan_cli.cli import outcome
from gan_cli.cli.cells import GRID, Cells, GridSweeper, Note, at_a_time, axes_of, facts_of, varying, words_of
from gan_cli.cli.check_built import check_built
from gan_cli.cli.config import plain
from gan_cli.cli.learned_from import SameData
from gan_cli.cli.resume import changed_keys, locked_in
from gan_cli.cli.sentences import REFUSALS, code_of, say, sentence
from gan_cli.cli.typed import value_of
from gan_cli.report.text import listed, plural


class CheckFirst(Callback):
    """The checks of `gan-train` before a run or a sweep begins."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        try:
            content = checked(config)
            folder = Path(str(OmegaConf.select(config, "hydra.run.dir")))
            self.refuse_another(folder, content)
            if not (folder / "run.json").exists():  # else it is this very run, which was checked at its start
                check_built(content)
        except REFUSALS as error:
            refuse(error)

    @staticmethod
    def refuse_another(folder: Path, content: Composed) -> None:
        """Refuse a folder that holds a run of another config."""
        check_entries(folder)
        if (folder / "run.json").exists():
            changes = locked_in(changed_keys(folder, content), PLACES)
            if changes:
                text = (
                    f"{str(folder)!r} holds a run of another configuration ({changes[0]}); choose another hydra.run.dir"
                )
                raise UserError(text)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Check every cell of the grid and find its folder before the first one starts."""
        self.folder = Path(str(OmegaConf.select(config, "hydra.sweep.dir")))
        try:
            if str(config.hydra.sweeper._target_).endswith("BasicSweeper"):
                self.plan(config, grid(config))
            else:  # a search chooses its cells as it goes
                outcome.hold_sweep(self.folder)
        except REFUSALS as error:
            refuse(error)

    def plan(self, config: DictConfig, cells: list[list[str]]) -> None:
        """Check the cells of a grid, and choose a folder for each of them.

        Raises:
            UserError: no cells, a cell that can't work, two that train the same, or a folder that another sweep uses.
        """
        note = Note(len(cells), axes_of(cells))
        note.leave()
        if not cells:
            raise UserError("the sweep has no cells: one of its keys has no values")
        tell(f"sweep      {plural(len(cells), 'cell')}{axes_text(note)}; checked before the first one starts")
        configs = [composed(config, cell, number) for number, cell in enumerate(cells)]
        before = Cells(self.folder, SameData()) if self.folder.is_dir() else None
        contents = [checked(cell, before) for cell in configs]
        replace(note, facts=tuple(map(facts_of, contents))).leave()
        refuse_twins(cells, contents)
        for content in contents:  # this loads torch, so the checks without torch come first for all cells
            check_built(content)
        outcome.hold_sweep(self.folder)
        runs = Cells(self.folder, SameData())
        names = [name_of_settings(varying(cell, note.axes)) for cell in cells]
        if any(text.startswith("hydra.sweep.subdir=") for text in words_of(config.hydra.overrides.hydra)):
            names = [str(OmegaConf.select(cell, "hydra.sweep.subdir")) for cell in configs]
        places = [runs.place(content, name) for content, name in zip(contents, names, strict=True)]
        for place in places:
            check_entries(place)
        outcome.places = {tuple(cell): place for cell, place in zip(cells, places, strict=True)}
        config.hydra.sweeper._target_ = GRID
        Plugins.instance().class_name_to_class[GRID] = GridSweeper
        tell_common(contents, self.folder, at_a_time(config.hydra.launcher, len(cells)))

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        if outcome.runs:  # a search prints a summary of its own
            outcome.summarise(self.folder)


class NoSweeps(Callback):
    """The refusal of a sweep by the commands that make no runs. Their tasks check the options."""

    def __init__(self, instead: str) -> None:
        self.instead = instead

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        refuse(UserError(self.instead))


def refuse(error: Exception) -> NoReturn:
    raise SystemExit(say(sentence(error, outcome.names), code_of(error)))


def content_of(config: DictConfig) -> Composed:
    """Convert a composed config with its `hydra` node to plain values."""
    HydraConfig.instance().set_config(config)
    return plain(config, config.hydra.runtime.choices)


def checked(config: DictConfig, sweep: Cells | None = None) -> Composed:
    """Check one composed config with its `hydra` node, and return its plain values.

    Args:
        sweep: the runs in the sweep's folder. A cell with a checkpoint no longer needs the run that it began from.
    """
    content = content_of(config)
    check_places(config)
    check_brought(content)
    begun = sweep is not None and sweep.has_begun(content)
    check(of_begun(content) if begun else content)
    fetch(content)
    return content


def check_places(config: DictConfig) -> None:
    """Check the settings that decide where a run is written: Hydra's folders, and the name of a sweep.

    Raises:
        UserError: a folder's name is empty or leads out of its parent folder, the run would change into its folder, or
            `sweep=` is typed without a sweep.
    """
    sweep = config.hydra.mode.name != "RUN"
    name = None if sweep else value_of(list(config.hydra.overrides.task), "sweep")
    if name is not None:
        raise UserError(f"sweep={name} names the folder of a sweep, and this is one run: add -m, or say name={name}")
    for key in ("hydra.sweep.dir", "hydra.sweep.subdir") if sweep else ("hydra.run.dir",):
        if not str(OmegaConf.select(config, key) or ""):
            raise UserError(f"{key} is empty: it is the folder that a run is written to")
    for key, of in {"hydra.output_subdir": "run", **({"hydra.sweep.subdir": "sweep"} if sweep else {})}.items():
        inside = Path(str(OmegaConf.select(config, key) or ""))
        if inside.is_absolute() or ".." in inside.parts:
            raise UserError(f"{key}={str(inside)!r} leads out of the {of}'s folder: name a folder inside of it")
    if config.hydra.job.chdir:
        raise UserError(
            "hydra.job.chdir=true would change into the run's folder, where paths as dataset.root=DIR lead elsewhere:"
            " leave it out, all of a run is written to its folder anyway"
        )


def fetch(content: Composed) -> None:
    """Fetch missing files before the run folder is made: a failed download or wrong weights must leave no folder.

    Raises:
        UserError: a download failed, or the weights don't fit.
    """
    dataset = content["dataset"]
    files = (dataset.get("provides") or {}).get("files") or []
    root = expanded(str(dataset.get("root")))
    if files and not all((root / name).exists() for name in files):
        from gan_cli.base.run_config import RunConfig
        from gan_cli.game.build import build_data

        build_data(RunConfig.of(content).data, content["trust"])
    if content.get("perceptual"):
        from gan_cli.game.build import instantiate

        instantiate(content["perceptual"], content["trust"], "perceptual").load()


def grid(config: DictConfig) -> list[list[str]]:
    """List the overrides of every cell, as Hydra's sweeper makes them.

    Raises:
        UserError: an override is an interval, which has no cells.
    """
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    params: Any = OmegaConf.to_container(config.hydra.sweeper, resolve=False)
    overrides = [f"{key}={value}" for key, value in (params.get("params") or {}).items()]
    typed = [*overrides, *words_of(config.hydra.overrides.task)]
    parsed = OverridesParser.create(config_loader()).parse_overrides(typed)
    for override in parsed:
        if override.is_interval_sweep():
            raise UserError(
                f"{override.input_line}: a grid has no cells for an interval; hydra/sweeper=optuna searches it"
            )
    (batch,) = BasicSweeper.split_arguments(parsed, None)
    return [list(cell) for cell in batch]


def axes_text(note: Note) -> str:
    return f" of {listed(note.axes)}" if note.axes else ""


def refuse_twins(cells: list[list[str]], contents: list[Composed]) -> None:
    """Refuse a sweep in which two cells train the same thing.

    Raises:
        UserError: there are two such cells.
    """
    first: dict[str, list[str]] = {}
    for cell, content in zip(cells, contents, strict=True):
        other = first.setdefault(identity_of(content), cell)
        if other is not cell:
            both = [" ".join(text for text in each if not text.startswith("sweep=")) for each in (other, cell)]
            raise UserError(
                f"two cells of the sweep train the same thing, {both[0]} and {both[1]}: leave one out"
                if both[0] != both[1]
                else f"the sweep has the cell {both[0]} twice: leave one out"
            )


def tell_common(contents: list[Composed], folder: Path, workers: int = 1) -> None:
    """Print once what all cells of a sweep have in common. The run.log of each cell has all of its settings."""
    from gan_cli.run.start import common_block, lines_of

    for line in lines_of({**common_block(contents, workers), "folder": shown(folder)}):
        tell(line)


def config_loader() -> ConfigLoader:
    """Return the config loader of this command. Without it, `glob(...)` has no options to match."""
    return GlobalHydra.instance().config_loader()


def composed(config: DictConfig, overrides: list[str], number: int = 0) -> DictConfig:
    """Compose the config of one cell from the config of its sweep."""
    cell = config_loader().load_sweep_config(config, overrides)
    with open_dict(cell):
        cell.hydra.job.num = cell.hydra.job.id = number
    return cell
