"""Every metric on sets whose score is known by hand; scores' names, latents' paths."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy
import pytest
import torch
from torch import Tensor, nn

from gan_cli.base.errors import UserError
from gan_cli.base.scoring import (
    METRICS_FILE,
    Score,
    append_scores,
    full_name,
    is_better,
    protocol_digest,
    read_scores,
    score_names,
    take_back,
)
from gan_cli.data.planar import ring
from gan_cli.evaluation.drawn import path_of
from gan_cli.evaluation.setting import Plan
from gan_cli.game.space import LatentSpace
from gan_cli.metrics.density_coverage import DensityCoverage
from gan_cli.metrics.evidence import Evidence, Metric
from gan_cli.metrics.fid import FrechetDistance, frechet_distance, root_trace
from gan_cli.metrics.inception_score import InceptionScore
from gan_cli.metrics.kid import KernelDistance, squared_discrepancy
from gan_cli.metrics.lpips import LPIPS
from gan_cli.metrics.modes import Modes
from gan_cli.metrics.ms_ssim import WEIGHTS, MultiScaleSSIM, ms_ssim, scales_of
from gan_cli.metrics.nearest_neighbours import NearestNeighbours
from gan_cli.metrics.neighbours import nearest, radii, within
from gan_cli.metrics.paired import AgainstTarget
from gan_cli.metrics.ppl import PathLength
from gan_cli.metrics.precision_recall import PrecisionRecall
from gan_cli.metrics.statistics import BLOCK, FeatureStatistics
from gan_cli.parts.latent import Gaussian, Uniform, latents


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def statistics(*parts: Tensor, logits: Tensor | None = None) -> FeatureStatistics:
    made = FeatureStatistics(keep=True)
    for part in parts:
        made.add(part, logits)
    return made


def of(metric: Metric, real: Tensor, fake: Tensor, test: Tensor | None = None) -> dict[str, float]:
    """A metric's scores of features (N, F)."""
    held_out = None if test is None else statistics(test)
    return metric.of(Evidence(statistics(real), statistics(fake), held_out))


def column(*values: float) -> Tensor:
    """Points on a line, (N, 1)."""
    return torch.tensor(values, dtype=torch.float64)[:, None]


# ---- what is known of a set ----


@pytest.mark.parametrize("count", [3, 100, BLOCK, 2 * BLOCK + 7])
def test_mean_and_covariance_are_those_of_all_rows(count: int) -> None:
    rows = normal(count, 5) * torch.tensor([1, 2, 3, 0.1, 10]) + torch.arange(5)
    made = statistics(rows)
    assert made.count == count
    torch.testing.assert_close(made.mean, rows.mean(0), rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(made.covariance, torch.cov(rows.T), rtol=1e-12, atol=1e-14)


def test_moments_do_not_depend_on_how_rows_came() -> None:
    """To the last bit, across the blocks that sums are taken over."""
    rows = normal(2 * BLOCK + 300, 4).float()
    whole = statistics(rows)
    for size in (1, 7, 100):
        cut = FeatureStatistics()
        for some in rows.split(size):
            cut.add(some)
        assert cut.count == whole.count == len(rows)
        assert torch.equal(cut.mean, whole.mean)
        assert torch.equal(cut.covariance, whole.covariance)


def test_merged_parts_are_the_whole() -> None:
    rows = normal(1500, 6) * 3 + 2
    whole, parts = statistics(rows), [statistics(part) for part in (rows[:10], rows[10:1300], rows[1300:])]
    made = FeatureStatistics(keep=True)
    for part in parts:
        made.merge(part)
    made.merge(FeatureStatistics(keep=True))  # of nothing
    assert made.count == 1500
    torch.testing.assert_close(made.mean, whole.mean, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(made.covariance, whole.covariance, rtol=1e-12, atol=1e-12)
    assert torch.equal(made.features, rows)


def test_features_are_kept_only_where_asked_for() -> None:
    rows, logits = normal(8, 3).float(), normal(8, 2).float()
    kept, passed = FeatureStatistics(keep=True), FeatureStatistics()
    for made in (kept, passed):
        made.add(rows[:5], logits[:5])
        made.add(rows[5:], logits[5:])
    assert torch.equal(kept.features, rows)
    assert torch.equal(kept.logits, logits)
    with pytest.raises(AssertionError):
        _ = passed.features
    assert set(passed.state_dict()) == {"count", "mean", "scatter"}


@pytest.mark.parametrize("keep", [False, True])
def test_statistics_survive_their_file(keep: bool, tmp_path: Path) -> None:
    made = FeatureStatistics(keep)
    made.add(normal(20, 3).float(), normal(20, 4).float())
    torch.save(made.state_dict(), tmp_path / "state.pt")
    again = FeatureStatistics.of_state(torch.load(tmp_path / "state.pt", weights_only=True))
    assert again.count == 20
    assert again.keep == keep
    assert torch.equal(again.mean, made.mean)
    assert torch.equal(again.covariance, made.covariance)
    if keep:
        assert torch.equal(again.features, made.features)
        assert torch.equal(again.logits, made.logits)
    again.add(normal(5, 3, seed=1).float())
    assert again.count == 25


def test_a_large_offset_costs_no_digits() -> None:
    """Noise of variance 1 about 10,000: float32 sums of squares lose it, moments in float64 about the mean do not."""
    rows = (normal(3000, 2) + 1e4).float()
    naive = rows.square().mean(0) - rows.mean(0).square()
    exact = torch.cov(rows.double().T)
    assert (naive - exact.diag().float()).abs().max() > 0.5
    torch.testing.assert_close(statistics(rows).covariance, exact, rtol=1e-9, atol=1e-9)


def test_the_count_is_right_before_a_block_is_full() -> None:
    made = FeatureStatistics()
    made.add(normal(3, 2))
    assert made.count == 3
    made.settle()
    assert made.count == 3


# ---- Frechet distance ----


def gaussian(mean: list[float], covariance: list[list[float]]) -> tuple[Tensor, Tensor]:
    return torch.tensor(mean).double(), torch.tensor(covariance).double()


def test_frechet_of_commuting_gaussians_by_hand() -> None:
    """Sum of (m - m')^2 + (s - s')^2: 1 + 4 + (1 - 3)^2 + (2 - 0.5)^2."""
    a = gaussian([0, 0], [[1, 0], [0, 4]])
    b = gaussian([1, -2], [[9, 0], [0, 0.25]])
    assert frechet_distance(*a, *b) == pytest.approx(5 + 4 + 2.25, rel=1e-12)
    assert frechet_distance(*b, *a) == pytest.approx(5 + 4 + 2.25, rel=1e-12)


def test_frechet_of_covariances_that_do_not_commute() -> None:
    """In the plane, tr of a root is sqrt(trace + 2 sqrt(det)): here S S' has trace 4 and determinant 3."""
    a, b = gaussian([0, 0], [[2, 1], [1, 2]]), gaussian([0, 0], [[1, 0], [0, 1]])
    assert frechet_distance(*a, *b) == pytest.approx(4 + 2 - 2 * math.sqrt(4 + 2 * math.sqrt(3)), rel=1e-12)


def test_frechet_of_sets_that_are_shifted_or_scaled() -> None:
    """Shifted by (3, 0, 4): 25, whatever the covariance; twice as wide: the trace of the covariance."""
    rows = normal(300, 3) @ normal(3, 3, seed=1)
    shift = torch.tensor([3.0, 0.0, 4.0]).double()
    assert of(FrechetDistance(), rows, rows + shift)["fid"] == pytest.approx(25, rel=1e-9)
    wide = (rows - rows.mean(0)) * 2 + rows.mean(0)
    assert of(FrechetDistance(), rows, wide)["fid"] == pytest.approx(float(torch.cov(rows.T).trace()), rel=1e-9)


def test_frechet_agrees_with_a_general_matrix_root() -> None:
    linalg = pytest.importorskip("scipy.linalg")
    a, b = (torch.cov((normal(200, 12, seed=s) @ normal(12, 12, seed=s + 1)).T) for s in (0, 2))
    root = linalg.sqrtm((a @ b).numpy())
    assert float(root_trace(a, b)) == pytest.approx(numpy.trace(root).real, rel=1e-6)


@pytest.mark.parametrize(("rows", "features"), [(400, 8), (20, 64)])
def test_frechet_of_a_set_with_itself_is_nothing(rows: int, features: int) -> None:
    made = normal(rows, features) + 5
    scale = float(torch.cov(made.T).trace())
    assert 0 <= of(FrechetDistance(), made, made.clone())["fid"] < 1e-6 * scale
    assert of(FrechetDistance(), made, made * 1.1)["fid"] > 1e-3 * scale


def test_frechet_does_not_change_when_both_are_turned() -> None:
    a, b = normal(200, 6), normal(200, 6, seed=1) * torch.arange(1.0, 7.0) + 1
    turn = torch.linalg.qr(normal(6, 6, seed=2)).Q
    turned = of(FrechetDistance(), a @ turn, b @ turn)["fid"]
    assert turned == pytest.approx(of(FrechetDistance(), a, b)["fid"], rel=1e-10)
    assert of(FrechetDistance(), a, b @ turn)["fid"] != pytest.approx(turned, rel=1e-3)


@pytest.mark.parametrize(("n", "m", "features"), [(12, 15, 40), (60, 10, 30), (10, 60, 30)])
def test_frechet_of_fewer_samples_than_features(n: int, m: int, features: int) -> None:
    """With centred rows X, Y the trace of the root is the nuclear norm of X Y' over sqrt((n - 1)(m - 1))."""
    x, y = normal(n, features), normal(m, features, seed=1) * 2 + 0.5
    centred = [side - side.mean(0) for side in (x, y)]
    nuclear = torch.linalg.svdvals(centred[0] @ centred[1].T).sum() / math.sqrt((n - 1) * (m - 1))
    apart = (x.mean(0) - y.mean(0)).square().sum()
    expected = float(apart + torch.cov(x.T).trace() + torch.cov(y.T).trace() - 2 * nuclear)
    assert of(FrechetDistance(), x, y)["fid"] == pytest.approx(expected, rel=1e-6)


def test_frechet_of_features_that_are_not_finite_is_no_number() -> None:
    rows = normal(10, 3)
    broken = rows.clone()
    broken[2, 1] = math.nan
    assert math.isnan(of(FrechetDistance(), rows, broken)["fid"])
    assert math.isnan(of(FrechetDistance(), broken, rows)["fid"])


# ---- kernel distance ----


def test_kernel_distance_of_four_points_by_hand() -> None:
    """(x.y / 2 + 1)^3: within a (1, 0), (0, 1): 1; within b (1, 1), (2, 0): 8; across 1.5^3, 8, 1.5^3, 1."""
    a = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).double()
    b = torch.tensor([[1.0, 1.0], [2.0, 0.0]]).double()
    expected = 1 + 8 - 2 * (1.5**3 + 8 + 1.5**3 + 1) / 4
    assert float(squared_discrepancy(a, b)) == pytest.approx(expected, rel=1e-12)
    assert of(KernelDistance(), a, b)["kid"] == pytest.approx(expected, rel=1e-12)


def test_kernel_distance_is_unbiased() -> None:
    """Over 200 draws of the same distribution the mean is 0 within 3 standard errors, and some lie on each side."""
    found = torch.stack(
        [squared_discrepancy(normal(20, 4, seed=2 * n), normal(20, 4, seed=2 * n + 1)) for n in range(200)]
    )
    error = float(found.std()) / math.sqrt(200)
    assert abs(float(found.mean())) < 3 * error
    assert (found < 0).sum() > 40
    assert (found > 0).sum() > 40


def test_kernel_distance_grows_with_the_shift() -> None:
    real, fake = normal(100, 4), normal(100, 4, seed=1)
    found = [of(KernelDistance(), real, fake + shift)["kid"] for shift in (0, 0.5, 1, 2)]
    assert found == sorted(found)
    assert abs(found[0]) < 0.2 < found[1]


def test_kernel_distance_takes_one_subset_where_it_is_everything() -> None:
    a, b = normal(30, 4), normal(30, 4, seed=1)
    metric = KernelDistance(subsets=7, subset_size=30)
    assert metric.protocol(Evidence(statistics(a), statistics(b))) == {"subsets": 1, "subset_size": 30}
    assert of(metric, a, b) == {
        "kid": pytest.approx(float(squared_discrepancy(a, b)), rel=1e-9),
        "kid_spread": 0,
    }
    few = Evidence(statistics(a), statistics(b[:20]))
    assert metric.protocol(few) == {"subsets": 7, "subset_size": 20}
    assert metric.of(few)["kid_spread"] > 0
    assert metric.of(few) == metric.of(few)


def test_kernel_distance_over_subsets_is_near_that_of_everything() -> None:
    a, b = normal(200, 4), normal(200, 4, seed=1) + 0.5
    found = of(KernelDistance(subsets=50, subset_size=50), a, b)
    assert found["kid"] == pytest.approx(float(squared_discrepancy(a, b)), rel=0.15)
    assert 0.01 < found["kid_spread"] < 1


# ---- Inception Score ----


def scored(logits: Tensor, splits: int) -> dict[str, float]:
    return InceptionScore(splits).of(Evidence(fake=statistics(normal(len(logits), 2), logits=logits)))


def test_inception_score_of_clear_and_even_classes_is_their_number() -> None:
    logits = 1000 * torch.eye(7).repeat(10, 1)
    assert scored(logits, 1)["inception_score"] == pytest.approx(7, rel=1e-12)
    assert scored(logits[:, torch.randperm(7)], 1)["inception_score"] == pytest.approx(7, rel=1e-12)
    uneven = 1000 * torch.eye(4)[torch.tensor([0, 0, 1, 2])]  # entropy of (1/2, 1/4, 1/4) is 1.5 bit
    assert scored(uneven, 1)["inception_score"] == pytest.approx(2**1.5, rel=1e-12)


def test_inception_score_of_samples_that_all_look_alike_is_one() -> None:
    assert scored(torch.tensor([[0.3, -2, 1]]).repeat(40, 1), 10) == {
        "inception_score": pytest.approx(1, abs=1e-12),
        "inception_score_spread": pytest.approx(0, abs=1e-12),
    }
    assert scored(1000 * torch.eye(3)[torch.zeros(40).long()], 10)["inception_score"] == pytest.approx(1)


def test_inception_score_of_two_half_sure_samples_by_hand() -> None:
    """(3/4, 1/4) and (1/4, 3/4) about (1/2, 1/2): exp of ln 2 less the entropy of (3/4, 1/4)."""
    logits = torch.tensor([[3.0, 1.0], [1.0, 3.0]]).log()
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert scored(logits, 1)["inception_score"] == pytest.approx(2 * math.exp(-entropy), rel=1e-6)


def test_inception_score_of_samples_made_class_by_class() -> None:
    """Ten splits of ten classes in order would each hold one class, and score 1: they are shuffled."""
    logits = 1000 * torch.eye(10).repeat_interleave(100, 0)
    found = scored(logits, 10)
    assert 9 < found["inception_score"] <= 10
    assert 0 < found["inception_score_spread"] < 0.5
    assert InceptionScore(10).least == 20


# ---- neighbours ----


def test_radii_and_balls_by_hand() -> None:
    points = column(0, 1, 3, 7)
    assert radii(points, 1).tolist() == [1, 1, 2, 4]
    assert radii(points, 3).tolist() == [7, 6, 4, 7]
    assert within(column(1.5, 5, 100), points, torch.tensor([1.0, 1, 2, 4])).tolist() == [2, 2, 0]
    assert nearest(column(2.5, 20), points).tolist() == [0.5, 13]


def test_neighbours_in_chunks_are_those_of_all_at_once() -> None:
    a, b = normal(1100, 3), normal(700, 3, seed=1)
    apart = (a[:, None] - b[None]).square().sum(2).sqrt()
    torch.testing.assert_close(nearest(a, b), apart.amin(1))
    radius = radii(b, 5)
    own = (b[:, None] - b[None]).square().sum(2).sqrt().sort(1).values
    torch.testing.assert_close(radius, own[:, 5])
    assert torch.equal(within(a, b, radius), (apart <= radius).sum(1))


def test_precision_and_recall_by_hand() -> None:
    """k = 1: two of four samples lie near reals, and wide balls of stray samples cover every real."""
    real = column(0, 1, 10, 12)  # radii 1, 1, 2, 2: their balls cover [-1, 2] and [8, 14]
    fake = column(0.5, 1.5, 5, 20)  # radii 1, 1, 3.5, 15: [-0.5, 2.5], [1.5, 8.5] and [5, 35]
    found = of(PrecisionRecall(k=1), real, fake)
    assert found == {"precision": 2 / 4, "recall": 4 / 4}
    few = of(PrecisionRecall(k=1), real, column(0.5, 0.6, 0.7))  # radii 0.1: covered [0.4, 0.8]
    assert few == {"precision": 1, "recall": 0}
    far = of(PrecisionRecall(k=1), real, column(30, 31))
    assert far == {"precision": 0, "recall": 0}


def test_density_and_coverage_by_hand() -> None:
    """k = 1: 0.5 lies in two balls of reals, 9 in one, 30 in none; the ball of 12 alone has no sample in it."""
    real = column(0, 1, 10, 12)  # balls [-1, 1], [0, 2], [8, 12], [10, 14]
    found = of(DensityCoverage(k=1), real, column(0.5, 9, 30))
    assert found == {"density": pytest.approx((2 + 1 + 0) / 3), "coverage": 3 / 4}
    assert of(DensityCoverage(k=2), column(0, 1, 2), column(1, 1)) == {
        "density": pytest.approx(3 / 2),  # each in all three balls, over k: it may exceed 1
        "coverage": 1,
    }


def test_in_the_plane_neighbours_are_counted_by_distance() -> None:
    real = torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 6.0]]).double()  # apart 5, 6, sqrt(13)
    assert radii(real, 1).tolist() == pytest.approx([5, 13**0.5, 13**0.5])
    found = of(PrecisionRecall(k=1), real, torch.tensor([[0.0, -4.9], [-3.6, -3.6]]).double())
    assert found["precision"] == 1 / 2  # the first alone lies within 5 of the origin


def test_an_outlier_lifts_precision_and_not_density() -> None:
    """A real far off has a ball that swallows all between: each sample is precise now, and has 1 / k of density."""
    real = torch.cat([normal(60, 2), torch.tensor([[60.0, 0.0]]).double()])
    fake = normal(60, 2, seed=1) + torch.tensor([20.0, 0.0]).double()
    without = {**of(PrecisionRecall(3), real[:-1], fake), **of(DensityCoverage(5), real[:-1], fake)}
    with_it = {**of(PrecisionRecall(3), real, fake), **of(DensityCoverage(5), real, fake)}
    assert without["precision"] == without["density"] == 0
    assert with_it["precision"] == 1
    assert with_it["density"] == pytest.approx(1 / 5)
    assert with_it["coverage"] <= 1 / 61


def test_equal_distributions_score_near_one() -> None:
    real, fake = normal(500, 3), normal(500, 3, seed=1)
    found = {**of(PrecisionRecall(), real, fake), **of(DensityCoverage(), real, fake)}
    assert 0.8 < found["precision"] <= 1
    assert 0.8 < found["recall"] <= 1
    assert found["density"] == pytest.approx(1, abs=0.15)
    assert 0.9 < found["coverage"] <= 1


@pytest.mark.parametrize("made", [PrecisionRecall, DensityCoverage])
def test_neighbours_need_one_more_picture_than_k(made: type) -> None:
    assert made(k=4).least == 5
    with pytest.raises(ValueError, match="at least 1"):
        made(k=0)


def test_copies_of_training_pictures_are_found() -> None:
    train, test, fresh = normal(500, 4), normal(300, 4, seed=1), normal(300, 4, seed=2)
    assert of(NearestNeighbours(), train, train[:200], test) == {"nearest_neighbours": 0, "copies": 1}
    found = of(NearestNeighbours(), train, fresh, test)
    assert found["nearest_neighbours"] == pytest.approx(1, abs=0.1)
    assert 0 <= found["copies"] < 0.04
    half = torch.cat([train[:150], fresh[:150]])
    assert of(NearestNeighbours(), train, half, test)["copies"] == pytest.approx(0.5, abs=0.02)
    assert of(NearestNeighbours(), train, fresh + 9, test)["nearest_neighbours"] > 5


def test_the_nearest_neighbour_ratio_by_hand() -> None:
    """Medians of 0.1, 0.1, 0.3 and of 0.4, 0.2, 0.4."""
    train = column(0, 10, 20)
    found = of(NearestNeighbours(), train, column(0.1, 9.9, 20.3), column(0.4, 10.2, 19.6))
    assert found["nearest_neighbours"] == pytest.approx(0.1 / 0.4)
    assert found["copies"] == pytest.approx(2 / 3)  # 0.1 is nearer than 99 of 100 held-out ones


# ---- likeness of samples ----


@pytest.mark.parametrize(
    ("side", "scales"),
    [(11, 1), (21, 1), (22, 2), (28, 2), (32, 2), (43, 2), (44, 3), (64, 3), (87, 3), (88, 4), (175, 4), (176, 5)],
)
def test_as_many_scales_as_the_window_fits(side: int, scales: int) -> None:
    assert scales_of(side) == scales


def test_pictures_below_the_window_are_refused() -> None:
    with pytest.raises(UserError, match="at least 11 pixels a side, and these have 10"):
        scales_of(10)


def smooth(count: int, side: int, seed: int = 0) -> Tensor:
    """(count, 1, side, side) uint8 with structure."""
    coarse = torch.rand(count, 1, side // 4, side // 4, generator=torch.Generator().manual_seed(seed)) * 255
    return torch.nn.functional.interpolate(coarse, size=side, mode="bilinear").round().to(torch.uint8)


def test_a_picture_is_wholly_like_itself() -> None:
    images = smooth(4, 44)
    torch.testing.assert_close(ms_ssim(images, images), torch.ones(4).double(), rtol=0, atol=1e-12)
    assert MultiScaleSSIM().of_pairs(images[:1].repeat(10, 1, 1, 1)).tolist() == pytest.approx([1] * 5)


def slow_scale(a: numpy.ndarray, b: numpy.ndarray) -> tuple[float, float]:
    """Mean SSIM and mean contrast-structure of two (H, W), window by window."""
    at = numpy.arange(11) - 5
    window = numpy.exp(-(at[:, None] ** 2 + at[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    alike, contrast = [], []
    for row in range(a.shape[0] - 10):
        for place in range(a.shape[1] - 10):
            one, other = (x[row : row + 11, place : place + 11] for x in (a, b))
            mean_one, mean_other = (window * one).sum(), (window * other).sum()
            var_one = (window * (one - mean_one) ** 2).sum()
            var_other = (window * (other - mean_other) ** 2).sum()
            both = (window * (one - mean_one) * (other - mean_other)).sum()
            structure = (2 * both + 58.5225) / (var_one + var_other + 58.5225)
            contrast.append(structure)
            alike.append((2 * mean_one * mean_other + 6.5025) / (mean_one**2 + mean_other**2 + 6.5025) * structure)
    return float(numpy.mean(alike)), float(numpy.mean(contrast))


def test_two_scales_agree_with_a_slow_reference() -> None:
    """Weights 0.0448 and 0.2856 made to sum to 1: contrast of the fine scale, all of the halved one."""
    first = smooth(1, 25)
    other = (first.float() * 0.7 + smooth(1, 25, seed=1).float() * 0.3).round().to(torch.uint8)
    a, b = first[0, 0].double().numpy(), other[0, 0].double().numpy()
    fine = slow_scale(a, b)[1]
    halved = [x[:24, :24].reshape(12, 2, 12, 2).mean((1, 3)) for x in (a, b)]
    coarse = slow_scale(*halved)[0]
    share = WEIGHTS[0] / (WEIGHTS[0] + WEIGHTS[1])
    expected = fine**share * coarse ** (1 - share)
    assert 0.1 < expected < 0.9
    assert float(ms_ssim(first, other)) == pytest.approx(expected, rel=1e-9)
    assert float(ms_ssim(other, first)) == pytest.approx(expected, rel=1e-9)


def test_the_published_weights_sum_to_one() -> None:
    assert WEIGHTS == (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
    assert sum(WEIGHTS) == pytest.approx(1, abs=2e-4)


def test_a_more_diverse_set_is_less_alike() -> None:
    diverse = smooth(40, 22)
    same = (0.8 * diverse[:1].float() + 0.2 * diverse.float()).round().to(torch.uint8)
    found = MultiScaleSSIM(pairs=15).of(Evidence(fakes=same, reals=diverse))
    assert found["ms_ssim"] > found["ms_ssim_real"] + 0.3
    assert MultiScaleSSIM(pairs=15).protocol(Evidence(fakes=same, reals=diverse[:10])) == {
        "pairs": 15,
        "pairs_real": 5,
        "scales": 2,
    }


def test_one_picture_has_no_pair() -> None:
    with pytest.raises(UserError, match="metric=ms_ssim needs at least 2 pictures, and there are 1"):
        MultiScaleSSIM().of(Evidence(fakes=smooth(1, 22), reals=smooth(4, 22)))


# ---- toy data ----


def on_ring(*counts: int, off: float = 0.0) -> Tensor:
    """So many points beside each of the ring's modes."""
    return torch.cat([centre.repeat(n, 1) + off for centre, n in zip(ring(8), counts, strict=False)])


def test_modes_of_points_made_by_hand() -> None:
    """8 modes and 800 points: a mode needs 0.064 * 100 = 6.4 of them within 0.03."""
    every = Evidence(fakes=on_ring(*[100] * 8, off=0.02), modes=(ring(8), 0.01))  # 0.028 away
    assert Modes().of(every) == {"modes": 8, "high_quality_share": 1}
    dropped = Evidence(fakes=on_ring(300, 300, 187, 7, 6), modes=(ring(8), 0.01))
    assert Modes().of(dropped) == {"modes": 4, "high_quality_share": 1}
    far = torch.cat([on_ring(*[50] * 8), on_ring(*[50] * 8, off=0.03)])  # half of them 0.042 away
    assert Modes().of(Evidence(fakes=far, modes=(ring(8), 0.01))) == {"modes": 8, "high_quality_share": 0.5}
    nowhere = Evidence(fakes=torch.zeros(100, 2), modes=(ring(8), 0.01))
    assert Modes().of(nowhere) == {"modes": 0, "high_quality_share": 0}


def test_modes_as_published_are_20_of_2500_points() -> None:
    for count, covered in ((20, 2), (19, 1)):
        points = Evidence(fakes=on_ring(2500 - count, count), modes=(ring(8), 0.01))
        assert Modes().of(points)["modes"] == covered
    with pytest.raises(ValueError, match="least_share"):
        Modes(0)


def test_modes_of_pictures_are_refused() -> None:
    with pytest.raises(UserError, match="dataset=gaussians"):
        Modes().of(Evidence(fakes=torch.zeros(4, 2)))


# ---- targets ----


def test_scores_against_targets_are_means_over_pictures() -> None:
    evidence = Evidence(pairs={"psnr": torch.tensor([20.0, 30.0, 34.0]), "ssim": torch.tensor([0.5, 0.7])})
    assert AgainstTarget("psnr").of(evidence) == {"psnr": pytest.approx(28)}
    assert AgainstTarget("ssim").of(evidence) == {"ssim": pytest.approx(0.6)}
    assert AgainstTarget("psnr").protocol(evidence) == {"pictures": 3}


def test_no_targets_is_said_in_a_sentence() -> None:
    with pytest.raises(UserError, match=r"metric=psnr needs a model whose pictures have targets$"):
        AgainstTarget("psnr").of(Evidence())
    with pytest.raises(UserError, match=r"metric=ssim needs .*; it has psnr"):
        AgainstTarget("ssim").of(Evidence(pairs={"psnr": torch.ones(2)}))


def test_lpips_judges_colour_and_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for the package: grey becomes colour, values are cut to [-1, 1]."""

    class Judge(nn.Module):
        def __init__(self, net: str, verbose: bool) -> None:
            super().__init__()
            assert (net, verbose) == ("vgg", False)

        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            assert a.shape == b.shape == (2, 3, 8, 8)
            return (a - b).abs().amax((1, 2, 3), keepdim=True)

    monkeypatch.setitem(sys.modules, "lpips", SimpleNamespace(LPIPS=Judge))
    made = LPIPS("vgg").of_pair(torch.full((2, 1, 8, 8), 5.0), torch.zeros(2, 1, 8, 8))
    assert made["lpips"].tolist() == [1, 1]
    monkeypatch.setitem(sys.modules, "lpips", None)
    with pytest.raises(UserError, match="metric=lpips needs the package lpips: pip install"):
        LPIPS().judge()
    with pytest.raises(ValueError, match="network='resnet' must be one of alex, vgg, squeeze"):
        LPIPS("resnet")


# ---- path length ----


def test_path_length_is_the_mean_without_the_outermost_hundredths() -> None:
    """Of 0 .. 199 and two outliers, the quantiles lie at 2.01 and 198.99: below 2 and above 199 are left out."""
    lengths = torch.cat([torch.arange(200.0), torch.tensor([1e6, -1e6])])
    asked: list[tuple[int, float, str]] = []

    def path(paths: int, step: float, space: str) -> Tensor:
        asked.append((paths, step, space))
        return lengths

    found = PathLength(paths=202, step=0.01, space="w").of(Evidence(path=path))
    assert found == {"ppl": pytest.approx(sum(range(1, 199)) / 198)}
    assert asked == [(202, 0.01, "w")]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_path_length_of_few_paths_is_a_number(count: int) -> None:
    found = PathLength(paths=count).of(Evidence(path=lambda *_: torch.arange(1.0, count + 1)))
    assert found["ppl"] == pytest.approx((count + 1) / 2)


def test_path_length_needs_latents_and_sane_options() -> None:
    with pytest.raises(UserError, match="needs a model with latents"):
        PathLength().of(Evidence())
    for options in ({"paths": 0}, {"step": 0}, {"step": 1.0}, {"space": "x"}):
        with pytest.raises(ValueError, match="space z or w"):
            PathLength(**options)


class LinearGame:
    """Pictures that are a linear map of the latent, as `Trained.game`; one pixel stays at 1."""

    def __init__(self, latent: Gaussian | Uniform, weight: Tensor) -> None:
        self.latent, self.weight = latent, weight

    def make(self, latent: Tensor, label: Tensor | None) -> Tensor:
        pixels = latent @ self.weight.to(latent.dtype).T
        return torch.cat([pixels, torch.ones_like(pixels[:, :1])], 1)[:, None, None]

    def spaces(self, networks: dict[str, Any]) -> dict[str, Any]:
        return {"z": LatentSpace(self.latent, nn.Identity(), self.make)}

    def given(self, count: int, seed: int, labels: Any, purpose: str) -> dict[str, Tensor]:
        return {"latent": latents(self.latent, count, seed, purpose)}


def lengths_of(game: LinearGame, extractor: Any, paths: int, step: float, space: str = "z") -> Tensor:
    setting = SimpleNamespace(how=Plan(seed=3, batch_size=7), device=torch.device("cpu"), extractor=extractor)
    trained = SimpleNamespace(game=game, networks={}, given=game.given)
    return path_of(setting, trained)(paths, step, space)  # type: ignore[arg-type]


def test_path_length_of_a_linear_model_by_hand() -> None:
    """Small pictures x, and one pixel that is 1: features of unit length are nearly x, which moves straight by
    W (b - a) for each unit of the path."""
    weight = 1e-2 * normal(5, 3)
    game = LinearGame(Uniform(3), weight)
    found = lengths_of(game, lambda pixels: (pixels.double().flatten(1) / 127.5 - 1, None), paths=20, step=0.1)
    a, b = (latents(game.latent, 20, 3, "path", end).double() for end in ("from", "to"))
    expected = ((b - a) @ weight.T).square().sum(1)
    assert found.shape == (20,)
    torch.testing.assert_close(found, expected, rtol=5e-3, atol=1e-9)


def test_path_length_on_the_sphere_is_the_angle_squared() -> None:
    """Features that are the latent itself, brought to unit length: a step of e moves them by 2 sin(e angle / 2)."""
    game = LinearGame(Gaussian(6), torch.eye(6) / 100)

    def features(pixels: Tensor) -> tuple[Tensor, None]:
        return (pixels.double().flatten(1) / 127.5 - 1)[:, :6], None

    a, b = (latents(game.latent, 15, 3, "path", end).double() for end in ("from", "to"))
    angle = torch.nn.functional.cosine_similarity(a, b).acos()
    for step in (0.1, 0.02):
        expected = (2 * (step * angle / 2).sin() / step).square()
        torch.testing.assert_close(lengths_of(game, features, 15, step), expected, rtol=3e-3, atol=0)


def test_path_length_in_w_needs_a_mapping() -> None:
    with pytest.raises(UserError, match=r"metric\.ppl\.space=w needs a model with a mapping network"):
        lengths_of(LinearGame(Gaussian(2), torch.eye(2)), nn.Identity(), 2, 0.1, "w")


# ---- paths between latents ----


def test_the_great_circle_keeps_ends_and_lengths() -> None:
    latent = Gaussian(5)
    a, b = normal(9, 5), normal(9, 5, seed=1)
    for place, end in ((0.0, a), (1.0, b)):
        torch.testing.assert_close(latent.between(a, b, torch.full((9, 1), place).double()), end, rtol=1e-12, atol=0)
    places = torch.linspace(0, 1, 9).double()[:, None]
    unit = [x / x.norm(dim=1, keepdim=True) for x in (a, b)]
    torch.testing.assert_close(latent.between(*unit, places).norm(dim=1), torch.ones(9).double())
    lengths = torch.lerp(a.norm(dim=1), b.norm(dim=1), places[:, 0])
    torch.testing.assert_close(latent.between(a, b, places).norm(dim=1), lengths)


def test_the_great_circle_by_hand() -> None:
    """A quarter turn from (2, 0) to (0, 4): half way at 45 degrees and length 3, a third at 30 degrees."""
    a, b = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 4.0]])
    half = Gaussian(2).between(a, b, torch.tensor([[0.5]]))
    torch.testing.assert_close(half, torch.tensor([[3 / 2**0.5, 3 / 2**0.5]]))
    third = Gaussian(2).between(a, b, torch.tensor([[1 / 3]]))
    length = 2 + 2 / 3
    torch.testing.assert_close(third, torch.tensor([[length * 3**0.5 / 2, length / 2]]))


def test_the_great_circle_of_one_direction_is_a_line() -> None:
    a = torch.tensor([[1.0, 2.0, -2.0]])
    for b in (a.clone(), 2 * a, a + 1e-7, -a):
        for place in (0.0, 0.3, 1.0):
            made = Gaussian(3).between(a, b, torch.tensor([[place]]))
            assert made.isfinite().all()
            if b is not a and float((a * b).sum()) > 0:
                torch.testing.assert_close(made, torch.lerp(a, b, place), rtol=1e-5, atol=1e-5)


def test_uniform_latents_go_straight() -> None:
    a, b = torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0, -1.0]])
    made = Uniform(2).between(a, b, torch.tensor([[0.25]]))
    assert made.tolist() == [[0.25, 0.5]]


# ---- names, protocols and the file of scores ----

NODE = {"requires": {"features": True}, "provides": {"scores": {"fid": "lower", "spread": None}}}
PLAIN = {"provides": {"scores": {"psnr": "higher"}}}
OWN = {"requires": {"features": True, "only_features": "classifier"}, "provides": {"scores": {"asked": "higher"}}}


@pytest.mark.parametrize(
    ("node", "features", "name"),
    [
        (NODE, {"provides": {"name": "classifier"}}, "fid_classifier"),
        (NODE, {"name": "mobilenet"}, "fid_mobilenet"),
        (NODE, {"provides": {"name": "inception"}}, "fid"),
        (PLAIN, {"provides": {"name": "classifier"}}, "fid"),
        (PLAIN, None, "fid"),
        (OWN, {"provides": {"name": "classifier"}}, "fid"),
    ],
)
def test_only_inception_goes_without_a_name(node: dict, features: dict | None, name: str) -> None:
    assert full_name("fid", node, features) == name


def test_every_score_is_listed_with_its_better_end() -> None:
    made = score_names({"fid": NODE, "psnr": PLAIN}, {"provides": {"name": "classifier"}})
    assert made == {"fid_classifier": "lower", "spread_classifier": None, "psnr": "higher"}


def test_scores_compare_where_all_but_seed_and_versions_agree() -> None:
    one = {"metric": {"name": "kid", "subsets": 3}, "seed": 0, "versions": {"torch": "2"}, "real": {"count": 9}}
    assert protocol_digest(one) == protocol_digest(dict(reversed(one.items())))
    assert protocol_digest({**one, "seed": 1, "versions": {"torch": "3"}}) == protocol_digest(one)
    assert protocol_digest({**one, "real": {"count": 10}}) != protocol_digest(one)
    assert protocol_digest({**one, "more": 1}) != protocol_digest(one)
    assert len(protocol_digest(one)) == 8


def score(value: float, images: int, checkpoint: str | None = None) -> Score:
    return Score("fid", value, "lower", images, checkpoint, {"count": 1})


def test_scores_are_read_in_order_without_a_torn_line(tmp_path: Path) -> None:
    assert read_scores(tmp_path) == []
    append_scores(tmp_path, [score(3, 10), score(2, 20)])
    whole = (tmp_path / METRICS_FILE).read_text()
    assert json.loads(whole.splitlines()[0])["protocol_digest"] == protocol_digest({"count": 1})
    (tmp_path / METRICS_FILE).write_text(whole + whole[:40])  # killed while it wrote a third
    assert [line["value"] for line in read_scores(tmp_path)] == [3, 2]
    append_scores(tmp_path, [score(1, 30)])  # not glued to the torn one
    assert [line["value"] for line in read_scores(tmp_path)] == [3, 2, 1]


def test_a_line_without_its_end_is_kept_apart_from_the_next(tmp_path: Path) -> None:
    append_scores(tmp_path, [score(3, 10)])
    file = tmp_path / METRICS_FILE
    file.write_text(file.read_text().rstrip("\n"))
    append_scores(tmp_path, [score(2, 20)])
    assert [line["value"] for line in read_scores(tmp_path)] == [3, 2]


def test_what_was_scored_after_the_last_checkpoint_is_taken_back(tmp_path: Path) -> None:
    """Scores of saved checkpoints stay, as their files do; torn and foreign lines go."""
    take_back(tmp_path, 5)  # nothing there
    append_scores(tmp_path, [score(3, 10), score(2, 20), score(1, 30), score(0, 30, "000030.pt")])
    with open(tmp_path / METRICS_FILE, "a") as file:
        file.write('[1]\n"word"\n{"name": "fi')
    take_back(tmp_path, 20)
    assert [(line["value"], line["images"]) for line in read_scores(tmp_path)] == [(3, 10), (2, 20), (0, 30)]
    assert len((tmp_path / METRICS_FILE).read_text().splitlines()) == 3
    before = (tmp_path / METRICS_FILE).stat().st_mtime_ns
    take_back(tmp_path, 20)
    assert (tmp_path / METRICS_FILE).stat().st_mtime_ns == before


def test_better_is_to_one_side() -> None:
    assert is_better(1, None, "lower")
    assert is_better(1, 2, "lower")
    assert is_better(2, 1, "higher")
    assert not is_better(2, 1, "lower")
    assert not is_better(1, 2, "higher")
    assert not is_better(1, 1, "lower")
    assert not is_better(1, 1, "higher")
