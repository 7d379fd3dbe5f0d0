"""Which class a user means: by its name, or by its index where no class is called so."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Callable, Sequence

from gan_cli.base.errors import UserError

MOST_LISTED = 40  # classes in one sentence


def class_indices(
    wanted: Sequence[int | str], names: Sequence[str], count: int, say: Callable[[str], object]
) -> list[int]:
    """Indices of classes from what a user calls them.

    A name wins, as it is written, else the only one that differs in nothing but upper and lower case; then an index.

    Args:
        wanted: names or indices; an index may come as text.
        names: of the classes, in the order of their indices; empty where they have none.
        count: how many classes there are.
        say: told, in a sentence, what was taken for something other than it looks like.

    Raises:
        UserError: no such class, or several that it could be.
    """
    names = list(names[:count])  # a foreign checkpoint may hold more of them
    found, taken = [], {}
    for one in wanted:
        text = str(one)
        if text in names:
            found.append(names.index(text))
            continue
        alike = [number for number, name in enumerate(names) if folded(name) == folded(text)]
        if len(alike) == 1:
            taken[text] = f'class "{names[alike[0]]}"'
        elif not alike and re.fullmatch(r"[0-9]{1,9}", text) and int(text) < count:
            alike = [int(text)]
            called = f'class "{names[alike[0]]}"' if alike[0] < len(names) else f"one of {count} classes without names"
            taken[text] = f"index {alike[0]}, {called}"
        else:
            raise UserError(f"labels= has {text!r}, which is no class of this model; {instead(text, names, count)}")
        found.append(alike[0])
    if taken:
        first, *more = (f"{text}] is taken as {meant}" for text, meant in taken.items())
        say("; ".join([f"labels=[{first}", *(f"[{other}" for other in more)]))
    return found


def folded(name: str) -> str:
    """What two spellings of one name have in common: case, and how a file system writes an accent."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def instead(text: str, names: Sequence[str], count: int) -> str:
    """`did you mean "Trouser"?` and what classes there are."""
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
