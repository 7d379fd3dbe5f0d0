"""Where a command goes on to the part that needs torch."""

from __future__ import annotations

from functools import cache

from gan_cli.base.progress import loading_torch
from gan_cli.base.threads import Threads, choose


def load_torch(threads: int | None) -> None:
    """Have torch work, from here on, in as many CPU threads as were asked for, or as there are cores free."""
    plan = chosen(threads)
    with loading_torch():
        from gan_cli.base.machine import use_threads
    use_threads(plan)


@cache  # once for all cells that a command scores: in another number of threads the last digits differ
def chosen(threads: int | None) -> Threads:
    return choose(threads)
