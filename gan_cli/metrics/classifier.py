"""A small classifier of a data set's own labels: features where Inception's mean nothing (digits, clothes, scans)."""

from __future__ import annotations

import contextlib
import hashlib
import io
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate, max_pool2d, relu

from gan_cli.base.files import write_atomically
from gan_cli.base.progress import counted
from gan_cli.base.randomness import derive_seed, generator_for

FEATURES = 64
LARGEST = 64  # pixels: larger pictures are brought down to it
EPOCHS, LEAST_STEPS, BATCH = 3, 1400, 128


class Classifier(nn.Module):
    """Three convolution blocks and a penultimate layer of 64.

    Args:
        channels: C of the pictures.
        side: their height and width as the network takes them, from 8 up.
        classes: K.
    """

    def __init__(self, channels: int, side: int, classes: int) -> None:
        super().__init__()
        self.side = side
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU())
            for a, b in [(channels, 24), (24, 48), (48, 64)]
        )
        self.penultimate = nn.Linear(64 * (side // 8) ** 2, FEATURES)
        self.dropout = nn.Dropout(0.3)
        self.last = nn.Linear(FEATURES, classes)

    def seen(self, pixels: Tensor) -> Tensor:
        """(N, C, H, W) in 0..255 -> what the network takes, (N, C, side, side) in [-1, 1]; antialiased, not rounded."""
        images = pixels.float() / 127.5 - 1
        if tuple(images.shape[2:]) == (self.side, self.side):
            return images
        return interpolate(images, size=(self.side, self.side), mode="bicubic", antialias=True, align_corners=False)

    def features(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Class features (N, 64), and texture (N, 144): mean and spread over space of the first two blocks."""
        texture, x = [], image
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number < 2:
                texture += [x.mean((2, 3)), x.std((2, 3))]
            x = max_pool2d(x, 2)
        return relu(self.penultimate(x.flatten(1))), torch.cat(texture, 1)

    def forward(self, image: Tensor) -> Tensor:
        """(N, C, side, side) in [-1, 1] -> logits (N, K)."""
        return self.last(self.dropout(self.features(image)[0]))


def side_for(height: int, width: int) -> int:
    """The side that a classifier of such pictures has: their own, from 8 to 64."""
    return max(8, min(LARGEST, height, width))


def trained_classifier(pixels: Tensor, labels: Tensor, num_classes: int, cache: Path | None = None) -> Classifier:
    """Trained with a fixed seed, in evaluation mode; touches no other random state.

    Args:
        pixels: (N, C, H, W) uint8.
        labels: (N,), int64.
        num_classes: K.
        cache: folder for its weights, kept by a digest of the data; None keeps nothing.
    """
    file = cache / f"classifier-{digest(pixels, labels, num_classes)}.pt" if cache else None
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive_seed("classifier"))  # the CPU's alone, where it is trained
        classifier = Classifier(pixels.shape[1], side_for(*pixels.shape[2:]), num_classes)
        classifier.to(memory_format=torch.channels_last)  # a quarter faster
        state = kept_weights(file)
        if state is not None:
            classifier.load_state_dict(state)
            return classifier.eval().requires_grad_(False)
        with torch.enable_grad():
            fit(classifier, pixels, labels)
    if file:
        buffer = io.BytesIO()
        torch.save(classifier.state_dict(), buffer)
        with contextlib.suppress(OSError):  # a full or read-only disk costs time, not the score
            write_atomically(file, buffer.getvalue())
    return classifier.eval().requires_grad_(False)


def kept_weights(file: Path | None) -> dict[str, Tensor] | None:
    """From the cache; None where it has none, or a torn file."""
    if file is None or not file.is_file():
        return None
    try:
        state: dict[str, Tensor] = torch.load(file, weights_only=True)
    except Exception:  # unpickling a torn file raises whatever it likes: the classifier is trained anew
        return None
    return state


def fit(classifier: Classifier, pixels: Tensor, labels: Tensor) -> None:
    steps = max(EPOCHS * len(pixels) // BATCH, LEAST_STEPS)
    optimizer = torch.optim.AdamW(classifier.parameters(), weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    generator = generator_for("cpu", "classifier")
    for _ in counted(range(steps), "training a classifier on the data's labels, once", steps, "steps"):
        rows = torch.randint(len(pixels), (BATCH,), generator=generator)
        optimizer.zero_grad()
        cross_entropy(classifier(classifier.seen(pixels[rows])), labels[rows]).backward()
        optimizer.step()
        schedule.step()


@torch.no_grad()
def accuracy(classifier: Classifier, pixels: Tensor, labels: Tensor) -> float:
    """Share of (N, C, H, W) uint8 that are put in their class (N,)."""
    parts = pixels.split(500)
    known = counted(parts, "trying the classifier on held-out pictures", len(parts), "batches")
    seen = torch.cat([classifier(classifier.seen(some)).argmax(1) for some in known])
    return float((seen == labels).double().mean())


def digest(pixels: Tensor, labels: Tensor, num_classes: int) -> str:
    """Of the size, every pixel, every label, and how the classifier is made."""
    words = (tuple(pixels.shape), num_classes, FEATURES, LARGEST, EPOCHS, LEAST_STEPS, BATCH)
    state = hashlib.blake2b(repr(words).encode(), digest_size=8)
    for part in (pixels, labels):
        state.update(part.contiguous().numpy().data)
    return state.hexdigest()
