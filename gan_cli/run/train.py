"""A run, from its config to its folder. Read this file first; `game/game.py` second, `game/update.py` third.

Nothing here knows Hydra: `train` takes a plain dict (what `gan-train --cfg job` prints, resolved)
and works from a notebook.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import torch

from gan_cli.base import checkpoint, distributed
from gan_cli.base.console import Console
from gan_cli.base.errors import Interrupted, PictureError, RunError
from gan_cli.base.leftovers import clear_run
from gan_cli.base.machine import StopSignals, determinism, pick_device, stop_signals, thread_count
from gan_cli.base.printable import shown
from gan_cli.base.records import Record
from gan_cli.base.run_config import Composed, RunConfig
from gan_cli.base.run_folder import Cell, update_run
from gan_cli.base.threads import Threads, choose
from gan_cli.data.folder import cache_folder
from gan_cli.evaluation.evaluator import Evaluator
from gan_cli.evaluation.setting import Plan
from gan_cli.run.closing import closing, standing_still
from gan_cli.run.jobs import Job, LogPoint, SampleGrid, SaveCheckpoint, Status
from gan_cli.run.kept_base import check_same_base, with_base, write_base
from gan_cli.run.log import Curves, Logbook
from gan_cli.run.measure import Measure
from gan_cli.run.resumed import check_same_run, start_from
from gan_cli.run.session import Session
from gan_cli.run.start import announce, describe_start


def train(
    config: Composed,
    folder: Path,
    trust: Sequence[str] = (),
    threads: Threads | None = None,
    cell: Cell | None = None,
) -> Record:
    """Start the run of `folder`, or go on from its newest valid checkpoint; return what run.json records of its end.

    Args:
        config: the composed config, resolved to plain values.
        folder: the run's folder; made if need be.
        trust: packages whose classes the config may use besides the allow-list.
        threads: of the CPU, for each process; None: as the config says, or as torch has it.
        cell: the sweep's cell that the run is; None for a single run.

    Raises:
        UserError: a part can't be built.
        DivergedError: NaN or infinity; the last good checkpoint stays.
        RunError: a picture can't be read any more; a checkpoint was written.
        Interrupted: SIGINT or SIGTERM came; a checkpoint was written.
    """
    typed = RunConfig.of(config, trust)
    settings = typed.trainer
    distributed.join()
    device = pick_device(settings.device)
    threads = threads or choose(settings.threads, settings.processes)
    with stop_signals() as stop, thread_count(threads), determinism(settings.deterministic):
        console = Console(folder / "run.log" if distributed.rank() == 0 else None, cell)
        console.hold()
        session, logbook, jobs = distributed.all_or_none(lambda: prepare(typed, device, folder, console, threads))
        try:
            for job in jobs:
                job.begin()
            loop(session, jobs, stop)
            return conclude(session, logbook, jobs, stop)
        except PictureError as error:  # before a step or after it, never in its middle: what was learned is whole
            raise cut_short(session, logbook, jobs, error) from error
        finally:
            for job in jobs:
                job.close()


def loop(session: Session, jobs: Sequence[Job], stop: StopSignals) -> None:
    """Train until the images are seen, a job has had enough, or a signal asks to stop."""
    while session.state.images < session.config.trainer.total_images and not any(job.enough for job in jobs):
        session.step()
        for job in jobs:
            if job.due():
                job()
        if distributed.any_process(stop.signal):
            return


def prepare(
    config: RunConfig, device: torch.device, folder: Path, console: Console, threads: Threads
) -> tuple[Session, Logbook, list[Job]]:
    """Build all parts, restore what the folder has, make the jobs. Refuse, if at all, before anything is written."""
    config, base = with_base(config, folder, device, console)
    session = Session.build(config, device, distributed.rank(), distributed.world_size())
    restored = restore(session, folder, console)
    evaluator = make_evaluator(session, console) if session.config.metrics else None
    examples = session.examples(session.config.trainer.preview_samples)
    distributed.all_or_none(lambda: None)  # waits until no process has refused
    state = session.state
    logbook = Logbook(folder, console, open_curves(folder, console, state.images, unfinished=not session.meter.empty))
    if logbook.curves is not None:
        write_base(folder, base)
        announce(session, logbook, threads)
        if state.images == 0:
            describe_start(session, logbook.curves, console.cell)
    (folder / "samples").mkdir(exist_ok=True)
    log = LogPoint(session, logbook)
    measures: list[Job] = [] if evaluator is None else [Measure(session, logbook, evaluator)]
    save = SaveCheckpoint(session, logbook, restored)
    grid, status = SampleGrid(session, logbook, examples), Status(session, logbook, log)
    return session, logbook, [log, grid, *measures, save, status]


def restore(session: Session, folder: Path, console: Console) -> Path | None:
    """Load the folder's newest valid checkpoint and return its path, or load the weights that `init_from` names."""
    checkpoint.check_not_lost(folder)
    data = session.batches.data
    if checkpoint.listed(folder):
        restored, content = checkpoint.load(folder, console)
        check_same_run(restored, content, session.config.plain, data)
        check_same_base(restored, content.get("base"), session.config)
        session.load_state_dict(content)
        console(f"going on from {restored}, {session.state.images:,} images")
        if warning := standing_still(folder, session):
            console(warning)
        return restored
    if session.config.init_from:
        source = start_from(session.config.init_from, session.game, session.ema, data.class_names, console)
        console(f"weights from {source}", in_full=True)
    return None


def conclude(session: Session, logbook: Logbook, jobs: Sequence[Job], stop: StopSignals) -> Record:
    """Finish a run that saw all its images, or that patience or a signal ended.

    Raises:
        Interrupted: a signal asked to stop; a checkpoint was written.
    """
    state, folder, total = session.state, logbook.folder, session.config.trainer.total_images
    early = state.images < total and any(job.enough for job in jobs)
    if state.images < total and not early:
        for job in jobs:
            if isinstance(job, SaveCheckpoint):
                job()
        raise Interrupted(
            f"stopped at {state.images:,} of {total:,} images, checkpoint written;"
            f" go on with:  gan-train resume={shlex.quote(shown(folder))}",
            distributed.any_process(stop.signal),
        )
    for job in jobs:
        job.ending()
    for job in sorted(jobs, key=lambda job: job.place):
        job.finish()
    scores = {name: value for job in jobs if isinstance(job, Measure) for name, value in job.latest.items()}
    result: Record = {"status": "finished", "images": state.images, **({"scores": scores} if scores else {})}
    if logbook.console.path is not None:
        update_run(folder, **result)  # last: a run that says `finished` must be complete, even if killed here
        for line in closing(folder, session, early):
            logbook.console(line, in_full=True)
    return result


def cut_short(session: Session, logbook: Logbook, jobs: Sequence[Job], error: PictureError) -> RunError:
    """Save a run whose data can't be read any more, and return the error that ends it. Every process must call it."""
    state, folder, outcome = session.state, logbook.folder, "nothing was learned yet"
    if state.images:
        try:
            for job in jobs:
                if isinstance(job, SaveCheckpoint):
                    job()
            outcome = "checkpoint written"
        except (OSError, RunError) as fault:  # the same disk is gone, or the run had diverged
            outcome = f"no checkpoint could be written of that ({fault})"
    distributed.barrier()  # else the first process to leave would have the others stopped over it
    files, run = checkpoint.listed(folder), shlex.quote(shown(folder))
    newest = f"the last checkpoint is {shown(files[0])}" if files else "there is no checkpoint"
    without = f"; without it, a new run can start from these weights with init_from={run}" if files else ""
    return RunError(
        f"{error}; the run stopped at {state.images:,} of {session.config.trainer.total_images:,} images, {outcome},"
        f" {newest}; put the file back as it was and go on with  gan-train resume={run}{without}"
    )


def open_curves(folder: Path, console: Console, images: int, unfinished: bool) -> Curves | None:
    """Open the console's log and the curves, the first that a run changes in its folder.

    Returns:
        the curves; None but in process 0.
    """
    if distributed.rank() > 0:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    clear_run(folder)
    console.release()
    return Curves(folder, images, unfinished)


def make_evaluator(session: Session, console: Console) -> Evaluator:
    """Make the evaluator of the run's `metric` and `features`, and prepare it in process 0, which alone scores.

    Raises:
        UserError: weights or data are missing, or there are fewer pictures than a metric needs.
    """
    config, settings = session.config, session.config.trainer
    plan = Plan(settings.evaluate_count, settings.evaluate_split)
    evaluator = Evaluator(
        *(config.data, config.metrics, config.features, plan, session.device, cache_folder(), config.trust, console)
    )
    if distributed.rank() == 0:
        evaluator.ready(session.game)
    return evaluator
