"""What a run says of itself when it starts."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
import yaml

from gan_cli.base import distributed
from gan_cli.base.console import Console
from gan_cli.base.files import write_json
from gan_cli.base.machine import device_name, git_commit, pick_device, thread_count, versions
from gan_cli.base.printable import shown
from gan_cli.base.run_folder import Cell, digest_of
from gan_cli.base.settings import TrainerSettings, trainer_settings
from gan_cli.base.stored import read_record
from gan_cli.base.threads import Threads, choose
from gan_cli.data.node import undecoded
from gan_cli.data.order import Batches, Data
from gan_cli.game.build import build_data, build_game, optimizer_factory, parameter_counts
from gan_cli.game.gan import GAN
from gan_cli.game.phase import Phase
from gan_cli.layers.growth import Growth
from gan_cli.media.medium import Medium
from gan_cli.report.parameters import typed_keys
from gan_cli.run.log import Curves

DECLARATIONS = ("requires", "provides", "recommends", "brings")  # what a part says of itself, for the check


def announce(
    folder: Path,
    config: dict[str, Any],
    gan: GAN,
    phases: list[Phase],
    data: Data,
    device: torch.device,
    settings: TrainerSettings,
    images: int,
    console: Console,
    threads: Threads,
) -> None:
    """The start block on the console, and `run.json`; `images` were seen when it starts."""
    counts = parameter_counts(gan)
    choices = config.get("choices") or {}
    for line in lines_of(start_block(folder, config, gan, phases, data, device, settings, threads)):
        console(line, in_full=True)
    before, now = read_record(folder) or {}, torch.get_num_threads()
    if images and device.type == "cpu" and before.get("threads") not in (None, now):
        console(
            f"           its threads were {before['threads']} before: the last bits of sums may differ from here on"
        )
    write_json(
        folder / "run.json",
        {
            **before,
            "status": "running",
            "name": config.get("name"),
            "notes": config.get("notes"),
            "parts": choices,
            "images": images,
            "total_images": settings.total_images,
            "parameters": counts,
            "seconds": before.get("seconds") or 0.0,
            "error": None,
            "seed": config["seed"],
            "init_from": config.get("init_from"),
            "versions": versions(),
            "git_commit": git_commit(),
            "device": device_name(device),
            "threads": now,
            "processes": distributed.world_size(),
            "started": before.get("started") or time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "digest_of_config": digest_of(config),
        },
    )


def start_block(
    folder: Path,
    config: dict[str, Any],
    gan: GAN,
    phases: list[Phase],
    data: Data,
    device: torch.device,
    settings: TrainerSettings,
    threads: Threads,
) -> dict[str, str]:
    """What came out of all choices, a line for each topic."""
    return {
        **of_game(config, gan, phases, settings),
        "data": of_data(config, data),
        "run": of_run(device, settings, threads),
        "folder": shown(folder),
    }


def lines_of(block: Mapping[str, str]) -> Iterator[str]:
    """Each topic with its text, whose further lines stand below the first."""
    for topic, text in block.items():
        for number, line in enumerate(text.splitlines()):
            yield f"{'' if number else topic:<10} {line}"


def common_block(configs: Sequence[dict[str, Any]], workers: int = 1) -> dict[str, str]:
    """Those lines of the start block that are equal for several runs, before any of them starts."""
    unlike = {json.dumps({**config, "seed": 0}): config for config in configs}
    first, *others = [block_before(config, workers) for config in unlike.values()]
    found = {topic: text for topic, text in first.items() if all(other.get(topic) == text for other in others)}
    run = found.pop("run", None)
    if all(config["dataset"] == configs[0]["dataset"] for config in configs):
        config = {**configs[0], "dataset": undecoded(configs[0]["dataset"])}
        found["data"] = of_data(config, build_data(config, config["trust"]))
    return found if run is None else {**found, "run": run}


def block_before(config: dict[str, Any], workers: int) -> dict[str, str]:
    """The start block of a run that is not built, but for its data.

    Its game is built where it takes no memory; one that trusts code from elsewhere is not looked at.
    """
    settings, block = trainer_settings(config), {}
    if not config.get("trust"):
        with suppress(NotImplementedError, RuntimeError), torch.device("meta"):  # a part that can't be built there
            gan = build_game(config)
            block = of_game(config, gan, gan.phases(optimizer_factory(config)), settings)
    device, threads = pick_device(settings.device), choose(settings.threads, settings.processes, workers)
    with thread_count(threads):
        return {**block, "run": of_run(device, settings, threads)}


def of_game(config: dict[str, Any], gan: GAN, phases: list[Phase], settings: TrainerSettings) -> dict[str, str]:
    """The start block's lines on networks, losses and optimizers."""
    choices = config.get("choices") or {}
    shown_once = list({phase.curve: phase for phase in phases}.values())  # levels of growing networks share a curve
    rates = ", ".join(f"{p.curve} {p.optimizer.defaults['lr']:g}" for p in shown_once if not p.regularizes)
    options = {
        k: v for k, v in config["optimizer"].items() if k in ("betas", "momentum", "weight_decay", "alpha") and v
    }
    terms = [
        choices.get("loss", config["loss"]["_target_"]),
        *(f"{name} {p.weight:g}" for name, p in _penalties(gan).items()),
    ]
    sizes = ", ".join(f"{name} {count:,}" for name, count in parameter_counts(gan).items())
    steps = " + ".join(f"{p.repeat} {p.curve}" + (f" every {p.every}" if p.every > 1 else "") for p in shown_once)
    return {
        "model": f"{choices.get('model', config['model']['_target_'])}   {sizes} parameters"
        + _norm(config)
        + _ways(config),
        **_levels(config, settings.total_images),
        "loss": " + ".join(terms) + f"   updates a step: {steps}",
        "optimizer": f"{choices.get('optimizer', config['optimizer']['_target_'])}   {rates}"
        + "".join(f"   {key} {value}" for key, value in options.items())
        + _schedule(config["optimizer"].get("schedule") or {}),
    }


def of_data(config: dict[str, Any], data: Data) -> str:
    name = (config.get("choices") or {}).get("dataset", config["dataset"]["_target_"])
    note, *remarks = data.note.splitlines() or [""]  # remarks are lines of their own
    about = f"{len(data):,} samples" + (f", {len(data.class_names)} classes" if data.class_names else "")
    text = f"{name}   {about}, {_size(config)}" + (f" ({note})" if note else "")
    return "\n".join([text, *remarks])


def of_run(device: torch.device, settings: TrainerSettings, threads: Threads) -> str:
    described = distributed.world_described()
    processes = described if described > 1 else settings.processes
    text = f"{settings.total_images:,} images, batch {settings.batch_size}, {settings.precision}, {device_name(device)}"
    if device.type == "cpu":
        text += (" each" if processes > 1 else "") + (f" ({threads.why})" if threads.why else "")
    return text + (f", {processes} processes" if processes > 1 else "")


def describe_start(
    curves: Curves, config: dict[str, Any], batches: Batches, medium: Medium, samples: int, cell: Cell | None = None
) -> None:
    """Once, for TensorBoard: the config, the hyper-parameters, a grid of reals."""
    axes = None if cell is None else cell.axes
    curves.describe(config, readable(config), typed_keys(curves.lines.parent), axes)
    data = batches.data
    count = min(samples, len(data))
    reals = data.fetch(batches.order.indices(0, count), batches.device)
    rows = {name: value for name, value in reals.items() if name not in ("label", "mask")}
    curves.picture("training_data", medium.rows(rows, min(count, 8) if len(rows) > 1 else max(1, round(count**0.5))), 0)


def readable(config: dict[str, Any]) -> str:
    """The config as a person wrote it: YAML, without what its parts declare of themselves."""
    return yaml.safe_dump(_undeclared(config), sort_keys=False, default_flow_style=None, width=100)


def _undeclared(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    return {key: _undeclared(value) for key, value in node.items() if key not in DECLARATIONS}


def _penalties(gan: GAN) -> dict[str, Any]:
    return {**gan.loss.penalties, **gan.penalties}


def _norm(config: dict[str, Any]) -> str:
    norm = config["model"].get("discriminator", {}).get("norm")
    return f", critic norm {norm}" if norm else ""


def _ways(config: dict[str, Any]) -> str:
    """What else was chosen of how the model is trained."""
    model, augment = config["model"], (config.get("choices") or {}).get("augment", "none")
    words = [f"conditional {model['conditional']}"] if model.get("conditional", "none") != "none" else []
    words += [f"pack {model['pack']}"] if model.get("pack", 1) > 1 else []
    words += [f"unrolled {config['loss']['unroll_steps']} steps"] if config["loss"].get("unroll_steps") else []
    words += [f"augment {augment}"] if augment != "none" else []
    return "".join(f", {word}" for word in words)


def _levels(config: dict[str, Any], total: int) -> dict[str, str]:
    """When the levels of a growing network come, and whether the run reaches the last one."""
    growth = {key: value for key, value in (config["model"].get("growth") or {}).items() if key != "_target_"}
    if not growth:
        return {}
    plan = Growth(**growth)
    sides = ", ".join(f"{4 << level} from {plan.span(level)[0]:,}" for level in plan.levels)
    last = plan.span(plan.levels[-1])[0] + (plan.fade_images if len(plan.levels) > 1 else 0)
    short = f"; NOT REACHED: the last is faded in at {last:,}, the run ends at {total:,}" if total < last else ""
    return {"levels": f"{sides} images{short}"}


def _schedule(schedule: dict[str, Any]) -> str:
    text = ""
    if schedule.get("kind", "constant") != "constant":
        text += f"   {schedule['kind']} from {schedule['start_images']:,} to {schedule['end_images']:,} images"
    if schedule.get("warmup_images"):
        text += f"   warm-up {schedule['warmup_images']:,} images"
    return text


def _size(config: dict[str, Any]) -> str:
    dataset = config["dataset"]
    if dataset.get("resolution"):
        return f"{dataset['resolution']}x{dataset['resolution']}x{dataset['channels']}"
    return "points in the plane"
