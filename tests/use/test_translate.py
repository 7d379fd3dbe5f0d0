"""Pictures through a trained game: any size in, that size out, known pixels kept; and grids of several rows."""

from __future__ import annotations

from pathlib import Path

import numpy
import pytest
import torch
from conftest import with_all
from PIL import Image
from torch import Tensor, nn

from gan_cli.base.errors import UserError
from gan_cli.base.run_config import RunConfig
from gan_cli.game.game import Game, joined
from gan_cli.game.gan import GAN
from gan_cli.layers.patchgan import PatchGAN
from gan_cli.layers.resnet import ResNetGenerator
from gan_cli.layers.unet import UNet
from gan_cli.losses.adversarial import LeastSquares
from gan_cli.media.image import MIN_TILE, ImageMedium
from gan_cli.models import inpainting, srgan
from gan_cli.models.cyclegan import CycleGAN
from gan_cli.models.pix2pix import Pix2Pix
from gan_cli.parts.latent import Gaussian
from gan_cli.use.load import Trained
from gan_cli.use.modes.grid import as_pictures
from gan_cli.use.results import write_results
from gan_cli.use.translate import find_inputs, find_masks, reflected, translated, translation

CPU = torch.device("cpu")


def picture(path: Path, width: int, height: int, seed: int = 0, channels: int = 3) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (height, width, 3) if channels == 3 else (height, width)
    Image.fromarray(numpy.random.default_rng(seed).integers(0, 256, shape, dtype=numpy.uint8)).save(path)
    return path


def pixels(path: Path) -> numpy.ndarray:
    with Image.open(path) as image:
        return numpy.array(image)


def ready(game: Game, channels: int = 3, source_channels: int = 3) -> Trained:
    """As `load_trained` hands it over, untrained."""
    dataset = {"_target_": "x", "channels": channels, "source_channels": source_channels, "background": 255}
    config = with_all({"dataset": dataset})
    return Trained(game.eval(), game.averaged, ImageMedium(), RunConfig.of(config), [], Path("nowhere"), 0, CPU)


def pix2pix(source: int = 3, target: int = 3, dropout: float = 0.5, side: int = 16) -> Pix2Pix:
    torch.manual_seed(0)
    generator = UNet(source, target, side, width=2, dropout=dropout)  # dropout from 32 px up
    nn.init.normal_(generator.up[-1].weight)  # untrained weights of 0.02 would make plain pictures
    return Pix2Pix(generator, PatchGAN(source + target, 2, 1), LeastSquares())


def super_resolution(scale: int) -> srgan.SRGAN:
    torch.manual_seed(0)
    generator = srgan.Generator(3, scale, width=2, blocks=1)  # type: ignore[arg-type]
    return srgan.SRGAN(generator, srgan.Discriminator(3, 16, 2, 2), LeastSquares(), scale=scale)


def filling(channels: int = 3) -> inpainting.Inpainting:
    torch.manual_seed(0)
    generator = inpainting.Generator(channels, blocks=2, width=2)
    critics = PatchGAN(channels, 2, 1), PatchGAN(channels, 2, 1)
    return inpainting.Inpainting(generator, *critics, LeastSquares())


def both_ways() -> CycleGAN:
    torch.manual_seed(0)
    generators = ResNetGenerator(1, 3, blocks=1, width=2), ResNetGenerator(3, 1, blocks=1, width=2)
    return CycleGAN(*generators, PatchGAN(1, 2, 1), PatchGAN(3, 2, 1), LeastSquares())


def outputs(trained: Trained, files: dict[str, Path], direction: str = "a_to_b", seed: int = 0) -> dict[str, Tensor]:
    return dict(translated(trained, files, direction, None, seed))


# ---- reflection ----


@pytest.mark.parametrize("size", [(9, 30), (16, 17), (2, 5), (3, 100), (5, 16)])
@pytest.mark.parametrize("multiple", [4, 16, 64])
def test_reflection_is_numpys(size: tuple[int, int], multiple: int) -> None:
    """On the right and the lower edge, the edge itself not repeated; over and over for small pictures."""
    image = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    more = [-length % multiple for length in size]
    expected = numpy.pad(image.numpy(), [(0, 0), (0, 0), (0, more[0]), (0, more[1])], mode="reflect")
    made = reflected(image, multiple)
    assert made.shape[2] % multiple == made.shape[3] % multiple == 0
    assert torch.equal(made, torch.from_numpy(expected))


def test_reflection_by_hand() -> None:
    """1 2 3 to eight: 1 2 3 2 1 2 3 2; a single pixel is repeated."""
    line = torch.tensor([1.0, 2.0, 3.0]).view(1, 1, 1, 3)
    made = reflected(line, 8)
    assert made.shape == (1, 1, 8, 8)
    assert made[0, 0].tolist() == [[1, 2, 3, 2, 1, 2, 3, 2]] * 8
    assert torch.equal(reflected(torch.full((1, 1, 1, 1), 5.0), 4), torch.full((1, 1, 4, 4), 5.0))


def test_what_fits_is_left_alone() -> None:
    image = torch.rand(1, 1, 32, 16, generator=torch.Generator().manual_seed(0))
    assert torch.equal(reflected(image, 16), image)
    assert torch.equal(reflected(image[..., :7], 1), image[..., :7])


# ---- any size ----


@pytest.mark.parametrize(("width", "height"), [(17, 31), (16, 32), (5, 3), (1, 1), (40, 7)])
def test_a_u_net_takes_any_size(tmp_path: Path, width: int, height: int) -> None:
    made = outputs(ready(pix2pix()), {"a.png": picture(tmp_path / "a.png", width, height)})
    assert made["a.png"].shape == (3, height, width)
    assert made["a.png"].abs().max() <= 1


@pytest.mark.parametrize(("width", "height"), [(9, 30), (4, 40), (3, 3), (1, 1)])
def test_a_residual_generator_takes_any_size(tmp_path: Path, width: int, height: int) -> None:
    """Down to one pixel: a quarter of it is too small for a convolution with reflected borders."""
    trained = ready(both_ways(), channels=3, source_channels=1)
    assert outputs(trained, {"a.png": picture(tmp_path / "a.png", width, height)})["a.png"].shape == (3, height, width)


@pytest.mark.parametrize(("width", "height"), [(50, 41), (32, 32), (20, 50)])
def test_dilated_filling_takes_any_size(tmp_path: Path, width: int, height: int) -> None:
    """With its blocks of dilation 8, trained at 64 px, on smaller pictures."""
    generator = inpainting.Generator(3, 64, width=2)
    game = inpainting.Inpainting(generator, nn.Identity(), nn.Identity(), LeastSquares())
    file, mask = picture(tmp_path / "a.png", width, height), picture(tmp_path / "m.png", width, height, 1)
    ((_, made),) = translated(ready(game), {"a.png": file}, "a_to_b", {"a.png": mask}, 0)
    assert made.shape == (3, height, width)


@pytest.mark.parametrize("scale", [2, 4])
def test_super_resolution_enlarges_any_size(tmp_path: Path, scale: int) -> None:
    made = outputs(ready(super_resolution(scale)), {"a.png": picture(tmp_path / "a.png", 9, 7)})
    assert made["a.png"].shape == (3, 7 * scale, 9 * scale)


def test_a_picture_that_fits_goes_through_as_it_is(tmp_path: Path) -> None:
    """Not resized, not shifted: what the network itself makes of the pixels."""
    game, file = pix2pix(dropout=0), picture(tmp_path / "a.png", 32, 16)
    image = torch.from_numpy(pixels(file)).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.no_grad():
        expected = game.generator(image)[0]
    torch.testing.assert_close(outputs(ready(game), {"a.png": file})["a.png"], expected)
    assert expected.std() > 0.05


def test_the_upper_left_of_the_reflected_picture_comes_back(tmp_path: Path) -> None:
    """A network that returns its input: the picture itself, at any size."""
    game = pix2pix()
    game.generator = nn.Identity()
    game.generator.multiple = 16
    file = picture(tmp_path / "a.png", 21, 5)
    out = translated(ready(game), {"a.png": file}, "a_to_b", None, 0)
    write_results(as_pictures(out), tmp_path / "out")
    assert numpy.array_equal(pixels(tmp_path / "out" / "a.png"), pixels(file))


def test_each_direction_has_its_channels(tmp_path: Path) -> None:
    """A is grey, B colour; a colour picture is made grey before it is taken for one of A."""
    file, trained = picture(tmp_path / "a.png", 18, 22), ready(both_ways(), channels=3, source_channels=1)
    assert outputs(trained, {"a.png": file}, "a_to_b")["a.png"].shape == (3, 22, 18)
    assert outputs(trained, {"a.png": file}, "b_to_a")["a.png"].shape == (1, 22, 18)


def test_outputs_do_not_depend_on_the_other_files(tmp_path: Path) -> None:
    """Batch statistics and dropout are of each picture alone; its noise comes from the seed and its name."""
    files = {f"{name}.png": picture(tmp_path / f"{name}.png", 20, 16, number) for number, name in enumerate("abc")}
    trained = ready(pix2pix(side=32))
    together = outputs(trained, files)
    torch.manual_seed(99)
    for name, file in reversed(files.items()):
        assert torch.equal(outputs(trained, {name: file})[name], together[name])
    assert not torch.equal(outputs(trained, files, seed=1)["a.png"], together["a.png"])
    same = outputs(trained, {"a.png": files["a.png"], "z.png": files["a.png"]})
    assert not torch.equal(same["z.png"], same["a.png"])


# ---- holes ----


@pytest.mark.parametrize("channels", [1, 3])
def test_known_pixels_come_back_bit_for_bit(tmp_path: Path, channels: int) -> None:
    """Through the network, back to 8 bits, and through the file; every grey level is among them."""
    file = picture(tmp_path / "a.png", 41, 33, channels=channels)
    hole = numpy.zeros((33, 41), dtype=numpy.uint8)
    hole[5:20, 30:41] = 255
    Image.fromarray(hole).save(tmp_path / "mask.png")
    trained = ready(filling(channels), channels, channels)
    masks = find_masks(tmp_path / "mask.png", ["a.png"])
    write_results(as_pictures(translated(trained, {"a.png": file}, "a_to_b", masks, 0), True), tmp_path / "out.png")
    before, after = pixels(file), pixels(tmp_path / "out.png")
    assert before.shape == after.shape
    assert numpy.array_equal(before[hole == 0], after[hole == 0])
    assert len(numpy.unique(before[hole == 0])) > 250
    assert (before[hole == 255] != after[hole == 255]).mean() > 0.9


def test_what_was_in_the_hole_plays_no_part(tmp_path: Path) -> None:
    file, hole = picture(tmp_path / "a.png", 16, 16), numpy.zeros((16, 16), dtype=numpy.uint8)
    hole[4:8, 4:8] = 200  # anything above the middle is missing
    hole[12:, 12:] = 100
    Image.fromarray(hole).save(tmp_path / "mask.png")
    painted = pixels(file)
    painted[4:8, 4:8] = 0
    Image.fromarray(painted).save(tmp_path / "b.png")
    made = [
        next(translated(ready(filling()), {"a.png": one}, "a_to_b", {"a.png": tmp_path / "mask.png"}, 0))[1]
        for one in (file, tmp_path / "b.png")
    ]
    assert torch.equal(made[0], made[1])


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    file, mask = picture(tmp_path / "a.png", 20, 16), picture(tmp_path / "mask.png", 16, 20)
    with pytest.raises(UserError, match=r"mask\.png' is 16x20 and its picture '.*a\.png' 20x16: they must be equal$"):
        list(translated(ready(filling()), {"a.png": file}, "a_to_b", {"a.png": mask}, 0))


# ---- what is refused ----


def test_inputs_are_named_after_their_outputs(tmp_path: Path) -> None:
    for name in ("a.jpg", "sub/b.png", ".hidden.png"):
        picture(tmp_path / name, 4, 4)
    (tmp_path / "notes.txt").write_text("")
    assert find_inputs(tmp_path) == {"a.png": tmp_path / "a.jpg", "sub/b.png": tmp_path / "sub" / "b.png"}
    assert find_inputs(tmp_path / "a.jpg") == {"a.png": tmp_path / "a.jpg"}


def test_inputs_that_collide_are_refused(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.png"):
        picture(tmp_path / name, 4, 4)
    with pytest.raises(UserError, match=r"a\.jpg' and 'a\.png' would both be written as 'a\.png'; rename one$"):
        find_inputs(tmp_path)


def test_inputs_that_are_no_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"input='.*nowhere' does not exist"):
        find_inputs(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"input='.*empty' has no images in it"):
        find_inputs(tmp_path / "empty")
    (tmp_path / "a.txt").write_text("no picture")
    with pytest.raises(UserError, match=r"input='.*a\.txt' is no picture"):
        find_inputs(tmp_path / "a.txt")
    (tmp_path / "bad" / "sub").mkdir(parents=True)
    (tmp_path / "bad" / "sub" / "a.png").write_text("no picture")
    with pytest.raises(UserError, match=r"a\.png' can't be read as an image"):
        find_inputs(tmp_path / "bad")
    lone = tmp_path / "bad" / "sub" / "a.png"
    with pytest.raises(UserError, match=r"a\.png' can't be read as an image \(it is of no format that is read here\)$"):
        outputs(ready(pix2pix()), find_inputs(lone))


def test_masks_by_name(tmp_path: Path) -> None:
    """One for all, or a folder with one each; more than are needed do no harm."""
    for name in ("a.jpg", "b.png", "c.png"):
        picture(tmp_path / name, 4, 4)
    assert find_masks(tmp_path, ["a.png", "b.png"]) == {"a.png": tmp_path / "a.jpg", "b.png": tmp_path / "b.png"}
    assert find_masks(tmp_path / "c.png", ["x.png", "y.png"]) == dict.fromkeys(["x.png", "y.png"], tmp_path / "c.png")
    with pytest.raises(UserError, match=r"mask='.*' has no mask for 'd\.png'; masks and inputs need equal names$"):
        find_masks(tmp_path, ["a.png", "d.png"])


@pytest.mark.parametrize("kind", ["nowhere", "empty", "text"])
def test_a_wrong_mask_is_not_called_an_input(tmp_path: Path, kind: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("")
    with pytest.raises(UserError, match=rf"mask='.*{kind}'") as caught:
        find_masks(tmp_path / kind, ["a.png"])
    assert "input=" not in str(caught.value)


def test_games_refuse_what_they_cannot_do() -> None:
    noise = GAN(nn.Identity(), nn.Identity(), Gaussian(2), LeastSquares())
    with pytest.raises(UserError, match="needs a model that is given pictures"):
        translation(ready(noise), "a_to_b", False)
    with pytest.raises(UserError, match=r"direction=b_to_a is unknown to this model; it knows a_to_b$"):
        translation(ready(pix2pix()), "b_to_a", False)
    with pytest.raises(UserError, match=r"direction=a_to_c is unknown to this model; it knows a_to_b and b_to_a$"):
        translation(ready(both_ways()), "a_to_c", False)
    with pytest.raises(UserError, match="mask= is for models that fill holes"):
        translation(ready(pix2pix()), "a_to_b", True)
    with pytest.raises(UserError, match="say where they are with mask=IMAGE"):
        translation(ready(filling()), "a_to_b", False)
    game = filling()
    assert translation(ready(game), "a_to_b", True) == game.translations["a_to_b"]


def test_outputs_go_to_a_folder_or_to_one_file(tmp_path: Path) -> None:
    made = [("a.png", torch.full((1, 2, 3), -1.0)), ("sub/b.png", torch.full((3, 2, 2), 1.0))]
    write_results(as_pictures(iter(made)), tmp_path / "out")
    assert pixels(tmp_path / "out" / "a.png").tolist() == [[0, 0, 0], [0, 0, 0]]
    assert pixels(tmp_path / "out" / "sub" / "b.png").shape == (2, 2, 3)
    write_results(as_pictures(iter(made[:1]), True), tmp_path / "deep" / "one.png")
    assert pixels(tmp_path / "deep" / "one.png").shape == (2, 3)


# ---- previews and grids ----


def test_a_preview_does_not_mix_its_pictures() -> None:
    """Batch statistics of one picture at a time, though they are handed over together."""
    game = pix2pix(dropout=0)
    given = {
        name: torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(5)) for name in ("source", "target")
    }
    rows = joined(game.sample(game.averaged, given))
    assert list(rows) == ["source", "output", "target"]
    alone = joined(game.sample(game.averaged, {name: value[1:2] for name, value in given.items()}))
    assert torch.equal(rows["output"][1:2], alone["output"])
    assert torch.equal(rows["source"], given["source"])


def tiles(grid: Tensor, side: int) -> list[list[Tensor]]:
    """The tiles of a grid by row, without the white lines of two pixels between them."""
    down, across = ((length - 2) // (side + 2) for length in grid.shape[1:])
    assert grid.shape[1:] == (down * (side + 2) + 2, across * (side + 2) + 2)
    step = side + 2
    return [
        [
            grid[:, row * step + 2 : (row + 1) * step, column * step + 2 : (column + 1) * step]
            for column in range(across)
        ]
        for row in range(down)
    ]


def levelled(*numbers: int, channels: int = 1, side: int = MIN_TILE) -> Tensor:
    """Plain pictures of these grey levels."""
    return (torch.tensor(numbers).view(-1, 1, 1, 1) / 127.5 - 1).expand(-1, channels, side, side)


def test_rows_of_a_grid_stand_one_above_the_other() -> None:
    """Three examples in two columns: source, output, target of the first two, then of the third beside white."""
    rows = {"source": levelled(10, 20, 30), "output": levelled(110, 120, 130), "target": levelled(210, 220, 230)}
    grid = ImageMedium().rows(rows, 2)
    assert grid.dtype == torch.uint8
    assert grid.shape[0] == 3
    seen = [[tile.unique().tolist() for tile in row] for row in tiles(grid, MIN_TILE)]
    assert seen == [
        [[10], [20]],
        [[110], [120]],
        [[210], [220]],
        [[30], [255]],
        [[130], [255]],
        [[230], [255]],
    ]


def test_smaller_pictures_are_enlarged_by_squares_in_a_grid() -> None:
    """A source of half the side: each pixel is 2x2, no value between."""
    small = (torch.randint(0, 256, (2, 1, 32, 32), generator=torch.Generator().manual_seed(0)) / 127.5) - 1
    (first, second), (output, _) = tiles(
        ImageMedium().rows({"source": small, "output": levelled(9, 9, side=64)}, 2), 64
    )
    for tile, image in zip((first, second), small, strict=True):
        expected = ((image + 1) * 127.5).round().repeat_interleave(2, 1).repeat_interleave(2, 2)
        assert torch.equal(tile[:1].float(), expected)
    assert output.unique().tolist() == [9]


def test_tiny_pictures_are_enlarged_to_be_seen() -> None:
    """Rows of 3 and 6 px: all to 6, then each pixel to 8x8."""
    rows = {"source": levelled(10, side=3), "output": levelled(20, side=6)}
    seen = tiles(ImageMedium().rows(rows, 1), 48)
    assert [[tile.unique().tolist() for tile in row] for row in seen] == [[[10]], [[20]]]


def test_grey_stands_beside_colour_in_a_grid() -> None:
    colour = levelled(0, channels=3).clone()
    colour[:, 0] = 1
    (source,), (output,) = tiles(ImageMedium().rows({"source": levelled(77), "output": colour}, 1), MIN_TILE)
    assert source[:, 0, 0].tolist() == [77, 77, 77]
    assert output[:, 0, 0].tolist() == [255, 0, 0]


def test_one_row_is_a_plain_grid() -> None:
    images = levelled(10, 20, 30)
    assert torch.equal(ImageMedium().rows({"samples": images}, 2), ImageMedium().preview(images, 2))
