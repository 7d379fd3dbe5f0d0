"""Scores of runs: equal in training and after it, kept with their protocol, and no trace in what is trained."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from conftest import QUICK, TINY, compose_checked
from PIL import Image

from gan_cli.base import checkpoint
from gan_cli.base.errors import UserError
from gan_cli.base.run_config import RunConfig
from gan_cli.base.scoring import Score, read_scores
from gan_cli.evaluation.evaluator import Evaluator
from gan_cli.evaluation.reference import Reference
from gan_cli.evaluation.setting import Plan
from gan_cli.metrics.gathered import Moments
from gan_cli.run.train import train
from gan_cli.use.load import Trained, load_trained

Run = Callable[..., subprocess.CompletedProcess[str]]
CPU = torch.device("cpu")
SCORED = ["metric=[fid,kid,precision_recall,ms_ssim]", "trainer.evaluate_every_images=64", "trainer.evaluate_count=40"]
DCGAN = ["model=dcgan", "dataset=digits", "trainer.total_images=128", *TINY["dcgan"], *QUICK]


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Cheap features: a convolution of three channels to eight, drawn once."""
    file = tmp_path_factory.mktemp("features") / "conv.pt"
    generator = torch.Generator().manual_seed(0)
    state = {"weight": torch.randn(8, 3, 3, 3, generator=generator), "bias": torch.randn(8, generator=generator)}
    torch.save(state, file)
    network = ["_target_=torch.nn.Conv2d", "in_channels=3", "out_channels=8", "kernel_size=3"]
    options = [f"{'' if number == 0 else '+'}features.network.{option}" for number, option in enumerate(network)]
    return ["features=module", *options, f"features.weights={file}", "features.layer=''", "features.size=null"]


@pytest.fixture(scope="module")
def scored(features: list[str], tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """A run that scored itself twice."""
    folder = tmp_path_factory.mktemp("scored") / "run"
    config = compose_checked(*DCGAN, *SCORED, *features, "trainer.keep_best=fid_module")
    train(config, folder)
    return config, folder


def values(folder: Path, images: int) -> dict[str, float]:
    return {line["name"]: line["value"] for line in read_scores(folder) if line["images"] == images}


def again(config: dict[str, Any], count: int = 40) -> Evaluator:
    return Evaluator(RunConfig.of(config).data, config["metric"], config["features"], Plan(count))


def test_scores_in_training_are_those_of_the_checkpoint_to_the_last_digit(scored: tuple[dict[str, Any], Path]) -> None:
    config, folder = scored
    trained = load_trained(folder)
    after = {score.name: score.value for score in again(config).scores(trained)}
    assert values(folder, 128) == after
    assert set(after) == {
        *("fid_module", "kid_module", "kid_spread_module", "precision_module", "recall_module"),
        *("ms_ssim", "ms_ssim_real"),
    }
    assert values(folder, 64) != after
    assert after["fid_module"] > 0


def test_training_is_the_same_with_and_without_scores(scored: tuple[dict[str, Any], Path], tmp_path: Path) -> None:
    config, folder = scored
    train(compose_checked(*DCGAN), tmp_path / "plain")
    one, other = (checkpoint.load(where, print)[1] for where in (folder, tmp_path / "plain"))
    for part in ("game", "ema"):
        flat_one, flat_other = (dict(flattened(content[part])) for content in (one, other))
        assert flat_one.keys() == flat_other.keys()
        assert all(torch.equal(flat_one[key], flat_other[key]) for key in flat_one)
    grids = [(where / "samples" / "images-000000128.png").read_bytes() for where in (folder, tmp_path / "plain")]
    assert grids[0] == grids[1]
    assert config["metric"]


def flattened(node: Any, path: str = "") -> list[tuple[str, torch.Tensor]]:
    if isinstance(node, torch.Tensor):
        return [(path, node)]
    return [pair for key, value in node.items() for pair in flattened(value, f"{path}/{key}")]


def test_a_score_says_what_it_depends_on(scored: tuple[dict[str, Any], Path]) -> None:
    _, folder = scored
    line = next(line for line in read_scores(folder) if line["name"] == "kid_module")
    assert line["better"] == "lower"
    assert line["protocol"]["metric"] == {"name": "kid", "subsets": 1, "subset_size": 40}
    assert line["protocol"]["real"]["dataset"] == "digits"
    assert (line["protocol"]["real"]["split"], line["protocol"]["real"]["count"]) == ("train", 40)
    assert line["protocol"]["fake"] == {"count": 40, "ema": True}
    assert len(line["protocol"]["features"]["weights"]) == 16
    assert line["protocol"]["seed"] == 0


@pytest.mark.parametrize(
    ("change", "alike"),
    [({"seed": 1}, True), ({"count": 41}, False), ({"ema": False}, False), ({"split": "test"}, False)],
)
def test_only_seed_and_versions_may_differ_between_scores_that_compare(
    change: dict[str, Any], alike: bool, scored: tuple[dict[str, Any], Path]
) -> None:
    config, folder = scored
    trained = load_trained(folder)
    plans = [Plan(40), Plan(**{"count": 40, **change})]
    scores = [
        Evaluator(RunConfig.of(config).data, config["metric"], config["features"], plan).scores(trained)[0]
        for plan in plans
    ]
    assert scores[0].name == scores[1].name == "fid_module"
    assert (scores[0].protocol_digest == scores[1].protocol_digest) is alike


def test_a_run_that_was_cut_and_goes_on_has_the_scores_of_one_that_was_not(
    scored: tuple[dict[str, Any], Path], tmp_path: Path
) -> None:
    config, folder = scored
    half = json.loads(json.dumps(config))
    half["trainer"].update(total_images=64)
    train(half, tmp_path / "run")
    late = {"name": "fid_module", "value": 0.0, "images": 96, "checkpoint": None, "protocol_digest": "lost"}
    with open(tmp_path / "run" / "metrics.jsonl", "a") as file:  # as if it had gone on, and crashed
        file.write(json.dumps(late) + "\n" + '{"name": "fid_mod')
    train(config, tmp_path / "run")
    one, other = ([{**line, "time": ""} for line in read_scores(where)] for where in (folder, tmp_path / "run"))
    assert one == other
    best = [checkpoint.read(where / "checkpoints" / "best.pt") for where in (folder, tmp_path / "run")]
    assert best[0]["progress"] == best[1]["progress"]


class Scripted:
    """Stands for an `Evaluator`: one score, as told by images seen."""

    def __init__(self, told: dict[int, float], better: str) -> None:
        self.told, self.better = told, better
        self.setting = type("S", (), {"device": CPU})
        self.trust: list[str] = []

    def ready(self, gan: object) -> None:
        pass

    def scores(self, trained: Trained) -> list[Score]:
        return [Score("fid_module", self.told[trained.images], self.better, trained.images, None, {})]


@pytest.mark.parametrize(
    ("better", "told", "best", "ended"),
    [
        ("lower", {32: 5.0, 64: 3.0, 96: 4.0, 128: 3.5, 160: 2.0}, 64, 128),
        ("lower", {32: 5.0, 64: 3.0, 96: 4.0, 128: 2.5, 160: 2.0}, 160, 160),
        ("higher", {32: 1.0, 64: 3.0, 96: 2.0, 128: 3.0, 160: 9.0}, 64, 128),
    ],
)
def test_the_best_checkpoint_stays_and_patience_ends_the_run(
    better: str,
    told: dict[int, float],
    best: int,
    ended: int,
    features: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gan_cli.run.train.Evaluator", lambda *rest: Scripted(told, better))
    monkeypatch.setattr("gan_cli.run.measure.score_names", lambda *rest: {"fid_module": better})
    wanted = ["metric=[fid]", "trainer.evaluate_every_images=32", "trainer.keep_best=fid_module"]
    length = ["trainer.total_images=160", "trainer.patience_images=64"]
    result = train(compose_checked(*DCGAN, *features, *wanted, *length), tmp_path)
    assert result["images"] == ended
    assert result["scores"] == {"fid_module": told[ended]}
    content = checkpoint.read(tmp_path / "checkpoints" / "best.pt")
    assert content["progress"]["images"] == best
    side = json.loads((tmp_path / "checkpoints" / "best.json").read_text())
    assert side["score"]["value"] == told[best]
    assert load_trained(tmp_path / "checkpoints" / "best.pt").images == best
    assert load_trained(tmp_path).images == ended


def test_translators_are_judged_on_held_out_pictures(features: list[str], tmp_path: Path) -> None:
    config = compose_checked(
        *("model=pix2pix", *TINY["pix2pix"], *QUICK, *features, "trainer.total_images=16"),
        *("metric=[psnr,ssim,fid]", "trainer.evaluate_count=5", "dataset.held_out=0.3"),
    )
    result = train(config, tmp_path)
    assert set(result["scores"]) == {"psnr", "ssim", "fid_module"}
    lines = {line["name"]: line for line in read_scores(tmp_path)}
    assert lines["psnr"]["protocol"]["metric"] == {"name": "psnr", "pictures": 3}  # of ten pairs
    assert lines["psnr"]["protocol"]["real"]["split"] == "test"


def test_both_ways_of_cyclegan_are_scored_apart(features: list[str], tmp_path: Path) -> None:
    config = compose_checked(
        *("model=cyclegan", *TINY["cyclegan"], *QUICK, *features, "trainer.total_images=16"),
        *("metric=[fid]", "trainer.keep_best=fid_module_a_to_b", "trainer.evaluate_count=50"),
    )
    result = train(config, tmp_path)
    assert set(result["scores"]) == {"fid_module_a_to_b", "fid_module_b_to_a"}
    assert len(set(result["scores"].values())) == 2
    assert (tmp_path / "checkpoints" / "best.pt").exists()
    assert all(line["protocol"]["real"]["count"] == 7 for line in read_scores(tmp_path))


def test_nan_samples_are_refused(scored: tuple[dict[str, Any], Path]) -> None:
    config, folder = scored
    trained = load_trained(folder)
    with torch.no_grad():
        next(trained.networks["generator"].parameters()).fill_(float("nan"))
    with pytest.raises(UserError, match=r"NaN or infinite"):
        again(config).scores(trained)


# ---- what the real side is known by ----


def folder_of_pictures(root: Path, count: int = 12) -> Path:
    rng = numpy.random.default_rng(0)
    root.mkdir()
    for number in range(count):
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=numpy.uint8)).save(root / f"{number:02d}.bmp")
    return root


def test_a_changed_data_set_never_meets_kept_statistics(features: list[str], tmp_path: Path) -> None:
    """One pixel changes, and neither the file's size nor its time does."""
    root = folder_of_pictures(tmp_path / "pictures")
    config = compose_checked(
        *("model=dcgan", *TINY["dcgan"], *QUICK, "dataset=image_folder", f"dataset.root={root}"),
        *("dataset.resolution=16", *features, "metric=[fid]", "trainer.evaluate_count=12"),
    )

    def real() -> tuple[torch.Tensor, str]:
        node = {**config["features"]}
        made = Evaluator(RunConfig.of(config).data, config["metric"], node, Plan(12), cache=tmp_path / "kept").setting
        return made.real[Moments].statistics.mean, made.real_digest

    before, kept = real(), real()
    file = root / "03.bmp"
    data, at = bytearray(file.read_bytes()), file.stat().st_mtime_ns
    data[-10] ^= 0xFF
    file.write_bytes(data)
    os.utime(file, ns=(at, at))
    after = real()
    assert torch.equal(before[0], kept[0])
    assert before[1] == kept[1] != after[1]
    assert not torch.equal(before[0], after[0])
    assert len(list((tmp_path / "kept").glob("features-*.pt"))) == 2


def test_torn_statistics_are_made_anew(features: list[str], tmp_path: Path) -> None:
    config = compose_checked(*DCGAN, *features, "metric=[fid]")

    def mean() -> torch.Tensor:
        return (
            Evaluator(RunConfig.of(config).data, config["metric"], config["features"], Plan(30), cache=tmp_path)
            .setting.real[Moments]
            .statistics.mean
        )

    before = mean()
    (file,) = tmp_path.glob("features-*.pt")
    file.write_bytes(file.read_bytes()[:100])
    assert torch.equal(mean(), before)
    assert file.stat().st_size > 100


def test_real_pictures_are_a_fixed_draw_or_all() -> None:
    reference = Reference(RunConfig.of(compose_checked(*DCGAN)).data, 100, CPU, ())
    some = reference.rows("train", 50)
    assert len(some.unique()) == 50
    assert torch.equal(some, reference.rows("train", 50))
    assert len(reference.rows("train", 10**6)) == 1438
    assert len(reference.rows("test", 10**6)) == 359


# ---- the commands ----


def test_evaluate_prints_and_keeps_what_training_found(
    scored: tuple[dict[str, Any], Path], features: list[str], run_command: Run, tmp_path: Path
) -> None:
    _, folder = scored
    output = tmp_path / "scores.json"
    done = run_command(
        "gan-evaluate", f"checkpoint={folder}", "metric=[fid,ms_ssim]", *features, "count=40", f"output={output}"
    )
    assert done.returncode == 0, done.stderr
    assert "fid_module" in done.stdout
    assert "lower is better" in done.stdout
    in_training = values(folder, 128)
    (scores,) = json.loads(output.read_text()).values()
    assert {score["name"]: score["value"] for score in scores} == {
        name: in_training[name] for name in ("fid_module", "ms_ssim", "ms_ssim_real")
    }
    added = [line for line in read_scores(folder) if line["checkpoint"] == "checkpoints/images-000000128.pt"]
    assert [line["name"] for line in added] == ["fid_module", "ms_ssim", "ms_ssim_real"]
    digests = {line["protocol_digest"] for line in read_scores(folder) if line["name"] == "fid_module"}
    assert len(digests) == 1


def test_two_folders_of_pictures_are_compared(features: list[str], run_command: Run, tmp_path: Path) -> None:
    a = folder_of_pictures(tmp_path / "a")
    (tmp_path / "b").mkdir()
    for file in a.iterdir():
        Image.open(file).rotate(90).save(tmp_path / "b" / f"{file.stem}.png")
    same = run_command("gan-evaluate", f"a={a}", f"b={a}", "metric=[fid,precision_recall]", *features)
    other = run_command("gan-evaluate", f"a={a}", f"b={tmp_path / 'b'}", "metric=[fid]", *features)

    def fid(done: subprocess.CompletedProcess[str]) -> float:
        assert done.returncode == 0, done.stderr
        return float(next(line.split()[1] for line in done.stdout.splitlines() if "fid_module" in line))

    assert abs(fid(same)) < 1e-6 < fid(other)
    assert "real: folder b, count 12" in other.stdout


def test_every_cell_of_a_sweep_is_scored(features: list[str], run_command: Run, tmp_path: Path) -> None:
    small = ["model=dcgan", *TINY["dcgan"], *QUICK, "trainer.total_images=8"]
    trained = run_command("gan-train", "-m", "seed=0,1", "sweep=s", *small)
    assert trained.returncode == 0, trained.stderr
    folder = tmp_path / "outputs" / "sweeps" / "s"
    (folder / "broken").mkdir()
    (folder / "broken" / "run.json").write_text('{"status": "failed"}')
    done = run_command("gan-evaluate", f"sweep={folder}", "metric=[fid]", *features, "count=20")
    assert done.returncode == 1
    assert "broken (failed)" in done.stderr
    found = [read_scores(cell)[0]["value"] for cell in folder.glob("*seed-*")]
    assert found[0] != found[1]


@pytest.mark.slow
def test_two_processes_score_what_one_would(run_command: Run, tmp_path: Path) -> None:
    size = ["model=gan", *TINY["gan"], *QUICK, "dataset.resolution=16", "trainer.total_images=48"]
    scored = ["metric=[ms_ssim]", "trainer.evaluate_count=30", "trainer.evaluate_every_images=24"]
    done = run_command("gan-train", *size, *scored, "trainer.processes=2", "hydra.run.dir=run")
    assert done.returncode == 0, done.stderr
    told = values(tmp_path / "run", 48)
    done = run_command("gan-evaluate", "checkpoint=run", "metric=[ms_ssim]", "count=30")
    assert done.returncode == 0, done.stderr
    lines = read_scores(tmp_path / "run")
    assert [line["images"] for line in lines] == [24, 24, 48, 48, 48, 48]
    assert {line["name"]: line["value"] for line in lines[-2:]} == told


REFUSED = {
    "nothing": ([], "say what to score"),
    "two sources": (["checkpoint=run", "sweep=x"], "one of these at a time"),
    "one folder": (["a=x", "metric=[fid]"], "a=FOLDER b=FOLDER"),
    "no metric": (["checkpoint=run"], "say which scores"),
    "unknown metric": (["checkpoint=run", "metric=[fidd]"], "metric=fidd does not exist; did you mean fid?"),
    "no features": (["checkpoint=run", "metric=[fid]"], "say features=classifier, inception or module"),
    "no classes in features": (
        [
            "checkpoint=run",
            "metric=[inception_score]",
            "features=module",
            "features.weights=x",
            "features.layer=x",
            "features.network._target_=torch.nn.Flatten",
        ],
        "needs features with classes",
    ),
    "wrong features": (
        ["checkpoint=run", "metric=[classification_accuracy]", "features=inception"],
        "needs features=classifier, not inception",
    ),
    "no checkpoint": (["checkpoint=nowhere", "metric=[ms_ssim]"], "no checkpoint in 'nowhere'"),
    "count": (["checkpoint=run", "metric=[ms_ssim]", "count=1"], "count=1 does not fit: a whole number from 2 to"),
    "metric option": (
        ["checkpoint=run", "metric=[ms_ssim]", "metric.ms_ssim.pairs=x"],
        "a whole number from 1 up is wanted",
    ),
    "no best": (["checkpoint=run", "metric=[ms_ssim]", "best=true"], "kept no best checkpoint"),
    "code that is not allowed": (
        ["checkpoint=run", "metric=[ms_ssim]", "metric.ms_ssim._target_=os.system"],
        "is not on the allow-list",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.sampled(3)
def test_evaluate_refuses_in_one_sentence(name: str, run_command: Run) -> None:
    arguments, words = REFUSED[name]
    done = run_command("gan-evaluate", *arguments)
    assert (done.returncode, words in done.stderr) == (2, True), done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


IN_TRAINING = {
    "no metric": (["trainer.keep_best=fid"], "keep_best needs scores"),
    "features": (["metric=[fid]"], "metric=fid compares features"),
    "score": (["metric=[ms_ssim]", "trainer.keep_best=fid"], "it has ms_ssim"),
    "no better end": (["metric=[ms_ssim]", "trainer.keep_best=ms_ssim_real"], "no score of this run with a better end"),
    "patience": (["metric=[ms_ssim]", "trainer.patience_images=10"], "say which, trainer.keep_best=SCORE"),
    "points": (
        ["model=toy", "dataset=gaussians", "metric=[ms_ssim]"],
        "needs pictures, and dataset=gaussians has none; metric=modes would do",
    ),
    "no points": (
        ["metric=[modes]"],
        "needs points of known modes, and dataset=digits has none; metric=classification_accuracy, density_coverage",
    ),
    "targets": (
        ["metric=[psnr]"],
        "needs pictures with targets, as model=inpainting, medgan_translation, pix2pix or srgan has",
    ),
    "latents": (
        [*TINY["pix2pix"], "model=pix2pix", "metric=[ppl]", "features=classifier"],
        "metric=ppl is for models that draw from noise, and model=pix2pix is given pictures",
    ),
    "labels": (
        [*TINY["pix2pix"], "model=pix2pix", "metric=[fid]", "features=classifier"],
        "features=classifier is trained on labels, and dataset=pairs has none",
    ),
    "conditional": (
        ["metric=[classification_accuracy]", "features=classifier"],
        "needs a conditional model, as model=biggan, cdcgan or cgan, and model=dcgan has no classes",
    ),
}


@pytest.mark.parametrize("name", IN_TRAINING)
def test_scores_that_cannot_be_are_refused_before_training(name: str) -> None:
    arguments, words = IN_TRAINING[name]
    with pytest.raises(UserError) as caught:
        compose_checked(*arguments)
    assert words in str(caught.value)


def test_too_few_pictures_stop_a_run_before_it_begins(features: list[str], tmp_path: Path) -> None:
    config = compose_checked(
        *("model=pix2pix", *TINY["pix2pix"], *QUICK, *features, "metric=[precision_recall]", "trainer.total_images=16")
    )
    with pytest.raises(UserError, match="metric=precision_recall needs at least 4 real pictures, and there are 1"):
        train(config, tmp_path)
    assert not list(tmp_path.glob("checkpoints/*"))


def test_the_job_is_due_where_it_was_asked_for(scored: tuple[dict[str, Any], Path]) -> None:
    _, folder = scored
    assert sorted({line["images"] for line in read_scores(folder) if line["checkpoint"] is None}) == [64, 128]
