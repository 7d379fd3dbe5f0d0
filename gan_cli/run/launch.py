"""The start of a run in one process or in several, and its end as a status and a sentence."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple
from pathlib import Path
from typing import Any

from gan_cli.base import checkpoint
from gan_cli.base.errors import Interrupted, RunError, UserError
from gan_cli.base.files import read_json, write_atomically, write_json
from gan_cli.base.leftovers import clear_cache
from gan_cli.base.printable import any_console
from gan_cli.base.progress import loading_torch
from gan_cli.base.records import Record
from gan_cli.base.run_config import Composed
from gan_cli.base.run_folder import CONFIG, Cell, Spent, locked, update_run
from gan_cli.base.settings import trainer_settings
from gan_cli.base.stored import read_record
from gan_cli.base.threads import Threads, choose
from gan_cli.data.folder import cache_folder
from gan_cli.run.failures import explain, last_checkpoint


def launch(
    config: Composed,
    folder: Path,
    trust: Sequence[str] = (),
    first: Callable[[], None] | None = None,
    cell: Cell | None = None,
) -> Record:
    """Carry out the run of `folder` (see `train.train`), and record its end in run.json whatever happens.

    Args:
        config: plain and complete; kept in the folder as config.json.
        first: called once the folder's lock is held, before anything is written.
        cell: the sweep's cell that the run is, if any.

    Raises:
        UserError, RunError, DivergedError, Interrupted: each with the sentence to show.
    """
    with locked(folder, "the run folder"):
        checkpoint.check_not_lost(folder)
        clear_cache(cache_folder())
        spent, record = Spent(folder), file_stamp(folder / "run.json")
        before = {name: content_of(folder / name) for name in CONFIGS}
        try:
            if first is not None:
                first()
            if read_json(folder / CONFIG) != config:
                write_json(folder / CONFIG, config)
            threads = threads_of(config, folder, cell.workers if cell else 1)
            result = run_processes(config, folder, trust, threads, cell)
        except (Exception, KeyboardInterrupt) as error:
            failure = error if isinstance(error, KeyboardInterrupt) else explain(error, folder)
            if record is not None and file_stamp(folder / "run.json") == record:  # `start.announce` did not write it
                restore_configs(folder, before)
            elif not isinstance(failure, KeyboardInterrupt):
                record_failure(folder, spent, failure)
            if failure is error:
                raise
            raise failure from error
        record_end(folder, spent, error=None)
        return result


CONFIGS = (CONFIG, ".hydra/config.yaml")


def content_of(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def file_stamp(path: Path) -> tuple[int, int] | None:
    """Return a file's inode and the time of its last change, or None where there is no file."""
    if not path.is_file():
        return None
    status = path.stat()
    return status.st_ino, status.st_mtime_ns


def restore_configs(folder: Path, before: dict[str, bytes | None]) -> None:
    """Restore the config files of a run that failed before it went on."""
    for name, content in before.items():
        if content is None:
            (folder / name).unlink(missing_ok=True)
        elif content_of(folder / name) != content:
            write_atomically(folder / name, content)


def record_failure(folder: Path, spent: Spent, failure: BaseException) -> None:
    """Record in run.json that a run was stopped, or why it failed."""
    if isinstance(failure, Interrupted):
        record_end(folder, spent, status="interrupted")
    else:
        record_end(folder, spent, status=getattr(failure, "status", "failed"), error=str(failure))


def record_end(folder: Path, spent: Spent, **values: Any) -> None:
    """Record in run.json how this part of a run ended."""
    try:
        update_run(folder, seconds=spent.seconds(), **values)
    except OSError as error:  # such as a full disk: the error that ends the run matters more
        print(f"run.json could not be written: {error}", file=sys.stderr, flush=True)


def threads_of(config: Composed, folder: Path, workers: int = 1) -> Threads:
    """Choose the number of CPU threads for each process of a run.

    A run that goes on from a checkpoint takes as many as it had. Another number would round sums in another order, and
    change the last bits.
    """
    settings, record = trainer_settings(config["trainer"]), read_record(folder) or {}
    processes = max(settings.processes, int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    goes_on = (record.get("processes") or 1) == processes and checkpoint.listed(folder)
    before = record.get("threads") if goes_on else None
    return choose(settings.threads, processes, workers, before)


def run_processes(config: Composed, folder: Path, trust: Sequence[str], threads: Threads, cell: Cell | None) -> Record:
    with loading_torch():
        from gan_cli.base import distributed
        from gan_cli.run.train import train

    settings = trainer_settings(config["trainer"])
    if distributed.world_described() > 1:
        return lead(config, folder, trust, threads, cell)
    if settings.processes == 1:
        return train(config, folder, trust, threads, cell)
    return _elastic(config, folder, trust, threads, cell)


def lead(config: Composed, folder: Path, trust: Sequence[str], threads: Threads, cell: Cell | None = None) -> Record:
    """Train as process 0 under torchrun, which alone has read the command line, and tell the others what to train.

    Raises:
        UserError: the batch can't be shared out.
        RunError: the others are gone, since an earlier run failed here alone.
    """
    from gan_cli.base import distributed
    from gan_cli.run.train import train

    parts = distributed.world_described() * config["trainer"]["accumulate"]
    if config["trainer"]["batch_size"] % parts:
        raise UserError(f"trainer.batch_size={config['trainer']['batch_size']} can't be cut into {parts} equal parts")
    distributed.join()
    distributed.broadcast_text(json.dumps([config, str(folder), list(trust), astuple(threads)]))
    try:
        return train(config, folder, trust, threads, cell)
    except BaseException as error:
        if not distributed.agreed(error):
            distributed.leave()  # the others may be in the middle of another exchange: that ends it
        raise


def follow() -> int:
    """Train as another process under torchrun what process 0 trains, until it says that it is done.

    Returns:
        the exit code: 1 where another process is gone. That process, or torch's agent, reports why.
    """
    from gan_cli.base import distributed
    from gan_cli.run.train import train

    distributed.join()
    try:
        while text := distributed.broadcast_text(""):
            config, folder, trust, threads = json.loads(text)
            try:
                train(config, Path(folder), trust, Threads(*threads))
            except Exception as error:
                if not distributed.agreed(error):
                    raise
                continue  # process 0 meets the same error, and reports it
    except RuntimeError as error:
        if not distributed.peer_lost(error):
            raise
        return 1
    finally:  # gloo's threads, still running when Python ends, would now and then abort the process
        distributed.leave()
    return 0


@contextmanager
def leading() -> Iterator[None]:
    """Wrap the work of process 0 under torchrun, and tell the others at the end that there is nothing more to do.

    This holds where all of them fail together, too. Where process 0 failed alone, `lead` has left the group.
    """
    from gan_cli.base import distributed

    try:
        yield
        if not distributed.has_left():
            distributed.join()  # nothing to train, say a sweep that is finished already: they wait all the same
    finally:
        if distributed.joined():
            distributed.broadcast_text("")
        distributed.leave()


def _elastic(config: Composed, folder: Path, trust: Sequence[str], threads: Threads, cell: Cell | None) -> Record:
    """Train in workers of torch's elastic agent, which runs here. They get a plain dict, and no command line."""
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    settings = trainer_settings(config["trainer"])
    for name in list(logging.root.manager.loggerDict):  # its log lines become one sentence of ours
        if name.startswith(("torch.distributed.elastic", "torch.multiprocessing")):
            logging.getLogger(name).setLevel(logging.CRITICAL)
    # each attempt gets a store of its own, hosted by process 0: a shared one would keep the dead attempt's addresses
    os.environ["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"
    plan = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=settings.processes,
        run_id=f"gan_cli-{os.getpid()}",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=settings.max_restarts,
        monitor_interval=0.2,
        start_method="spawn",
    )
    for old in folder.glob(".end-*.json"):
        old.unlink()
    try:
        results = elastic_launch(plan, worker)(config, str(folder), list(trust), threads, cell)
    except ChildFailedError as error:
        raise failure_of(error, folder) from error
    except SignalException as error:
        stopped = _error_of_workers(folder)
        raise stopped or Interrupted("stopped before a checkpoint could be written", int(error.sigval)) from error
    return results[0]


def worker(config: Composed, folder: str, trust: Sequence[str], threads: Threads, cell: Cell | None = None) -> Record:
    """Train as one process of several. Write an error into a file, for want of another way to pass its message on."""
    from gan_cli.base import distributed
    from gan_cli.run.train import train

    any_console()
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    try:
        return train(config, Path(folder), trust, threads, cell)
    except Exception as error:
        failure = explain(error, Path(folder))
        number = getattr(failure, "exit_code", 1) - 128 if isinstance(failure, Interrupted) else 0
        note = {"kind": type(failure).__name__, "message": str(failure), "signal": number}
        (Path(folder) / f".end-{os.environ.get('RANK', '0')}.json").write_text(json.dumps(note), encoding="utf-8")
        raise
    finally:
        distributed.leave()


def _error_of_workers(folder: Path) -> Exception | None:
    """Return the error that workers left in files, or None.

    An error of this package comes before the complaint of a worker whose neighbour was gone.
    """
    from gan_cli.base import errors

    notes = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob(".end-*.json"))]
    for path in folder.glob(".end-*.json"):
        path.unlink()
    known = [note for note in notes if hasattr(errors, note["kind"])]
    if not notes:
        return None
    note = (known or notes)[0]
    if note["kind"] == "Interrupted":
        return Interrupted(note["message"], note["signal"])
    return getattr(errors, note["kind"], RunError)(note["message"])


def failure_of(error: Any, folder: Path) -> Exception:
    """Return the error of a run of several processes in which a worker failed.

    A worker that left no note has died. Its death is the cause, and the notes of the others are consequences.
    """
    noted_ranks = {int(path.stem.rpartition("-")[2]) for path in folder.glob(".end-*.json")}
    worker_error = _error_of_workers(folder)
    dead = [(rank, fault.exitcode) for rank, fault in sorted(error.failures.items()) if rank not in noted_ranks]
    dead = [(rank, code) for rank, code in dead if code != -signal.SIGTERM]  # stopped by the agent itself
    if not dead and worker_error is not None:
        return worker_error
    rank, code = dead[0] if dead else (0, 1)
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    return RunError(f"process {rank} of the run died ({how}) and the others were stopped; {last_checkpoint(folder)}")
