"""Starting a run in one process or in several, and turning its end into a status and a sentence."""

from __future__ import annotations

import errno
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gan_cli import checkpoint
from gan_cli.data.folder import cache_folder
from gan_cli.errors import Interrupted, RunError, UserError
from gan_cli.files import write_atomically, write_json
from gan_cli.leftovers import clear_cache, clear_run
from gan_cli.printable import any_console
from gan_cli.run_folder import CONFIG, Spent, locked, update_run
from gan_cli.settings import trainer_settings


def launch(
    config: dict[str, Any], folder: Path, trust: Sequence[str] = (), first: Callable[[], None] | None = None
) -> dict[str, Any]:
    """Carry out the run of `folder`; see `train.train`. Records its end in run.json whatever happens.

    Args:
        config: plain and complete; kept in the folder as config.json.
        first: called once the folder's lock is held, before anything is written.

    Raises:
        UserError, RunError, DivergedError, Interrupted: each with the sentence to show.
    """
    with locked(folder, "the run folder"):
        checkpoint.check_not_lost(folder)
        clear_run(folder)
        clear_cache(cache_folder())
        spent, before = Spent(folder), {name: bytes_of(folder / name) for name in (RECORD, *CONFIGS)}
        if first is not None:
            first()
        write_json(folder / CONFIG, config)
        try:
            result = run_processes(config, folder, trust)
        except Interrupted:
            record_end(folder, spent, status="interrupted")
            raise
        except Exception as error:
            failure = explain(error, folder)
            if isinstance(failure, UserError) and put_back(folder, before):
                raise
            record_end(folder, spent, status=getattr(failure, "status", "failed"), error=str(failure))
            if failure is error:
                raise
            raise failure from error
        record_end(folder, spent, error=None)
        return result


RECORD, CONFIGS = "run.json", (CONFIG, ".hydra/config.yaml")


def bytes_of(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def put_back(folder: Path, before: dict[str, bytes | None]) -> bool:
    """Make a run that was refused before it went on what it was; says whether it was one and had not gone on."""
    if before[RECORD] is None or bytes_of(folder / RECORD) != before[RECORD]:
        return False
    for name in CONFIGS:
        if (content := before[name]) is not None:
            write_atomically(folder / name, content)
    return True


def record_end(folder: Path, spent: Spent, **values: Any) -> None:
    """Into run.json: how this part of a run ended."""
    try:
        update_run(folder, seconds=spent.seconds(), **values)
    except OSError as error:  # a full disk, say: then the sentence to come matters more than the record
        print(f"run.json could not be written: {error}", file=sys.stderr, flush=True)


def run_processes(config: dict[str, Any], folder: Path, trust: Sequence[str]) -> dict[str, Any]:
    from gan_cli import distributed
    from gan_cli.train import train

    settings = trainer_settings(config)
    if distributed.world_described() > 1:
        return lead(config, folder, trust)
    if settings.processes == 1:
        return train(config, folder, trust)
    return _elastic(config, folder, trust, settings.processes, settings.max_restarts)


def lead(config: dict[str, Any], folder: Path, trust: Sequence[str]) -> dict[str, Any]:
    """Process 0 under torchrun: it alone has read the command line, and tells the others what to do.

    Raises:
        UserError: the batch can't be shared out.
    """
    from gan_cli import distributed
    from gan_cli.train import train

    parts = distributed.world_described() * config["trainer"]["accumulate"]
    if config["trainer"]["batch_size"] % parts:
        raise UserError(f"trainer.batch_size={config['trainer']['batch_size']} can't be cut into {parts} equal parts")
    distributed.join()
    distributed.broadcast_text(json.dumps([config, str(folder), list(trust)]))
    return train(config, folder, trust)


def follow() -> int:
    """The other processes under torchrun: train what process 0 trains, until it says that it is done."""
    from gan_cli import distributed
    from gan_cli.train import train

    distributed.join()
    try:
        while text := distributed.broadcast_text(""):
            config, folder, trust = json.loads(text)
            try:
                train(config, Path(folder), trust)
            except (RunError, Interrupted):  # process 0 meets the same one, and says it
                continue
    finally:  # gloo's threads, still running when Python ends, would now and then abort the process
        distributed.leave()
    return 0


@contextmanager
def leading() -> Iterator[None]:
    """Around what process 0 under torchrun does: at the end the others are told that there is nothing more to do.

    Where it fails they may be in the middle of another exchange: then it only leaves, which ends theirs too.
    """
    from gan_cli import distributed

    try:
        yield
        distributed.join()  # nothing to train, say a sweep that is finished already: they wait all the same
        distributed.broadcast_text("")
    finally:
        distributed.leave()


def _elastic(
    config: dict[str, Any], folder: Path, trust: Sequence[str], processes: int, restarts: int
) -> dict[str, Any]:
    """torch's elastic agent in this process; its workers get a plain dict and never see the command line."""
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    for name in list(logging.root.manager.loggerDict):  # what it would say, we say in a sentence
        if name.startswith(("torch.distributed.elastic", "torch.multiprocessing")):
            logging.getLogger(name).setLevel(logging.CRITICAL)
    # each attempt gets a store of its own, hosted by process 0: a shared one would keep the dead attempt's addresses
    os.environ["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"
    plan = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=f"gan_cli-{os.getpid()}",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=restarts,
        monitor_interval=0.2,
        start_method="spawn",
    )
    for old in folder.glob(".end-*.json"):
        old.unlink()
    try:
        results = elastic_launch(plan, worker)(config, str(folder), list(trust))
    except ChildFailedError as error:
        raise failure_of(error, folder) from error
    except SignalException as error:
        stopped = _from_workers(folder)
        raise stopped or Interrupted("stopped before a checkpoint could be written", int(error.sigval)) from error
    return results[0]


def worker(config: dict[str, Any], folder: str, trust: Sequence[str]) -> dict[str, Any]:
    """One process of several. What it has to say when it fails goes through a file, for want of another way."""
    from gan_cli import distributed
    from gan_cli.train import train

    any_console()
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    try:
        return train(config, Path(folder), trust)
    except Exception as error:
        failure = explain(error, Path(folder))
        number = getattr(failure, "exit_code", 1) - 128 if isinstance(failure, Interrupted) else 0
        note = {"kind": type(failure).__name__, "message": str(failure), "signal": number}
        (Path(folder) / f".end-{os.environ.get('RANK', '0')}.json").write_text(json.dumps(note), encoding="utf-8")
        raise
    finally:
        distributed.leave()


def _from_workers(folder: Path) -> Exception | None:
    """What the workers could still say: a sentence of ours before the complaint of one whose neighbour was gone."""
    from gan_cli import errors

    notes = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob(".end-*.json"))]
    for path in folder.glob(".end-*.json"):
        path.unlink()
    ours = [note for note in notes if hasattr(errors, note["kind"])]
    if not notes:
        return None
    note = (ours or notes)[0]
    if note["kind"] == "Interrupted":
        return Interrupted(note["message"], note["signal"])
    return getattr(errors, note["kind"], RunError)(note["message"])


def failure_of(error: Any, folder: Path) -> Exception:
    """A worker that left no note has died; that is the cause, and what the others say its consequence."""
    noted = {int(path.stem.rpartition("-")[2]) for path in folder.glob(".end-*.json")}
    told = _from_workers(folder)
    dead = [(rank, fault.exitcode) for rank, fault in sorted(error.failures.items()) if rank not in noted]
    dead = [(rank, code) for rank, code in dead if code != -signal.SIGTERM]  # the agent's own doing
    if not dead and told is not None:
        return told
    rank, code = dead[0] if dead else (0, 1)
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    return RunError(f"process {rank} of the run died ({how}) and the others were stopped; {last_checkpoint(folder)}")


def explain(error: Exception, folder: Path) -> Exception:
    """An error as a sentence with what to change, where it is one that a user can act on."""
    from torch import OutOfMemoryError

    if isinstance(error, RunError) and not isinstance(error, UserError):
        told = str(error)
        return error if "checkpoint" in told else type(error)(f"{told}; {last_checkpoint(folder)}")
    if isinstance(error, (UserError, Interrupted)):
        return error
    if isinstance(error, (OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error):
        return RunError(
            "out of memory: lower trainer.batch_size, or raise trainer.accumulate, which cuts a batch into parts;"
            f" {last_checkpoint(folder)}"
        )
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return RunError(
            f"the disk of {str(folder)!r} is full: make room, or lower trainer.keep_checkpoints;"
            f" {last_checkpoint(folder)}"
        )
    if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        return RunError(f"{error.filename or folder} can't be written ({error.strerror}): choose another hydra.run.dir")
    return error


def last_checkpoint(folder: Path) -> str:
    from gan_cli.machine import shown

    files = checkpoint.listed(folder)
    return f"the last checkpoint is {shown(files[0])}" if files else "no checkpoint was written yet"
