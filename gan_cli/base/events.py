"""TensorBoard's event files: written in the order that they are read in, each record at once.

The reader takes a folder's files in the order of their names and a name holds the time, so a file of ours is named
after those that are there, whatever the clock says. No thread writes: what was added is in the file.
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
EVALUATED = ".gan_evaluate"  # ends the name of the event file that gan-evaluate writes
LAST = ".last"  # ends that of what a run says of its last, unfinished interval
TIME = re.compile(r"events\.out\.tfevents\.(\d{10})\.")


class EventFile:
    """A new event file of a folder; it sorts after all that are there.

    Args:
        folder: the run's; made if need be.
        suffix: ends its name.
        purge_step: the reader forgets what earlier files say of this step and later ones; None: nothing.
    """

    def __init__(self, folder: Path, suffix: str = "", purge_step: int | None = None) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog

        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / next_name(folder, suffix)
        start = SessionLog(status=SessionLog.START)
        first = [Event(wall_time=time.time(), file_version="brain.Event:2")]
        if (
            purge_step is not None
        ):  # twice: TensorBoard takes the first of a folder for the beginning, and forgets nothing
            first += [Event(wall_time=time.time(), step=purge_step, session_log=start)] * 2
        self._write(first, "xb")

    def add(self, step: int, summaries: Iterable[Any]) -> None:
        """Add some `Summary`, as torch.utils.tensorboard.summary makes them."""
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
    """A name that sorts after those of the folder's event files: by the clock, or a second after the last of them."""
    times = [int(found[1]) for path in folder.glob(EVENTS) if (found := TIME.match(path.name))]
    return f"events.out.tfevents.{max([int(time.time()), *(last + 1 for last in times)]):010d}.gan_train.0{suffix}"


def tags_at(folder: Path, step: int) -> set[str]:
    """What a run's own event files say of a step: the names of its scalars and pictures, as the reader would have them.

    A record that a killed run left unfinished ends its file.
    """
    from tensorboard.compat.proto.event_pb2 import SessionLog

    found: set[str] = set()
    for path in sorted(folder.glob(EVENTS)):
        if path.name.endswith(EVALUATED) or not path.is_file():
            continue
        for event in _events(path):
            if event.session_log.status == SessionLog.START and event.step <= step:
                found.clear()
            elif event.step == step:
                found |= {value.tag for value in event.summary.value}
    return found


def _events(path: Path) -> Iterator[Any]:
    from google.protobuf.message import DecodeError
    from tensorboard.compat.proto.event_pb2 import Event

    for record in _records(path):
        try:
            yield Event.FromString(record)
        except DecodeError:  # damaged: the reader too ends the file here
            return


def _records(path: Path) -> Iterator[bytes]:
    """The whole records of an event file: of each its length (8 bytes), a checksum (4), the content, a checksum (4)."""
    left = path.stat().st_size
    with open(path, "rb") as file:
        while len(header := file.read(12)) == 12:
            (length,) = struct.unpack("<Q", header[:8])
            left -= length + 16
            if left < 0:
                return
            yield file.read(length)
            file.read(4)
