"""Exponential moving average of the generators' weights."""

from __future__ import annotations

import copy

import torch
from torch import nn

from gan_cli.schedule import pass_on_progress


class EMA:
    """Averaged copies of networks, for sampling.

    After each step every averaged parameter moves by `1 - 0.5 ** (images / halflife)` towards the
    trained one; the half-life is in images, so that it means the same at any batch size. At the
    start it is shortened to `ramp_up` of the images seen, or the average would remember the
    untrained network. Buffers (batch norm statistics, tracked means) are copied, not averaged.

    Source: the form of Karras et al. 2020 ("Training GANs with limited data", appendix).
    """

    def __init__(self, networks: dict[str, nn.Module], halflife_images: int, ramp_up: float = 0.05) -> None:
        self.sources = networks
        self.networks = {
            name: copy.deepcopy(network).requires_grad_(False).eval() for name, network in networks.items()
        }
        self.halflife_images, self.ramp_up = halflife_images, ramp_up
        self.images = 0

    @torch.no_grad()
    def update(self, images: int) -> None:
        """Follow the trained networks; `images` is the run's count of images seen."""
        passed, self.images = images - self.images, images
        pass_on_progress(self.networks.values(), images)
        halflife = min(self.halflife_images, images * self.ramp_up)
        decay = 0.5 ** (passed / halflife) if halflife > 0 else 0.0
        for name, average in self.networks.items():
            source = self.sources[name]
            averaged: list[torch.Tensor] = list(average.parameters())
            trained: list[torch.Tensor] = list(source.parameters())
            if decay == 0.0:
                torch._foreach_copy_(averaged, trained)
            else:
                torch._foreach_lerp_(averaged, trained, 1.0 - decay)
            for mine, theirs in zip(average.buffers(), source.buffers(), strict=True):
                mine.copy_(theirs)

    def state_dict(self) -> dict[str, dict[str, torch.Tensor]]:
        return {name: network.state_dict() for name, network in self.networks.items()}

    def load_state_dict(self, state: dict[str, dict[str, torch.Tensor]], images: int) -> None:
        for name, network in self.networks.items():
            network.load_state_dict(state[name])
        self.images = images
        pass_on_progress(self.networks.values(), images)
