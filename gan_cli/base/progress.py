"""Progress of long work: a bar on a terminal, a line every few seconds elsewhere.

It is for all work that may take longer than a moment, except training, which has a status line. Work that ends soon
shows nothing. All output goes to stderr, since another program may read a command's stdout. Imports no torch.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, TypeVar

from gan_cli.base.garbage import collect_as_usual
from gan_cli.base.printable import printable, tell

BAR_AFTER_S, BAR_EVERY_S = 1.0, 0.2  # on a terminal
LINE_EVERY_S = 10.0  # elsewhere; also the time before the first line
Item = TypeVar("Item")


class Progress:
    """A context in which a thread shows progress; a call counts items as done.

    Args:
        what: the work in words, such as "training a classifier".
        total: the number of items; None where it is unknown or nothing is counted.
        unit: the items' name.
        about: how long the work takes, in words, where nothing is counted.
        at_once: whether to show the bar before the work starts, since the work may block other threads (an import).
    """

    def __init__(
        self, what: str, total: int | None = None, unit: str = "", about: str = "", at_once: bool = False
    ) -> None:
        self.what, self.total, self.unit, self.about, self.at_once = printable(what), total, unit, about, at_once
        self.done = 0
        self.bar: Any = None
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Progress:
        self.begun = time.monotonic()
        self.quiet = int(os.environ.get("RANK", "0")) > 0  # of several processes, one shows progress
        if self.quiet:
            return self
        if self.at_once and on_terminal():
            self._show()
        self.thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self.ended.set()
        if not self.quiet:
            self.thread.join()
            if self.bar is not None:
                self.bar.close()

    def __call__(self, count: int = 1) -> None:
        """Count `count` more items as done."""
        self.done += count

    def _watch(self) -> None:
        terminal = on_terminal()
        pause = BAR_AFTER_S if terminal else LINE_EVERY_S
        while not self.ended.wait(pause):
            if terminal:
                self._show()
                pause = BAR_EVERY_S
            elif sys.stderr is not None:
                with suppress(OSError, ValueError):  # a closed terminal or pipe does not end the work
                    tell(f"  {self.line()}", sys.stderr)

    def _show(self) -> None:
        from tqdm import tqdm

        if self.bar is None:
            form = None if self.total is not None else "{desc}   {elapsed}"
            description = self.what + (f", {self.about}" if self.about else "")
            self.bar = tqdm(total=self.total, desc=description, unit=f" {self.unit}", leave=False, bar_format=form)
            self.bar.start_t -= time.monotonic() - self.begun
        self.bar.n = self.done if self.total is None else min(self.done, self.total)
        self.bar.refresh()

    def line(self) -> str:
        """Format the progress so far: `training a classifier   500 of 1,400 steps   12s, 22s left`."""
        passed = time.monotonic() - self.begun
        parts, spent = [self.what], duration(passed)
        if self.total is not None:
            parts.append(f"{self.done:,} of {self.total:,} {self.unit}".rstrip())
        elif self.done:
            parts.append(f"{self.done:,} {self.unit}".rstrip())
        if self.total and self.done:
            spent += f", {duration(passed / self.done * max(self.total - self.done, 0))} left"
        elif self.about:
            spent += f", {self.about}"
        return "   ".join([*parts, spent])


def counted(items: Iterable[Item], what: str, total: int | None = None, unit: str = "") -> Iterator[Item]:
    """Yield the items and show how many are done."""
    with Progress(what, total, unit) as step:
        for item in items:
            yield item
            step()


class LoadingTorch(Progress):
    """Ends the start of a command: from here on garbage is collected as usual."""

    def __exit__(self, *failure: object) -> None:
        super().__exit__(*failure)
        collect_as_usual()


def loading_torch() -> Progress:
    """Return a context that shows progress during the first import of torch: seconds, or minutes from a cold disk."""
    return LoadingTorch(
        "loading torch", about="slow from a cold disk or on a busy machine", at_once="torch" not in sys.modules
    )


def on_terminal() -> bool:
    """Return whether stderr, where progress is shown, is a terminal."""
    try:
        return sys.stderr.isatty()
    except (AttributeError, ValueError):  # stderr is None, or closed
        return False


def duration(seconds: float) -> str:
    """Format a duration: 75.0 becomes `1m15s`."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds}s"
    if seconds < 3600:
        return f"{seconds // 60}m{seconds % 60:02d}s"
    return f"{seconds // 3600}h{seconds % 3600 // 60:02d}m"
