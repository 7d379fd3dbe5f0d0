"""The part of the check that looks at the top level of a config: the parts, the seed, names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gan_cli.base.errors import UserError
from gan_cli.check.config_folder import root_keys
from gan_cli.check.kinds import Either, Kind, Part, Simple, Table, shown
from gan_cli.check.signatures import check_value

NULL, WORD, PART = Simple(type(None)), Simple(str), Part("OPTION")
LABEL = Either((WORD, Simple(int), Simple(float), Simple(bool), NULL))
ROOT: dict[str, Kind] = {  # the values that keys at the top level take
    **dict.fromkeys(("model", "loss", "dataset", "optimizer", "trainer"), PART),
    **dict.fromkeys(("penalty", "metric"), Either((Table(WORD, PART), NULL))),
    **dict.fromkeys(("augment", "perceptual", "features"), Either((PART, NULL))),
    **dict.fromkeys(("dry_run", "full_size"), Simple(bool)),
    **dict.fromkeys(("name", "notes", "sweep"), LABEL),
    **dict.fromkeys(("init_from", "resume"), Either((WORD, Simple(int), NULL))),
}


def check_root(config: Mapping[str, Any]) -> None:
    extra = sorted(set(config) - root_keys() - {"choices"})
    if extra:
        raise UserError(f"{extra[0]} is not an option; at the top there are {', '.join(sorted(root_keys()))}")
    seed = config.get("seed")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise UserError(
            f"seed={seed!r} is not a whole number from 0 up"
            if isinstance(seed, str)
            else f"seed={shown(seed)} is not a whole number from 0 up"
        )
    trust = config.get("trust")
    if not isinstance(trust or [], list) or not all(isinstance(name, str) and name for name in trust or []):
        raise UserError("trust takes a list of packages: trust=[my_package]")
    check_parts(config)
    for key, kind in ROOT.items():
        if key in config:
            check_value(key, config[key], kind)


def check_parts(config: Mapping[str, Any]) -> None:
    """Refuse a config without a model, loss, data set, optimizer or trainer.

    Raises:
        UserError: one of them is missing, or is no part.
    """
    for key, kind in ROOT.items():
        if isinstance(kind, Part) and not kind.fits(config.get(key)):
            raise UserError(
                f"{key}={shown(config.get(key))} is no part: {key}=OPTION chooses one; gan-train --help lists them"
            )
