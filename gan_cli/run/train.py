"""A run, from a plain config to its folder. Read this file first; `gan.py` second, `update.py` third.

Nothing here knows Hydra: `train` takes a plain dict (what `gan-train --cfg job` prints, resolved)
and works from a notebook.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from gan_cli.base import checkpoint, distributed
from gan_cli.base.console import Console
from gan_cli.base.errors import Interrupted, PictureError, RunError
from gan_cli.base.leftovers import clear_run
from gan_cli.base.machine import StopSignals, determinism, pick_device, stop_signals, thread_count, versions
from gan_cli.base.printable import shown
from gan_cli.base.run_folder import Cell, digest_of, update_run
from gan_cli.base.settings import TrainerSettings, trainer_settings
from gan_cli.base.threads import Threads, choose
from gan_cli.base.types import State
from gan_cli.data.folder import cache_folder
from gan_cli.data.order import Batches
from gan_cli.evaluation.evaluator import Evaluator
from gan_cli.evaluation.setting import Plan
from gan_cli.game.build import build_data, build_game, build_medium, optimizer_factory, parameter_counts
from gan_cli.game.gan import GAN
from gan_cli.game.meter import Meter
from gan_cli.game.phase import Phase
from gan_cli.game.update import Updater, keeps_graph
from gan_cli.losses.perceptual import Features
from gan_cli.parts.ema import EMA
from gan_cli.run.closing import closing, standing_still
from gan_cli.run.jobs import Job, LogPoint, SampleGrid, SaveCheckpoint, Status
from gan_cli.run.log import Curves
from gan_cli.run.measure import Measure
from gan_cli.run.snapshot import check_same_run, restore, snapshot, start_from
from gan_cli.run.start import announce, describe_start
from gan_cli.use.preview import given


@dataclass
class Session:
    """Everything that a run has in hand."""

    gan: GAN
    phases: list[Phase]
    batches: Batches
    ema: EMA
    state: State
    update: Updater
    jobs: list[Job]
    total_images: int


def loop(session: Session, stop: StopSignals) -> None:
    """Train until the images are seen or a signal asks to stop; in the order things happen."""
    gan, state, batches = session.gan, session.state, session.batches
    while state.images < session.total_images and not any(job.enough for job in session.jobs):
        gan.set_progress(state.images)
        due = [phase for phase in session.phases if phase.due(state)]
        if not due:
            raise RunError(
                f"no phase is due at {state.images} images: the spans of the model's phases leave a gap there"
            )
        drawn, batch = batches.of_step(state, draws(due)), None
        for number, phase in enumerate(due):
            for repetition in range(phase.repeat):
                if batch is None or repetition:  # as `draws` says
                    batch = drawn.pop(0)
                    state.images += batch.total
                last = repetition == phase.repeat - 1
                session.update(phase, batch, state, keep=last and keeps_graph(gan, due, number))
        state.step += 1
        session.ema.update(state.images)
        for job in session.jobs:
            if job.due(state):
                job(state)
        if distributed.any_process(stop.signal):
            return


def draws(due: list[Phase]) -> list[int | None]:
    """The sizes of a step's batches: the first due phase draws for each of its repetitions, the others share its last
    batch and draw for further ones.
    """
    return [phase.batch_size for number, phase in enumerate(due) for _ in range(phase.repeat - (number > 0))]


def train(
    config: dict[str, Any],
    folder: Path,
    trust: Sequence[str] = (),
    threads: Threads | None = None,
    cell: Cell | None = None,
) -> dict[str, Any]:
    """Start the run of `folder`, or go on from its newest valid checkpoint; returns what run.json says.

    Args:
        config: the composed config, resolved to plain values.
        folder: the run's folder; made if need be.
        trust: packages whose classes the config may use besides the allow-list.
        threads: of the CPU, for each process; None: as the config says, or as torch has it.
        cell: which of a sweep's the run is; None for a run of its own.

    Raises:
        UserError: a part can't be built.
        DivergedError: NaN or infinity; the last good checkpoint stays.
        RunError: a picture can't be read any more; a checkpoint was written.
        Interrupted: SIGINT or SIGTERM came; a checkpoint was written.
    """
    settings = trainer_settings(config)
    distributed.join()
    device = pick_device(settings.device)
    threads = threads or choose(settings.threads, settings.processes)
    with stop_signals() as stop, thread_count(threads), determinism(settings.deterministic):
        console = Console(folder / "run.log" if distributed.rank() == 0 else None, cell)
        console.hold()
        session = distributed.all_or_none(lambda: prepare(config, settings, folder, device, console, trust, threads))
        try:
            for job in session.jobs:
                job.begin(session.state)
            loop(session, stop)
            return conclude(folder, session, stop, console)
        except PictureError as error:  # before a step or after it, never in its middle: what was learned is whole
            raise cut_short(folder, session, error) from error
        finally:
            for job in session.jobs:
                job.close()


def conclude(folder: Path, session: Session, stop: StopSignals, console: Console) -> dict[str, Any]:
    """The end of a run that saw all its images, or that a signal asked to stop."""
    state = session.state
    early = state.images < session.total_images and any(job.enough for job in session.jobs)
    if state.images < session.total_images and not early:
        for job in session.jobs:
            if isinstance(job, SaveCheckpoint):
                job(state)
        raise Interrupted(
            f"stopped at {state.images:,} of {session.total_images:,} images, checkpoint written;"
            f" go on with:  gan-train resume={shlex.quote(shown(folder))}",
            distributed.any_process(stop.signal),
        )
    for job in session.jobs:
        job.ending(state)
    for job in sorted(session.jobs, key=lambda job: job.place):
        job.finish(state)
    scores = {name: value for job in session.jobs if isinstance(job, Measure) for name, value in job.latest.items()}
    result = {"status": "finished", "images": state.images, **({"scores": scores} if scores else {})}
    if console.path is not None:
        update_run(folder, **result)  # last: what says so must be whole whenever a run is killed
        for line in closing(folder, session.phases, state.images, early):
            console(line, in_full=True)
    return result


def cut_short(folder: Path, session: Session, error: PictureError) -> RunError:
    """The end of a run whose data can't be read any more; keeps what it has learned. Every process must call it."""
    state, kept = session.state, "nothing was learned yet"
    if state.images:
        try:
            for job in session.jobs:
                if isinstance(job, SaveCheckpoint):
                    job(state)
            kept = "checkpoint written"
        except (OSError, RunError) as fault:  # the same disk is gone, or the run had diverged
            kept = f"no checkpoint could be written of that ({fault})"
    distributed.barrier()  # else the first process to leave would have the others stopped over it
    files, run = checkpoint.listed(folder), shlex.quote(shown(folder))
    newest = f"the last checkpoint is {shown(files[0])}" if files else "there is no checkpoint"
    without = f"; without it, a new run can start from these weights with init_from={run}" if files else ""
    return RunError(
        f"{error}; the run stopped at {state.images:,} of {session.total_images:,} images, {kept}, {newest}; put the"
        f" file back as it was and go on with  gan-train resume={run}{without}"
    )


def prepare(
    config: dict[str, Any],
    settings: TrainerSettings,
    folder: Path,
    device: torch.device,
    console: Console,
    trust: Sequence[str],
    threads: Threads,
) -> Session:
    """Build all parts; restore them where the folder has a checkpoint. Refuses before it writes anything."""
    data, medium = build_data(config, trust), build_medium(config, trust)
    data.to(device)
    gan = build_game(config, trust).to(device).train()
    load_features(gan)
    if device.type != "mps":
        gan.to(memory_format=torch.channels_last)  # the layout that convolutions are fastest in
    phases = gan.plan = gan.phases(optimizer_factory(config, trust))
    ema = EMA.of(gan.generators, settings)
    state, meter = State(seed=config["seed"]), Meter(device)
    update = Updater(gan, device, settings.accumulate, settings.precision, meter)
    batches = Batches(data, settings.batch_size, state.seed, device, distributed.rank(), distributed.world_size())
    checkpoint.check_not_lost(folder)
    restored = None
    if checkpoint.listed(folder):
        restored, stored = checkpoint.load(folder, console)
        check_same_run(restored, stored, config, data)
        restore(stored, gan, phases, ema, update, state, meter)
        console(f"going on from {restored}, {state.images:,} images")
        if still := standing_still(folder, phases, state.images, settings.total_images):
            console(still)
    elif config.get("init_from"):
        source = start_from(config["init_from"], gan, ema, data.class_names, console)
        console(f"weights from {source}", in_full=True)

    examples = given(gan, config, settings.preview_samples, state.seed, device, trust)
    evaluator = evaluator_of(config, settings, device, console, trust, gan) if config.get("metric") else None
    distributed.all_or_none(lambda: None)  # none has refused
    curves = opened(folder, console, state.images, unfinished=not meter.empty)
    if curves is not None:
        announce(folder, config, gan, phases, data, device, settings, state.images, console, threads)
        if state.images == 0:
            describe_start(curves, config, batches, medium, settings.preview_samples, console.cell)
    (folder / "samples").mkdir(exist_ok=True)
    log = LogPoint(settings.log_every_images, state.images, meter, curves, phases)
    samples = SampleGrid(settings, state, gan, ema, medium, curves, folder / "samples", examples)

    def content() -> dict[str, Any]:
        return snapshot(config, gan, phases, ema, update, state, meter, data)

    summary = side_file(config, gan)
    measures: list[Job] = []
    if evaluator is not None:
        measures.append(
            Measure(settings, state, folder, config, evaluator, gan, ema, content, summary, curves, console)
        )
    save = SaveCheckpoint(settings, state, folder, meter, content, summary, restored)
    status = Status(settings.status_every_s, state.images, settings.total_images, log, console)
    jobs = [log, samples, *measures, save, status]
    return Session(gan, phases, batches, ema, state, update, jobs, settings.total_images)


def opened(folder: Path, console: Console, images: int, unfinished: bool) -> Curves | None:
    """The first that a run changes in its folder: the console's lines, and the curves; None but in process 0."""
    if distributed.rank() > 0:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    clear_run(folder)
    console.release()
    return Curves(folder, images, unfinished)


def load_features(gan: GAN) -> None:
    """Read the weights of trained networks in which the game compares, now and not at the stage that needs them.

    Raises:
        UserError: they are not there.
    """
    for module in gan.modules():
        if isinstance(module, Features):
            module.load()


def evaluator_of(
    config: dict[str, Any],
    settings: TrainerSettings,
    device: torch.device,
    console: Console,
    trust: Sequence[str],
    gan: GAN,
) -> Evaluator:
    """What scores the run's model: `metric` in `features`; ready to, in process 0, which does it alone.

    Raises:
        UserError: weights or data that are not there; fewer pictures than a metric needs.
    """
    how = Plan(settings.evaluate_count, settings.evaluate_split)
    made = Evaluator(config, config["metric"], config.get("features"), how, device, cache_folder(), trust, console)
    if distributed.rank() == 0:
        made.ready(gan)
    return made


def side_file(config: dict[str, Any], gan: GAN) -> dict[str, Any]:
    """What a checkpoint's JSON says besides digest and progress; readable without torch."""
    return {
        "model": (config.get("choices") or {}).get("model"),
        "networks": checkpoint.model_facts(config),
        "parameters": parameter_counts(gan),
        "versions": versions(),
        "digest_of_config": digest_of(config),
    }
