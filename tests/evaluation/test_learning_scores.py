"""The learning benchmark's scores on sets whose score is known."""

from __future__ import annotations

import importlib.util
import math
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from conftest import ROOT
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from gan_cli.data.planar import grid, ring
from gan_cli.data.sets import Digits
from gan_cli.media.image import to_pixels
from gan_cli.metrics.classifier import trained_classifier


def load_benchmark(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up, benchmarks each other
    spec.loader.exec_module(module)
    return module


judge, judge_pictures = load_benchmark("judge"), load_benchmark("judge_pictures")
load_benchmark("rows")
translation = load_benchmark("translation")


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def standard(count: int, size: int) -> Tensor:
    """(count, size) float64 whose mean is exactly 0 and whose covariance is exactly 1."""
    x = normal(count, size).double()
    x = x - x.mean(0)
    return torch.linalg.solve_triangular(torch.linalg.cholesky(torch.cov(x.T)), x.T, upper=False).T


def digits(split: str) -> tuple[Tensor, Tensor]:
    data = Digits(16, split=split)  # type: ignore[arg-type]
    fields = data.fetch(torch.arange(len(data)), torch.device("cpu"))
    return to_pixels(fields["image"]), fields["label"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """A classifier of digits and the folder it is cached in."""
    before, cache = torch.get_num_threads(), tmp_path_factory.mktemp("classifier")
    torch.set_num_threads(1)
    classifier = trained_classifier(*digits("train"), 10, cache)
    torch.set_num_threads(before)
    return classifier, cache


def test_frechet_of_a_set_with_itself_is_zero() -> None:
    x = normal(300, 12)
    assert judge.frechet(x, x) == pytest.approx(0, abs=1e-6)
    flat = torch.cat([x, x[:, :3]], 1)  # a covariance that has no inverse
    assert judge.frechet(flat, flat) == pytest.approx(0, abs=1e-6)


def test_frechet_of_two_diagonal_gaussians() -> None:
    """|difference of means|^2 + sum (s - t)^2 for deviations s and t."""
    x = standard(500, 3)
    a = x * torch.tensor([1.0, 2.0, 3.0])
    b = x * torch.tensor([2.0, 2.0, 0.5]) + torch.tensor([1.0, -2.0, 0.0])
    assert judge.frechet(a, b) == pytest.approx(5 + 1 + 0 + 2.5**2, rel=1e-9)
    assert judge.frechet(b, a) == pytest.approx(12.25, rel=1e-9)


def test_frechet_of_covariances_that_do_not_commute() -> None:
    """In the plane the trace of a root is sqrt(trace + 2 sqrt(det)), here of the product of the covariances."""
    x = standard(500, 2)
    one, two = (torch.tensor(rows).double() for rows in ([[2.0, 1.0], [0.0, 1.0]], [[1.0, 0.0], [3.0, 0.5]]))
    first, second = one.T @ one, two.T @ two
    product = first @ second
    root = (product.trace() + 2 * product.det().sqrt()).sqrt()
    expected = float(first.trace() + second.trace() - 2 * root)
    assert judge.frechet(x @ one, x @ two) == pytest.approx(expected, rel=1e-9)


def test_frechet_does_not_change_when_both_are_turned() -> None:
    a, b = normal(200, 6), normal(200, 6, seed=1) * torch.arange(1.0, 7.0) + 1
    turn = torch.linalg.qr(normal(6, 6, seed=2)).Q
    assert judge.frechet(a @ turn, b @ turn) == pytest.approx(judge.frechet(a, b), rel=1e-4)


def test_recall_of_a_set_with_itself_and_with_a_collapsed_one() -> None:
    real = normal(400, 8)
    assert judge.recall(real, real) == 1
    assert judge.recall(normal(400, 8, seed=1), real) > 0.6
    assert judge.recall(1e-3 * normal(400, 8, seed=1), real) == 0
    assert judge.recall(real[:5].repeat(80, 1), real) < 6 / 400


def test_recall_counts_reals_in_the_ball_of_the_third_neighbour() -> None:
    samples = torch.tensor([[0.0], [1.0], [2.0], [3.0]])  # third neighbours 3, 2, 2 and 3 away: the balls cover [-3, 6]
    real = torch.tensor([[-3.5], [-2.5], [1.0], [5.5], [6.5], [9.0]])
    assert judge.recall(samples, real) == pytest.approx(3 / 6)


def test_the_nearest_neighbour_ratio_is_low_for_copies() -> None:
    train, test = normal(500, 6), normal(200, 6, seed=1)
    assert judge.nearest_ratio(train[:200], train, test) < 0.01
    assert judge.nearest_ratio(normal(200, 6, seed=2), train, test) == pytest.approx(1, abs=0.15)
    line, off = torch.arange(10.0)[:, None], torch.arange(5.0)[:, None]
    assert judge.nearest_ratio(off + 0.1, line, off + 0.4) == pytest.approx(0.25, rel=1e-3)


def test_the_rarest_class_counts_those_that_never_come() -> None:
    classes = torch.tensor([0] * 5 + [1] * 3 + [2] * 2)
    assert judge.rarest_share(classes, 3) == pytest.approx(0.2)
    assert judge.rarest_share(classes, 4) == 0


def test_modes_covered_on_points_made_by_hand() -> None:
    centres = ring(8)
    off = torch.tensor([[0.0, 0.029]])  # within 3 deviations of 0.01
    near = torch.cat([centres[:4].repeat_interleave(20, 0), centres[4:6].repeat_interleave(19, 0)]) + off
    far = centres[6:8].repeat_interleave(21, 0) + torch.tensor([[0.0, 0.031]])
    points = torch.cat([near, far])
    found = judge.Modes(20 * 8 / len(points)).of(judge.Evidence(fakes=points, modes=(centres, 0.01)))
    modes, share = found["modes"], found["high_quality_share"]
    assert modes == 4  # 19 points are too few, and the last two modes' points lie outside
    assert share == pytest.approx(118 / 160)
    every = grid(5).repeat_interleave(20, 0) + 0.0125 * normal(500, 2).clamp(-2, 2)
    assert judge.modes_covered(every, grid(5), 0.0125) == (25, 1.0)


@pytest.mark.slow
def test_a_classifier_of_digits_is_good_enough_to_judge(trained: tuple[Any, Path]) -> None:
    images, labels = digits("test")
    found = judge.describe(trained[0], images)
    assert found.features.shape == (len(images), 64)
    assert float((found.classes == labels).float().mean()) >= 0.97
    assert judge.rarest_share(found.classes, 10) == pytest.approx(judge.rarest_share(labels, 10), abs=0.01)


@pytest.mark.slow
def test_texture_tells_noise_and_blur_from_the_reals(trained: tuple[Any, Path]) -> None:
    """And the two from each other, where test images lie close to the training ones."""
    classifier, _ = trained
    images, reals = digits("test")[0], digits("train")[0]
    blurred = interpolate(avg_pool2d(images.float(), 4), size=16, mode="bilinear")
    noisy = (images + 40 * normal(*images.shape)).clamp(0, 255)
    test, real, blur, noise = (judge.describe(classifier, x).texture for x in (images, reals, blurred, noisy))
    floor = judge.frechet(test, real)
    assert judge.frechet(blur, real) > 5 * floor
    assert judge.frechet(noise, real) > 5 * floor
    assert judge.frechet(noise, blur) > 5 * floor


# ---- pictures that have a target ----


def test_the_gradient_of_a_ramp_by_hand() -> None:
    """0.1 a column and 0.2 a row, in one of three channels."""
    rows, columns = torch.meshgrid(torch.arange(6.0), torch.arange(5.0), indexing="ij")
    ramp = torch.zeros(1, 3, 6, 5)
    ramp[0, 1] = 0.2 * rows + 0.1 * columns
    found = judge_pictures.gradient_magnitude(ramp)
    assert found.shape == (1, 5, 4)
    torch.testing.assert_close(found, torch.full_like(found, 0.05**0.5 / 3))


def test_twice_the_contrast_is_6_decibels_at_every_frequency() -> None:
    image = normal(3, 1, 32, 32)
    difference = judge_pictures.spectrum(2 * image) - judge_pictures.spectrum(image)
    torch.testing.assert_close(difference, torch.full_like(difference, 20 * math.log10(2)), atol=1e-6, rtol=0)
    assert judge_pictures.spectrum_distance(image, image) == 0
    assert judge_pictures.spectrum_distance(2 * image, image) == pytest.approx(20 * math.log10(2))


def test_the_spectrum_of_a_wave_is_in_its_band() -> None:
    """A ramp whose slope waves 4 times in 32 pixels."""
    at = torch.arange(33)
    slope = 1 + 0.5 * torch.cos(2 * math.pi * 4 * at / 32)
    image = torch.cumsum(slope, 0).expand(1, 1, 33, 33)
    found = judge_pictures.spectrum(image)
    assert len(found) == 16
    assert found[1:].argmax() + 1 == 4


def test_the_spectrum_is_further_off_the_more_a_picture_is_blurred_or_noisy() -> None:
    data = Digits(32)
    real = data.fetch(torch.arange(200), torch.device("cpu"))["image"]
    blurred, noisy = [real], [real]
    for number in range(3):
        blurred.append(avg_pool2d(blurred[-1], 3, 1, 1, count_include_pad=False))
        noisy.append(real + 0.1 * (number + 1) * normal(*real.shape, seed=number))
    for series in (blurred, noisy):
        distances = [judge_pictures.spectrum_distance(one, real) for one in series]
        assert distances == sorted(distances)
        assert distances[1] > 0.5
    assert judge_pictures.spectrum_distance(real[:100], real[100:]) < 1  # other digits of the same kind


def test_the_hole_alone_is_scored() -> None:
    """10 levels off in the hole, anything outside it."""
    wanted = torch.zeros(2, 3, 8, 8)
    mask = torch.zeros(2, 1, 8, 8)
    mask[:, :, 2:4, 2:6] = 1
    made = (wanted + 20 / 255) * mask + 0.9 * (1 - mask)
    assert translation.hole_psnr(made, wanted, mask) == pytest.approx(20 * math.log10(255 / 10), abs=0.5)


def test_the_other_hand_is_sheared_and_recoloured() -> None:
    digits = torch.zeros(1, 32, 32)
    digits[0, :, 15:17] = 1
    made = translation.other_hand(digits)
    ink = torch.tensor([0.1, 0.15, 0.45])
    assert made.shape == (1, 3, 32, 32)
    inked = (made[0] - ink.view(3, 1, 1)).abs().sum(0) < 1e-4
    middles = [row.nonzero().float().mean().item() for row in inked]
    assert inked.sum(1).tolist() == [2] * 32
    assert middles[0] - middles[-1] == pytest.approx(0.3 * 31, abs=1)  # top and bottom lean apart


def test_a_control_passes_by_failing() -> None:
    table = translation.Table("title", ["score"])
    table.gate("a", True)
    table.gate("b", False, control=True)
    assert table.good
    table.row("x", "1")
    assert "passes: a: yes" in str(table)
    assert "passes: b: no, as it must be" in str(table)
    table.gate("c", True, control=True)
    assert not table.good
    assert "FAILS: c" in str(table)


def test_shuffled_pairs_are_the_same_pictures_in_another_order(tmp_path: Path) -> None:
    for part, count in (("train", 12), ("test", 2)):
        for number in range(count):
            for side in "AB":
                path = tmp_path / "pairs" / part / side / f"{number:02}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(f"{part}{side}{number}".encode())
    made = translation.shuffled_pairs(tmp_path / "pairs", tmp_path / "made")

    def read(root: Path, folder: str) -> list[bytes]:
        return [file.read_bytes() for file in sorted((root / folder).iterdir())]

    for folder in ("train/A", "test/A", "test/B"):
        assert read(made, folder) == read(tmp_path / "pairs", folder)
    before, after = read(tmp_path / "pairs", "train/B"), read(made, "train/B")
    assert sorted(before) == sorted(after)
    assert sum(one == other for one, other in zip(before, after, strict=True)) < 5
