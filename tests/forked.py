"""Commands in processes of their own that pay for no import: each is forked from one that has made them all.

A command is what its console script calls, in a process with its own folder, environment, arguments, exit code and
streams. Most seconds of a fresh one go into importing torch; forked it takes none. What an interpreter looks at only
while it starts (PYTHONUTF8, the streams' encoding, OMP_NUM_THREADS) and what an import warns of can't be tried so.
"""

from __future__ import annotations

import atexit
import functools
import gc
import importlib
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

COMMANDS = tuple(f"gan_cli.cli.{name}" for name in ("train", "sample", "evaluate", "report", "export"))
# all that a command imports on its way, where it may import torch
HEAVY = (
    *("torch.utils.tensorboard", "torchvision", "torch._dynamo", "gan_cli.run.launch", "gan_cli.run.train"),
    *("gan_cli.use.load", "gan_cli.use.sample", "gan_cli.evaluation.evaluator", "gan_cli.cli.dry_run"),
)


PROGRESS = re.compile(r"^  [a-z][a-z ]*   (.*   )?(\d+h)?(\d+m)?\d+s(, .*)?\n", re.MULTILINE)


def unhurried(text: str) -> str:
    """Return what a command says where it takes no longer than ten seconds: without its lines of progress."""
    return PROGRESS.sub("", text)


class Command:
    """A command under way, with what is asked of a `subprocess.Popen`."""

    def __init__(self, args: Sequence[str], folder: Path, server: subprocess.Popen[bytes]) -> None:
        self.args, self.folder = list(args), folder
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self.returncode: int | None = None
        until = time.monotonic() + 120
        while not (self.folder / "pid").exists():
            assert server.poll() is None, "what commands are forked from has ended: see its last words above"
            assert time.monotonic() < until, "no command was begun"
            time.sleep(0.001)
        self.pid = int((self.folder / "pid").read_text())

    def poll(self) -> int | None:
        if self.returncode is None and (self.folder / "code").exists():
            self.returncode = int((self.folder / "code").read_text())
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        until = time.monotonic() + (timeout or 1e9)
        while self.poll() is None:
            if time.monotonic() > until:
                self.kill()
                raise subprocess.TimeoutExpired(self.args, timeout or 0, self.output(1), self.output(2))
            time.sleep(0.005)
        assert self.returncode is not None
        return self.returncode

    def output(self, stream: int) -> str:
        text = (self.folder / str(stream)).read_text()
        return unhurried(text) if stream == 2 else text

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        self.wait(timeout)
        return self.output(1), self.output(2)


def start(name: str, *arguments: str, cwd: Path, imports_torch: bool = True, **environment: str) -> Command:
    """A command that goes on while its caller does.

    Args:
        name: "gan-train", "gan-sample", ...
        arguments: what is typed behind it.
        cwd: where it is typed.
        imports_torch: whether to fork it from a process that has imported torch; else it imports what it needs itself.
        environment: on top of this process's own.
    """
    place = Path(tempfile.mkdtemp(prefix="command"))
    settings = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "default", **environment}
    settings.pop("GAN_CLI_STAMP", None)
    typed = {"module": f"gan_cli.cli.{name.removeprefix('gan-')}", "arguments": arguments, "cwd": str(cwd)}
    said = json.dumps({**typed, "environment": settings, "place": str(place)})
    process = server(imports_torch)
    assert process.stdin is not None
    process.stdin.write(said.encode() + b"\n")
    process.stdin.flush()
    return Command([name, *arguments], place, process)


def run(name: str, *arguments: str, timeout: float = 240, **how: Any) -> subprocess.CompletedProcess[str]:
    """The same, awaited."""
    command = start(name, *arguments, **how)
    out, err = command.communicate(timeout)
    return subprocess.CompletedProcess(command.args, command.wait(), out, err)


@functools.cache
def server(imports_torch: bool) -> subprocess.Popen[bytes]:
    """The process that commands are forked from; one of each kind for each process that tests, begun on first use."""
    modules = [*COMMANDS, *(HEAVY if imports_torch else ())]
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    settings = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "default", "PYTHONPATH": path}
    process = subprocess.Popen(
        [sys.executable, "-c", "import forked; forked.serve()", *modules], env=settings, stdin=subprocess.PIPE
    )
    atexit.register(process.terminate)
    return process


# ---- in the process that commands are forked from ----


def serve() -> None:
    """Fork a command for each line of standard input until it ends; returns in the commands too."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for name in sys.argv[1:]:
        importlib.import_module(name)
    if not {*HEAVY} & {*sys.argv}:
        assert "torch" not in sys.modules, "a command imports torch where it begins"
    gc.collect()
    gc.freeze()  # pages that no collection touches stay shared
    running: dict[int, Path] = {}
    rest = b""
    while True:
        if select.select([0], [], [], 0.01 if running else None)[0]:
            if not (read := os.read(0, 1 << 16)):
                break
            *lines, rest = (rest + read).split(b"\n")
            for line in lines:
                said = json.loads(line)
                pid = os.fork()
                if pid == 0:
                    return become(**said)
                running[pid] = Path(said["place"])
                put(running[pid] / "pid", pid)
        for pid in list(running):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                place = running.pop(pid)
                if place.is_dir():  # else nobody waits for it any more
                    put(place / "code", os.waitstatus_to_exitcode(status))
    for pid in running:
        os.kill(pid, signal.SIGKILL)


def put(file: Path, value: int) -> None:
    """Written whole or not there."""
    part = file.with_suffix(".part")
    part.write_text(str(value))
    part.replace(file)


def become(module: str, arguments: list[str], cwd: str, environment: Mapping[str, str], place: str) -> None:
    """Be the command from here on."""
    files = [os.open(os.devnull, os.O_RDONLY)]
    files += [os.open(f"{place}/{number}", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) for number in (1, 2)]
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["-c", *arguments]
    # as a console script's: neither this file's folder, nor the one that the command is typed in
    sys.path[:] = [path for path in sys.path if path not in ("", str(Path(__file__).parent))]
    for path in reversed(environment.get("PYTHONPATH", "").split(os.pathsep)):
        if path and path not in sys.path:
            sys.path.insert(0, path)
        if path and os.path.isfile(custom := os.path.join(path, "sitecustomize.py")):  # as an interpreter does
            with open(custom, encoding="utf-8") as code:
                exec(compile(code.read(), custom, "exec"), {"__name__": "sitecustomize"})
    importlib.import_module(module).main()
