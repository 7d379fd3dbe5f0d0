"""Texts as names of files and folders: different texts have different names. Imports no torch.

A text that may stand as it is stays as it is; any other is made readable and gets a digest of the text. Names differ on
every file system: one that takes capitals for small letters, one that stores `e` and its accent apart, one that has
reserved names. They need no quotes in a shell: letters and digits of any script, `.`, `_` and `-`.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Sequence

LONGEST = 120  # bytes of a name; file systems take 255, and an ending or a number may follow
DIGITS = 10  # of a digest
DIGEST = re.compile(rf"-[0-9a-f]{{{DIGITS}}}")
RESERVED = re.compile(r"(con|prn|aux|nul|conin|conout|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)  # Windows


def name_of(text: str) -> str:
    """The name of one text: `first` is `first`, `four cells` is `four-cells-` with a digest."""
    return _settled(text, [text], whole=True)


def name_of_list(texts: Sequence[str], joint: str) -> str:
    """The name of several texts, joined; the same letters cut elsewhere have another name."""
    text = joint.join(texts)
    return _settled(text, texts, whole=text.split(joint) == list(texts))


def name_of_settings(settings: Iterable[tuple[str, str]]) -> str:
    """The name of keys with their values: `loss-hinge--seed-0`; that of none is `cell`."""
    pairs = list(settings)
    parts = [f"{key}-{value}" for key, value in pairs]
    text = "--".join(parts)
    whole = text.split("--") == parts and not any("-" in key for key, _ in pairs)
    return _settled(text, [word for pair in pairs for word in pair], whole) if pairs else "cell"


def _settled(text: str, told_apart: Sequence[str], whole: bool) -> str:
    """A text as it is where it may be and stands for nothing else; else readable, with a digest of `told_apart`.

    Args:
        whole: whether the text can be cut into what is told apart in one way alone.
    """
    name = _readable(text)
    small = unicodedata.normalize("NFC", text.casefold()) == text and all(_is_plain(each) for each in text)
    if whole and small and name == text and len(name.encode()) <= LONGEST and not DIGEST.fullmatch(name[-DIGITS - 1 :]):
        return name
    content = json.dumps(list(told_apart)).encode()  # in ASCII: a text may have halves of characters
    digest = hashlib.blake2b(content, digest_size=DIGITS // 2).hexdigest()
    room = LONGEST - DIGITS - 1
    return f"{name.encode()[:room].decode(errors='ignore').rstrip('-.')}-{digest}"


def _readable(text: str) -> str:
    """As much of a text as a name may have, never empty."""
    composed = unicodedata.normalize("NFC", text)
    kept = "".join(each if _is_plain(each) or unicodedata.category(each) in ("Mn", "Mc") else " " for each in composed)
    name = re.sub(r" +", "-", re.sub(r" *(-+) *", r"\1", kept)).strip("-.") or "x"
    return f"_{name}" if RESERVED.fullmatch(name) else name


def _is_plain(each: str) -> bool:
    return each.isalnum() or each in "._-"
