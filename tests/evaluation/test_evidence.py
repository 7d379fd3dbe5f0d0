"""Evidence is made on first use, all parts of a side in one pass; a metric may bring a part of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from conftest import QUICK, TINY, compose_checked
from PIL import Image
from torch import Tensor

from gan_cli.base.errors import UserError
from gan_cli.base.run_config import RunConfig
from gan_cli.evaluation import folders, reference
from gan_cli.evaluation.drawn import drawn
from gan_cli.evaluation.folders import folder_scores
from gan_cli.evaluation.setting import Plan, Setting
from gan_cli.game.build import build_game
from gan_cli.metrics.evidence import Evidence, Metric
from gan_cli.metrics.fid import FrechetDistance
from gan_cli.metrics.gathered import Features, Gathered, Labels, Moments, Part, Passing, Samples, pass_by
from gan_cli.metrics.kid import KernelDistance
from gan_cli.metrics.ms_ssim import MultiScaleSSIM
from gan_cli.use.load import Trained

CPU = torch.device("cpu")
DCGAN = ("model=dcgan", *TINY["dcgan"], *QUICK, "dataset=digits", "dataset.resolution=16")


class Brightness(Part):
    """A part that no line of the package knows."""

    def __init__(self) -> None:
        self.sum, self.count = 0.0, 0

    def add(self, batch: Passing) -> None:
        self.sum += float(batch.samples.double().sum())
        self.count += batch.samples.numel()


class Brighter(Metric):
    """How much brighter samples are than reals."""

    real = fake = (Brightness,)

    def of(self, evidence: Evidence) -> dict[str, float]:
        real, fake = evidence.of_real(Brightness), evidence.of_fake(Brightness)
        return {"brighter": fake.sum / fake.count - real.sum / real.count}


class Looked:
    """Stands for a features' network; counts the batches that it is shown."""

    def __init__(self) -> None:
        self.batches = 0

    def __call__(self, pixels: Tensor) -> tuple[Tensor, Tensor | None]:
        self.batches += 1
        return pixels.flatten(1)[:, :3].float(), None

    def protocol(self) -> dict[str, Any]:
        return {}


def setting_of(metrics: dict[str, Metric], count: int = 20) -> tuple[Setting, Trained, Looked]:
    config = RunConfig.of(compose_checked(*DCGAN))
    game = build_game(config.game, ()).eval()
    setting = Setting(config.data, metrics, None, Plan(count, batch_size=10), CPU)
    setting.__dict__["extractor"] = looked = Looked()
    trained = Trained(game, game.averaged, setting.reference.medium, config, [], Path("none"), 0, CPU)
    return setting, trained, looked


def test_a_metric_brings_a_part_of_its_own_that_shares_the_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics: dict[str, Metric] = {"fid": FrechetDistance(), "kid": KernelDistance(), "brighter": Brighter()}
    setting, trained, looked = setting_of(metrics)
    passes = []
    plain = reference.Reference.passing
    monkeypatch.setattr(
        reference.Reference, "passing", lambda self, *some: passes.append(some[:2]) or plain(self, *some)
    )
    evidence = drawn(setting, trained)
    assert looked.batches == 2, "the real side is there, the samples are not drawn yet"
    scores = [metric.of(evidence) for metric in metrics.values()]
    assert looked.batches == 4, "each batch of 10 of the 20 of a side is looked at once, for all metrics"
    assert passes == [("train", 20)]
    samples = setting.reference.samples("train", 20).double()
    setting_too, trained, _ = setting_of({"looks": type("Looks", (Metric,), {"fake": (Samples,)})()})
    fakes = drawn(setting_too, trained).fakes.double()
    assert fakes.shape == samples.shape == (20, 1, 16, 16)
    assert scores[2]["brighter"] == pytest.approx(float(fakes.mean() - samples.mean()), abs=1e-9)
    assert abs(scores[2]["brighter"]) > 1


def test_what_no_metric_asks_for_is_not_made() -> None:
    setting, trained, looked = setting_of({"brighter": Brighter()})
    Brighter().of(drawn(setting, trained))
    assert looked.batches == 0
    setting, trained, looked = setting_of({})
    trained.networks["generator"] = None  # type: ignore[assignment]
    drawn(setting, trained)  # nothing asks for samples: none are drawn


def test_a_part_serves_for_what_it_is_a_form_of() -> None:
    """Features hold the moments too: they are gathered once, and those of the two are the same."""
    batches = [Passing(torch.arange(12.0).view(4, 3) ** power, lambda x: (x, None)) for power in (1, 2)]
    both = Gathered([Moments, Features, Moments], lambda parts: pass_by(parts, batches))
    assert both.kinds == (Features,)
    assert both[Moments] is both[Features]
    alone = Gathered([Moments], lambda parts: pass_by(parts, batches))
    assert torch.equal(both[Moments].statistics.covariance, alone[Moments].statistics.covariance)
    with pytest.raises(LookupError, match="Features is not among the parts that a metric names"):
        alone[Features]


def test_classes_are_asked_only_of_samples_that_have_them() -> None:
    labelled = Passing(torch.zeros(2, 3), lambda x: (x, None), torch.tensor([4, 1]))
    assert Gathered([Labels], lambda parts: pass_by(parts, [labelled]))[Labels].labels.tolist() == [4, 1]
    with pytest.raises(UserError, match="a metric asks for classes, and these samples have none"):
        Gathered([Labels], lambda parts: pass_by(parts, [Passing(torch.zeros(2, 3), lambda x: (x, None))]))[Labels]


def test_a_part_of_ones_own_is_fed_from_folders_too(tmp_path: Path) -> None:
    for name, level in (("a", 90), ("b", 40)):
        (tmp_path / name).mkdir()
        for number in range(3):
            image = Image.fromarray(numpy.full((12, 12, 3), level + number, numpy.uint8))
            image.save(tmp_path / name / f"{number}.png")
    node = {"_target_": f"{__name__}.Brighter", "requires": {}, "provides": {"scores": {"brighter": None}}}
    sides = (tmp_path / "a", tmp_path / "b")
    (score,) = folder_scores(*sides, {"brighter": node}, None, Plan(10), CPU, [__name__])
    assert (score.name, score.value) == ("brighter", 50)


def test_folders_too_large_to_be_held_are_refused_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(2):
            Image.new("RGB", (12, 12)).save(tmp_path / name / f"{number}.png")
    node = {"_target_": f"{MultiScaleSSIM.__module__}.MultiScaleSSIM", "provides": {"scores": {}}}
    monkeypatch.setattr(folders, "MOST_HELD", 2 * 3 * 12 * 12 - 1)
    monkeypatch.setattr(folders.Side, "batches", lambda self: pytest.fail("they were read"))
    with pytest.raises(UserError, match=r"metric=ms_ssim holds all pictures in memory, and those of '.*a' are more"):
        folder_scores(tmp_path / "a", tmp_path / "b", {"ms_ssim": node}, None, Plan(10), CPU)


@pytest.mark.parametrize("name", ["ppl", "nearest_neighbours", "modes", "psnr"])
def test_a_metric_of_models_says_so_of_folders(name: str, tmp_path: Path) -> None:
    targets = {
        "ppl": "gan_cli.metrics.ppl.PathLength",
        "nearest_neighbours": "gan_cli.metrics.nearest_neighbours.NearestNeighbours",
        "modes": "gan_cli.metrics.modes.Modes",
        "psnr": "gan_cli.metrics.paired.AgainstTarget",
    }
    score = {"score": "psnr"} if name == "psnr" else {}
    made = {name: {"_target_": targets[name], **score, "provides": {"scores": {}}}}
    with pytest.raises(UserError, match=f"metric={name} needs a model: say checkpoint=RUN instead of a= and b="):
        folder_scores(tmp_path, tmp_path, made, None, Plan(10), CPU)
