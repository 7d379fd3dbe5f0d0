"""Finding and checking the pictures of a folder. Imports no torch: the check before a run uses it.

These are all of the rules. A file counts if its ending is one of `picture.endings()` and no part of its path below the
folder starts with a dot. Pictures are sorted by their paths. Other files are counted by their endings.

If every picture lies in a sub-folder and two or more sub-folders of the first level hold pictures, these are the
classes, sorted by their names as text. Otherwise there are no labels. Beside classes, a sub-folder without a usable
picture is refused: without it, the classes behind it would get other ids.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from gan_cli.base.errors import UserError
from gan_cli.base.files import expanded
from gan_cli.base.progress import Progress, counted
from gan_cli.base.threads import cores
from gan_cli.data.picture import GREY_MODES, endings, look, range_remark

SKIP = ", or leave such {} out with dataset.skip_corrupt=true"
MOST_ENDINGS = 5  # named in the remark about files that are no pictures


@dataclass(frozen=True)
class Picture:
    """One readable file.

    Attributes:
        path: relative to the root.
        mode: its colour mode, as PIL names it.
        width, height: in pixels, after the EXIF rotation.
        bytes: the size of the file.
        format: the format of its content, as PIL names it.
        quality: the estimated quality of a JPEG, 1 to 100.
        largest: the largest of its 16-bit values, where it has such values.
        deep_colour: whether the 16-bit values have three channels.
    """

    path: str
    mode: str
    width: int
    height: int
    bytes: int
    format: str
    digest: str  # of the file's content
    quality: int | None = None
    largest: int | None = None
    deep_colour: bool = False


@dataclass(frozen=True)
class Scan:
    """The pictures of a folder, its classes, and all that was left out."""

    root: str
    pictures: list[Picture]
    corrupt: dict[str, str]  # path -> what is wrong with it
    classes: list[str]  # empty where there are no labels
    bare: list[str]  # sub-folders beside the classes that hold no usable picture
    others: Counter[str] = field(default_factory=Counter)  # files that are no pictures, by ending
    closed: dict[str, str] = field(default_factory=dict)  # sub-folder that can't be entered -> why

    @property
    def labels(self) -> list[int] | None:
        if not self.classes:
            return None
        index = {name: number for number, name in enumerate(self.classes)}
        return [index[picture.path.split("/", 1)[0]] for picture in self.pictures]

    def check_classes(self) -> None:
        """Refuse classes if a sub-folder beside them holds no usable picture.

        Raises:
            UserError: there is such a sub-folder.
        """
        if not self.classes or not self.bare:
            return
        name = self.bare[0]
        several = f" ({len(self.bare)} folders are like that)" if len(self.bare) > 1 else ""
        lost = any(f"{path}/".startswith(f"{name}/") for path in (*self.corrupt, *self.closed))
        fault = "no picture that can be read" if lost else "no pictures"
        raise UserError(
            f"the sub-folders of {self.root!r} are classes, and {name!r} holds {fault}{several}: nothing can be learned"
            " of such a class, and without it those behind it would get other ids; put pictures into it, move it out,"
            " or begin its name with a dot"
        )

    @property
    def channels(self) -> int:
        """Return 1 if every picture is grey, else 3."""
        return 1 if all(picture.mode in GREY_MODES for picture in self.pictures) else 3

    @property
    def fingerprint(self) -> str:
        """Compute a digest of the pictures' names and content, which does not depend on where the folder is."""
        text = "\n".join(f"{picture.path}\t{picture.bytes}\t{picture.digest}" for picture in self.pictures)
        return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()

    def remarks(self, white: int | None = None, key: str | None = "dataset.white_level") -> list[str]:
        """List sentences for the user about files that were left out, and about 16-bit values that come out dark.

        Args:
            white: the 16-bit value that is white; None for the whole range.
            key: the option that sets it; None where a trained run has set it.
        """
        out = []
        if self.corrupt:
            out.append(f"left out of {self.root}: {number_of(len(self.corrupt), 'picture')} that can't be read")
        if self.closed:
            first, several = next(iter(self.closed)), number_of(len(self.closed), "folder")
            out.append(f"left out of {self.root}: {several} that can't be entered ({first!r})")
        if self.others:
            count = number_of(self.others.total(), "file")
            out.append(
                f"left out of {self.root}: {count} of no kind that is read as a picture ({by_ending(self.others)})"
            )
        for deep in (False, True):
            values = [p.largest for p in self.pictures if p.largest is not None and p.deep_colour == deep]
            remark = range_remark(max(values, default=None), white, self.root, key, deep)
            out += [remark] if remark else []
        return out


def number_of(count: int, what: str) -> str:
    """Format a count with its noun: `1 file`, `1,200 files`."""
    return f"{count:,} {what}" + ("" if count == 1 else "s")


def by_ending(others: Counter[str]) -> str:
    """Format counts by ending, `9 .txt, 3 .heic`, the most frequent first, with at most `MOST_ENDINGS` names."""
    ordered = sorted(others.items(), key=lambda item: (-item[1], item[0]))
    named = [f"{count:,} {ending or 'without an ending'}" for ending, count in ordered[:MOST_ENDINGS]]
    rest = sum(count for _, count in ordered[MOST_ENDINGS:])
    return ", ".join([*named, *([f"{rest:,} others"] if rest else [])])


def scan(root: str | Path, skip_corrupt: bool = False, what: str = "dataset.root") -> Scan:
    """Check every picture below `root`. Decode each file once, and cache its facts by size and modification time.

    Args:
        skip_corrupt: whether to leave out corrupt pictures and closed sub-folders.
        what: the option that named the folder, for messages.

    Raises:
        UserError: the folder does not exist or has no usable picture; or, without `skip_corrupt`, a picture is corrupt
            or a sub-folder can't be entered.
    """
    folder = expanded(root)
    if not folder.is_dir():
        fault = "is a file" if folder.exists() else "does not exist"
        raise UserError(f"the folder {what}={str(root)!r} {fault}; give a folder of images")
    names, folders, others, closed = _find_pictures(folder)
    if closed and not (skip_corrupt and names):
        raise UserError(_closed_message(folder, closed, what))
    if not names:
        only_others = f", only {by_ending(others)}" if others else ""
        raise UserError(
            f"the folder {what}={str(root)!r} has no images in it{only_others} ({' '.join(endings())} are read)"
        )
    verdicts = _verdicts(folder, names)
    corrupt = {name: str(verdicts[name]["error"]) for name in names if "error" in verdicts[name]}
    if corrupt and not skip_corrupt:
        name, why = next(iter(corrupt.items()))
        way_out = SKIP.format("files") if what == "dataset.root" else ""
        raise UserError(
            f"{str(folder / name)!r} {why}; {len(corrupt)} of {len(names)} files can't be used: repair or remove"
            f" {'it' if len(corrupt) == 1 else 'them'}{way_out}"
        )
    good = [name for name in names if name not in corrupt]
    if not good:
        raise UserError(f"none of the {len(names)} images in {what}={str(root)!r} can be read")
    pictures = [
        Picture(name, **{key: value for key, value in verdicts[name].items() if key != "stamp"}) for name in good
    ]
    nested = all("/" in name for name in good)
    classes = sorted({name.split("/", 1)[0] for name in good}) if nested else []
    classes = classes if len(classes) > 1 else []
    bare = [name for name in folders if classes and name not in classes]
    return Scan(str(folder), pictures, corrupt, classes, bare, others, closed)


def _closed_message(folder: Path, closed: dict[str, str], what: str) -> str:
    """Format the error message about sub-folders that can't be entered."""
    name, why = next(iter(closed.items()))
    several = f" ({len(closed)} folders are like that)" if len(closed) > 1 else ""
    way_out = SKIP.format("folders") if what == "dataset.root" and name != "." else ""
    return (
        f"the folder {str(folder / name)!r} can't be entered ({why}){several}, and what it holds would be missing: make"
        f" it readable or move it out{way_out}"
    )


def remarks_on(path: Path, white: int | None, key: str | None, what: str) -> list[str]:
    """List the remarks on a folder (`Scan.remarks`) or on a single picture. `what` is the option that named it."""
    if path.is_dir():
        return scan(path, what=what).remarks(white, key)
    facts = look(path)
    remark = range_remark(facts.get("largest"), white, str(path), key, facts.get("deep_colour", False))
    return [remark] if remark else []


def _find_pictures(folder: Path) -> tuple[list[str], list[str], Counter[str], dict[str, str]]:
    """Find the files below a folder that count as pictures.

    Returns:
        The sorted paths, the sub-folders of the first level, the number of other files by ending, and the folders that
        can't be entered, with the reasons.
    """
    picture_endings, paths, others, top_folders = endings(), [], Counter[str](), None
    entered = {folder.resolve()}  # links may lead in a circle
    closed: dict[str, str] = {}

    def note_closed(error: OSError) -> None:
        closed[Path(error.filename).relative_to(folder).as_posix()] = error.strerror or str(error)

    with Progress(f"finding the pictures of {folder}", unit="files") as step:
        for place, folders, files in os.walk(folder, onerror=note_closed, followlinks=True):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in list(folders):
                real = (Path(place) / name).resolve()
                folders.remove(name) if real in entered else entered.add(real)
            top_folders = list(folders) if top_folders is None else top_folders
            below = Path(place).relative_to(folder)
            for name in files:
                if name.lower().endswith(picture_endings) and not name.startswith("."):
                    paths.append((below / name).as_posix())
                elif not name.startswith("."):
                    others[Path(name).suffix.lower()] += 1
            step(len(files))
    return sorted(paths), top_folders or [], others, dict(sorted(closed.items()))


def _verdicts(folder: Path, names: list[str]) -> dict[str, dict]:
    """Read the facts of each picture from the cache, or else from its file, and update the cache."""
    cache_file = (
        cache_folder() / f"scan6-{hashlib.blake2b(os.fsencode(folder.resolve()), digest_size=8).hexdigest()}.json"
    )
    try:
        known = json.loads(cache_file.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # no cache yet, or a broken one: read the files again
        known = {}
    verdicts: dict[str, dict] = {}
    unseen: list[tuple[str, list[int]]] = []
    for name in counted(names, f"comparing the pictures of {folder} with what is known", len(names), "pictures"):
        try:
            status = (folder / name).stat()
        except OSError as error:  # a link to nowhere
            verdicts[name] = {"stamp": None, "error": f"can't be read ({error.strerror})"}
            continue
        stamp = [status.st_size, status.st_mtime_ns]
        if name in known and known[name]["stamp"] == stamp:
            verdicts[name] = known[name]
        else:
            unseen.append((name, stamp))
    if unseen:
        with ThreadPoolExecutor(cores()) as pool:
            looks = pool.map(lambda item: look(folder / item[0]), unseen)
            looks = counted(looks, f"looking at the pictures of {folder}, once", len(unseen), "pictures")
            for (name, stamp), verdict in zip(unseen, looks, strict=True):
                verdicts[name] = {"stamp": stamp, "bytes": stamp[0], **verdict}
        try:
            cache_file.parent.mkdir(parents=True, exist_ok=True)
            temporary = cache_file.with_suffix(f".{os.getpid()}.tmp")
            lasting = {name: verdict for name, verdict in verdicts.items() if "passing" not in verdict}
            temporary.write_text(json.dumps(lasting), encoding="utf-8")
            temporary.replace(cache_file)
        except OSError:
            pass  # without a cache, the next run reads the files again
    return verdicts


def cache_folder() -> Path:
    """Return the folder of cached facts and downloads, which can be made again; `XDG_CACHE_HOME` moves it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gan_cli"
