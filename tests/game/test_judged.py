"""What a player that is judged minimises of a match whose sides differ in what stands beside the samples."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from gan_cli.base.types import Match, Side
from gan_cli.game.game import Game
from gan_cli.losses.adversarial import AdversarialLoss, Minimax, NonSaturating


def sp(x: float) -> float:
    """log(1 + e^x)"""
    return math.log1p(math.exp(x))


@pytest.mark.parametrize(
    ("loss", "differ", "expected"),
    [
        (NonSaturating(), True, sp(0.5) + sp(2)),
        (NonSaturating(), False, sp(0.5)),
        (NonSaturating(unroll_steps=1), True, sp(0.5) + sp(2)),
        (NonSaturating(unroll_steps=1), False, sp(0.5)),
        (Minimax(), True, -sp(-0.5) - sp(-2)),
        (Minimax(unroll_steps=1), True, -sp(-0.5) - sp(-2)),  # the whole value, in which the real side is already
        (Minimax(unroll_steps=1), False, -sp(-0.5) - sp(-2)),
    ],
)
def test_the_real_side_counts_once_where_the_players_move_it(
    loss: AdversarialLoss, differ: bool, expected: float
) -> None:
    code = torch.tensor([1.0])
    real, fake = Side(torch.tensor([2.0]), (code,)), Side(torch.tensor([-0.5]), (code.clone() if differ else code,))
    match = Match(lambda samples, codes: samples, real, fake)
    game: Any = SimpleNamespace(loss=loss)
    assert Game.judged(game, match).item() == pytest.approx(expected, rel=1e-6)
