"""Penalties of a generator for how its samples depend on the latent."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from torch import Tensor

from gan_cli.base.distributed import global_mean
from gan_cli.base.limits import Count, Share, Weight
from gan_cli.base.types import Side
from gan_cli.penalties.gradient import Penalty
from gan_cli.penalties.turn import LatentGame, StyledGame, Turn


class PathLength(Penalty):
    """weight (|J^T y| - a)^2: a step in w moves the picture equally far everywhere (Karras et al. 2020, sec. 3.2).

    J is the derivative of the pictures by the styles, y standard normal over sqrt(H W), and a the running mean of the
    lengths. For games whose generator has a mapping and a synthesis network.

    Args:
        decay: weight of the new lengths in the running mean.
        shrink: the term uses a share 1 / shrink of the batch; its shape is (M,), M < N.
    """

    paid_by: ClassVar[Literal["critics", "generators"]] = "generators"
    mean: Tensor

    def __init__(self, weight: Weight = 2.0, every: Count = 4, decay: Share = 0.01, shrink: Count = 2) -> None:
        super().__init__(weight, every)
        self.decay, self.shrink = decay, shrink
        self.register_buffer("mean", torch.zeros([]))

    def terms(self, name: str, turn: Turn) -> dict[str, Tensor]:
        game, batch = turn.game, turn.batch
        assert isinstance(game, StyledGame)
        count = max(1, len(batch) // self.shrink)
        with torch.autocast(batch.real.device.type, enabled=False):
            styles = game.styles(turn, "path_length")[:count]
            images = game.synthesize(styles)
            direction = turn.noise.normal("path_direction", *images.shape[1:])[:count] / math.sqrt(images[0, 0].numel())
            (gradient,) = torch.autograd.grad((images * direction).sum(), styles, create_graph=True)
            lengths = gradient.square().sum(2).mean(1).add(1e-12).sqrt()
            mean = torch.lerp(self.mean, lengths.mean(), self.decay)  # moves with the lengths, as in the authors' code
            self.mean.copy_(mean.detach())
            return {name: self.weight * (lengths - mean).square()}


class ModeSeeking(Penalty):
    """weight / (|G(z2) - G(z1)| / |z2 - z1| + 1e-5), means over the global batch (Mao et al. 2019, eq. 3 and 4).

    A ratio of batch means, as in the authors' code, not a mean of ratios. The second pictures, of other latents and the
    same labels, are judged like the first: the generator's adversarial loss counts both.
    """

    paid_by: ClassVar[Literal["critics", "generators"]] = "generators"

    def __init__(self, weight: Weight = 1.0, every: Count = 1) -> None:
        super().__init__(weight, every)

    def terms(self, name: str, turn: Turn) -> dict[str, Tensor]:
        game, batch = turn.game, turn.batch
        assert isinstance(game, LatentGame)
        first = game.latents(batch, turn.noise.key)
        second = game.latents(batch, [*turn.noise.key, name])
        other = game.generate(second, game.condition(batch.label)).float()
        (match,) = turn.matches
        moved = global_mean((match.fake.sample - other).abs()) / global_mean((first - second).abs())
        judged = game.judged(turn.again(match, Side(other, match.fake.beside)))
        return {name: self.weight / (moved + 1e-5).expand(len(batch)), f"{name}_adversarial": judged / self.every}
