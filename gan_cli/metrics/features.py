"""Features in which sets of pictures are compared; each extractor describes itself for the protocol of a score.

The name of a score has the extractor's `name` (`fid_classifier`), except for Inception's. Pictures are (N, C, H, W) in
0..255, rounded to uint8 for all scores but the path length.
"""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from gan_cli.base.errors import UserError
from gan_cli.base.files import expanded
from gan_cli.base.limits import Pixels
from gan_cli.losses.perceptual import Colour, Features, Spread, download
from gan_cli.metrics.classifier import accuracy, trained_classifier

INCEPTION_FILE = "weights-inception-2015-12-05-6726825d.pth"  # torch-fidelity's; its hash starts with 6726825d
INCEPTION_URL = f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{INCEPTION_FILE}"
ON_CPU = 16  # pictures in one batch of Inception on the CPU
LEAST_ACCURACY = 0.5  # of a classifier on held-out pictures, as a share of the way from chance to 1


class Extractor:
    """A function from pictures to features.

    Attributes:
        name: the word for these features in the names of scores.
        needs_labels: whether `prepare` must be given the labelled training pictures.
        resize: the rule by which pictures are resized for the network.
        weights_digest: of the network's weights; known after `prepare`.
        warning: a warning about these features for the user; known after `prepare`.
    """

    needs_labels: ClassVar[bool] = False
    name = ""
    resize = ""
    weights_digest = ""
    warning = ""

    def prepare(
        self,
        device: torch.device,
        train: Labelled | None = None,
        test: Labelled | None = None,
        cache: Path | None = None,
    ) -> None:
        """Read or train the network, once.

        Args:
            device: where the network works.
            train, test: labelled pictures, for an extractor that `needs_labels`.
            cache: folder for networks that are trained; None keeps none.

        Raises:
            UserError: the weights are missing, or are not the expected ones.
        """
        raise NotImplementedError

    def __call__(self, pixels: Tensor) -> tuple[Tensor, Tensor | None]:
        """Compute features (N, F), and any logits (N, K), of pictures (N, C, H, W) in 0..255, uint8 or float."""
        raise NotImplementedError

    def protocol(self) -> dict[str, Any]:
        """Return the properties of the features that a score depends on."""
        return {"name": self.name, "weights": self.weights_digest, "resize": self.resize}


class Labelled:
    """Pictures (N, C, H, W) uint8 with labels (N,) of `num_classes`."""

    def __init__(self, pixels: Tensor, labels: Tensor, num_classes: int) -> None:
        self.pixels, self.labels, self.num_classes = pixels, labels, num_classes


class Inception(Extractor):
    """The 2,048 features of the 2015 Inception network, in which FID, KID and Inception Scores are published.

    The network is torch-fidelity's port, with its resize (TensorFlow 1's bilinear, not antialiased, to 299x299) and
    weights.

    Args:
        weights: the file; None uses torch's download folder, and downloads the file if it is missing.
        sha256: first digits of the file's SHA-256; a file that differs is not opened.
    """

    name = "inception"
    resize = "TensorFlow 1 bilinear to 299x299"

    def __init__(self, weights: str | None = None, sha256: str = "6726825d") -> None:
        self.weights, self.sha256 = weights, sha256

    def prepare(
        self,
        device: torch.device,
        train: Labelled | None = None,
        test: Labelled | None = None,
        cache: Path | None = None,
    ) -> None:
        try:
            from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
        except ImportError as error:
            raise UserError("features=inception needs torch-fidelity: pip install 'gan_cli[metrics]'") from error
        path = self.file()
        self.weights_digest = checked_digest(path, self.sha256)
        # torch-fidelity unpickles whatever the file holds, so it gets a copy with tensors alone
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            with tempfile.TemporaryDirectory() as folder:
                copy = str(Path(folder) / "weights.pth")
                torch.save(state, copy)
                network = FeatureExtractorInceptionV3("inception", ["2048", "logits_unbiased"], copy)
        except Exception as error:  # unpickling may raise anything; the file is always at fault
            raise UserError(f"{str(path)!r} does not hold Inception's tensors ({type(error).__name__})") from error
        self.network = network.to(device)

    def file(self) -> Path:
        """Return the path of the weights; download them if they are missing.

        Raises:
            UserError: the file is missing and can't be downloaded.
        """
        if self.weights is not None:
            path = expanded(self.weights)
            if not path.is_file():
                raise UserError(f"the weights features.weights={str(path)!r} do not exist; they are {INCEPTION_FILE}")
            return path
        path = Path(torch.hub.get_dir()) / "checkpoints" / INCEPTION_FILE
        if not path.is_file():
            try:
                download(INCEPTION_URL, path, self.sha256, "91 MB")
            except (OSError, RuntimeError) as error:
                raise UserError(
                    f"features=inception needs torch-fidelity's file {INCEPTION_FILE}; it is not in"
                    f" {str(path.parent)!r} and could not be downloaded ({error}); put it there, say"
                    " features.weights=FILE, or use features=classifier, which needs no download"
                ) from error
        return path

    @torch.no_grad()
    def __call__(self, pixels: Tensor) -> tuple[Tensor, Tensor | None]:
        if pixels.dtype != torch.uint8:
            raise UserError("features=inception takes rounded pictures alone; metric=ppl needs other features")
        size = ON_CPU if pixels.device.type == "cpu" else len(pixels)  # small parts: less memory, and no slower there
        parts = [self.network(coloured(batch)) for batch in pixels.split(size)]
        features, logits = (torch.cat(side) for side in zip(*parts, strict=True))
        return features, logits


class ClassifierFeatures(Extractor):
    """64 features of a small network that is trained once on the run's own labels and kept in the cache.

    They forgive noise and blur that do not change the class: never read one distance in them alone.
    """

    name = "classifier"
    needs_labels = True

    def __init__(self) -> None:
        self.test_accuracy: float | None = None

    def prepare(
        self,
        device: torch.device,
        train: Labelled | None = None,
        test: Labelled | None = None,
        cache: Path | None = None,
    ) -> None:
        if train is None:
            raise UserError(
                "features=classifier is trained on a data set's labels, and there are none here;"
                " use features=inception or features=module"
            )
        self.network = trained_classifier(train.pixels, train.labels, train.num_classes, cache)
        if test is not None and len(test.labels):
            self.test_accuracy = accuracy(self.network, test.pixels, test.labels)
            chance = 1 / train.num_classes
            if self.test_accuracy < chance + LEAST_ACCURACY * (1 - chance):
                self.warning = (
                    f"the classifier of this data set puts only {self.test_accuracy:.1%} of the held-out pictures in"
                    " their class: distances in its features say little"
                )
        self.weights_digest = digest_of_state(self.network)
        side = self.network.side
        unresized = tuple(train.pixels.shape[2:]) == (side, side)
        self.resize = "none" if unresized else f"antialiased bicubic to {side}x{side}"
        self.network.to(device)

    @torch.no_grad()
    def __call__(self, pixels: Tensor) -> tuple[Tensor, Tensor | None]:
        features, _ = self.network.features(self.network.seen(pixels))
        return features, self.network.last(features)

    def protocol(self) -> dict[str, Any]:
        about = {} if self.test_accuracy is None else {"test_accuracy": round(self.test_accuracy, 4)}
        return {**super().protocol(), **about}


class NetworkFeatures(Extractor):
    """Features of a network of the user's: the mean over space of one layer's output.

    Args:
        network: any module that takes pictures.
        weights: a state_dict of the network, read with `weights_only=True`.
        layer: name of the sub-module whose output is taken, (N, F) or (N, F, h, w).
        name: the word for these features in the names of scores.
        size: pixels to which pictures are resized (antialiased bicubic); None keeps their size.
        mean, deviation: of each channel in [0, 1], subtracted and divided by; ImageNet's by default.
    """

    def __init__(
        self,
        network: nn.Module,
        weights: str,
        layer: str | int,
        name: str = "module",
        size: Pixels | None = 224,
        mean: Colour = (0.485, 0.456, 0.406),
        deviation: Spread = (0.229, 0.224, 0.225),
    ) -> None:
        if not name.replace("_", "").isalnum() or name in ("inception", "classifier"):
            raise ValueError(f"name={name!r} must be letters, digits and _, and not inception or classifier")
        self.name, self.size = name, size
        self.frozen = Features(network, weights, [layer], mean, deviation)
        self.frozen.group = "features"
        self.resize = f"antialiased bicubic to {size}x{size}" if size else "none"

    def prepare(
        self,
        device: torch.device,
        train: Labelled | None = None,
        test: Labelled | None = None,
        cache: Path | None = None,
    ) -> None:
        (layer,), network = self.frozen.layers, self.frozen.__dict__["network"]
        if layer not in dict(network.named_modules()):
            raise UserError(f"features.layer={layer!r} is no layer of {self.frozen.described()}")
        self.frozen.load()
        self.weights_digest = file_digest(self.frozen.file())[:16]
        self.frozen.to(device)

    @torch.no_grad()
    def __call__(self, pixels: Tensor) -> tuple[Tensor, Tensor | None]:
        images = pixels.float() / 127.5 - 1
        if self.size is not None and tuple(images.shape[2:]) != (self.size, self.size):
            images = interpolate(images, size=(self.size,) * 2, mode="bicubic", antialias=True).clamp(-1, 1)
        (out,) = self.frozen(images)
        if out.dim() == 4:
            out = out.mean((2, 3))
        if out.dim() != 2:
            raise UserError(f"features.layer gives {tuple(out.shape)}; it must give (N, F) or (N, F, h, w)")
        return out, None

    def protocol(self) -> dict[str, Any]:
        scales = {"mean": self.frozen.mean, "deviation": self.frozen.deviation}
        scale = {name: [round(value, 6) for value in values.flatten().tolist()] for name, values in scales.items()}
        return {**super().protocol(), "layer": self.frozen.layers[0], **scale}


def coloured(pixels: Tensor) -> Tensor:
    """Repeat grey pictures to three channels."""
    return pixels.expand(-1, 3, -1, -1) if pixels.shape[1] == 1 else pixels


def file_digest(path: Path) -> str:
    """Compute the SHA-256 of a file, in hex."""
    state = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            state.update(block)
    return state.hexdigest()


def checked_digest(path: Path, begins: str) -> str:
    """Return the first 16 digits of a file's SHA-256.

    Raises:
        UserError: the digest does not begin with `begins`: this is another file, and it is not opened.
    """
    digest = file_digest(path)
    if not digest.startswith(begins):
        raise UserError(
            f"{str(path)!r} is not {INCEPTION_FILE}: its SHA-256 begins with {digest[: len(begins)]}, not {begins}"
        )
    return digest[:16]


def digest_of_state(network: nn.Module) -> str:
    """Compute a digest of all weights and buffers, 16 hex digits."""
    state = hashlib.sha256()
    for name, value in network.state_dict().items():
        state.update(name.encode())
        state.update(value.detach().cpu().contiguous().numpy().tobytes())
    return state.hexdigest()[:16]
