"""The classes that a user means by `labels=`: by name, or by index where no class has that name."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Callable, Sequence

from gan_cli.base.errors import UserError

MOST_LISTED = 40  # class names in one message


def class_indices(
    labels: Sequence[int | str], names: Sequence[str], count: int, say: Callable[[str], object]
) -> list[int]:
    """Find the indices of the classes that a user typed as names or indices.

    An exact name comes first, then the only name that differs in upper and lower case alone, then an index.

    Args:
        labels: names or indices; an index may come as text.
        names: the classes' names, in the order of their indices; empty where they have none.
        count: how many classes there are.
        say: called with one sentence where a text was read as another name or as an index.

    Raises:
        UserError: there is no such class, or the text fits several.
    """
    names = list(names[:count])  # a foreign checkpoint may have more names than classes
    indices, meanings = [], {}
    for label in labels:
        text = str(label)
        if text in names:
            indices.append(names.index(text))
            continue
        alike = [number for number, name in enumerate(names) if folded(name) == folded(text)]
        if len(alike) == 1:
            meanings[text] = f'class "{names[alike[0]]}"'
        elif not alike and re.fullmatch(r"[0-9]{1,9}", text) and int(text) < count:
            alike = [int(text)]
            called = f'class "{names[alike[0]]}"' if alike[0] < len(names) else f"one of {count} classes without names"
            meanings[text] = f"index {alike[0]}, {called}"
        else:
            raise UserError(f"labels= has {text!r}, which is no class of this model; {instead(text, names, count)}")
        indices.append(alike[0])
    if meanings:
        first, *more = (f"{text}] is taken as {meaning}" for text, meaning in meanings.items())
        say("; ".join([f"labels=[{first}", *(f"[{other}" for other in more)]))
    return indices


def folded(name: str) -> str:
    """Return a name without what spellings of it differ in: upper case, and how Unicode composes an accent."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def instead(text: str, names: Sequence[str], count: int) -> str:
    """Return the classes to type instead, in words: `did you mean "Trouser"? it knows 0 "T-shirt", 1 "Trouser"`."""
    if not names:
        return f"its {count} classes have no names: say an index from 0 to {count - 1}"
    alike = [name for name in names if folded(name) == folded(text)]
    near = alike or difflib.get_close_matches(folded(text), {folded(name): name for name in names}, n=3)
    spelt = [name for name in names if folded(name) in map(folded, near)]
    hint = f"did you mean {' or '.join(quoted(name) for name in spelt[:3])}? " if spelt else ""
    listed = ", ".join(f"{number} {quoted(name)}" for number, name in enumerate(names[:MOST_LISTED]))
    more = f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
    return f"{hint}it knows {listed}{more}"


def quoted(name: str) -> str:
    return f'"{name}"'
