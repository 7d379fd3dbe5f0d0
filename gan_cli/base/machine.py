"""The machine that a run is on: device, threads, signals, versions."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from types import FrameType

import torch

from gan_cli import __version__
from gan_cli.base.errors import StoppedAtOnce, UserError
from gan_cli.base.threads import Threads

CODE = Path(__file__).resolve().parent


def pick_device(name: str) -> torch.device:
    """The training device of this process: "auto" is CUDA, else MPS, else the CPU.

    Raises:
        UserError: it is not there.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    kind = name.split(":")[0]
    if kind == "cuda" and not torch.cuda.is_available():
        raise UserError("trainer.device=cuda, but torch finds no CUDA GPU here; use trainer.device=cpu or auto")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise UserError("trainer.device=mps, but torch finds no Apple GPU here; use trainer.device=cpu or auto")
    if name == "cuda":
        index = int(os.environ.get("LOCAL_RANK", "0"))
        if index >= torch.cuda.device_count():
            raise UserError(
                f"process {index} has no GPU of its own ({torch.cuda.device_count()} here); lower trainer.processes"
            )
        torch.cuda.set_device(index)
        return torch.device("cuda", index)
    return torch.device(name)


class StopSignals:
    """Remembers SIGINT and SIGTERM; a second one is not waited for.

    Except under torch's elastic agent: it passes a signal on that the terminal has sent already, and
    kills by itself what does not end in time.
    """

    def __init__(self) -> None:
        self.signal = 0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.signal and "TORCHELASTIC_RUN_ID" not in os.environ:
            raise StoppedAtOnce
        self.signal = number


@contextmanager
def stop_signals() -> Iterator[StopSignals]:
    """While it is open, Ctrl-C and SIGTERM are noted instead of obeyed at once (main thread only)."""
    stop = StopSignals()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def use_threads(threads: Threads) -> None:
    """Have torch work in so many threads from here on."""
    if threads.count is not None:
        torch.set_num_threads(threads.count if threads.exact else min(threads.count, torch.get_num_threads()))


@contextmanager
def thread_count(threads: Threads) -> Iterator[None]:
    """While it is open, torch works in so many threads."""
    before = torch.get_num_threads()
    use_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def determinism(wanted: bool) -> Iterator[None]:
    """`trainer.deterministic`: torch raises where an operation has no deterministic form."""
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    if wanted:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if wanted != before[0]:  # the call alone loads torch's compiler, a second of every start
        torch.use_deterministic_algorithms(wanted)
    torch.backends.cudnn.benchmark = not wanted
    try:
        yield
    finally:
        if wanted != before[0]:
            torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]


def versions() -> dict[str, str]:
    """What a result may depend on."""
    names = ("torch", "torchvision", "hydra-core", "numpy")
    return {
        "gan_cli": __version__,
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in names},
    }


def git_commit(code: Path = CODE) -> str | None:
    """The commit of this program's own code, with "+changes" where it is not clean; None where it is no checkout.

    Never that of the working folder: git obeys the configuration of the repository that it is asked about, which in a
    run folder may be a stranger's and may name a program to run.
    """
    root = code.parent
    if not (root / ".git").exists():
        return None
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    own["GIT_OPTIONAL_LOCKS"] = "0"
    ask = ["git", "-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}", "-C", str(root)]

    def told(*words: str) -> str:
        done = subprocess.run([*ask, *words], env=own, capture_output=True, text=True, timeout=5, check=True)
        return done.stdout.strip()

    try:
        return told("rev-parse", "HEAD") + ("+changes" if told("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)} ({device})"
    count = torch.get_num_threads()
    return f"cpu, {count} thread{'' if count == 1 else 's'}" if device.type == "cpu" else str(device)
