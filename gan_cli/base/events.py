"""TensorBoard's event files, named in the order in which TensorBoard shall read them.

TensorBoard reads a folder's files in the order of their names, and a name holds the time. So a new file gets a name
that sorts after the existing ones, whatever the clock says. Records are written at once, without a thread.
"""

from __future__ import annotations

import io
import re
import struct
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

EVENTS = "events.out.tfevents.*"
EVALUATED = ".gan_evaluate"  # ends the name of an event file that gan-evaluate wrote
LAST = ".last"  # ends the name of the event file of a run's last, unfinished interval
TIME = re.compile(r"events\.out\.tfevents\.(\d{10})\.")


class EventFile:
    """A new event file in a folder; its name sorts after the existing ones.

    Args:
        folder: the run's folder; created if it is missing.
        suffix: the end of the file's name.
        purge_step: TensorBoard forgets what earlier files hold of this step and later ones; None: it forgets nothing.
    """

    def __init__(self, folder: Path, suffix: str = "", purge_step: int | None = None) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog

        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / next_name(folder, suffix)
        start = SessionLog(status=SessionLog.START)
        first = [Event(wall_time=time.time(), file_version="brain.Event:2")]
        if purge_step is not None:  # twice: at the first one in a folder, TensorBoard forgets nothing
            first += [Event(wall_time=time.time(), step=purge_step, session_log=start)] * 2
        self._write(first, "xb")

    def add(self, step: int, summaries: Iterable[Any]) -> None:
        """Add summaries of a step, as `torch.utils.tensorboard.summary` makes them."""
        from tensorboard.compat.proto.event_pb2 import Event

        self._write([Event(wall_time=time.time(), step=step, summary=summary) for summary in summaries], "ab")

    def _write(self, events: Iterable[Any], mode: str) -> None:
        from tensorboard.summary.writer.record_writer import RecordWriter

        framed = io.BytesIO()
        for event in events:
            RecordWriter(framed).write(event.SerializeToString())
        with open(self.path, mode) as file:
            file.write(framed.getvalue())


def next_name(folder: Path, suffix: str = "") -> str:
    """Return a name that sorts after the folder's event files: with the time now, or a second after the last file."""
    times = [int(match[1]) for path in folder.glob(EVENTS) if (match := TIME.match(path.name))]
    return f"events.out.tfevents.{max([int(time.time()), *(last + 1 for last in times)]):010d}.gan_train.0{suffix}"


def tags_at(folder: Path, step: int) -> set[str]:
    """List the names of the scalars and pictures of a step, as TensorBoard would read them.

    Event files that gan-evaluate wrote are left out. Reading a file ends at a record that a killed run left unfinished.
    """
    from tensorboard.compat.proto.event_pb2 import SessionLog

    tags: set[str] = set()
    for path in sorted(folder.glob(EVENTS)):
        if path.name.endswith(EVALUATED) or not path.is_file():
            continue
        for event in _events(path):
            if event.session_log.status == SessionLog.START and event.step <= step:
                tags.clear()
            elif event.step == step:
                tags |= {value.tag for value in event.summary.value}
    return tags


def _events(path: Path) -> Iterator[Any]:
    from google.protobuf.message import DecodeError
    from tensorboard.compat.proto.event_pb2 import Event

    for record in _records(path):
        try:
            yield Event.FromString(record)
        except DecodeError:  # damaged: TensorBoard also stops here
            return


def _records(path: Path) -> Iterator[bytes]:
    """Yield the content of each complete record of an event file.

    A record is its length (8 bytes), a checksum (4), the content and a checksum (4).
    """
    remaining = path.stat().st_size
    with open(path, "rb") as file:
        while len(header := file.read(12)) == 12:
            (length,) = struct.unpack("<Q", header[:8])
            remaining -= length + 16
            if remaining < 0:
                return
            yield file.read(length)
            file.read(4)
