"""The part of the check that sets an augmentation against the model and the loss. Imports no torch."""

from __future__ import annotations

from gan_cli.base.errors import UserError
from gan_cli.base.run_config import Composed
from gan_cli.cli.check_data import chosen


def check_augment(config: Composed) -> None:
    """Pictures can be augmented; points can't, nor can a picture beside its source."""
    needs = ((config.get("augment") or {}).get("requires") or {}).get("fields") or []
    missing = [field for field in needs if field not in config["model"].get("requires", {}).get("fields", [])]
    if missing:
        raise UserError(
            f"augment={chosen(config, 'augment')} changes pictures of a model that draws them;"
            f" model={chosen(config, 'model')} is no such model, leave it at augment=none"
        )
    check_steering(config)


def check_steering(config: Composed) -> None:
    """What is steered by the sign of the critic's answers needs a loss under which that sign means something."""
    augment = config.get("augment") or {}
    if augment.get("final_p") is not None and augment.get("fixed"):
        raise UserError("augment.fixed=true keeps augment.p, and augment.final_p lets it change: give one of them")
    if (augment.get("final_p") is None) != (augment.get("ramp_images") is None):
        raise UserError("augment.final_p is reached at augment.ramp_images: give both, or neither")
    if augment.get("fixed") and not augment.get("p"):
        raise UserError(
            "augment.fixed=true leaves augment.p at 0, where nothing is changed: say augment.p=0.2, for one"
        )
    for word, unless in ((augment.get("requires") or {}).get("loss") or {}).items():
        if word not in (config["loss"].get("provides") or []) and not any(
            augment.get(key) not in (None, False) for key in unless
        ):
            names = f"augment={chosen(config, 'augment')}", f"loss={chosen(config, 'loss')}"
            raise UserError(
                f"{names[0]} is steered by the sign of the critic's answers to reals, which means nothing under"
                f" {names[1]}, where 0 is not the answer of a critic that can't tell: say augment.fixed=true"
                " augment.p=0.2, or a schedule, augment.final_p=0.5 augment.ramp_images=N"
            )
