"""Every penalty against critics whose gradient is known by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gan_cli.base.types import Batch, Match, Noise, Side
from gan_cli.penalties.gradient import DRAGAN, R1, R2, GradientPenalty, Penalty, squared_gradient

KINDS = [GradientPenalty, DRAGAN, R1, R2]


CPU = torch.device("cpu")


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def noise_for(real: Tensor, total: int | None = None, start: int = 0) -> Noise:
    batch = Batch({"image": real}, first=640, total=total or len(real), start=start)
    return Noise(CPU, batch, 7)


def term(penalty: Penalty, critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:
    """The penalty as `update` asks for it."""
    return penalty.of(Match(critic, Side(real), Side(fake), noise_for(real), "", penalty.differentiates, precise=True))


def linear(slope: Tensor) -> Callable[[Tensor], Tensor]:
    """a.x: gradient a everywhere."""
    return lambda x: (x * slope).flatten(1).sum(1)


def quadratic(x: Tensor) -> Tensor:
    """|x|^2 / 2: gradient x."""
    return 0.5 * x.square().flatten(1).sum(1)


def points(penalty: Penalty, real: Tensor, fake: Tensor) -> Tensor:
    """Where the penalty asks the critic, found out from a quadratic critic's own calls."""
    seen: list[Tensor] = []

    def critic(x: Tensor) -> Tensor:
        seen.append(x.detach())
        return quadratic(x)

    term(penalty, critic, real, fake)
    return seen[-1]


@pytest.mark.parametrize("kind", [GradientPenalty, DRAGAN])
@pytest.mark.parametrize(("slope", "expected"), [([3.0, 4.0], 16.0), ([0.3, -0.4], 0.25), ([0.6, 0.8], 0.0)])
@pytest.mark.parametrize("weight", [1.0, 10.0, 0.5])
def test_a_linear_critic_pays_for_its_norm(kind: Any, slope: list[float], expected: float, weight: float) -> None:
    """weight (|a| - 1)^2 for a critic a.x, whatever the samples: |a| is 5, 0.5 and 1."""
    value = term(kind(weight=weight), linear(torch.tensor(slope)), normal(6, 2), normal(6, 2, seed=1))
    assert value.shape == (6,)
    assert value.tolist() == pytest.approx([weight * expected] * 6, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("kind", [R1, R2])
@pytest.mark.parametrize("weight", [1.0, 10.0])
def test_a_linear_critic_pays_half_gamma_of_its_squared_norm(kind: Any, weight: float) -> None:
    """gamma/2 |a|^2 with |a|^2 = 25: 12.5 for a gamma of 1, not 25."""
    value = term(kind(weight=weight), linear(torch.tensor([3.0, 4.0])), normal(6, 2), normal(6, 2, seed=1))
    assert value.tolist() == pytest.approx([12.5 * weight] * 6, rel=1e-6)


def test_the_norm_is_over_all_pixels_of_one_sample() -> None:
    """On images (N, C, H, W) the squares of C, H and W are summed: |a|^2 = 36 for 4x3x3 slopes of 1."""
    image, ones = normal(3, 4, 3, 3), linear(torch.ones(4, 3, 3))
    assert term(GradientPenalty(weight=1), ones, image, normal(3, 4, 3, 3, seed=1)).tolist() == pytest.approx(
        [25.0] * 3
    )
    assert term(R1(weight=2), ones, image, image + 1).tolist() == pytest.approx([36.0] * 3)


def test_target_of_the_gradient_penalty() -> None:
    """weight (5 - target)^2"""
    value = term(GradientPenalty(weight=2, target=3.0), linear(torch.tensor([3.0, 4.0])), normal(2, 2), normal(2, 2))
    assert value.tolist() == pytest.approx([8.0, 8.0], rel=1e-5)


def test_r1_looks_at_the_reals_and_r2_at_the_fakes() -> None:
    """With a critic |x|^2 / 2 the term is gamma/2 |x|^2: reals of squared norm 25 and 2, fakes of 1 and 8."""
    real, fake = torch.tensor([[3.0, 4.0], [1.0, -1.0]]), torch.tensor([[0.0, 1.0], [2.0, 2.0]])
    assert term(R1(weight=3), quadratic, real, fake).tolist() == pytest.approx([37.5, 3.0])
    assert term(R2(weight=3), quadratic, real, fake).tolist() == pytest.approx([1.5, 12.0])


def test_interpolation_has_one_position_for_each_sample() -> None:
    """Gulrajani's line: one alpha in [0, 1) a sample, shared by its pixels, not by the batch."""
    real, fake = normal(64, 3, 2, 2), 5 + normal(64, 3, 2, 2, seed=1)
    between = points(GradientPenalty(), real, fake)
    position = (between - real) / (fake - real)
    one = position[:, 0, 0, 0]
    torch.testing.assert_close(position, one.view(-1, 1, 1, 1).expand_as(position), atol=1e-4, rtol=0)
    assert one.min() > -1e-4
    assert one.max() < 1 + 1e-4
    assert one.unique().numel() == 64
    assert one.min() < 0.1  # the whole line, near both ends
    assert one.max() > 0.9


def test_value_between_reals_and_fakes() -> None:
    """A critic |x|^2 / 2 has a gradient of norm |x|: the term is (|x| - 1)^2 at the point that was asked about."""
    real, fake = normal(8, 2), 4 + normal(8, 2, seed=1)
    between = points(GradientPenalty(weight=10), real, fake)
    expected = [10 * (math.hypot(*point) - 1) ** 2 for point in between.tolist()]
    assert term(GradientPenalty(weight=10), quadratic, real, fake).tolist() == pytest.approx(expected, rel=1e-4)


def test_dragan_stays_around_the_reals() -> None:
    """Each real is moved up by less than `spread` deviations of the whole batch; fakes play no part."""
    real = 3 + 2 * normal(256, 1, 2, 2)
    deviation = real.std(correction=0)
    around = points(DRAGAN(spread=0.5), real, normal(256, 1, 2, 2, seed=1))
    moved = (around - real) / (0.5 * deviation)
    assert moved.min() > -1e-4
    assert moved.max() < 1
    assert moved.max() > 0.8
    # U[0,1) times U[0,1) has mean 1/4; 256 positions of deviation 0.29 and 1024 noises
    assert moved.mean().item() == pytest.approx(0.25, abs=0.04)
    assert (moved[:, 0, 0, 0] != moved[:, 0, 1, 1]).all()  # noise of its own for each pixel
    assert torch.equal(around, points(DRAGAN(spread=0.5), real, 9 + real))
    wide = points(DRAGAN(spread=2.0), real, real)
    torch.testing.assert_close(wide - real, 4 * (around - real), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", [GradientPenalty, DRAGAN])
def test_noise_does_not_depend_on_how_the_batch_was_split(kind: Any) -> None:
    """Rows 4 to 8 of a batch of 8 are asked about the same points alone as together (one deviation given)."""
    half = normal(4, 1, 2, 2)
    real, fake = torch.cat([half, half]), torch.cat([half, half]) + 3
    asked: list[Tensor] = []

    def critic(x: Tensor) -> Tensor:
        asked.append(x.detach())
        return quadratic(x)

    for rows, start in ((slice(0, 8), 0), (slice(4, 8), 4)):
        noise = noise_for(real[rows], total=8, start=start)
        kind().of(Match(critic, Side(real[rows]), Side(fake[rows]), noise, "", kind.differentiates))
    torch.testing.assert_close(asked[0][4:], asked[1])
    assert not torch.allclose(asked[0][:4], asked[1])


@pytest.mark.parametrize("kind", [GradientPenalty, DRAGAN])
def test_two_matches_of_one_game_get_noise_of_their_own(kind: Any) -> None:
    real, fake = normal(4, 2), normal(4, 2, seed=1)
    first, second = (
        kind(1.0).of(Match(quadratic, Side(real), Side(fake), noise_for(real), suffix)) for suffix in ("_a", "_b")
    )
    assert not torch.equal(first, second)


class Smooth(nn.Module):
    """A small critic with second derivatives everywhere, float64."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.layers = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 1)).double()

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x).squeeze(1)


class DoubleNoise(Noise):
    """The same numbers as float64."""

    def uniform(self, name: str, *shape: int) -> Tensor:
        return super().uniform(name, *shape).double()


class HalfWay(Noise):
    """Every position is the middle."""

    def uniform(self, name: str, *shape: int) -> Tensor:
        return torch.full((len(self.batch), *shape), 0.5)  # type: ignore[arg-type]


class DoubleMatch(Match):
    """A match that keeps float64, for finite differences."""

    def judge(self, side: Side) -> Tensor:
        return self.critic(side.sample, *side.beside)


@pytest.mark.parametrize("kind", KINDS)
def test_second_order_gradient_against_finite_differences(kind: Any) -> None:
    """d penalty / d critic weights: a forgotten `create_graph` would give 0, a detached norm something else."""
    critic, penalty = Smooth(), kind(weight=2.0)
    real, fake = normal(5, 3, dtype=torch.float64), normal(5, 3, seed=1, dtype=torch.float64)
    noise = DoubleNoise(CPU, Batch({"image": real}, 0, 5), 7)

    def value() -> Tensor:
        return penalty.of(DoubleMatch(critic, Side(real), Side(fake), noise, "", kind.differentiates)).sum()

    # the last bias moves no input gradient, so it has no gradient at all
    exact = torch.autograd.grad(value(), list(critic.parameters()), allow_unused=True)
    assert exact[-1] is None
    step = 1e-5
    for parameter, gradient in zip(list(critic.parameters())[:-1], exact[:-1], strict=True):
        assert gradient is not None
        flat, expected = parameter.data.view(-1), []
        for place in range(flat.numel()):
            at = flat[place].item()
            flat[place] = at + step
            above = value().item()
            flat[place] = at - step
            below = value().item()
            flat[place] = at
            expected.append((above - below) / (2 * step))
        assert gradient.flatten().tolist() == pytest.approx(expected, rel=1e-5, abs=1e-8)
        assert gradient.abs().max() > 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_finite_where_the_critic_is_flat(kind: Any) -> None:
    """sqrt has an infinite slope at 0: a critic with a gradient of exactly 0 must not make its weights NaN."""
    slope = nn.Parameter(torch.zeros(2))
    value = term(kind(weight=10.0), linear(slope), normal(3, 2), normal(3, 2, seed=1))
    expected = 10.0 if kind in (GradientPenalty, DRAGAN) else 0.0
    assert value.tolist() == pytest.approx([expected] * 3, abs=1e-4)
    value.sum().backward()
    assert slope.grad is not None
    assert torch.isfinite(slope.grad).all()


@pytest.mark.parametrize("kind", KINDS)
def test_each_sample_pays_for_itself(kind: Any) -> None:
    """(N,), and sample 0 pays the same whatever sample 1 is (DRAGAN: with the batch's deviation unchanged)."""
    real, fake = torch.tensor([[1.0, 2.0], [-1.0, 3.0]]), torch.tensor([[4.0, 0.5], [2.0, 2.0]])
    other_real, other_fake = torch.tensor([[1.0, 2.0], [3.0, -1.0]]), torch.tensor([[4.0, 0.5], [-7.0, 9.0]])
    first, second = term(kind(1.0), quadratic, real, fake), term(kind(1.0), quadratic, other_real, other_fake)
    assert first.shape == (2,)
    assert first[0] == second[0]
    if kind is not R1 and kind is not R2:
        assert first[1] != second[1]


def test_a_patch_critic_counts_as_the_mean_of_its_patches() -> None:
    """Patches 2 x_0 and 4 x_1: the mean's gradient is (1, 2), |grad|^2 = 5, gamma/2 of it 2.5."""

    def critic(x: Tensor) -> Tensor:
        return (x * torch.tensor([2.0, 4.0])).view(-1, 1, 1, 2)

    assert term(R1(weight=1), critic, normal(3, 2), normal(3, 2)).tolist() == pytest.approx([2.5] * 3)
    gp = term(GradientPenalty(weight=1), critic, normal(3, 2), normal(3, 2, seed=1))
    assert gp.tolist() == pytest.approx([(math.sqrt(5) - 1) ** 2] * 3, rel=1e-5)


def test_squared_gradient_is_over_all_that_is_moved() -> None:
    x = torch.tensor([[1.0, -2.0], [3.0, 0.0]], requires_grad=True)
    found = squared_gradient(x.pow(3).sum(1), [x])
    assert found.tolist() == [3.0**2 + 12.0**2, 27.0**2]
    assert found.requires_grad
    code = torch.tensor([[2.0], [5.0]], requires_grad=True)
    both = squared_gradient(x.pow(3).sum(1) + 3 * code.square()[:, 0], [x, code])
    assert both.tolist() == [153.0 + 12.0**2, 729.0 + 30.0**2]


def product(sample: Tensor, code: Tensor, label: Tensor | None = None) -> Tensor:
    """D(x, z) = x . z"""
    return (sample * code).sum(1)


def joint(kind: Any, real: Side, fake: Side, **options: Any) -> Tensor:
    penalty = kind(**options)
    match = Match(product, real, fake, noise_for(real.sample), "", penalty.differentiates, precise=True)
    return penalty.of(match)


def test_penalties_are_taken_in_all_that_the_two_sides_have_of_their_own() -> None:
    """D(x, z) = x . z has the gradient (z, x): a side's code is moved as its sample is, a label that both share is not.

    On the line half way from (x, z) to (x', z') the gradient is ((z + z') / 2, (x + x') / 2).
    """
    label = torch.tensor([3, 4])
    real = Side(torch.tensor([[1.0, 2.0], [0.0, 1.0]]), (torch.tensor([[3.0, 0.0], [1.0, 1.0]]), label))
    fake = Side(torch.tensor([[0.0, 2.0], [2.0, 2.0]]), (torch.tensor([[1.0, 1.0], [0.0, 3.0]]), label))
    assert joint(R1, real, fake, weight=2.0).tolist() == [9.0 + 5.0, 2.0 + 1.0]
    assert joint(R2, real, fake, weight=2.0).tolist() == [2.0 + 4.0, 9.0 + 8.0]
    penalty = GradientPenalty(weight=1.0)
    match = Match(product, real, fake, HalfWay(CPU, Batch({"image": real.sample}, 0, 2), 0), "", frozenset(), True)
    norms = [math.sqrt(2.0**2 + 0.5**2 + 0.5**2 + 2.0**2), math.sqrt(0.5**2 + 2.0**2 + 1.0**2 + 1.5**2)]
    assert penalty.of(match).tolist() == pytest.approx([(norm - 1) ** 2 for norm in norms])


def test_what_stands_beside_both_samples_is_not_differentiated() -> None:
    """The same source on both sides: the gradient of x . z in x alone is z."""
    source = torch.tensor([[3.0, 4.0], [1.0, 0.0]])
    real, fake = Side(normal(2, 2), (source,)), Side(normal(2, 2, seed=1), (source,))
    assert joint(R1, real, fake, weight=2.0).tolist() == [25.0, 1.0]
    assert joint(GradientPenalty, real, fake, weight=1.0).tolist() == pytest.approx([16.0, 0.0])


def test_penalties_share_the_logits_of_the_loss() -> None:
    """R1 differentiates the logits that the adversarial term has made; the critic is asked once about the reals."""
    calls: list[int] = []

    def critic(x: Tensor) -> Tensor:
        calls.append(len(x))
        return quadratic(x)

    real, fake = normal(3, 2), normal(3, 2, seed=1).requires_grad_()
    match = Match(critic, Side(real), Side(fake), noise_for(real), "", frozenset({"real"}))
    _ = match.real_logits, R1(weight=1.0).of(match), match.real_logits
    assert calls == [3]
    assert not real.requires_grad  # the data themselves stay as they were


@pytest.mark.parametrize("kind", KINDS)
def test_penalties_are_computed_in_float32_under_autocast(kind: Any) -> None:
    """bfloat16 keeps 8 bits: the double backward of a penalty would be off by up to a percent."""
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 1), nn.Flatten(0))
    real, fake = normal(4, 3), normal(4, 3, seed=1)
    plain = term(kind(10.0), critic, real, fake)
    with torch.autocast("cpu", torch.bfloat16):
        cast = term(kind(10.0), critic, real, fake)
        assert critic(real).dtype == torch.bfloat16  # it would be, outside
    torch.testing.assert_close(cast, plain)


def test_the_contract_itself_is_no_penalty() -> None:
    with pytest.raises(NotImplementedError):
        term(Penalty(1.0), quadratic, normal(2, 2), normal(2, 2))
