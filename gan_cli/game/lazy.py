"""Lazy regularization as published: a penalty that is due on every k-th step takes an optimizer step of its own."""

from __future__ import annotations

from dataclasses import replace

from gan_cli.game.phase import Phase


def lazy_phases(phases: list[Phase]) -> list[Phase]:
    """Return the same phases, and after each a new phase for each of its penalties with `every` > 1.

    The new phases share their player's optimizer, which then takes 1 + 1/k steps for one. Its rate is multiplied by
    k / (k + 1), and its betas are raised to this power (Karras et al. 2020, appendix B).
    """
    result = []
    for phase in phases:
        lazy = {name: penalty for name, penalty in phase.penalties.items() if penalty.every > 1}
        slower = 1 / (1 + sum(1 / penalty.every for penalty in lazy.values()))
        kept = {name: penalty for name, penalty in phase.penalties.items() if name not in lazy}
        main = replace(phase, penalties=kept, course=phase.course.changed(slower=slower))
        result.append(main)
        for name, penalty in lazy.items():
            curve = f"{phase.curve}_{name}"
            turn = replace(main, every=penalty.every, repeat=1, regularizes=True)
            result.append(replace(turn, name=f"{phase.name}_{name}", curve=curve, penalties={name: penalty}))
    return result
