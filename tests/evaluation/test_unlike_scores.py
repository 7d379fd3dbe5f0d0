"""Scores that don't compare are told apart: by size, by how pictures are stored, by how they are read, by counts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from conftest import QUICK, TINY, compose_checked, compose_plain, game_of
from PIL import Image

from gan_cli.base.errors import UserError
from gan_cli.base.run_config import RunConfig
from gan_cli.base.scoring import Score
from gan_cli.cli.evaluate import check
from gan_cli.evaluation.evaluator import Evaluator
from gan_cli.evaluation.folders import folder_scores
from gan_cli.evaluation.setting import Plan
from gan_cli.media.image import ImageMedium
from gan_cli.metrics.evidence import Evidence
from gan_cli.metrics.ms_ssim import MultiScaleSSIM
from gan_cli.metrics.nearest_neighbours import NearestNeighbours
from gan_cli.metrics.statistics import FeatureStatistics
from gan_cli.run.train import train
from gan_cli.use.load import Trained

CPU = torch.device("cpu")
MS_SSIM = {"ms_ssim": {"_target_": "gan_cli.metrics.ms_ssim.MultiScaleSSIM", "provides": {"scores": {}}}}


def pictures(root: Path, side: int = 32, ending: str = "png", **options: Any) -> Path:
    """The same six smooth pictures, whatever their size and format."""
    root.mkdir(parents=True)
    rng = numpy.random.default_rng(0)
    for number in range(6):
        coarse = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=numpy.uint8))
        coarse.resize((side, side), Image.Resampling.BICUBIC).save(root / f"{number}.{ending}", **options)
    return root


def compared(a: Path, b: Path, **how: Any) -> tuple[list[Score], list[str]]:
    told: list[str] = []
    return folder_scores(a, b, MS_SSIM, None, Plan(**how), CPU, warn=told.append), told


# ---- sizes ----


@pytest.mark.parametrize(("one", "other"), [(32, 16), (64, 200), (40, 32)], ids=str)
def test_ms_ssim_does_not_stand_beside_that_of_another_size(one: int, other: int, tmp_path: Path) -> None:
    """Over other scales (2 and 1, 3 and 5), and over as many of them, which see other things."""
    a, b = pictures(tmp_path / "a", one), pictures(tmp_path / "b", other)
    with pytest.raises(UserError) as caught:
        compared(a, b)
    for words in (str(a), str(b), f"{one}x{one}", f"{other}x{other}", "bring both to one size"):
        assert words in str(caught.value)
    with pytest.raises(UserError, match="these have another size"):
        MultiScaleSSIM().of(
            Evidence(fakes=torch.zeros(4, 3, one, one).byte(), reals=torch.zeros(4, 3, other, other).byte())
        )


def test_a_folder_of_several_sizes_has_no_ms_ssim(tmp_path: Path) -> None:
    a = pictures(tmp_path / "a")
    Image.new("RGB", (40, 40)).save(a / "odd.png")
    with pytest.raises(UserError, match="differ in size"):
        compared(a, a)


def conv(tmp_path: Path) -> dict[str, Any]:
    """Features that see pictures at their own size: a convolution."""
    torch.save({"weight": torch.ones(1, 3, 3, 3), "bias": torch.zeros(1)}, tmp_path / "conv.pt")
    return compose_plain(
        *("features=module", "features.network._target_=torch.nn.Conv2d", "+features.network.in_channels=3"),
        *("+features.network.out_channels=1", "+features.network.kernel_size=3", "features.layer=''"),
        *(f"features.weights={tmp_path / 'conv.pt'}", "features.size=null", "metric=[fid]"),
    )


def test_unlike_sizes_are_told_and_kept(tmp_path: Path) -> None:
    config = conv(tmp_path)
    a, b = pictures(tmp_path / "a", 32), pictures(tmp_path / "b", 64)
    told: list[str] = []
    (score, *_) = folder_scores(a, b, config["metric"], config["features"], Plan(), CPU, warn=told.append)
    (line,) = told
    assert f"{str(a)!r} are 32x32, those of {str(b)!r} 64x64" in line
    assert (score.protocol["fake"]["pixels"], score.protocol["real"]["pixels"]) == ("32x32", "64x64")


# ---- how pictures are stored ----


@pytest.mark.parametrize(
    ("ending", "options", "other", "others", "words"),
    [
        ("png", {}, "jpg", {"quality": 75}, ("PNG", "JPEG of quality 75")),
        ("jpg", {"quality": 75}, "jpg", {"quality": 95}, ("JPEG of quality 75", "JPEG of quality 95")),
        ("png", {}, "webp", {}, ("PNG", "WEBP")),
        ("png", {}, "bmp", {}, None),
        ("jpg", {"quality": 75}, "jpeg", {"quality": 76}, None),
        ("png", {}, "png", {}, None),
    ],
)
def test_unlike_formats_are_told_and_kept(
    ending: str, options: dict, other: str, others: dict, words: tuple[str, str] | None, tmp_path: Path
) -> None:
    a, b = pictures(tmp_path / "a", ending=ending, **options), pictures(tmp_path / "b", ending=other, **others)
    (score, *_), told = compared(a, b)
    assert len(told) == (words is not None)
    if words is not None:
        assert f"stored as {words[0]}, those of" in told[0]
        assert f"{str(b)!r} as {words[1]}:" in told[0]
        assert (score.protocol["fake"]["files"], score.protocol["real"]["files"]) == words
    same, _ = compared(a, a)
    assert (same[0].protocol_digest == score.protocol_digest) is False


def test_compression_alone_moves_a_distance(tmp_path: Path) -> None:
    """What the warning says: the same pictures, stored otherwise, are no longer at distance 0."""
    config = conv(tmp_path)
    a, b = pictures(tmp_path / "a"), pictures(tmp_path / "b", ending="jpg", quality=30)
    nothing = folder_scores(a, a, config["metric"], config["features"], Plan(), CPU, warn=lambda line: None)
    apart = folder_scores(a, b, config["metric"], config["features"], Plan(), CPU, warn=lambda line: None)
    assert nothing[0].value < 1e-9 < 1e-4 < apart[0].value


def test_the_white_level_of_folders_is_part_of_the_protocol(tmp_path: Path) -> None:
    root = tmp_path / "a"
    root.mkdir()
    for number in range(4):
        grey = numpy.random.default_rng(number).integers(0, 4096, (16, 16)).astype(numpy.uint16)
        Image.fromarray(grey).save(root / f"{number}.png")
    (dark, *_), told = compared(root, root)
    assert told[0].endswith("if they hold 12 bits, say white_level=4095")
    (light, *_), told = compared(root, root, white_level=4095)
    assert told == []
    assert light.protocol["real"]["white_level"] == 4095
    assert light.protocol_digest != dark.protocol_digest
    assert light.value != dark.value


def test_a_run_has_a_white_level_of_its_own() -> None:
    options = dict.fromkeys(("sweep", "a", "b", "features", "split", "output"))
    wanted = {
        **{**options, "checkpoint": "run", "metric": MS_SSIM, "count": 10, "white_level": 4095, "seed": 0, "ema": True},
        **{"standing_statistics": 0, "best": False, "batch_size": 10, "overwrite": False, "device": "cpu", "trust": []},
        **{"threads": None, "dataset": {"root": None}},
    }
    with pytest.raises(UserError, match=r"its own dataset\.white_level"):
        check(wanted)


# ---- how a run's pictures are read ----


def test_held_out_pictures_that_are_read_otherwise_have_another_digest(tmp_path: Path) -> None:
    """The files are the same, and so was what the protocol said."""
    for side in "AB":
        (tmp_path / side).mkdir()
        for number in range(4):
            pixels = numpy.random.default_rng(number).integers(0, 256, (40, 56, 3), dtype=numpy.uint8)
            Image.fromarray(pixels).save(tmp_path / side / f"{number}.png")
    digests, sizes = [], []
    for options in ([], ["dataset.fit=stretch"], ["dataset.resolution=64"], []):
        config = compose_checked(
            *("model=pix2pix", *TINY["pix2pix"], f"dataset.root={tmp_path}", "dataset.resolution=32", "metric=[psnr]"),
            *options,
        )
        game = game_of(config).eval()
        trained = Trained(game, game.averaged, ImageMedium(), RunConfig.of(config), [], tmp_path, 0, CPU)
        (score,) = Evaluator(RunConfig.of(config).data, config["metric"], None, Plan(4)).scores(trained)
        digests.append(score.protocol_digest)
        sizes.append(score.protocol["real"]["pixels"])
    assert digests[0] == digests[3]
    assert len(set(digests)) == 3
    assert sizes == ["32x32x3", "32x32x3", "64x64x3", "32x32x3"]


def test_scores_of_samples_say_the_size_and_the_white_level() -> None:
    config = compose_checked("model=dcgan", *TINY["dcgan"], "metric=[ms_ssim]")
    game = game_of(config).eval()
    trained = Trained(game, game.averaged, ImageMedium(), RunConfig.of(config), [], Path("nowhere"), 0, CPU)
    score, *_ = Evaluator(RunConfig.of(config).data, config["metric"], None, Plan(4)).scores(trained)
    assert score.protocol["real"]["pixels"] == "{0}x{0}x1".format(config["dataset"]["resolution"])
    assert "white_level" not in score.protocol["real"]


def test_copies_are_told_by_so_many_held_out_pictures() -> None:
    """Their hundredth, and their median: of ten they are other numbers than of a thousand."""
    evidence = Evidence(test=FeatureStatistics(keep=True))
    evidence.test.add(torch.randn(7, 2))
    assert NearestNeighbours().protocol(evidence) == {"held_out": 7}


# ---- the best of a run ----


class Scripted:
    """Stands for an `Evaluator`: scores as told by images seen, under a protocol that changes at 64."""

    def __init__(self, told: dict[int, float]) -> None:
        self.told, self.trust, self.setting = told, [], type("S", (), {"device": CPU})

    def ready(self, gan: object) -> None: ...

    def scores(self, trained: Trained) -> list[Score]:
        images = trained.images
        return [Score("fid", self.told[images], "lower", images, None, {"count": 10 if images < 64 else 20})]


def test_a_score_under_another_protocol_is_not_held_against_the_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`trainer.evaluate_count` may change on a resume, and with more pictures every Frechet distance is lower."""
    told = {32: 1.0, 64: 5.0, 96: 4.0, 128: 4.5}
    monkeypatch.setattr("gan_cli.run.train.Evaluator", lambda *rest: Scripted(told))
    monkeypatch.setattr("gan_cli.run.measure.score_names", lambda *rest: {"fid": "lower"})
    config = compose_checked(
        *("model=dcgan", "dataset=digits", *TINY["dcgan"], *QUICK, "metric=[fid]", "features=classifier"),
        *("trainer.evaluate_every_images=32", "trainer.total_images=128"),
    )
    config["trainer"]["keep_best"] = "fid"
    train(config, tmp_path)
    kept = json.loads((tmp_path / "checkpoints" / "best.json").read_text())
    assert (kept["progress"]["images"], kept["score"]["value"]) == (96, 4.0)
    assert capsys.readouterr().out.count("kept: those before were made by another protocol") == 1
