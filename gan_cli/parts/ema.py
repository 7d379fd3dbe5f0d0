"""Exponential moving average of the generators' weights."""

from __future__ import annotations

import copy

import torch
from torch import nn

from gan_cli.base.settings import TrainerSettings
from gan_cli.parts.schedule import Schedule, pass_on_progress


class EMA:
    """Averaged copies of networks, for sampling.

    After each step every averaged parameter moves by `1 - 0.5 ** (images / halflife)` towards the
    trained one; the half-life is in images, so that it means the same at any batch size. At the
    start it is shortened to `ramp_up` of the images seen, or the average would remember the
    untrained network. Buffers (batch norm statistics, tracked means) are copied, not averaged.

    Source: the form of Karras et al. 2020 ("Training GANs with limited data", appendix).

    Args:
        halflife_images: 0: no averaging.
        ramp_up: share of the images seen that the half-life is at most; None: it is what it is from the start.
        ramp_images: the half-life grows from 0 along a cosine instead, over so many images (R3GAN).
        decay: share of the average that stays at each step, in place of all these (ProGAN: 0.999).
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
        """As a run's settings say."""
        return cls(
            networks,
            settings.ema_halflife_images,
            settings.ema_ramp_up,
            settings.ema_ramp_images,
            settings.ema_decay,
        )

    def halflife(self, images: int) -> float:
        """The half-life in force when so many images were seen, in images."""
        if self.ramp is not None:
            return self.halflife_images * self.ramp.done(images)
        return self.halflife_images if self.ramp_up is None else min(self.halflife_images, images * self.ramp_up)

    @torch.no_grad()
    def update(self, images: int) -> None:
        """Follow the trained networks; `images` is the run's count of images seen."""
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
