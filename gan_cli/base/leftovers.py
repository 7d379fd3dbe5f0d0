"""Temporary files of processes that were killed while they wrote; each is known by its exact name. Imports no torch."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

RANDOM = r"[a-z0-9_]{8}"  # what `write_atomically` has the system put behind a name
OF_RUN = {  # by folder below the run's
    "": (rf"\.(run|config)\.json\.{RANDOM}", rf"\.(scalars|metrics)\.jsonl\.{RANDOM}", r"\.end-\d+\.json"),
    ".hydra": (rf"\.config\.yaml\.{RANDOM}",),
    "checkpoints": (rf"\.(images-\d{{9,}}|best)\.(pt|json)\.{RANDOM}",),
    "samples": (r"images-\d{9,}\.png\.tmp", rf"\.images-\d{{9,}}\.png\.{RANDOM}"),
}
OF_CACHE = (r"scan\d+-[0-9a-f]{16}\.\d+\.tmp", rf"\.(features|classifier)-[0-9a-f]+\.pt\.{RANDOM}")
OLD_S = 24 * 3600.0  # nothing that is kept in the cache takes that long to write


def clear_run(folder: Path) -> None:
    """Remove what killed processes left half written in a run's folder; only who holds its lock may call this."""
    for place, names in OF_RUN.items():
        for path in _files(folder / place, names):
            path.unlink(missing_ok=True)


def clear_cache(folder: Path) -> None:
    """The same for a cache, which has no lock: only what is a day old, so that nobody is still writing it."""
    with suppress(OSError):  # another's, or gone meanwhile: a cache never stops a run
        for path in _files(folder, OF_CACHE):
            if time.time() - path.stat().st_mtime > OLD_S:
                path.unlink()


def _files(folder: Path, names: tuple[str, ...]) -> Iterator[Path]:
    if not folder.is_dir():
        return
    with os.scandir(folder) as entries:
        found = [entry for entry in entries if any(re.fullmatch(name, entry.name) for name in names)]
    yield from (Path(entry.path) for entry in found if entry.is_file(follow_symlinks=False))
