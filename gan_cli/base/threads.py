"""The number of CPU threads that a process uses, and how they wait for each other. Imports no torch.

torch's threads wait for each other at the end of every operation, and a waiting thread spins. One thread per core is
fast on an idle machine, but far slower than a single thread where another program uses one of the cores. So a command
takes as many threads as cores are free at its start, and sets waiting threads to release their core soon. The user's
choice wins: `threads=`, or the environment variables that OpenMP and MKL read.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gan_cli.base.garbage import collect_seldom

PROC, CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")
COUNTS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")  # environment variables that a user may set; torch reads both
# How long a waiting thread spins: turns of a loop in GNU's OpenMP (its default is 300,000, which take milliseconds),
# milliseconds in LLVM's and Intel's (default 200). Neither is set where the user has set it, or one of the variables
# listed after it.
WAITING = {
    "GOMP_SPINCOUNT": ("1000", ("OMP_WAIT_POLICY",)),
    "KMP_BLOCKTIME": ("1", ("OMP_WAIT_POLICY", "KMP_LIBRARY")),
}
LEAST_S, LONGEST_S = 0.2, 10.0  # seconds between two looks at how busy the machine is
_watched: list[Look] = []  # the look at a command's start; its start-up is the time between two looks


@dataclass(frozen=True)
class Threads:
    """The chosen number of threads.

    Attributes:
        count: threads of each process; None leaves torch's default.
        why: the reason in a few words, for the start block; "" where there is none.
        exact: whether to use `count` even where torch's default is lower (one for each core, not hyper-thread).
    """

    count: int | None = None
    why: str = ""
    exact: bool = True


@dataclass(frozen=True)
class Look:
    """CPU seconds used so far, on the cores that this process may use.

    Attributes:
        at: the time of the look.
        busy: by all programs; None where the system does not tell.
        by_process: by this process.
        groups: of each control group of this process, its quota in cores, and the seconds used by it.
    """

    at: float
    busy: float | None
    by_process: float
    groups: dict[str, tuple[float, float | None]] = field(default_factory=dict)


def begin() -> None:
    """Set how threads wait, take a first look, and collect garbage seldom. Call it at a command's start, before torch.

    Worker processes inherit the setting. Where torch is loaded already, it has no effect on this process.
    """
    for name, (value, others) in WAITING.items():
        if not any(os.environ.get(each) for each in (name, *others)):
            os.environ[name] = value
    _watched[:] = [look()]
    collect_seldom()


def choose(wanted: int | None = None, processes: int = 1, workers: int = 1, before: int | None = None) -> Threads:
    """Choose the number of threads of each process of a run.

    Args:
        wanted: the number that the user typed; None where there is none.
        processes: the number of processes that share the work of this run.
        workers: the number of runs that a sweep's launcher trains at a time.
        before: the number that this run had before it was resumed; the same number gives the same last bits.
    """
    if wanted is not None:
        return Threads(wanted, "as asked for")
    if variables := said():
        return Threads(None, variables[0])
    all_cores, share = cores(), processes * workers
    free = all_cores if workers > 1 or not _watched else free_cores()
    state = f"{free} of {all_cores} cores free"
    if before is not None and before * processes <= all_cores:
        more = free // processes
        faster = f"; {state}: threads={more} is faster" if more > before else f"; {state}"
        return Threads(before, "as before" + ("" if more == before else faster))
    if workers > 1:
        return Threads(max(1, all_cores // share), f"{all_cores} cores for {workers} runs at a time", exact=False)
    if not _watched and processes == 1:
        return Threads()  # in a notebook: torch's number, which the user may have set
    return Threads(max(1, free // processes), state if _watched else f"{all_cores} cores", exact=False)


def said() -> tuple[str, ...]:
    """List the environment variables that are set and tell torch how many threads to use."""
    return tuple(name for name in COUNTS if os.environ.get(name))


def cores() -> int:
    """Count the cores that this process may use, by its CPU affinity and its control groups' quotas."""
    return max(1, int(min([float(allowed()), *(quota for _, quota in quotas())]) + 0.5))


def free_cores() -> int:
    """Count the cores that no other program uses now, rounded; take a new first look where the last one is old."""
    first = _watched[0]
    if not LEAST_S <= time.monotonic() - first.at <= LONGEST_S:
        first = look()
        time.sleep(LEAST_S)
    last = look()
    return min(cores(), max(0, int(left(first, last) + 0.5)))


def left(first: Look, last: Look) -> float:
    """Compute how many cores other programs left free between two looks."""
    span = max(last.at - first.at, 1e-9)
    by_process = (last.by_process - first.by_process) / span
    free = [float(allowed())]
    if first.busy is not None and last.busy is not None:
        free.append(allowed() - max(0.0, (last.busy - first.busy) / span - by_process))
    for name, (quota, used) in last.groups.items():
        used_before = first.groups.get(name, (quota, None))[1]
        others = 0.0 if used is None or used_before is None else max(0.0, (used - used_before) / span - by_process)
        free.append(quota - others)
    return min(free)


def look() -> Look:
    """Take a look: read the clock and the CPU seconds used so far."""
    spent = os.times()
    by_process = spent.user + spent.system + spent.children_user + spent.children_system
    groups = {str(folder): (quota, used_by(folder)) for folder, quota in quotas()}
    return Look(time.monotonic(), busy_seconds(), by_process, groups)


def allowed() -> int:
    """Count the cores that the system lets this process run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def busy_seconds() -> float | None:
    """Read the CPU seconds that all programs used on the allowed cores since the machine started; None if unknown."""
    if sys.platform != "linux":
        try:
            import psutil  # a dependency of this program on these systems
        except ImportError:
            return None
        every = psutil.cpu_times(percpu=True)
        return float(sum(each.user + each.system + getattr(each, "nice", 0.0) for each in every))
    try:
        lines = (PROC / "stat").read_text().splitlines()
        allowed_cpus = {f"cpu{number}" for number in os.sched_getaffinity(0)}
        rows = [list(map(int, line.split()[1:9])) for line in lines if line.split(" ", 1)[0] in allowed_cpus]
    except (OSError, ValueError):
        return None
    if len(rows) < len(allowed_cpus) or any(len(row) < 4 for row in rows):
        return None
    ticks = sum(sum(row) - row[3] - sum(row[4:5]) for row in rows)  # all columns but idle and iowait
    return ticks / os.sysconf("SC_CLK_TCK")


def quotas() -> Iterator[tuple[Path, float]]:
    """Yield (folder, quota in cores) of each control group that limits this process's CPU time, as in a container."""
    try:
        lines = (PROC / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        kinds, _, place = line.partition(":")[2].partition(":")
        if kinds and "cpu" not in kinds.split(","):
            continue
        base = CGROUPS / kinds if kinds else CGROUPS
        inner = base / place.lstrip("/")
        for folder in (inner, *inner.parents):
            if (quota := quota_of(folder)) is not None:
                yield folder, quota
            if folder == base:
                break


def quota_of(folder: Path) -> float | None:
    """Read the quota of a control group, in cores; None where it has none."""
    try:
        if (folder / "cpu.max").exists():
            most, period = (folder / "cpu.max").read_text().split()
            return None if most == "max" else int(most) / int(period)
        most, period = ((folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return None if int(most) <= 0 else int(most) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


def used_by(folder: Path) -> float | None:
    """Read the CPU seconds used by all processes of a control group; None where the system does not tell."""
    try:
        words = (folder / "cpu.stat").read_text().split()
        return int(words[words.index("usage_usec") + 1]) / 1e6
    except (OSError, ValueError, IndexError):
        return None
