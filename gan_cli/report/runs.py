"""Run folders as they lie on disk: complete, cut off, damaged or unreadable."""

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
Key = tuple[str, str]  # a score's name and the digest of its protocol; values of one key are comparable


@dataclass(frozen=True)
class Point:
    """One line of metrics.jsonl.

    Attributes:
        better: "lower" or "higher"; None where neither is better.
        images: the images that the model had seen; None where they are unknown.
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
    """The content of a run folder.

    Attributes:
        name: the folder relative to the reported one, with `/`.
        status: the status in run.json; "cut" where that is "running" but no process holds the lock, "not started"
            where there is only a config, "unreadable" where run.json is broken.
        record: run.json; empty where it is unreadable.
        config: config.json; empty where it is missing or unreadable.
        losses: an entry for each log point: "images", and a value for each key such as "loss/generator".
        scores: the points of each score and protocol, sorted by images; the last written of those at equal images.
        problems: sentences about what could not be read.
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
        """Return the names of the model, the loss and the data set, as far as run.json has them."""
        parts = self.record.get("parts")
        return {group: parts[group] for group in PARTS if group in parts} if isinstance(parts, dict) else {}

    @property
    def choices(self) -> dict[str, Any]:
        """Return the chosen option of each config group."""
        choices = self.config.get("choices")
        return choices if isinstance(choices, dict) else {}

    @property
    def images(self) -> int:
        return int(self.number("images") or 0)

    def number(self, key: str) -> float | None:
        """Return the number under a key of run.json, or None where there is none."""
        return finite(self.record.get(key))

    def progress(self) -> str:
        """Format the images seen and their planned total: `50,000 of 60,000`."""
        total = self.number("total_images")
        return f"{self.images:,}" + (f" of {int(total):,}" if total is not None else "")

    def loss_names(self) -> list[str]:
        """List the names of all losses that were ever logged, such as `loss/generator`."""
        return sorted({name for entry in self.losses for name in entry} - {"images"})

    def losses_of(self, name: str) -> list[tuple[float, float]]:
        """List the images and the value of one loss, by images."""
        return [(entry["images"], entry[name]) for entry in self.losses if name in entry]

    def final_losses(self) -> dict[str, float]:
        """Return the mean losses of the last log point."""
        return {key: value for key, value in self.losses[-1].items() if key != "images"} if self.losses else {}


def is_run(folder: Path) -> bool:
    return (folder / "run.json").exists() or (folder / CONFIG).exists()


def read_run(folder: Path, name: str, curves: bool = True) -> Run:
    """Read what a report needs from a run folder. Broken files raise nothing and are described in `problems`.

    Args:
        curves: whether to read the losses, which are long.
    """
    name = name.encode("utf-8", "replace").decode()  # a name that is no valid text can't be printed
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
    latest: dict[Key, dict[int | None, Point]] = {}  # the last written point at each number of images
    for number, entry in lines_of(run.folder / METRICS_FILE, run):
        point = point_of(entry)
        if point is None:
            run.problems.append(f"{run.name}: line {number} of {METRICS_FILE} is no score and is left out")
            continue
        latest.setdefault(point.key, {})[point.images] = point
    for key, points in latest.items():
        run.scores[key] = sorted(points.values(), key=lambda point: point.images or 0)


def is_held(folder: Path) -> bool:
    """Return whether a process holds the lock of a run folder. Create no file."""
    if not (folder / ".lock").is_file():
        return False
    try:
        with locked(folder, "the run folder"):
            return False
    except (UserError, OSError):  # OSError: another user's folder, so believe its run.json
        return True


def lines_of(file: Path, run: Run) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the number and the content of each line of a .jsonl, and describe broken lines in `run.problems`.

    An incomplete last line is skipped without a word: a run that was killed while it wrote leaves one.
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
    """Convert a line of metrics.jsonl to a point. Return None where it is no score."""
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
    """Return the images and the value of each point; unknown images count as 0."""
    return [(point.images or 0, point.value) for point in points]


def statuses(runs: list[Run]) -> str:
    """Count runs by their status, as `2 finished, 1 diverged`."""
    return ", ".join(f"{count} {status}" for status, count in sorted(Counter(run.status for run in runs).items()))


def best_of(points: list[Point]) -> Point:
    """Find the best of a score's points, the earliest of equal ones; the newest where neither end is better."""
    better = points[-1].better
    if better is None:
        return points[-1]
    return min(points, key=lambda point: point.value if better == "lower" else -point.value)


def runs_below(root: Path) -> tuple[list[Run], list[str]]:
    """Read every run in or below a folder, sorted by name, and list a sentence for each folder that can't be opened.

    A linked folder is searched only in itself and its direct subfolders, where a sweep has its cells: a link may lead
    to the root of the disk. Each run is read once.
    """
    runs, unopened, seen = [], [], set()

    def read_once(folder: Path) -> bool:
        """Read a folder if it is a run that was not read before. Return whether it is a run."""
        real = os.path.realpath(folder)
        if real not in seen and is_run(folder):
            relative = folder.relative_to(root).as_posix()
            runs.append(read_run(folder, folder.resolve().name if relative == "." else relative, curves=False))
            seen.add(real)
        return real in seen

    for place, folders, _ in os.walk(root, onerror=lambda error: unopened.append(f"{error.filename} can't be opened")):
        folder = Path(place)
        if read_once(folder):
            folders[:] = [name for name in folders if name not in ("checkpoints", "samples", ".hydra")]
        for link in (folder / name for name in sorted(folders)):
            if link.is_symlink() and not read_once(link):
                try:
                    cells = sorted(cell for cell in link.iterdir() if cell.is_dir())
                except OSError:
                    unopened.append(f"{link} can't be opened")
                    continue
                for cell in cells:
                    read_once(cell)
    return sorted(runs, key=lambda run: run.name), sorted(unopened)
