"""Run folders as they are found on disk: whole, cut, torn or unreadable."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gan_cli.base.errors import UserError
from gan_cli.base.files import loads, read_json, read_text
from gan_cli.base.run_folder import CONFIG, check_entries, locked
from gan_cli.base.scoring import METRICS_FILE, finite

PARTS = ("model", "loss", "dataset")
Key = tuple[str, str]  # a score's name and the digest of its protocol: what may be compared


@dataclass(frozen=True)
class Point:
    """One line of metrics.jsonl.

    Attributes:
        better: "lower", "higher", or None where neither end is.
        images: what the model had seen; None where that was not known.
    """

    name: str
    value: float
    better: str | None
    images: int | None
    protocol: dict[str, Any]
    digest: str

    @property
    def key(self) -> Key:
        return self.name, self.digest


@dataclass
class Run:
    """A run folder's content.

    Attributes:
        name: the folder as seen from where the report looks, with `/`.
        status: of run.json; "cut" where a run says that it is running and no process holds its lock, "not started"
            where there is a config alone, "unreadable" where run.json is broken.
        record: run.json; empty where it is unreadable.
        config: config.json; empty where it is missing or unreadable.
        losses: a line for each log point: "images", and a value for each key as "loss/generator".
        scores: of each score and protocol the points by images; of points at the same images the last written.
        problems: sentences on what could not be read.
    """

    folder: Path
    name: str
    status: str
    record: dict[str, Any]
    config: dict[str, Any] = field(default_factory=dict)
    losses: list[dict[str, float]] = field(default_factory=list)
    scores: dict[Key, list[Point]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def parts(self) -> dict[str, Any]:
        """Model, loss and data set, those that run.json knows."""
        parts = self.record.get("parts")
        return {group: parts[group] for group in PARTS if group in parts} if isinstance(parts, dict) else {}

    @property
    def choices(self) -> dict[str, Any]:
        """The chosen option of each group."""
        choices = self.config.get("choices")
        return choices if isinstance(choices, dict) else {}

    @property
    def images(self) -> int:
        return int(self.number("images") or 0)

    def number(self, key: str) -> float | None:
        """A number of run.json, or None where it has none under that key."""
        return finite(self.record.get(key))

    def progress(self) -> str:
        """`50,000 of 60,000`: the images seen, and of how many."""
        total = self.number("total_images")
        return f"{self.images:,}" + (f" of {int(total):,}" if total is not None else "")

    def loss_names(self) -> list[str]:
        """The names of all losses that were ever logged, as `loss/generator`."""
        return sorted({name for entry in self.losses for name in entry} - {"images"})

    def losses_of(self, name: str) -> list[tuple[float, float]]:
        """Images and value of one loss, by images."""
        return [(entry["images"], entry[name]) for entry in self.losses if name in entry]

    def final_losses(self) -> dict[str, float]:
        """The means of the last log point."""
        return {key: value for key, value in self.losses[-1].items() if key != "images"} if self.losses else {}


def is_run(folder: Path) -> bool:
    return (folder / "run.json").exists() or (folder / CONFIG).exists()


def read_run(folder: Path, name: str, curves: bool = True) -> Run:
    """Everything a report needs of a run folder; what is broken is said in `problems`. Raises nothing.

    Args:
        curves: whether to read the losses, which are long.
    """
    name = name.encode("utf-8", "replace").decode()  # a name that is no text can be printed nowhere
    file = folder / "run.json"
    try:
        check_entries(folder)
    except UserError as error:
        return Run(folder, name, "unreadable", {}, problems=[str(error)])
    record = read_json(file)
    if record is None and file.exists():
        return Run(folder, name, "unreadable", {}, problems=[f"{name}: its run.json can't be read"])
    if record is None:
        return Run(folder, name, "not started", {}, read_json(folder / CONFIG) or {})
    status = str(record.get("status", "unknown"))
    if status == "running" and not is_held(folder):
        status = "cut"
    run = Run(folder, name, status, record, read_json(folder / CONFIG) or {})
    if curves:
        read_losses(run)
    read_points(run)
    return run


def read_losses(run: Run) -> None:
    for number, entry in lines_of(run.folder / "scalars.jsonl", run):
        kept = {key: finite(value) for key, value in entry.items() if key == "images" or key.startswith("loss/")}
        if kept.get("images") is None:
            run.problems.append(f"{run.name}: line {number} of scalars.jsonl says no images and is left out")
            continue
        run.losses.append({key: value for key, value in kept.items() if value is not None})


def read_points(run: Run) -> None:
    found: dict[Key, dict[int | None, Point]] = {}
    for number, entry in lines_of(run.folder / METRICS_FILE, run):
        point = point_of(entry)
        if point is None:
            run.problems.append(f"{run.name}: line {number} of {METRICS_FILE} is no score and is left out")
            continue
        found.setdefault(point.key, {})[point.images] = point
    for key, points in found.items():
        run.scores[key] = sorted(points.values(), key=lambda point: point.images or 0)


def is_held(folder: Path) -> bool:
    """Whether a process works in the folder. Makes no file."""
    if not (folder / ".lock").is_file():
        return False
    try:
        with locked(folder, "the run folder"):
            return False
    except (UserError, OSError):  # OSError: another user's folder, so take the run's word
        return True


def lines_of(file: Path, run: Run) -> Iterator[tuple[int, dict[str, Any]]]:
    """The lines of a .jsonl with their numbers; broken ones are said in `run.problems`.

    But for the last: a run that was killed while it wrote has it torn.
    """
    try:
        lines = read_text(file).splitlines()
    except FileNotFoundError:
        return
    except UserError as error:
        run.problems.append(str(error))
        return
    except OSError as error:
        run.problems.append(f"{run.name}: its {file.name} can't be read ({error.strerror})")
        return
    broken = []
    for number, line in enumerate(lines, 1):
        try:
            entry = loads(line)
        except ValueError:
            if number < len(lines) and line.strip():
                broken.append(str(number))
            continue
        if isinstance(entry, dict):
            yield number, entry
        else:
            broken.append(str(number))
    if broken:
        which = f"line {broken[0]} of {file.name} is" if len(broken) == 1 else f"lines {', '.join(broken)} are"
        of = "" if len(broken) == 1 else f" of {file.name}"
        run.problems.append(f"{run.name}: {which} broken and left out{of}")


def point_of(entry: dict[str, Any]) -> Point | None:
    """A line of metrics.jsonl, or None where it is not one."""
    name, value, protocol = entry.get("name"), finite(entry.get("value")), entry.get("protocol")
    images, digest, better = finite(entry.get("images")), entry.get("protocol_digest"), entry.get("better")
    if not isinstance(name, str) or value is None or not isinstance(digest, str):
        return None
    return Point(
        name=name,
        value=value,
        better=better if better in ("lower", "higher") else None,
        images=None if images is None else int(images),
        protocol=protocol if isinstance(protocol, dict) else {},
        digest=digest,
    )


def curve(points: list[Point]) -> list[tuple[float, float]]:
    """Images and value of each."""
    return [(point.images or 0, point.value) for point in points]


def statuses(runs: list[Run]) -> str:
    """How runs ended, as `2 finished, 1 diverged`."""
    return ", ".join(f"{count} {status}" for status, count in sorted(Counter(run.status for run in runs).items()))


def best_of(points: list[Point]) -> Point:
    """The best of a run's points, the earliest of equal ones; the newest where there is no better end."""
    better = points[-1].better
    if better is None:
        return points[-1]
    return min(points, key=lambda point: point.value if better == "lower" else -point.value)


def runs_below(root: Path) -> tuple[list[Run], list[str]]:
    """Every run in or below a folder, by name, and a sentence for each folder that could not be opened.

    A linked folder is followed where it is a run or has runs as a sweep has its cells: no deeper, since it may lead to
    the root of the disk. Each run is met once.
    """
    found, closed, seen = [], [], set()

    def meet(folder: Path) -> bool:
        real = os.path.realpath(folder)
        if real not in seen and is_run(folder):
            relative = folder.relative_to(root).as_posix()
            found.append(read_run(folder, folder.resolve().name if relative == "." else relative, curves=False))
            seen.add(real)
        return real in seen

    for place, folders, _ in os.walk(root, onerror=lambda error: closed.append(f"{error.filename} can't be opened")):
        folder = Path(place)
        if meet(folder):
            folders[:] = [name for name in folders if name not in ("checkpoints", "samples", ".hydra")]
        for link in (folder / name for name in sorted(folders)):
            if link.is_symlink() and not meet(link):
                try:
                    cells = sorted(cell for cell in link.iterdir() if cell.is_dir())
                except OSError:
                    closed.append(f"{link} can't be opened")
                    continue
                for cell in cells:
                    meet(cell)
    return sorted(found, key=lambda run: run.name), sorted(closed)
