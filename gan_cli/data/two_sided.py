"""Data with two sides: pairs, unpaired domains, and pictures whose degraded side is made on the fly.

Only training pictures are jittered. Test pictures are resized or cut from the middle, as scores see them.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from annotated_types import Interval
from torch import Tensor

from gan_cli.base.limits import Grey, Megabytes, Pixels, SixteenBit, Workers
from gan_cli.base.types import Noise, OwnNoise
from gan_cli.data.degrade import Degradation
from gan_cli.data.images import Decoder, FileStore, SizesStore, all_decoded, flipped, to_float, window
from gan_cli.data.layout import Side, check_crop, find_pairs, find_single, find_unpaired, remarks_on_sides
from gan_cli.data.order import Order, Orders
from gan_cli.data.sets import store_of, with_white_level

HeldOut = Annotated[float, Interval(gt=0, lt=1)]


class Resized:
    """The base of `Pairs` and `Unpaired`: squares of `load_resolution`, from which training cuts `resolution`."""

    @staticmethod
    def refusal(at: str, resolution: int, load_resolution: int | None = None) -> str | None:
        """Return why these options don't fit, or None. The check calls it without an import (`check.rules`)."""
        if load_resolution is None or not resolution or load_resolution >= resolution:
            return None
        return f"{at}.load_resolution={load_resolution} must be at least {at}.resolution={resolution}, or null"

    def __init__(
        self,
        resolution: int,
        load_resolution: int | None,
        split: str,
        fit: str,
        background: int,
        white_level: int | None,
        flip: bool,
    ) -> None:
        self.training = split != "test"
        larger = max(resolution, load_resolution or resolution) if self.training else resolution
        self.resolution, self.load_resolution, self.flip = resolution, larger, flip
        self.fit, self.background, self.white_level = fit, background, white_level
        self.class_names: list[str] = []

    def decoder(self, side: Side, channels: int | None) -> Decoder:
        out = channels or side.channels
        return Decoder(self.load_resolution, out, self.fit, self.background, None, side.half, self.white_level)

    def jittered(self, image: Tensor, noise: Noise | None, key: str = "") -> Tensor:
        """Cut a random window and flip at random, equally for equal keys; without `noise`, cut the middle window."""
        if image.shape[-1] > self.resolution:
            middle = torch.full((len(image), 2), 0.5, device=image.device)
            image = window(image, self.resolution, middle if noise is None else noise.uniform(f"crop{key}", 2))
        if noise is None or not self.training or not self.flip:
            return image
        return flipped(image, noise.uniform(f"flip{key}", 1, 1, 1))


class Pairs(Resized):
    """Fields `source` and `target`, (N, C, R, R) in [-1, 1]: the two sides of a pair, jittered alike.

    Args:
        root: holds `A/` and `B/` with equal names, or pictures with A on the left half and B on the right. Or it holds
            `train/` and `test/`, each laid out in one of these ways.
        resolution: of both sides.
        channels, source_channels: of target and source, 1 or 3; None takes the files'.
        direction: "a_to_b" makes A the source, "b_to_a" B.
        load_resolution: training pictures are resized to this, and a random window of `resolution` is cut from
            them; None for no such window.
        held_out: the share of pairs kept for the test split where there is no `test/`.
    """

    def __init__(
        self,
        root: str,
        resolution: Pixels = 256,
        channels: Literal[1, 3] | None = None,
        source_channels: Literal[1, 3] | None = None,
        split: Literal["train", "test", "all"] = "train",
        direction: Literal["a_to_b", "b_to_a"] = "a_to_b",
        held_out: HeldOut = 0.1,
        load_resolution: Pixels | None = None,
        flip: bool = True,
        fit: Literal["crop", "pad", "stretch"] = "crop",
        background: Grey = 255,
        white_level: SixteenBit | None = None,
        skip_corrupt: bool = False,
        memory_limit_mb: Megabytes = 2048,
        workers: Workers = 4,
    ) -> None:
        super().__init__(resolution, load_resolution, split, fit, background, white_level, flip)
        source, target = find_pairs(root, split, held_out, direction, skip_corrupt)
        decoders = self.decoder(source, source_channels), self.decoder(target, channels)
        self.source = store_of(source.files, decoders[0], memory_limit_mb // 2, workers)
        self.target = store_of(target.files, decoders[1], memory_limit_mb // 2, workers)
        self.fingerprint = with_white_level(f"{source.fingerprint}-{target.fingerprint}-{direction}", white_level)
        self.note = "\n".join([decoders[1].rule, *remarks_on_sides([source, target], white_level)])

    def __len__(self) -> int:
        return len(self.source)

    def to(self, device: torch.device) -> None:
        self.source.to(device)
        self.target.to(device)

    def order(self, seed: int) -> Order:
        return Order(len(self), seed)

    def fetch(self, indices: Tensor, device: torch.device, noise: Noise | None = None) -> dict[str, Tensor]:
        sides = {"source": self.source, "target": self.target}
        loaded = {name: to_float(store.take(indices).to(device, non_blocking=True)) for name, store in sides.items()}
        return {name: self.jittered(image, noise) for name, image in loaded.items()}

    def prefetch(self, indices: Tensor) -> None:
        self.source.prefetch(indices)
        self.target.prefetch(indices)


class Unpaired(Resized):
    """Fields `a` and `b`, (N, C, R, R) in [-1, 1]: two domains in independent orders. One of each counts as one image.

    Args:
        root: holds `trainA/ trainB/` and, if there are any, `testA/ testB/`; or `A/` and `B/`.
        resolution: of both sides.
        channels, source_channels: of B and A, 1 or 3; None takes the files'.
        load_resolution: training pictures are resized to this, and a random window of `resolution` is cut from
            them; None for no such window.
        held_out: the share of pictures kept for the test split where there is no `testA/` or `testB/`.
    """

    def __init__(
        self,
        root: str,
        resolution: Pixels = 256,
        channels: Literal[1, 3] | None = None,
        source_channels: Literal[1, 3] | None = None,
        split: Literal["train", "test", "all"] = "train",
        held_out: HeldOut = 0.1,
        load_resolution: Pixels | None = None,
        flip: bool = True,
        fit: Literal["crop", "pad", "stretch"] = "crop",
        background: Grey = 255,
        white_level: SixteenBit | None = None,
        skip_corrupt: bool = False,
        memory_limit_mb: Megabytes = 2048,
        workers: Workers = 4,
    ) -> None:
        super().__init__(resolution, load_resolution, split, fit, background, white_level, flip)
        a, b = find_unpaired(root, split, held_out, skip_corrupt)
        decoders = self.decoder(a, source_channels), self.decoder(b, channels)
        self.a = store_of(a.files, decoders[0], memory_limit_mb // 2, workers)
        self.b = store_of(b.files, decoders[1], memory_limit_mb // 2, workers)
        self.fingerprint = with_white_level(f"{a.fingerprint}-{b.fingerprint}", white_level)
        rule = f"{len(self.a):,} and {len(self.b):,}, {decoders[1].rule}"
        self.note = "\n".join([rule, *remarks_on_sides([a, b], white_level)])

    def __len__(self) -> int:
        return max(len(self.a), len(self.b))

    def to(self, device: torch.device) -> None:
        self.a.to(device)
        self.b.to(device)

    def order(self, seed: int) -> Orders:
        return Orders({"a": len(self.a), "b": len(self.b)}, seed)

    def fetch(self, indices: Tensor, device: torch.device, noise: Noise | None = None) -> dict[str, Tensor]:
        """Return the fields `a` and `b`; each row of `indices` (N, 2) has a picture of each side."""
        sides = {"a": (self.a, indices[:, 0]), "b": (self.b, indices[:, 1])}
        loaded = {
            name: to_float(store.take(rows).to(device, non_blocking=True)) for name, (store, rows) in sides.items()
        }
        return {name: self.jittered(image, noise, f"_{name}") for name, image in loaded.items()}

    def prefetch(self, indices: Tensor) -> None:
        self.a.prefetch(indices[:, 0])
        self.b.prefetch(indices[:, 1])


class Degraded:
    """Fields `target` (N, C, R, R) in [-1, 1], a window of a picture that is not resized, and those of `degradation`.

    Args:
        root: any folder of images, or one with `train/` and `test/`; none may be smaller than `resolution`.
        resolution: side of the window.
        channels: 1 or 3; None takes the files'.
        degradation: makes `source` (and a `mask`) from `target`.
        held_out: the share of pictures kept for the test split where there is no `test/`.
    """

    def __init__(
        self,
        root: str,
        degradation: Degradation,
        resolution: Pixels = 96,
        channels: Literal[1, 3] | None = None,
        source_channels: Literal[1, 3] | None = None,
        split: Literal["train", "test", "all"] = "train",
        held_out: HeldOut = 0.1,
        flip: bool = True,
        background: Grey = 255,
        white_level: SixteenBit | None = None,
        skip_corrupt: bool = False,
        memory_limit_mb: Megabytes = 2048,
        workers: Workers = 4,
    ) -> None:
        side, _ = find_single(root, split, held_out, skip_corrupt)
        check_crop(side, resolution)
        self.degradation, self.resolution = degradation, resolution
        self.flip, self.training = flip, split != "test"
        decoder = Decoder(None, channels or side.channels, background=background, white_level=white_level)
        pixels = sum(width * height for width, height in side.sizes) * decoder.channels
        self.store: SizesStore | FileStore
        if pixels > memory_limit_mb * 2**20:
            sizes = [width * height * decoder.channels for width, height in side.sizes]
            self.store = FileStore(side.files, decoder, workers, sizes)
        else:
            self.store = SizesStore(all_decoded(side.files, decoder, workers))
        self.class_names: list[str] = []
        self.fingerprint = with_white_level(side.fingerprint, white_level)
        self.note = "\n".join(["windows of pictures that are not resized", *remarks_on_sides([side], white_level)])

    def __len__(self) -> int:
        return len(self.store)

    def to(self, device: torch.device) -> None:
        self.store.to(device)

    def order(self, seed: int) -> Order:
        return Order(len(self), seed)

    def fetch(self, indices: Tensor, device: torch.device, noise: Noise | None = None) -> dict[str, Tensor]:
        """Return `target`, and the fields that `degradation` makes from it.

        Without `noise`, or in the test split, the window is the middle one. Degradations are random even then: without
        `noise`, each picture has draws that do not depend on the batch.
        """
        count = len(indices)
        jitter = noise if self.training else None
        noise = noise or OwnNoise(device, indices.tolist(), "held out")
        where = torch.full((count, 2), 0.5)
        if jitter is not None:  # drawn on the CPU, as the pictures are there: nothing waits for the device
            where = jitter.on_cpu().uniform("crop", 2)
        cut = [  # one after the other: a batch of full pictures may be larger than the memory
            window(self.store.pictures(index)[0][None], self.resolution, row[None])
            for index, row in zip(indices.split(1), where, strict=True)
        ]
        target = to_float(torch.cat(cut).to(device, non_blocking=True))
        if jitter is not None and self.flip:
            target = flipped(target, jitter.uniform("flip", 1, 1, 1))
        return {"target": target, **self.degradation(target, noise)}

    def prefetch(self, indices: Tensor) -> None:
        self.store.prefetch(indices)
