"""The check before a run: what YAML, names and side files can tell, without torch, in under a second.

Each finding is a `UserError` of one sentence: what is wrong, where, and which choices would fit.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from gan_cli.cli.check_augment import check_augment
from gan_cli.cli.check_data import check_data, chosen
from gan_cli.cli.check_metrics import check_scoring
from gan_cli.cli.folder import config_folder, root_keys
from gan_cli.cli.signatures import check_arguments
from gan_cli.errors import UserError
from gan_cli.targets import check_allowed, check_place, make_importable, targets_in

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
        check_place(node["_target_"], path, trust)
        check_arguments(path, node)
    model = config["model"]
    check_trainer(config["trainer"], max(model.get("pack", 1), 1), model.get("batch_sizes"))
    check_augment(config)
    check_conditional(config)
    check_wired(config)
    check_data(config)
    check_whole_batch(config)
    check_terms(config)
    check_optimizer(config["optimizer"])
    check_scoring(config)
    check_files(config)
    check_init_from(config)


def check_root(config: dict[str, Any]) -> None:
    extra = sorted(set(config) - root_keys() - {"choices"})
    if extra:
        raise UserError(f"{extra[0]} is not an option; at the top there are {', '.join(sorted(root_keys()))}")
    seed = config.get("seed")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise UserError(f"seed={seed!r} is not a whole number from 0 up")
    if not isinstance(config.get("dry_run", False), bool):
        raise UserError(f"dry_run={config['dry_run']!r} must be true or false")
    if not isinstance(config.get("trust") or [], list):
        raise UserError("trust takes a list of packages: trust=[my_package]")


def check_trainer(trainer: dict[str, Any], pack: int = 1, sizes: dict[int, int] | None = None) -> None:
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
    parts, batch = trainer["accumulate"] * trainer["processes"] * pack, trainer["batch_size"]
    if batch % parts:
        near = max(parts, batch - batch % parts)
        raise UserError(
            f"trainer.batch_size={batch} can't be cut into {parts} equal parts"
            f" (trainer.accumulate={trainer['accumulate']} x trainer.processes={trainer['processes']}"
            f"{f' x model.pack={pack}' if pack > 1 else ''});"
            f" {near} or {near + parts} would do"
        )
    for side, size in (sizes or {}).items():
        if size < 1 or size % parts:
            raise UserError(
                f"model.batch_sizes has {size} for {side} pixels, which can't be cut into {parts} equal parts;"
                f" {max(parts, size - size % parts)} would do"
            )
    if trainer["device"].split(":")[0] not in ("auto", "cpu", "cuda", "mps"):
        raise UserError(f"trainer.device={trainer['device']!r} is unknown; use auto, cpu, cuda or mps")


def check_conditional(config: dict[str, Any]) -> None:
    """One switch says what is done with labels; how many classes there are follows from it and the data."""
    model = config["model"]
    if "conditional" not in model:
        return
    wanted = None if model["conditional"] == "none" else config["dataset"]["provides"].get("classes")
    if model.get("num_classes") != wanted:
        raise UserError(
            f"model.num_classes={model['num_classes']} follows from model.conditional={model['conditional']} and the"
            " data set; say model.conditional=projection or auxiliary for a model that is told the class"
        )
    if model.get("auxiliary_weight", 1.0) < 0:
        raise UserError(f"model.auxiliary_weight={model['auxiliary_weight']} must not be negative")


WIRED = re.compile(r"\$\{dataset\.(channels|source_channels|resolution)\}")


def check_wired(config: dict[str, Any]) -> None:
    """What a network's YAML takes from the data stays so: `channels` may be mistaken for the widths of layers."""
    file = config_folder() / "model" / f"{chosen(config, 'model')}.yaml"
    if not file.is_file():
        return  # a user's own
    for name, written in yaml.safe_load(file.read_text(encoding="utf-8")).items():
        node = config["model"].get(name)
        if not isinstance(written, dict) or not isinstance(node, dict) or name in ("brings", "requires"):
            continue
        for key, source in written.items():
            data = WIRED.search(str(source))
            if data is None:
                continue
            wanted = OmegaConf.create({**config, "wanted": source}).wanted
            if node.get(key) != wanted:
                widths = [k for k in node if any(part in k for part in ("width", "base", "units", "max"))]
                hint = f"; the widths of its layers follow from {', '.join(widths)}" if widths else ""
                raise UserError(
                    f"model.{name}.{key}={node.get(key)} must be {wanted}, which follows from the data"
                    f" (dataset.{data[1]}){hint if 'channels' in key else ''}"
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
    if loss.get("unroll_steps", 0) < 0:
        raise UserError(f"loss.unroll_steps={loss['unroll_steps']} must not be negative")
    if loss.get("clip") is not None and loss.get("unroll_steps", 0):
        raise UserError(
            f"loss={chosen(config, 'loss')} clips critic weights, and unrolling does not look through that;"
            " loss=wgan_gp fits"
        )
    if loss.get("clip") is not None and "equalized" in (config["model"].get("provides") or []):
        raise UserError(
            f"loss={chosen(config, 'loss')} clips critic weights to {loss['clip']}, and model={chosen(config, 'model')}"
            " scales its weights at run time, where that is next to nothing; loss=wgan_gp fits"
        )
    for key, node in [("loss.penalties", loss.get("penalties") or {}), ("penalty", added)]:
        for name, penalty in node.items():
            if penalty.get("every", 1) < 1:
                raise UserError(f"{key}.{name}.every={penalty['every']} must be at least 1")
            if penalty.get("weight", 0) < 0:
                raise UserError(f"{key}.{name}.weight={penalty['weight']} must not be negative")
            if penalty.get("final_weight") is not None and not penalty.get("ramp_images"):
                raise UserError(f"{key}.{name}.final_weight needs {key}.{name}.ramp_images, where it is reached")
    for name, node in added.items():
        check_needed(config, name, (node.get("requires") or {}).get("model") or [])
    for name in added:
        if name in (config["loss"].get("penalties") or {}):
            raise UserError(
                f"loss={chosen(config, 'loss')} brings the penalty {name} itself: leave out penalty={name},"
                f" and set loss.penalties.{name}.weight to change its weight"
            )


def check_needed(config: dict[str, Any], penalty: str, needed: list[str]) -> None:
    """What a penalty needs of the model: a part of it, or something that it provides."""
    model = config["model"]
    for name in needed:
        if name not in [key for key, value in model.items() if value is not None] + list(model.get("provides") or []):
            words = {"latent": "draws from latents", "styles": "has a mapping and a synthesis network"}
            raise UserError(
                f"penalty={penalty} needs a model that {words.get(name, f'has {name}')};"
                f" model={chosen(config, 'model')} does not"
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
    final = optimizer.get("final_beta2")
    if final is not None and (not isinstance(final, (int, float)) or not 0 <= final < 1):
        raise UserError(f"optimizer.final_beta2={final!r} must be a number from 0 to below 1")
    schedule = optimizer.get("schedule") or {}
    kind, begin, end = schedule.get("kind", "constant"), schedule.get("start_images", 0), schedule.get("end_images")
    if kind not in ("constant", "linear", "cosine"):
        raise UserError(f"optimizer.schedule.kind={kind!r} is unknown; use constant, linear or cosine")
    for key in ("start_images", "end_images", "final_factor", "warmup_images"):
        value = schedule.get(key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0):
            raise UserError(f"optimizer.schedule.{key}={value!r} is not a number from 0 up")
    if final is not None and kind == "constant":
        raise UserError("optimizer.final_beta2 follows the schedule: set optimizer.schedule.kind to linear or cosine")
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
    before, now = summary.get("networks"), model_facts(config)
    if before is None:  # no side file tells: loading will
        return
    for key in sorted({*before, *now}):
        if before.get(key) != now.get(key):
            raise UserError(
                f"init_from={config['init_from']!r} ({path.name}) is a checkpoint of another model:"
                f" {key} is {before.get(key)} there and {now.get(key)} here"
            )
