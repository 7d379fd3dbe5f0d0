"""Which `_target_`s may run. Imports no torch: the check before a run asks here too."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from gan_cli.errors import UserError

META_KEYS = ("requires", "provides", "brings")  # YAML sections for the check, never constructor arguments

ALLOWED = (
    "gan_cli.augment.",
    "gan_cli.data.",
    "gan_cli.gan.",
    "gan_cli.growing.",
    "gan_cli.latent.",
    "gan_cli.layers.",
    "gan_cli.losses.",
    "gan_cli.metrics.",
    "gan_cli.models.",
    "gan_cli.penalties.",
    "gan_cli.settings.",
    "gan_cli.style.",
    "torch.nn.",
    "torch.optim.",
    "torchvision.models.",
)


def is_allowed(target: str, trust: Sequence[str] = ()) -> bool:
    """Whether a dotted name lies below an allowed or a trusted one."""
    return any(f"{target}.".startswith(prefix) for prefix in (*ALLOWED, *(f"{name.rstrip('.')}." for name in trust)))


def check_allowed(target: object, trust: Sequence[str] = ()) -> None:
    """
    Raises:
        UserError: `target` is not on the allow-list.
    """
    if not isinstance(target, str) or not is_allowed(target, trust):
        package = str(target).split(".")[0]
        raise UserError(
            f"_target_={target!r} is not on the allow-list;"
            f" if you trust the code of {package!r} to run, say trust=[{package}]"
        )


def make_importable(trust: Sequence[str]) -> None:
    """A trusted package may lie in the folder that the command is called from."""
    if trust and os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())


def targets_in(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every (dotted key, node) below `node` that has a `_target_`."""
    if isinstance(node, dict):
        if "_target_" in node:
            yield path, node
        for key, value in node.items():
            yield from targets_in(value, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from targets_in(value, f"{path}[{number}]")
