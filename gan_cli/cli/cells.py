"""The cells of a sweep: in what they differ, what they are called, and the folder that each is found in again.

A cell is named by what varies in its own sweep, and found by what it trains: an axis that is added later, or another
order of typing, leads to the same folder. Imports no torch.
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
NOTE = "GAN_CLI_SWEEP"  # in the environment, so that a launcher's worker processes know it too
UNNAMED = ("hydra.", "hydra/", *(f"{key}=" for key in NOT_LEARNED))  # overrides that don't name a cell


@dataclass(frozen=True)
class Note:
    """What every cell of a sweep is told of it.

    Attributes:
        cells: how many there are; 0 where nobody knows.
        axes: the overridden keys in which they differ.
        searched: whether the sweeper has a line of its own for each cell's end.
        facts: of each cell's data (`facts_of`) when the sweep was checked; empty where it was not.
        counts: the variables of the environment in which the user has said how many threads; None where nobody knows.
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
        """Forget the numbers of threads that a launcher has set for its worker processes, as joblib does: nobody said
        them. To be called before torch is loaded, which reads them.
        """
        for name in () if self.counts is None else set(said()) - set(self.counts):
            del os.environ[name]

    def check(self, number: int, content: Mapping[str, Any]) -> None:
        """
        Raises:
            UserError: a cell's data is no longer what it was when the sweep was checked.
        """
        if self.facts and self.facts[number] != facts_of(content):
            raise UserError(
                "the data set has changed since the sweep began (other files than were counted then): this cell is not"
                " trained; put the files back, or begin a sweep of another name"
            )

    def label(self, number: int, overrides: Iterable[str]) -> str:
        """`[1 of 4] loss=hinge seed=0`"""
        place = f"[{number + 1} of {self.cells}]" if self.cells else f"[{number + 1}]"
        return " ".join([place, *(f"{key}={value}" for key, value in varying(overrides, self.axes))])


def facts_of(content: Mapping[str, Any]) -> str:
    """What a look at a cell's data told, in short."""
    return hashlib.sha256(json.dumps(content["dataset"].get("provides"), sort_keys=True).encode()).hexdigest()[:16]


def at_a_time(launcher: Any, count: int = 0) -> int:
    """How many cells a sweep's launcher carries out beside each other on this machine; as joblib counts them.

    Args:
        count: of the sweep's cells; 0 where nobody knows.
    """
    jobs = OmegaConf.select(launcher, "n_jobs") if launcher is not None else None
    if not isinstance(jobs, int) or jobs == 0:
        return 1
    jobs = jobs if jobs > 0 else max(1, cores() + 1 + jobs)
    return min(jobs, count) if count else jobs


def words_of(overrides: Any) -> list[str]:
    """Overrides as they were typed: a `${...}` in them is each cell's own to work out."""
    words: Any = OmegaConf.to_container(overrides, resolve=False)
    return [str(word) for word in words]


def settings_of(overrides: Iterable[str]) -> dict[str, str]:
    """Values by overridden key, as texts."""
    return {key: value for key, _, value in (text.partition("=") for text in overrides)}


def axes_of(cells: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """The keys in which the overrides of cells differ; parts and the seed first, which tell more."""
    settings = [settings_of(overrides) for overrides in cells]
    keys = {key for found in settings for key in found}
    differing = [key for key in keys if len({found.get(key) for found in settings}) > 1]
    return tuple(sorted(differing, key=in_order))


def in_order(key: str) -> tuple[bool, str]:
    return "." in key, key


def varying(overrides: Iterable[str], axes: Iterable[str]) -> list[tuple[str, str]]:
    """A cell's values along the axes of its sweep."""
    settings = settings_of(overrides)
    return [(key, settings[key]) for key in axes if key in settings]


def cell_name(overrides: Iterable[str]) -> str:
    """A cell's name where nobody knows the others: by all that was typed of what it learns."""
    settings = settings_of(text for text in overrides if not text.lstrip("+~").startswith(UNNAMED))
    return name_of_settings((key, settings[key]) for key in sorted(settings, key=in_order))


class Cells:
    """The runs in a sweep's folder, by what they train. Only who holds the folder's lock may place new ones.

    A link among them is not looked into: what it leads to is no part of the sweep.

    Args:
        folder: the sweep's.
        same: whether the run of a folder, if it has learned anything, did so from the data of a cell's config.
    """

    def __init__(self, folder: Path, same: Callable[[Path, Mapping[str, Any]], bool]) -> None:
        self.folder, self.same = folder, same
        self.places: dict[str, Path] = {}
        self.moved: dict[str, list[Path]] = {}  # those whose data lies no more where it was, by all but its place
        there = (place for place in folder.iterdir() if place.is_dir() and not place.is_symlink())
        for place in sorted(there, key=lambda place: (not finished(place), place.name)):
            self.look(place)

    def look(self, place: Path) -> None:
        """Remember the run of a folder, if it is one; of several that train the same, the first."""
        config = read_json(place / CONFIG)
        if config is None:
            return
        self.places.setdefault(identity_of(config), place)
        dataset = config.get("dataset")
        root = dataset.get("root") if isinstance(dataset, dict) else None
        if isinstance(root, str) and "://" not in root and not Path(root).exists():
            self.moved.setdefault(identity_of(config, PLACES), []).append(place)

    def has_begun(self, content: Mapping[str, Any]) -> bool:
        """Whether a cell has a checkpoint already."""
        place = self.places.get(identity_of(dict(content)))
        return place is not None and bool(listed(place))

    def place(self, content: Mapping[str, Any], name: str) -> Path:
        """The folder of a cell: that which has its run already, else a new one.

        Args:
            content: the cell's composed config.
            name: what a new folder is called; with a digest where another run has that name.

        Raises:
            UserError: the folder's run has learned from other data than the cell's is now.
        """
        identity, moved = identity_of(dict(content)), self.moved.get(identity_of(dict(content), PLACES), [])
        if identity not in self.places and (place := next((p for p in moved if self.same(p, content)), None)):
            moved.remove(place)  # of one cell alone
            self.places[identity] = place
        if identity not in self.places:
            self.look(self.folder / name)  # of a name that was typed, and may lie deeper than a cell's usually does
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
    """What sweepers share: through Hydra's launcher, each cell into the folder that was found for it."""

    config: DictConfig

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context, self.config = hydra_context, config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def launch(self, cells: Sequence[tuple[Sequence[str], Path]], first: int = 0) -> list[outcome.End]:
        """Carry out cells, overrides with their folders; returns how each ended, in whatever process.

        Args:
            first: the number of the first of them in the sweep.
        """
        assert self.launcher is not None
        sweep = Path(str(OmegaConf.select(self.config, "hydra.sweep.dir")))
        led = [[*overrides, f"hydra.sweep.subdir='{escaped(place.relative_to(sweep))}'"] for overrides, place in cells]
        return [outcome.end_of(job.return_value) for job in self.launcher.launch(led, initial_job_idx=first)]


def escaped(path: Path) -> str:
    return path.as_posix().replace("\\", "\\\\").replace("'", "\\'")


class GridSweeper(CellSweeper):
    """All cells of a grid, as they were checked and placed before the first one starts (`outcome.places`).

    Args:
        max_batch_size: how many the launcher gets at a time; None: all.
        params: further keys of the grid, which are in its cells already.
    """

    def __init__(self, max_batch_size: int | None = None, params: Any = None) -> None:
        self.max_batch_size = max_batch_size

    def sweep(self, arguments: list[str]) -> list[outcome.End]:
        cells = list(outcome.places.items())
        size = self.max_batch_size or max(1, len(cells))
        ends = [end for at in range(0, len(cells), size) for end in self.launch(cells[at : at + size], at)]
        outcome.runs[:] = ends
        return ends
