"""Scores see the faults that they are there for: real digits, spoiled more and more, in a classifier's features."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
import torch
from conftest import ROOT
from torch import Tensor

from gan_cli.metrics import classifier


def load_benchmark(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


faults = load_benchmark("metric_faults")


@pytest.fixture(scope="module")
def judge() -> Iterator[Any]:
    """Trained on 600 digits for a fifth of the usual steps, which is enough for 95 % of the others."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classifier, "LEAST_STEPS", 300)
        made = faults.Judge(faults.digit_sets())
    assert made.extractor.test_accuracy > 0.95
    yield made
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def perfect(judge: Any) -> list[dict[str, float]]:
    """Scores of five disjoint sets of reals."""
    return [judge.scores(part) for part in judge.sets.pool.pixels[:900].split(180)]


def clean(judge: Any) -> Tensor:
    return judge.sets.pool.pixels[: judge.sets.count]


def rises(values: list[float]) -> bool:
    return all(one < other for one, other in itertools.pairwise(values))


@pytest.mark.slow
@pytest.mark.parametrize(("spoil", "levels"), [(faults.noisy, (24, 48, 96)), (faults.blurred, (0.7, 1.2, 2.0))])
def test_growing_noise_and_blur_move_distances_and_precision(
    spoil: Any, levels: tuple[float, ...], judge: Any, perfect: list[dict[str, float]]
) -> None:
    """Each level scores worse than the one before, the first worse than any of the reals."""
    found = [judge.scores(spoil(clean(judge), level)) for level in levels]
    for name, sign in (("fid", 1), ("kid", 1), ("precision", -1), ("coverage", -1)):
        reals = max(sign * scores[name] for scores in perfect)
        slight, more, most = (sign * scores[name] for scores in found)
        assert reals < slight < more <= most, name
        assert more < most or most == 0, name  # shares end at 0


@pytest.mark.slow
def test_dropped_classes_move_recall_and_coverage(judge: Any, perfect: list[dict[str, float]]) -> None:
    """And leave precision where it was: what is there is real."""
    found = [judge.scores(faults.of_classes(judge.sets.pool, kept, judge.sets.count)) for kept in (9, 5, 2)]
    for name in ("recall", "fid", "inception_score"):
        sign = 1 if name == "fid" else -1
        reals = max(sign * scores[name] for scores in perfect)
        assert rises([reals, *(sign * scores[name] for scores in found)])
    assert rises([-scores["coverage"] for scores in found])
    assert found[1]["coverage"] < min(scores["coverage"] for scores in perfect)
    assert found[2]["precision"] > min(scores["precision"] for scores in perfect) - 0.05


@pytest.mark.slow
def test_copies_are_seen_by_the_scores_for_them_alone(judge: Any, perfect: list[dict[str, float]]) -> None:
    """The distance, precision and coverage take copies for the best samples of all."""
    shares = (0.1, 0.5, 1.0)
    found = [judge.scores(faults.copied(clean(judge), judge.sets.train.pixels, share)) for share in shares]
    for scores, share in zip(found, shares, strict=True):
        assert scores["copies"] == pytest.approx(share, abs=0.05)
    assert max(scores["copies"] for scores in perfect) < 0.07
    for scores in perfect:
        assert scores["nearest_neighbours"] == pytest.approx(1, abs=0.2)
    assert found[2]["nearest_neighbours"] < 0.01
    assert found[2]["fid"] < min(scores["fid"] for scores in perfect)
    assert found[2]["precision"] > max(scores["precision"] for scores in perfect)
    assert found[2]["coverage"] > max(scores["coverage"] for scores in perfect)


@pytest.mark.slow
def test_repeated_pictures_move_recall_coverage_and_likeness(judge: Any, perfect: list[dict[str, float]]) -> None:
    found = [judge.scores(faults.repeated(clean(judge), distinct)) for distinct in (100, 30, 10)]
    for name in ("recall", "coverage"):
        worst = min(scores[name] for scores in perfect)
        assert found[0][name] < worst
        assert found[0][name] > found[1][name] >= found[2][name]
    assert found[2]["ms_ssim"] > max(scores["ms_ssim"] for scores in perfect) + 0.03
    assert found[2]["precision"] > min(scores["precision"] for scores in perfect) - 0.05  # sees nothing of it


@pytest.mark.slow
def test_gaussians_pass_as_digits_but_for_precision(judge: Any, perfect: list[dict[str, float]]) -> None:
    """A Gaussian of pixels for each class, whose samples are smears: the distance finds nothing."""
    scores = judge.scores(faults.gaussians(judge.sets.train, judge.sets.count))
    assert scores["fid"] < max(one["fid"] for one in perfect)
    assert scores["precision"] < min(one["precision"] for one in perfect)
    assert scores["density"] < min(one["density"] for one in perfect)


# ---- the faults themselves ----


def test_noise_and_blur_do_what_they_say() -> None:
    grey = torch.full((4, 1, 64, 64), 128, dtype=torch.uint8)
    noise = faults.noisy(grey, 20).float()
    assert float(noise.std()) == pytest.approx(20, rel=0.03)
    assert float(noise.mean()) == pytest.approx(128, abs=0.5)
    assert torch.equal(faults.blurred(grey, 2.0), grey)
    dot = torch.zeros(1, 1, 33, 33, dtype=torch.uint8)
    dot[..., 16, 16] = 255
    spread = faults.blurred(dot, 1.0)[0, 0].float()
    assert float(spread[16, 16]) == pytest.approx(255 / (2 * torch.pi), abs=1)
    assert float(spread[16, 17] / spread[16, 16]) == pytest.approx(0.6065, abs=0.03)
    assert torch.equal(spread, spread.T)


def test_sets_are_disjoint_and_faults_keep_their_size() -> None:
    sets = faults.digit_sets()
    sides = [sets.train, sets.test, sets.pool]
    assert [len(side.labels) for side in sides] == [600, 197, 1000]
    rows = {tuple(row.tolist()) for side in sides for row in side.pixels.flatten(1)}
    assert len(rows) > 1790
    for name, images in faults.spoiled(sets):
        assert images.shape == (180, 1, 16, 16), name
        assert images.dtype == torch.uint8
    assert len(faults.repeated(clean_of(sets), 10).unique(dim=0)) == 10
    gaussian = faults.gaussians(sets.train, 180).double()
    pixels = sets.train.pixels.double()
    assert float(gaussian.mean()) == pytest.approx(float(pixels.mean()), rel=0.1)


def clean_of(sets: Any) -> Tensor:
    return sets.pool.pixels[:180]


def test_marks_say_worse_better_or_nothing() -> None:
    assert faults.mark("fid", 2, 1) == " ↑"
    assert faults.mark("fid", -2, 1) == " !"
    assert faults.mark("precision", -0.2, 0.1) == " ↓"
    assert faults.mark("precision", 0.2, 0.1) == " !"
    assert faults.mark("nearest_neighbours", -0.5, 0.1) == " ↓"
    assert faults.mark("nearest_neighbours", 0.5, 0.1) == " ↑"
    assert faults.mark("kid", 0.9, 1) == ""
