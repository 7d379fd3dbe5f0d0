"""Rules for the contents of a run's files and checkpoints, checked before any of it is used. Imports no torch.

The files may come from a stranger. A value of the wrong kind leads to a message that names it. Values without a rule
are used inside `foreign`, which converts their errors to such a message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from gan_cli.base.errors import Interrupted, RunError, UserError
from gan_cli.base.files import read_json
from gan_cli.base.printable import printable
from gan_cli.base.records import Record
from gan_cli.base.scoring import finite

MOST_IMAGES = 10**15
MOST_WHOLE = 2**16  # of a whole number in a model's section: widths, numbers of layers
MOST_OF_DATA = 10**7  # of a whole number in a data set's section

NO_SIZES = ("_images", "seed", "root")  # ends of keys whose numbers are no sizes


def is_whole(value: Any, least: int = 0, most: float = MOST_IMAGES) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def is_section(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(key, str) for key in value)


def is_part(value: Any) -> bool:
    return is_section(value) and isinstance(value.get("_target_"), str)


def is_texts(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value)


def is_choice(value: Any) -> bool:
    return value is None or isinstance(value, str) or is_texts(value)


KINDS: dict[str, Callable[[Any], bool]] = {
    "a whole number from 0 up": is_whole,
    "a whole number from 1 up": lambda value: is_whole(value, 1),
    "a whole number from 1 to 1024": lambda value: is_whole(value, 1, 1024),
    "a whole number from 1 to 8192": lambda value: is_whole(value, 1, 8192),
    "a grey level": lambda value: is_whole(value, 0, 255),
    "a whole number from 1 to 65535": lambda value: is_whole(value, 1, 65_535),
    "1 or 3": lambda value: is_whole(value) and value in (1, 3),
    "a seed": lambda value: is_whole(value, 0, 2**64),
    "a number": lambda value: finite(value) is not None,
    "a word": lambda value: not isinstance(value, (dict, list, tuple)),  # name=2024 is a number
    "a text": lambda value: isinstance(value, str),
    "true or false": lambda value: isinstance(value, bool),
    "a list of texts": is_texts,
    "a list": lambda value: isinstance(value, list),
    "a section": is_section,
    "a section with a _target_": is_part,
    "a section of such with a _target_": lambda value: is_section(value) and all(map(is_part, value.values())),
    "a section of choices": lambda value: is_section(value) and all(map(is_choice, value.values())),
    "a section of counts": lambda value: is_section(value) and all(map(is_whole, value.values())),
    "tensors by name": lambda value: (
        isinstance(value, dict) and all(isinstance(k, str) and hasattr(v, "shape") for k, v in value.items())
    ),
    "a section of sections": lambda value: is_section(value) and all(isinstance(v, dict) for v in value.values()),
}
# rules: the kind of value at each dotted key of a file; "?" allows a missing key or null
RECORD = {
    "status": "a text?",
    "images": "a whole number from 0 up?",
    "total_images": "a whole number from 0 up?",
    "seconds": "a number?",
    "processes": "a whole number from 1 to 1024?",
    "threads": "a whole number from 1 to 1024?",
    "parts": "a section of choices?",
    "digest_of_config": "a text?",
    "started": "a text?",
    "error": "a text?",
}
CONFIG = {
    "seed": "a seed",
    "model": "a section with a _target_",
    "loss": "a section with a _target_",
    "dataset": "a section with a _target_",
    "optimizer": "a section with a _target_",
    "trainer": "a section with a _target_",
    "penalty": "a section of such with a _target_?",
    "augment": "a section with a _target_?",
    "perceptual": "a section with a _target_?",
    "metric": "a section of such with a _target_?",
    "features": "a section with a _target_?",
    "choices": "a section of choices?",
    "init_from": "a word?",
    "name": "a word?",
    "notes": "a word?",
    "loss.penalties": "a section of such with a _target_?",
    "loss.requires": "a section?",
    "model.base": "a word?",
    "model.requires": "a section?",
    "model.brings": "a section?",
    "dataset.provides": "a section",
    "dataset.provides.medium": "a section with a _target_",
    "dataset.provides.fields": "a list of texts?",
    "dataset.resolution": "a whole number from 1 to 8192?",
    "dataset.channels": "1 or 3?",
    "dataset.source_channels": "1 or 3?",
    "dataset.background": "a grey level?",
    "dataset.white_level": "a whole number from 1 to 65535?",
    "dataset.workers": "a whole number from 1 to 1024?",
    "trainer.preview_samples": "a whole number from 1 to 8192?",
}
CONTENT = {
    "config": "a section",
    "progress": "a section",
    "progress.seed": "a seed",
    "progress.images": "a whole number from 0 up",
    "progress.step": "a whole number from 0 up",
    "progress.updates": "a section of counts",
    "game": "tensors by name",
    "ema": "a section of sections",
    "optimizers": "a section of sections?",
    "scaler": "a section?",
    "meter": "a list?",
    "base": "a text?",
    "data": "a section",
    "data.fingerprint": "a text",
    "data.count": "a whole number from 0 up",
    "data.class_names": "a list of texts",
}
SIDE_FILE = {
    "digest": "a text?",
    "networks": "a section?",
    "parameters": "a section?",
    "progress": "a section?",
    "score": "a section?",
}


def misfit(content: Mapping[str, Any], rules: Mapping[str, str]) -> str | None:
    """Return the fault of the first key that breaks its rule, in words; None where all keys fit."""
    for key, rule in rules.items():
        value: Any = content
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        kind = rule.removesuffix("?")
        if value is None and rule.endswith("?"):
            continue
        if not KINDS[kind](value):
            shown = repr(value)
            return f"{key} is {shown if len(shown) <= 60 else shown[:57] + '...'}, and {kind} belongs there"
    return None


def check_config(config: Mapping[str, Any], what: str) -> None:
    """Check a stored composed config.

    Args:
        what: the file in words, for the message.

    Raises:
        UserError: a section is missing or of another kind, or a size is larger than any model or data set has.
    """
    problem = misfit(config, CONFIG)
    for part, most in (("model", MOST_WHOLE), ("loss", MOST_WHOLE), ("augment", MOST_WHOLE), ("dataset", MOST_OF_DATA)):
        problem = problem or too_large(config.get(part), part, most)
    if problem:
        raise UserError(f"{what} is no config of a run: {printable(problem)}")


def too_large(node: Any, key: str, most: int) -> str | None:
    """Find a whole number above `most` in a section; return its key and value in words, or None."""
    if isinstance(node, dict):
        inner = ((value, f"{key}.{name}") for name, value in node.items() if not str(name).endswith(NO_SIZES))
    elif isinstance(node, (list, tuple)):
        inner = ((value, key) for value in node)
    else:
        large = isinstance(node, (int, float)) and not isinstance(node, bool) and abs(node) > most and node % 1 == 0
        return f"{key} is {str(node)[:20]}, and {most:,} is the most" if large else None
    return next((problem for value, name in inner if (problem := too_large(value, name, most))), None)


def check_content(content: Any, what: str) -> None:
    """Check a checkpoint's content, as `checkpoint.read` returns it.

    Args:
        what: the file in words, for the message.

    Raises:
        RunError: it is not the content of a run's checkpoint.
        UserError: the stored config does not fit (`check_config`).
    """
    problem = misfit(content, CONTENT)
    for name, weights in content["ema"].items() if problem is None else ():
        if problem is None and not KINDS["tensors by name"](weights):
            problem = f"ema.{name} holds something else than tensors by name"
    if problem:
        raise RunError(f"{what} is no checkpoint of a run: {printable(problem)}")
    check_config(content["config"], f"the config in {what}")


def read_record(folder: Path) -> Record | None:
    """Read a run's run.json; None where it is missing or no JSON.

    Raises:
        UserError: a value is of the wrong kind.
    """
    record = read_json(folder / "run.json")
    problem = misfit(record or {}, RECORD)
    if problem:
        raise UserError(f"{str(folder / 'run.json')!r} is not as a run writes it: {printable(problem)}")
    return cast(Record | None, record)


@contextmanager
def foreign(what: str) -> Iterator[None]:
    """Convert errors in the context, where a file's content is used, to one sentence that blames the file.

    Args:
        what: the file in words, for the message.

    Raises:
        RunError: the content does not fit; the first error is its cause.
    """
    try:
        yield
    except (UserError, RunError, Interrupted, MemoryError):
        raise
    except (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = f"{type(error).__name__}: {printable(lines[-1])[:200]}" if lines else type(error).__name__
        raise RunError(f"{what} does not hold what belongs there ({reason})") from error
