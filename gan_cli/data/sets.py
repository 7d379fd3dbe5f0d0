"""The image data sets. Each is the `_target_` of a YAML in `conf/dataset/`.

Common arguments: `resolution` and `channels` of the returned images, `split`, and the jitter of `ImageData`. Images
whose files have another resolution get an antialiased bicubic resize.
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
    """Pictures that training may crop at random."""

    @staticmethod
    def refusal(at: str, resolution: int, crop_padding: int = 0) -> str | None:
        """Return why the padding does not fit, or None. The check calls it without an import (`check.rules`).

        A picture can only be reflected outwards by less than its side.
        """
        if not crop_padding or not resolution or crop_padding < resolution:
            return None
        return f"{at}.crop_padding={crop_padding} must be below {at}.resolution={resolution}, or 0"


class ArrayData(PictureSet):
    """Images from one array."""

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
        original = pixels.shape[-1]
        images = with_channels(resize(pixels, resolution or original), channels or pixels.shape[1])
        note = f"resized from {original}x{original}" if resolution not in (None, original) else ""
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
    """Load images (count, C, H, W) uint8, labels (count,) int64 and the class names.

    Raises:
        UserError: the files are not on disk and can't be downloaded, or are damaged.
    """
    from torchvision import datasets

    folder = expanded(root)
    parts = ["train", "test"] if split == "all" else [split]
    try:
        loaded = [getattr(datasets, name)(folder, train=part == "train", download=download) for part in parts]
    except (RuntimeError, OSError) as error:  # a failed download and missing or damaged files
        raise UserError(
            f"{name} is not in {str(folder)!r} {download_fault(download, error)}; put its files there as"
            " torchvision lays them out, set dataset.root, or use dataset=digits, which needs no download"
        ) from error
    pixels = torch.cat([torch.as_tensor(part.data) for part in loaded])
    pixels = pixels[:, None] if pixels.dim() == 3 else pixels.permute(0, 3, 1, 2).contiguous()
    labels = torch.cat([torch.as_tensor(part.targets) for part in loaded]).long()
    return pixels, labels, list(loaded[0].classes)


def download_fault(download: bool, error: Exception) -> str:
    """Describe why files are missing, in place of torchvision's message, which proposes an argument of its API."""
    if download:
        return f"and could not be downloaded ({error})"
    return "or is damaged, and dataset.download=false fetches nothing"


class ImageFolder(PictureSet):
    """Any folder of images. `folder.scan` chooses its files, and `Decoder` reads them.

    The images are held in memory if they take at most `memory_limit_mb` at this resolution. Otherwise
    `workers` threads decode them ahead of training.
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
        folder = scan(root, skip_corrupt)
        folder.check_classes()
        labels = torch.tensor(folder.labels) if folder.labels is not None else None
        files = [Path(folder.root) / picture.path for picture in folder.pictures]
        decoder = Decoder(resolution, channels or folder.channels, fit, background, white_level=white_level)
        store = store_of(files, decoder, memory_limit_mb, workers)
        note = "\n".join([decoder.rule, *folder.remarks(white_level)])
        fingerprint = with_white_level(folder.fingerprint, white_level)
        super().__init__(store, labels, folder.classes, fingerprint, flip, crop_padding, note)


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
                f"CelebA is not in {str(folder / 'celeba')!r} {download_fault(download, error)}; put"
                " img_align_celeba/ and the list_*.txt files there, or use dataset=digits, which needs no download"
            ) from error
        labels, names = None, []
        if attribute is not None:
            attributes = [name for name in stored.attr_names if name]
            if attribute not in attributes:
                raise UserError(f"CelebA has no dataset.attribute={attribute!r}; it has {', '.join(attributes)}")
            labels, names = stored.attr[:, attributes.index(attribute)].long(), [f"not {attribute}", attribute]
        files = [folder / "celeba" / "img_align_celeba" / name for name in stored.filename]
        decoder = Decoder(resolution, channels, crop=crop)
        store = store_of(files, decoder, memory_limit_mb, workers)
        super().__init__(store, labels, names, f"celeba-{split}-{len(files)}", flip, crop_padding, decoder.rule)


def with_white_level(fingerprint: str, white_level: int | None) -> str:
    """Extend a fingerprint by `white_level`, if one is set: scaled 16-bit values make other pictures."""
    return fingerprint if white_level is None else f"{fingerprint}-white-{white_level}"


def store_of(files: list[Path], decoder: Decoder, memory_limit_mb: int, workers: int) -> MemoryStore | FileStore:
    """Make a store of the pictures: decoded now if they fit into `memory_limit_mb`, else each when it is needed."""
    assert decoder.resolution is not None
    if len(files) * decoder.channels * decoder.resolution**2 > memory_limit_mb * 2**20:
        return FileStore(files, decoder, workers)
    return MemoryStore(torch.stack(all_decoded(files, decoder, workers)))
