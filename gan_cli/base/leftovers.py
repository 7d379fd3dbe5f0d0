"""Removal of temporary files that killed processes left half written, by the exact form of their names.

Imports no torch.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

RANDOM = r"[a-z0-9_]{8}"  # the random end of the temporary names of `write_atomically`
RUN_FILES = {  # names by subfolder of the run folder
    "": (rf"\.(run|config)\.json\.{RANDOM}", rf"\.(scalars|metrics)\.jsonl\.{RANDOM}", r"\.end-\d+\.json"),
    ".hydra": (rf"\.config\.yaml\.{RANDOM}",),
    "checkpoints": (rf"\.(images-\d{{9,}}|best)\.(pt|json)\.{RANDOM}",),
    "samples": (r"images-\d{9,}\.png\.tmp", rf"\.images-\d{{9,}}\.png\.{RANDOM}"),
}
CACHE_FILES = (r"scan\d+-[0-9a-f]{16}\.\d+\.tmp", rf"\.(features|classifier)-[0-9a-f]+\.pt\.{RANDOM}")
OLD_S = 24 * 3600.0  # no file of the cache takes that long to write


def clear_run(folder: Path) -> None:
    """Remove the temporary files of killed processes from a run folder; the caller must hold the folder's lock."""
    for place, names in RUN_FILES.items():
        for path in _files(folder / place, names):
            path.unlink(missing_ok=True)


def clear_cache(folder: Path) -> None:
    """Remove the temporary files of killed processes from a cache.

    A cache has no lock, so only files older than a day are removed: no process still writes them.
    """
    with suppress(OSError):  # the cache of another user, or a file that is gone by now: a cache never stops a run
        for path in _files(folder, CACHE_FILES):
            if time.time() - path.stat().st_mtime > OLD_S:
                path.unlink()


def _files(folder: Path, names: tuple[str, ...]) -> Iterator[Path]:
    if not folder.is_dir():
        return
    with os.scandir(folder) as entries:
        matches = [entry for entry in entries if any(re.fullmatch(name, entry.name) for name in names)]
    yield from (Path(entry.path) for entry in matches if entry.is_file(follow_symlinks=False))
