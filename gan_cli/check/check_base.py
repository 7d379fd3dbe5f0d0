"""The part of the check that compares a model with the trained run that it builds on."""

from __future__ import annotations

from gan_cli.base.allow_list import check_allowed, targets_in
from gan_cli.base.checkpoint import config_of
from gan_cli.base.errors import UserError
from gan_cli.base.files import expanded
from gan_cli.base.run_config import Composed
from gan_cli.base.run_folder import none_in
from gan_cli.check.check_data import chosen
from gan_cli.check.kinds import shown


def check_base(config: Composed) -> None:
    """Refuse a base run that does not fit the model.

    Raises:
        UserError: the model needs a base and none is named, the run does not exist, or it has other samples.
    """
    model, data = config["model"], config["dataset"]
    required, where = (model.get("requires") or {}).get("base"), model.get("base")
    if required is None:
        return
    if where in (None, ""):
        raise UserError(f"model={chosen(config, 'model')} builds on a trained run: model.base=RUN names it")
    path = expanded(str(where))
    base = config_of(path)
    if base is None:
        raise UserError(f"model.base={shown(where)}: {none_in(path)}")
    for _, node in targets_in(base["model"]):
        check_allowed(node["_target_"], config.get("trust") or [])
    base_medium, own_medium = (one["provides"]["medium"]["_target_"] for one in (base["dataset"], data))
    if base_medium != own_medium:
        raise UserError(
            f"model.base={shown(where)} makes samples as {base_medium} shows them, and"
            f" dataset={chosen(config, 'dataset')} has others ({own_medium})"
        )
    for key in required.get("same") or []:
        if base["dataset"].get(key) != data.get(key):
            raise UserError(
                f"model.base={shown(where)} was trained with dataset.{key}={shown(base['dataset'].get(key))}, and this"
                f" run has {shown(data.get(key))}: say dataset.{key}={shown(base['dataset'].get(key))}"
            )


def of_begun(config: Composed) -> Composed:
    """Return a config without what is checked only before a run begins: `init_from` and the need of a base."""
    requires = {key: value for key, value in (config["model"].get("requires") or {}).items() if key != "base"}
    return {**config, "init_from": None, "model": {**config["model"], "requires": requires}}
