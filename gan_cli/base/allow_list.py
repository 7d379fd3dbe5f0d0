"""The allow-list of classes that a config may name as `_target_`.

Imports no torch: the check before a run uses it too.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from gan_cli.base.errors import UserError
from gan_cli.base.run_config import Node

META_KEYS = (
    "requires",
    "provides",
    "brings",
    "limits",
    "players",
)  # sections of a part's YAML that only the check reads; they are never constructor arguments

# (dotted key, kind, allowed packages): the kind of class that may stand at a key. "*" stands for one part of the key,
# "**" for any number of parts. The first entry that fits counts.
SLOTS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("model", "a game", ("gan_cli.game.", "gan_cli.models.")),
    ("model.perceptual", "features to compare in", ("gan_cli.losses.",)),
    ("model.latent", "a distribution of latents", ("gan_cli.parts.",)),
    ("model.growth", "the growth of networks", ("gan_cli.layers.growth.",)),
    ("model.brings.degradation", "a degradation", ("gan_cli.data.degrade.",)),
    ("model.**", "a network", ("gan_cli.models.", "gan_cli.layers.", "torch.nn.", "torchvision.models.")),
    ("loss", "an adversarial loss", ("gan_cli.losses.",)),
    ("loss.penalties.*", "a penalty", ("gan_cli.penalties.",)),
    ("penalty.*", "a penalty", ("gan_cli.penalties.",)),
    ("augment", "an augmentation", ("gan_cli.augment.", "torch.nn.")),
    ("dataset", "a data set", ("gan_cli.data.",)),
    ("dataset.degradation", "a degradation", ("gan_cli.data.degrade.",)),
    ("dataset.provides.medium", "a medium", ("gan_cli.media.",)),
    ("optimizer", "an optimizer", ("torch.optim.",)),
    ("perceptual", "features to compare in", ("gan_cli.losses.",)),
    ("perceptual.**", "a network", ("gan_cli.models.", "gan_cli.layers.", "torch.nn.", "torchvision.models.")),
    ("metric.*", "a metric", ("gan_cli.metrics.",)),
    ("features", "features of a network", ("gan_cli.metrics.",)),
    ("features.**", "a network", ("gan_cli.models.", "gan_cli.layers.", "torch.nn.", "torchvision.models.")),
    ("trainer", "the trainer's settings", ("gan_cli.base.settings.",)),
    ("mode", "something to do with a trained run", ("gan_cli.use.modes.",)),
)
ALLOWED = tuple(sorted({prefix for _, _, prefixes in SLOTS for prefix in prefixes}))
PACKAGE = "gan_cli."  # trust= adds nothing of this package: commands, and code that runs or uses a run, are no parts


def is_allowed(target: str, trust: Sequence[str] = ()) -> bool:
    """Return whether the class or function `target`, a dotted name, is in an allowed or a trusted package."""
    return f"{target}.".startswith(ALLOWED) or is_trusted(target, trust)


def is_trusted(target: str, trust: Sequence[str]) -> bool:
    """Return whether `target` is in a package that the user trusts; a name of this program never is."""
    return not target.startswith(PACKAGE) and any(f"{target}.".startswith(f"{name.rstrip('.')}.") for name in trust)


def check_allowed(target: object, trust: Sequence[str] = ()) -> None:
    """Check that a config may name the class `target`.

    Args:
        target: the value of a `_target_`.
        trust: packages that the user added to the allow-list.

    Raises:
        UserError: `target` is not on the allow-list.
    """
    if isinstance(target, str) and target.startswith(PACKAGE) and not is_allowed(target, trust):
        folders = sorted({prefix.split(".")[1] for prefix in ALLOWED if prefix.startswith(PACKAGE)})
        raise UserError(
            f"_target_={target!r} is not on the allow-list, and trust= adds nothing of this program:"
            f" a config may name the parts in its {', '.join(folders)}"
        )
    if not isinstance(target, str) or not is_allowed(target, trust):
        package = str(target).split(".")[0]
        raise UserError(
            f"_target_={target!r} is not on the allow-list;"
            f" if you trust the code of {package!r} to run, say trust=[{package}]"
        )


def check_place(target: str, place: str, trust: Sequence[str] = ()) -> None:
    """Check that a class stands at a key of the config where its kind belongs.

    Without this check, the config of a checkpoint could make a data set where a latent belongs.

    Args:
        target: the class's dotted name; it is on the allow-list.
        place: its dotted key in the config, such as `model.generator`.
        trust: packages whose classes may stand anywhere.

    Raises:
        UserError: the class is of another kind, or no class belongs at that key.
    """
    if is_trusted(target, trust):
        return
    place = place.replace("[", ".").replace("]", "")
    for pattern, kind, prefixes in SLOTS:
        if fits_slot(place, pattern):
            if not f"{target}.".startswith(prefixes):
                homes = " or ".join(prefix.rstrip(".") for prefix in prefixes)
                raise UserError(f"{place} is {kind}, a class of {homes}, and {target} is none")
            return
    raise UserError(f"{place} has _target_={target}, and no class belongs there")


def fits_slot(place: str, pattern: str) -> bool:
    """Return whether a dotted key matches a pattern of `SLOTS`."""
    keys, slots = place.split("."), pattern.split(".")
    if slots[-1] == "**":
        return len(keys) >= len(slots) and keys[: len(slots) - 1] == slots[:-1]
    return len(keys) == len(slots) and all(slot in ("*", key) for key, slot in zip(keys, slots, strict=True))


def make_importable(trust: Sequence[str]) -> None:
    """Let Python find trusted packages in the working folder, where the command is called."""
    if trust and os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())


def targets_in(node: Any, path: str = "") -> Iterator[tuple[str, Node]]:
    """Yield (dotted key, section) of `node` and each section below it that has a `_target_`."""
    if isinstance(node, dict):
        if "_target_" in node:
            yield path, node
        for key, value in node.items():
            yield from targets_in(value, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from targets_in(value, f"{path}[{number}]")
