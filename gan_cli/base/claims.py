"""What the file of a checkpoint claims to hold, found without making any of it. Imports no torch.

`torch.load(weights_only=True)` runs no code of a file's, but makes what it asks for: records that were deflated, a
tensor larger than its storage, lists within themselves. So a file is read here first, as far as it says what there is.
What `torch.save` writes for tensors and plain values passes; anything else is no checkpoint of ours.
"""

from __future__ import annotations

import math
import pickletools
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from gan_cli.base.files import MOST_DEPTH

MOST_PICKLED = 4 * 2**20  # bytes of the part that is no tensor's values; a checkpoint of 1,000 tensors has 150,000
SHARED = 4  # how many times larger than the file its tensors may be, where several are views of one storage
BYTES = {  # of an element, by the name of its storage's class
    **dict.fromkeys(("BoolStorage", "ByteStorage", "CharStorage"), 1),
    **dict.fromkeys(("HalfStorage", "BFloat16Storage", "ShortStorage"), 2),
    **dict.fromkeys(("FloatStorage", "IntStorage"), 4),
    **dict.fromkeys(("DoubleStorage", "LongStorage", "ComplexFloatStorage"), 8),
    "ComplexDoubleStorage": 16,
}
RECORD = re.compile(
    r"data\.pkl|byteorder|version|\.format_version|\.storage_alignment|\.data/serialization_id|data/\d+"
)


class ClaimError(ValueError):
    """The file is not what `torch.save` writes of tensors and plain values; says why."""


@dataclass(frozen=True)
class Claim:
    """A tensor that the file says it has: its shape, and the bytes of an element."""

    shape: tuple[int, ...]
    bytes: int


@dataclass(frozen=True)
class Global:
    name: str


@dataclass(frozen=True)
class Storage:
    count: int
    bytes: int


MARK = Global("(")  # where a tuple, or the members of a list or a dict, begin


def claims_of(file: BinaryIO) -> Any:
    """The content with a `Claim` in the place of every tensor.

    Raises:
        ClaimError: see there.
    """
    try:
        records, pickled = records_of(file)
        content, steps = read(pickled, records)
        check_walk(content, 4 * steps + len(pickled))
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, EOFError) as error:
        raise ClaimError("it is no zip file as torch writes it") from error
    except (IndexError, KeyError, TypeError, AttributeError, RecursionError, ValueError, OSError) as error:
        if isinstance(error, ClaimError):
            raise
        raise ClaimError(f"what it holds can't be read ({type(error).__name__})") from error
    return content


def records_of(file: BinaryIO) -> tuple[dict[str, int], bytes]:
    """The bytes of each record of a storage by its key, and the record that says what is made of them."""
    size = file.seek(0, 2)
    file.seek(0)
    if file.read(4) != b"PK\x03\x04":
        raise ClaimError("it is no zip file as torch writes it")
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        root = entries[0].filename.partition("/")[0] if entries else ""
        names = [entry.filename.removeprefix(f"{root}/") for entry in entries]
        if len(set(names)) != len(names) or not all(RECORD.fullmatch(name) for name in names) or archive.comment:
            raise ClaimError("it has other records than torch writes")
        if any(entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1 for entry in entries):
            raise ClaimError("its records are compressed, which torch never does")
        if any(entry.compress_size != entry.file_size for entry in entries):
            raise ClaimError("its records are not as long as it says")
        if sum(entry.file_size for entry in entries) > size:
            raise ClaimError("its records are longer than the file")
        by_name = dict(zip(names, entries, strict=True))
        if by_name["data.pkl"].file_size > MOST_PICKLED:
            raise ClaimError(f"it has more than {MOST_PICKLED >> 20} MiB besides its tensors")
        pickled = archive.read(by_name["data.pkl"])
    return {name[5:]: entry.file_size for name, entry in by_name.items() if name.startswith("data/")}, pickled


def read(pickled: bytes, records: dict[str, int]) -> tuple[Any, int]:
    """The content, and how many steps it took to read it."""
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    steps = claimed = 0
    argument: Any
    for step, argument, _ in pickletools.genops(pickled):
        steps, name = steps + 1, step.name
        if name in ("BINUNICODE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"):
            stack.append(argument)
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif name == "GLOBAL":
            stack.append(Global(argument))
        elif name in CONSTANTS:
            stack.append(CONSTANTS[name])
        elif name in MAKERS:
            stack.append(MAKERS[name]())
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            count = int(name[-1])
            stack[-count:] = [tuple(stack[-count:])]
        elif name == "TUPLE":
            members = since_mark(stack)
            stack.append(tuple(members))
        elif name == "BINPERSID":
            stack.append(storage_of(stack.pop(), records))
        elif name == "REDUCE":
            arguments = stack.pop()
            stack.append(reduced(stack.pop(), arguments))
            claimed += math.prod(stack[-1].shape) * stack[-1].bytes if isinstance(stack[-1], Claim) else 0
            if claimed > SHARED * (sum(records.values()) + 1):
                raise ClaimError("its tensors are larger than what is stored of them")
        elif name == "STOP":
            return stack.pop(), steps
        elif name != "PROTO":
            fill(name, stack)
    raise ClaimError("it was cut short")


CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": (), "MARK": MARK}
MAKERS: dict[str, Any] = {"EMPTY_LIST": list, "EMPTY_DICT": dict}


def fill(name: str, stack: list[Any]) -> None:
    """The steps that put members into the list or dict that lies below them."""
    if name in ("APPEND", "SETITEM"):
        count = 1 if name == "APPEND" else 2
        members = stack[-count:]
        del stack[-count:]
    elif name in ("APPENDS", "SETITEMS"):
        members = since_mark(stack)
    elif name == "BUILD":  # attributes of an ordered dict: torch keeps versions of modules there
        attributes = stack.pop()
        if not isinstance(stack[-1], dict) or not isinstance(attributes, dict) or set(attributes) - {"_metadata"}:
            raise ClaimError("it holds other objects than tensors and plain values")
        return
    else:
        raise ClaimError(f"it has a step that torch does not write ({name})")
    if name.startswith("APPEND") and isinstance(stack[-1], list):
        stack[-1].extend(members)
    elif name.startswith("SETITEM") and isinstance(stack[-1], dict):
        stack[-1].update(zip(members[::2], members[1::2], strict=True))
    else:
        raise ClaimError("it holds other objects than tensors and plain values")


def since_mark(stack: list[Any]) -> list[Any]:
    place = len(stack) - 1
    while stack[place] is not MARK:  # an IndexError where there is none
        place -= 1
    members = stack[place + 1 :]
    del stack[place:]
    return members


def storage_of(named: Any, records: dict[str, int]) -> Storage:
    """A storage as the file names it: `("storage", class, key, device, elements)`."""
    word, kind, key, _, count = named
    size = BYTES.get(kind.name.removeprefix("torch ")) if isinstance(kind, Global) else None
    if word != "storage" or size is None or not is_whole(count):
        raise ClaimError("it holds other objects than tensors and plain values")
    if records[key] != count * size:
        raise ClaimError("a tensor's values are not as long as it says")
    return Storage(count, size)


def reduced(made: Any, arguments: Any) -> Any:
    """What a call gives: an ordered dict, or a tensor's claim."""
    if made == Global("collections OrderedDict") and arguments == ():
        return {}
    if made != Global("torch._utils _rebuild_tensor_v2"):
        what = f" ({made.name})" if isinstance(made, Global) else ""
        raise ClaimError(f"it holds other objects than tensors and plain values{what}")
    storage, offset, shape, strides = arguments[:4]
    if not isinstance(storage, Storage) or not all(map(is_whole, (offset, *shape, *strides))):
        raise ClaimError("a tensor's shape is no shape")
    count = math.prod(shape)
    last = offset + sum((side - 1) * stride for side, stride in zip(shape, strides, strict=True))
    if count and (last >= storage.count or count > storage.count):
        raise ClaimError("a tensor is larger than what is stored of it")
    return Claim(tuple(shape), storage.bytes)


def is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def check_walk(content: Any, most: int) -> None:
    """Refuse what is in itself, too deep, or shared so often that to go through it takes more than `most` steps."""
    level, steps = [content], 0
    for _ in range(MOST_DEPTH):
        following: list[Any] = []
        for item in level:
            for member in members_of(item):
                if not isinstance(member, (dict, list, tuple, str, int, float, Claim, type(None))):
                    raise ClaimError("it holds other objects than tensors and plain values")
                steps += 1 + (len(member) // 16 if isinstance(member, str) else 0)
                following.append(member)
                if steps > most:
                    raise ClaimError("it repeats parts of itself too often")
        if not following:
            return
        level = following
    raise ClaimError(f"its lists lie more than {MOST_DEPTH} deep in one another, or in themselves")


def members_of(item: Any) -> Iterator[Any]:
    if isinstance(item, dict):
        yield from item
        yield from item.values()
    elif isinstance(item, (list, tuple)):
        yield from item
