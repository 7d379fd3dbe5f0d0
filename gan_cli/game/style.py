"""The game of style-based generators: styles of two latents mixed, the mean style tracked, lazy regularization."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from torch import Tensor, nn
from torch.optim import Optimizer

from gan_cli.base.limits import Count, Share, Weight
from gan_cli.game.gan import GAN, Turn
from gan_cli.game.lazy import lazy_phases
from gan_cli.game.phase import Phase
from gan_cli.layers.modulation import mixed, spread
from gan_cli.losses.adversarial import AdversarialLoss
from gan_cli.parts.latent import Gaussian
from gan_cli.parts.schedule import Course
from gan_cli.penalties.gradient import Penalty


class StyleGame(GAN):
    """A generator in two parts, `mapping` (z to w) and `synthesis` (w to pictures).

    Args:
        mixing: share of the samples whose finer layers get the style of a second latent.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        latent: Gaussian,
        loss: AdversarialLoss,
        penalties: Mapping[str, Penalty] | None = None,
        augment: nn.Module | None = None,
        num_classes: Count | None = None,
        mixing: Share = 0.9,
        conditional: Literal["none", "projection", "auxiliary"] = "none",
        auxiliary_weight: Weight = 1.0,
    ) -> None:
        super().__init__(
            *(generator, discriminator, latent, loss, penalties, augment, num_classes),
            conditional=conditional,
            auxiliary_weight=auxiliary_weight,
        )
        self.mixing = mixing

    def phases(self, optimizers: Callable[[str, list[nn.Module]], tuple[Optimizer, Course]]) -> list[Phase]:
        return lazy_phases(super().phases(optimizers))

    def draw(self, turn: Turn) -> dict[str, Tensor]:
        generator: Any = self.generator
        return {"fake": generator.synthesis(self.styles(turn))}

    def styles(self, turn: Turn, name: str = "") -> Tensor:
        """Styles of a turn for each layer, (N, L, W); a `name` gives others than those of its fakes."""
        key = [*turn.noise.key, name] if name else turn.noise.key
        generator: Any = self.generator
        label, mapping, layers = self.condition(turn.batch.label), generator.mapping, generator.synthesis.layers
        w = mapping(self.latents(turn.batch, key), label, track=not name)
        if self.mixing == 0:
            return spread(w, layers)
        other = mapping(self.latents(turn.batch, [*key, "mixing"]), label)
        return mixed(w, other, layers, self.mixing, turn.noise, name)
