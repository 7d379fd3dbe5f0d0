"""Picture files: the formats that are read, the largest size, and the only place where pictures are opened.

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

# PIL's formats that are not read; all others that the installed PIL opens are read
RENDERED = ("EPS", "WMF")  # by other programs: Ghostscript or Windows
UNDECODED = ("BUFR", "GRIB", "HDF5", "MPEG")  # PIL opens them and has no decoder
# files of several pictures (sizes, pages, layers), or with another file inside
CONTAINERS = ("CUR", "DCX", "FLI", "ICNS", "ICO", "IPTC", "PSD")
RARE = (  # decoders that few have tested, for files whose ending more often means something else
    *("BLP", "DDS", "FITS", "FTEX", "GBR", "IM", "IMT", "MCIDAS", "MSP", "PCD", "PIXAR"),
    *("SGI", "SPIDER", "SUN", "XBM", "XPM", "XVTHUMB"),
)
JPEGS = ("JPEG", "MPO")  # the second holds further pictures behind the first, as telephones and 3D cameras write it
LOSSLESS = ("BMP", "DIB", "PCX", "PNG", "PPM", "QOI", "TGA", "TIFF")

ORIENTATION, ROTATED = 0x0112, (5, 6, 7, 8)  # the EXIF tag, and its values for pictures stored on their side
LARGEST = 2**26  # pixels of one picture, and of all that are decoded at a time: 8192x8192, about 1 GB meanwhile
SIXTEEN_BIT = ("PNG", "PPM")  # formats whose 16-bit grey some versions of PIL call I, 32 bit
SIGNED = ("I;16S", "I;16BS")  # as PIL names what it decodes
GREY_MODES = ("1", "L", "LA", "I;16", "I;16B", "I;16L", "I")
WHITE = 2**16 - 1  # the 16-bit value that is white by default
STANDARD_TABLE = 3688  # sum of JPEG's table for luminance in the standard, which libjpeg scales by the quality


@cache
def formats() -> tuple[str, ...]:
    """List the formats that are read: all that the installed PIL opens, without those named above."""
    from PIL import Image

    Image.init()
    return tuple(sorted(set(Image.OPEN) - {*RENDERED, *UNDECODED, *CONTAINERS, *RARE}))


@cache
def endings() -> tuple[str, ...]:
    """List the endings by which a file counts as a picture, in lower case, as PIL knows them."""
    from PIL import Image

    read = {*formats(), *JPEGS}
    return tuple(sorted(ending for ending, form in Image.registered_extensions().items() if form in read))


class Room:
    """A limit on the pixels that all threads decode at a time: a few files of a few MB can hold GBs."""

    def __init__(self, pixels: int) -> None:
        self.pixels, self.free, self.change = pixels, pixels, threading.Condition()

    @contextmanager
    def taken(self, pixels: int) -> Iterator[None]:
        """Reserve pixels, and wait until they are free. A picture that needs more than the limit reserves all of it."""
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
    """Open a picture with PIL, without decoding it yet, and reserve room to decode it inside the `with` block.

    Raises:
        PictureError: the file is gone, damaged or no picture; or it is of a kind that is not read: another format, too
            many pixels, values that are not unsigned with 8 or 16 bits.
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
    """Read the bytes of a picture's file.

    Raises:
        PictureError: it can't be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise PictureError(f"{str(path)!r} {fault_of(error)}") from error


class Refused(Exception):  # noqa: N818  (never leaves this file)
    """The reason why an intact picture is not read."""


def fault_of(error: Exception) -> str:
    """Describe what is wrong with a picture, as the rest of a sentence that begins with its name."""
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, Refused):
        return str(error)
    if isinstance(error, Image.DecompressionBombError):  # PIL's own limit comes before ours, without the sides
        pixels = re.search(r"\((\d+) pixels\)", str(error))
        return too_large(int(pixels.group(1)) if pixels else 2 * LARGEST)
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
    """The facts about a picture that reading its whole file gives.

    Attributes:
        width, height: in pixels, after the EXIF rotation.
        digest: of the file's content.
        quality: the estimated quality of a JPEG.
        largest: the largest 16-bit value, where there are such values.
        deep_colour: whether the 16-bit values have three channels.
        error: what is wrong with the file; then there are no other facts, except `passing`.
        passing: whether the system refused the file, which may be over the next time.
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
    """Read a picture's whole file and return its facts, or what is wrong with it in `error`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with opened(path) as image:
                colour = image.mode in ("RGB", "RGBA") and any(";16" in str(tile) for tile in image.tile)
                image.load()  # the whole file: a truncated one opens without complaint
                width, height = image.size
                if image.getexif().get(ORIENTATION, 1) in ROTATED:  # decoders set it upright
                    width, height = height, width
                facts: Look = {"mode": image.mode, "width": width, "height": height, "format": image.format}
                facts["digest"] = hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
                if image.format in JPEGS or image.info.get("compression") == "jpeg":
                    facts |= {"format": "JPEG", "quality": quality_of(getattr(image, "quantization", None))}
                if colour:
                    facts |= {"largest": 257 * max(high for _, high in image.getextrema()[:3]), "deep_colour": True}
                elif image.mode.startswith("I") and image.format != "PPM":  # PIL scales it by its maximum value
                    facts["largest"] = largest_of(image)
                return facts
    except PictureError as error:
        facts = {"error": str(error).removeprefix(f"{str(path)!r} ")}
        cause = error.__cause__
        return {**facts, "passing": True} if isinstance(cause, OSError) and cause.errno is not None else facts


def largest_of(image: Any) -> int:
    import numpy  # late: few folders have pictures of 16 bits

    return int(numpy.asarray(image).max())


def quality_of(tables: dict[int, list[int]] | None) -> int | None:
    """Estimate the quality, 1 to 100, with which libjpeg makes such quantization tables. Return None without tables."""
    if not tables:
        return None
    scale = 100 * sum(tables[min(tables)]) / STANDARD_TABLE
    quality = (200 - scale) / 2 if scale <= 100 else 5000 / scale
    return max(1, min(100, round(quality)))


def range_remark(
    largest: int | None, white: int | None, where: str, key: str | None, deep_colour: bool = False
) -> str | None:
    """Return a warning where the largest 16-bit value does not fit the value of white, or None where it does.

    Args:
        largest: the largest of all 16-bit values; None without such values.
        white: the value that is white; None for `WHITE`.
        where: the file or folder.
        key: the option that sets the value of white; None where a trained run has set it.
        deep_colour: whether the values are those of colour pictures, of which PIL reads only the high bytes.
    """
    white = WHITE if white is None or deep_colour else white
    if not largest or white <= 2 * largest <= 2 * white:  # 0: all pixels are black at any value of white
        return None
    if largest > white:
        return f"warning: 16-bit values in {where} go up to {largest:,}, and all above {white:,} are shown as white"
    about = "about " if deep_colour else ""
    warning = (
        f"warning: the largest 16-bit value in {where} is {about}{largest:,}, and {white:,} is taken for white: the"
        " pictures come out dark"
    )
    if deep_colour:
        return f"{warning}; of 16-bit colour the high byte alone is read: save such pictures with 8 bits a channel"
    bits = largest.bit_length()
    way_out = f"if they hold {bits} bit{'s' if bits > 1 else ''}, say {key}={2**bits - 1}"
    return f"{warning}; {way_out if key else 'it is the dataset.white_level of the run that says so'}"
