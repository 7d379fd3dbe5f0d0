"""Which `_target_`s may run. Imports no torch: the check before a run asks here too."""

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
)  # YAML sections for the check, never constructor arguments

# what kind of class may stand where, by dotted key; "*" is any one part of it, "**" any number, the first that fits
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
OWN = "gan_cli."  # of which trust= adds nothing: the commands, what carries out a run and what uses one are no parts


def is_allowed(target: str, trust: Sequence[str] = ()) -> bool:
    """Whether a dotted name lies below an allowed or a trusted one."""
    return f"{target}.".startswith(ALLOWED) or is_trusted(target, trust)


def is_trusted(target: str, trust: Sequence[str]) -> bool:
    return not target.startswith(OWN) and any(f"{target}.".startswith(f"{name.rstrip('.')}.") for name in trust)


def check_allowed(target: object, trust: Sequence[str] = ()) -> None:
    """
    Raises:
        UserError: `target` is not on the allow-list.
    """
    if isinstance(target, str) and target.startswith(OWN) and not is_allowed(target, trust):
        folders = sorted({prefix.split(".")[1] for prefix in ALLOWED if prefix.startswith(OWN)})
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
    """A class may stand only where its kind belongs: a checkpoint is sampled without making a data set of its config.

    Args:
        target: a class's dotted name, that is on the allow-list.
        place: the dotted key of the config that it stands at, as `model.generator`.
        trust: packages whose classes may stand anywhere.

    Raises:
        UserError: it is of another kind, or nothing is made at that key.
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
    parts, wanted = place.split("."), pattern.split(".")
    if wanted[-1] == "**":
        return len(parts) >= len(wanted) and parts[: len(wanted) - 1] == wanted[:-1]
    return len(parts) == len(wanted) and all(w in ("*", part) for part, w in zip(parts, wanted, strict=True))


def make_importable(trust: Sequence[str]) -> None:
    """A trusted package may lie in the folder that the command is called from."""
    if trust and os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())


def targets_in(node: Any, path: str = "") -> Iterator[tuple[str, Node]]:
    """Every (dotted key, node) below `node` that has a `_target_`."""
    if isinstance(node, dict):
        if "_target_" in node:
            yield path, node
        for key, value in node.items():
            yield from targets_in(value, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from targets_in(value, f"{path}[{number}]")
