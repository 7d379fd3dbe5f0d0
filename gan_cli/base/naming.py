"""Names of files and folders made from texts: different texts get different names. Imports no torch.

A text that is a valid name stays as it is. Any other text loses the characters that a name can't have, and gets its
digest appended. Names stay different on every file system: where capitals equal small letters, where an accent is
stored apart from its letter, where names are reserved. Names need no quotes in a shell: they have letters and digits of
any script, `.`, `_` and `-`.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Sequence

LONGEST = 120  # bytes of a name; file systems allow 255, and a number or a file ending may follow
DIGITS = 10  # hex digits of a digest
DIGEST = re.compile(rf"-[0-9a-f]{{{DIGITS}}}")
RESERVED = re.compile(r"(con|prn|aux|nul|conin|conout|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)  # Windows


def name_of(text: str) -> str:
    """Return the name for a text: `first` stays `first`, `four cells` becomes `four-cells-` and a digest."""
    return _name(text, [text], unique=True)


def name_of_list(texts: Sequence[str], joint: str) -> str:
    """Return the name for several texts joined by `joint`; other texts that join to the same get another name."""
    text = joint.join(texts)
    return _name(text, texts, unique=text.split(joint) == list(texts))


def name_of_settings(settings: Iterable[tuple[str, str]]) -> str:
    """Return the name for keys with their values: `loss-hinge--seed-0`; without any, `cell`."""
    pairs = list(settings)
    parts = [f"{key}-{value}" for key, value in pairs]
    text = "--".join(parts)
    unique = text.split("--") == parts and not any("-" in key for key, _ in pairs)
    return _name(text, [word for pair in pairs for word in pair], unique) if pairs else "cell"


def _name(text: str, content: Sequence[str], unique: bool) -> str:
    """Return a text unchanged where it is a valid name and unique; else a readable form with a digest of `content`.

    Args:
        text: the texts of `content`, joined.
        content: the texts that the name stands for.
        unique: whether `text` can be split into `content` in one way only.
    """
    name = _readable(text)
    lower = unicodedata.normalize("NFC", text.casefold()) == text and all(_is_plain(each) for each in text)
    if (
        unique
        and lower
        and name == text
        and len(name.encode()) <= LONGEST
        and not DIGEST.fullmatch(name[-DIGITS - 1 :])
    ):
        return name
    key = json.dumps(list(content)).encode()  # in ASCII: a text may have lone surrogates
    digest = hashlib.blake2b(key, digest_size=DIGITS // 2).hexdigest()
    room = LONGEST - DIGITS - 1
    return f"{name.encode()[:room].decode(errors='ignore').rstrip('-.')}-{digest}"


def _readable(text: str) -> str:
    """Return the part of a text that a name can have; never empty."""
    composed = unicodedata.normalize("NFC", text)
    kept = "".join(each if _is_plain(each) or unicodedata.category(each) in ("Mn", "Mc") else " " for each in composed)
    name = re.sub(r" +", "-", re.sub(r" *(-+) *", r"\1", kept)).strip("-.") or "x"
    return f"_{name}" if RESERVED.fullmatch(name) else name


def _is_plain(each: str) -> bool:
    return each.isalnum() or each in "._-"
