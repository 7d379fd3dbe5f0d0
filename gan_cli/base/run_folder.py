"""One run's folder: what belongs in it, run.json, the lock. Imports no torch.

The folder may be a stranger's. The path that a user typed may be a link, but what a run keeps inside must be files and
folders (`check_entries`): through a link this program would write into, or delete, what lies elsewhere, and a pipe or
a device would hold it for ever.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from gan_cli.base.allow_list import META_KEYS
from gan_cli.base.errors import UserError
from gan_cli.base.files import check_entry, open_to_append, read_json, write_json
from gan_cli.base.run_config import Composed
from gan_cli.base.settings import TrainerSettings

CONFIG = "config.json"  # our copy of the composed config, resolved: Hydra rewrites .hydra of an existing folder
BASE = "base.pt"  # the networks of the run that this one builds on
FILES = ("run.json", CONFIG, BASE, "base.json", "run.log", "metrics.jsonl", "scalars.jsonl", ".lock", "study.db")
FOLDERS = ("checkpoints", "samples", ".hydra")


def check_entries(folder: Path) -> None:
    """What a run keeps in its folder must be regular files and folders. Before anything is read there or written.

    Raises:
        UserError: an entry is a link, a pipe, a device, or a file where a folder belongs; names it.
    """
    for name in FILES:
        check_entry(folder / name, stat.S_ISREG, "a regular file")
    for name in FOLDERS:
        check_entry(folder / name, stat.S_ISDIR, "a folder")
        for inner in _inside(folder / name):
            check_entry(Path(inner.path), lambda mode: stat.S_ISREG(mode) or stat.S_ISDIR(mode), "a regular file")
    for entry in _inside(folder):
        if entry.name.startswith((".end-", "events.out.tfevents.")):
            check_entry(Path(entry.path), stat.S_ISREG, "a regular file")


def _inside(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []


def is_run(folder: Path) -> bool:
    """Whether a folder is a run's."""
    return (folder / "run.json").is_file()


def is_sweep(folder: Path) -> bool:
    """Whether a folder has cells, and is no run itself."""
    return not is_run(folder) and bool(cells_in(folder))


def has_lock(folder: Path) -> bool:
    """Whether a folder was ever held, as that of a sweep is while it trains."""
    return (folder / ".lock").is_file()


DEEPEST = 3  # folders below outputs/: sweeps/NAME/CELL
MOST_TOLD = 4


def cells_in(folder: Path, is_one: Callable[[Path], bool] = is_run) -> list[Path]:
    """A sweep's cells, sorted: the runs in its folder. Deeper ones only where it has the lock of a sweep, for any other
    folder may hold what was never one sweep.
    """
    return runs_below(folder, DEEPEST if has_lock(folder) else 1, is_one)


def runs_below(folder: Path, depth: int = DEEPEST, is_one: Callable[[Path], bool] = is_run) -> list[Path]:
    """The runs below a folder, sorted, so many folders deep, none within another and none behind a link."""
    found, places = [], [folder]
    for _ in range(depth):
        places = [Path(e.path) for place in places for e in _inside(place) if e.is_dir(follow_symlinks=False)]
        found += [place for place in places if is_one(place)]
        places = [place for place in places if not is_one(place)]
    return sorted(found)


def links_in(folder: Path) -> list[Path]:
    """Links in a folder that lead to runs, which are no cells of it."""
    return sorted(Path(e.path) for e in _inside(folder) if e.is_symlink() and is_run(Path(e.path)))


def none_in(where: Path) -> str:
    """Why there is no checkpoint in a place."""
    if (where / "run.json").is_file():
        return (
            f"the run {str(where)!r} has no checkpoint: there is no images-*.pt file in its checkpoints/;"
            " a run writes one at each trainer.checkpoint_every_images and at its end"
        )
    hint = runs_in(where) or ": give a run's folder or a checkpoints/images-*.pt file"
    return f"there is no checkpoint in {str(where)!r}{hint}"


def runs_in(folder: Path) -> str:
    """`: it holds 6 runs, the newest are ...; name one of them`; nothing where it holds none, or is no folder."""
    found = runs_below(folder)
    if not found:
        return ""
    found.sort(key=lambda run: (run / "run.json").stat().st_mtime, reverse=True)
    newest = ", ".join(str(run) for run in found[:MOST_TOLD])
    if len(found) <= MOST_TOLD:
        return f": it holds {'a run' if len(found) == 1 else f'{len(found)} runs'}, {newest}; name one of them"
    return f": it holds {len(found)} runs, the newest are {newest}; name one of them"


def update_run(folder: Path, **values: Any) -> None:
    """Change some keys of `run.json`."""
    write_json(folder / "run.json", {**(read_json(folder / "run.json") or {}), **values})


@dataclass(frozen=True)
class Cell:
    """A run that is one of a sweep's, as the console and TensorBoard tell it.

    Attributes:
        label: `[1 of 4] loss=hinge seed=0`, in front of what it prints.
        axes: the overridden keys in which the cells of its sweep differ.
        alone: whether no other cell runs at the same time.
        workers: cells that run at the same time on this machine.
    """

    label: str
    axes: tuple[str, ...] = ()
    alone: bool = True
    workers: int = 1


class Spent:
    """Seconds that a run has taken in all its parts; counts from when it is made."""

    def __init__(self, folder: Path) -> None:
        before = (read_json(folder / "run.json") or {}).get("seconds")
        self.before = before if isinstance(before, (int, float)) else 0.0
        self.begun = time.monotonic()

    def seconds(self) -> float:
        return round(self.before + time.monotonic() - self.begun, 1)


# keys that say nothing of what is trained
NOT_LEARNED = (
    *("name", "notes", "sweep", "resume", "trust", "dry_run", "full_size", "choices", "metric", "features"),
    *(f"trainer.{key}" for key in TrainerSettings.FREE_ON_RESUME if key not in ("total_images", "patience_images")),
)


SET_BY_CHECK = "dataset.provides."  # facts found by looking, not chosen
PLACES = ("dataset.root", "model.base")  # where something lies: what it is, a checkpoint knows by its fingerprint


def digest_of(config: Mapping[str, Any]) -> str:
    """A digest of the composed config that two runs share exactly if they train the same thing, wherever it lies."""
    relevant = {key: value for key, value in flat(config).items() if not not_learned(key) and key not in PLACES}
    return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()


def chosen_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """What was chosen of what a run trains, by dotted key: where this is equal, a run may be gone on with.

    A key that is null is left out: a config of an earlier version may not have it.
    """
    kept = {key: value for key, value in flat(config).items() if not not_learned(key)}
    return {key: value for key, value in kept.items() if value is not None and not key.startswith(SET_BY_CHECK)}


def identity_of(config: Mapping[str, Any], without: Sequence[str] = ()) -> str:
    """A digest of `chosen_of`, equal where that is: by it a sweep finds its cells, whatever they are called.

    Args:
        without: keys that are passed over.
    """
    chosen = {key: value for key, value in chosen_of(config).items() if key not in without}
    alike = json.loads(json.dumps(chosen), parse_float=_whole_if_equal)
    return hashlib.sha256(json.dumps(alike, sort_keys=True).encode()).hexdigest()


def _whole_if_equal(text: str) -> float:
    number = float(text)
    return int(number) if number.is_integer() else number  # 1.0 was chosen where 1 is: they are equal


def not_learned(key: str) -> bool:
    """Whether a dotted key is one of `NOT_LEARNED`, or below one, or what a part declares; facts of the data count."""
    group, *inside = key.split(".")
    declared = group != "dataset" and any(part in META_KEYS for part in inside)
    return declared or any(f"{key}.".startswith(f"{name}.") for name in NOT_LEARNED)


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested keys joined by dots."""
    out: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, dict):
            out.update(flat(value, f"{prefix}{key}."))
        else:
            out[prefix + str(key)] = value
    return out


@contextmanager
def locked(folder: Path, what: str) -> Iterator[None]:
    """Hold the folder's lock, or refuse; the system lets go of it however the process ends.

    Raises:
        UserError: another process holds it; an entry of the folder is none of a run's (`check_entries`).
    """
    folder.mkdir(parents=True, exist_ok=True)
    check_entries(folder)
    with open_to_append(folder / ".lock") as file:
        if not _try_lock(file):
            raise UserError(
                f"{what} {str(folder)!r} is in use by another process; wait for it or choose another folder"
            )
        yield


def _try_lock(file: IO[bytes]) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
            return True
        except OSError:
            return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False


NOT_NETWORKS = (*META_KEYS, "perceptual")
STAGES = (".start", ".fade_images", ".stable_images")  # of a growing model: when which level comes


def model_facts(config: Composed) -> dict[str, Any]:
    """What decides a model's weights, its class and its networks, flat, by dotted key; kept in the side file.

    Not what it is trained by: loss weights, the lengths of stages, the features that it is compared in.
    """
    networks = {
        key: value
        for key, value in config["model"].items()
        if key == "_target_" or (isinstance(value, dict) and "_target_" in value and key not in NOT_NETWORKS)
    }
    return {key: value for key, value in flat({"model": networks}).items() if not key.endswith(STAGES)}
