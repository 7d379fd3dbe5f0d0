"""Safe reading and writing of files: never half written, never through a link, a pipe or a device.

Imports no torch.
"""

from __future__ import annotations

import json
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from gan_cli.base.errors import UserError

MOST_JSON = 16 * 2**20  # bytes of a JSON file; a config of a thousand classes has 30,000
MOST_YAML = 2**20  # bytes of a file of Hydra's in .hydra
MOST_LINES = 256 * 2**20  # bytes of a text file, such as metrics.jsonl
MOST_DEPTH = 64  # of nested lists and sections


def check_entry(path: Path, fits: Any, expected: str) -> None:
    """Check that a path is missing or of the expected kind; do not follow a link.

    Args:
        fits: returns whether an `st_mode` is of that kind.
        expected: the kind in words, for the message.

    Raises:
        UserError: it is of another kind.
    """
    try:
        mode = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    if not fits(mode):
        raise UserError(
            f"{str(path)!r} is {kind_of(mode)}, and a run's folder has {expected} there: look at it, remove it"
        )


def kind_of(mode: int) -> str:
    """Return the kind of a file in words, by its `st_mode`."""
    kinds = {
        "a link": stat.S_ISLNK,
        "a folder": stat.S_ISDIR,
        "a pipe": stat.S_ISFIFO,
        "a socket": stat.S_ISSOCK,
        "a regular file": stat.S_ISREG,
    }
    return next((name for name, fits in kinds.items() if fits(mode)), "a device")


def expanded(text: str | Path) -> Path:
    """Return a path as it was typed, with the home folder in place of a `~` or `~name` at its start.

    Raises:
        UserError: there is no such user, or the user has no home.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        name = Path(text).parts[0]
        fault = f"there is no user {name[1:]!r} here" if name[1:] else "you have no home folder here"
        raise UserError(f"{str(text)!r} can't be found: {fault}, and {name} is a home; give the whole path") from error


def open_regular(path: Path, most: int | None = None) -> BinaryIO:
    """Open a regular file for reading, or a link to one; never a pipe or a device, whose content might not end.

    Args:
        most: the bytes that the file may have; None sets no bound.

    Raises:
        UserError: it is no regular file, or larger.
        OSError: it is missing, or can't be opened.
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
    """Open a file for writing at its end; create it if it is missing.

    Raises:
        UserError: it is a link, or no regular file.
    """
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    check_entry(path, stat.S_ISREG, "a regular file")
    handle = os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)
    return os.fdopen(handle, "ab")


def read_text(path: Path, most: int = MOST_LINES) -> str:
    """Read the text of a regular file; bytes that are no UTF-8 are replaced.

    Args:
        most: the bytes that the file may have.

    Raises:
        UserError: it is no regular file, or larger.
        OSError: it is missing, or can't be opened.
    """
    with open_regular(path, most) as file:
        return file.read().decode("utf-8", errors="replace")


def read_yaml(path: Path) -> str:
    """Read the text of a YAML file. Refuse aliases: a few of them expand to a document of any size.

    Raises:
        UserError: it has an alias, is no YAML, no regular file, or too large.
        OSError: it is missing, or can't be opened.
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
    """Write a file under a temporary name, flush it to disk and rename it: a reader finds the old file or the new one.

    Args:
        durable: whether to flush to disk; it is not worth it for many files that can be made again.
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
    """Yield a temporary path for a program that writes a file by name; then move that file to `path`.

    The temporary path has the same ending and lies in a new folder beside `path`. Its name is random, so that nobody
    can put a link there before.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".new-") as folder:
        temporary = Path(folder) / f"new{path.suffix}"
        yield temporary
        temporary.replace(path)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file, as `write_atomically` does."""
    write_atomically(path, (json.dumps(content, indent=2) + "\n").encode())


def read_json(path: Path) -> dict[str, Any] | None:
    """Read the object in a JSON file; None where the file is missing or holds no JSON object.

    Raises:
        UserError: it is no regular file, or larger than `MOST_JSON`.
    """
    try:
        with open_regular(path, MOST_JSON) as file:
            content = loads(file.read().decode())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def loads(text: str) -> Any:
    """Parse JSON to plain values.

    Raises:
        ValueError: it is no JSON, or nested deeper than `MOST_DEPTH`.
    """
    try:
        content = json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    if depth_of(content) > MOST_DEPTH:
        raise ValueError("nested too deep")
    return content


def depth_of(content: Any) -> int:
    """Compute how deep lists and dicts are nested, without recursion; the content must not contain itself."""
    depth, level = 0, [content]
    while level := [inner for outer in level for inner in _members(outer)]:
        depth += 1
    return depth


def _members(outer: Any) -> Any:
    return outer.values() if isinstance(outer, dict) else outer if isinstance(outer, list) else ()
