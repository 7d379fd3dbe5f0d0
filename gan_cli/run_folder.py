"""One run's folder: run.json, the lock, files that are never half written. Imports no torch."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from gan_cli.errors import UserError
from gan_cli.settings import TrainerSettings


def write_atomically(path: Path, data: bytes) -> None:
    """Write to a temporary name, flush to disk, rename: a reader meets the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_json(path: Path, content: dict[str, Any]) -> None:
    write_atomically(path, (json.dumps(content, indent=2) + "\n").encode())


def read_json(path: Path) -> dict[str, Any] | None:
    """The content, or None where there is no such file or it is not JSON."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


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


CONFIG = "config.json"  # our copy of the composed config, resolved: Hydra rewrites .hydra of an existing folder

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
        UserError: another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "a+") as file:
        if not _try_lock(file):
            raise UserError(
                f"{what} {str(folder)!r} is in use by another process; wait for it or choose another folder"
            )
        yield


def _try_lock(file: IO[str]) -> bool:
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
