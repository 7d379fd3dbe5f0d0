"""The start block of a run, and its first entries in run.json and TensorBoard."""

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
from gan_cli.base.allow_list import META_KEYS
from gan_cli.base.files import write_json
from gan_cli.base.machine import device_name, git_commit, pick_device, thread_count, versions
from gan_cli.base.printable import shown
from gan_cli.base.run_config import Composed, DataConfig, Node, RunConfig
from gan_cli.base.run_folder import Cell, digest_of
from gan_cli.base.settings import TrainerSettings
from gan_cli.base.stored import read_record
from gan_cli.base.threads import Threads, choose
from gan_cli.data.order import Data
from gan_cli.game.build import build_data, build_game, build_medium, optimizer_factory, parameter_counts
from gan_cli.game.game import Game
from gan_cli.game.phase import Phase
from gan_cli.layers.growth import Growth
from gan_cli.media.medium import Medium, arranged
from gan_cli.report.parameters import typed_keys
from gan_cli.run.log import Curves, Logbook
from gan_cli.run.session import Session

DECLARATIONS = ("recommends", *META_KEYS)  # keys that a part declares for the check


def announce(session: Session, logbook: Logbook, threads: Threads) -> None:
    """Print the start block on the console, and write `run.json`."""
    config, folder, console, images = session.config, logbook.folder, logbook.console, session.state.images
    for line in lines_of(start_block(session, folder, threads)):
        console(line, in_full=True)
    before, threads_now = read_record(folder) or {}, torch.get_num_threads()
    if images and session.device.type == "cpu" and before.get("threads") not in (None, threads_now):
        console(
            f"           its threads were {before['threads']} before: the last bits of sums may differ from here on"
        )
    write_json(
        folder / "run.json",
        {
            **before,
            "status": "running",
            "name": config.name,
            "notes": config.notes,
            "parts": dict(config.choices),
            "images": images,
            "total_images": config.trainer.total_images,
            "parameters": parameter_counts(session.game),
            "seconds": before.get("seconds") or 0.0,
            "error": None,
            "seed": config.seed,
            "init_from": config.init_from,
            "versions": versions(),
            "git_commit": git_commit(),
            "device": device_name(session.device),
            "threads": threads_now,
            "processes": distributed.world_size(),
            "started": before.get("started") or time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "digest_of_config": digest_of(config.plain),
        },
    )


def start_block(session: Session, folder: Path, threads: Threads) -> dict[str, str]:
    """Return the start block, which shows the result of all choices: a text for each topic."""
    return {
        **of_game(session.config, session.game, session.phases),
        "data": of_data(session.config.data, session.batches.data, session.medium),
        "run": of_run(session.device, session.config.trainer, threads),
        "folder": shown(folder),
    }


def lines_of(block: Mapping[str, str]) -> Iterator[str]:
    """Yield the lines of a start block: each topic with its text, whose further lines stand below the first."""
    for topic, text in block.items():
        for number, line in enumerate(text.splitlines()):
            yield f"{'' if number else topic:<10} {line}"


def common_block(configs: Sequence[Composed], workers: int = 1) -> dict[str, str]:
    """Return the topics of the start block that are equal for several runs, before any of them starts."""
    distinct = {json.dumps({**config, "seed": 0}): RunConfig.of(config, config["trust"]) for config in configs}
    first, *others = [block_before(config, workers) for config in distinct.values()]
    common = {topic: text for topic, text in first.items() if all(other.get(topic) == text for other in others)}
    run = common.pop("run", None)
    config, *rest = distinct.values()
    if all(other.data == config.data for other in rest):
        data, medium = build_data(config.data.undecoded(), config.trust), build_medium(config.data, config.trust)
        common["data"] = of_data(config.data, data, medium)
    return common if run is None else {**common, "run": run}


def block_before(config: RunConfig, workers: int) -> dict[str, str]:
    """Return the start block of a run that is not built, without its data.

    The game is built on the meta device, where it takes no memory. A game that trusts code from elsewhere is left out.
    """
    settings, block = config.trainer, {}
    if not config.trust:
        with suppress(NotImplementedError, RuntimeError), torch.device("meta"):  # a part that can't be built there
            game = build_game(config.game)
            block = of_game(config, game, game.phases(optimizer_factory(config.optimizer)))
    device, threads = pick_device(settings.device), choose(settings.threads, settings.processes, workers)
    with thread_count(threads):
        return {**block, "run": of_run(device, settings, threads)}


def of_game(config: RunConfig, game: Game, phases: list[Phase]) -> dict[str, str]:
    """Return the start block's texts on networks, losses and optimizers."""
    shown_once = list({phase.curve: phase for phase in phases}.values())  # levels of growing networks share a curve
    rates = ", ".join(f"{p.curve} {p.optimizer.defaults['lr']:g}" for p in shown_once if not p.regularizes)
    options = {k: v for k, v in config.optimizer.items() if k in ("betas", "momentum", "weight_decay", "alpha") and v}
    penalties = {**game.loss.penalties, **game.penalties}
    terms = [config.chosen("loss", config.game.loss), *(f"{name} {p.weight:g}" for name, p in penalties.items())]
    sizes = ", ".join(f"{name} {count:,}" for name, count in parameter_counts(game).items())
    steps = " + ".join(f"{p.repeat} {p.curve}" + (f" every {p.every}" if p.every > 1 else "") for p in shown_once)
    return {
        "model": f"{config.chosen('model', config.game.model)}   {sizes} parameters" + _training_options(config),
        **_levels(config.game.model, config.trainer.total_images),
        "loss": " + ".join(terms) + f"   updates a step: {steps}",
        "optimizer": f"{config.chosen('optimizer', config.optimizer)}   {rates}"
        + "".join(f"   {key} {value}" for key, value in options.items())
        + _schedule(config.optimizer.get("schedule") or {})
        + _ignored_settings(config),
    }


def of_data(config: DataConfig, data: Data, medium: Medium) -> str:
    note, *remarks = data.note.splitlines() or [""]  # remarks are lines of their own
    about = f"{len(data):,} samples" + (f", {len(data.class_names)} classes" if data.class_names else "")
    text = f"{config.name}   {about}, {medium.size(config.node)}" + (f" ({note})" if note else "")
    return "\n".join([text, *remarks])


def of_run(device: torch.device, settings: TrainerSettings, threads: Threads) -> str:
    described = distributed.world_described()
    processes = described if described > 1 else settings.processes
    text = f"{settings.total_images:,} images, batch {settings.batch_size}, {settings.precision}, {device_name(device)}"
    if device.type == "cpu":
        text += (" each" if processes > 1 else "") + (f" ({threads.why})" if threads.why else "")
    return text + (f", {processes} processes" if processes > 1 else "")


def describe_start(session: Session, curves: Curves, cell: Cell | None = None) -> None:
    """Write the config, the hyper-parameters and a grid of reals to TensorBoard, once at the start."""
    config, batches = session.config, session.batches
    axes = None if cell is None else cell.axes
    curves.describe(config.plain, readable(config.plain), typed_keys(curves.lines.parent), axes)
    data = batches.data
    reals = data.fetch(batches.order.indices(0, min(config.trainer.preview_samples, len(data))), batches.device)
    rows = {name: value for name, value in reals.items() if name not in ("label", "mask")}
    curves.picture("training_data", session.medium.rows(rows, *arranged(rows)), 0)


def readable(config: Mapping[str, Any]) -> str:
    """Format the config as a person wrote it: YAML, without the keys that its parts declare for the check."""
    return yaml.safe_dump(_undeclared(config), sort_keys=False, default_flow_style=None, width=100)


def _undeclared(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    return {key: _undeclared(value) for key, value in node.items() if key not in DECLARATIONS}


def _training_options(config: RunConfig) -> str:
    """Format the further choices of training: critic norm, conditional, pack, unrolled steps, augmentation."""
    model, augment = config.game.model, config.choices.get("augment", "none")
    norm = model.get("discriminator", {}).get("norm")
    words = [f"critic norm {norm}"] if norm else []
    words += [f"conditional {model['conditional']}"] if model.get("conditional", "none") != "none" else []
    words += [f"pack {model['pack']}"] if model.get("pack", 1) > 1 else []
    words += [f"unrolled {steps} steps"] if (steps := config.game.loss.get("unroll_steps")) else []
    words += [f"augment {augment}"] if augment != "none" else []
    return "".join(f", {word}" for word in words)


def _levels(model: Node, total: int) -> dict[str, str]:
    """Format when the levels of a growing network come, and whether the run reaches the last one."""
    growth = {key: value for key, value in (model.get("growth") or {}).items() if key != "_target_"}
    if not growth:
        return {}
    plan = Growth(**growth)
    sides = ", ".join(f"{4 << level} from {plan.span(level)[0]:,}" for level in plan.levels)
    last = plan.span(plan.levels[-1])[0] + (plan.fade_images if len(plan.levels) > 1 else 0)
    short = f"; NOT REACHED: the last is faded in at {last:,}, the run ends at {total:,}" if total < last else ""
    return {"levels": f"{sides} images{short}"}


def _ignored_settings(config: RunConfig) -> str:
    """Format the settings that a model or loss brings to the optimizer and that the chosen one does not have."""
    text = ""
    for group, node in (("model", config.game.model), ("loss", config.game.loss)):
        brought = (node.get("brings") or {}).get("optimizer") or {}
        lacking = [key for key in brought if key not in config.optimizer]
        text += f"   without {', '.join(lacking)} of {group}={config.chosen(group, node)}" if lacking else ""
    return text


def _schedule(schedule: Node) -> str:
    text = ""
    if schedule.get("kind", "constant") != "constant":
        text += f"   {schedule['kind']} from {schedule['start_images']:,} to {schedule['end_images']:,} images"
    if schedule.get("warmup_images"):
        text += f"   warm-up {schedule['warmup_images']:,} images"
    return text
