"""Lazy regularization as published: a penalty that is due on every k-th step takes a step of its own there."""

from __future__ import annotations

from dataclasses import replace

from gan_cli.game.phase import Phase


def lazy_phases(phases: list[Phase]) -> list[Phase]:
    """The same phases, with those of their penalties that have `every` > 1 in phases of their own behind them.

    They share their player's optimizer, which then takes 1 + 1/k steps for one: its rate is multiplied, and its
    betas are raised, by k / (k + 1) (Karras et al. 2020, appendix B).
    """
    found = []
    for phase in phases:
        lazy = {name: penalty for name, penalty in phase.penalties.items() if penalty.every > 1}
        slower = 1 / (1 + sum(1 / penalty.every for penalty in lazy.values()))
        kept = {name: penalty for name, penalty in phase.penalties.items() if name not in lazy}
        main = replace(phase, penalties=kept, course=phase.course.changed(slower=slower))
        found.append(main)
        for name, penalty in lazy.items():
            own = f"{phase.curve}_{name}"
            turn = replace(main, every=penalty.every, repeat=1, regularizes=True)
            found.append(replace(turn, name=f"{phase.name}_{name}", curve=own, penalties={name: penalty}))
    return found
