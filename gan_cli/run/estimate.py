"""The cost of a run, estimated from measured steps: parameters, memory, time. Nothing is written."""

from __future__ import annotations

import math
import resource
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch

from gan_cli.base.machine import device_name, pick_device, thread_count
from gan_cli.base.printable import tell
from gan_cli.base.progress import Progress
from gan_cli.base.run_config import RunConfig
from gan_cli.base.threads import choose
from gan_cli.game.build import parameter_counts
from gan_cli.game.game import joined
from gan_cli.game.phase import Phase
from gan_cli.media.medium import arranged
from gan_cli.run.kept_base import with_base
from gan_cli.run.session import Session

LEAST_SECONDS, LEAST_STEPS = 1.5, 3  # measured at each point, after two steps that are not counted
LONG_SECONDS = 5.0  # a step that takes longer is told well enough by one, after one that is not counted


@dataclass(frozen=True)
class Stage:
    """A stretch of a run in which the same phases are active.

    Attributes:
        begin, end: in images seen.
        seconds: for 1,000 images.
    """

    begin: int
    end: int
    phases: tuple[str, ...]
    batch_size: int
    seconds: float


@dataclass(frozen=True)
class Estimate:
    parameters: dict[str, int]
    stages: list[Stage]
    jobs_seconds: float
    peak_mib: float
    device: str

    @property
    def total_seconds(self) -> float:
        return sum((s.end - s.begin) / 1000 * s.seconds for s in self.stages) + self.jobs_seconds


@dataclass(frozen=True)
class Kind:
    """A kind of step that a session takes at a point of its run.

    Attributes:
        due: the phases that move, by name, and (phase, penalty) where a penalty is due.
        step: the number of one step of this kind.
        updates: each phase's number of updates before that step.
    """

    due: frozenset[object]
    step: int
    updates: dict[str, int]


class Rehearsal:
    """A run's session for trial steps, whose results are thrown away."""

    def __init__(self, config: RunConfig, device: torch.device) -> None:
        config, _ = with_base(config, None, device, tell)
        self.session = Session.build(config, device, 0, config.trainer.processes)
        self.examples = self.session.examples(config.trainer.preview_samples)

    def wait(self) -> None:
        if self.session.device.type == "cuda":
            torch.cuda.synchronize(self.session.device)

    def kinds(self, images: int) -> list[tuple[Kind, float]]:
        """List each kind of step in one common period of all intervals, with its share of the steps."""
        phases = [phase for phase in self.session.phases if phase.on(images)]
        intervals = [phase.every for phase in phases]
        for phase in phases:
            intervals += [] if phase.regularizes else [penalty.every for penalty in phase.penalties.values()]
        period, kinds, counts = math.lcm(*intervals), dict[object, Kind](), Counter[object]()
        for step in range(period):
            updates = {phase.name: -(-step // phase.every) * phase.repeat for phase in phases}
            due: set[object] = set()
            for phase in phases:
                if step % phase.every == 0:
                    due.add(phase.name)
                    due |= {
                        (phase.name, name)
                        for name, penalty in phase.penalties.items()
                        if phase.regularizes or -updates[phase.name] % penalty.every < phase.repeat
                    }
            kind = Kind(frozenset(due), step, updates)
            kinds.setdefault(kind.due, kind)
            counts[kind.due] += 1
        return [(kind, counts[due] / period) for due, kind in kinds.items()]

    def seconds(self, images: int, kind: Kind) -> float:
        """Measure steps of a kind, and return their median time in seconds; of long steps the second's time."""
        taken: list[float] = []
        while sum(taken[2:]) < LEAST_SECONDS or len(taken) < 2 + LEAST_STEPS:
            state = self.session.state
            state.images, state.step, state.updates = images, kind.step, dict(kind.updates)
            begun = time.perf_counter()
            self.session.step()
            self.session.meter.read()
            self.wait()
            taken.append(time.perf_counter() - begun)
            if len(taken) == 2 and min(taken) > LONG_SECONDS:
                return taken[1]
        return statistics.median(taken[2:])

    def measure_at(self, images: int, measured: Callable[[], object]) -> tuple[float, tuple[str, ...], int]:
        """Measure steps at a point of the run: return seconds for 1,000 images, the active phases, the batch size.

        Args:
            measured: called after each kind of step.
        """
        each = 0.0
        for kind, share in self.kinds(images):
            each += share * self.seconds(images, kind)
            measured()
        self.session.state.images = images
        active = [phase for phase in self.session.phases if phase.on(images)]
        always = [phase for phase in active if phase.every == 1]
        drawn = always[0].repeat + sum(phase.repeat - 1 for phase in always[1:])
        batch = always[0].batch_size or self.session.config.trainer.batch_size
        return each / (drawn * batch) * 1000, tuple(phase.name for phase in active), batch

    def grid_seconds(self) -> float:
        """Measure one sample grid, and return the seconds that all grids of the run take."""
        session, every = self.session, self.session.config.trainer.sample_every_images
        begun = time.perf_counter()
        rows = joined(session.game.sample(session.ema.networks, self.examples))
        session.medium.rows(rows, *arranged(rows))
        self.wait()
        return (time.perf_counter() - begun) * (1 + (session.config.trainer.total_images // every if every else 0))


def spans_of(phases: list[Phase], total: int) -> list[tuple[int, int]]:
    """Split a run's images into spans at the points where phases begin or end."""
    points = {0, total} | {p.starts_at for p in phases} | {p.stops_at for p in phases if p.stops_at is not None}
    return list(pairwise(sorted(point for point in points if 0 <= point <= total)))


def estimate(config: RunConfig) -> Estimate:
    """Measure steps in the middle of each stage, or at the start of a run of one stage, and add them up.

    Raises:
        UserError: a part can't be built.
    """
    settings = config.trainer
    device = pick_device(settings.device)
    with thread_count(choose(settings.threads, settings.processes)):
        rehearsal = Rehearsal(config, device)
        spans, stages = spans_of(rehearsal.session.phases, settings.total_images), []
        points = [begin if len(spans) == 1 else (begin + end) // 2 for begin, end in spans]
        kinds = sum(len(rehearsal.kinds(point)) for point in points)
        with Progress("measuring each kind of step", kinds, "kinds") as measured:
            for (begin, end), point in zip(spans, points, strict=True):
                seconds, phases, batch = rehearsal.measure_at(point, measured)
                stages.append(Stage(begin, end, phases, batch, seconds))
        counts = parameter_counts(rehearsal.session.game)
        return Estimate(counts, stages, rehearsal.grid_seconds(), peak_mib(device), device_name(device))


def peak_mib(device: torch.device) -> float:
    """Return the peak memory in MiB, of the device on CUDA, else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
