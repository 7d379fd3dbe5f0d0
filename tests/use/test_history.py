"""`mode=history`: the previews of a run, side by side or one after the other."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy
import pytest
import torch
from conftest import QUICK, TINY, compose_checked
from PIL import Image

from gan_cli.base.errors import PictureError, UserError
from gan_cli.run.train import train
from gan_cli.use.load import load_trained
from gan_cli.use.modes.history import History, spread
from gan_cli.use.modes.mode import Asked
from gan_cli.use.results import write_results


@pytest.fixture(scope="module")
def trained_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A conditional run that wrote a preview at 32, 64, 96 and 128 images, 20 samples in rows by class."""
    folder = tmp_path_factory.mktemp("history") / "run"
    options = ("trainer.total_images=128", "trainer.sample_every_images=32", "trainer.preview_samples=20")
    train(compose_checked("model=cdcgan", *TINY["cdcgan"], *QUICK, "trainer.device=cpu", *options), folder)
    return folder


@pytest.fixture
def run(trained_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained_run, tmp_path / "run"))


def previews(run: Path) -> list[numpy.ndarray]:
    return [numpy.asarray(Image.open(file).convert("RGB")) for file in sorted((run / "samples").glob("images-*.png"))]


def write(run: Path, output: Path, moments: int = 12) -> str:
    made = History(moments)(Asked(load_trained(run, device="cpu")))
    write_results(made.results, output)
    return made.words


def test_a_picture_shows_the_first_column_of_each_preview(run: Path) -> None:
    before = previews(run)
    assert len(before) == 4
    assert write(run, run / "strip.png") == "4 moments of"
    strip = numpy.asarray(Image.open(run / "strip.png"))
    height, width = before[0].shape[0], strip.shape[1] // 4
    assert strip.shape == (height, 4 * width, 3)
    assert (width - 4) % 8 == 0, "a sample of 8 pixels, each a square, with its border of two"
    assert before[0].shape[1] == 2 * (width - 2) + 2, "two samples of each class: two columns"
    for number, preview in enumerate(before):
        column = strip[:, number * width : (number + 1) * width]
        assert (column == preview[:, :width]).all(), number
    assert (strip[:, :width] != strip[:, width : 2 * width]).any(), "it learned"


def test_moments_are_spread_from_the_first_to_the_last(run: Path) -> None:
    before = previews(run)
    write(run, run / "strip.png", moments=2)
    strip = numpy.asarray(Image.open(run / "strip.png"))
    width = strip.shape[1] // 2
    assert (strip[:, :width] == before[0][:, :width]).all()
    assert (strip[:, width:] == before[-1][:, :width]).all()
    files = [Path(str(number)) for number in range(10)]
    assert spread(files, 4) == [files[0], files[3], files[6], files[9]]
    assert spread(files[:3], 4) == files[:3]


def test_a_film_shows_whole_previews(run: Path) -> None:
    write(run, run / "film.gif")
    with Image.open(run / "film.gif") as film:
        assert film.n_frames == 4
        assert film.size == previews(run)[0].shape[1::-1]
    write(run, run / "frames")
    frames = [numpy.asarray(Image.open(file)) for file in sorted((run / "frames").iterdir())]
    assert all((frame == preview).all() for frame, preview in zip(frames, previews(run), strict=True))


def test_a_run_of_points_shows_whole_previews(tmp_path: Path) -> None:
    options = ("trainer.total_images=64", "trainer.sample_every_images=32")
    train(compose_checked("model=toy", *TINY["toy"], *QUICK, "trainer.device=cpu", *options), tmp_path / "points")
    write(tmp_path / "points", tmp_path / "strip.png")
    with Image.open(tmp_path / "strip.png") as strip:
        assert strip.size == (512, 256)


def test_a_translators_previews_are_shown_without_its_data(tmp_path: Path) -> None:
    options = ("trainer.total_images=16", "trainer.sample_every_images=8", "trainer.preview_samples=4")
    config = compose_checked("model=pix2pix", *TINY["pix2pix"], *QUICK, "trainer.device=cpu", *options)
    train(config, tmp_path / "run")
    if config["dataset"].get("root"):
        shutil.move(config["dataset"]["root"], tmp_path / "moved")
    try:
        write(tmp_path / "run", tmp_path / "strip.png")
    finally:
        if config["dataset"].get("root"):
            shutil.move(tmp_path / "moved", config["dataset"]["root"])
    with Image.open(tmp_path / "strip.png") as picture:
        strip = numpy.asarray(picture)
    assert (strip == numpy.concatenate(previews(tmp_path / "run"), 1)).all()


def test_what_can_not_be_shown_is_said(run: Path) -> None:
    files = sorted((run / "samples").glob("images-*.png"))
    files[1].write_bytes(files[1].read_bytes()[:200])
    with pytest.raises(PictureError, match=r"images-000000064\.png"):
        write(run, run / "strip.png")
    assert not (run / "strip.png").exists()
    for file in files[1:]:
        file.unlink()
    with pytest.raises(UserError, match="has 1 of the previews that show how a run learned"):
        write(run, run / "strip.png")


def test_a_lower_preview_stands_at_the_top(run: Path) -> None:
    file = max((run / "samples").glob("images-*.png"))
    with Image.open(file) as picture:
        lower = picture.convert("RGB").crop((0, 0, picture.width, 30))
    lower.save(file)
    write(run, run / "strip.png")
    last = torch.from_numpy(numpy.array(Image.open(run / "strip.png")))[30:, -20:]
    assert (last == 255).all()
