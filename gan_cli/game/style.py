"""The game of style-based generators: mixed styles of two latents, a tracked mean style, lazy regularization."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from typing_extensions import Unpack

from gan_cli.base.limits import Share
from gan_cli.game.game import Optimizers, Turn
from gan_cli.game.gan import GAN, Conditions
from gan_cli.game.lazy import lazy_phases
from gan_cli.game.phase import Phase
from gan_cli.game.space import LatentSpace, Space, StyleSpace
from gan_cli.layers.modulation import mixed, spread
from gan_cli.losses.adversarial import AdversarialLoss
from gan_cli.parts.latent import Gaussian


class StyleBased(GAN):
    """The common base of games with a style-based generator, growing or not.

    A generator has two parts, `mapping` (z to w) and `synthesis` (w to pictures).

    Attributes:
        mixing: share of the samples whose finer layers get the style of a second latent.
    """

    mixing: float

    def phases(self, optimizers: Optimizers) -> list[Phase]:
        return lazy_phases(super().phases(optimizers))

    def draw(self, turn: Turn) -> dict[str, Tensor]:
        return {"fake": self.synthesize(self.styles(turn))}

    def synthesize(self, styles: Tensor) -> Tensor:
        """Make pictures from styles for each layer, (N, L, W)."""
        generator: Any = self.generator
        return generator.synthesis(styles)

    def styles(self, turn: Turn, name: str = "") -> Tensor:
        """Draw the styles of a turn for each layer, (N, L, W); a `name` gives others than the fakes' styles."""
        key = [*turn.noise.key, name] if name else turn.noise.key
        generator: Any = self.generator
        label, mapping, layers = self.condition(turn.batch.label), generator.mapping, generator.synthesis.layers
        w = mapping(self.latents(turn.batch, key), label, track=not name)
        if self.mixing == 0:
            return spread(w, layers)
        other = mapping(self.latents(turn.batch, [*key, "mixing"]), label)
        return mixed(w, other, layers, self.mixing, turn.noise, name)

    def samples_from(self, generator: nn.Module, psi: float, latent: Tensor, label: Tensor | None) -> Tensor:
        return self.postprocess(generator(latent, label, psi))

    def spaces(self, networks: Mapping[str, nn.Module], truncation_psi: float = 1.0) -> dict[str, Space]:
        generator: Any = networks["generator"]
        w = StyleSpace(generator.mapping, generator.synthesis, self.postprocess, truncation_psi)
        make = lambda latent, label: self.samples_from(generator, truncation_psi, latent, label)  # noqa: E731
        return {"w": w, "z": LatentSpace(self.latent, generator, make)}


class StyleGame(StyleBased):
    """The game of a style-based generator that does not grow, and a critic.

    Args:
        mixing: share of the samples whose finer layers get the style of a second latent.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        latent: Gaussian,
        loss: AdversarialLoss,
        mixing: Share = 0.9,
        **conditions: Unpack[Conditions],
    ) -> None:
        super().__init__(generator, discriminator, latent, loss, **conditions)
        self.mixing = mixing
