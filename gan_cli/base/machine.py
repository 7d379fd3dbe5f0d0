"""The machine that a run uses: device, threads, signals, versions."""

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
    """Select the training device of this process; "auto" is CUDA, else MPS, else the CPU.

    Raises:
        UserError: the machine has no such device.
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
    """A handler that records SIGINT and SIGTERM; at a second signal it raises `StoppedAtOnce`.

    Under torch's elastic agent it does not: the agent repeats a signal that the terminal has sent already, and itself
    kills a process that does not end in time.
    """

    def __init__(self) -> None:
        self.signal = 0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.signal and "TORCHELASTIC_RUN_ID" not in os.environ:
            raise StoppedAtOnce
        self.signal = number


@contextmanager
def stop_signals() -> Iterator[StopSignals]:
    """Record Ctrl-C and SIGTERM in the context, instead of obeying them at once; in the main thread only."""
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
    """Set the number of torch's threads, from here on."""
    if threads.count is not None:
        torch.set_num_threads(threads.count if threads.exact else min(threads.count, torch.get_num_threads()))


@contextmanager
def thread_count(threads: Threads) -> Iterator[None]:
    """Set the number of torch's threads in the context, and restore it at its end."""
    before = torch.get_num_threads()
    use_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def determinism(on: bool) -> Iterator[None]:
    """Apply `trainer.deterministic` in the context: torch raises for an operation without a deterministic form."""
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    if on:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if on != before[0]:  # the call alone loads torch's compiler, which takes a second
        torch.use_deterministic_algorithms(on)
    torch.backends.cudnn.benchmark = not on
    try:
        yield
    finally:
        if on != before[0]:
            torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]


def versions() -> dict[str, str]:
    """Return the versions of this program, Python and the libraries that results may depend on."""
    names = ("torch", "torchvision", "hydra-core", "numpy")
    return {
        "gan_cli": __version__,
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in names},
    }


def git_commit(code: Path = CODE) -> str | None:
    """Return the git commit of this program's code, with "+changes" where files differ; None outside a checkout.

    Git is never asked about the working folder: it obeys the configuration of the repository there, which may be a
    stranger's and may name a program to run.
    """
    root = code.parent
    if not (root / ".git").exists():
        return None
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment["GIT_OPTIONAL_LOCKS"] = "0"
    command = ["git", "-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}", "-C", str(root)]

    def git(*words: str) -> str:
        done = subprocess.run(
            [*command, *words], env=environment, capture_output=True, text=True, timeout=5, check=True
        )
        return done.stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def device_name(device: torch.device) -> str:
    """Return a device's name for people: the GPU's, or the CPU's number of threads."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)} ({device})"
    count = torch.get_num_threads()
    return f"cpu, {count} thread{'' if count == 1 else 's'}" if device.type == "cpu" else str(device)
