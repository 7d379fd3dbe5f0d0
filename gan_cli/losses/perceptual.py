"""Features of a trained network, by which pictures are compared.

Such a network is no player. It is frozen, in evaluation mode, and in no checkpoint. It is read from its file on first
use (`load`), so that sampling needs no file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import torch
from annotated_types import MinLen
from torch import Tensor, nn

from gan_cli.base.errors import UserError
from gan_cli.base.files import expanded
from gan_cli.base.limits import Positive, Weight
from gan_cli.base.progress import Progress

VGG19_FILE = "vgg19-dcbb9e9d.pth"  # torchvision's name for its ImageNet weights

Layers = Annotated[Sequence[str | int], MinLen(1)]  # names of sub-modules; numbers in a Sequential
Colour = Annotated[Sequence[float], MinLen(1)]  # one for each channel
Spread = Annotated[Sequence[Positive], MinLen(1)]


class Features(nn.Module):
    """Outputs of chosen layers of a network, for pictures in [-1, 1].

    Args:
        network: any module that takes pictures; the file's weights replace its random ones.
        weights: file of a state_dict, read with `weights_only=True`.
        layers: names of the sub-modules whose outputs are the features (`features.17`).
        mean, deviation: for each channel in [0, 1], subtracted and divided by; ImageNet's by default.
        scale: factor on all features.
    """

    group = "perceptual"  # the command line's option group, for error messages

    def __init__(
        self,
        network: nn.Module,
        weights: str,
        layers: Layers,
        mean: Colour = (0.485, 0.456, 0.406),
        deviation: Spread = (0.229, 0.224, 0.225),
        scale: Weight = 1.0,
    ) -> None:
        super().__init__()
        self.weights, self.layers, self.scale = weights, [str(name) for name in layers], scale
        self.register_buffer("mean", torch.tensor(list(mean)).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(list(deviation)).view(1, -1, 1, 1), persistent=False)
        # not a registered module: its weights belong in no checkpoint and to no player
        self.mean: Tensor
        self.deviation: Tensor
        self.__dict__["network"] = network.requires_grad_(False).eval()
        self.loaded = False

    def _apply(self, move: Callable[..., Any], recurse: bool = True) -> Features:
        self.__dict__["network"]._apply(move)
        return super()._apply(move, recurse)

    def file(self) -> Path:
        """Return the path of the weights.

        Raises:
            UserError: the file does not exist.
        """
        path = expanded(self.weights)
        if not path.is_file():
            raise UserError(f"the weights {self.group}.weights={str(path)!r} do not exist; name a state_dict's file")
        return path

    def load(self) -> None:
        """Read the weights, once.

        Raises:
            UserError: the file does not exist or does not fit the network, or a layer does not exist.
        """
        if self.loaded:
            return
        network: nn.Module = self.__dict__["network"]
        known = dict(network.named_modules())
        for name in self.layers:
            if name not in known:
                raise UserError(f"{self.group}.layers has {name!r}, which is no layer of {self.described()}")
        path = self.file()
        try:
            network.load_state_dict(self.part(torch.load(path, map_location="cpu", weights_only=True)))
        except Exception as error:  # unpickling raises any kind of error; each is the file's fault
            reason = str(error).strip().splitlines()[-1].strip() if str(error).strip() else type(error).__name__
            raise UserError(f"the weights {str(path)!r} do not fit {self.described()} ({reason})") from error
        self.loaded = True

    def part(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Select the tensors of the file that belong to the network."""
        return state

    def described(self) -> str:
        return type(self.__dict__["network"]).__name__

    def forward(self, image: Tensor) -> list[Tensor]:
        """Compute features: (N, C, H, W) in [-1, 1] -> one tensor (N, F, h, w) for each layer; grey becomes colour."""
        self.load()
        network: nn.Module = self.__dict__["network"]
        channels = self.mean.shape[1]
        if image.shape[1] == 1 and channels > 1:
            image = image.expand(-1, channels, -1, -1)
        kept: dict[str, Tensor] = {}

        def keep(name: str) -> Callable[..., None]:
            def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
                kept[name] = output.clone()  # a later layer may work in place

            return hook

        modules = dict(network.named_modules())
        hooks = [modules[name].register_forward_hook(keep(name)) for name in self.layers]
        try:
            network(((image + 1) / 2 - self.mean) / self.deviation)
        finally:
            for hook in hooks:
                hook.remove()
        return [kept[name] * self.scale for name in self.layers]


class VGG19(Features):
    """VGG-19 trained on ImageNet, torchvision's weights, up to the fifth block's fourth convolution, activated.

    SRGAN's VGG54 (Ledig et al. 2017): features times 1/12.75, which brings the loss to the scale of the MSE.

    Args:
        weights: torchvision's file; None looks where torchvision keeps its downloads, and downloads it there.
    """

    def __init__(
        self,
        weights: str | None = None,
        layers: Layers = ("35",),
        scale: Weight = 1 / 12.75,
    ) -> None:
        from torchvision.models import vgg19

        with torch.device("meta"):
            network = vgg19().features
        super().__init__(network.to_empty(device="cpu"), weights or "", layers, scale=scale)

    def file(self) -> Path:
        if self.weights:
            return super().file()
        path = Path(torch.hub.get_dir()) / "checkpoints" / VGG19_FILE
        if not path.is_file():
            from torchvision.models import VGG19_Weights

            try:
                download(VGG19_Weights.DEFAULT.url, path, "dcbb9e9d", "550 MB")
            except (OSError, RuntimeError) as error:
                raise UserError(
                    f"perceptual=vgg19 needs torchvision's file {VGG19_FILE}; it is not in {str(path.parent)!r} and"
                    f" could not be downloaded ({error}); put it there or say perceptual.weights=FILE"
                ) from error
        return path

    def part(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name.removeprefix("features."): value for name, value in state.items() if name.startswith("features.")}

    def described(self) -> str:
        return f"torchvision's {VGG19_FILE}"


def download(url: str, path: Path, sha256: str, size: str) -> None:
    """Download a file of weights to `path`; its digest must begin with `sha256`.

    Raises:
        OSError, RuntimeError: the download fails, or the digest is another.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with Progress(f"downloading {path.name}", about=size):
        torch.hub.download_url_to_file(url, str(path), sha256, progress=False)
