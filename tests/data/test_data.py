"""Order, data sets, folders of pictures: what comes next, and that pixels are what the files say."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn.functional import pad

import gan_cli.data.folder as folder_module
from gan_cli.base.errors import UserError
from gan_cli.base.types import Batch, Noise, Span, State
from gan_cli.data.folder import cache_folder, scan
from gan_cli.data.images import Decoder, FileStore, ImageData, MemoryStore, resize, window, with_channels
from gan_cli.data.order import Batches, Order
from gan_cli.data.planar import Gaussians, grid, ring
from gan_cli.data.sets import ArrayData, Digits, ImageFolder

CPU = torch.device("cpu")


# ---- order ----


@pytest.mark.parametrize("count", [1, 7, 64])
def test_every_epoch_is_a_permutation_of_its_own(count: int) -> None:
    order = Order(count, seed=3)
    epochs = [order.indices(epoch * count, count).tolist() for epoch in range(3)]
    assert all(sorted(epoch) == list(range(count)) for epoch in epochs)
    if count == 64:
        assert len({tuple(epoch) for epoch in epochs}) == 3
        assert epochs[0] != list(range(64))


def test_the_order_is_a_function_of_seed_and_images_alone() -> None:
    """Asked from anywhere, backwards too, as a resume does: the same as read from the start."""
    whole = Order(10, seed=5).indices(0, 60)
    walked = Order(10, seed=5)
    for first in (37, 3, 55, 0, 20):
        assert torch.equal(walked.indices(first, 5), whole[first : first + 5])
        assert torch.equal(Order(10, seed=5).indices(first, 5), whole[first : first + 5])
    assert not torch.equal(Order(10, seed=6).indices(0, 60), whole)
    assert not torch.equal(Order(10, seed=5, side="target").indices(0, 60), whole)  # unpaired sides


def test_a_batch_may_straddle_epochs() -> None:
    """Places 8 to 25 of a set of 10: the end of one epoch, a whole one, the start of the next."""
    order = Order(10, seed=1)
    epochs = [order.indices(10 * epoch, 10) for epoch in range(3)]
    assert torch.equal(order.indices(8, 17), torch.cat([epochs[0][8:], epochs[1], epochs[2][:5]]))


def test_the_order_is_pinned() -> None:
    """Equal in every process and version, or no old run could go on."""
    assert Order(8, seed=0).indices(0, 8).tolist() == [3, 1, 7, 4, 0, 6, 5, 2]


class Rows:
    """Data whose samples are their own indices, with noise added by the jitter."""

    class_names: tuple[str, ...] = ()
    fingerprint = note = ""

    def __init__(self, count: int) -> None:
        self.count = count
        self.hints: list[list[int]] = []

    def __len__(self) -> int:
        return self.count

    def to(self, device: torch.device) -> None: ...

    def order(self, seed: int) -> Order:
        return Order(self.count, seed)

    def fetch(self, indices: Tensor, device: torch.device, noise: Noise | None = None) -> dict[str, Tensor]:
        point = indices[:, None].float()
        return {"point": point if noise is None else point + 0.5 * noise.uniform("jitter", 1)}

    def prefetch(self, indices: Tensor) -> None:
        self.hints.append(indices.tolist())


@pytest.mark.parametrize("processes", [2, 4])
def test_several_processes_draw_the_batch_of_one(processes: int) -> None:
    """Concatenated by rank, jitter included, across an epoch's end."""
    one = Batches(Rows(10), 8, 4, CPU, field="point")  # type: ignore[arg-type]
    many = [Batches(Rows(10), 8, 4, CPU, rank, processes, "point") for rank in range(processes)]  # type: ignore[arg-type]
    for first in (0, 8, 16):
        whole = one.at(first, 8)
        parts = [batches.at(first, 8) for batches in many]
        assert torch.equal(whole.real, torch.cat([part.real for part in parts]))
        assert [(part.first, part.total, part.start) for part in parts] == [
            (first, 8, rank * 8 // processes) for rank in range(processes)
        ]


def test_batches_count_the_global_batch_and_hint_at_the_next() -> None:
    data, state = Rows(10), State(images=16)
    batches = Batches(data, 8, 4, CPU, rank=1, processes=2)  # type: ignore[arg-type]
    batch = batches.next(state)
    assert (batch.first, batch.total, batch.start, len(batch)) == (16, 8, 4, 4)
    assert state.images == 24
    assert data.hints == [Order(10, 4).indices(24, 8)[4:].tolist()]
    assert (batches.next(state, 4).total, state.images) == (4, 28)


def test_a_split_batch_keeps_its_place_in_the_global_one() -> None:
    parts = list(Batch({"point": torch.arange(8.0)[:, None]}, first=32, total=16, start=8, field="point").split(2))
    assert [(part.first, part.total, part.start, part.rows) for part in parts] == [
        (32, 16, 8, slice(8, 12)),
        (32, 16, 12, slice(12, 16)),
    ]
    assert parts[1].real.flatten().tolist() == [4, 5, 6, 7]


# ---- images in memory ----


def image_data(count: int = 4, side: int = 4, **options: object) -> ImageData:
    pixels = torch.randint(0, 256, (count, 1, side, side), generator=torch.Generator().manual_seed(0))
    return ImageData(MemoryStore(pixels.to(torch.uint8)), None, [], "made up", **options)  # type: ignore[arg-type]


def test_pixels_become_minus_one_to_one() -> None:
    """0 -> -1, 51 -> -0.6, 255 -> 1; labels come with their images."""
    store = MemoryStore(torch.tensor([0, 51, 255], dtype=torch.uint8).view(3, 1, 1, 1))
    fields = ImageData(store, torch.tensor([7, 8, 9]), [], "").fetch(torch.tensor([2, 0, 1]), CPU)
    assert fields["image"].flatten().tolist() == pytest.approx([1.0, -1.0, -0.6], abs=1e-6)
    assert fields["image"].dtype == torch.float32
    assert fields["label"].tolist() == [9, 7, 8]
    assert "label" not in ImageData(store, None, [], "").fetch(torch.tensor([0]), CPU)


def test_fetching_leaves_the_stored_pixels_alone() -> None:
    data = image_data()
    before = data.store.take(torch.arange(4)).clone()
    data.fetch(torch.arange(4), CPU)["image"].zero_()
    assert torch.equal(data.store.take(torch.arange(4)), before)


def jittered(data: ImageData, parts: int, seed: int = 0, first: int = 64) -> Tensor:
    """The jittered images of a batch that came in so many parts."""
    indices, out = torch.arange(len(data)), []
    for number, mine in enumerate(indices.chunk(parts)):
        span = Span(first, len(data), number * len(mine), len(mine))
        out.append(data.fetch(mine, CPU, Noise(CPU, span, seed, "jitter"))["image"])
    return torch.cat(out)


def shifted(image: Tensor, padding: int, where: Tensor) -> Tensor:
    """A window of the image's own size out of one that is reflected outwards."""
    return window(pad(image, (padding,) * 4, mode="reflect"), image.shape[-1], where)


def test_flips_mirror_left_to_right_about_half_of_the_images() -> None:
    data = image_data(256, flip=True)
    plain, flipped = data.fetch(torch.arange(256), CPU)["image"], jittered(data, 1)
    mirrored = [bool(torch.equal(a, b.flip(2))) for a, b in zip(plain, flipped, strict=True)]
    untouched = [bool(torch.equal(a, b)) for a, b in zip(plain, flipped, strict=True)]
    assert all(a != b for a, b in zip(mirrored, untouched, strict=True))
    assert sum(mirrored) == pytest.approx(128, abs=40)  # five deviations of a fair coin


def test_crops_are_shifts_with_the_border_reflected() -> None:
    """Offsets (0, 0), (2, 1) and (1, 2) of an image padded by 1."""
    image = torch.arange(9.0).view(1, 1, 3, 3).expand(3, -1, -1, -1)
    where = torch.tensor([[0.0, 0.0], [0.99, 0.5], [0.34, 0.67]])
    first, second, third = shifted(image, 1, where)[:, 0].tolist()
    assert first == [[4, 3, 4], [1, 0, 1], [4, 3, 4]]
    assert second == [[3, 4, 5], [6, 7, 8], [3, 4, 5]]
    assert third == [[1, 2, 1], [4, 5, 4], [7, 8, 7]]


def test_crops_take_every_shift() -> None:
    data = image_data(400, side=3, crop_padding=1)
    plain = data.fetch(torch.arange(400), CPU)["image"]
    shifts = {(row, column): 0 for row in range(3) for column in range(3)}
    cut = jittered(data, 1)
    for row, column in shifts:
        where = torch.tensor([[row, column]]).expand(400, -1) / 3 + 0.01
        shifts[row, column] = int((shifted(plain, 1, where) == cut).all(3).all(2).all(1).sum())
    assert sum(shifts.values()) == 400
    assert min(shifts.values()) > 15  # 44 expected of each, deviation 6.3


@pytest.mark.parametrize("options", [{"flip": True}, {"crop_padding": 2}, {"flip": True, "crop_padding": 1}])
def test_jitter_is_the_same_however_the_batch_is_split(options: dict[str, object]) -> None:
    data = image_data(16, **options)
    whole = jittered(data, 1)
    assert torch.equal(whole, jittered(data, 1))
    assert torch.equal(whole, jittered(data, 2))
    assert torch.equal(whole, jittered(data, 4))
    assert not torch.equal(whole, jittered(data, 1, seed=1))
    assert not torch.equal(whole, jittered(data, 1, first=80))
    assert not torch.equal(whole, data.fetch(torch.arange(16), CPU)["image"])


def checkerboard(side: int) -> numpy.ndarray:
    rows, columns = numpy.mgrid[:side, :side]
    return ((rows + columns) % 2 * 255).astype(numpy.uint8)


@pytest.mark.parametrize("shrink", [2, 3, 4])
def test_resizing_is_antialiased(shrink: int) -> None:
    """A checkerboard of single pixels becomes grey; without a filter a third of its size would stay black and white."""
    small = resize(torch.from_numpy(checkerboard(16 * shrink))[None, None], 16)
    assert small.shape == (1, 1, 16, 16)
    assert small.dtype == torch.uint8
    assert small[..., 2:-2, 2:-2].float().sub(127.5).abs().max() <= 2
    assert small.float().mean().item() == pytest.approx(127.5, abs=1)


def test_resizing_keeps_what_is_flat_and_the_range() -> None:
    """Bicubic weights overshoot at an edge: values are cut to 0..255, never wrapped round."""
    flat = torch.full((2, 3, 5, 5), 200, dtype=torch.uint8)
    assert torch.equal(resize(flat, 9), torch.full((2, 3, 9, 9), 200, dtype=torch.uint8))
    edge = torch.cat([torch.zeros(1, 1, 8, 4), torch.full((1, 1, 8, 4), 255)], 3).to(torch.uint8)
    large = resize(edge, 32)
    assert large[..., :14].max() < 10
    assert large[..., 18:].min() > 245
    assert resize(flat, 5) is flat


def test_grey_and_colour() -> None:
    """Luma by ITU-R 601: 0.299 * 100 + 0.587 * 200 + 0.114 * 50 = 153."""
    colour = torch.tensor([100, 200, 50], dtype=torch.uint8).view(1, 3, 1, 1)
    grey = with_channels(colour, 1)
    assert grey.flatten().tolist() == [153]
    assert with_channels(grey, 3).flatten().tolist() == [153, 153, 153]
    assert with_channels(colour, 3) is colour


def test_an_array_says_when_it_was_resized() -> None:
    pixels = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
    made = [ArrayData(pixels, torch.zeros(2).long(), ["0"], resolution, None, False, 0) for resolution in (None, 8, 16)]
    assert [data.note for data in made] == ["", "", "resized from 8x8"]
    assert made[2].fetch(torch.tensor([0]), CPU)["image"].shape == (1, 1, 16, 16)
    assert made[0].fingerprint == made[1].fingerprint != made[2].fingerprint


# ---- digits ----


def stored_digits() -> dict[str, numpy.ndarray]:
    with resources.files("gan_cli.data").joinpath("digits.npz").open("rb") as file, numpy.load(file) as stored:
        return {name: stored[name] for name in stored}


def test_digits_are_the_file_that_was_checked() -> None:
    digests = {name: hashlib.sha256(array.tobytes()).hexdigest() for name, array in stored_digits().items()}
    assert digests == {
        "images": "8f26b2bd9d135c256808f68f14fdabddde6d9c7f869ae419704b051f0f14b3b3",
        "labels": "8ba4f891220f5e4c9c819638d1602d74b83618f167043c6da52a2a247841ddf0",
    }


def test_digits_are_those_of_scikit_learn() -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    reference = datasets.load_digits()
    stored = stored_digits()
    assert numpy.array_equal(stored["images"], reference.images)
    assert numpy.array_equal(stored["labels"], reference.target)


def test_splits_of_the_digits_are_disjoint_and_complete() -> None:
    """1,438 and 359; every fifth of the whole is for tests."""
    splits = {split: Digits(split=split) for split in ("train", "test", "all")}
    assert {split: len(data) for split, data in splits.items()} == {"train": 1438, "test": 359, "all": 1797}
    pixels = {split: data.store.take(torch.arange(len(data))) for split, data in splits.items()}
    test = torch.arange(1797) % 5 == 4
    assert torch.equal(pixels["test"], pixels["all"][test])
    assert torch.equal(pixels["train"], pixels["all"][~test])
    labels = splits["all"].labels
    assert labels is not None
    assert torch.equal(splits["test"].labels, labels[test])
    assert len({data.fingerprint for data in splits.values()}) == 3


def test_digits_as_images() -> None:
    """8x8 grey in [-1, 1], ink 16 -> 1 and 0 -> -1, the class named by its digit."""
    data = Digits(split="all")
    fields = data.fetch(torch.arange(1797), CPU)
    assert fields["image"].shape == (1797, 1, 8, 8)
    stored = stored_digits()["images"]
    expected = torch.from_numpy(stored).float() / 8 - 1
    assert (fields["image"][:, 0] - expected).abs().max() <= 1 / 255 + 1e-6  # rounding to bytes
    assert fields["image"].min() == -1
    assert fields["image"].max() == 1
    assert data.class_names == list("0123456789")
    assert torch.bincount(fields["label"]).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    colour = Digits(resolution=16, channels=3, split="test").fetch(torch.tensor([0]), CPU)["image"]
    assert colour.shape == (1, 3, 16, 16)
    assert torch.equal(colour[:, 0], colour[:, 2])


# ---- points ----


def test_ring_centres() -> None:
    """On the unit circle, an eighth of a turn apart: (1, 0), (s, s), (0, 1), ..."""
    s = 0.5**0.5
    expected = [[1, 0], [s, s], [0, 1], [-s, s], [-1, 0], [-s, -s], [0, -1], [s, -s]]
    torch.testing.assert_close(ring(8), torch.tensor(expected), atol=1e-6, rtol=0)


def test_grid_centres() -> None:
    ticks = (-1, -0.5, 0, 0.5, 1)
    assert sorted(map(tuple, grid(5).tolist())) == sorted((x, y) for x in ticks for y in ticks)


@pytest.mark.parametrize(
    ("arrangement", "deviation", "expected", "modes"),
    [("ring", None, 0.01, 8), ("grid", None, 0.0125, 25), ("ring", 0.1, 0.1, 8), ("grid", 0.0, 0.0, 25)],
)
def test_gaussians(arrangement: str, deviation: float | None, expected: float, modes: int) -> None:
    """Every point by its labelled centre, all modes equally often, the stated deviation on both axes."""
    data = Gaussians(arrangement, deviation, count=20_000)
    fields = data.fetch(torch.arange(len(data)), CPU)
    offset = fields["point"] - data.centres[fields["label"]]
    assert fields["point"].shape == (20_000, 2)
    assert offset.std(0).tolist() == pytest.approx([expected] * 2, rel=0.03, abs=1e-7)
    assert offset.mean(0).abs().max() <= 5 * expected / 20_000**0.5 + 1e-7
    counts = torch.bincount(fields["label"], minlength=modes)
    assert len(counts) == len(data.class_names) == modes
    assert (counts - 20_000 / modes).abs().max() < 6 * (20_000 / modes) ** 0.5
    again = Gaussians(arrangement, deviation, count=20_000)
    assert torch.equal(again.points, data.points)
    assert again.fingerprint == data.fingerprint


def test_gaussians_refuse_an_unknown_arrangement() -> None:
    with pytest.raises(ValueError, match="arrangement='spiral' is unknown: use ring or grid"):
        Gaussians("spiral")


# ---- folders ----


def solid(size: tuple[int, int], colour: object, mode: str = "RGB") -> Image.Image:
    return Image.new(mode, size, colour)  # type: ignore[arg-type]


def write(path: Path, image: Image.Image | None = None, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    (image or solid((8, 8), (10, 20, 30))).save(path, **options)  # type: ignore[arg-type]
    return path


def first_pixels(root: Path, **options: object) -> Tensor:
    """The first image of a folder as bytes, (C, R, R)."""
    data = ImageFolder(str(root), **options)  # type: ignore[arg-type]
    return data.store.take(torch.tensor([0]))[0]


def test_two_sub_folders_are_classes(tmp_path: Path) -> None:
    """In alphabetical order, a file's class being its folder of the first level."""
    for name in ("cats/b.png", "cats/deep/a.png", "ants/z.PNG", "cats/c.jpg"):
        write(tmp_path / name)
    found = scan(tmp_path)
    assert [picture.path for picture in found.pictures] == ["ants/z.PNG", "cats/b.png", "cats/c.jpg", "cats/deep/a.png"]
    assert found.classes == ["ants", "cats"]
    assert found.labels == [0, 1, 1, 1]
    data = ImageFolder(str(tmp_path), 8)
    assert data.class_names == ["ants", "cats"]
    assert data.fetch(torch.tensor([3, 0]), CPU)["label"].tolist() == [1, 0]


@pytest.mark.parametrize("names", [["a/x.png", "b/y.png", "z.png"], ["a/x.png", "a/y.png"], ["x.png"]])
def test_no_classes_from_pictures_at_the_root_or_a_single_sub_folder(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        write(tmp_path / name)
    found = scan(tmp_path)
    assert found.classes == []
    assert found.labels is None
    assert len(found.pictures) == len(names)
    assert "label" not in ImageFolder(str(tmp_path), 8).fetch(torch.tensor([0]), CPU)


def test_hidden_and_other_files_do_not_count(tmp_path: Path) -> None:
    for name in ("seen.png", ".hidden.png", ".git/a.png", "deep/.cache/b.png", "deep/c.gif"):
        write(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "deep" / "list.csv").write_text("1,2")
    assert [picture.path for picture in scan(tmp_path).pictures] == ["deep/c.gif", "seen.png"]


def test_a_path_as_a_user_has_it(tmp_path: Path) -> None:
    """Spaces, parentheses, an apostrophe, = and letters beyond ASCII, in the folder and in the files."""
    root = tmp_path / "Anna's pictures (2024) = köln"
    write(root / "first one's (copy).png", solid((8, 8), (255, 0, 0)))
    assert first_pixels(root, resolution=8)[:, 0, 0].tolist() == [255, 0, 0]


def test_a_home_folder_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path / "pictures" / "a.png")
    assert len(ImageFolder("~/pictures", 8)) == 1


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda root: None, "does not exist"),
        (lambda root: root.write_text(""), "is a file"),
        (lambda root: root.mkdir(), "has no images in it"),
    ],
    ids=["missing", "a file", "empty"],
)
def test_a_folder_without_pictures(tmp_path: Path, make: Callable[[Path], object], sentence: str) -> None:
    make(tmp_path / "pictures")
    with pytest.raises(UserError, match=rf"dataset\.root='.*pictures' {sentence}"):
        scan(tmp_path / "pictures")


def test_transparent_pixels_show_the_background(tmp_path: Path) -> None:
    """Half of 100 over a background of 200 is 150; a fully transparent pixel's own colour never shows."""
    image = solid((2, 1), (255, 0, 0, 0), "RGBA")
    image.putpixel((1, 0), (100, 100, 100, 128))
    write(tmp_path / "a.png", image)
    clear, half = first_pixels(tmp_path, resolution=2, fit="stretch", background=200)[0, 0].tolist()
    assert clear == 200
    assert half == pytest.approx(150, abs=1)
    assert first_pixels(tmp_path, resolution=2, fit="stretch")[:, 0, 0].tolist() == [255, 255, 255]


def test_transparency_of_grey_and_palette_pictures(tmp_path: Path) -> None:
    grey = solid((4, 4), (0, 0), "LA")
    write(tmp_path / "grey" / "a.png", grey)
    assert first_pixels(tmp_path / "grey", resolution=4, background=90).unique().tolist() == [90]
    palette = solid((4, 4), 1, "P")
    palette.putpalette([0, 0, 0, 10, 20, 30])
    write(tmp_path / "palette" / "a.png", palette, transparency=1)
    assert first_pixels(tmp_path / "palette", resolution=4, background=90).unique().tolist() == [90]


def test_palette_pictures_show_their_colours(tmp_path: Path) -> None:
    """Not the palette's indices."""
    image = solid((4, 4), 1, "P")
    image.putpalette([0, 0, 0, 200, 100, 50])
    write(tmp_path / "a.png", image)
    assert first_pixels(tmp_path, resolution=4)[:, 0, 0].tolist() == [200, 100, 50]


def test_sixteen_bit_grey_keeps_its_high_byte(tmp_path: Path) -> None:
    """0x8001 -> 0x80; cut to a byte instead of shifted it would be white or black."""
    values = numpy.array([[0x8001, 0xFFFF], [0x00FF, 0x1234]], dtype=numpy.uint16)
    write(tmp_path / "a.png", Image.fromarray(values))
    assert scan(tmp_path).channels == 1
    assert first_pixels(tmp_path, resolution=2).tolist() == [[[0x80, 0xFF], [0x00, 0x12]]]


def test_exif_rotation_is_applied(tmp_path: Path) -> None:
    """Orientation 6: the camera lay on its side; the stored left edge is the top of the picture."""
    image = solid((16, 16), (0, 0, 0))
    image.paste((255, 255, 255), (0, 0, 8, 16))  # left half white
    exif = Image.Exif()
    exif[0x0112] = 6
    write(tmp_path / "a.jpg", image, exif=exif, quality=95)
    pixels = first_pixels(tmp_path, resolution=16)[0].float()
    assert pixels[:6].min() > 240  # now the top half
    assert pixels[10:].max() < 15


@pytest.mark.parametrize(
    ("fit", "expected"),
    [("crop", [[2, 3], [2, 3]]), ("stretch", [[10, 20], [10, 20]]), ("pad", [[7, 7], [10, 20]])],
)
def test_ways_to_make_a_picture_square(tmp_path: Path, fit: str, expected: list[list[int]]) -> None:
    """A picture of 4x2: its centre, the whole of it squeezed, or the whole of it on a background of 7."""
    values = {
        "crop": [[1, 2, 3, 4], [1, 2, 3, 4]],
        "stretch": [[10, 10, 20, 20], [10, 10, 20, 20]],
        "pad": [[10, 10, 20, 20], [10, 10, 20, 20]],
    }[fit]
    write(tmp_path / "a.png", Image.fromarray(numpy.array(values, dtype=numpy.uint8)))
    if fit == "pad":
        pixels = first_pixels(tmp_path, resolution=4, fit=fit, background=7)[0].tolist()
        assert pixels == [[7] * 4, values[0], values[1], [7] * 4]
        return
    pixels = first_pixels(tmp_path, resolution=2, fit=fit)[0]
    assert (pixels - torch.tensor(expected)).abs().max() <= 1  # the antialiasing filter reaches over


@pytest.mark.parametrize(("size", "left", "top"), [((9, 4), 2, 0), ((4, 9), 0, 2), ((5, 5), 0, 0)])
def test_the_crop_is_centred(tmp_path: Path, size: tuple[int, int], left: int, top: int) -> None:
    side = min(size)
    values = numpy.arange(size[0] * size[1], dtype=numpy.uint8).reshape(size[1], size[0])
    write(tmp_path / "a.png", Image.fromarray(values))
    assert first_pixels(tmp_path, resolution=side)[0].tolist() == values[top : top + side, left : left + side].tolist()


@pytest.mark.parametrize("channels", [1, 3])
def test_padding_of_colour_and_grey(tmp_path: Path, channels: int) -> None:
    write(tmp_path / "a.png", solid((2, 4), (50, 50, 50)))
    pixels = first_pixels(tmp_path, resolution=4, channels=channels, fit="pad", background=9)
    assert pixels.shape == (channels, 4, 4)
    assert pixels[:, :, 0].unique().tolist() == [9]
    assert pixels[:, :, 1].unique().tolist() == [50]


@pytest.mark.parametrize("size", [(40, 17), (17, 40), (5, 3), (16, 3), (3, 16), (12, 12), (16, 16)])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_padding_is_that_of_the_whole_square(size: tuple[int, int], mode: str, tmp_path: Path) -> None:
    """To rounding, and in its bits where the picture is no taller than wide."""
    rng, channels = numpy.random.default_rng(3), {"L": 1, "RGB": 3}[mode]
    smooth = Image.fromarray(rng.integers(40, 216, (4, 4, channels), dtype=numpy.uint8).squeeze())
    image = smooth.resize(size, Image.Resampling.BICUBIC)
    image.save(tmp_path / "a.png")
    square = ImageOps.pad(image, (max(size), max(size)), color=(9,) * channels)
    expected = torch.from_numpy(numpy.array(square.resize((16, 16), Image.Resampling.BICUBIC))).view(16, 16, channels)
    made = Decoder(16, channels, "pad", background=9)(tmp_path / "a.png").permute(1, 2, 0)
    apart = (made.int() - expected.int()).abs().max()
    assert apart <= (1 if size[1] > size[0] else 0)


@pytest.mark.parametrize("size", [(12_000, 2), (2, 12_000)])
def test_a_picture_like_a_thread_is_not_padded_before_it_is_small(
    size: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", size, "red").save(tmp_path / "a.png")
    real, pixels = Image.new, []

    def new(mode: str, size: tuple[int, int], *more: Any) -> Image.Image:
        pixels.append(size[0] * size[1])
        return real(mode, size, *more)

    monkeypatch.setattr(Image, "new", new)
    assert Decoder(16, 3, "pad")(tmp_path / "a.png").shape == (3, 16, 16)
    assert 0 < max(pixels) <= 12_000 * 16


@pytest.mark.parametrize("shrink", [2, 3])
def test_files_are_resized_antialiased(tmp_path: Path, shrink: int) -> None:
    """Pillow's default for some resizes is the nearest pixel: a checkerboard would stay black or white."""
    write(tmp_path / "a.png", Image.fromarray(checkerboard(16 * shrink)))
    small = first_pixels(tmp_path, resolution=16)
    assert small[..., 2:-2, 2:-2].float().sub(127.5).abs().max() <= 2


@pytest.mark.parametrize(
    ("modes", "channels"), [(["L", "1"], 1), (["L", "RGB"], 3), (["RGB"], 3), (["L", "LA"], 1)], ids=str
)
def test_grey_pictures_alone_make_a_grey_set(tmp_path: Path, modes: list[str], channels: int) -> None:
    for number, mode in enumerate(modes):
        write(tmp_path / f"{number}.png", Image.new(mode, (4, 4)))
    assert scan(tmp_path).channels == channels
    assert first_pixels(tmp_path, resolution=4).shape == (channels, 4, 4)
    assert first_pixels(tmp_path, resolution=4, channels=4 - channels).shape == (4 - channels, 4, 4)


def test_the_first_frame_of_an_animation_counts(tmp_path: Path) -> None:
    frames = [solid((4, 4), (255, 0, 0)), solid((4, 4), (0, 255, 0))]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert first_pixels(tmp_path, resolution=4)[:, 0, 0].tolist() == [255, 0, 0]


def test_a_centred_square_may_be_cut_first() -> None:
    """As CelebA is used: 4 of 6x8 pixels, or all of a picture that is smaller."""
    decoder = Decoder(4, 1, crop=4)
    values = numpy.arange(48, dtype=numpy.uint8).reshape(8, 6)
    assert decoder.rule == "centre 4x4, crop to a square, resized to 4x4"
    cut = decoder._square(Image.fromarray(values))
    assert numpy.array_equal(numpy.asarray(cut), values[2:6, 1:5])
    assert decoder._square(Image.fromarray(values[:3, :2])).size == (4, 4)


# ---- broken pictures, and the cache of verdicts ----


def broken_folder(root: Path) -> Path:
    """One good picture, one cut in half, one that is no picture, one that is empty."""
    write(root / "a good one.png")
    noise = Image.fromarray(numpy.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=numpy.uint8))
    whole = write(root / "cut's.jpg", noise).read_bytes()
    (root / "cut's.jpg").write_bytes(whole[: len(whole) // 2])
    (root / "no picture.png").write_bytes(b"<html>not found</html>")
    (root / "zero.gif").write_bytes(b"")
    return root


def test_a_broken_picture_is_named(tmp_path: Path) -> None:
    """A truncated file opens without complaint: it must be decoded to be found out."""
    root = broken_folder(tmp_path / "pictures")
    with pytest.raises(UserError) as caught:
        scan(root)
    text = str(caught.value)
    assert str(root / "cut's.jpg") in text
    assert "3 of 4 files" in text
    assert "dataset.skip_corrupt=true" in text


def test_broken_pictures_may_be_left_out(tmp_path: Path) -> None:
    root = broken_folder(tmp_path / "pictures")
    found = scan(root, skip_corrupt=True)
    assert [picture.path for picture in found.pictures] == ["a good one.png"]
    assert sorted(found.corrupt) == ["cut's.jpg", "no picture.png", "zero.gif"]
    assert len(ImageFolder(str(root), 8, skip_corrupt=True)) == 1


def test_nothing_but_broken_pictures(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    with pytest.raises(UserError, match="none of the 1 images"):
        scan(tmp_path, skip_corrupt=True)


def test_a_link_to_nowhere_is_a_broken_picture(tmp_path: Path) -> None:
    write(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(UserError, match=r"b\.png"):
        scan(tmp_path)
    assert list(scan(tmp_path, skip_corrupt=True).corrupt) == ["b.png"]


def test_a_link_in_a_circle_adds_no_pictures(tmp_path: Path) -> None:
    """Links are followed, but a folder that is reached twice counts once."""
    write(tmp_path / "a.png")
    (tmp_path / "again").symlink_to(tmp_path, target_is_directory=True)
    assert [picture.path for picture in scan(tmp_path).pictures] == ["a.png"]


@pytest.mark.skipif(sys.platform == "darwin", reason="its file system takes UTF-8 names alone")
def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    root = Path(os.fsdecode(os.fsencode(tmp_path) + b"/k\xf6ln"))
    write(root / os.fsdecode(b"\xe4.png"))
    assert len(scan(root).pictures) == 1
    assert scan(root).fingerprint == scan(root).fingerprint


def count_looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    looked: list[str] = []
    real = folder_module.look

    def look(path: Path) -> dict:
        looked.append(path.name)
        return real(path)

    monkeypatch.setattr("gan_cli.data.folder.look", look)
    return looked


def test_verdicts_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second scan opens no file, of good and broken ones alike; a new one is looked at alone."""
    root, looked = broken_folder(tmp_path / "pictures"), count_looks(monkeypatch)
    first = scan(root, skip_corrupt=True)
    assert sorted(looked) == ["a good one.png", "cut's.jpg", "no picture.png", "zero.gif"]
    looked.clear()
    assert scan(root, skip_corrupt=True) == first
    with pytest.raises(UserError):
        scan(root)
    assert looked == []
    write(root / "new.png")
    assert len(scan(root, skip_corrupt=True).pictures) == 2
    assert looked == ["new.png"]


def test_a_changed_file_is_looked_at_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By size, or by time where the size is the same."""
    path = write(tmp_path / "pictures" / "a.png")
    looked = count_looks(monkeypatch)
    before = scan(path.parent)
    write(path, solid((16, 16), (1, 2, 3)))
    after = scan(path.parent)
    assert (before.pictures[0].width, after.pictures[0].width) == (8, 16)
    assert before.fingerprint != after.fingerprint
    data, at = bytearray(path.read_bytes()), path.stat().st_mtime_ns
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    os.utime(path, ns=(at + 10**9, at + 10**9))
    with pytest.raises(UserError):
        scan(path.parent)
    assert looked == ["a.png"] * 3


@pytest.mark.parametrize("content", ["", "{", '{"a.png": {"stam'], ids=["empty", "brace", "torn"])
def test_a_torn_cache_is_made_anew(tmp_path: Path, content: str) -> None:
    write(tmp_path / "pictures" / "a.png")
    first = scan(tmp_path / "pictures")
    (cache,) = cache_folder().glob("scan*-*.json")
    cache.write_text(content)
    assert scan(tmp_path / "pictures") == first
    assert cache.read_text() != content


def test_a_cache_that_cannot_be_written_costs_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "pictures" / "a.png")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert len(scan(tmp_path / "pictures").pictures) == 1


def test_the_fingerprint_follows_names_and_sizes(tmp_path: Path) -> None:
    root = tmp_path / "pictures"
    write(root / "a.png")
    write(root / "b.png")
    prints = [scan(root).fingerprint, scan(root).fingerprint]
    (root / "b.png").rename(root / "c.png")
    prints.append(scan(root).fingerprint)
    (root / "c.png").unlink()
    prints.append(scan(root).fingerprint)
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3


# ---- decoded when needed ----


def many_pictures(root: Path) -> Path:
    generator = numpy.random.default_rng(1)
    for number in range(10):
        write(root / f"{number}.png", Image.fromarray(generator.integers(0, 256, (6, 9, 3), dtype=numpy.uint8)))
    return root


def test_pictures_too_many_for_memory_give_the_same_batches(tmp_path: Path) -> None:
    root = str(many_pictures(tmp_path))
    held = ImageFolder(root, 6, flip=True, crop_padding=1)
    lazy = ImageFolder(root, 6, flip=True, crop_padding=1, memory_limit_mb=0, workers=2)
    assert isinstance(held.store, MemoryStore)
    assert isinstance(lazy.store, FileStore)
    assert len(held) == len(lazy) == 10
    assert held.fingerprint == lazy.fingerprint
    states = State(), State()
    batches = [Batches(data, 4, 0, CPU) for data in (held, lazy)]
    for _ in range(6):  # over two epochs
        one, other = (drawn.next(state) for drawn, state in zip(batches, states, strict=True))
        assert torch.equal(one.real, other.real)
    lazy.store.pool.shutdown()


def test_decoding_ahead_does_each_picture_once_and_forgets_idle_hints(tmp_path: Path) -> None:
    decoded: list[str] = []

    class Counting(Decoder):
        def __call__(self, path: Path) -> Tensor:
            decoded.append(path.name)
            return super().__call__(path)

    files = sorted(many_pictures(tmp_path).glob("*.png"))
    store = FileStore(files, Counting(6, 3), workers=1)
    store.prefetch(torch.tensor([4, 5]))
    taken = store.take(torch.tensor([5, 4]))
    assert sorted(decoded) == ["4.png", "5.png"]
    assert not store.ahead
    assert torch.equal(taken[0], Decoder(6, 3)(files[5]))
    assert torch.equal(store.take(torch.tensor([1, 1]))[0], Decoder(6, 3)(files[1]))  # twice in one batch
    for index in range(10):
        store.prefetch(torch.tensor([index]))
    assert len(store.ahead) == 4
    store.pool.shutdown()


def test_the_look_at_a_folder_needs_no_torch(tmp_path: Path) -> None:
    """The check before a run takes less than a second: importing torch takes more."""
    write(tmp_path / "a.png")
    code = (
        "import sys; from gan_cli.data.folder import scan; scan(sys.argv[1]);"
        "print(sorted({'torch', 'torchvision', 'tensorboard'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr
