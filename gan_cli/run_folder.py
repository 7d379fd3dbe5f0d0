"""One run's folder: run.json, the lock, files that are never half written. Imports no torch.

The folder may be a stranger's. The path that a user typed may be a link, but what a run keeps inside must be files and
folders (`check_entries`): through a link this program would write into, or delete, what lies elsewhere, and a pipe or
a device would hold it for ever.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO

from gan_cli.errors import UserError
from gan_cli.settings import TrainerSettings

CONFIG = "config.json"  # our copy of the composed config, resolved: Hydra rewrites .hydra of an existing folder
FILES = ("run.json", CONFIG, "run.log", "metrics.jsonl", "scalars.jsonl", ".lock", "study.db")
FOLDERS = ("checkpoints", "samples", ".hydra")
MOST_JSON = 16 * 2**20  # bytes of a JSON file; a config of a thousand classes has 30,000
MOST_YAML = 2**20  # bytes of Hydra's records
MOST_LINES = 256 * 2**20  # bytes of a file of lines
MOST_DEPTH = 64  # of lists and sections in one another


def check_entries(folder: Path) -> None:
    """What a run keeps in its folder must be regular files and folders. Before anything is read there or written.

    Raises:
        UserError: an entry is a link, a pipe, a device, or a file where a folder belongs; names it.
    """
    for name in FILES:
        _check_entry(folder / name, stat.S_ISREG, "a regular file")
    for name in FOLDERS:
        _check_entry(folder / name, stat.S_ISDIR, "a folder")
        for inner in _inside(folder / name):
            _check_entry(Path(inner.path), lambda mode: stat.S_ISREG(mode) or stat.S_ISDIR(mode), "a regular file")
    for entry in _inside(folder):
        if entry.name.startswith((".end-", "events.out.tfevents.")):
            _check_entry(Path(entry.path), stat.S_ISREG, "a regular file")


def _inside(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _check_entry(path: Path, fits: Any, wanted: str) -> None:
    try:
        mode = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    if not fits(mode):
        raise UserError(
            f"{str(path)!r} is {kind_of(mode)}, and a run's folder has {wanted} there: look at it, remove it"
        )


def kind_of(mode: int) -> str:
    """What a path is, by its `st_mode`, in words."""
    kinds = {
        "a link": stat.S_ISLNK,
        "a folder": stat.S_ISDIR,
        "a pipe": stat.S_ISFIFO,
        "a socket": stat.S_ISSOCK,
        "a regular file": stat.S_ISREG,
    }
    return next((name for name, fits in kinds.items() if fits(mode)), "a device")


def open_regular(path: Path, most: int | None = None) -> BinaryIO:
    """A file opened for reading, at the end of a link if it must be; never a pipe or a device, which might not end.

    Args:
        most: bytes that it may have; None sets no bound.

    Raises:
        UserError: it is no regular file, or larger.
        OSError: it is not there, or can't be opened.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        os.close(handle)
        raise UserError(f"{str(path)!r} is {kind_of(status.st_mode)} and can't be read: a regular file belongs there")
    if most is not None and status.st_size > most:
        os.close(handle)
        raise UserError(f"{str(path)!r} has {status.st_size:,} bytes, and such a file has {most:,} at most")
    return os.fdopen(handle, "rb")


def open_to_append(path: Path) -> BinaryIO:
    """A file opened for writing at its end, made if need be.

    Raises:
        UserError: it is a link, or no regular file.
    """
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    _check_entry(path, stat.S_ISREG, "a regular file")
    handle = os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)
    return os.fdopen(handle, "ab")


def read_text(path: Path, most: int = MOST_LINES) -> str:
    """The text of a regular file; bytes that are no UTF-8 are replaced.

    Raises:
        UserError: it is no regular file, or too large.
        OSError: it is not there, or can't be opened.
    """
    with open_regular(path, most) as file:
        return file.read().decode("utf-8", errors="replace")


def read_yaml(path: Path) -> str:
    """The text of a YAML file, without references to other parts of itself: a few make a document of any size.

    Raises:
        UserError: it has such a reference, is no YAML, no regular file, or too large.
        OSError: it is not there, or can't be opened.
    """
    import yaml

    text = read_text(path, MOST_YAML)
    try:
        aliases = any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader))
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"{str(path)!r} is no YAML file") from error
    if aliases:
        raise UserError(f"{str(path)!r} refers to parts of itself, which this program never writes")
    return text


def write_atomically(path: Path, data: bytes, durable: bool = True) -> None:
    """Write to a temporary name, flush to disk, rename: a reader meets the old file or the new one.

    Args:
        durable: whether to wait for the disk; not worth it for the thousandth of many files that can be made again.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """A path of the same ending in a new folder beside `path`, for a program that writes by name; takes its place.

    Its name can't be known before: whatever lies in the folder, nothing else is written through it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".new-") as folder:
        temporary = Path(folder) / f"new{path.suffix}"
        yield temporary
        temporary.replace(path)


def write_json(path: Path, content: dict[str, Any]) -> None:
    write_atomically(path, (json.dumps(content, indent=2) + "\n").encode())


def read_json(path: Path) -> dict[str, Any] | None:
    """The content, or None where there is no such file or it is not JSON.

    Raises:
        UserError: it is a pipe or a device, or far too large.
    """
    try:
        with open_regular(path, MOST_JSON) as file:
            content = loads(file.read().decode())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def loads(text: str) -> Any:
    """JSON as plain values.

    Raises:
        ValueError: it is none, or nested deeper than `MOST_DEPTH`.
    """
    try:
        content = json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    if depth_of(content) > MOST_DEPTH:
        raise ValueError("nested too deep")
    return content


def depth_of(content: Any) -> int:
    """Lists and sections in one another, without recursion; content without circles, as JSON is."""
    depth, level = 0, [content]
    while level := [inner for outer in level for inner in _members(outer)]:
        depth += 1
    return depth


def _members(outer: Any) -> Any:
    return outer.values() if isinstance(outer, dict) else outer if isinstance(outer, list) else ()


def update_run(folder: Path, **values: Any) -> None:
    """Change some keys of `run.json`."""
    write_json(folder / "run.json", {**(read_json(folder / "run.json") or {}), **values})


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


def digest_of(config: dict[str, Any]) -> str:
    """A digest of the composed config that two runs share exactly if they train the same thing."""
    relevant = {key: value for key, value in flat(config).items() if not not_learned(key)}
    return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()


def not_learned(key: str) -> bool:
    """Whether a dotted key is one of `NOT_LEARNED`, or below one."""
    return any(f"{key}.".startswith(f"{name}.") for name in NOT_LEARNED)


def flat(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
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
