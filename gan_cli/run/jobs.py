"""What happens between steps: log points, sample grids, checkpoints, the status line.

A job is due when the images seen *cross* a multiple of its cadence, or at the end of the run. Every
process calls every job, in the same order; only process 0 writes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gan_cli.base import checkpoint, distributed
from gan_cli.base.console import Console
from gan_cli.base.errors import DivergedError
from gan_cli.base.printable import printable
from gan_cli.base.progress import duration
from gan_cli.base.randomness import seed_everything
from gan_cli.base.run_folder import Spent, update_run
from gan_cli.base.settings import TrainerSettings
from gan_cli.base.types import State
from gan_cli.game.gan import GAN
from gan_cli.game.meter import Meter
from gan_cli.game.phase import Phase
from gan_cli.media.image import write_png
from gan_cli.media.medium import Medium
from gan_cli.parts.ema import EMA
from gan_cli.run.log import Curves
from gan_cli.use.preview import layout


class Job:
    """Due when images seen cross a multiple of `every` (0: never)."""

    enough = False  # whether the run may end here, before it has seen all its images
    place = 1  # among the others at the end of a run: what must be safe comes first

    def __init__(self, every: int, images: int) -> None:
        self.every, self.last = every, images

    def due(self, state: State) -> bool:
        crossed = self.every > 0 and state.images // self.every > self.last // self.every
        self.last = state.images
        return crossed

    def __call__(self, state: State) -> None:
        raise NotImplementedError

    def begin(self, state: State) -> None:
        """Once, before the first step."""

    def ending(self, state: State) -> None:
        """Once, after the last step, before any job finishes."""

    def finish(self, state: State) -> None:
        """Once, after the last step."""

    def close(self) -> None:
        """Once, however the run ended."""


class LogPoint(Job):
    """Reads the meter: curves, scalars.jsonl, and the check that all is finite."""

    place = 2  # a run that was killed at its end writes its last line again, after those that it keeps

    def __init__(self, every: int, images: int, meter: Meter, curves: Curves | None, phases: list[Phase]) -> None:
        super().__init__(every, images)
        self.meter, self.curves, self.phases = meter, curves, phases
        self.clock, self.counted = time.monotonic(), images
        self.ended: float | None = None
        self.latest: dict[str, float] = {}

    def __call__(self, state: State, last: bool = False) -> None:
        self.meter.check()
        values = self.meter.read()
        for phase in self.phases:
            if phase.on(state.images) and not phase.regularizes:
                values[f"learning_rate/{phase.curve}"] = phase.optimizer.param_groups[0]["lr"]
        now = time.monotonic() if self.ended is None else self.ended
        if state.images > self.counted:  # else it goes on at its end, and has no speed
            values["images_per_second"] = (state.images - self.counted) / max(now - self.clock, 1e-9)
        self.clock, self.counted = now, state.images
        self.latest = dict(sorted(values.items()))
        if self.curves is not None:
            self.curves.scalars(state.images, self.latest, last)

    def ending(self, state: State) -> None:
        """The clock stops here: the checkpoint, the grid and the scores of the end are no training."""
        self.meter.check()  # waits for the device
        self.ended = time.monotonic()

    def finish(self, state: State) -> None:
        """The interval that the end cuts short. The last checkpoint holds its sums: a longer run goes on with them."""
        if self.every and not self.meter.empty:
            self(state, last=True)


class SampleGrid(Job):
    """A grid from fixed latents or held-out data, by the averaged weights: a PNG in samples/ and in TensorBoard."""

    def __init__(
        self,
        settings: TrainerSettings,
        state: State,
        gan: GAN,
        ema: EMA,
        medium: Medium,
        curves: Curves | None,
        folder: Path,
        given: dict[str, Tensor],
    ) -> None:
        super().__init__(settings.sample_every_images, state.images)
        self.gan, self.ema, self.medium, self.curves, self.folder = gan, ema, medium, curves, folder
        self.given, self.seed = given, state.seed
        self.layout = layout(given, gan.translates)
        self.drawn_at = -1
        if curves is not None and state.images:  # of a run that goes on: its picture is there, or is made anew
            if self.file(state).exists() and curves.has("samples", state.images):
                self.drawn_at = state.images
            else:
                curves.take_back("held_out/")

    def file(self, state: State) -> Path:
        return self.folder / f"images-{state.images:09d}.png"

    def __call__(self, state: State) -> None:
        if self.curves is None:
            return
        seed_everything(self.seed, "preview")  # networks with noise of their own: the same in every grid
        rows = self.gan.preview(self.ema.networks, self.given)
        pixels = self.medium.rows(rows, *self.layout)
        self.curves.picture("samples", pixels, state.images)
        scores = {f"held_out/{name}": value.mean().item() for name, value in self.gan.scores(rows).items()}
        if scores:
            self.curves.scalars(state.images, scores)
        write_png(pixels, self.file(state))  # last: where it is, its curves are too
        self.drawn_at = state.images

    def finish(self, state: State) -> None:
        if self.drawn_at != state.images:
            self(state)


class SaveCheckpoint(Job):
    """Everything that the run needs to go on exactly, after a look that all of it is finite.

    `restored` is the checkpoint that the run goes on from: it is whole, and not written again.
    """

    place = 0

    def __init__(
        self,
        settings: TrainerSettings,
        state: State,
        run: Path,
        meter: Meter,
        content: Callable[[], dict[str, Any]],
        summary: dict[str, Any],
        restored: Path | None = None,
    ) -> None:
        super().__init__(settings.checkpoint_every_images, state.images)
        self.run, self.keep, self.meter = run, settings.keep_checkpoints, meter
        self.content, self.summary = content, summary
        self.spent = Spent(run)
        self.newest, self.saved_at = restored, -1 if restored is None else state.images
        if restored is not None and distributed.rank() == 0 and checkpoint.summary_of(restored) is None:
            checkpoint.write_side(restored, {**summary, "progress": state.to_dict()})

    def __call__(self, state: State) -> None:
        if self.saved_at == state.images:
            return
        self.meter.check()
        distributed.all_or_none(lambda: self.write(state))
        self.saved_at = state.images

    def write(self, state: State) -> None:
        """Process 0 does, for all."""
        if distributed.rank() == 0:
            content = self.content()
            self.check_weights(content["gan"])
            summary = {**self.summary, "progress": content["progress"]}
            self.newest = checkpoint.save(self.run, content, summary, self.keep)
            update_run(self.run, images=state.images, seconds=self.spent.seconds())

    def finish(self, state: State) -> None:
        self(state)
        if distributed.rank() == 0:
            assert self.newest is not None
            checkpoint.prune(self.newest, self.keep)  # a run that was killed may not have come to it

    @staticmethod
    def check_weights(weights: dict[str, Tensor]) -> None:
        """
        Raises:
            DivergedError: a step overflowed though its loss was finite; saved, it would push good checkpoints out.
        """
        names = [name for name, value in weights.items() if value.is_floating_point()]
        finite = torch.stack([weights[name].isfinite().all() for name in names]).tolist()
        broken = [name for name, good in zip(names, finite, strict=True) if not good]
        if broken:
            raise DivergedError(f"the run diverged: the weights {broken[0]} became NaN or infinite")


class Status(Job):
    """A bar on a terminal, a line every few seconds elsewhere; from the latest log point, so it waits for nothing."""

    place = 3

    def __init__(self, every_s: float, images: int, total: int, log: LogPoint, console: Console) -> None:
        super().__init__(0, images)
        self.every_s, self.total, self.log, self.console = every_s, total, log, console
        self.begun, self.begun_at, self.shown = time.monotonic(), images, time.monotonic()
        self.bar = None
        cell = console.cell
        if console.path is not None and sys.stdout.isatty() and (cell is None or cell.alone):
            from tqdm import tqdm

            label = None if cell is None else printable(cell.label)
            about: dict[str, Any] = {"desc": label, "leave": cell is None}  # what a cell leaves is its closing line
            self.bar = tqdm(
                total=total, initial=images, unit="image", unit_scale=True, dynamic_ncols=True, file=sys.stdout, **about
            )

    def due(self, state: State) -> bool:
        return time.monotonic() - self.shown >= (0.2 if self.bar is not None else self.every_s)

    def __call__(self, state: State) -> None:
        self.shown = time.monotonic()
        losses = {name.split("/")[1]: value for name, value in self.log.latest.items() if name.startswith("loss/")}
        if self.bar is not None:
            self.bar.n = min(state.images, self.total)
            self.bar.set_postfix({name: f"{value:.3f}" for name, value in losses.items()})
            return
        rate = (state.images - self.begun_at) / max(self.shown - self.begun, 1e-9)
        left = max(self.total - state.images, 0) / max(rate, 1e-9)
        parts = [
            f"{min(state.images, self.total):,} of {self.total:,} images",
            speed(rate),
            f"{duration(left)} left",
        ]
        parts += [f"{name} {value:.3f}" for name, value in losses.items()]
        self.console("  " + "   ".join(parts))

    def finish(self, state: State) -> None:
        if self.bar is not None:
            self(state)
            self.close()  # before anything else is printed

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None


def speed(rate: float) -> str:
    """Images a second, so that a slow one reads too: '1,539 images/s', '2.4 images/s', '25 s/image'."""
    if rate >= 9.95:
        return f"{rate:,.0f} images/s"
    return f"{rate:.1f} images/s" if rate >= 0.1 else f"{1 / max(rate, 1e-9):,.0f} s/image"
