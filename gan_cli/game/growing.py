"""The game of growing networks: each level's fade, and the time after it, have phases with new optimizers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch.optim import Optimizer
from typing_extensions import Unpack

from gan_cli.base.limits import Weight, Width
from gan_cli.game.game import Optimizers, Turn
from gan_cli.game.gan import GAN, Conditions
from gan_cli.game.phase import Phase
from gan_cli.layers.growth import Growth, Stage, shrunk
from gan_cli.losses.adversarial import AdversarialLoss
from gan_cli.parts.latent import Gaussian
from gan_cli.parts.schedule import Course


class GrowingGame(GAN):
    """The game of two networks that grow and have `parts(level)`.

    Reals are shrunk to the level's resolution and fade as fakes do.

    A sample is enlarged to the last resolution, so that grids and scores of all levels have one size.

    Args:
        growth: the schedule of the levels.
        batch_sizes: by the level's side; other levels have the run's batch size.
        rates: factors on the learning rate, by the level's side.
    """

    @staticmethod
    def refusal(
        *, pack: int = 1, trainer: dict[str, Any], batch_sizes: dict[int, int] | None = None, **_: Any
    ) -> str | None:
        """Return why a level's batch can't be cut into equal parts as the run's is, or None (see `check.rules`)."""
        parts = trainer["accumulate"] * trainer["processes"] * pack
        for side, size in (batch_sizes or {}).items():
            if size % parts:
                return (
                    f"model.batch_sizes has {size} for {side} pixels, which can't be cut into {parts} equal parts;"
                    f" {max(parts, size - size % parts)} would do"
                )
        return None

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        latent: Gaussian,
        loss: AdversarialLoss,
        growth: Growth,
        batch_sizes: Mapping[int, Width] | None = None,
        rates: Mapping[int, Weight] | None = None,
        **conditions: Unpack[Conditions],
    ) -> None:
        super().__init__(generator, discriminator, latent, loss, **conditions)
        self.growth = growth
        self.batch_sizes = {int(side): size for side, size in (batch_sizes or {}).items()}
        self.rates = {int(side): factor for side, factor in (rates or {}).items()}
        self.set_progress(0)

    def phases(self, optimizers: Optimizers) -> list[Phase]:
        """Make the phases of the default game, once for each level's fade and once for the time after it.

        Each starts with new optimizers: the authors' code (of ProGAN and of StyleGAN) resets their state when a level
        begins to fade in and when its fade ends.
        """
        return [phase for stage in self.growth.stages for phase in self.phases_at(stage, optimizers)]

    def phases_at(self, stage: Stage, optimizers: Optimizers) -> list[Phase]:
        level, side = stage.level, 4 << stage.level

        def optimizer_of(player: str, networks: list[nn.Module]) -> tuple[Optimizer, Course]:
            optimizer, course = optimizers(player, parts_of(networks, level))
            return optimizer, course.changed(faster=self.rates.get(side, 1.0))

        phases = super().phases(optimizer_of)
        for phase in phases:
            phase.networks = parts_of(phase.networks, level)
            phase.name = f"{phase.name}_{side}{'_fade' if stage.fades else ''}"
            phase.starts_at, phase.stops_at, phase.batch_size = stage.begin, stage.end, self.batch_sizes.get(side)
        return phases

    def set_progress(self, images: int) -> None:
        self.level, self.faded = self.growth.at(images)
        super().set_progress(images)

    def real(self, turn: Turn) -> Tensor:
        return shrunk(turn.batch.real, self.level, self.faded)

    def postprocess(self, samples: Tensor) -> Tensor:
        return interpolate(samples, size=self.growth.resolution, mode="nearest")


def parts_of(networks: list[nn.Module], level: int) -> list[nn.Module]:
    """List the modules that a level uses: parts of networks that grow, and networks that don't grow."""
    modules: list[nn.Module] = []
    for network in networks:
        parts: Any = getattr(network, "parts", None)
        modules += [network] if parts is None else parts(level)
    return modules
