"""The check before a run: what YAML, names and side files can tell, without torch, in under a second.

Each finding is a `UserError` of one sentence: what is wrong, where, and which choices would fit.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any

from gan_cli.cli.complete import fitting_resolution, resolution_fits
from gan_cli.cli.folder import root_keys
from gan_cli.cli.signatures import check_arguments
from gan_cli.errors import UserError
from gan_cli.targets import check_allowed, make_importable, targets_in

NO_DOWNLOAD = "dataset=digits needs no download"


def check(config: dict[str, Any]) -> None:
    """Refuse a composition that can't work.

    Args:
        config: plain and complete (`config.plain`).

    Raises:
        UserError: the first thing that is wrong.
    """
    check_root(config)
    trust = config.get("trust") or []
    make_importable(trust)
    for path, node in targets_in({key: value for key, value in config.items() if key != "trust"}):
        check_allowed(node["_target_"], trust)
        check_arguments(path, node)
    check_trainer(config["trainer"])
    check_resolution(config)
    check_scale(config)
    check_sides(config)
    check_degradation(config["dataset"])
    check_perceptual(config)
    check_crop(config["dataset"])
    check_whole_batch(config)
    check_terms(config)
    check_optimizer(config["optimizer"])
    check_files(config)
    check_init_from(config)


def check_root(config: dict[str, Any]) -> None:
    extra = sorted(set(config) - root_keys() - {"choices"})
    if extra:
        raise UserError(f"{extra[0]} is not an option; at the top there are {', '.join(sorted(root_keys()))}")
    seed = config.get("seed")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise UserError(f"seed={seed!r} is not a whole number from 0 up")
    if not isinstance(config.get("trust") or [], list):
        raise UserError("trust takes a list of packages: trust=[my_package]")


def check_trainer(trainer: dict[str, Any]) -> None:
    for key in ("total_images", "batch_size", "accumulate", "processes", "keep_checkpoints", "preview_samples"):
        if trainer[key] < 1:
            raise UserError(f"trainer.{key}={trainer[key]} must be at least 1")
    for key in (
        "ema_halflife_images",
        "log_every_images",
        "sample_every_images",
        "checkpoint_every_images",
        "max_restarts",
    ):
        if trainer[key] < 0:
            raise UserError(f"trainer.{key}={trainer[key]} must not be negative")
    parts, batch = trainer["accumulate"] * trainer["processes"], trainer["batch_size"]
    if batch % parts:
        near = max(parts, batch - batch % parts)
        raise UserError(
            f"trainer.batch_size={batch} can't be cut into {parts} equal parts"
            f" (trainer.accumulate={trainer['accumulate']} x trainer.processes={trainer['processes']});"
            f" {near} or {near + parts} would do"
        )
    if trainer["device"].split(":")[0] not in ("auto", "cpu", "cuda", "mps"):
        raise UserError(f"trainer.device={trainer['device']!r} is unknown; use auto, cpu, cuda or mps")


def check_fields(config: dict[str, Any], options: Callable[[], dict[str, dict[str, Any]]]) -> None:
    """A model needs what its data set provides: images, labels, points.

    Args:
        config: composed, its interpolations may be unresolved.
        options: gives each group's options with their raw YAML, to name those that would fit.
    """
    needs = (config["model"].get("requires") or {}).get("fields", [])
    has = (config["dataset"].get("provides") or {}).get("fields", [])
    missing = [field for field in needs if field not in has]
    if not missing:
        return
    model, dataset, siblings = chosen(config, "model"), chosen(config, "dataset"), options()
    fit = [
        n
        for n, y in siblings.get("dataset", {}).items()
        if set(needs) <= fields_of(y, config["model"])
        and ("degradation" in y or not brings_degradation(config["model"]))
    ]
    words = " and ".join(WORDS.get(field, f"{field}s") for field in missing)
    hint = ""
    if "label" in missing and (config["dataset"].get("provides") or {}).get("scan"):
        hint = ", or pictures sorted into two or more sub-folders, one for each class"
    if "label" in missing and (config["dataset"].get("provides") or {}).get("labelled_by"):
        hint = f", or dataset.{config['dataset']['provides']['labelled_by']}=..., which makes labels"
    other = [
        n
        for n, y in siblings.get("model", {}).items()
        if set((y.get("requires") or {}).get("fields", [])) <= {*has, *fields_of(config["dataset"], y)}
        and ("degradation" in config["dataset"] or not brings_degradation(y))
    ]
    instead = f" (or, for this data set, model={'|'.join(other)})" if other else ""
    raise UserError(
        f"model={model} needs {words}, and dataset={dataset} has none;"
        f" data sets that fit: {', '.join(fit) or 'none here'}{hint}{instead}"
    )


WORDS = {"a": "two unpaired sides (a", "b": "b)", "source": "sources", "target": "targets"}


def fields_of(dataset: dict[str, Any], model: dict[str, Any]) -> set[str]:
    """What a data set gives to a model: its own fields, and what the model's degradation makes of them."""
    own = (dataset.get("provides") or {}).get("fields", [])
    brought = model["brings"]["degradation"] if "degradation" in dataset and brings_degradation(model) else {}
    return {*own, *(brought.get("provides") or {}).get("fields", [])}


def brings_degradation(model: dict[str, Any]) -> bool:
    """Whether a model makes its sources from good pictures, and so has no use for given ones."""
    return bool((model.get("brings") or {}).get("degradation"))


def check_scale(config: dict[str, Any]) -> None:
    """Sources may be smaller than their targets where the model enlarges, and nowhere else."""
    wanted, given = config["model"].get("requires", {}).get("scale"), config["dataset"]["provides"].get("scale")
    if wanted is None or given is None or wanted == given:
        return
    size = "of the size of their targets" if wanted == 1 else f"{wanted} times smaller than their targets"
    fit = "dataset=pairs" if wanted == 1 else "dataset=degraded"
    raise UserError(
        f"model={chosen(config, 'model')} needs sources {size}, and those of dataset={chosen(config, 'dataset')} are"
        f" {given} times smaller; {fit} fits"
    )


def check_sides(config: dict[str, Any]) -> None:
    """Options of a model that compare its two sides, or add one to the other, want as many channels in both."""
    dataset = config["dataset"]
    source, target = dataset.get("source_channels"), dataset.get("channels")
    for key in config["model"].get("requires", {}).get("same_channels", []):
        value = reduce(lambda node, part: node[part], key.split("."), config["model"])
        if value and source != target:
            off = "false" if value is True else "0"
            raise UserError(
                f"model.{key}={str(value).lower()} needs both sides with as many channels, and those of"
                f" dataset={chosen(config, 'dataset')} are {source} and {target}; say model.{key}={off} or"
                f" dataset.source_channels={target}"
            )


def check_degradation(dataset: dict[str, Any]) -> None:
    area = (dataset.get("degradation") or {}).get("area")
    if area is not None and not 0 < area < 1:
        raise UserError(
            f"model.brings.degradation.area={area} must be between 0 and 1: the share of the picture that is missing"
        )


def check_perceptual(config: dict[str, Any]) -> None:
    if config.get("perceptual") and "perceptual" not in config["model"]:
        raise UserError(
            f"model={chosen(config, 'model')} has no term for perceptual={chosen(config, 'perceptual')};"
            " srgan and medgan_translation have one"
        )


def check_crop(dataset: dict[str, Any]) -> None:
    padding, resolution = dataset.get("crop_padding") or 0, dataset.get("resolution") or 0
    larger = dataset.get("load_resolution")
    if larger is not None and larger < resolution:
        raise UserError(f"dataset.load_resolution={larger} must be at least dataset.resolution={resolution}, or null")
    if padding < 0 or (padding and padding >= resolution):
        raise UserError(
            f"dataset.crop_padding={padding} must be from 0 to {resolution - 1}, below dataset.resolution={resolution}"
        )


def check_resolution(config: dict[str, Any]) -> None:
    rule = (config["model"].get("requires") or {}).get("resolution")
    resolution = config["dataset"].get("resolution")
    if not rule or resolution is None:
        return
    if resolution < 1:
        raise UserError(f"dataset.resolution={resolution} must be at least 1")
    for key in ("channels", "source_channels"):
        if config["dataset"].get(key, 3) not in (1, 3):
            raise UserError(f"dataset.{key}={config['dataset'].get(key)} must be 1 (grey) or 3 (colour)")
    if resolution_fits(resolution, rule):
        return
    below = next((r for r in range(resolution, 0, -1) if resolution_fits(r, rule)), None)
    above = fitting_resolution(resolution, rule)
    kind = "powers of two" if rule.get("power_of_two") else f"multiples of {rule.get('multiple_of', 1)}"
    near = f"{below} or {above}" if below else str(above)
    raise UserError(
        f"model={chosen(config, 'model')} makes resolutions that are {kind} from {rule['minimum']} up,"
        f" not dataset.resolution={resolution}; nearest: {near}"
    )


def check_whole_batch(config: dict[str, Any]) -> None:
    if config["trainer"]["accumulate"] == 1:
        return
    parts = {f"loss={chosen(config, 'loss')}": config["loss"]}
    parts.update({f"penalty={name}": node for name, node in (config.get("penalty") or {}).items()})
    for name, node in parts.items():
        if (node.get("requires") or {}).get("whole_batch"):
            raise UserError(
                f"{name} takes a mean over the whole batch, which trainer.accumulate would cut; set it to 1"
            )


def check_terms(config: dict[str, Any]) -> None:
    loss, added = config["loss"], config.get("penalty") or {}
    if loss.get("n_critic", 1) < 1:
        raise UserError(f"loss.n_critic={loss['n_critic']} must be at least 1")
    for key, node in [("loss.penalties", loss.get("penalties") or {}), ("penalty", added)]:
        for name, penalty in node.items():
            if penalty.get("every", 1) < 1:
                raise UserError(f"{key}.{name}.every={penalty['every']} must be at least 1")
            if penalty.get("weight", 0) < 0:
                raise UserError(f"{key}.{name}.weight={penalty['weight']} must not be negative")
    for name in added:
        if name in (config["loss"].get("penalties") or {}):
            raise UserError(
                f"loss={chosen(config, 'loss')} brings the penalty {name} itself: leave out penalty={name},"
                f" and set loss.penalties.{name}.weight to change its weight"
            )


def check_optimizer(optimizer: dict[str, Any]) -> None:
    """The optimizer's options are torch's own, which can't be looked up here; ours are checked by hand."""
    rates = {"learning_rate": optimizer.get("learning_rate")}
    rates.update(
        {f"rates.{player}": rate for player, rate in (optimizer.get("rates") or {}).items() if rate is not None}
    )
    for key, rate in rates.items():
        if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 <= rate < 1e38:
            raise UserError(f"optimizer.{key}={rate!r} is not a rate: a number from 0 to below 1e38")
    betas = optimizer.get("betas", [0.0, 0.0])
    if (
        not isinstance(betas, list)
        or len(betas) != 2
        or not all(isinstance(b, (int, float)) and 0 <= b < 1 for b in betas)
    ):
        raise UserError(f"optimizer.betas={betas!r} must be two numbers from 0 to below 1, as [0.5,0.999]")
    schedule = optimizer.get("schedule") or {}
    kind, begin, end = schedule.get("kind", "constant"), schedule.get("start_images", 0), schedule.get("end_images")
    if kind not in ("constant", "linear", "cosine"):
        raise UserError(f"optimizer.schedule.kind={kind!r} is unknown; use constant, linear or cosine")
    for key in ("start_images", "end_images", "final_factor", "warmup_images"):
        value = schedule.get(key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0):
            raise UserError(f"optimizer.schedule.{key}={value!r} is not a number from 0 up")
    if kind != "constant" and (end is None or end <= begin):
        raise UserError(
            f"optimizer.schedule.kind={kind} needs optimizer.schedule.end_images above start_images={begin}, not {end}"
        )


def check_files(config: dict[str, Any]) -> None:
    dataset = config["dataset"]
    files = (dataset.get("provides") or {}).get("files") or []
    if not files or dataset.get("root") is None:
        return
    root = Path(str(dataset["root"])).expanduser()
    missing = [name for name in files if not (root / name).exists() and not (root / f"{name}.gz").exists()]
    if missing and not dataset.get("download"):
        raise UserError(
            f"dataset={chosen(config, 'dataset')} is not on disk:"
            f" its files belong in {str(root)!r} ({', '.join(missing)});"
            f" set dataset.root to where they are, or dataset.download=true; {NO_DOWNLOAD}"
        )


def check_init_from(config: dict[str, Any]) -> None:
    """The side file of a checkpoint tells whether its networks are those of the new run."""
    if config.get("init_from") is None:
        return
    from gan_cli.checkpoint import model_facts, newest_summary

    path, summary = newest_summary(Path(str(config["init_from"])).expanduser())
    before, now = summary.get("networks") or {}, model_facts(config)
    for key in sorted({*before, *now}):
        if before.get(key) != now.get(key):
            raise UserError(
                f"init_from={config['init_from']!r} ({path.name}) is a checkpoint of another model:"
                f" {key} is {before.get(key)} there and {now.get(key)} here"
            )


def chosen(config: dict[str, Any], group: str) -> str:
    """What the user typed for a group, or its target where there is no record of that."""
    return str((config.get("choices") or {}).get(group) or config[group].get("_target_"))
