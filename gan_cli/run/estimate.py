"""What a run would take, from measured steps: parameters, memory, time. Nothing is written."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch

from gan_cli.base.machine import device_name, pick_device, thread_count
from gan_cli.base.progress import counted
from gan_cli.base.settings import TrainerSettings, trainer_settings
from gan_cli.base.threads import choose
from gan_cli.base.types import Batch, State
from gan_cli.data.order import Batches
from gan_cli.game.build import build_data, build_game, build_medium, optimizer_factory, parameter_counts
from gan_cli.game.gan import GAN
from gan_cli.game.meter import Meter
from gan_cli.game.phase import Phase
from gan_cli.game.update import Updater, keeps_graph
from gan_cli.parts.ema import EMA
from gan_cli.use.preview import given

LEAST_SECONDS, LEAST_STEPS = 1.5, 3  # of measurement at each point, after two steps that are not counted


@dataclass(frozen=True)
class Stage:
    """A stretch of a run in which the same phases play.

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


class Rehearsal:
    """A run's parts, to take steps with that are forgotten."""

    def __init__(self, config: dict[str, Any], settings: TrainerSettings, device: torch.device, trust: Sequence[str]):
        self.settings, self.device = settings, device
        data = build_data(config, trust)
        data.to(device)
        self.gan: GAN = build_game(config, trust).to(device).train()
        if device.type != "mps":
            self.gan.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.phases = self.gan.plan = self.gan.phases(optimizer_factory(config, trust))
        self.ema = EMA.of(self.gan.generators, settings)
        self.state = State(seed=config["seed"])
        self.meter = Meter(device)
        self.update = Updater(self.gan, device, settings.accumulate, settings.precision, self.meter)
        self.batches = Batches(data, self.share(None), self.state.seed, device)
        self.medium = build_medium(config, trust)
        self.examples = given(self.gan, config, settings.preview_samples, self.state.seed, device, trust)

    def share(self, batch_size: int | None) -> int:
        """How much of a batch one process takes."""
        return (batch_size or self.settings.batch_size) // self.settings.processes

    def take(self, phases: list[Phase], due: bool) -> None:
        """One step of the loop; penalties that come rarely are taken as due, or as not."""
        self.state.updates = {phase.name: 0 if due else 1 for phase in phases}
        at, batch = self.state.images, None
        for number, phase in enumerate(phases):
            for repetition in range(phase.repeat):
                if batch is None or repetition:
                    batch = self.batches.next(self.state, self.share(phase.batch_size))
                self.state.updates[phase.name] = 0 if due else 1
                last = repetition == phase.repeat - 1
                self.update(phase, batch, self.state, keep=last and keeps_graph(self.gan, phases, number))
        self.ema.update(self.state.images)
        self.meter.read()
        self.wait()
        self.state.images = at

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def seconds(self, phases: list[Phase], due: bool) -> float:
        """The median time of a step."""
        for _ in range(2):
            self.take(phases, due)
        taken: list[float] = []
        while sum(taken) < LEAST_SECONDS or len(taken) < LEAST_STEPS:
            begun = time.perf_counter()
            self.take(phases, due)
            taken.append(time.perf_counter() - begun)
        return sorted(taken)[len(taken) // 2]

    def lazy_seconds(self, phase: Phase) -> float:
        """The time of a phase that comes on every k-th step, on a batch that is there."""
        batch: Batch = self.batches.at(self.state.images, self.share(phase.batch_size))
        taken: list[float] = []
        for number in range(2 + LEAST_STEPS):
            begun = time.perf_counter()
            self.update(phase, batch, self.state)
            self.meter.read()
            self.wait()
            if number >= 2:
                taken.append(time.perf_counter() - begun)
        return sorted(taken)[len(taken) // 2]

    def at(self, images: int) -> tuple[float, tuple[str, ...], int]:
        """Seconds for 1,000 images at a point of the run; who plays there, and the batch."""
        self.state.images = images
        self.gan.set_progress(images)
        self.ema.update(images)
        here = [phase for phase in self.phases if phase.on(images)]
        always = [phase for phase in here if phase.every == 1]
        rare = [phase for phase in here if phase.every > 1]
        plain = self.seconds(always, due=False)
        intervals = [p.every for phase in always for p in phase.penalties.values() if p.every > 1]
        if intervals:
            plain += (self.seconds(always, due=True) - plain) / min(intervals)
        each = plain + sum(self.lazy_seconds(phase) / phase.every for phase in rare)
        drawn = always[0].repeat + sum(phase.repeat - 1 for phase in always[1:])
        batch = always[0].batch_size or self.settings.batch_size
        return each / (drawn * batch) * 1000, tuple(phase.name for phase in here), batch


def stretches(phases: list[Phase], total: int) -> Iterator[tuple[int, int]]:
    """Spans between the points at which phases begin or end."""
    points = {0, total} | {p.starts_at for p in phases} | {p.stops_at for p in phases if p.stops_at is not None}
    inside = sorted(point for point in points if 0 <= point <= total)
    yield from pairwise(inside)


def estimate(config: dict[str, Any], trust: Sequence[str] = ()) -> Estimate:
    """Measure steps in the middle of each stage, and add up.

    Raises:
        UserError: a part can't be built.
    """
    settings = trainer_settings(config)
    device = pick_device(settings.device)
    with thread_count(choose(settings.threads, settings.processes)):
        rehearsal = Rehearsal(config, settings, device, trust)
        spans, stages = list(stretches(rehearsal.phases, settings.total_images)), []
        for begin, end in counted(spans, "measuring the steps of each stage", len(spans), "stages"):
            seconds, phases, batch = rehearsal.at(begin if len(spans) == 1 else (begin + end) // 2)
            stages.append(Stage(begin, end, phases, batch, seconds))
        jobs = jobs_seconds(rehearsal, settings)
        return Estimate(parameter_counts(rehearsal.gan), stages, jobs, peak_mib(device), device_name(device))


def jobs_seconds(rehearsal: Rehearsal, settings: TrainerSettings) -> float:
    """Grids, as often as they come."""
    every = settings.sample_every_images
    begun = time.perf_counter()
    rehearsal.medium.rows(rehearsal.gan.preview(rehearsal.ema.networks, rehearsal.examples), 8)
    rehearsal.wait()
    return (time.perf_counter() - begun) * (1 + (settings.total_images // every if every else 0))


def peak_mib(device: torch.device) -> float:
    """Of the device on CUDA, else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
