"""A small classifier of a data set's labels: features where Inception's mean nothing (digits, clothes, scans)."""

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
LARGEST = 64  # pixels: larger pictures are resized to it
EPOCHS, LEAST_STEPS, BATCH = 3, 1400, 128


class Classifier(nn.Module):
    """Three convolution blocks and a penultimate layer of 64.

    Args:
        channels: C of the pictures.
        side: height and width of the network's input, from 8 up.
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
        """Convert pictures (N, C, H, W) in 0..255 to inputs (N, C, side, side) in [-1, 1]; antialiased, not rounded."""
        images = pixels.float() / 127.5 - 1
        if tuple(images.shape[2:]) == (self.side, self.side):
            return images
        return interpolate(images, size=(self.side, self.side), mode="bicubic", antialias=True, align_corners=False)

    def features(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Compute class features (N, 64), and texture (N, 144): mean and spread over space of the first two blocks."""
        texture, x = [], image
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number < 2:
                texture += [x.mean((2, 3)), x.std((2, 3))]
            x = max_pool2d(x, 2)
        return relu(self.penultimate(x.flatten(1))), torch.cat(texture, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Compute logits (N, K) of pictures (N, C, side, side) in [-1, 1]."""
        return self.last(self.dropout(self.features(image)[0]))


def side_for(height: int, width: int) -> int:
    """Return the side of the classifier's input for pictures of this size: their shorter side, within 8 to 64."""
    return max(8, min(LARGEST, height, width))


def trained_classifier(pixels: Tensor, labels: Tensor, num_classes: int, cache: Path | None = None) -> Classifier:
    """Train a classifier with a fixed seed, or load it from the cache; return it in evaluation mode.

    No other random state changes.

    Args:
        pixels: (N, C, H, W) uint8.
        labels: (N,), int64.
        num_classes: K.
        cache: folder for the weights, which are kept under a digest of the data; None keeps nothing.
    """
    file = cache / f"classifier-{digest(pixels, labels, num_classes)}.pt" if cache else None
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive_seed("classifier"))  # only the CPU's, since it trains there
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
    """Load weights from the cache; return None if there is no file, or a torn one."""
    if file is None or not file.is_file():
        return None
    try:
        state: dict[str, Tensor] = torch.load(file, weights_only=True)
    except Exception:  # unpickling a torn file may raise anything: the classifier is trained anew
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
    """Compute the share of pictures (N, C, H, W) uint8 that the classifier puts in their class (N,)."""
    batches = pixels.split(500)
    batches_shown = counted(batches, "trying the classifier on held-out pictures", len(batches), "batches")
    predicted = torch.cat([classifier(classifier.seen(batch)).argmax(1) for batch in batches_shown])
    return float((predicted == labels).double().mean())


def digest(pixels: Tensor, labels: Tensor, num_classes: int) -> str:
    """Compute a digest of the size, every pixel, every label, and how the classifier is made."""
    words = (tuple(pixels.shape), num_classes, FEATURES, LARGEST, EPOCHS, LEAST_STEPS, BATCH)
    state = hashlib.blake2b(repr(words).encode(), digest_size=8)
    for part in (pixels, labels):
        state.update(part.contiguous().numpy().data)
    return state.hexdigest()
