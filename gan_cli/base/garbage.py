"""How often Python looks for garbage: seldom while a command starts, as usual once torch is loaded.

What starting makes stays, and looking through it again and again takes a tenth of the time.
"""

from __future__ import annotations

import gc

SELDOM = (100_000, 50, 50)
_usual = gc.get_threshold()


def collect_seldom() -> None:
    """Collect garbage seldom; for the start of a command, until torch is loaded."""
    gc.set_threshold(*SELDOM)


def collect_as_usual() -> None:
    """Collect garbage as Python does by itself: training holds tensors in cycles, which should go soon."""
    gc.set_threshold(*_usual)
