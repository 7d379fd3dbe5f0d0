"""A first reading of a checkpoint's file: the objects that it claims to hold, without making any tensor.

`torch.load(weights_only=True)` runs no code from a file, but it makes every object that the file asks for: compressed
records of any size, a tensor larger than its storage, lists that contain themselves. So this module reads the file
first. A file as `torch.save` writes it for tensors and plain values passes; any other is refused. Imports no torch.
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

MOST_PICKLED = 4 * 2**20  # bytes of the pickle, without the tensors' values; a checkpoint of 1,000 tensors has 150,000
SHARED = 4  # the tensors may be this many times larger than the file, since several may be views of one storage
BYTES = {  # per element, by the name of the storage's class
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
    """An error that says why a file is not as `torch.save` writes it for tensors and plain values."""


@dataclass(frozen=True)
class Claim:
    """A tensor that the file claims to hold: its shape, and the bytes of one element."""

    shape: tuple[int, ...]
    bytes: int


@dataclass(frozen=True)
class Global:
    """A class or function that the pickle names."""

    name: str


@dataclass(frozen=True)
class Storage:
    """The stored values of tensors: how many, and the bytes of each."""

    count: int
    bytes: int


MARK = Global("(")  # on the stack, the start of a tuple or of the members of a list or a dict


def claims_of(file: BinaryIO) -> Any:
    """Read a checkpoint's content with a `Claim` in the place of every tensor.

    Raises:
        ClaimError: the file is not as `torch.save` writes it for tensors and plain values.
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
    """Read the size in bytes of each storage's record, by the storage's key, and the pickle that refers to them."""
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
    """Read a pickle, opcode by opcode; return its content and the number of opcodes.

    Args:
        pickled: the pickle.
        records: bytes of each storage, by key.
    """
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    steps = claimed = 0
    argument: Any
    for opcode, argument, _ in pickletools.genops(pickled):
        steps, name = steps + 1, opcode.name
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
            stack.append(call_result(stack.pop(), arguments))
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
    """Apply an opcode that moves members from the top of the stack into the list or dict below them."""
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
    """Remove all above the last mark from the stack, and the mark; return what was above it."""
    place = len(stack) - 1
    while stack[place] is not MARK:  # an IndexError where there is none
        place -= 1
    members = stack[place + 1 :]
    del stack[place:]
    return members


def storage_of(identifier: Any, records: dict[str, int]) -> Storage:
    """Make the `Storage` that a persistent id refers to: `("storage", class, key, device, elements)`."""
    word, kind, key, _, count = identifier
    size = BYTES.get(kind.name.removeprefix("torch ")) if isinstance(kind, Global) else None
    if word != "storage" or size is None or not is_whole(count):
        raise ClaimError("it holds other objects than tensors and plain values")
    if records[key] != count * size:
        raise ClaimError("a tensor's values are not as long as it says")
    return Storage(count, size)


def call_result(called: Any, arguments: Any) -> Any:
    """Return the result of a call in the pickle: an empty dict for `OrderedDict()`, or a tensor's claim."""
    if called == Global("collections OrderedDict") and arguments == ():
        return {}
    if called != Global("torch._utils _rebuild_tensor_v2"):
        name = f" ({called.name})" if isinstance(called, Global) else ""
        raise ClaimError(f"it holds other objects than tensors and plain values{name}")
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
    """Refuse content that contains itself, is nested too deep, or takes more than `most` steps to walk through.

    Content that repeats parts of itself can take very many.
    """
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
    """Yield the keys and values of a dict, or the members of a list or tuple."""
    if isinstance(item, dict):
        yield from item
        yield from item.values()
    elif isinstance(item, (list, tuple)):
        yield from item
