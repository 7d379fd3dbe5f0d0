"""The cells of a sweep: the keys in which they differ, their names, and their folders.

The name of a cell shows what varies in its sweep. Its folder is found by a digest of what the cell trains: an axis that
is added later, or another order of typing, leads to the same folder. Imports no torch.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from gan_cli.base.checkpoint import listed
from gan_cli.base.errors import UserError
from gan_cli.base.files import read_json
from gan_cli.base.naming import name_of_settings
from gan_cli.base.printable import shown
from gan_cli.base.run_folder import CONFIG, NOT_LEARNED, PLACES, identity_of
from gan_cli.base.threads import cores, said
from gan_cli.cli import outcome

GRID = "hydra_plugins.gan_cli.GridSweeper"  # Hydra takes plugins by a name in this package alone
NOTE = "GAN_CLI_SWEEP"  # an environment variable: a launcher's worker processes read it too
UNNAMED = ("hydra.", "hydra/", *(f"{key}=" for key in NOT_LEARNED))  # overrides that are no part of a cell's name


@dataclass(frozen=True)
class Note:
    """The facts of a sweep that each of its cells needs.

    Attributes:
        cells: the number of cells; 0 where it is unknown.
        axes: the overridden keys in which the cells differ.
        searched: whether the sweeper itself prints a line at the end of each cell.
        facts: a digest of each cell's data (`facts_of`) at the check of the sweep; empty where there was no check.
        counts: the environment variables in which the user set a number of threads; None where they are unknown.
    """

    cells: int = 0
    axes: tuple[str, ...] = ()
    searched: bool = False
    facts: tuple[str, ...] = ()
    counts: tuple[str, ...] | None = None

    def leave(self) -> None:
        os.environ[NOTE] = json.dumps(asdict(replace(self, counts=said())))

    @staticmethod
    def found() -> Note:
        content = json.loads(os.environ.get(NOTE, "{}"))
        lists = {key: tuple(value) for key, value in content.items() if isinstance(value, list)}
        return Note(**{**content, **lists})

    def keep_to_said(self) -> None:
        """Delete the numbers of threads that a launcher, such as joblib, set for its worker processes.

        The user did not choose them. Call this before torch is loaded, which reads them.
        """
        for name in () if self.counts is None else set(said()) - set(self.counts):
            del os.environ[name]

    def check(self, number: int, content: Mapping[str, Any]) -> None:
        """Check that the data of a cell has not changed since the check of the sweep.

        Raises:
            UserError: it has changed.
        """
        if self.facts and self.facts[number] != facts_of(content):
            raise UserError(
                "the data set has changed since the sweep began (other files than were counted then): this cell is not"
                " trained; put the files back, or begin a sweep of another name"
            )

    def label(self, number: int, overrides: Iterable[str]) -> str:
        """Return the label of a cell, such as `[1 of 4] loss=hinge seed=0`."""
        place = f"[{number + 1} of {self.cells}]" if self.cells else f"[{number + 1}]"
        return " ".join([place, *(f"{key}={value}" for key, value in varying(overrides, self.axes))])


def facts_of(content: Mapping[str, Any]) -> str:
    """Compute a short digest of the facts that were read from the files of a cell's data set."""
    return hashlib.sha256(json.dumps(content["dataset"].get("provides"), sort_keys=True).encode()).hexdigest()[:16]


def at_a_time(launcher: Any, count: int = 0) -> int:
    """Return how many cells a sweep's launcher runs at the same time on this machine, as joblib counts them.

    Args:
        count: the number of the sweep's cells; 0 where it is unknown.
    """
    jobs = OmegaConf.select(launcher, "n_jobs") if launcher is not None else None
    if not isinstance(jobs, int) or jobs == 0:
        return 1
    jobs = jobs if jobs > 0 else max(1, cores() + 1 + jobs)
    return min(jobs, count) if count else jobs


def words_of(overrides: Any) -> list[str]:
    """Return overrides as they were typed: each cell resolves a `${...}` in them by itself."""
    words: Any = OmegaConf.to_container(overrides, resolve=False)
    return [str(word) for word in words]


def settings_of(overrides: Iterable[str]) -> dict[str, str]:
    """Map the keys of overrides to their values as text."""
    return {key: value for key, _, value in (text.partition("=") for text in overrides)}


def axes_of(cells: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Find the keys in which the overrides of cells differ. Parts and the seed come first: they tell more."""
    settings = [settings_of(overrides) for overrides in cells]
    keys = {key for values in settings for key in values}
    differing = [key for key in keys if len({values.get(key) for values in settings}) > 1]
    return tuple(sorted(differing, key=parts_first))


def parts_first(key: str) -> tuple[bool, str]:
    return "." in key, key


def varying(overrides: Iterable[str], axes: Iterable[str]) -> list[tuple[str, str]]:
    """List the keys and values of a cell along the axes of its sweep."""
    settings = settings_of(overrides)
    return [(key, settings[key]) for key in axes if key in settings]


def cell_name(overrides: Iterable[str]) -> str:
    """Name a cell whose sweep is unknown, by all typed overrides that change what it learns."""
    settings = settings_of(text for text in overrides if not text.lstrip("+~").startswith(UNNAMED))
    return name_of_settings((key, settings[key]) for key in sorted(settings, key=parts_first))


class Cells:
    """The runs in a sweep's folder, by what they train. Only the process that holds the folder's lock may add runs.

    A link in the folder is ignored: its target is no part of the sweep.

    Args:
        folder: the folder of the sweep.
        same: called with a run's folder and a cell's config; returns false if the run has learned from other data.
    """

    def __init__(self, folder: Path, same: Callable[[Path, Mapping[str, Any]], bool]) -> None:
        self.folder, self.same = folder, same
        self.places: dict[str, Path] = {}
        self.moved: dict[str, list[Path]] = {}  # runs whose data is gone from its folder, by a digest without paths
        folders = (place for place in folder.iterdir() if place.is_dir() and not place.is_symlink())
        for place in sorted(folders, key=lambda place: (not finished(place), place.name)):
            self.look(place)

    def look(self, place: Path) -> None:
        """Register the run of a folder, if there is one; of several that train the same, only the first."""
        config = read_json(place / CONFIG)
        if config is None:
            return
        self.places.setdefault(identity_of(config), place)
        dataset = config.get("dataset")
        root = dataset.get("root") if isinstance(dataset, dict) else None
        if isinstance(root, str) and "://" not in root and not Path(root).exists():
            self.moved.setdefault(identity_of(config, PLACES), []).append(place)

    def has_begun(self, content: Mapping[str, Any]) -> bool:
        """Return whether a cell has a checkpoint already."""
        place = self.places.get(identity_of(dict(content)))
        return place is not None and bool(listed(place))

    def place(self, content: Mapping[str, Any], name: str) -> Path:
        """Return the folder of a cell: the one that has its run already, else a new one.

        Args:
            content: the cell's composed config.
            name: the name of a new folder; where another run has that name, a digest follows it.

        Raises:
            UserError: the run in the folder has learned from other data than the cell has now.
        """
        identity, moved = identity_of(dict(content)), self.moved.get(identity_of(dict(content), PLACES), [])
        if identity not in self.places and (place := next((p for p in moved if self.same(p, content)), None)):
            moved.remove(place)  # it belongs to one cell alone
            self.places[identity] = place
        if identity not in self.places:
            self.look(self.folder / name)  # a typed name may lie deeper than the usual folder of a cell
        if identity not in self.places:
            place = self.folder / name
            self.places[identity] = self.folder / f"{name}-{identity[:10]}" if self.is_taken(place) else place
        place = self.places[identity]
        if not self.same(place, content):
            raise UserError(
                f"the data set has changed since {shown(place)} was trained (other files, or the same under other"
                " names): choose another sweep=NAME, or put the old ones back"
            )
        return place

    def is_taken(self, place: Path) -> bool:
        used = any((place / file).exists() for file in (CONFIG, "run.json")) or place in self.places.values()
        return used or place.is_symlink() or place.is_file()


def finished(place: Path) -> bool:
    return (read_json(place / "run.json") or {}).get("status") == "finished"


class CellSweeper(Sweeper):
    """The base of the sweepers: Hydra's launcher runs each cell in the folder that was found for it."""

    config: DictConfig

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context, self.config = hydra_context, config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def launch(self, cells: Sequence[tuple[Sequence[str], Path]], first: int = 0) -> list[outcome.End]:
        """Run cells, and return how each of them ended, in whatever process.

        Args:
            cells: the overrides and the folder of each cell.
            first: the number of the first cell in the sweep.
        """
        assert self.launcher is not None
        sweep = Path(str(OmegaConf.select(self.config, "hydra.sweep.dir")))
        calls = [
            [*overrides, f"hydra.sweep.subdir='{escaped(place.relative_to(sweep))}'"] for overrides, place in cells
        ]
        return [outcome.end_of(job.return_value) for job in self.launcher.launch(calls, initial_job_idx=first)]


def escaped(path: Path) -> str:
    return path.as_posix().replace("\\", "\\\\").replace("'", "\\'")


class GridSweeper(CellSweeper):
    """The cells of a grid, which are checked and placed before the first one starts (`outcome.places`).

    Args:
        max_batch_size: the number of cells that the launcher gets at a time; None: all.
        params: further keys of the grid; its cells hold them already.
    """

    def __init__(self, max_batch_size: int | None = None, params: Any = None) -> None:
        self.max_batch_size = max_batch_size

    def sweep(self, arguments: list[str]) -> list[outcome.End]:
        cells = list(outcome.places.items())
        size = self.max_batch_size or max(1, len(cells))
        ends = [end for at in range(0, len(cells), size) for end in self.launch(cells[at : at + size], at)]
        outcome.runs[:] = ends
        return ends
