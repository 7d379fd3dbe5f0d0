"""Files that are read and written with care: never half written, never through a link, a pipe or a device.

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
MOST_YAML = 2**20  # bytes of Hydra's records
MOST_LINES = 256 * 2**20  # bytes of a file of lines
MOST_DEPTH = 64  # of lists and sections in one another


def check_entry(path: Path, fits: Any, wanted: str) -> None:
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


def expanded(text: str | Path) -> Path:
    """A path as it was typed, with `~` and `~name` at its start as the home folders that they stand for.

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
    check_entry(path, stat.S_ISREG, "a regular file")
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


def write_json(path: Path, content: Mapping[str, Any]) -> None:
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
