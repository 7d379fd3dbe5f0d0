"""How many CPU threads a process shall use, and how they wait for each other. Imports no torch.

torch's threads meet at the end of every operation, and the one that is there first spins: so many threads as there are
cores are fast on an idle machine, and far slower than one where another program has one of the cores. So a command
takes as many as there are cores free when it starts, and has threads that wait let go of their core soon. What the
user said wins: `threads=`, or the variables of the environment that OpenMP and MKL read.
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
COUNTS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")  # of the user's; torch reads both
# How long a thread that waits keeps its core: turns of a loop in GNU's OpenMP (its own: 300,000, milliseconds),
# milliseconds in LLVM's and Intel's (200). Each unless one of the variables behind it is set.
WAITING = {
    "GOMP_SPINCOUNT": ("1000", ("OMP_WAIT_POLICY",)),
    "KMP_BLOCKTIME": ("1", ("OMP_WAIT_POLICY", "KMP_LIBRARY")),
}
LEAST_S, LONGEST_S = 0.2, 10.0  # between two looks at how busy the machine is
_watched: list[Look] = []  # the first look of a command, which hides in its start-up


@dataclass(frozen=True)
class Threads:
    """What was chosen.

    Attributes:
        count: threads of each process; None leaves torch's own number.
        why: in a few words, for the start block; "" where there is nothing to say.
        exact: whether it is that many even if torch alone would take fewer (one for each core, not for each
            hyper-thread).
    """

    count: int | None = None
    why: str = ""
    exact: bool = True


@dataclass(frozen=True)
class Look:
    """CPU seconds used so far: by all on the cores that this process may use, by itself, by its control groups."""

    at: float
    busy: float | None  # None: not told here
    own: float
    groups: dict[str, tuple[float, float | None]] = field(default_factory=dict)  # quota in cores, seconds used


def begin() -> None:
    """Settle how threads wait, take a first look, and collect garbage seldom; at the start of a command, before torch.

    Worker processes inherit it. Where torch is loaded already it does nothing for this process.
    """
    for name, (value, others) in WAITING.items():
        if not any(os.environ.get(each) for each in (name, *others)):
            os.environ[name] = value
    _watched[:] = [look()]
    collect_seldom()


def choose(wanted: int | None = None, processes: int = 1, workers: int = 1, before: int | None = None) -> Threads:
    """
    Args:
        wanted: what the user typed.
        processes: that share the work of this run.
        workers: runs that a sweep's launcher carries out at a time.
        before: of the same run, which goes on: the same number gives the same last bits.
    """
    if wanted is not None:
        return Threads(wanted, "as asked for")
    if named := said():
        return Threads(None, named[0])
    all_cores, share = cores(), processes * workers
    free = all_cores if workers > 1 or not _watched else free_cores()
    there = f"{free} of {all_cores} cores free"
    if before is not None and before * processes <= all_cores:
        more = free // processes
        faster = f"; {there}: threads={more} is faster" if more > before else f"; {there}"
        return Threads(before, "as before" + ("" if more == before else faster))
    if workers > 1:
        return Threads(max(1, all_cores // share), f"{all_cores} cores for {workers} runs at a time", exact=False)
    if not _watched and processes == 1:
        return Threads()  # in a notebook: torch's own number, which the user may have set
    return Threads(max(1, free // processes), there if _watched else f"{all_cores} cores", exact=False)


def said() -> tuple[str, ...]:
    """The variables of the environment that say how many threads to use."""
    return tuple(name for name in COUNTS if os.environ.get(name))


def cores() -> int:
    """Cores that this process may use: those that the system lets it run on, and its control groups' quotas."""
    return max(1, int(min([float(allowed()), *(quota for _, quota in quotas())]) + 0.5))


def free_cores() -> int:
    """Of those, how many nobody else uses now, rounded; the first look is taken anew where it is old."""
    first = _watched[0]
    if not LEAST_S <= time.monotonic() - first.at <= LONGEST_S:
        first = look()
        time.sleep(LEAST_S)
    last = look()
    return min(cores(), max(0, int(left(first, last) + 0.5)))


def left(first: Look, last: Look) -> float:
    """Cores that other programs left free between two looks."""
    span = max(last.at - first.at, 1e-9)
    own = (last.own - first.own) / span
    free = [float(allowed())]
    if first.busy is not None and last.busy is not None:
        free.append(allowed() - max(0.0, (last.busy - first.busy) / span - own))
    for name, (quota, used) in last.groups.items():
        then = first.groups.get(name, (quota, None))[1]
        others = 0.0 if used is None or then is None else max(0.0, (used - then) / span - own)
        free.append(quota - others)
    return min(free)


def look() -> Look:
    spent = os.times()
    own = spent.user + spent.system + spent.children_user + spent.children_system
    groups = {str(folder): (quota, used_by(folder)) for folder, quota in quotas()}
    return Look(time.monotonic(), busy_seconds(), own, groups)


def allowed() -> int:
    """Cores that the system lets this process run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def busy_seconds() -> float | None:
    """CPU seconds that all programs used on those cores since the machine started; None where that is not told."""
    if sys.platform != "linux":
        try:
            import psutil  # there by the dependencies of these systems
        except ImportError:
            return None
        every = psutil.cpu_times(percpu=True)
        return float(sum(each.user + each.system + getattr(each, "nice", 0.0) for each in every))
    try:
        lines = (PROC / "stat").read_text().splitlines()
        here = {f"cpu{number}" for number in os.sched_getaffinity(0)}
        rows = [list(map(int, line.split()[1:9])) for line in lines if line.split(" ", 1)[0] in here]
    except (OSError, ValueError):
        return None
    if len(rows) < len(here) or any(len(row) < 4 for row in rows):
        return None
    ticks = sum(sum(row) - row[3] - sum(row[4:5]) for row in rows)  # all but idle, and idle while a disk is waited for
    return ticks / os.sysconf("SC_CLK_TCK")


def quotas() -> Iterator[tuple[Path, float]]:
    """Control groups of this process that limit its CPU time, as containers have them, and to how many cores."""
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
    try:
        if (folder / "cpu.max").exists():
            most, period = (folder / "cpu.max").read_text().split()
            return None if most == "max" else int(most) / int(period)
        most, period = ((folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return None if int(most) <= 0 else int(most) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


def used_by(folder: Path) -> float | None:
    """CPU seconds of all processes of a control group; None where that is not told."""
    try:
        words = (folder / "cpu.stat").read_text().split()
        return int(words[words.index("usage_usec") + 1]) / 1e6
    except (OSError, ValueError, IndexError):
        return None
