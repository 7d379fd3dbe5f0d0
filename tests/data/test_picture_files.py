"""Which files count as pictures, what is said of those that don't, and one reader for all of them."""

from __future__ import annotations

import errno
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from conftest import QUICK, TINY, compose_checked, compose_plain, game_of
from PIL import Image, features

from gan_cli.base.errors import PictureError, UserError
from gan_cli.base.run_config import RunConfig
from gan_cli.base.stored import check_config
from gan_cli.data import folder
from gan_cli.data.folder import scan
from gan_cli.data.images import Decoder
from gan_cli.data.layout import find_pairs
from gan_cli.data.picture import LARGEST, endings, formats, look, opened
from gan_cli.data.sets import ImageFolder
from gan_cli.data.two_sided import Degraded, Pairs, Unpaired
from gan_cli.media.image import ImageMedium
from gan_cli.run.train import train
from gan_cli.use.load import Trained
from gan_cli.use.translate import find_inputs, find_masks, picture_for, remarks, translated

CPU = torch.device("cpu")


def noise(side: int = 8) -> Image.Image:
    return Image.fromarray(numpy.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=numpy.uint8))


def grey16(path: Path, value: int, side: int = 8) -> Path:
    """A 16-bit picture of zeros, its first row of `value`."""
    pixels = numpy.zeros((side, side), dtype=numpy.uint16)
    pixels[0] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def empty_png(path: Path, width: int, height: int) -> Path:
    """The header of a picture of any size, and nothing behind it."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b""))
    return path


# ---- what counts ----


def test_what_counts_is_what_the_installed_library_reads(tmp_path: Path) -> None:
    names = [
        ".jfif",
        ".jpe",
        ".jpeg",
        ".JPG",
        ".png",
        ".apng",
        ".webp",
        ".gif",
        ".bmp",
        ".tiff",
        ".ppm",
        ".tga",
        ".qoi",
    ]
    names += [".jp2"] * features.check("jpg_2000") + [".avif"] * features.check("avif")
    forms = {".jfif": "JPEG", ".jpe": "JPEG", ".apng": "PNG", ".jp2": "JPEG2000"}
    for number, ending in enumerate(names):
        noise().save(tmp_path / f"{number}{ending}", format=forms.get(ending))
    assert len(scan(tmp_path).pictures) == len(names)
    assert len(ImageFolder(str(tmp_path), 8)) == len(names)


def test_what_needs_another_program_or_holds_other_files_is_not_opened(tmp_path: Path) -> None:
    """Whatever its ending says: a folder may be a stranger's, and Ghostscript runs what an EPS holds."""
    assert {"PNG", "JPEG", "WEBP", "TIFF"} <= set(formats())
    assert not {"EPS", "WMF", "PDF", "MPEG", "IPTC", "FITS", "PSD"} & set(formats())
    assert not {".eps", ".ps", ".wmf", ".pdf", ".mpg", ".h5", ".fits", ".psd", ".ico"} & set(endings())
    noise().save(tmp_path / "drawn.eps")
    (tmp_path / "drawn.eps").rename(tmp_path / "drawn.png")
    with pytest.raises(PictureError, match=r"drawn\.png' can't be read as an image"), opened(tmp_path / "drawn.png"):
        pass


# ---- what the system refuses ----


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO])
def test_a_picture_that_the_system_refused_is_looked_at_again(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is the same as before, its trouble is over; one that is damaged is known to be."""
    noise().save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no picture")
    real = Image.open

    def refused(path: Path, *more: Any, **options: Any) -> Image.Image:
        if Path(path).name == "a.png":
            raise OSError(number, os.strerror(number), str(path))
        return real(path, *more, **options)

    with monkeypatch.context() as patched:
        patched.setattr(Image, "open", refused)
        with pytest.raises(UserError, match=rf"a\.png' can't be read \({os.strerror(number)}\)"):
            scan(tmp_path)
    seen: list[Path] = []
    monkeypatch.setattr(folder, "look", lambda path: seen.append(path) or look(path))
    assert [picture.path for picture in scan(tmp_path, skip_corrupt=True).pictures] == ["a.png"]
    assert seen == [tmp_path / "a.png"]


@pytest.mark.parametrize("inner", ["closed", "b/closed"])
def test_a_folder_that_cannot_be_entered_is_not_left_out_without_a_word(
    inner: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        noise().save(tmp_path / name / "1.png")
    (tmp_path / inner).mkdir()
    real = os.scandir

    def scandir(place: Any) -> Any:
        if Path(place) == tmp_path / inner:
            raise PermissionError(errno.EACCES, "Permission denied", str(place))
        return real(place)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(UserError, match=rf"{inner}' can't be entered \(Permission denied\).*skip_corrupt=true"):
        scan(tmp_path)
    with pytest.raises(UserError, match="can't be entered") as caught:
        scan(tmp_path, what="input")
    assert "skip_corrupt" not in str(caught.value)
    found = scan(tmp_path, skip_corrupt=True)
    assert found.remarks() == [f"left out of {tmp_path}: 1 folder that can't be entered ({inner!r})"]
    if inner == "closed":
        with pytest.raises(UserError, match="'closed' holds no picture that can be read"):
            found.check_classes()
    with pytest.raises(UserError, match=rf"{inner}' can't be entered"):
        scan(tmp_path / inner, skip_corrupt=True)


# ---- what is left out is told ----


def others(root: Path) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for number in range(3):
        noise().save(root / f"{number}.png")
        (root / f"{number}.heic").write_bytes(b"a telephone's")
    for number in range(9):
        (root / f"{number}.TXT").write_text("a caption")
    (root / ".hidden").write_text("")
    (root / "LICENSE").write_text("")
    return root


def test_files_that_do_not_count_are_named_by_their_endings(tmp_path: Path) -> None:
    found = scan(others(tmp_path / "p"))
    assert found.remarks() == [
        f"left out of {tmp_path / 'p'}: 13 files of no kind that is read as a picture (9 .txt, 3 .heic, 1 without an"
        " ending)"
    ]
    (tmp_path / "p" / "cut.png").write_bytes(b"no picture")
    assert scan(tmp_path / "p", skip_corrupt=True).remarks()[0] == (
        f"left out of {tmp_path / 'p'}: 1 picture that can't be read"
    )


def test_a_folder_of_other_files_says_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "a.heic").write_bytes(b"")
    with pytest.raises(UserError, match=r"has no images in it, only 1 \.heic \(.*\.jfif.* are read\)"):
        scan(tmp_path)


@pytest.mark.parametrize("kind", ["folder", "pairs", "halves", "unpaired", "degraded"])
def test_every_data_set_tells_what_it_leaves_out(kind: str, tmp_path: Path) -> None:
    made: dict[str, Callable[[], object]] = {
        "folder": lambda: ImageFolder(str(tmp_path), 8),
        "pairs": lambda: Pairs(str(tmp_path), 8),
        "halves": lambda: Pairs(str(tmp_path), 8),
        "unpaired": lambda: Unpaired(str(tmp_path), 8),
        "degraded": lambda: Degraded(str(tmp_path), lambda target, noise: {"source": target}, 8),  # type: ignore[arg-type]
    }
    places = {"pairs": ["A", "B"], "unpaired": ["trainA", "trainB", "testA", "testB"]}.get(kind, ["."])
    for place in places:
        others(tmp_path / place)
    first, *told = made[kind]().note.splitlines()  # type: ignore[attr-defined]
    assert "left out" not in first
    seen = places[: 2 if kind == "unpaired" else None]
    assert [line.split(":")[0] for line in told] == [f"left out of {tmp_path / place}" for place in seen]


def test_a_run_tells_what_it_leaves_out_and_what_is_dark(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "p"
    for number in range(8):
        grey16(root / f"{number}.png", 4000 + number)
    (root / "notes.txt").write_text("")
    few = [*TINY["dcgan"], *QUICK, "dataset=image_folder", f"dataset.root={root}", "trainer.total_images=8"]
    train(compose_checked("model=dcgan", *few), tmp_path / "run")
    out = capsys.readouterr().out
    assert out.count("1 file of no kind that is read as a picture (1 .txt)") == 1
    assert out.count("the largest 16-bit value in") == 1
    assert "is 4,007, and 65,535 is taken for white" in out
    assert "say dataset.white_level=4095" in out


# ---- one reader ----


def unread(path: Path, values: str) -> Path:
    kind = {"float": numpy.float32, "whole": numpy.int32}[values]
    Image.fromarray(numpy.linspace(0, 1e5, 64).reshape(8, 8).astype(kind)).save(path)
    return path


def translator(tmp_path: Path, model: str = "pix2pix", *options: str) -> Trained:
    config = compose_plain(f"model={model}", *TINY[model], *options)
    game = game_of(config).eval()
    return Trained(game, game.averaged, ImageMedium(), RunConfig.of(config), [], tmp_path, 0, CPU)


@pytest.mark.parametrize("values", ["float", "whole"])
def test_values_of_more_than_16_bits_are_refused_wherever_a_picture_is_read(values: str, tmp_path: Path) -> None:
    words = "neither 8 nor 16 bit"
    (tmp_path / "p").mkdir()
    file = unread(tmp_path / "p" / "a.tif", values)
    with pytest.raises(UserError, match=words):
        scan(file.parent)
    with pytest.raises(UserError, match=words):
        find_inputs(file)
    with pytest.raises(UserError, match=words):
        find_masks(file, ["a.png"])
    with pytest.raises(UserError, match=words):
        picture_for(translator(tmp_path), file)
    with pytest.raises(PictureError, match=words):
        Decoder(None, 1)(file)


@pytest.mark.parametrize("order", ["<", ">"])
def test_signed_values_of_16_bits_are_called_signed(order: str, tmp_path: Path) -> None:
    """The header of a grey TIFF of 2x2, its bytes in either order; SampleFormat (339) is 2."""
    tags = [(256, 2), (257, 2), (258, 16), (259, 1), (262, 1), (273, 8), (277, 1), (278, 2), (279, 8), (339, 2)]
    fields = b"".join(struct.pack(order + "HHIHH", tag, 3, 1, value, 0) for tag, value in tags)
    body = struct.pack(order + "4h", -5, 0, 7, 32_000)
    mark = {"<": b"II", ">": b"MM"}[order] + struct.pack(order + "HI", 42, 16)
    (tmp_path / "a.tif").write_bytes(mark + body + struct.pack(order + "H", len(tags)) + fields + bytes(4))
    with pytest.raises(UserError, match=r"a\.tif' has signed 16-bit values; save it with 8 bits, or with 16 without"):
        scan(tmp_path)


@pytest.mark.parametrize(("width", "height"), [(9000, 9000), (15_000, 13_000), (60_000, 60_000)])
def test_a_picture_that_is_too_large_is_called_so(width: int, height: int, tmp_path: Path) -> None:
    """Below and above the limits of the library's own, which come with other words."""
    file = empty_png(tmp_path / "large.png", width, height)
    with pytest.raises(UserError) as caught:
        scan(tmp_path)
    for words in (f"{width * height:,} pixels", f"{LARGEST:,}", "too large", "make it smaller"):
        assert words in str(caught.value)
    assert "can't be read" not in str(caught.value)
    with pytest.raises(UserError, match="is too large"):
        find_inputs(file)


# ---- the white of 16-bit values ----


def test_the_white_level_scales_16_bit_grey_and_nothing_else(tmp_path: Path) -> None:
    """4095 of 4095 is 255, 2048 is 128, 16 is 1: as the high byte of 12 bits; 8 bits and PGM are as they are."""
    pixels = numpy.array([[0, 16, 2048, 4095, 65_535]] * 5, dtype=numpy.uint16)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    Image.fromarray(pixels.astype(">u2")).save(tmp_path / "a.tif")
    Image.fromarray((pixels >> 8).astype(numpy.uint8)).save(tmp_path / "b.png")
    body = pixels.clip(0, 4095).astype(">u2").tobytes()
    (tmp_path / "a.pgm").write_bytes(b"P5 5 5 4095\n" + body)  # says itself that 4095 is white
    twelve = Decoder(None, 1, white_level=4095)
    for name in ("a.png", "a.tif"):
        assert twelve(tmp_path / name)[0, 0].tolist() == [0, 1, 128, 255, 255]
        assert Decoder(None, 1)(tmp_path / name)[0, 0].tolist() == [0, 0, 8, 15, 255]
    assert twelve(tmp_path / "b.png")[0, 0].tolist() == [0, 0, 8, 15, 255]
    assert torch.equal(twelve(tmp_path / "a.pgm"), Decoder(None, 1)(tmp_path / "a.pgm"))
    assert twelve(tmp_path / "a.pgm")[0, 0].tolist()[2:4] == [128, 255]


@pytest.mark.parametrize(
    ("largest", "white", "words"),
    [
        (60_000, None, None),
        (40_000, None, None),
        (1023, None, "say dataset.white_level=1023"),
        (4000, None, "they hold 12 bits, say dataset.white_level=4095"),
        (4000, 4095, None),
        (4096, 4095, "go up to 4,096, and all above 4,095 are shown as white"),
        (1, None, "if they hold 1 bit, say dataset.white_level=1"),
        (0, None, None),
        (0, 4095, None),
    ],
)
def test_values_that_do_not_fit_the_white_level_are_told(
    largest: int, white: int | None, words: str | None, tmp_path: Path
) -> None:
    grey16(tmp_path / "a.png", largest)
    told = scan(tmp_path).remarks(white)
    assert [words in line for line in told] == ([] if words is None else [True])


def test_dark_colour_of_16_bits_is_told_too(tmp_path: Path) -> None:
    """The library reads its high bytes alone: no white level brings the low ones back."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = b"".join(b"\0" + struct.pack(">H", 4000) * 12 for _ in range(4))
    parts = (b"IHDR", struct.pack(">IIBBBBB", 4, 4, 16, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts))
    (line,) = scan(tmp_path).remarks()
    assert "save such pictures with 8 bits a channel" in line


def test_the_white_level_reaches_every_reader_of_a_run(tmp_path: Path) -> None:
    for number in range(4):
        for side in "AB":
            grey16(tmp_path / side / f"{number}.png", 4095)
    low, high = (Pairs(str(tmp_path), 8, white_level=white) for white in (None, 4095))
    assert [data.fetch(torch.tensor([0]), CPU)["source"].max().item() > 0.9 for data in (low, high)] == [False, True]
    assert low.fingerprint != high.fingerprint
    assert [len(data.note.splitlines()) for data in (low, high)] == [3, 1]
    for made in (ImageFolder(str(tmp_path), 8, white_level=4095), Unpaired(str(tmp_path), 8, white_level=4095)):
        assert next(iter(made.fetch(made.order(0).indices(0, 1), CPU).values())).max() == 1
    trained = translator(tmp_path, "pix2pix", "dataset.channels=1", "dataset.source_channels=1")
    trained.config = trained.config.on_data(trained.config.data.changed(white_level=4095, resolution=8))
    assert picture_for(trained, tmp_path / "A" / "0.png").max() == 1
    assert remarks(trained, tmp_path / "A" / "0.png") == []
    trained.config = trained.config.on_data(trained.config.data.changed(white_level=None))
    assert picture_for(trained, tmp_path / "A" / "0.png").max() < -0.8
    (line,) = remarks(trained, tmp_path / "A" / "0.png")
    assert "dataset.white_level of the run" in line


def test_translation_and_its_masks_go_by_the_white_level_of_the_run(tmp_path: Path) -> None:
    picture, mask = grey16(tmp_path / "a.png", 4095, 32), grey16(tmp_path / "mask.png", 4095, 32)
    seen: dict[str, torch.Tensor] = {}
    trained = translator(tmp_path, "inpainting", "dataset.channels=1", "dataset.source_channels=1")

    def translate(networks: object, fields: dict[str, torch.Tensor], direction: str) -> torch.Tensor:
        seen.update(fields)
        return fields["source"]

    trained.game.translate = translate  # type: ignore[method-assign, assignment]
    trained.config = trained.config.on_data(trained.config.data.changed(white_level=4095))
    list(translated(trained, {"a.png": picture}, "a_to_b", {"a.png": mask}, 0))
    assert seen["source"].max() == 1
    assert seen["mask"].sum() == 32


def test_pairs_of_halves_are_one_folder_to_tell_of(tmp_path: Path) -> None:
    for number in range(3):
        grey16(tmp_path / "p" / f"{number}.png", 1000)
    source, target = find_pairs(tmp_path / "p", "all")
    assert source.scans == target.scans
    assert len(Pairs(str(tmp_path / "p"), 8).note.splitlines()) == 2


def test_jpeg_tells_its_quality(tmp_path: Path) -> None:
    for quality in (30, 75, 95):
        noise(32).save(tmp_path / "a.jpg", quality=quality)
        found = look(tmp_path / "a.jpg")
        assert (found["format"], found["quality"]) == ("JPEG", pytest.approx(quality, abs=1))
    noise().save(tmp_path / "a.png")
    assert look(tmp_path / "a.png")["format"] == "PNG"
    assert "quality" not in look(tmp_path / "a.png")


@pytest.mark.parametrize("name", ["a.jpg", "a.mpo", "a.MPO"])
def test_a_telephones_jpeg_with_a_second_picture_behind_it_is_a_jpeg(name: str, tmp_path: Path) -> None:
    first, second = noise(32), Image.new("RGB", (32, 32), "red")
    first.save(tmp_path / name, format="MPO", save_all=True, append_images=[second], quality=75)
    first.save(tmp_path / "b.jpg", quality=75)
    with Image.open(tmp_path / name) as image:
        assert image.format == "MPO"
    one, other = scan(tmp_path).pictures
    assert {one.path, other.path} == {name, "b.jpg"}
    assert (one.format, one.quality) == (other.format, other.quality) == ("JPEG", pytest.approx(75, abs=1))
    decode = Decoder(32, 3)
    assert torch.equal(decode(tmp_path / name), decode(tmp_path / "b.jpg"))


@pytest.mark.parametrize("value", [0, -1, 70_000, "4095", 2.5])
def test_a_stored_white_level_is_a_value_of_16_bits(value: object) -> None:
    """A checkpoint may be a stranger's: -1 would divide by nothing."""
    config = compose_plain("model=pix2pix", *TINY["pix2pix"])
    check_config(config, "x")
    config["dataset"]["white_level"] = value
    with pytest.raises(
        UserError, match=r"dataset\.white_level is .*, and a whole number from 1 to 65535 belongs there"
    ):
        check_config(config, "x")


def test_the_command_line_refuses_a_white_level_beyond_16_bits() -> None:
    with pytest.raises(UserError, match=r"dataset\.white_level"):
        compose_checked("model=pix2pix", *TINY["pix2pix"], "dataset.white_level=65536")


def test_a_picture_that_goes_away_before_it_is_translated_is_named(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    noise(32).save(file)
    inputs = find_inputs(file)
    file.unlink()
    with pytest.raises(PictureError, match=r"a\.png' can't be read \(No such file or directory\)$") as caught:
        list(translated(translator(tmp_path), inputs, "a_to_b", None, 0))
    assert caught.value.exit_code == 1
