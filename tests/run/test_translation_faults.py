"""What users of translation do wrong, or could not do: one sentence each, or the right thing."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy
import pytest
import torch
from conftest import TINY, compose_checked, compose_plain
from PIL import Image
from torch import nn

from gan_cli.base.checkpoint import FORMAT
from gan_cli.base.errors import UserError
from gan_cli.base.run_folder import model_facts
from gan_cli.data.folder import look
from gan_cli.data.layout import find_pairs
from gan_cli.losses.perceptual import Features
from gan_cli.losses.reconstruction import gram
from gan_cli.models.inpainting import hole_corner

SRGAN = ["model=srgan", *TINY["srgan"]]


def side_file(folder: Path, *overrides: str) -> Path:
    """A checkpoint as the check sees it."""
    path = folder / "checkpoints" / "images-000000008.pt"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"")
    facts = model_facts(compose_plain(*overrides))
    path.with_suffix(".json").write_text(json.dumps({"format": FORMAT, "digest": "", "networks": facts}))
    return folder


@pytest.mark.parametrize(
    "change",
    ["trainer.total_images=5000", "model.pretrain_images=40", "model.adversarial_weight=0.5", "loss=hinge"],
)
def test_a_run_may_start_from_weights_that_were_trained_otherwise(change: str, tmp_path: Path) -> None:
    run = side_file(tmp_path / "run", *SRGAN)
    assert compose_checked(*SRGAN, f"init_from={run}", change)["init_from"] == str(run)
    with pytest.raises(UserError, match=r"another model: model\.generator\.blocks is 1 there and 2 here"):
        compose_checked(*SRGAN, f"init_from={run}", "model.generator.blocks=2")


REFUSED = {
    "the source's channels": (
        [*SRGAN, "dataset.source_channels=1"],
        "dataset.source_channels=1 does not fit: the source is made from the picture",
    ),
    "no blocks": ([*SRGAN, "model.generator.blocks=0"], "model.generator.blocks=0 does not fit: a whole number from 1"),
    "no updates": (
        ["model=medgan_translation", *TINY["medgan_translation"], "model.generator_updates=0"],
        "model.generator_updates=0 does not fit: a whole number from 1",
    ),
    "a stage that is negative": ([*SRGAN, "model.pretrain_images=-5"], "model.pretrain_images=-5"),
    "no workers": ([*SRGAN, "dataset.workers=0"], "dataset.workers=0 does not fit: a whole number from 1"),
    "a grey of 300": (
        [*SRGAN, "dataset.background=300"],
        "dataset.background=300 does not fit: a whole number from 0 to 255",
    ),
    "a pool of -1": (["model=cyclegan", *TINY["cyclegan"], "model.pool_size=-1"], "model.pool_size=-1"),
    "a critic that is too deep": (
        ["model=pix2pix", *TINY["pix2pix"], "model.discriminator.layers=5"],
        "model.discriminator.layers=5 leaves nothing of dataset.resolution=32; at most 3 would do",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_values_that_train_nothing_are_refused(name: str) -> None:
    arguments, words = REFUSED[name]
    with pytest.raises(UserError) as caught:
        compose_checked(*arguments)
    assert words in str(caught.value)


def test_the_deepest_critic_that_is_allowed_is_one_that_works() -> None:
    from gan_cli.layers.patchgan import PatchGAN

    compose_checked("model=pix2pix", *TINY["pix2pix"], "model.discriminator.layers=3")
    assert PatchGAN(6, 4, 3, "batch")(torch.randn(2, 6, 32, 32), None).isfinite().all()


def test_gram_matrices_are_whole_in_half_precision() -> None:
    """3 * 3 over 128 * 128 places and 4 channels: the sum, 147,456, is beyond float16 before it is divided."""
    features = torch.full((1, 4, 128, 128), 3.0)
    with torch.autocast("cpu", dtype=torch.float16):
        found = gram(features.half())
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, torch.full((1, 4, 4), 9.0 / 4))


def test_the_window_holds_as_much_of_the_hole_as_a_window_can() -> None:
    """An L whose centre of mass lies outside it: 12 wide, 12 high, in a picture of 24."""
    mask = torch.zeros(1, 1, 24, 24)
    mask[0, 0, 5:17, 3] = 1
    mask[0, 0, 16, 3:15] = 1
    mask[0, 0, 2, 20] = 1  # and a speck, which no window of 12 holds beside the L
    row, column = hole_corner(mask)[0].tolist()
    assert mask[0, 0, row : row + 12, column : column + 12].sum() == 23
    shifted = hole_corner(mask.roll((4, 5), (2, 3)))[0].tolist()
    assert shifted != [row, column]


def test_a_corrupt_picture_is_left_out_with_its_partner(tmp_path: Path) -> None:
    for side in "AB":
        (tmp_path / side).mkdir()
        for number in range(4):
            Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / side / f"{number}.png")
    (tmp_path / "A" / "2.png").write_bytes(b"no picture")
    source, target = find_pairs(str(tmp_path), "all", skip_corrupt=True)
    assert [file.stem for file in source.files] == [file.stem for file in target.files] == ["0", "1", "3"]
    with pytest.raises(UserError, match=r"2\.png' can't be read"):
        find_pairs(str(tmp_path), "all")


def test_pictures_of_floats_are_refused(tmp_path: Path) -> None:
    Image.fromarray(numpy.full((4, 4), 0.5, dtype=numpy.float32)).save(tmp_path / "float.tif")
    Image.fromarray(numpy.full((4, 4), 100, dtype=numpy.int32)).save(tmp_path / "wide.tif")
    Image.fromarray(numpy.full((4, 4), 40_000, dtype=numpy.uint16)).save(tmp_path / "good.png")
    assert "neither 8 nor 16 bit" in look(tmp_path / "float.tif")["error"]
    assert "neither 8 nor 16 bit" in look(tmp_path / "wide.tif")["error"]
    assert look(tmp_path / "good.png")["width"] == 4


def test_layers_may_be_given_as_numbers(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU())
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        features = Features(network, str(tmp_path / "weights.pt"), [0, 1])  # type: ignore[list-item]
        assert [tuple(out.shape) for out in features(torch.zeros(1, 3, 4, 4))] == [(1, 2, 4, 4)] * 2
