"""What is going on while a command has nothing else to say: a bar on a terminal, a line now and then elsewhere.

For all that may take longer than a moment besides training itself, whose status line is its own. What is done soon
says nothing. Everything goes to stderr: what a command prints on stdout may be read by another program. Imports no
torch.
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
LINE_EVERY_S = 10.0  # elsewhere; the first after as long
Item = TypeVar("Item")


class Progress:
    """While it is open, a thread of its own shows how far things are; called, it counts.

    Args:
        what: is being done, as in "training a classifier".
        total: of the things that are counted; None where nothing is.
        unit: their name.
        about: how long it takes, in words, where nothing is counted.
        at_once: show the bar now: what follows may not let another thread speak, as a library that is loaded.
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
        self.quiet = int(os.environ.get("RANK", "0")) > 0  # one process of several speaks
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
        """So many more are done."""
        self.done += count

    def _watch(self) -> None:
        terminal = on_terminal()
        pause = BAR_AFTER_S if terminal else LINE_EVERY_S
        while not self.ended.wait(pause):
            if terminal:
                self._show()
                pause = BAR_EVERY_S
            elif sys.stderr is not None:
                with suppress(OSError, ValueError):  # a closed terminal or pipe ends nothing
                    tell(f"  {self.line()}", sys.stderr)

    def _show(self) -> None:
        from tqdm import tqdm

        if self.bar is None:
            form = None if self.total is not None else "{desc}   {elapsed}"
            told = self.what + (f", {self.about}" if self.about else "")
            self.bar = tqdm(total=self.total, desc=told, unit=f" {self.unit}", leave=False, bar_format=form)
            self.bar.start_t -= time.monotonic() - self.begun
        self.bar.n = self.done if self.total is None else min(self.done, self.total)
        self.bar.refresh()

    def line(self) -> str:
        """`training a classifier   500 of 1,400 steps   12s, 22s left`"""
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
    """Items as they come, counted in the open."""
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
    """Show the wait for the first import of torch: seconds, but a minute and more from a cold disk."""
    return LoadingTorch(
        "loading torch", about="slow from a cold disk or on a busy machine", at_once="torch" not in sys.modules
    )


def on_terminal() -> bool:
    """Whether somebody looks at what is said of progress."""
    try:
        return sys.stderr.isatty()
    except (AttributeError, ValueError):  # none, or closed
        return False


def duration(seconds: float) -> str:
    """75.0 -> '1m15s'"""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds}s"
    if seconds < 3600:
        return f"{seconds // 60}m{seconds % 60:02d}s"
    return f"{seconds // 3600}h{seconds % 3600 // 60:02d}m"
