"""The check of `brings` in YAML, the values that parts bring to others: does an option read each of them?

An option takes a brought value by a resolver in its YAML (`cli.config`). An experiment or a typed value replaces it.
"""

from __future__ import annotations

import re

from gan_cli.base.errors import UserError
from gan_cli.base.run_config import Composed
from gan_cli.base.run_folder import flat
from gan_cli.check.config_folder import config_folders
from gan_cli.check.hints import meant
from gan_cli.check.signatures import nodes_of

TAKEN = re.compile(r"\$\{(brought|recommended|n_critic|critic_norm):([\w.]+)")
BRINGERS = {  # resolver -> the groups whose `brings` it reads
    "brought": ("model", "loss"),
    "recommended": ("model", "loss"),
    "n_critic": ("model", "optimizer"),
    "critic_norm": ("loss", "penalty"),
}
BY_ITSELF = {"insists": ("model",), "degradation": ("model",)}  # read by the program itself, not by a resolver


def check_brought(config: Composed) -> None:
    """Refuse values under `brings` that nothing reads.

    Raises:
        UserError: no option of any YAML takes the value, or it is taken from parts of other groups only.
    """
    known = taken()
    for path, node in nodes_of(config):
        group = path.partition(".")[0]
        is_main_node = path == group or (group == "penalty" and path.count(".") == 1)
        for key in flat(node.get("brings") or {}):
            bringers = next((by for name, by in known.items() if f"{key}.".startswith(f"{name}.")), None)
            if bringers is None:
                keys = [name for name, by in known.items() if group in by]
                related = [name for name in keys if name.partition(".")[0] == key.partition(".")[0]] or keys
                raise UserError(
                    f"{path}.brings has {key}, which no option takes{meant(key, keys)}; taken are {', '.join(related)}"
                )
            if group not in bringers or not is_main_node:
                raise UserError(
                    f"{path}.brings has {key}, which is taken from {' or '.join(f'{by}.brings' for by in bringers)}"
                )


def taken() -> dict[str, tuple[str, ...]]:
    """Map each key that an option takes to the groups that may bring it, from all YAMLs, a user's own too."""
    bringers: dict[str, tuple[str, ...]] = {**BY_ITSELF}
    for folder in config_folders():
        for file in sorted(folder.glob("*/*.yaml")):
            for resolver, argument in TAKEN.findall(file.read_text(encoding="utf-8")):
                key = {"brought": argument, "recommended": f"optimizer.{argument}"}.get(resolver, resolver)
                bringers[key] = BRINGERS[resolver]
    return bringers
