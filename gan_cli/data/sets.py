"""The image data sets, by name. Each class is what a YAML of `conf/dataset/` points at.

Common arguments: `resolution` and `channels` of the images that come out (a resolution other than
the files' is an antialiased bicubic resize), `split`, and the jitter of `ImageData`.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

import numpy
import torch
from annotated_types import Interval
from torch import Tensor

from gan_cli.base.errors import UserError
from gan_cli.base.files import expanded
from gan_cli.base.limits import Grey, Megabytes, Padding, Pixels, SixteenBit, Workers
from gan_cli.data.folder import scan
from gan_cli.data.images import (
    Decoder,
    FileStore,
    ImageData,
    MemoryStore,
    all_decoded,
    digest_of_pixels,
    resize,
    with_channels,
)

DIGIT_NAMES = [str(digit) for digit in range(10)]


class PictureSet(ImageData):
    """Pictures whose crops may be shifted."""

    @staticmethod
    def refusal(at: str, resolution: int, crop_padding: int = 0) -> str | None:
        """Read by the check (`check.rules`): a picture is reflected outwards by less than its side."""
        if not crop_padding or not resolution or crop_padding < resolution:
            return None
        return f"{at}.crop_padding={crop_padding} must be below {at}.resolution={resolution}, or 0"


class ArrayData(PictureSet):
    """Images that come as one array."""

    def __init__(
        self,
        pixels: Tensor,
        labels: Tensor,
        class_names: list[str],
        resolution: int | None,
        channels: int | None,
        flip: bool,
        crop_padding: int,
    ) -> None:
        own = pixels.shape[-1]
        images = with_channels(resize(pixels, resolution or own), channels or pixels.shape[1])
        note = f"resized from {own}x{own}" if resolution not in (None, own) else ""
        fingerprint = digest_of_pixels(images)
        super().__init__(MemoryStore(images), labels, class_names, fingerprint, flip, crop_padding, note)


class Digits(ArrayData):
    """1,797 handwritten digits, 8x8 grey, in the package itself; every fifth is the test split.

    Source: E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits (UCI, CC BY 4.0), the
    test part, as scikit-learn ships it.
    """

    def __init__(
        self,
        resolution: Pixels | None = None,
        channels: Literal[1, 3] | None = None,
        split: Literal["train", "test", "all"] = "train",
        flip: bool = False,
        crop_padding: Padding = 0,
    ) -> None:
        with resources.files("gan_cli.data").joinpath("digits.npz").open("rb") as file, numpy.load(file) as stored:
            pixels, labels = torch.from_numpy(stored["images"]), torch.from_numpy(stored["labels"]).long()
        pixels = (pixels.float() * (255 / 16)).round().to(torch.uint8)[:, None]
        test = torch.arange(len(pixels)) % 5 == 4
        chosen = {"train": ~test, "test": test, "all": torch.ones_like(test)}[split]
        super().__init__(pixels[chosen], labels[chosen], DIGIT_NAMES, resolution, channels, flip, crop_padding)


class TorchvisionData(ArrayData):
    """A data set that torchvision reads, downloads and verifies."""

    name = ""

    def __init__(
        self,
        root: str,
        resolution: Pixels | None = None,
        channels: Literal[1, 3] | None = None,
        split: Literal["train", "test", "all"] = "train",
        flip: bool = False,
        crop_padding: Padding = 0,
        download: bool = True,
    ) -> None:
        pixels, labels, names = load_torchvision(self.name, root, split, download)
        super().__init__(pixels, labels, names, resolution, channels, flip, crop_padding)


class MNIST(TorchvisionData):
    """60,000 + 10,000 handwritten digits, 28x28 grey (LeCun et al. 1998)."""

    name = "MNIST"


class FashionMNIST(TorchvisionData):
    """60,000 + 10,000 pieces of clothing, 28x28 grey (Xiao et al. 2017)."""

    name = "FashionMNIST"


class CIFAR10(TorchvisionData):
    """50,000 + 10,000 photographs, 32x32 colour (Krizhevsky 2009)."""

    name = "CIFAR10"


def load_torchvision(name: str, root: str, split: str, download: bool) -> tuple[Tensor, Tensor, list[str]]:
    """(count, C, H, W) uint8, (count,) int64 and the class names.

    Raises:
        UserError: the files are not on disk and can't be had.
    """
    from torchvision import datasets

    folder = expanded(root)
    parts = ["train", "test"] if split == "all" else [split]
    try:
        loaded = [getattr(datasets, name)(folder, train=part == "train", download=download) for part in parts]
    except (RuntimeError, OSError) as error:  # a failed download and missing or damaged files
        raise UserError(
            f"{name} is not in {str(folder)!r} {not_had(download, error)}; put its files there as"
            " torchvision lays them out, set dataset.root, or use dataset=digits, which needs no download"
        ) from error
    pixels = torch.cat([torch.as_tensor(part.data) for part in loaded])
    pixels = pixels[:, None] if pixels.dim() == 3 else pixels.permute(0, 3, 1, 2).contiguous()
    labels = torch.cat([torch.as_tensor(part.targets) for part in loaded]).long()
    return pixels, labels, list(loaded[0].classes)


def not_had(download: bool, error: Exception) -> str:
    """Say why files that are not on disk did not arrive; torchvision's own words propose an argument of its API."""
    if download:
        return f"and could not be downloaded ({error})"
    return "or is damaged, and dataset.download=false fetches nothing"


class ImageFolder(PictureSet):
    """Any folder of images; see `folder.scan` for what counts and `Decoder` for how it is read.

    In memory if all images at this resolution take at most `memory_limit_mb`, else decoded by
    `workers` threads ahead of training.
    """

    def __init__(
        self,
        root: str,
        resolution: Pixels = 64,
        channels: Literal[1, 3] | None = None,
        fit: Literal["crop", "pad", "stretch"] = "crop",
        background: Grey = 255,
        white_level: SixteenBit | None = None,
        skip_corrupt: bool = False,
        flip: bool = False,
        crop_padding: Padding = 0,
        memory_limit_mb: Megabytes = 2048,
        workers: Workers = 4,
    ) -> None:
        found = scan(root, skip_corrupt)
        found.check_classes()
        labels = torch.tensor(found.labels) if found.labels is not None else None
        files = [Path(found.root) / picture.path for picture in found.pictures]
        decoder = Decoder(resolution, channels or found.channels, fit, background, white_level=white_level)
        store = store_of(files, decoder, memory_limit_mb, workers)
        note = "\n".join([decoder.rule, *found.remarks(white_level)])
        fingerprint = known_by(found.fingerprint, white_level)
        super().__init__(store, labels, found.classes, fingerprint, flip, crop_padding, note)


class CelebA(PictureSet):
    """202,599 faces of celebrities (Liu et al. 2015), 178x218, from `root/celeba/img_align_celeba`.

    Args:
        attribute: one of its 40 attributes, such as Smiling, as a label of two classes; None for no labels.
        crop: side of the centred square that is cut before the resize, in pixels.
    """

    def __init__(
        self,
        root: str,
        resolution: Pixels = 64,
        channels: Literal[1, 3] = 3,
        split: Literal["train", "valid", "test", "all"] = "train",
        attribute: str | None = None,
        crop: Annotated[int, Interval(ge=1, le=178)] = 178,
        flip: bool = True,
        crop_padding: Padding = 0,
        download: bool = True,
        memory_limit_mb: Megabytes = 2048,
        workers: Workers = 4,
    ) -> None:
        from torchvision import datasets

        folder = expanded(root)
        try:
            stored = datasets.CelebA(folder, split=split, download=download)
        except (RuntimeError, OSError, ImportError) as error:  # ImportError: its download needs gdown
            raise UserError(
                f"CelebA is not in {str(folder / 'celeba')!r} {not_had(download, error)}; put"
                " img_align_celeba/ and the list_*.txt files there, or use dataset=digits, which needs no download"
            ) from error
        labels, names = None, []
        if attribute is not None:
            known = [name for name in stored.attr_names if name]
            if attribute not in known:
                raise UserError(f"CelebA has no dataset.attribute={attribute!r}; it has {', '.join(known)}")
            labels, names = stored.attr[:, known.index(attribute)].long(), [f"not {attribute}", attribute]
        files = [folder / "celeba" / "img_align_celeba" / name for name in stored.filename]
        decoder = Decoder(resolution, channels, crop=crop)
        store = store_of(files, decoder, memory_limit_mb, workers)
        super().__init__(store, labels, names, f"celeba-{split}-{len(files)}", flip, crop_padding, decoder.rule)


def known_by(fingerprint: str, white_level: int | None) -> str:
    """Of files whose 16-bit values are scaled: other pictures than without."""
    return fingerprint if white_level is None else f"{fingerprint}-white-{white_level}"


def store_of(files: list[Path], decoder: Decoder, memory_limit_mb: int, workers: int) -> MemoryStore | FileStore:
    """All decoded now if they fit into `memory_limit_mb`, else each when it is needed."""
    assert decoder.resolution is not None
    if len(files) * decoder.channels * decoder.resolution**2 > memory_limit_mb * 2**20:
        return FileStore(files, decoder, workers)
    return MemoryStore(torch.stack(all_decoded(files, decoder, workers)))
