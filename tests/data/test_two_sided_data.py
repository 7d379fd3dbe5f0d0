"""Pairs, unpaired piles and degraded pictures: who is whose partner, what is refused, and that jitter is shared."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from gan_cli.base.errors import UserError
from gan_cli.base.types import Noise, OwnNoise, Span
from gan_cli.data.degrade import Downscale, Masks, downscale, enlarge, filled_smoothly
from gan_cli.data.layout import Side, find_pairs, find_single, find_unpaired, held_out_rows
from gan_cli.data.order import Batches
from gan_cli.data.two_sided import Degraded, Pairs, Unpaired

CPU = torch.device("cpu")


def plain(path: Path, level: int, width: int = 8, height: int = 8) -> None:
    """A picture of one grey level, which encodes its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (width, height), level).save(path)


def noisy(path: Path, seed: int, width: int = 12, height: int = 12, colour: bool = False) -> None:
    """A picture of which no two windows are alike."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (height, width, 3) if colour else (height, width)
    Image.fromarray(numpy.random.default_rng(seed).integers(0, 256, shape, dtype=numpy.uint8)).save(path)


def levels(field: Tensor) -> list[int]:
    """The grey levels of plain pictures."""
    assert torch.equal(field, field[:, :1, :1, :1].expand_as(field))
    return [round((value + 1) * 127.5) for value in field[:, 0, 0, 0].tolist()]


def fetched(data: Pairs | Unpaired | Degraded) -> dict[str, Tensor]:
    return data.fetch(torch.arange(len(data)), CPU)


def names(side: Side) -> list[str]:
    return [file.name for file in side.files]


def make_pairs(root: Path, count: int = 20, suffix: str = ".png") -> Path:
    """A/00 is of level 0, B/00 of level 100, A/01 of 5, B/01 of 105, ..."""
    for number in range(count):
        plain(root / "A" / f"{number:02d}{suffix}", 5 * number)
        plain(root / "B" / f"{number:02d}{suffix}", 100 + 5 * number)
    return root


# ---- pairs ----


def test_partners_have_equal_names(tmp_path: Path) -> None:
    data = Pairs(str(make_pairs(tmp_path, 6)), 8, split="all", flip=False)
    fields = fetched(data)
    assert (levels(fields["source"]), levels(fields["target"])) == (
        [0, 5, 10, 15, 20, 25],
        [100, 105, 110, 115, 120, 125],
    )
    assert fields["source"].shape == (6, 1, 8, 8)


def test_direction_swaps_the_sides(tmp_path: Path) -> None:
    make_pairs(tmp_path, 4)
    there = Pairs(str(tmp_path), 8, split="all")
    back = Pairs(str(tmp_path), 8, split="all", direction="b_to_a")
    assert levels(fetched(back)["source"]) == levels(fetched(there)["target"]) == [100, 105, 110, 115]
    assert levels(fetched(back)["target"]) == levels(fetched(there)["source"]) == [0, 5, 10, 15]
    assert back.fingerprint != there.fingerprint


def test_partners_may_differ_in_format_and_lie_in_sub_folders(tmp_path: Path) -> None:
    for number, (a, b) in enumerate([("x/1.png", "x/1.jpg"), ("x/2.jpg", "x/2.bmp"), ("1.bmp", "1.png")]):
        plain(tmp_path / "A" / a, 20 * number)
        plain(tmp_path / "B" / b, 200 + 20 * number)
    fields = fetched(Pairs(str(tmp_path), 8, split="all"))
    pairs = sorted(zip(levels(fields["source"]), levels(fields["target"]), strict=True))
    assert [b - a for a, b in pairs] == pytest.approx([200] * 3, abs=2)  # JPEG is lossy
    assert [a for a, _ in pairs] == pytest.approx([0, 20, 40], abs=1)


def test_halves_of_one_picture(tmp_path: Path) -> None:
    """A on the left, B on the right; each half is cropped to its own middle."""
    for number in range(3):
        both = Image.new("L", (20, 8), 0)
        both.paste(10 * number + 1, (0, 0, 10, 8))
        both.paste(10 * number + 101, (10, 0, 20, 8))
        both.save(tmp_path / f"{number}.png")
    fields = fetched(Pairs(str(tmp_path), 8, split="all"))
    assert (levels(fields["source"]), levels(fields["target"])) == ([1, 11, 21], [101, 111, 121])
    source, target = find_pairs(tmp_path, "all", direction="b_to_a")
    assert (source.half, target.half) == ("right", "left")
    assert source.sizes == [(10, 8)] * 3
    assert find_pairs(tmp_path, "all")[0].square is None


def test_channels_of_the_two_sides(tmp_path: Path) -> None:
    """Each as its own files are, unless told."""
    for number in range(3):
        plain(tmp_path / "A" / f"{number}.png", 10)
        noisy(tmp_path / "B" / f"{number}.png", number, 8, 8, colour=True)
    fields = fetched(Pairs(str(tmp_path), 8, split="all"))
    assert (fields["source"].shape[1], fields["target"].shape[1]) == (1, 3)
    told = fetched(Pairs(str(tmp_path), 8, split="all", channels=1, source_channels=3))
    assert (told["source"].shape[1], told["target"].shape[1]) == (3, 1)


def turned(path: Path, shown: Image.Image) -> None:
    """A file whose pixels lie on their side, with the EXIF orientation that sets them upright."""
    path.parent.mkdir(parents=True, exist_ok=True)
    orientation = Image.Exif()
    orientation[0x0112] = 6
    shown.transpose(Image.Transpose.ROTATE_90).save(path, exif=orientation)


def test_sizes_are_those_of_upright_pictures(tmp_path: Path) -> None:
    """As they are decoded: a turned 8x20 has the size of its partner 20x8, and halves are those that are shown."""
    turned(tmp_path / "folders" / "A" / "1.png", Image.new("L", (20, 8), 3))
    plain(tmp_path / "folders" / "B" / "1.png", 5, 20, 8)
    assert find_pairs(tmp_path / "folders", "all")[0].sizes == [(20, 8)]
    both = Image.new("L", (22, 7), 1)
    both.paste(101, (11, 0, 22, 7))
    turned(tmp_path / "halves" / "1.png", both)
    assert find_pairs(tmp_path / "halves", "all")[0].sizes == [(11, 7)]
    fields = fetched(Pairs(str(tmp_path / "halves"), 7, split="all"))
    assert (levels(fields["source"]), levels(fields["target"])) == ([1], [101])


@pytest.mark.parametrize("kind", ["folders", "halves"])
def test_train_and_test_folders_are_the_split(tmp_path: Path, kind: str) -> None:
    for part, first in (("train", 0), ("test", 10)):
        for number in range(first, first + 3):
            if kind == "folders":
                plain(tmp_path / part / "A" / f"{number}.png", number)
                plain(tmp_path / part / "B" / f"{number}.png", 100 + number)
            else:
                both = Image.new("L", (16, 8), number)
                both.paste(100 + number, (8, 0, 16, 8))
                (tmp_path / part).mkdir(exist_ok=True)
                both.save(tmp_path / part / f"{number}.png")
    for split, expected in (("train", [0, 1, 2]), ("test", [10, 11, 12]), ("all", [0, 1, 2, 10, 11, 12])):
        fields = fetched(Pairs(str(tmp_path), 8, split=split, flip=False))  # type: ignore[arg-type]
        assert sorted(levels(fields["source"])) == expected
        assert [b - a for a, b in zip(levels(fields["source"]), levels(fields["target"]), strict=True)] == [100] * len(
            expected
        )


def test_a_share_is_held_out_of_train_without_test(tmp_path: Path) -> None:
    make_pairs(tmp_path / "train", 10)
    parts = [find_pairs(tmp_path, split, 0.3)[0] for split in ("train", "test")]
    assert [len(part.files) for part in parts] == [7, 3]


# ---- what is refused ----


def odd_name(root: Path) -> None:
    make_pairs(root, 3)
    plain(root / "A" / "extra.png", 1)


def odd_size(root: Path) -> None:
    make_pairs(root, 3)
    plain(root / "B" / "01.png", 1, 8, 9)


def odd_width(root: Path) -> None:
    plain(root / "1.png", 1, 9, 4)


def no_b(root: Path) -> None:
    plain(root / "A" / "1.png", 1)


def no_a(root: Path) -> None:
    plain(root / "B" / "1.png", 1)


def empty_b(root: Path) -> None:
    plain(root / "A" / "1.png", 1)
    (root / "B").mkdir()


def two_partners(root: Path) -> None:
    make_pairs(root, 2)
    plain(root / "B" / "01.jpg", 1)


def nothing(root: Path) -> None:
    root.mkdir(exist_ok=True)


def broken(root: Path) -> None:
    make_pairs(root, 2)
    (root / "B" / "01.png").write_bytes(b"no picture")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (odd_name, r"1 of 4 pictures in '.*A' have no partner of the same name in B/, the first is 'extra\.png'"),
        (odd_size, r"A/01\.png' is 8x8 and its partner in B/ 8x9: the two sides of a pair must have one size"),
        (odd_width, r"1\.png' is 9 pixels wide, which can't be halved"),
        (no_b, r"has a folder A/ and no B/"),
        (no_a, r"has a folder B/ and no A/"),
        (empty_b, r"B' has no images in it"),
        (two_partners, r"'01\.(png|jpg)' and '01\.(png|jpg)': which is the partner\?"),
        (nothing, r"has no images in it"),
        (broken, r"B/01\.png' can't be read as an image .*dataset\.skip_corrupt=true"),
    ],
)
def test_pairs_refuse(tmp_path: Path, make: Callable[[Path], None], words: str) -> None:
    make(tmp_path / "set")
    with pytest.raises(UserError, match=words) as caught:
        find_pairs(tmp_path / "set")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("find", [find_pairs, find_unpaired, find_single])
def test_a_missing_folder_is_refused(tmp_path: Path, find: Callable[..., tuple[Side, Side]]) -> None:
    with pytest.raises(UserError, match=r"dataset\.root='.*nowhere' does not exist; give a folder of images$"):
        find(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"dataset\.root='.*file' is a file"):
        find(tmp_path / "file")


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5])
@pytest.mark.parametrize("find", [find_pairs, find_unpaired, find_single])
def test_a_held_out_share_out_of_range_is_refused(
    tmp_path: Path, find: Callable[..., tuple[Side, Side]], share: float
) -> None:
    make_pairs(tmp_path, 3)
    with pytest.raises(UserError, match=rf"dataset\.held_out={share} must be between 0 and 1"):
        find(tmp_path, "train", share)


def test_pictures_smaller_than_the_crop_are_refused(tmp_path: Path) -> None:
    for number, size in enumerate([(16, 16), (15, 40), (40, 15), (30, 16)]):
        noisy(tmp_path / f"{number}.png", number, *size)
    with pytest.raises(
        UserError,
        match=r"^2 of 4 pictures are smaller than .*dataset\.resolution=16, the first is '.*1\.png' \(15x40\)",
    ):
        Degraded(str(tmp_path), Downscale(2), 16, split="all")
    assert len(Degraded(str(tmp_path), Downscale(2), 15, split="all")) == 4


# ---- what is held out ----


@pytest.mark.parametrize(
    ("count", "share", "held"), [(20, 0.1, 2), (20, 0.25, 5), (3, 0.1, 1), (2, 0.9, 1), (1, 0.5, 1)]
)
def test_how_many_are_held_out(count: int, share: float, held: int) -> None:
    """The share, rounded, but at least one, and one is left; a single picture serves as both."""
    rows = {split: held_out_rows([f"{n}" for n in range(count)], share, split) for split in ("train", "test", "all")}
    assert len(rows["test"]) == held
    assert rows["all"] == list(range(count))
    if count > 1:
        assert sorted(rows["train"] + rows["test"]) == rows["all"]
        assert not set(rows["train"]) & set(rows["test"])


def test_the_split_is_the_same_on_both_sides(tmp_path: Path) -> None:
    make_pairs(tmp_path)
    train, test, everything = (
        [names(s) for s in find_pairs(tmp_path, split, 0.25)] for split in ("train", "test", "all")
    )
    for kind in (train, test, everything):
        assert kind[0] == kind[1]
    assert len(test[0]) == 5
    assert not set(train[0]) & set(test[0])
    assert sorted(train[0] + test[0]) == everything[0]
    assert test[0] != everything[0][:5]  # chosen by a digest, not the first or the last
    assert test[0] != everything[0][-5:]
    swapped = find_pairs(tmp_path, "test", 0.25, "b_to_a")
    assert [names(side) for side in swapped] == test


@pytest.mark.parametrize("find", [find_pairs, find_unpaired, find_single])
def test_the_split_does_not_depend_on_where_the_folder_lies(
    tmp_path: Path, find: Callable[..., tuple[Side, Side]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Copied, renamed, or named from elsewhere; a new picture moves no other from training into the test split."""
    first, second = make_pairs(tmp_path / "first"), tmp_path / "deep" / "in" / "second"
    shutil.copytree(first, second)
    before = [names(side) for side in find(first, "test", 0.25)]
    fingerprints = [side.fingerprint for side in find(first, "test", 0.25)]
    assert [names(side) for side in find(second, "test", 0.25)] == before
    assert [side.fingerprint for side in find(second, "test", 0.25)] == fingerprints
    second.rename(tmp_path / "B")
    monkeypatch.chdir(tmp_path)
    assert [names(side) for side in find("B", "test", 0.25)] == before
    for letter in "AB":
        plain(tmp_path / "B" / letter / "new.png", 3)
    after = [set(names(side)) for side in find("B", "test", 0.25)]
    assert all(len(set(old) - new) <= 1 for old, new in zip(before, after, strict=True))


def test_splits_have_fingerprints_of_their_own(tmp_path: Path) -> None:
    make_pairs(tmp_path)
    prints = {find_pairs(tmp_path, split, 0.25)[0].fingerprint for split in ("train", "test", "all")}
    assert len(prints) == 3
    assert find_pairs(tmp_path, "train", 0.3)[0].fingerprint not in prints


# ---- unpaired ----


def make_unpaired(root: Path, a: int, b: int, prefix: str = "train") -> Path:
    for number in range(a):
        plain(root / f"{prefix}A" / f"{number:03d}.png", number)
    for number in range(b):
        plain(root / f"{prefix}B" / f"photo{number:03d}.jpg", 250 - number)
    return root


def test_unpaired_sides_may_differ_in_number(tmp_path: Path) -> None:
    data = Unpaired(str(make_unpaired(tmp_path, 7, 4)), 8, split="all", flip=False)
    assert len(data) == 7
    fields = data.fetch(torch.tensor([[6, 0], [0, 3]]), CPU)
    assert levels(fields["a"]) == [6, 0]
    assert levels(fields["b"]) == [250, 247]


def test_unpaired_folders(tmp_path: Path) -> None:
    """trainA/ ... testB/ are the split; trainA/ and trainB/ alone have a share held out, as A/ and B/ have."""
    make_unpaired(tmp_path / "four", 6, 4)
    make_unpaired(tmp_path / "four", 2, 3, "test")
    make_unpaired(tmp_path / "two", 10, 20)
    make_unpaired(tmp_path / "plain", 10, 20, "")
    counts = {
        (kind, split): tuple(len(side.files) for side in find_unpaired(tmp_path / kind, split, 0.1))
        for kind in ("four", "two", "plain")
        for split in ("train", "test", "all")
    }
    assert counts == {
        ("four", "train"): (6, 4),
        ("four", "test"): (2, 3),
        ("four", "all"): (8, 7),
        ("two", "train"): (9, 18),
        ("two", "test"): (1, 2),
        ("two", "all"): (10, 20),
        ("plain", "train"): (9, 18),
        ("plain", "test"): (1, 2),
        ("plain", "all"): (10, 20),
    }
    for kind in ("two", "plain"):
        for side in (0, 1):
            train, test = (set(names(find_unpaired(tmp_path / kind, split, 0.1)[side])) for split in ("train", "test"))
            assert not train & test


def test_unpaired_train_and_test_folders_are_the_split(tmp_path: Path) -> None:
    make_unpaired(tmp_path / "train", 6, 4, "")
    make_unpaired(tmp_path / "test", 2, 3, "")
    counts = [tuple(len(s.files) for s in find_unpaired(tmp_path, split)) for split in ("train", "test", "all")]
    assert counts == [(6, 4), (2, 3), (8, 7)]


@pytest.mark.parametrize(
    ("there", "missing"), [("trainA", "B/"), ("trainB", "A/"), ("A", "B/"), ("B", "A/"), ("C", "A/")]
)
def test_unpaired_refuse_a_missing_folder(tmp_path: Path, there: str, missing: str) -> None:
    plain(tmp_path / there / "1.png", 1)
    with pytest.raises(
        UserError, match=rf"has no folder (train)?{missing}: unpaired pictures belong in trainA/ and trainB/"
    ):
        find_unpaired(tmp_path)


@pytest.mark.parametrize("seed", range(3))
def test_unpaired_sides_of_one_size_are_not_secretly_paired(tmp_path: Path, seed: int) -> None:
    """200 and 200: the two orders are uncorrelated (deviation 0.07), and partners change with the epoch."""
    count = 200
    data = Unpaired(str(make_unpaired(tmp_path, 12, 12)), 8, split="all")
    data.a.images = data.a.images[:1].expand(count, -1, -1, -1)  # type: ignore[union-attr]
    data.b.images = data.b.images[:1].expand(count, -1, -1, -1)  # type: ignore[union-attr]
    first, second = (data.order(seed).indices(epoch * count, count) for epoch in range(2))
    for epoch in (first, second):
        assert sorted(epoch[:, 0].tolist()) == sorted(epoch[:, 1].tolist()) == list(range(count))
        assert abs(torch.corrcoef(epoch.double().T)[0, 1]) < 0.3
        assert (epoch[:, 0] == epoch[:, 1]).sum() < 8  # 1 expected
    partners = [dict(epoch.tolist()) for epoch in (first, second)]
    assert sum(partners[0][number] == partners[1][number] for number in range(count)) < 8


def test_epochs_are_permutations_of_each_side(tmp_path: Path) -> None:
    """Sides of 7 and 4: both go round at their own pace."""
    order = Unpaired(str(make_unpaired(tmp_path, 7, 4)), 8, split="all").order(3)
    places = order.indices(0, 28)
    for side, count in ((0, 7), (1, 4)):
        for epoch in places[:, side].split(count):
            assert sorted(epoch.tolist()) == list(range(count))
    assert torch.equal(order.indices(5, 9), places[5:14])


# ---- jitter ----


def same_sides(root: Path, count: int = 6, side: int = 12) -> Path:
    for number in range(count):
        noisy(root / "A" / f"{number}.png", number, side, side)
        noisy(root / "B" / f"{number}.png", number, side, side)
    return root


def placed(cut: Tensor, whole: Tensor) -> list[tuple[int, int, bool]]:
    """Row, column and whether mirrored, of each window in its picture; exactly one place each."""
    side, found = cut.shape[-1], []
    down, across = whole.shape[-2] - side + 1, whole.shape[-1] - side + 1
    for small, large in zip(cut, whole, strict=True):
        places = [
            (row, column, mirrored)
            for row in range(down)
            for column in range(across)
            for mirrored in (False, True)
            if torch.equal(small.flip(2) if mirrored else small, large[:, row : row + side, column : column + side])
        ]
        assert len(places) == 1
        found += places
    return found


def test_both_sides_of_a_pair_get_the_same_window_and_flip(tmp_path: Path) -> None:
    """B is A here, so that they must be equal bit for bit; over 16 batches every offset and both flips occur."""
    root = str(same_sides(tmp_path))
    data, whole = Pairs(root, 8, split="train", load_resolution=12), Pairs(root, 12, split="train", flip=False)
    batches, seen = Batches(data, 5, 3, CPU), []
    for first in range(0, 80, 5):
        batch = batches.at(first, 5)
        assert torch.equal(batch.fields["source"], batch.fields["target"])
        seen += placed(batch.fields["source"], whole.fetch(data.order(3).indices(first, 5), CPU)["source"])
    assert {row for row, _, _ in seen} == {column for _, column, _ in seen} == set(range(5))
    assert sum(mirrored for _, _, mirrored in seen) == pytest.approx(40, abs=22)  # five deviations of a fair coin
    assert len({(row, column) for row, column, _ in seen}) > 15


def test_jitter_keeps_pairs_together_that_differ(tmp_path: Path) -> None:
    """B is the negative of A: still so after jitter, in different formats of decoding (grey and colour)."""
    root = same_sides(tmp_path)
    for file in (root / "B").iterdir():
        with Image.open(file) as image:
            negative = Image.fromarray(255 - numpy.array(image)).convert("RGB")
        negative.save(file)
    batch = Batches(Pairs(str(root), 8, load_resolution=12), 5, 3, CPU).at(10, 5)
    torch.testing.assert_close(batch.fields["target"], -batch.fields["source"].expand(-1, 3, -1, -1))


def test_no_jitter_in_the_test_split(tmp_path: Path) -> None:
    """The whole picture, resized: nothing is cut off, nothing drawn; nor without noise in training."""
    root = str(same_sides(tmp_path))
    test = Pairs(root, 8, split="test", load_resolution=12, held_out=0.5)
    batch = Batches(test, 3, 3, CPU).at(0, 3)
    straight = test.fetch(test.order(3).indices(0, 3), CPU)
    resized = Pairs(root, 8, split="test", flip=False, held_out=0.5).fetch(test.order(3).indices(0, 3), CPU)
    assert torch.equal(batch.fields["source"], straight["source"])
    assert torch.equal(batch.fields["source"], resized["source"])
    train = Pairs(root, 8, split="all", load_resolution=12)
    whole = fetched(Pairs(root, 12, split="all", flip=False))["source"]
    assert placed(fetched(train)["source"], whole) == [(2, 2, False)] * 6  # the middle


def test_flips_can_be_switched_off(tmp_path: Path) -> None:
    root = str(same_sides(tmp_path))
    data, whole = Pairs(root, 8, load_resolution=12, flip=False), Pairs(root, 12, flip=False)
    seen = placed(
        Batches(data, 5, 3, CPU).at(0, 20).fields["target"], whole.fetch(data.order(3).indices(0, 20), CPU)["target"]
    )
    assert not any(mirrored for _, _, mirrored in seen)
    assert len(set(seen)) > 8


def test_unpaired_sides_are_jittered_apart(tmp_path: Path) -> None:
    """One picture on either side, the same: windows and flips still differ, as often as chance has it."""
    noisy(tmp_path / "A" / "1.png", 1)
    noisy(tmp_path / "B" / "1.png", 1)
    data = Unpaired(str(tmp_path), 8, load_resolution=12)
    whole = Unpaired(str(tmp_path), 12, flip=False).fetch(torch.zeros(60, 2, dtype=torch.int64), CPU)["a"]
    fields = Batches(data, 60, 3, CPU).at(0, 60).fields
    a, b = placed(fields["a"], whole), placed(fields["b"], whole)
    for side in (a, b):
        assert len({place[:2] for place in side}) > 12
        assert sum(mirrored for _, _, mirrored in side) == pytest.approx(30, abs=19)
    assert sum(one == other for one, other in zip(a, b, strict=True)) < 8  # 1.2 expected
    assert sum(one[2] == other[2] for one, other in zip(a, b, strict=True)) == pytest.approx(30, abs=19)


def every_kind(root: Path, **options: int) -> list[Pairs | Unpaired | Degraded]:
    """Each kind of data on one folder of 12-px pictures, with all jitter there is."""
    same_sides(root, 10)
    return [
        Pairs(str(root), 8, load_resolution=12, **options),
        Unpaired(str(root), 8, load_resolution=12, **options),
        Degraded(str(root / "A"), Masks(), 8, **options),
        Degraded(str(root / "A"), Downscale(2), 8, **options),
    ]


@pytest.mark.parametrize("processes", [2, 4])
def test_a_batch_is_the_same_whatever_the_number_of_processes(tmp_path: Path, processes: int) -> None:
    for data in every_kind(tmp_path):
        for first in (0, 8):  # the second straddles an epoch's end
            whole = Batches(data, 8, 3, CPU, 0, 1).at(first, 8).fields
            parts = [Batches(data, 8, 3, CPU, rank, processes).at(first, 8).fields for rank in range(processes)]
            for name, field in whole.items():
                assert len(parts[0][name]) == 8 // processes
                assert torch.equal(torch.cat([part[name] for part in parts]), field)
            assert not torch.equal(Batches(data, 8, 4, CPU).at(first, 8).fields[name], field)


def test_batches_from_files_are_those_from_memory(tmp_path: Path) -> None:
    """With the limit at 0 each picture is decoded when it is needed, ahead where a hint was given."""
    for memory, files in zip(every_kind(tmp_path), every_kind(tmp_path, memory_limit_mb=0), strict=True):
        stores = [
            data.store if isinstance(data, Degraded) else vars(data).get("source", vars(data).get("a"))
            for data in (memory, files)
        ]
        assert [type(store).__name__.startswith("File") for store in stores] == [False, True]
        for first in (0, 8, 16):
            one, other = (Batches(data, 8, 3, CPU) for data in (memory, files))
            files.prefetch(other.order.indices(first, 8))
            expected, fields = one.at(first, 8).fields, other.at(first, 8).fields
            assert expected.keys() == fields.keys()
            assert all(torch.equal(fields[name], field) for name, field in expected.items())


# ---- degraded ----


def test_degraded_windows_are_cut_and_not_resized(tmp_path: Path) -> None:
    """Pictures of any shape: each target is a window of its own, maybe mirrored, at places all over."""
    sizes = [(20, 8), (8, 20), (13, 17)]
    for number, size in enumerate(sizes):
        noisy(tmp_path / f"{number}.png", number, *size, colour=True)
    data, seen = Degraded(str(tmp_path), Downscale(2), 8, split="all"), set()
    pictures = [torch.from_numpy(numpy.array(Image.open(tmp_path / f"{n}.png"))).permute(2, 0, 1) for n in range(3)]
    batch = Batches(data, 90, 3, CPU).at(0, 90).fields
    assert batch["target"].shape == (90, 3, 8, 8)
    assert batch["source"].shape == (90, 3, 4, 4)
    for index, target in zip(data.order(3).indices(0, 90).tolist(), batch["target"], strict=True):
        whole = pictures[index].float() / 127.5 - 1
        (place,) = placed(target[None].mul(1e4).round(), whole[None].mul(1e4).round())
        seen.add((index, *place))
    assert {row for index, row, _, _ in seen if index == 0} == {0}
    assert {column for index, _, column, _ in seen if index == 0} > {0, 12}
    rows = {row for index, row, _, _ in seen if index == 2}
    assert (min(rows), max(rows)) == (0, 9)
    assert len(rows) > 6
    assert {mirrored for *_, mirrored in seen} == {False, True}


def test_held_out_windows_are_the_middle_ones(tmp_path: Path) -> None:
    """Not mirrored, the same in each epoch; holes are drawn, but the same for the same call."""
    for number in range(4):
        noisy(tmp_path / f"{number}.png", number)
    data = Degraded(str(tmp_path), Masks(shape="rectangle"), 8, split="test", held_out=0.5)
    batches = Batches(data, 2, 3, CPU)
    first, second = batches.at(0, 2).fields, batches.at(2, 2).fields
    order = [data.order(3).indices(at, 2) for at in (0, 2)]
    for fields, rows in zip((first, second), order, strict=True):
        assert torch.equal(fields["target"], fetched(data)["target"][rows])
    files = [file.name for file in find_single(tmp_path, "test", 0.5)[0].files]
    whole = torch.stack([torch.from_numpy(numpy.array(Image.open(tmp_path / name))) for name in files])
    assert placed(fetched(data)["target"], (whole.float().div(127.5).sub(1))[:, None]) == [(2, 2, False)] * 2
    assert torch.equal(fetched(data)["mask"], fetched(data)["mask"])


@pytest.mark.parametrize("scale", [2, 4])
def test_downscaling_is_that_of_pil(tmp_path: Path, scale: int) -> None:
    """Within a grey level of PIL's antialiased bicubic, on the 8-bit grid, far from the plain one."""
    noisy(tmp_path / "1.png", 1, 32, 32)
    fields = fetched(Degraded(str(tmp_path), Downscale(scale), 32, split="all"))
    pixels = (fields["source"] + 1) * 127.5
    assert pixels.shape == (1, 1, 32 // scale, 32 // scale)
    assert (pixels - pixels.round()).abs().max() < 1e-4
    assert 0 <= pixels.min() < pixels.max() <= 255.001
    with Image.open(tmp_path / "1.png") as image:
        small = image.resize((32 // scale,) * 2, Image.Resampling.BICUBIC)
    assert (pixels[0, 0] - torch.from_numpy(numpy.array(small)).float()).abs().max() < 1.01
    sharp = interpolate(fields["target"], scale_factor=1 / scale, mode="bicubic", antialias=False)
    assert (pixels - (sharp + 1) * 127.5).abs().mean() > 10


def test_downscaling_keeps_plain_pictures_and_their_range() -> None:
    """255 stays 255; what overshoots at an edge is cut off."""
    plain_one = torch.full((1, 1, 16, 16), 77 / 127.5 - 1)
    torch.testing.assert_close(downscale(plain_one, 4), plain_one[..., :4, :4])
    edge = torch.ones(1, 1, 16, 16)
    edge[..., :8] = -1
    small = downscale(edge, 2)
    assert small.min() == -1
    assert small.max() == 1
    large = enlarge(edge, 2)
    assert large.shape == (1, 1, 32, 32)
    assert (large.min(), large.max()) == (-1, 1)


def test_a_smooth_filling_by_hand() -> None:
    """Known pixels stay; a hole in a plain picture gets its level, between two levels it lies between them."""
    mask = torch.zeros(1, 1, 16, 13)
    mask[..., 4:12, 3:9] = 1
    plain_one = torch.full((1, 1, 16, 13), 0.3)
    torch.testing.assert_close(filled_smoothly(plain_one * (1 - mask), mask), plain_one)
    sides = torch.full((1, 1, 16, 13), -0.5)
    sides[..., 6:] = 0.5
    filled = filled_smoothly(sides * (1 - mask), mask)
    assert torch.equal(filled * (1 - mask), sides * (1 - mask))
    hole = filled[..., 4:12, 3:9]
    assert -0.5 <= hole.min() < hole.max() <= 0.5
    assert hole[..., 0].mean() < hole[..., -1].mean()
    assert torch.equal(filled_smoothly(plain_one * 0, mask * 0 + 1), plain_one * 0)  # nothing is known


def test_a_held_out_picture_has_one_mask_whatever_stands_beside_it(tmp_path: Path) -> None:
    for number in range(12):
        noisy(tmp_path / f"{number:02}.png", number, 24, 24)
    data = Degraded(str(tmp_path), Masks(0.25, "mixed"), 16, split="test", held_out=0.5)
    whole = data.fetch(torch.arange(6), CPU)
    assert len({tuple(mask.flatten().tolist()) for mask in whole["mask"]}) == 6
    for rows in ([5], [4, 1], [2, 3, 0]):
        some = data.fetch(torch.tensor(rows), CPU)
        assert all(torch.equal(some[name], whole[name][rows]) for name in ("mask", "source", "target"))


def test_own_draws_are_in_their_ranges_and_made_on_the_cpu() -> None:
    noise = OwnNoise(CPU, range(2000), "key")
    uniform, normal = noise.uniform("a", 2), noise.normal("a", 2)
    assert uniform.shape == normal.shape == (2000, 2)
    assert 0 <= uniform.min() < 0.01 < 0.99 < uniform.max() < 1
    assert (abs(normal.mean()) < 0.1, abs(normal.std() - 1) < 0.1) == (True, True)
    assert torch.equal(noise.on_cpu().uniform("a", 2), uniform)
    assert not torch.equal(noise.uniform("b", 2), uniform)
    meta = OwnNoise(torch.device("meta"), [0], "key")
    assert (meta.uniform("a").device.type, meta.on_cpu().uniform("a").device.type) == ("meta", "cpu")


def masked(kind: str, area: float, count: int = 200, side: int = 32, seed: int = 3) -> dict[str, Tensor]:
    target = torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1
    noise = Noise(CPU, Span(0, count, 0, count), seed)
    return {"target": target, **Masks(area, kind)(target, noise)}  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["rectangle", "stroke", "mixed"])
@pytest.mark.parametrize("area", [0.1, 0.25, 0.6])
def test_holes(kind: str, area: float) -> None:
    """Of the area asked for: strokes to the pixel, rectangles but for whole rows; grey inside, the target outside."""
    fields = masked(kind, area)
    mask, target, source = fields["mask"], fields["target"], fields["source"]
    assert mask.shape == (200, 1, 32, 32)
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    missing = mask.flatten(1).sum(1)
    if kind == "stroke":
        assert set(missing.tolist()) == {float(round(area * 1024))}
    else:
        assert (missing - area * 1024).abs().max() <= 16  # half a row or column at most
    assert missing.mean().item() == pytest.approx(area * 1024, abs=3)
    hole = mask.expand_as(target) == 1
    assert (source[hole] == 0).all()
    assert torch.equal(source[~hole], target[~hole])
    assert len({tuple(one.flatten().tolist()) for one in mask}) > 100  # the position varies
    touched = mask.mean(0)[0]
    assert touched[8:24, 8:24].min() > 0  # no place is always known
    assert min(edge.max() for edge in (touched[0], touched[-1], touched[:, 0], touched[:, -1])) > 0  # nor the edges
    if area < 0.5:  # a rectangle of more than half the side always covers the middle
        assert touched.max() < 1


def test_rectangles_are_rectangles() -> None:
    """All of the bounding box, with sides in a ratio from 1/2 to 2, lying and standing."""
    ratios = []
    for mask in masked("rectangle", 0.25)["mask"][:, 0]:
        rows, columns = mask.any(1).nonzero().flatten(), mask.any(0).nonzero().flatten()
        tall, wide = int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1
        assert mask.sum() == tall * wide
        ratios.append(tall / wide)
    assert 0.45 < min(ratios) < 0.6  # in whole pixels: 11 by 23
    assert 1.7 < max(ratios) < 2.2


def test_strokes_are_no_rectangles_and_mixed_is_both() -> None:
    def boxed(mask: Tensor) -> bool:
        return int(mask.any(1).sum() * mask.any(0).sum()) == int(mask.sum())

    shares = {kind: sum(boxed(mask[0]) for mask in masked(kind, 0.25)["mask"]) for kind in ("stroke", "mixed")}
    assert shares["stroke"] == 0
    assert shares["mixed"] == pytest.approx(100, abs=36)


@pytest.mark.parametrize("kind", ["rectangle", "stroke", "mixed"])
def test_holes_are_a_function_of_the_noise(kind: str) -> None:
    first = masked(kind, 0.25, 8)["mask"]
    assert torch.equal(masked(kind, 0.25, 8)["mask"], first)
    assert not torch.equal(masked(kind, 0.25, 8, seed=4)["mask"], first)
    target = torch.zeros(4, 1, 32, 32)
    rows = Masks(0.25, kind)(target, Noise(CPU, Span(0, 8, 4, 4), 3))["mask"]  # type: ignore[arg-type]
    assert torch.equal(rows, first[4:])


@pytest.mark.parametrize("area", [0, 1, -1, 1.5])
def test_holes_of_no_area_are_refused(area: float) -> None:
    with pytest.raises(ValueError, match=rf"area={area} must be between 0 and 1"):
        Masks(area)
