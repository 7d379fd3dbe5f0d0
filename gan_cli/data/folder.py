"""Finding and checking the pictures of a folder. Imports no torch: the check before a run uses it.

Rules, all of them: every file below the folder whose ending is in `ENDINGS` and whose path has no
part that starts with a dot; in the order of their paths. If every picture lies in a sub-folder and
there are two or more such sub-folders of the first level, these are the classes, in alphabetical
order; otherwise there are no labels.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gan_cli.errors import UserError
from gan_cli.files import kind_of

ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
ORIENTATION, LYING = 0x0112, (5, 6, 7, 8)  # EXIF: stored on its side
LARGEST = 2**26  # pixels of one picture, and of all that are decoded at a time: 8192x8192, about 1 GB on the way
SIXTEEN_BIT = ("PNG", "PPM")  # formats whose 16-bit grey some versions of PIL call I, 32 bit
GREY_MODES = ("1", "L", "LA", "I;16", "I;16B", "I;16L", "I")


@dataclass(frozen=True)
class Picture:
    """One readable file: its path below the root, its colour mode as PIL names it, width and height when upright."""

    path: str
    mode: str
    width: int
    height: int
    bytes: int


@dataclass(frozen=True)
class Scan:
    """What a folder holds."""

    root: str
    pictures: list[Picture]
    corrupt: dict[str, str]  # path -> what is wrong with it
    classes: list[str]  # empty where there are no labels

    @property
    def labels(self) -> list[int] | None:
        if not self.classes:
            return None
        index = {name: number for number, name in enumerate(self.classes)}
        return [index[picture.path.split("/", 1)[0]] for picture in self.pictures]

    @property
    def channels(self) -> int:
        """1 if every picture is grey, else 3."""
        return 1 if all(picture.mode in GREY_MODES for picture in self.pictures) else 3

    @property
    def fingerprint(self) -> str:
        """Changes when a picture is added, removed, renamed or resized in bytes."""
        text = "\n".join(f"{picture.path}\t{picture.bytes}" for picture in self.pictures)
        return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


def scan(root: str | Path, skip_corrupt: bool = False, what: str = "dataset.root") -> Scan:
    """Look at every picture below `root`; each file is decoded once, the verdict cached by size and time.

    `what` is the option that named the folder, for the errors.

    Raises:
        UserError: no such folder, no pictures in it, or a corrupt one and not `skip_corrupt`.
    """
    folder = Path(root).expanduser()
    if not folder.is_dir():
        fault = "is a file" if folder.exists() else "does not exist"
        raise UserError(f"the folder {what}={str(root)!r} {fault}; give a folder of images")
    names = sorted(_find(folder))
    if not names:
        raise UserError(f"the folder {what}={str(root)!r} has no images in it ({' '.join(ENDINGS)})")
    verdicts = _verdicts(folder, names)
    corrupt = {name: str(verdicts[name]["error"]) for name in names if "error" in verdicts[name]}
    if corrupt and not skip_corrupt:
        name, why = next(iter(corrupt.items()))
        way_out = "" if what != "dataset.root" else ", or leave them out with dataset.skip_corrupt=true"
        raise UserError(
            f"{str(folder / name)!r} can't be read as an image ({why}); {len(corrupt)} of {len(names)} files are like"
            f" that: repair or remove them{way_out}"
        )
    good = [name for name in names if name not in corrupt]
    if not good:
        raise UserError(f"none of the {len(names)} images in {what}={str(root)!r} can be read")
    pictures = [
        Picture(name, v["mode"], v["width"], v["height"], v["bytes"]) for name in good for v in [verdicts[name]]
    ]
    nested = all("/" in name for name in good)
    classes = sorted({name.split("/", 1)[0] for name in good}) if nested else []
    return Scan(str(folder), pictures, corrupt, classes if len(classes) > 1 else [])


def _find(folder: Path) -> list[str]:
    found, entered = [], {folder.resolve()}  # entered: links may lead in a circle
    for place, folders, files in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in list(folders):
            real = (Path(place) / name).resolve()
            folders.remove(name) if real in entered else entered.add(real)
        below = Path(place).relative_to(folder)
        found += [
            (below / name).as_posix() for name in files if name.lower().endswith(ENDINGS) and not name.startswith(".")
        ]
    return found


def _verdicts(folder: Path, names: list[str]) -> dict[str, dict]:
    cache_file = (
        cache_folder() / f"scan3-{hashlib.blake2b(os.fsencode(folder.resolve()), digest_size=8).hexdigest()}.json"
    )
    try:
        known = json.loads(cache_file.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # no cache yet, or a torn one: look again
        known = {}
    verdicts: dict[str, dict] = {}
    unseen: list[tuple[str, list[int]]] = []
    for name in names:
        try:
            status = (folder / name).stat()
        except OSError as error:  # a link to nowhere
            verdicts[name] = {"stamp": None, "error": f"{type(error).__name__}: {error.strerror}"}
            continue
        stamp = [status.st_size, status.st_mtime_ns]
        if name in known and known[name]["stamp"] == stamp:
            verdicts[name] = known[name]
        else:
            unseen.append((name, stamp))
    if unseen:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for (name, stamp), verdict in zip(
                unseen, pool.map(lambda item: look(folder / item[0]), unseen), strict=True
            ):
                verdicts[name] = {"stamp": stamp, "bytes": stamp[0], **verdict}
        try:
            cache_file.parent.mkdir(parents=True, exist_ok=True)
            temporary = cache_file.with_suffix(f".{os.getpid()}.tmp")
            temporary.write_text(json.dumps(verdicts), encoding="utf-8")
            temporary.replace(cache_file)
        except OSError:
            pass  # a cache that can't be written costs the next run a second look, nothing else
    return verdicts


class Room:
    """So many pixels may be decoded at a time, however many threads decode: a few files of a few MB can hold GBs."""

    def __init__(self, pixels: int) -> None:
        self.pixels, self.free, self.change = pixels, pixels, threading.Condition()

    @contextmanager
    def taken(self, pixels: int) -> Iterator[None]:
        """Wait until there is room; one that needs more than there is gets all of it."""
        pixels = min(pixels, self.pixels)
        with self.change:
            self.change.wait_for(lambda: self.free >= pixels)
            self.free -= pixels
        try:
            yield
        finally:
            with self.change:
                self.free += pixels
                self.change.notify_all()


ROOM = Room(LARGEST)


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """A picture, opened by PIL and not decoded yet; to be decoded within, where there is room for it.

    Raises:
        UserError: it has more than `LARGEST` pixels, or is no regular file.
        OSError, SyntaxError and others of PIL's: it is no picture.
    """
    from PIL import Image

    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):  # a pipe or a device might never end
        raise UserError(f"{str(path)!r} is {kind_of(mode)} and no picture")
    with Image.open(path) as image:
        width, height = image.size
        if width * height > LARGEST:
            raise UserError(
                f"{path.name!r} has {width}x{height} pixels, and {LARGEST / 1e6:.0f} million is the most that one"
                " picture may have; make it smaller, or cut it into several"
            )
        with ROOM.taken(width * height):
            yield image


def look(path: Path) -> dict:
    """`mode`, upright `width` and `height` of a picture that can be read, else `error`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with opened(path) as image:
                image.load()  # the whole file: a truncated one opens without complaint
                if image.mode == "F" or (image.mode == "I" and image.format not in SIXTEEN_BIT):
                    return {"error": f"its pixels are neither 8 nor 16 bit, but PIL's mode {image.mode}"}
                width, height = image.size
                if image.getexif().get(ORIENTATION, 1) in LYING:  # decoders set it upright
                    width, height = height, width
                return {"mode": image.mode, "width": width, "height": height}
    except UserError as error:
        return {"error": str(error).replace(str(path), path.name)}
    except Exception as error:  # PIL raises whatever its decoders raise; each is this file's verdict
        return {"error": f"{type(error).__name__}: {error}".replace(str(path), path.name)}


def cache_folder() -> Path:
    """Where verdicts and downloads that can be made again are kept; `XDG_CACHE_HOME` moves it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gan_cli"
