"""The jobs of a run between its steps: log points, sample grids, checkpoints, the status line.

A job is due when the images seen *cross* a multiple of its cadence, or at the end of the run. Every
process calls every job, in the same order; only process 0 writes.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gan_cli.base import checkpoint, distributed
from gan_cli.base.errors import DivergedError
from gan_cli.base.machine import versions
from gan_cli.base.printable import printable
from gan_cli.base.progress import duration
from gan_cli.base.randomness import seed_everything
from gan_cli.base.records import SideFile
from gan_cli.base.run_folder import Spent, digest_of, model_facts, update_run
from gan_cli.game.build import parameter_counts
from gan_cli.game.game import Given, joined
from gan_cli.media.image import write_png
from gan_cli.media.medium import arranged
from gan_cli.run.log import Logbook
from gan_cli.run.session import Session


class Job:
    """A job that is due when images seen cross a multiple of `every` (0: never)."""

    enough = False  # whether the run may end here, before it has seen all its images
    place = 1  # in the order at the end of a run: what must be safe comes first

    def __init__(self, session: Session, logbook: Logbook, every: int) -> None:
        self.session, self.logbook = session, logbook
        self.every, self.last = every, session.state.images

    def due(self) -> bool:
        images = self.session.state.images
        crossed = self.every > 0 and images // self.every > self.last // self.every
        self.last = images
        return crossed

    def __call__(self) -> None:
        raise NotImplementedError

    def begin(self) -> None:
        """Run once, before the first step."""

    def ending(self) -> None:
        """Run once, after the last step, before any job finishes."""

    def finish(self) -> None:
        """Run once, after the last step."""

    def close(self) -> None:
        """Run once, however the run ended."""


class LogPoint(Job):
    """The job that reads the meter, writes curves and scalars.jsonl, and checks that all values are finite."""

    place = 2  # a run that was killed at its end writes its last line again, after those that it keeps

    def __init__(self, session: Session, logbook: Logbook) -> None:
        super().__init__(session, logbook, session.config.trainer.log_every_images)
        self.clock, self.counted = time.monotonic(), session.state.images
        self.ended: float | None = None
        self.latest: dict[str, float] = {}

    def __call__(self, last: bool = False) -> None:
        meter, images = self.session.meter, self.session.state.images
        meter.check()
        values = meter.read()
        for phase in self.session.phases:
            if phase.on(images) and not phase.regularizes:
                values[f"learning_rate/{phase.curve}"] = phase.optimizer.param_groups[0]["lr"]
        now = time.monotonic() if self.ended is None else self.ended
        if images > self.counted:  # else the run was resumed at its end, and has no speed
            values["images_per_second"] = (images - self.counted) / max(now - self.clock, 1e-9)
        self.clock, self.counted = now, images
        self.latest = dict(sorted(values.items()))
        if self.logbook.curves is not None:
            self.logbook.curves.scalars(images, self.latest, last)

    def ending(self) -> None:
        """Stop the clock, since the checkpoint, the grid and the scores of the end are no training."""
        self.session.meter.check()  # waits for the device
        self.ended = time.monotonic()

    def finish(self) -> None:
        """Log the interval that the end cuts short. A longer run goes on with its sums from the last checkpoint."""
        if self.every and not self.session.meter.empty:
            self(last=True)


class SampleGrid(Job):
    """A grid from fixed latents or held-out data, by the averaged weights: a PNG in samples/ and in TensorBoard."""

    def __init__(self, session: Session, logbook: Logbook, examples: Given) -> None:
        super().__init__(session, logbook, session.config.trainer.sample_every_images)
        self.given, self.drawn_at = examples, -1
        curves, images = logbook.curves, session.state.images
        if curves is not None and images:  # a resumed run has this grid already, or draws it again
            if self.file(images).exists() and curves.has("samples", images):
                self.drawn_at = images
            else:
                curves.take_back("held_out/")

    def file(self, images: int) -> Path:
        return self.logbook.folder / "samples" / f"images-{images:09d}.png"

    def __call__(self) -> None:
        session, curves, images = self.session, self.logbook.curves, self.session.state.images
        if curves is None:
            return
        seed_everything(session.state.seed, "preview")  # networks with noise of their own: the same in every grid
        rows = joined(session.game.sample(session.ema.networks, self.given))
        pixels = session.medium.rows(rows, *arranged(rows, self.given.get("label")))
        curves.picture("samples", pixels, images)
        scores = {f"held_out/{name}": value.mean().item() for name, value in session.game.scores(rows).items()}
        if scores:
            curves.scalars(images, scores)
        write_png(pixels, self.file(images))  # last, so that a grid on disk has its curves too
        self.drawn_at = images

    def finish(self) -> None:
        if self.drawn_at != self.session.state.images:
            self()


class SaveCheckpoint(Job):
    """The job that checks that all weights are finite, and saves everything that the run needs to go on exactly.

    `restored` is the checkpoint that the run goes on from: it is complete, and not written again.
    """

    place = 0

    def __init__(self, session: Session, logbook: Logbook, restored: Path | None = None) -> None:
        settings, state = session.config.trainer, session.state
        super().__init__(session, logbook, settings.checkpoint_every_images)
        self.keep, self.spent = settings.keep_checkpoints, Spent(logbook.folder)
        self.newest, self.saved_at = restored, -1 if restored is None else state.images
        if restored is not None and distributed.rank() == 0 and checkpoint.summary_of(restored) is None:
            checkpoint.write_side(restored, {**side_file(session), "progress": state.to_dict()})

    def __call__(self) -> None:
        images = self.session.state.images
        if self.saved_at == images:
            return
        self.session.meter.check()
        distributed.all_or_none(self.write)
        self.saved_at = images

    def write(self) -> None:
        """Write the checkpoint in process 0, for all processes."""
        if distributed.rank() == 0:
            content = self.session.state_dict()
            self.check_weights(content["game"])
            summary: SideFile = {**side_file(self.session), "progress": content["progress"]}
            self.newest = checkpoint.save(self.logbook.folder, content, summary, self.keep)
            update_run(self.logbook.folder, images=self.session.state.images, seconds=self.spent.seconds())

    def finish(self) -> None:
        self()
        if distributed.rank() == 0:
            assert self.newest is not None
            checkpoint.prune(self.newest, self.keep)  # a run that was killed may not have got here

    @staticmethod
    def check_weights(weights: dict[str, Tensor]) -> None:
        """Check that all weights are finite.

        Raises:
            DivergedError: a step overflowed though its loss was finite; saved, it would push good checkpoints out.
        """
        names = [name for name, value in weights.items() if value.is_floating_point()]
        finite = torch.stack([weights[name].isfinite().all() for name in names]).tolist()
        broken = [name for name, good in zip(names, finite, strict=True) if not good]
        if broken:
            raise DivergedError(f"the run diverged: the weights {broken[0]} became NaN or infinite")


def side_file(session: Session) -> SideFile:
    """Return the content of a checkpoint's JSON, besides digest and progress. It is readable without torch."""
    config = session.config.plain
    return {
        "model": session.config.choices.get("model"),
        "networks": model_facts(config),
        "parameters": parameter_counts(session.game),
        "versions": versions(),
        "digest_of_config": digest_of(config),
    }


class Status(Job):
    """A bar on a terminal, else a line every few seconds.

    It shows the values of the latest log point, and so waits for nothing.
    """

    place = 3

    def __init__(self, session: Session, logbook: Logbook, log: LogPoint) -> None:
        super().__init__(session, logbook, 0)
        settings, images, console = session.config.trainer, session.state.images, logbook.console
        self.every_s, self.total, self.log = settings.status_every_s, settings.total_images, log
        self.begun, self.begun_at, self.shown = time.monotonic(), images, time.monotonic()
        self.bar = None
        cell = console.cell
        if console.path is not None and sys.stdout.isatty() and (cell is None or cell.alone):
            from tqdm import tqdm

            label = None if cell is None else printable(cell.label)
            about: dict[str, Any] = {"desc": label, "leave": cell is None}  # a cell leaves only its closing line
            about |= {"total": self.total, "initial": images, "unit": "image"}
            self.bar = tqdm(unit_scale=True, dynamic_ncols=True, file=sys.stdout, **about)

    def due(self) -> bool:
        return time.monotonic() - self.shown >= (0.2 if self.bar is not None else self.every_s)

    def __call__(self) -> None:
        self.shown, images = time.monotonic(), self.session.state.images
        losses = {name.split("/")[1]: value for name, value in self.log.latest.items() if name.startswith("loss/")}
        if self.bar is not None:
            self.bar.n = min(images, self.total)
            self.bar.set_postfix({name: f"{value:.3f}" for name, value in losses.items()})
            return
        rate = (images - self.begun_at) / max(self.shown - self.begun, 1e-9)
        left = max(self.total - images, 0) / max(rate, 1e-9)
        parts = [
            f"{min(images, self.total):,} of {self.total:,} images",
            speed(rate),
            f"{duration(left)} left",
        ]
        parts += [f"{name} {value:.3f}" for name, value in losses.items()]
        self.logbook.console("  " + "   ".join(parts))

    def finish(self) -> None:
        if self.bar is not None:
            self()
            self.close()  # before anything else is printed

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None


def speed(rate: float) -> str:
    """Format images a second, so that a slow rate reads well too: '1,539 images/s', '2.4 images/s', '25 s/image'."""
    if rate >= 9.95:
        return f"{rate:,.0f} images/s"
    return f"{rate:.1f} images/s" if rate >= 0.1 else f"{1 / max(rate, 1e-9):,.0f} s/image"
