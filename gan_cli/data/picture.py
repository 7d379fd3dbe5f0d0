"""One picture's file: which formats are read, how large it may be, and the one place where it is opened.

Imports no torch: the check before a run uses it.
"""

from __future__ import annotations

import hashlib
import re
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypedDict

from gan_cli.base.errors import PictureError
from gan_cli.base.files import kind_of

# formats of PIL's that are not read; all others that the installed PIL opens are
DRAWN = ("EPS", "WMF")  # by Ghostscript, a program of its own, or by Windows
UNDECODED = ("BUFR", "GRIB", "HDF5", "MPEG")  # PIL opens them and has no decoder
SEVERAL = (
    "CUR",
    "DCX",
    "FLI",
    "ICNS",
    "ICO",
    "IPTC",
    "PSD",
)  # pictures of many sizes, pages, layers; another file inside
RARE = (  # decoders that few have tested, for files whose ending more often means something else
    *("BLP", "DDS", "FITS", "FTEX", "GBR", "IM", "IMT", "MCIDAS", "MSP", "PCD", "PIXAR"),
    *("SGI", "SPIDER", "SUN", "XBM", "XPM", "XVTHUMB"),
)
JPEGS = ("JPEG", "MPO")  # the second holds further pictures behind the first, as telephones and 3D cameras write it
LOSSLESS = ("BMP", "DIB", "PCX", "PNG", "PPM", "QOI", "TGA", "TIFF")

ORIENTATION, LYING = 0x0112, (5, 6, 7, 8)  # EXIF: stored on its side
LARGEST = 2**26  # pixels of one picture, and of all that are decoded at a time: 8192x8192, about 1 GB on the way
SIXTEEN_BIT = ("PNG", "PPM")  # formats whose 16-bit grey some versions of PIL call I, 32 bit
SIGNED = ("I;16S", "I;16BS")  # as PIL names what it decodes
GREY_MODES = ("1", "L", "LA", "I;16", "I;16B", "I;16L", "I")
WHITE = 2**16 - 1  # of 16-bit values, where nothing else is said
STANDARD_TABLE = 3688  # sum of JPEG's table for luminance in the standard, which libjpeg scales by the quality


@cache
def formats() -> tuple[str, ...]:
    """The formats that are read: what the installed PIL opens, without those named above."""
    from PIL import Image

    Image.init()
    return tuple(sorted(set(Image.OPEN) - {*DRAWN, *UNDECODED, *SEVERAL, *RARE}))


@cache
def endings() -> tuple[str, ...]:
    """The endings by which a file counts as a picture, in small letters, as PIL knows them."""
    from PIL import Image

    read = {*formats(), *JPEGS}
    return tuple(sorted(ending for ending, form in Image.registered_extensions().items() if form in read))


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
        PictureError: it is gone, damaged, no picture, or none of those that are read: too many pixels, values of more
            than 16 bits.
    """
    from PIL import Image

    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):  # a pipe or a device might never end
            raise Refused(f"is {kind_of(mode)} and no picture")
        with Image.open(path, formats=formats()) as image:
            width, height = image.size
            if width * height > LARGEST:
                raise Refused(too_large(width * height, f"{width}x{height}, "))
            if any(sign in str(tile) for tile in image.tile for sign in SIGNED):
                raise Refused("has signed 16-bit values; save it with 8 bits, or with 16 without a sign")
            if image.mode == "F" or (image.mode == "I" and image.format not in SIXTEEN_BIT):
                raise Refused(
                    f"has values that are neither 8 nor 16 bit, but PIL's mode {image.mode}; save it with 8 or 16 bits"
                )
            with ROOM.taken(width * height):
                yield image
    except MemoryError:
        raise
    except Exception as error:  # PIL raises whatever its decoders raise
        raise PictureError(f"{str(path)!r} {fault_of(error)}") from error


def content_of(path: Path) -> bytes:
    """A picture's file as it is.

    Raises:
        PictureError: it can't be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise PictureError(f"{str(path)!r} {fault_of(error)}") from error


class Refused(Exception):  # noqa: N818  (never leaves this file)
    """A sound picture that is not read, and why."""


def fault_of(error: Exception) -> str:
    """What is wrong with a picture, as it goes on after its name."""
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, Refused):
        return str(error)
    if isinstance(error, Image.DecompressionBombError):  # PIL's own limit comes before ours, without the sides
        found = re.search(r"\((\d+) pixels\)", str(error))
        return too_large(int(found.group(1)) if found else 2 * LARGEST)
    if isinstance(error, UnidentifiedImageError):
        return "can't be read as an image (it is of no format that is read here)"
    if isinstance(error, OSError) and error.errno is not None:
        return f"can't be read ({error.strerror})"
    return f"can't be read as an image ({type(error).__name__}: {error})"


def too_large(pixels: int, sides: str = "") -> str:
    return (
        f"is too large ({sides}{pixels:,} pixels): one picture may have {LARGEST:,} (8192x8192) at most; make it"
        " smaller, or cut it into several"
    )


class Look(TypedDict, total=False):
    """What a look at a picture's whole file tells.

    Attributes:
        width, height: upright, pixels.
        digest: of the file.
        quality: of a JPEG, estimated.
        largest: value of 16 bits; `deep_colour` where it is of three channels.
        error: what is wrong; then there is nothing else but
        passing: where it is the system that refuses the file, which may be over the next time.
    """

    mode: str
    width: int
    height: int
    format: str | None
    digest: str
    quality: int | None
    largest: int
    deep_colour: bool
    error: str
    passing: bool


def look(path: Path) -> Look:
    """Read a picture's whole file; what is wrong with it stands in `error`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with opened(path) as image:
                colour = image.mode in ("RGB", "RGBA") and any(";16" in str(tile) for tile in image.tile)
                image.load()  # the whole file: a truncated one opens without complaint
                width, height = image.size
                if image.getexif().get(ORIENTATION, 1) in LYING:  # decoders set it upright
                    width, height = height, width
                found: Look = {"mode": image.mode, "width": width, "height": height, "format": image.format}
                found["digest"] = hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
                if image.format in JPEGS or image.info.get("compression") == "jpeg":
                    found |= {"format": "JPEG", "quality": quality_of(getattr(image, "quantization", None))}
                if colour:
                    found |= {"largest": 257 * max(high for _, high in image.getextrema()[:3]), "deep_colour": True}
                elif image.mode.startswith("I") and image.format != "PPM":  # whose files say what is white
                    found["largest"] = largest_of(image)
                return found
    except PictureError as error:
        found = {"error": str(error).removeprefix(f"{str(path)!r} ")}
        cause = error.__cause__
        return {**found, "passing": True} if isinstance(cause, OSError) and cause.errno is not None else found


def largest_of(image: Any) -> int:
    import numpy  # here: few folders have pictures of 16 bits

    return int(numpy.asarray(image).max())


def quality_of(tables: dict[int, list[int]] | None) -> int | None:
    """The quality, 1 to 100, at which libjpeg has about these quantization tables; None without any."""
    if not tables:
        return None
    scale = 100 * sum(tables[min(tables)]) / STANDARD_TABLE
    quality = (200 - scale) / 2 if scale <= 100 else 5000 / scale
    return max(1, min(100, round(quality)))


def range_remark(
    largest: int | None, white: int | None, where: str, key: str | None, deep_colour: bool = False
) -> str | None:
    """What a user should know where 16-bit values do not fit what is taken for white; None where they do.

    Args:
        largest: of all 16-bit values.
        white: the value that is white; None for `WHITE`.
        where: the file or folder.
        key: the option that says what is white; None where a trained run has said it.
        deep_colour: of colour pictures, whose high bytes alone PIL reads.
    """
    white = WHITE if white is None or deep_colour else white
    if not largest or white <= 2 * largest <= 2 * white:  # 0: all is black, whatever is white
        return None
    if largest > white:
        return f"warning: 16-bit values in {where} go up to {largest:,}, and all above {white:,} are shown as white"
    about = "about " if deep_colour else ""
    told = (
        f"warning: the largest 16-bit value in {where} is {about}{largest:,}, and {white:,} is taken for white: the"
        " pictures come out dark"
    )
    if deep_colour:
        return f"{told}; of 16-bit colour the high byte alone is read: save such pictures with 8 bits a channel"
    bits = largest.bit_length()
    way_out = f"if they hold {bits} bit{'s' if bits > 1 else ''}, say {key}={2**bits - 1}"
    return f"{told}; {way_out if key else 'it is the dataset.white_level of the run that says so'}"
