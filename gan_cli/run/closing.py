"""The last lines of a run, and the warning of a run that goes on to where nothing more is learned."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator
from pathlib import Path

from gan_cli.base.printable import shown
from gan_cli.run.session import Session


def closing(folder: Path, session: Session, early: bool) -> Iterator[str]:
    """Yield the last lines of a run that has seen all its images, or that patience ended `early`."""
    run, images = shown(folder), session.state.images
    newest = max((folder / "samples").glob("images-*"), default=folder)
    why = ", ended early: trainer.keep_best was not bettered for trainer.patience_images" if early else ""
    yield f"done       {images:,} images{why}; samples in {shown(newest)}"
    yield f"next       gan-sample checkpoint={shlex.quote(run)}"
    if not early and session.learns(images):
        yield f"           gan-train resume={shlex.quote(run)} trainer.total_images={rounded(2 * images)}"
    yield f"           tensorboard --logdir {shlex.quote(log_folder(run))}"


def standing_still(folder: Path, session: Session) -> str | None:
    """Return a warning if the schedule has ended at a rate of 0, so that the run's further images change nothing."""
    images, total = session.state.images, session.config.trainer.total_images
    if images >= total or session.learns(images) or session.learns(total):
        return None
    return (
        f"warning: the learning rate fell to 0 before these {images:,} images (optimizer.schedule), so that to go on"
        " changes nothing; for a run that learns on from here: gan-train"
        f" init_from={shlex.quote(shown(folder))} optimizer.schedule.kind=constant trainer.total_images=N"
    )


def rounded(images: int) -> int:
    """Round a number of images to two digits: 200,064 -> 200,000."""
    unit = 10 ** max(0, math.floor(math.log10(max(images, 1))) - 1)
    return round(images / unit) * unit


def log_folder(run: str) -> str:
    """Return the folder at which TensorBoard shows this run among the others."""
    return "outputs" if run.startswith("outputs/") else str(Path(run).parent)
