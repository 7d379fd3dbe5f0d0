"""The import of torch by a command, with the number of threads that it uses."""

from __future__ import annotations

from functools import cache

from gan_cli.base.progress import loading_torch
from gan_cli.base.threads import Threads, choose


def load_torch(threads: int | None) -> None:
    """Load torch, and make it use the given number of CPU threads, or as many as there are free cores."""
    plan = chosen(threads)
    with loading_torch():
        from gan_cli.base.machine import use_threads
    use_threads(plan)


@cache  # one choice for all cells that a command scores: with other numbers of threads the last digits differ
def chosen(threads: int | None) -> Threads:
    return choose(threads)
