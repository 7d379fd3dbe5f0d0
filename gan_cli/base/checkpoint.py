"""Checkpoints: written, listed, verified and read. They are data, never code.

`checkpoints/images-000640000.pt` is read with `weights_only=True`. Its side file `images-000640000.json` describes it
and has its digest. The side file is written first, so that no kill leaves a checkpoint without one that fits. Where a
checkpoint replaces another, the side file also has the old digest until the new file is in place. Listing checkpoints
and reading side files imports no torch.
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from gan_cli.base.claims import ClaimError, claims_of
from gan_cli.base.errors import RunError, UserError
from gan_cli.base.files import open_regular, read_json, write_atomically, write_json
from gan_cli.base.records import Content, SideFile
from gan_cli.base.run_config import Composed
from gan_cli.base.run_folder import check_entries, none_in
from gan_cli.base.stored import SIDE_FILE, check_content, misfit

FORMAT = 2  # 1: before the first release; its networks have other names
UNREADABLE = (AssertionError, AttributeError, EOFError, LookupError, RuntimeError, TypeError, ValueError)  # by torch
BEST = "best.pt"


def save(run: Path, content: Content, summary: SideFile, keep: int) -> Path:
    """Write a checkpoint and its side file, then remove all but the newest `keep` checkpoints; return its path.

    Args:
        run: the run's folder.
        content: tensors and plain containers; `content["progress"]["images"]` gives the file's name.
        summary: the side file's content, without the format and the digest, which are added here.
    """
    path = run / "checkpoints" / f"images-{content['progress']['images']:09d}.pt"
    write(path, content, summary)
    prune(path, keep)
    return path


def prune(newest: Path, keep: int) -> None:
    """Remove a run's checkpoints but `newest` and `keep - 1` others, and side files whose checkpoint is missing."""
    others = [path for path in listed(newest.parent.parent) if path != newest]
    for old in others[keep - 1 :]:  # `newest` is kept by its path: a damaged file of more images must not displace it
        old.unlink(missing_ok=True)
    for side in newest.parent.glob("images-*.json"):
        if re.fullmatch(r"images-\d{9,}\.json", side.name) and not side.with_suffix(".pt").exists():
            side.unlink(missing_ok=True)


def save_best(run: Path, content: Content, summary: SideFile) -> Path:
    """Write the checkpoint with the best score so far to `checkpoints/best.pt`, over the last one; return its path."""
    path = run / "checkpoints" / BEST
    write(path, content, summary)
    return path


def write(path: Path, content: Content, summary: SideFile) -> None:
    """Write a checkpoint's side file, then its file; an older file of that name stays intact until it is replaced."""
    put(path, packed(content), summary)


def packed(content: Mapping[str, Any]) -> bytes:
    """Return the bytes of a checkpoint's file."""
    import torch

    buffer = io.BytesIO()
    torch.save({"format": FORMAT, **content}, buffer)
    return buffer.getvalue()


def put(path: Path, data: bytes, summary: SideFile) -> None:
    """Write a checkpoint whose bytes are `data`, as `write` does: the side file first."""
    side = {"format": FORMAT, "digest": hashlib.sha256(data).hexdigest(), **summary}
    before, fault = fitting(path) if path.exists() else ({}, None)
    replaces = bool(before) and fault is None
    write_json(path.with_suffix(".json"), {**side, "before": before} if replaces else side)
    write_atomically(path, data)
    if replaces:
        write_json(path.with_suffix(".json"), side)


def write_side(path: Path, summary: SideFile) -> None:
    """Write the side file of an intact checkpoint that has none."""
    write_json(path.with_suffix(".json"), {"format": FORMAT, "digest": digest_of_file(path), **summary})


def listed(run: Path) -> list[Path]:
    """List a run's checkpoint files, newest first, valid or not."""
    files = (run / "checkpoints").glob("images-*.pt")
    return sorted(files, key=lambda path: (len(path.name), path.name), reverse=True)  # a billion has a digit more


def summary_of(path: Path) -> SideFile | None:
    """Read the side file of a checkpoint; None where it is missing, cut short, or not as `write` makes it."""
    summary = read_json(path.with_suffix(".json"))
    return None if summary is None or misfit(summary, SIDE_FILE) else cast(SideFile, summary)


def of_another_version(side: SideFile) -> str:
    return (
        f"has format {side.get('format')} and this version reads format {FORMAT}: use it with the version that wrote it"
        " (git_commit in the run's run.json), or train again"
    )


def of_this_version(where: Path) -> list[Path]:
    """List a path's checkpoints, newest first, but those that are of another format by their side files.

    Raises:
        UserError: all are of another format.
    """
    paths = candidates(where)
    sides = [summary_of(path) or SideFile() for path in paths]
    same_format = [path for path, side in zip(paths, sides, strict=True) if side.get("format", FORMAT) == FORMAT]
    if paths and not same_format:
        raise UserError(f"{paths[0]} {of_another_version(sides[0])}")
    return same_format


def newest_summary(where: Path) -> tuple[Path, SideFile]:
    """Return the newest checkpoint with a side file, unverified, and that file; where none has one, the newest and {}.

    Raises:
        UserError: there is no checkpoint, or none of this format.
    """
    paths = of_this_version(where)
    for path in paths:
        summary = summary_of(path)
        if summary is not None:
            return path, summary
    if paths:
        return paths[0], {}
    raise UserError(none_in(where))


def config_of(where: Path) -> Composed | None:
    """Read the composed config from the newest readable checkpoint, without torch; None where there is none.

    Raises:
        UserError, RunError: as `claimed` does.
    """
    content = claimed(where)
    return None if content is None else content["config"]


def claimed(where: Path) -> Content | None:
    """Read the plain values of the newest readable checkpoint, without torch; None where there is none.

    Raises:
        UserError, RunError: all are of another format, or the content is not that of a run's checkpoint.
    """
    for path in of_this_version(where):
        try:
            with open_regular(path) as file:
                content = claims_of(file)
        except (ClaimError, OSError):
            continue
        check_content(content, str(path))
        return content
    return None


def check_not_lost(run: Path) -> None:
    """Refuse to resume a run whose checkpoints are gone: it would begin again at 0 images.

    Raises:
        UserError: run.json says that the run has seen images, and there is no checkpoint.
    """
    images = (read_json(run / "run.json") or {}).get("images")
    if not isinstance(images, int) or images <= 0 or listed(run):
        return
    best = run / "checkpoints" / BEST
    raise UserError(
        f"the checkpoints of {str(run)!r} are gone: it has seen {images:,} images, and its checkpoints/ holds no"
        " images-*.pt file; put them back to go on, or start a new run in another folder"
        + (f" (init_from={best} gives it the weights that scored best)" if best.is_file() else "")
    )


def candidates(where: Path) -> list[Path]:
    """List the checkpoint files that a path typed by a user may mean: the file itself, or a run's, newest first.

    Raises:
        UserError: an entry of the run's folder is a link, a pipe or a device (`run_folder.check_entries`).
    """
    single = where.is_file() and where.suffix == ".pt"
    run = run_of(where) if single else where.parent if where.name == "checkpoints" else where
    check_entries(run)
    return [where] if single else listed(run)


def run_of(checkpoint: Path) -> Path:
    """Return the run folder of a checkpoint's file: the folder it is in, or the one above `checkpoints/`."""
    return checkpoint.parent.parent if checkpoint.parent.name == "checkpoints" else checkpoint.parent


def best_of(run: Path) -> Path:
    """Return the path of a run's best checkpoint; `run` is its folder or its `checkpoints/`.

    Raises:
        UserError: the run kept no best checkpoint.
    """
    run = run.parent if run.name == "checkpoints" else run
    check_entries(run)
    path = run / "checkpoints" / BEST
    if not path.is_file():
        raise UserError(
            f"{str(run)!r} kept no best checkpoint; a run does with trainer.keep_best=SCORE, or leave out best=true"
        )
    return path


def load(where: Path, warn: Callable[[str], object], map_location: str = "cpu") -> tuple[Path, Content]:
    """Load the newest valid checkpoint: its path and content. Call `warn` for each damaged file passed over.

    Raises:
        UserError: there is no valid checkpoint.
    """
    problems: list[str] = []
    for path in candidates(where):
        problem = damage(path)
        if problem is None:
            for earlier in problems:
                warn(f"{earlier}; using {path} instead")
            return path, read(path, map_location)
        problems.append(f"{path} {problem}")
    if problems:
        raise UserError("; ".join(problems) + "; no valid checkpoint is left")
    raise UserError(none_in(where))


def damage(path: Path) -> str | None:
    """Return the fault of a checkpoint's file, in words; None where it is valid."""
    return fitting(path)[1]


def fitting(path: Path) -> tuple[SideFile, str | None]:
    """Return the side file's content for a checkpoint, and the checkpoint's fault in words (None if it is valid).

    A checkpoint without a side file is verified by the checksums that torch puts into it.
    """
    side = summary_of(path)
    if side is None:
        intact = _checksums_fit(path)
        fault = None if intact else "has no side file (.json) and is not whole: it was cut short or damaged"
        return ({"format": FORMAT, "digest": digest_of_file(path)} if intact else {}), fault
    digest, before = digest_of_file(path), side.pop("before", None)
    if isinstance(before, dict) and digest == before.get("digest"):
        side = before
    if side.get("format") != FORMAT:
        return side, of_another_version(side)
    fits = digest == side.get("digest")
    return side, None if fits else "is damaged (its content does not fit the digest beside it)"


def digest_of_file(path: Path) -> str:
    sha = hashlib.sha256()
    with open_regular(path) as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            sha.update(block)
    return sha.hexdigest()


def _checksums_fit(path: Path) -> bool:
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            uncompressed = all(entry.compress_type == zipfile.ZIP_STORED for entry in archive.infolist())  # as by torch
            return uncompressed and archive.testzip() is None
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError):
        return False


def read(path: Path, map_location: str = "cpu") -> Content:
    """Read a checkpoint. Refuse one that holds other objects, or claims more than it stores, before torch reads it.

    Raises:
        RunError: it is no checkpoint of this program, or one of another format.
    """
    import pickle

    import torch

    try:
        with open_regular(path) as file:
            claims_of(file)
            file.seek(0)
            content = torch.load(file, map_location=map_location, weights_only=True)
    except (*UNREADABLE, pickle.UnpicklingError) as error:
        reason = str(error).split("\n")[0]
        raise RunError(f"{path} is not a checkpoint that holds only tensors and plain values ({reason})") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise RunError(f"{path} is not a checkpoint of this program")
    return cast(Content, content)
