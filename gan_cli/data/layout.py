"""Finding the files of data sets with two sides, and the held-out part of a folder. Imports no torch.

Where the root has the folders `train/` and `test/`, these are the splits. Otherwise a share of the pictures is held
out as the test split. A digest of their names chooses them, so that the split is the same on every machine and
changes little when pictures are added.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from gan_cli.base.errors import UserError
from gan_cli.base.files import expanded
from gan_cli.data.folder import Picture, Scan, scan


@dataclass(frozen=True)
class Side:
    """The pictures of one side; in pairs, both sides have the order of the pairs."""

    files: list[Path]
    sizes: list[tuple[int, int]]  # width and height, of the half where a file holds both sides
    channels: int
    fingerprint: str
    half: str | None = None  # "left" or "right" where each file holds both sides
    scans: tuple[Scan, ...] = ()  # of the folders that hold the pictures

    @property
    def square(self) -> int | None:
        """Return the edge length of its pictures, or None unless all are squares of one size."""
        widths = {edge for size in self.sizes for edge in size}
        return widths.pop() if len(widths) == 1 else None


def find_pairs(
    root: str | Path,
    split: str = "train",
    held_out: float = 0.1,
    direction: str = "a_to_b",
    skip_corrupt: bool = False,
    **_: Any,
) -> tuple[Side, Side]:
    """Find source and target: folders `A/` and `B/` with equal names, or pictures that hold both, A on the left.

    Raises:
        UserError: a folder is missing, a name has no partner, partners differ in size, or a width is odd.
    """
    bases, shared = split_folders(root, split)
    parts = []
    for base in bases:
        if (base / "A").is_dir() != (base / "B").is_dir():
            present, missing = ("A", "B") if (base / "A").is_dir() else ("B", "A")
            raise UserError(
                f"{str(base)!r} has a folder {present}/ and no {missing}/: pairs need both, with equal names"
            )
        pair = _from_folders(base, skip_corrupt) if (base / "A").is_dir() else _from_halves(base, skip_corrupt)
        if shared:
            kept = held_out_rows([_stem(file, base) for file in pair[0].files], held_out, split)
            pair = (_rows(pair[0], kept), _rows(pair[1], kept))
        parts.append(pair)
    sides = (_joined([pair[0] for pair in parts]), _joined([pair[1] for pair in parts]))
    return sides if direction == "a_to_b" else (sides[1], sides[0])


def find_unpaired(
    root: str | Path, split: str = "train", held_out: float = 0.1, skip_corrupt: bool = False, **_: Any
) -> tuple[Side, Side]:
    """Find domains A and B: folders `trainA/ trainB/ testA/ testB/`, or `A/` and `B/` with a share held out.

    Raises:
        UserError: a folder is missing or holds no pictures.
    """
    folder = expanded(root)
    _require(folder)
    bases, shared = split_folders(root, split)
    sides = []
    for letter in "AB":
        named = [folder / f"{part}{letter}" for part in (("train", "test") if split == "all" else (split,))]
        if (folder / f"train{letter}").is_dir() and (folder / f"test{letter}").is_dir():
            places, share = named, False
        elif (folder / f"train{letter}").is_dir():
            places, share = [folder / f"train{letter}"], True
        else:
            places, share = [base / letter for base in bases], shared
        missing = next((place for place in places if not place.is_dir()), None)
        if missing is not None:
            raise UserError(
                f"{str(folder)!r} has no folder {missing.name}/: unpaired pictures belong in trainA/ and trainB/"
                " (testA/ and testB/ for the held-out ones), or in A/ and B/"
            )
        side = _joined([_side(scan(place, skip_corrupt)) for place in places])
        if share:
            side = _rows(side, held_out_rows([_stem(file, folder) for file in side.files], held_out, split))
        sides.append(side)
    return sides[0], sides[1]


def find_single(
    root: str | Path, split: str = "train", held_out: float = 0.1, skip_corrupt: bool = False, **_: Any
) -> tuple[Side, Side]:
    """Find the pictures of one folder and return them as both sides: the source is made from the target.

    Raises:
        UserError: the folder does not exist or has no pictures.
    """
    bases, shared = split_folders(root, split)
    side = _joined([_side(scan(base, skip_corrupt)) for base in bases])
    if shared:
        side = _rows(side, held_out_rows([_stem(file, bases[0]) for file in side.files], held_out, split))
    return side, side


def check_crop(side: Side, crop: int) -> None:
    """Refuse pictures that are too small for the crop.

    Raises:
        UserError: a picture is smaller than the crop that is cut from it.
    """
    small = [(file, size) for file, size in zip(side.files, side.sizes, strict=True) if min(size) < crop]
    if small:
        file, (width, height) = small[0]
        raise UserError(
            f"{len(small)} of {len(side.files)} pictures are smaller than the crop of dataset.resolution={crop},"
            f" the first is {str(file)!r} ({width}x{height}); choose a smaller dataset.resolution or larger pictures"
        )


def split_folders(root: str | Path, split: str) -> tuple[list[Path], bool]:
    """Return the folders of a split's pictures, and whether a share has to be held out of these."""
    folder = expanded(root)
    _require(folder)
    train, test = folder / "train", folder / "test"
    if train.is_dir() and test.is_dir():
        return ([train, test] if split == "all" else [folder / split]), False
    return [train if train.is_dir() else folder], split != "all"


def held_out_rows(names: Sequence[str], share: float, split: str) -> list[int]:
    """Choose the rows of a split when a share of the names is held out.

    Each split has at least one picture, and a single picture serves as both splits.

    Raises:
        UserError: the share is no number between 0 and 1.
    """
    if not 0 < share < 1:
        raise UserError(f"dataset.held_out={share} must be between 0 and 1: the share of pictures kept from training")
    if split == "all" or len(names) == 1:
        return list(range(len(names)))
    count = min(max(1, round(share * len(names))), len(names) - 1)
    raw = [name.encode(errors="surrogateescape") for name in names]  # as bytes, which no encoding of a console changes
    by_digest = sorted(range(len(names)), key=lambda row: hashlib.blake2b(raw[row], digest_size=8).digest())
    return sorted(by_digest[:count] if split == "test" else by_digest[count:])


def _require(folder: Path) -> None:
    if not folder.is_dir():
        fault = "is a file" if folder.exists() else "does not exist"
        raise UserError(f"the folder dataset.root={str(folder)!r} {fault}; give a folder of images")


def _from_folders(base: Path, skip_corrupt: bool) -> tuple[Side, Side]:
    scans = [scan(base / letter, skip_corrupt) for letter in "AB"]
    named = [_by_name(side) for side in scans]
    corrupt = {str(Path(path).with_suffix("")) for side in scans for path in side.corrupt}  # left out with partners
    named = [{name: picture for name, picture in side.items() if name not in corrupt} for side in named]
    for letter, other_letter, side, other in [("A", "B", named[0], named[1]), ("B", "A", named[1], named[0])]:
        alone = [picture.path for name, picture in side.items() if name not in other]
        if alone:
            raise UserError(
                f"{len(alone)} of {len(side)} pictures in {str(base / letter)!r} have no partner of the same name in"
                f" {other_letter}/, the first is {alone[0]!r}; give partners equal names, or use dataset=unpaired"
            )
    pairs = [(picture, named[1][name]) for name, picture in named[0].items()]
    for a, b in pairs:
        if (a.width, a.height) != (b.width, b.height):
            raise UserError(
                f"{str(base / 'A' / a.path)!r} is {a.width}x{a.height} and its partner in B/ {b.width}x{b.height}:"
                " the two sides of a pair must have one size"
            )
    return tuple(
        Side(
            [base / letter / pair[number].path for pair in pairs],
            [(pair[number].width, pair[number].height) for pair in pairs],
            scanned.channels,
            scanned.fingerprint,
            scans=(scanned,),
        )
        for number, (letter, scanned) in enumerate(zip("AB", scans, strict=True))
    )  # type: ignore[return-value]


def _from_halves(base: Path, skip_corrupt: bool) -> tuple[Side, Side]:
    both = scan(base, skip_corrupt)
    for picture in both.pictures:
        if picture.width % 2 or picture.width < 2:
            raise UserError(
                f"{str(base / picture.path)!r} is {picture.width} pixels wide, which can't be halved; pairs are folders"
                f" A/ and B/ in {str(base)!r} with equal names, or pictures that hold both sides, A on the left"
            )
    files = [base / picture.path for picture in both.pictures]
    sizes = [(picture.width // 2, picture.height) for picture in both.pictures]
    return tuple(Side(files, sizes, both.channels, both.fingerprint, half, (both,)) for half in ("left", "right"))  # type: ignore[return-value]


def _by_name(side: Scan) -> dict[str, Picture]:
    """Return the pictures of a side by their paths without endings: partners may be stored in different formats.

    Raises:
        UserError: two files of one side differ in their endings alone.
    """
    named: dict[str, Picture] = {}
    for picture in side.pictures:
        name = str(PurePosixPath(picture.path).with_suffix(""))
        if name in named:
            raise UserError(f"{side.root!r} has {named[name].path!r} and {picture.path!r}: which is the partner?")
        named[name] = picture
    return named


def _side(scanned: Scan) -> Side:
    files = [Path(scanned.root) / picture.path for picture in scanned.pictures]
    sizes = [(p.width, p.height) for p in scanned.pictures]
    return Side(files, sizes, scanned.channels, scanned.fingerprint, scans=(scanned,))


def _joined(sides: list[Side]) -> Side:
    if len(sides) == 1:
        return sides[0]
    if len({side.half for side in sides}) > 1:
        raise UserError(
            f"the pairs of {str(sides[0].files[0].parent)!r} and of its sister folder are laid out differently"
        )
    return Side(
        [file for side in sides for file in side.files],
        [size for side in sides for size in side.sizes],
        max(side.channels for side in sides),
        _digest([side.fingerprint for side in sides]),
        sides[0].half,
        tuple(scanned for side in sides for scanned in side.scans),
    )


def _rows(side: Side, rows: list[int]) -> Side:
    files, sizes = [side.files[row] for row in rows], [side.sizes[row] for row in rows]
    return Side(files, sizes, side.channels, _digest([side.fingerprint, *map(str, rows)]), side.half, side.scans)


def _stem(file: Path, base: Path) -> str:
    """Return a name that does not depend on where the folder is, and is equal for both sides of a pair."""
    parts = file.relative_to(base).with_suffix("").parts
    return "/".join(parts[1:] if parts[0] in ("A", "B", "trainA", "trainB") else parts)


def _digest(texts: Sequence[str]) -> str:
    return hashlib.blake2b("\n".join(texts).encode(), digest_size=16).hexdigest()


def remarks_on_sides(sides: Sequence[Side], white: int | None) -> list[str]:
    """List the remarks on the folders of these sides (`Scan.remarks`), each one once."""
    remarks = [remark for side in sides for scanned in side.scans for remark in scanned.remarks(white)]
    return list(dict.fromkeys(remarks))


FINDERS: dict[str, Callable[..., tuple[Side, Side]]] = {
    "pairs": find_pairs,
    "unpaired": find_unpaired,
    "degraded": find_single,
}  # by `provides.scan` of a data set's YAML
