"""Checkpoints: data, never code. Finding them and reading their side files imports no torch.

`checkpoints/images-000640000.pt` holds tensors and plain values and is read with
`weights_only=True`; `images-000640000.json` beside it says what it is, with the digest of the file.
The side file is written first, so that a file that is there has one that fits it, whenever a run is killed: one that
replaces another names that other's digest too until the new file is in place.
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
    """Write a checkpoint of `content` and its side file, then remove all but the newest `keep`.

    Args:
        run: the run's folder.
        content: tensors and plain containers; `content["progress"]["images"]` gives the name.
        summary: what the side file says besides the digest.
    """
    path = run / "checkpoints" / f"images-{content['progress']['images']:09d}.pt"
    write(path, content, summary)
    prune(path, keep)
    return path


def prune(newest: Path, keep: int) -> None:
    """Remove a run's checkpoints but `newest` and `keep - 1` others, and side files that a killed run left alone."""
    others = [path for path in listed(newest.parent.parent) if path != newest]
    for old in others[keep - 1 :]:  # `newest` is kept by name: a damaged file with more images must not push it out
        old.unlink(missing_ok=True)
    for side in newest.parent.glob("images-*.json"):
        if re.fullmatch(r"images-\d{9,}\.json", side.name) and not side.with_suffix(".pt").exists():
            side.unlink(missing_ok=True)


def save_best(run: Path, content: Content, summary: SideFile) -> Path:
    """The checkpoint with the best score so far: `checkpoints/best.pt`, in place of the one before."""
    path = run / "checkpoints" / BEST
    write(path, content, summary)
    return path


def write(path: Path, content: Content, summary: SideFile) -> None:
    """A checkpoint's side file, then its file; one of that name stays whole until it is replaced."""
    put(path, packed(content), summary)


def packed(content: Mapping[str, Any]) -> bytes:
    """A checkpoint's file."""
    import torch

    buffer = io.BytesIO()
    torch.save({"format": FORMAT, **content}, buffer)
    return buffer.getvalue()


def put(path: Path, data: bytes, summary: SideFile) -> None:
    """A checkpoint that is packed, as `write` does."""
    side = {"format": FORMAT, "digest": hashlib.sha256(data).hexdigest(), **summary}
    before, fault = fitting(path) if path.exists() else ({}, None)
    replaces = bool(before) and fault is None
    write_json(path.with_suffix(".json"), {**side, "before": before} if replaces else side)
    write_atomically(path, data)
    if replaces:
        write_json(path.with_suffix(".json"), side)


def write_side(path: Path, summary: SideFile) -> None:
    """The side file of a whole checkpoint that has none."""
    write_json(path.with_suffix(".json"), {"format": FORMAT, "digest": digest_of_file(path), **summary})


def listed(run: Path) -> list[Path]:
    """A run's checkpoint files, newest first, valid or not."""
    files = (run / "checkpoints").glob("images-*.pt")
    return sorted(files, key=lambda path: (len(path.name), path.name), reverse=True)  # a billion has a digit more


def summary_of(path: Path) -> SideFile | None:
    """What the side file says; None where it is missing, torn, or not what `write` makes."""
    summary = read_json(path.with_suffix(".json"))
    return None if summary is None or misfit(summary, SIDE_FILE) else cast(SideFile, summary)


def of_another_version(side: SideFile) -> str:
    return (
        f"has format {side.get('format')} and this version reads format {FORMAT}: use it with the version that wrote it"
        " (git_commit in the run's run.json), or train again"
    )


def of_this_version(where: Path) -> list[Path]:
    """The checkpoints in a place, but those whose side files say that another version wrote them.

    Raises:
        UserError: there are no others.
    """
    paths = candidates(where)
    sides = [summary_of(path) or SideFile() for path in paths]
    own = [path for path, side in zip(paths, sides, strict=True) if side.get("format", FORMAT) == FORMAT]
    if paths and not own:
        raise UserError(f"{paths[0]} {of_another_version(sides[0])}")
    return own


def newest_summary(where: Path) -> tuple[Path, SideFile]:
    """The newest checkpoint that has a side file, unverified: what a quick check needs; empty words where none has.

    Raises:
        UserError: there is no checkpoint, or none of this version.
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
    """The composed config in the newest checkpoint that can be read, found without torch; None where there is none.

    Raises:
        UserError, RunError: it holds something else than a run's config.
    """
    content = claimed(where)
    return None if content is None else content["config"]


def claimed(where: Path) -> Content | None:
    """What the newest checkpoint that can be read holds, its plain values alone, found without torch.

    Raises:
        UserError, RunError: all are of another version, or it holds something else than a run's.
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
    """A run that had checkpoints must not begin again at 0 because they are gone.

    Raises:
        UserError: it had, and they are.
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
    """Checkpoint files that a path typed by a user may mean: itself, or those of a run, newest first.

    Raises:
        UserError: an entry of its run's folder is no file or folder of its own (`run_folder.check_entries`).
    """
    single = where.is_file() and where.suffix == ".pt"
    run = run_of(where) if single else where.parent if where.name == "checkpoints" else where
    check_entries(run)
    return [where] if single else listed(run)


def run_of(checkpoint: Path) -> Path:
    """The run that a checkpoint's file belongs to: the folder that it lies in, unless that is `checkpoints/`."""
    return checkpoint.parent.parent if checkpoint.parent.name == "checkpoints" else checkpoint.parent


def best_of(run: Path) -> Path:
    """The file of a run's best checkpoint.

    Raises:
        UserError: the run kept none.
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
    """The newest valid checkpoint: its path and content. Says which files it had to pass over.

    Raises:
        UserError: none is valid.
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
    """What is wrong with a file, or None."""
    return fitting(path)[1]


def fitting(path: Path) -> tuple[SideFile, str | None]:
    """What the side file says of a file, and what is wrong with the file, or None.

    A file without a side file is judged by the checksums that torch puts into it.
    """
    side = summary_of(path)
    if side is None:
        whole = _checksums_fit(path)
        fault = None if whole else "has no side file (.json) and is not whole: it was cut short or damaged"
        return ({"format": FORMAT, "digest": digest_of_file(path)} if whole else {}), fault
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
        with open_regular(path) as file, zipfile.ZipFile(file) as parts:
            stored = all(part.compress_type == zipfile.ZIP_STORED for part in parts.infolist())  # as torch does
            return stored and parts.testzip() is None
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError):
        return False


def read(path: Path, map_location: str = "cpu") -> Content:
    """Tensors and plain values only; a file that holds anything else, or claims more than it has, is refused unread.

    Raises:
        RunError: not a checkpoint of ours.
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
