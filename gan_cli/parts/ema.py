"""Exponential moving average of the generators' weights."""

from __future__ import annotations

import copy

import torch
from torch import nn

from gan_cli.base.settings import TrainerSettings
from gan_cli.parts.schedule import Schedule, pass_on_progress


class EMA:
    """Averaged copies of networks, for sampling.

    After each step, every averaged parameter moves by `1 - 0.5 ** (images / halflife)` towards the trained one. The
    half-life is in images, so that it means the same at any batch size. At the start it is at most the share `ramp_up`
    of the images seen, else the average would keep the untrained network. Buffers (batch norm statistics, tracked
    means) are copied, not averaged.

    Source: the form of Karras et al. 2020 ("Training GANs with limited data", appendix).

    Args:
        networks: the trained networks, by name.
        halflife_images: the half-life in images; 0 averages nothing.
        ramp_up: the half-life is at most this share of the images seen; None: no such limit.
        ramp_images: instead of `ramp_up`, the half-life grows from 0 along a cosine over this many images (R3GAN).
        decay: in place of a half-life, the share of the average that stays at each step (ProGAN: 0.999).
    """

    def __init__(
        self,
        networks: dict[str, nn.Module],
        halflife_images: int,
        ramp_up: float | None = 0.05,
        ramp_images: int | None = None,
        decay: float | None = None,
    ) -> None:
        self.sources = networks
        self.networks = {
            name: copy.deepcopy(network).requires_grad_(False).eval() for name, network in networks.items()
        }
        self.halflife_images, self.ramp_up, self.decay = halflife_images, ramp_up, decay
        self.ramp = None if ramp_images is None else Schedule("cosine", 0, ramp_images)
        self.images = 0

    @classmethod
    def of(cls, networks: dict[str, nn.Module], settings: TrainerSettings) -> EMA:
        """Make the averages that a run's settings describe."""
        return cls(
            networks,
            settings.ema_halflife_images,
            settings.ema_ramp_up,
            settings.ema_ramp_images,
            settings.ema_decay,
        )

    def halflife(self, images: int) -> float:
        """Compute the half-life, in images, at a count of images seen."""
        if self.ramp is not None:
            return self.halflife_images * self.ramp.done(images)
        return self.halflife_images if self.ramp_up is None else min(self.halflife_images, images * self.ramp_up)

    @torch.no_grad()
    def update(self, images: int) -> None:
        """Move the averages towards the trained networks; `images` is the run's count of images seen."""
        passed, self.images = images - self.images, images
        pass_on_progress(self.networks.values(), images)
        decay = self.decay
        if decay is None:
            halflife = self.halflife(images)
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
