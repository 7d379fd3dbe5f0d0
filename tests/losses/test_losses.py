"""Every loss against numbers computed by hand, on reals and fakes that differ."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from conftest import ROOT, compose_plain
from torch import Tensor, nn

from gan_cli.base.errors import UserError
from gan_cli.base.types import Match, Side
from gan_cli.game.build import instantiate
from gan_cli.losses.adversarial import (
    AdversarialLoss,
    Hinge,
    LeastSquares,
    Minimax,
    NonSaturating,
    RelativisticAverage,
    RelativisticPairing,
    Wasserstein,
)
from gan_cli.penalties.gradient import DRAGAN, GradientPenalty

REAL, FAKE = [2.0, -1.0], [-0.5, 3.0]
MEAN_REAL, MEAN_FAKE = 0.5, 1.25


def sp(x: float) -> float:
    """log(1 + e^x)"""
    return math.log1p(math.exp(x))


def hinge(x: float) -> float:
    return max(0.0, x)


# (discriminator, generator) for the pairs (2, -0.5) and (-1, 3), written out from each paper's formula
EXPECTED: dict[type[AdversarialLoss], tuple[list[float], list[float]]] = {
    Minimax: ([sp(-2) + sp(-0.5), sp(1) + sp(3)], [-sp(-0.5), -sp(3)]),
    NonSaturating: ([sp(-2) + sp(-0.5), sp(1) + sp(3)], [sp(0.5), sp(-3)]),
    LeastSquares: ([0.5 * 1 + 0.5 * 0.25, 0.5 * 4 + 0.5 * 9], [0.5 * 2.25, 0.5 * 4]),
    Hinge: ([0 + 0.5, 2 + 4], [0.5, -3.0]),
    Wasserstein: ([-2.5, 4.0], [0.5, -3.0]),
    RelativisticAverage: (
        [sp(-(2 - 1.25)) + sp(-0.5 - 0.5), sp(-(-1 - 1.25)) + sp(3 - 0.5)],
        [sp(2 - 1.25) + sp(-(-0.5 - 0.5)), sp(-1 - 1.25) + sp(-(3 - 0.5))],
    ),
    RelativisticPairing: ([sp(-2.5), sp(4)], [sp(2.5), sp(-4)]),
}
LOSSES = list(EXPECTED)


def match_of(real: Tensor, fake: Tensor) -> Match:
    """A match whose logits are its samples."""
    return Match(lambda samples: samples, Side(real), Side(fake))


@pytest.mark.parametrize("kind", LOSSES, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("player", ["discriminator", "generator"])
def test_values_by_hand(kind: type[AdversarialLoss], player: str) -> None:
    value = getattr(kind(), player)(match_of(torch.tensor(REAL), torch.tensor(FAKE)))
    assert value.shape == (2,)
    assert value.tolist() == pytest.approx(EXPECTED[kind][player == "generator"], rel=1e-6)


# what an encoder adds, that moves the real side, for logits 2 and -1: `generator` of the reals with their sign turned;
# zero where the relativistic generator holds the reals already
MOVES_REAL: dict[type[AdversarialLoss], list[float]] = {
    Minimax: [-sp(-2), -sp(1)],
    NonSaturating: [sp(2), sp(-1)],
    LeastSquares: [0.5 * 4, 0.5 * 1],
    Hinge: [2.0, -1.0],
    Wasserstein: [2.0, -1.0],
    RelativisticAverage: [0.0, 0.0],
    RelativisticPairing: [0.0, 0.0],
}


@pytest.mark.parametrize("kind", LOSSES, ids=lambda kind: kind.__name__)
def test_a_player_that_moves_the_real_side_by_hand(kind: type[AdversarialLoss]) -> None:
    value = kind().generator_real(match_of(torch.tensor(REAL), torch.tensor(FAKE)))
    assert value.shape == (2,)
    assert value.tolist() == pytest.approx(MOVES_REAL[kind], rel=1e-6)


@pytest.mark.parametrize("kind", LOSSES, ids=lambda kind: kind.__name__)
def test_both_sides_are_pulled_towards_each_other(kind: type[AdversarialLoss]) -> None:
    """A player of both sides wants fakes taken for real and reals for fake: one logit up, the other down."""
    real, fake = (torch.tensor(values, requires_grad=True) for values in ([0.3, 0.2], [0.1, 0.4]))
    match = match_of(real, fake)
    (kind().generator(match) + kind().generator_real(match)).sum().backward()
    assert (real.grad > 0).all()
    assert (fake.grad < 0).all()


def test_a_loss_of_ones_own_that_knows_no_real_side_says_so() -> None:
    class Own(AdversarialLoss):
        pass

    with pytest.raises(UserError, match="Own has no term for players that move the real side"):
        Own().generator_real(match_of(torch.tensor(REAL), torch.tensor(FAKE)))


def test_a_few_values_as_plain_numbers() -> None:
    """The table above against numbers worked out without its helpers."""
    assert EXPECTED[Minimax][0][0] == pytest.approx(0.12692801 + 0.47407698, abs=1e-7)
    assert EXPECTED[NonSaturating][1] == pytest.approx([0.97407698, 0.04858735], abs=1e-7)
    assert EXPECTED[LeastSquares][0] == [0.625, 6.5]
    assert EXPECTED[RelativisticPairing][0][1] == pytest.approx(4.01814993, abs=1e-7)


# the nine choices of conf/loss: class, n_critic, clip, penalties that belong to it
CHOICES: dict[str, tuple[type[AdversarialLoss], int, float | None, dict[str, type]]] = {
    "dragan": (NonSaturating, 1, None, {"dragan": DRAGAN}),
    "hinge": (Hinge, 1, None, {}),
    "lsgan": (LeastSquares, 1, None, {}),
    "minimax": (Minimax, 1, None, {}),
    "nonsaturating": (NonSaturating, 1, None, {}),
    "relativistic_average": (RelativisticAverage, 1, None, {}),
    "relativistic_pairing": (RelativisticPairing, 1, None, {}),
    "wgan": (Wasserstein, 5, 0.01, {}),
    "wgan_gp": (Wasserstein, 5, None, {"gradient_penalty": GradientPenalty}),
}


def test_every_loss_of_conf_is_in_the_table() -> None:
    assert sorted(CHOICES) == sorted(path.stem for path in (ROOT / "conf" / "loss").glob("*.yaml"))


@pytest.mark.parametrize("name", sorted(CHOICES))
def test_what_each_choice_builds_and_computes(name: str) -> None:
    """A YAML that points at the wrong class, or forgets the recipe's critic steps, clip or penalty."""
    kind, n_critic, clip, penalties = CHOICES[name]
    loss: Any = instantiate(compose_plain("model=gan", "dataset=digits", f"loss={name}")["loss"])
    assert type(loss) is kind
    assert loss.n_critic == n_critic
    assert getattr(loss, "clip", None) == clip
    assert {key: type(penalty) for key, penalty in loss.penalties.items()} == penalties
    assert all(penalty.weight == 10 and penalty.every == 1 for penalty in loss.penalties.values())
    match = match_of(torch.tensor(REAL), torch.tensor(FAKE))
    assert loss.discriminator(match).tolist() == pytest.approx(EXPECTED[kind][0], rel=1e-6)
    assert loss.generator(match).tolist() == pytest.approx(EXPECTED[kind][1], rel=1e-6)


@pytest.mark.parametrize("kind", LOSSES, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("player", ["discriminator", "generator"])
def test_patches_are_averaged_after_the_nonlinearity(kind: type[AdversarialLoss], player: str) -> None:
    """A patch critic's sample counts as the mean of its patches' losses, never the loss of their mean."""
    real = torch.tensor([[2.0, -3.0], [0.5, 4.0]]).view(2, 1, 1, 2)
    fake = torch.tensor([[-2.0, 3.0], [1.5, -0.5]]).view(2, 1, 1, 2)
    loss = getattr(kind(), player)
    value = loss(match_of(real, fake))
    by_patch = loss(match_of(real.flatten(), fake.flatten()))
    assert value.shape == (2,)
    assert value.tolist() == pytest.approx(by_patch.view(2, 2).mean(1).tolist(), rel=1e-6)
    if not (kind is Wasserstein or (kind is Hinge and player == "generator")):  # these are linear
        before = loss(match_of(real.mean((1, 2, 3)), fake.mean((1, 2, 3))))
        assert (value - before).abs().min() > 0.01


def test_patches_by_hand() -> None:
    """Hinge with patches (2, -3): (0 + 4) / 2 from the reals; (-2, 3): (0 + 4) / 2 from the fakes."""
    real, fake = torch.tensor([[[[2.0, -3.0]]]]), torch.tensor([[[[-2.0, 3.0]]]])
    assert Hinge().discriminator(match_of(real, fake)).tolist() == [4.0]
    assert Hinge().generator(match_of(real, fake)).tolist() == [-0.5]


def gradients(value: Callable[[Match], Tensor]) -> tuple[list[float], list[float]]:
    real = torch.tensor(REAL, requires_grad=True)
    fake = torch.tensor(FAKE, requires_grad=True)
    value(match_of(real, fake)).mean().backward()
    zero = torch.zeros(2)
    return tuple((zero if side.grad is None else side.grad).tolist() for side in (real, fake))  # type: ignore[return-value]


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_relativistic_average_gradients_flow_through_both_means() -> None:
    """By hand: with a_i = x_i - mean(y), b_i = y_i - mean(x) and L = mean softplus(-a) + mean softplus(b),
    dL/dx_j = (-s(-a_j) - mean s(b)) / N and dL/dy_j = (s(b_j) + mean s(-a)) / N."""
    a, b = [x - MEAN_FAKE for x in REAL], [y - MEAN_REAL for y in FAKE]
    down, up = [sigmoid(-v) for v in a], [sigmoid(v) for v in b]
    real, fake = gradients(RelativisticAverage().discriminator)
    assert real == pytest.approx([(-v - sum(up) / 2) / 2 for v in down], rel=1e-5)
    assert fake == pytest.approx([(v + sum(down) / 2) / 2 for v in up], rel=1e-5)
    # the generator: L = mean softplus(a) + mean softplus(-b)
    up, down = [sigmoid(v) for v in a], [sigmoid(-v) for v in b]
    real, fake = gradients(RelativisticAverage().generator)
    assert real == pytest.approx([(v + sum(down) / 2) / 2 for v in up], rel=1e-5)
    assert fake == pytest.approx([(-v - sum(up) / 2) / 2 for v in down], rel=1e-5)


@pytest.mark.parametrize("kind", LOSSES, ids=lambda kind: kind.__name__)
def test_both_players_pull_the_fakes_apart(kind: type[AdversarialLoss]) -> None:
    """The critic pushes fakes down, the generator up: a swapped sign. Fakes between the targets of least squares."""
    real, fake = torch.tensor([0.3, -0.2]), torch.tensor([0.4, 0.1])
    for player, sign in (("discriminator", 1), ("generator", -1)):
        samples = fake.clone().requires_grad_()
        getattr(kind(), player)(match_of(real, samples)).mean().backward()
        assert samples.grad is not None
        assert (samples.grad * sign > 0).all()


def test_saturation_is_what_sets_the_two_classic_losses_apart() -> None:
    """A fake with logit -8, surely caught: minimax gives its generator s(-8) of a slope, the other s(8)."""
    slopes = {}
    for kind in (Minimax, NonSaturating):
        fake = torch.tensor([-8.0], requires_grad=True)
        kind().generator(match_of(torch.tensor([8.0]), fake)).sum().backward()
        assert fake.grad is not None
        slopes[kind] = fake.grad.item()
    assert slopes[Minimax] == pytest.approx(-sigmoid(-8), rel=1e-4)
    assert slopes[NonSaturating] == pytest.approx(-sigmoid(8), rel=1e-4)


@pytest.mark.parametrize("kind", LOSSES, ids=lambda kind: kind.__name__)
def test_finite_with_logits_of_any_size(kind: type[AdversarialLoss]) -> None:
    """log(sigmoid) written out would be -inf at 200."""
    for size in (-200.0, 200.0):
        real = torch.tensor([size, -size], requires_grad=True)
        fake = torch.tensor([-size, size], requires_grad=True)
        match = match_of(real, fake)
        total = (kind().discriminator(match) + kind().generator(match)).sum()
        total.backward()
        assert torch.isfinite(total)
        assert real.grad is not None
        assert fake.grad is not None
        assert torch.isfinite(torch.cat([real.grad, fake.grad])).all()


@pytest.mark.parametrize("kind", LOSSES, ids=lambda kind: kind.__name__)
def test_the_generator_pays_for_real_logits_only_where_it_needs_them(kind: type[AdversarialLoss]) -> None:
    match = match_of(torch.tensor(REAL), torch.tensor(FAKE))
    kind().generator(match)
    assert ("real" in match.seen()) == kind.__name__.startswith("Relativistic")
    assert "fake" in match.seen()


def test_clipping_cuts_every_weight_and_no_other() -> None:
    parameters = [nn.Parameter(torch.tensor([0.5, -0.004, -3.0])), nn.Parameter(torch.tensor([[0.01]]))]
    Wasserstein(clip=0.01).constrain(parameters)
    assert parameters[0].tolist() == pytest.approx([0.01, -0.004, -0.01])
    assert parameters[1].tolist() == [pytest.approx([0.01])]
    assert all(p.requires_grad and p.is_leaf for p in parameters)


@pytest.mark.parametrize("loss", [Wasserstein(), Hinge()], ids=["wgan without clip", "another loss"])
def test_no_clipping_unless_asked(loss: AdversarialLoss) -> None:
    parameter = nn.Parameter(torch.tensor([0.5, -3.0]))
    loss.constrain([parameter])
    assert parameter.tolist() == [0.5, -3.0]


def test_the_contract_itself_is_no_loss() -> None:
    match = match_of(torch.tensor(REAL), torch.tensor(FAKE))
    for player in ("discriminator", "generator"):
        with pytest.raises(NotImplementedError):
            getattr(AdversarialLoss(), player)(match)
