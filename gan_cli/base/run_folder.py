"""A run's folder: its files and folders, run.json, the lock, and the runs in other folders. Imports no torch.

The folder may come from a stranger. The path that a user typed may be a link, but the entries inside must be regular
files and folders (`check_entries`). Through a link, this program would write or delete files elsewhere. A pipe or a
device would block it for ever.
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

CONFIG = "config.json"  # a copy of the composed config, resolved; Hydra rewrites .hydra in an existing folder
BASE = "base.pt"  # the networks of the run that this one builds on
FILES = ("run.json", CONFIG, BASE, "base.json", "run.log", "metrics.jsonl", "scalars.jsonl", ".lock", "study.db")
FOLDERS = ("checkpoints", "samples", ".hydra")


def check_entries(folder: Path) -> None:
    """Check that the entries of a run's folder are regular files and folders, before any of them is read or written.

    Raises:
        UserError: an entry is a link, a pipe, a device, or a file where a folder belongs; the message names it.
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
    """Return whether a folder is a run's: whether it has a run.json."""
    return (folder / "run.json").is_file()


def is_sweep(folder: Path) -> bool:
    """Return whether a folder has cells, and is no run itself."""
    return not is_run(folder) and bool(cells_in(folder))


def has_lock(folder: Path) -> bool:
    """Return whether a folder has a lock file, as the folder of a trained sweep has."""
    return (folder / ".lock").is_file()


DEEPEST = 3  # levels of folders below outputs/: sweeps/NAME/CELL
MOST_NAMED = 4  # runs in one message


def cells_in(folder: Path, is_one: Callable[[Path], bool] = is_run) -> list[Path]:
    """List a sweep's cells, sorted: the runs in its folder, and deeper ones where it has the lock of a sweep.

    Deeper runs in any other folder may not be of one sweep.

    Args:
        is_one: returns whether a folder is a cell.
    """
    return runs_below(folder, DEEPEST if has_lock(folder) else 1, is_one)


def runs_below(folder: Path, depth: int = DEEPEST, is_one: Callable[[Path], bool] = is_run) -> list[Path]:
    """List the runs below a folder, at most `depth` levels deep, sorted; it follows no link and enters no run.

    Args:
        is_one: returns whether a folder is a run.
    """
    runs, places = [], [folder]
    for _ in range(depth):
        places = [Path(e.path) for place in places for e in _inside(place) if e.is_dir(follow_symlinks=False)]
        runs += [place for place in places if is_one(place)]
        places = [place for place in places if not is_one(place)]
    return sorted(runs)


def links_in(folder: Path) -> list[Path]:
    """List the links in a folder that lead to runs; such runs are no cells of it."""
    return sorted(Path(e.path) for e in _inside(folder) if e.is_symlink() and is_run(Path(e.path)))


def none_in(where: Path) -> str:
    """Return the words that say why a path has no checkpoint."""
    if (where / "run.json").is_file():
        return (
            f"the run {str(where)!r} has no checkpoint: there is no images-*.pt file in its checkpoints/;"
            " a run writes one at each trainer.checkpoint_every_images and at its end"
        )
    hint = runs_in(where) or ": give a run's folder or a checkpoints/images-*.pt file"
    return f"there is no checkpoint in {str(where)!r}{hint}"


def runs_in(folder: Path) -> str:
    """Return `: it holds 6 runs, the newest are ...; name one of them`; "" where the path has no runs."""
    runs = runs_below(folder)
    if not runs:
        return ""
    runs.sort(key=lambda run: (run / "run.json").stat().st_mtime, reverse=True)
    newest = ", ".join(str(run) for run in runs[:MOST_NAMED])
    if len(runs) <= MOST_NAMED:
        return f": it holds {'a run' if len(runs) == 1 else f'{len(runs)} runs'}, {newest}; name one of them"
    return f": it holds {len(runs)} runs, the newest are {newest}; name one of them"


def update_run(folder: Path, **values: Any) -> None:
    """Set keys of `run.json`; the others stay."""
    write_json(folder / "run.json", {**(read_json(folder / "run.json") or {}), **values})


@dataclass(frozen=True)
class Cell:
    """A run's place in its sweep, for the console, TensorBoard and the choice of threads.

    Attributes:
        label: `[1 of 4] loss=hinge seed=0`, printed in front of each line.
        axes: the overridden keys in which the cells of its sweep differ.
        alone: whether no other cell runs at the same time.
        workers: how many cells run at the same time on this machine.
    """

    label: str
    axes: tuple[str, ...] = ()
    alone: bool = True
    workers: int = 1


class Spent:
    """The seconds that a run has taken, with those before each resume; counts from when the object is made."""

    def __init__(self, folder: Path) -> None:
        before = (read_json(folder / "run.json") or {}).get("seconds")
        self.before = before if isinstance(before, (int, float)) else 0.0
        self.begun = time.monotonic()

    def seconds(self) -> float:
        """Return the seconds so far."""
        return round(self.before + time.monotonic() - self.begun, 1)


# keys of the config that do not affect the trained weights
NOT_LEARNED = (
    *("name", "notes", "sweep", "resume", "trust", "dry_run", "full_size", "choices", "metric", "features"),
    *(f"trainer.{key}" for key in TrainerSettings.FREE_ON_RESUME if key not in ("total_images", "patience_images")),
)


SET_BY_CHECK = "dataset.provides."  # facts that the check reads from the data's files; the user does not choose them
PLACES = ("dataset.root", "model.base")  # paths; a checkpoint has fingerprints of what lies there


def digest_of(config: Mapping[str, Any]) -> str:
    """Compute a digest of the config, equal for two runs exactly if they train the same, wherever their data lies."""
    relevant = {key: value for key, value in flat(config).items() if not not_learned(key) and key not in PLACES}
    return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()


def chosen_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Select the chosen values that affect the trained weights, by dotted key; with equal ones a run may be resumed.

    A key that is null is left out, since a config of an earlier version may not have it.
    """
    kept = {key: value for key, value in flat(config).items() if not not_learned(key)}
    return {key: value for key, value in kept.items() if value is not None and not key.startswith(SET_BY_CHECK)}


def identity_of(config: Mapping[str, Any], without: Sequence[str] = ()) -> str:
    """Compute a digest of `chosen_of`, by which a sweep finds its cells, whatever their names.

    Args:
        without: keys that are left out.
    """
    chosen = {key: value for key, value in chosen_of(config).items() if key not in without}
    alike = json.loads(json.dumps(chosen), parse_float=_int_if_whole)
    return hashlib.sha256(json.dumps(alike, sort_keys=True).encode()).hexdigest()


def _int_if_whole(text: str) -> float:
    number = float(text)
    return int(number) if number.is_integer() else number  # 1.0 and 1 are the same choice


def not_learned(key: str) -> bool:
    """Return whether a dotted key does not affect the trained weights.

    Such keys are those of `NOT_LEARNED`, keys below them, and `META_KEYS` sections other than the data set's.
    """
    group, *inside = key.split(".")
    declared = group != "dataset" and any(part in META_KEYS for part in inside)
    return declared or any(f"{key}.".startswith(f"{name}.") for name in NOT_LEARNED)


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Convert nested sections to one dict by dotted key."""
    out: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, dict):
            out.update(flat(value, f"{prefix}{key}."))
        else:
            out[prefix + str(key)] = value
    return out


@contextmanager
def locked(folder: Path, what: str) -> Iterator[None]:
    """Hold the folder's lock in the context; the system releases it however the process ends.

    Args:
        what: the kind of folder in words, for the message.

    Raises:
        UserError: another process holds the lock, or an entry is no regular file or folder (`check_entries`).
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
STAGES = (".start", ".fade_images", ".stable_images")  # ends of keys of a growing model: when each level is trained


def model_facts(config: Composed) -> dict[str, Any]:
    """Select the facts that determine a model's weights, its class and its networks, by dotted key, for the side file.

    Facts of its training are left out: loss weights, lengths of stages, features for a perceptual loss.
    """
    networks = {
        key: value
        for key, value in config["model"].items()
        if key == "_target_" or (isinstance(value, dict) and "_target_" in value and key not in NOT_NETWORKS)
    }
    return {key: value for key, value in flat({"model": networks}).items() if not key.endswith(STAGES)}
