"""Image data: how pictures are decoded and resized, where they are held, and how batches are made of them.

Pictures are held in memory as uint8 where they fit, on the training device if it has room. Threads decode a
larger folder ahead of training; decoders release the interpreter lock.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from gan_cli.base.progress import counted
from gan_cli.base.types import Noise
from gan_cli.data.order import Order
from gan_cli.data.picture import WHITE, opened

AHEAD = 2**29  # bytes of decoded pictures of different sizes that may wait for their use
DEVICE_SHARE = 0.25  # the part of a GPU's free memory that pictures may take


class MemoryStore:
    """Pictures held as one tensor (count, C, R, R), uint8."""

    def __init__(self, images: Tensor) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def to(self, device: torch.device) -> None:
        """Move the pictures to `device` if it is a GPU and they take less than a quarter of its free memory."""
        if device.type == "cuda" and self.images.numel() < DEVICE_SHARE * torch.cuda.mem_get_info(device)[0]:
            self.images = self.images.to(device)

    def take(self, indices: Tensor) -> Tensor:
        return self.images[indices.to(self.images.device)]

    def prefetch(self, indices: Tensor) -> None:
        """Do nothing: the pictures are in memory."""


class SizesStore:
    """Pictures of different sizes, each (C, H, W) uint8, held in memory."""

    def __init__(self, images: list[Tensor]) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def to(self, device: torch.device) -> None:
        """Do nothing: pictures are first cut to one size, and then sent in one piece."""

    def pictures(self, indices: Tensor) -> list[Tensor]:
        return [self.images[index] for index in indices.tolist()]

    def prefetch(self, indices: Tensor) -> None:
        """Do nothing: the pictures are in memory."""


class FileStore:
    """Pictures decoded when they are needed, by `workers` threads ahead of training.

    Args:
        sizes: the decoded bytes of each picture, where they may be large; then at most `AHEAD` bytes are held.
    """

    def __init__(self, files: list[Path], decoder: Decoder, workers: int, sizes: list[int] | None = None) -> None:
        self.files, self.decoder, self.sizes = files, decoder, sizes
        self.pool = ThreadPoolExecutor(workers)
        self.ahead: OrderedDict[int, Future[Tensor]] = OrderedDict()

    def __len__(self) -> int:
        return len(self.files)

    def to(self, device: torch.device) -> None:
        """Do nothing: the pictures are too many to be held on a device."""

    def take(self, indices: Tensor) -> Tensor:
        return torch.stack(self.pictures(indices))

    def pictures(self, indices: Tensor) -> list[Tensor]:
        waiting = [self.ahead.pop(index) if index in self.ahead else self._submit(index) for index in indices.tolist()]
        return [future.result() for future in waiting]

    def prefetch(self, indices: Tensor) -> None:
        for index in indices.tolist():
            if self.sizes is not None and sum(self.sizes[other] for other in (index, *self.ahead)) > AHEAD:
                break
            if index not in self.ahead:
                self.ahead[index] = self._submit(index)
        while len(self.ahead) > 4 * len(indices):  # prefetched, but never taken
            self.ahead.popitem(last=False)

    def _submit(self, index: int) -> Future[Tensor]:
        return self.pool.submit(self.decoder, self.files[index])


def all_decoded(files: list[Path], decoder: Decoder, workers: int) -> list[Tensor]:
    """Decode all pictures now, with `workers` threads."""
    with ThreadPoolExecutor(workers) as pool:
        return list(counted(pool.map(decoder, files), "reading the pictures into memory", len(files), "pictures"))


class ImageData:
    """Labelled or unlabelled images.

    Args:
        store: holds the pixels.
        labels: (count,), int64, or None.
        class_names: one for each class; empty without labels.
        fingerprint: identifies the content, for resuming.
        flip: mirror each image of a batch left to right with probability one half.
        crop_padding: reflect each image of a batch outwards by so many pixels, and cut a random window of its old size.
        note: says how the files' pixels were changed, in lines for the start block.
    """

    def __init__(
        self,
        store: MemoryStore | FileStore,
        labels: Tensor | None,
        class_names: list[str],
        fingerprint: str,
        flip: bool = False,
        crop_padding: int = 0,
        note: str = "",
    ) -> None:
        self.store, self.labels, self.class_names, self.fingerprint = store, labels, class_names, fingerprint
        self.flip, self.crop_padding, self.note = flip, crop_padding, note

    def __len__(self) -> int:
        return len(self.store)

    def to(self, device: torch.device) -> None:
        self.store.to(device)

    def order(self, seed: int) -> Order:
        return Order(len(self), seed)

    def fetch(self, indices: Tensor, device: torch.device, noise: Noise | None = None) -> dict[str, Tensor]:
        """Return `image` (N, C, R, R) in [-1, 1] and, where there are labels, `label` (N,), on `device`."""
        image = to_float(self.store.take(indices).to(device, non_blocking=True))
        fields = {"image": image if noise is None else self.jittered(image, noise)}
        if self.labels is not None:
            fields["label"] = self.labels[indices].to(device)
        return fields

    def prefetch(self, indices: Tensor) -> None:
        """Prepare samples that will probably be fetched next."""
        self.store.prefetch(indices)

    def jittered(self, image: Tensor, noise: Noise) -> Tensor:
        """Apply random crops and flips, where the data set has them."""
        if self.crop_padding:
            padded = pad(image, (self.crop_padding,) * 4, mode="reflect")
            image = window(padded, image.shape[-1], noise.uniform("crop", 2))
        return flipped(image, noise.uniform("flip", 1, 1, 1)) if self.flip else image


def to_float(pixels: Tensor) -> Tensor:
    """Convert uint8 in 0..255 to float32 in [-1, 1]."""
    return pixels.to(torch.float32).div_(127.5).sub_(1)


def digest_of_pixels(images: Tensor) -> str:
    return hashlib.blake2b(images.numpy().tobytes(), digest_size=16).hexdigest()


class Decoder:
    """A decoder of picture files to (C, R, R) uint8, or to (C, H, W) where `resolution` is None.

    It applies the EXIF orientation and takes the first frame of an animation. Transparent pixels show `background`.
    16-bit grey is scaled so that `white_level` is white (None: 65,535, which keeps the high byte). Colour becomes grey
    by ITU-R 601 luma where `channels` is 1. `half` ("left", "right") takes one side of a picture that holds two, and
    `crop` a centred square of that edge length. Then `fit` makes a square: "crop" cuts the largest centred one, "pad"
    centres the picture on a square of `background`, "stretch" ignores the aspect ratio. The last step is an antialiased
    bicubic resize.
    """

    def __init__(
        self,
        resolution: int | None,
        channels: int,
        fit: str = "crop",
        background: int = 255,
        crop: int | None = None,
        half: str | None = None,
        white_level: int | None = None,
    ) -> None:
        self.resolution, self.channels, self.fit, self.background = resolution, channels, fit, background
        self.crop, self.half, self.white = crop, half, WHITE if white_level is None else white_level

    @property
    def rule(self) -> str:
        if self.resolution is None:
            return "not resized"
        cut = f"centre {self.crop}x{self.crop}, " if self.crop else ""
        return f"{cut}{self.fit} to a square, resized to {self.resolution}x{self.resolution}"

    def __call__(self, path: Path) -> Tensor:
        """Decode a file.

        Raises:
            PictureError: it can't be read.
        """
        import numpy
        from PIL import Image, ImageOps

        with opened(path) as stored:
            image: Image.Image = ImageOps.exif_transpose(stored)
            if image.mode.startswith("I"):
                wide = numpy.asarray(image).astype(numpy.int64)
                white = WHITE if stored.format == "PPM" else self.white  # PIL scales a PPM by its maximum value
                image = Image.fromarray((wide * 256 // (white + 1)).clip(0, 255).astype(numpy.uint8))
            if "A" in image.mode or "transparency" in image.info:
                colour = image.convert("RGBA")
                paper = Image.new("RGBA", colour.size, (self.background,) * 3 + (255,))
                image = Image.alpha_composite(paper, colour)
            image = image.convert("L" if self.channels == 1 else "RGB")
            if self.half is not None:
                left = 0 if self.half == "left" else image.width // 2
                image = image.crop((left, 0, left + image.width // 2, image.height))
            if self.resolution is not None:
                image = self._square(image)
                if image.size != (self.resolution, self.resolution):
                    image = image.resize((self.resolution, self.resolution), Image.Resampling.BICUBIC)
            pixels = torch.from_numpy(numpy.array(image))
        return pixels[None] if self.channels == 1 else pixels.permute(2, 0, 1).contiguous()

    def _square(self, image):  # type: ignore[no-untyped-def]  # PIL is imported late
        from PIL import ImageOps

        if self.crop is not None:
            image = (
                ImageOps.fit(image, (self.crop, self.crop))
                if min(image.size) < self.crop
                else _centre(image, self.crop)
            )
        if self.fit == "crop":
            return _centre(image, min(image.size))
        return self._padded(image, self.resolution) if self.fit == "pad" and image.width != image.height else image

    def _padded(self, image, edge):  # type: ignore[no-untyped-def]
        """Resize the longer edge, then pad the shorter one: a padded square of full size may be larger than memory."""
        from PIL import Image

        side, landscape = max(image.size), image.width > image.height
        image = image.resize((edge, image.height) if landscape else (image.width, edge), Image.Resampling.BICUBIC)
        shape = (edge, side) if landscape else (side, edge)
        square = Image.new(image.mode, shape, (self.background,) * len(image.getbands()))
        square.paste(image, tuple(round((outer - inner) / 2) for outer, inner in zip(shape, image.size, strict=True)))
        return square


def _centre(image, side: int):  # type: ignore[no-untyped-def]
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


def resize(images: Tensor, resolution: int) -> Tensor:
    """Resize (count, C, H, W) uint8 to (count, C, R, R) uint8: antialiased bicubic, rounded."""
    if tuple(images.shape[2:]) == (resolution, resolution):
        return images
    parts = [
        interpolate(part.float(), size=(resolution, resolution), mode="bicubic", antialias=True, align_corners=False)
        for part in images.split(4096)
    ]
    return torch.cat([part.round_().clamp_(0, 255).to(torch.uint8) for part in parts])


def with_channels(images: Tensor, channels: int) -> Tensor:
    """Convert uint8 images to `channels`: repeat grey to colour, or weight colour to grey by ITU-R 601 luma."""
    if images.shape[1] == channels:
        return images
    if channels == 3:
        return images.repeat(1, 3, 1, 1)
    weights = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    return (images.float() * weights).sum(1, keepdim=True).round_().clamp_(0, 255).to(torch.uint8)


def window(image: Tensor, side: int, where: Tensor) -> Tensor:
    """Cut a square from each image: (N, C, H, W) -> (N, C, side, side); `where` (N, 2) in [0, 1) places it."""
    n, _, height, width = image.shape
    room = torch.tensor([height - side + 1, width - side + 1], device=image.device)
    offset = (where * room).long()
    rows = offset[:, 0, None] + torch.arange(side, device=image.device)
    columns = offset[:, 1, None] + torch.arange(side, device=image.device)
    samples = torch.arange(n, device=image.device)[:, None, None]
    return image.permute(0, 2, 3, 1)[samples, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).contiguous()


def flipped(image: Tensor, draw: Tensor) -> Tensor:
    """Mirror images left to right where `draw` (N, 1, 1, 1) is below one half."""
    return torch.where(draw < 0.5, image.flip(3), image)
