"""The check before a run: what YAML, names and side files can tell, without torch, in under a second.

Each finding is a `UserError` of one sentence: what is wrong, where, and which choices would fit.
"""

from __future__ import annotations

from functools import partial

from gan_cli.base.allow_list import check_allowed, check_place, make_importable
from gan_cli.base.errors import UserError
from gan_cli.base.files import expanded
from gan_cli.base.run_config import Composed, Node
from gan_cli.base.run_folder import flat
from gan_cli.check.check_base import check_base
from gan_cli.check.check_data import check_data
from gan_cli.check.check_device import check_device
from gan_cli.check.check_metrics import check_scoring
from gan_cli.check.check_model import check_model
from gan_cli.check.check_root import check_root
from gan_cli.check.config_folder import config_folders, options_in
from gan_cli.check.kinds import shown
from gan_cli.check.rules import check_rules, chosen, fitting, has
from gan_cli.check.signatures import IMPLIED, check_arguments, nodes_of, signature_of

UNFIT = {  # of torch's optimizers: why none of them trains a network here
    "torch.optim.LBFGS": "looks at the loss several times in a step",
    "torch.optim.Muon": "moves nothing but matrices",
    "torch.optim.SparseAdam": "wants sparse gradients",
}
NO_DOWNLOAD = "dataset=digits needs no download"


def check(config: Composed) -> None:
    """Refuse a composed config that can't work.

    Args:
        config: plain and complete (`config.plain`).

    Raises:
        UserError: the first thing that is wrong.
    """
    check_root(config)
    trust = config.get("trust") or []
    make_importable(trust)
    optimizer = str(config["optimizer"].get("_target_"))
    if optimizer in UNFIT:
        raise UserError(
            f"optimizer._target_={optimizer} {UNFIT[optimizer]}, which is not for networks; optimizer=adam is"
        )
    for path, node in nodes_of(config):
        if node["_target_"] not in IMPLIED.values():
            check_allowed(node["_target_"], trust)
            check_place(node["_target_"], path, trust)
        check_arguments(path, node)
    check_trainer(config["trainer"])
    check_rules(config)
    check_model(config)
    check_base(config)
    check_data(config)
    check_whole_batch(config)
    check_terms(config)
    check_optimizer(config["optimizer"], bool(config["loss"].get("unroll_steps")))
    check_scoring(config)
    check_files(config)
    check_init_from(config)


def check_trainer(trainer: Node) -> None:
    parts, batch = trainer["accumulate"] * trainer["processes"], trainer["batch_size"]
    if batch % parts:
        near = max(parts, batch - batch % parts)
        raise UserError(
            f"trainer.batch_size={batch} can't be cut into {parts} equal parts"
            f" (trainer.accumulate={trainer['accumulate']} x trainer.processes={trainer['processes']});"
            f" {near} or {near + parts} would do"
        )
    check_device("trainer.device", trainer["device"])


def check_whole_batch(config: Composed) -> None:
    if config["trainer"]["accumulate"] == 1:
        return
    parts = {f"loss={chosen(config, 'loss')}": config["loss"]}
    parts.update({f"penalty={name}": node for name, node in (config.get("penalty") or {}).items()})
    for name, node in parts.items():
        if (node.get("requires") or {}).get("whole_batch"):
            raise UserError(
                f"{name} takes a mean over the whole batch, which trainer.accumulate would cut; set it to 1"
            )


def check_terms(config: Composed) -> None:
    added = config.get("penalty") or {}
    for name, node in added.items():
        check_needed(config, name, (node.get("requires") or {}).get("model") or [])
    for name in added:
        if name in (config["loss"].get("penalties") or {}):
            raise UserError(
                f"loss={chosen(config, 'loss')} brings the penalty {name} itself: leave out penalty={name},"
                f" and set loss.penalties.{name}.weight to change its weight"
            )


def check_needed(config: Composed, penalty: str, needed: list[str]) -> None:
    """Refuse a penalty that needs a part of the model, or a word under its `provides`, that the model lacks."""
    for word in needed:
        if not has(config["model"], word):
            name = chosen(config, "model")
            declared = (options_in(config_folders(), "model").get(name) or {}).get("provides")
            key = str(declared[word]).strip("${}") if isinstance(declared, dict) and word in declared else ""
            condition = f" with {key}={shown(flat(config).get(key))}" if key else ""
            raise UserError(
                f"penalty={penalty} needs a model with {word}, and model={name} has none{condition};"
                f" {fitting('model', partial(has, word=word))} has"
            )


def check_optimizer(optimizer: Node, looks_ahead: bool = False) -> None:
    """Refuse options of the optimizer that contradict each other; its class and `limits` judge each one alone."""
    check_schedule(optimizer)
    target = str(optimizer["_target_"])
    if looks_ahead and "differentiable" not in (signature_of(target) or {"differentiable"}):
        raise UserError(f"loss.unroll_steps can't look through {target}; optimizer=adam fits")
    if not target.startswith("torch.optim."):  # the options below are torch's
        return
    if optimizer.get("nesterov") and (not optimizer.get("momentum") or optimizer.get("dampening")):
        raise UserError("optimizer.nesterov=true needs optimizer.momentum above 0, and no optimizer.dampening")
    if optimizer.get("fused") and optimizer.get("foreach"):
        raise UserError("optimizer.fused=true and optimizer.foreach=true are two ways to do one thing: say one of them")
    if looks_ahead and optimizer.get("fused"):
        raise UserError("optimizer.fused=true can't be looked through, as loss.unroll_steps does: leave it out")


def check_schedule(optimizer: Node) -> None:
    schedule = optimizer.get("schedule") or {}
    kind, begin, end = schedule.get("kind", "constant"), schedule.get("start_images", 0), schedule.get("end_images")
    if optimizer.get("final_beta2") is not None and kind == "constant":
        raise UserError("optimizer.final_beta2 follows the schedule: set optimizer.schedule.kind to linear or cosine")
    if kind != "constant" and (end is None or end <= begin):
        raise UserError(
            f"optimizer.schedule.kind={kind} needs optimizer.schedule.end_images above start_images={begin}, not {end}"
        )


def check_files(config: Composed) -> None:
    dataset = config["dataset"]
    files = (dataset.get("provides") or {}).get("files") or []
    if not files or dataset.get("root") is None:
        return
    root = expanded(str(dataset["root"]))
    missing = [name for name in files if not (root / name).exists() and not (root / f"{name}.gz").exists()]
    if missing and not dataset.get("download"):
        raise UserError(
            f"dataset={chosen(config, 'dataset')} is not on disk:"
            f" its files belong in {str(root)!r} ({', '.join(missing)});"
            f" set dataset.root to where they are, or dataset.download=true; {NO_DOWNLOAD}"
        )


def check_init_from(config: Composed) -> None:
    """Refuse `init_from=` where the checkpoint's side file shows other networks than those of the new run."""
    if config.get("init_from") is None:
        return
    from gan_cli.base.checkpoint import config_of, newest_summary
    from gan_cli.base.run_folder import model_facts

    path, summary = newest_summary(expanded(str(config["init_from"])))
    before, now = summary.get("networks"), model_facts(config)
    if before is None:  # no side file: the loading of the checkpoint compares them
        return
    keys = sorted({*before, *now}, key=lambda key: (key != "model._target_", key))
    differing = [key for key in keys if before.get(key) != now.get(key)]
    if differing:
        key, base = differing[0], config_of(path)
        raise UserError(
            f"init_from={config['init_from']!r} ({path.name}) is a checkpoint of another model:"
            f" {key} is {before.get(key)} there and {now.get(key)} here{way_out(key, base, config)}"
        )


def way_out(key: str, base: Composed | None, config: Composed) -> str:
    """Return what to type where the networks differ from those of the run that `init_from=` names.

    Args:
        key: the first option of the model that differs.
        base: that run's config, if it is known.
        config: the new run's config.
    """
    if base is not None and key.endswith(("channels", "resolution", "num_classes")):
        data = f"dataset={chosen(config, 'dataset')}"
        for option in ("resolution", "channels", "source_channels"):
            then, now = base["dataset"].get(option), config["dataset"].get(option)
            if then is not None and now is not None and then != now:
                return f"; it follows from {data}: say dataset.{option}={then}, which the networks are made for"
        then, now = base["model"].get("num_classes"), config["model"].get("num_classes")
        if then is not None and now is not None and then != now:
            return f"; it follows from {data} with {now} classes: only data with {then} fits these networks"
    if key.endswith(".norm"):
        return "; the loss or a penalty wants it so: choose others, or start without init_from="
    return "; leave out what is typed of the model: it comes from there"
