"""The curves of a run: TensorBoard and scalars.jsonl."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from gan_cli.base.console import Console
from gan_cli.base.events import EVALUATED, EVENTS, LAST, EventFile, tags_at
from gan_cli.base.files import loads, open_to_append, read_text, write_atomically
from gan_cli.base.printable import printable
from gan_cli.base.run_config import Composed
from gan_cli.base.run_folder import flat, not_learned
from gan_cli.base.scoring import finite, read_scores

CHARTS = {  # tab -> chart -> its curves, found by a pattern, so that any number of players will do
    "losses": {"all players": ["Multiline", ["loss/.*"]]},
    "critic": {"logits of reals and fakes": ["Multiline", ["logits/.*"]]},
}
COLUMNS = ("seed", "trainer.total_images", "trainer.batch_size", "optimizer.learning_rate")  # of every run, in HPARAMS


@dataclass
class Logbook:
    """The places where a run writes down what happens.

    Attributes:
        folder: the run's.
        console: its lines, on the terminal and in run.log.
        curves: None but in process 0.
    """

    folder: Path
    console: Console
    curves: Curves | None = None


class Curves:
    """TensorBoard events in the run folder, and scalars.jsonl with the same values; x is images seen.

    A run that crashed after its last checkpoint has points beyond it. Opened again at `images`, the curves remove these
    from both files. TensorBoard also gets the points at `images` that a killed run had no time to write.

    Args:
        folder: the run's.
        images: seen so far.
        unfinished: whether `images` lies within an interval between two log points. Then the values that the run wrote
            at its earlier end, of the first part of that interval, are removed too; the whole interval is logged later.
    """

    def __init__(self, folder: Path, images: int, unfinished: bool = False) -> None:
        self.folder, self.lines, self.images = folder, folder / "scalars.jsonl", images
        again = self.lines.exists() or any(folder.glob(EVENTS))
        for last in folder.glob(EVENTS + LAST):
            last.unlink()
        self.written_names = tags_at(folder, images) if images else set()
        self._keep_lines(lambda line: _images_of(line) <= images)
        if unfinished:
            self.take_back("loss/")  # every line of a log point has such a value, and no other line does
        self.events = EventFile(folder, purge_step=(images + 1 if images else 0) if again else None)
        for values in self._values_at(images):
            self._write_points(images, values)

    def names_at(self, images: int) -> set[str]:
        """Return the names of the values at a number of images."""
        return {name for values in self._values_at(images) for name in values}

    def scalars(self, images: int, values: dict[str, float], last: bool = False) -> None:
        """Write values as a line of scalars.jsonl and as points.

        Args:
            images: seen so far.
            values: by name.
            last: whether the run's end cuts the values' interval short. Their points then stand in an event file of
                their own, which a run that goes on removes.
        """
        with open_to_append(self.lines) as file:
            file.write((json.dumps({"images": images, **values}) + "\n").encode())
        if last:
            EventFile(self.folder, LAST).add(images, _summaries(values))
        else:
            self._write_points(images, values)

    def picture(self, name: str, pixels: Tensor, images: int) -> None:
        from torch.utils.tensorboard.summary import image

        if not self.has(name, images):
            self.events.add(images, [image(name, pixels, dataformats="CHW")])
            self._mark_written([name], images)

    def has(self, name: str, images: int) -> bool:
        """Return whether TensorBoard has a point of this name, at the images where the run was opened again."""
        return images == self.images and name in self.written_names

    def take_back(self, prefix: str) -> None:
        """Remove the lines of values whose names begin with `prefix`, at the images where the run was opened again.

        The run writes them anew. TensorBoard keeps its points: a resumed run repeats itself, so the values are equal.
        """
        self._keep_lines(lambda line: not (_images_of(line) == self.images and f'"{prefix}' in line))

    def _write_points(self, images: int, values: dict[str, float]) -> None:
        points = {name: value for name, value in values.items() if not self.has(headline(name), images)}
        self.events.add(images, _summaries(points))
        self._mark_written(map(headline, points), images)

    def _mark_written(self, names: Iterable[str], images: int) -> None:
        if images == self.images:
            self.written_names.update(names)

    def _values_at(self, images: int) -> list[dict[str, float]]:
        """Return the finite values of each line at a number of images."""
        lines = read_text(self.lines).splitlines() if self.lines.exists() else []
        entries = [loads(line) for line in lines if _images_of(line) == images]
        return [
            {name: value for name, value in entry.items() if name != "images" and finite(value) is not None}
            for entry in entries
        ]

    def _keep_lines(self, is_kept: Callable[[str], bool]) -> None:
        """Keep only the lines for which `is_kept` is true; leave the file alone where that is all of them."""
        if self.lines.exists():
            text = read_text(self.lines)
            kept = "".join(line + "\n" for line in text.splitlines() if is_kept(line))
            if kept != text:
                write_atomically(self.lines, kept.encode())

    def describe(
        self, config: Composed, text: str, typed: Iterable[str] = (), axes: Iterable[str] | None = None
    ) -> None:
        """Write the config as text, the HPARAMS row and the charts of several curves, once at the start of a run.

        Args:
            config: the composed config.
            text: the config as text to read.
            typed: keys that were overridden by hand: further columns of the row.
            axes: for a sweep's cell, the keys in which the cells differ: the only columns of the row.
        """
        from torch.utils.tensorboard.summary import custom_scalars, hparams
        from torch.utils.tensorboard.summary import text as as_text

        shown = as_text("config", "\n".join("    " + printable(line) for line in text.splitlines()))
        # Only the row: of the lists of columns that runs write, TensorBoard takes one. Without any it shows the columns
        # of all runs, those in which they differ first, and every score. (add_hparams would make a second run folder.)
        _, row, _ = hparams(hyperparameters(config, typed, axes), {})
        self.events.add(0, [shown, row, custom_scalars(CHARTS)])


def _summaries(values: dict[str, float]) -> list[Any]:
    from torch.utils.tensorboard.summary import scalar

    return [scalar(headline(name), value) for name, value in values.items()]


def _images_of(line: str) -> float:
    try:
        return float(loads(line)["images"])
    except (ValueError, KeyError, TypeError, OverflowError):  # the torn last line of a run that was killed
        return float("inf")


def headline(name: str) -> str:
    """Return a scalar's name in TensorBoard: `Score/fid` for `score/fid`.

    TensorBoard's tabs show capitals first, and HPARAMS has room for five columns.
    """
    return name.capitalize() if name.startswith(("score/", "held_out/")) else name


def hyperparameters(
    config: Composed, typed: Iterable[str] = (), axes: Iterable[str] | None = None
) -> dict[str, str | float]:
    """Return the few options that tell runs apart, by short names: choices, `COLUMNS`, and keys overridden by hand.

    A cell has its axes alone: TensorBoard's table has all hyper-parameters before the scores, whether they vary or not.
    """
    chosen = {**(config.get("choices") or {}), "penalty": "+".join(config.get("penalty") or {})}
    columns = None if axes is None else {key.lstrip("+~") for key in axes}
    row: dict[str, str | float] = {
        name: option or "none"
        for name, option in chosen.items()
        if not not_learned(name) and (columns is None or name in columns)
    }
    leaves = flat(config)
    for key in (*COLUMNS, *sorted(set(typed))) if columns is None else sorted(columns):
        if key not in leaves or key in chosen or not_learned(key):
            continue
        value = leaves[key]
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and key != "seed"  # a seed is a name
        short = re.sub(r"^(trainer|model|optimizer)\.", "", key)
        row[key if short in row else short] = value if number else printable(str(value))
    return row


def show_evaluated(folder: Path) -> None:
    """Write the scores of gan-evaluate in a run's metrics.jsonl into TensorBoard, as `Evaluated/NAME`.

    They stand apart from training's own scores, whose protocol may be another. The curve of a name holds the scores of
    its newest protocol. The event file is written anew, in the order of images. Checkpoints are scored in any order,
    and TensorBoard's reader drops points that stand beyond a point that comes later. A run that has no curves gets
    none.
    """
    if not any(folder.glob(EVENTS)):
        return
    from torch.utils.tensorboard.summary import scalar

    lines = [line for line in read_scores(folder) if line.get("checkpoint") is not None]
    newest = {line["name"]: line["protocol_digest"] for line in lines if line["images"] is not None}
    points = {
        (line["images"], line["name"]): line["value"]
        for line in lines
        if line["images"] is not None and newest[line["name"]] == line["protocol_digest"]
    }
    for old in folder.glob(EVENTS + EVALUATED):
        old.unlink(missing_ok=True)
    events = EventFile(folder, EVALUATED)
    for images, name in sorted(points):
        events.add(images, [scalar(f"Evaluated/{name}", points[images, name])])
