"""LPIPS (Zhang et al. 2018): distance of two pictures as people see it, by the `lpips` package."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from gan_cli.base.errors import UserError
from gan_cli.metrics.evidence import Evidence
from gan_cli.metrics.paired import AgainstTarget

FILES = {"alex": "alexnet-owt-7be5be79.pth", "vgg": "vgg16-397923af.pth", "squeeze": "squeezenet1_1-b8a52dc0.pth"}


class LPIPS(AgainstTarget):
    """Mean LPIPS of outputs and targets, version 0.1; lower is better.

    Args:
        network: "alex" (as the authors evaluate), "vgg" or "squeeze"; torchvision's ImageNet weights, which torch
            downloads once.
    """

    def __init__(self, network: Literal["alex", "vgg", "squeeze"] = "alex") -> None:
        if network not in FILES:
            raise ValueError(f"network={network!r} must be one of {', '.join(FILES)}")
        super().__init__("lpips")
        self.network = network
        self._judge: nn.Module | None = None

    @torch.no_grad()
    def of_pair(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Compute the LPIPS (N,) of two batches of pictures (N, C, H, W) in [-1, 1]."""
        judge = self.judge().to(outputs.device)
        a, b = (picture.expand(-1, 3, -1, -1).clamp(-1, 1) for picture in (outputs, targets))
        return {"lpips": judge(a, b).flatten()}

    def judge(self) -> nn.Module:
        """Return the network; load it on the first call.

        Raises:
            UserError: the package or the weights are missing.
        """
        if self._judge is None:
            try:
                import lpips
            except ImportError as error:
                raise UserError("metric=lpips needs the package lpips: pip install 'gan_cli[metrics]'") from error
            try:
                self._judge = lpips.LPIPS(net=self.network, verbose=False).eval()
            except OSError as error:
                folder = Path(torch.hub.get_dir()) / "checkpoints"
                raise UserError(
                    f"metric=lpips needs torchvision's file {FILES[self.network]}; it is not in {str(folder)!r} and"
                    f" could not be downloaded ({error}); put it there"
                ) from error
        return self._judge

    def protocol(self, evidence: Evidence) -> dict[str, Any]:
        return {**super().protocol(evidence), "network": self.network, "version": "0.1"}
