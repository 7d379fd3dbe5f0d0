"""Adversarial objectives: each player's loss as a function of the discriminator's logits.

All are per sample: they take a `Match` and return shape (N,). Logits are raw (no sigmoid). If a critic answers by
patch, (N, ...), the loss is computed for each patch and averaged. The losses stand side by side, so that their
differences can be read off.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Interval
from torch import Tensor, nn
from torch.nn.functional import relu, softplus

from gan_cli.base.distributed import global_mean
from gan_cli.base.errors import UserError
from gan_cli.base.limits import Positive
from gan_cli.base.types import Match, per_sample

Updates = Annotated[int, Interval(ge=1, le=1_000)]  # discriminator updates in a step; at most 100 are published
Ahead = Annotated[int, Interval(ge=0, le=100)]  # updates, whose graphs are all held at once; published: 1 to 10


class AdversarialLoss(nn.Module):
    """The interface of a loss, and the settings that belong to it.

    Args:
        n_critic: discriminator updates for each generator update, each on a fresh batch.
        penalties: terms that belong to this loss by definition (WGAN-GP's gradient penalty), by name.
        unroll_steps: critic updates that the generator looks ahead (`unrolled`); 0: none.

    Attributes:
        zero_sum: whether the generator minimises exactly what the discriminator maximises.
        undecided_at_zero: whether a logit of 0 means that the discriminator can't tell real from fake, as ADA assumes.
    """

    zero_sum: ClassVar[bool] = False
    undecided_at_zero: ClassVar[bool] = False

    def __init__(
        self, n_critic: Updates = 1, penalties: Mapping[str, nn.Module] | None = None, unroll_steps: Ahead = 0
    ) -> None:
        super().__init__()
        self.n_critic, self.unroll_steps = n_critic, unroll_steps
        self.penalties = nn.ModuleDict(dict(penalties or {}))

    def discriminator(self, match: Match) -> Tensor:
        """Compute the discriminator's loss, (N,)."""
        raise NotImplementedError

    def generator(self, match: Match) -> Tensor:
        """Compute the generator's loss, (N,)."""
        raise NotImplementedError

    def generator_real(self, match: Match) -> Tensor:
        """Compute the term of the real side, (N,), that players add to `generator` if they move that side too.

        An encoder E of a critic that sees (x, E(x)) wants that pair taken for a fake (Donahue et al. 2017, eq. 3). The
        term mirrors `generator`; it is zero if `generator` has the real logits already.

        Raises:
            UserError: the loss has no such term.
        """
        raise UserError(f"{type(self).__name__} has no term for players that move the real side: no generator_real")

    def unrolled(self, match: Match) -> Tensor:
        """Compute the generator's loss, (N,), against a discriminator that is updates ahead and so depends on it.

        In a zero-sum game it is the full value (Metz et al. 2017, eq. 2): its real term, a constant otherwise, now
        moves with the generator. In other games it is the generator's usual loss.
        """
        return -self.discriminator(match) if self.zero_sum else self.generator(match)

    def constrain(self, parameters: Iterable[Tensor]) -> None:
        """Constrain the discriminator's parameters after each of its updates; by default, do nothing."""


class Minimax(AdversarialLoss):
    """The zero-sum game; its generator's gradient vanishes if the discriminator is sure.

    Goodfellow et al. 2014, eq. 1: D maximises log D(x) + log(1 - D(G(z))), G minimises it, that is, the second term.
    """

    zero_sum = True
    undecided_at_zero = True

    def discriminator(self, match: Match) -> Tensor:
        return per_sample(softplus(-match.real_logits) + softplus(match.fake_logits))

    def generator(self, match: Match) -> Tensor:
        return per_sample(-softplus(match.fake_logits))

    def generator_real(self, match: Match) -> Tensor:
        return per_sample(-softplus(-match.real_logits))


class NonSaturating(AdversarialLoss):
    """Minimax with a generator that maximises log D(G(z)) instead (Goodfellow et al. 2014, sec. 3)."""

    undecided_at_zero = True

    def discriminator(self, match: Match) -> Tensor:
        return per_sample(softplus(-match.real_logits) + softplus(match.fake_logits))

    def generator(self, match: Match) -> Tensor:
        return per_sample(softplus(-match.fake_logits))

    def generator_real(self, match: Match) -> Tensor:
        return per_sample(softplus(match.real_logits))


class LeastSquares(AdversarialLoss):
    """LSGAN with the targets a = 0, b = c = 1 (Mao et al. 2017, eq. 9)."""

    def discriminator(self, match: Match) -> Tensor:
        return per_sample(0.5 * (match.real_logits - 1).square() + 0.5 * match.fake_logits.square())

    def generator(self, match: Match) -> Tensor:
        return per_sample(0.5 * (match.fake_logits - 1).square())

    def generator_real(self, match: Match) -> Tensor:
        return per_sample(0.5 * match.real_logits.square())


class Hinge(AdversarialLoss):
    """The hinge loss (Lim and Ye 2017; Miyato et al. 2018, eq. 16 and 17)."""

    undecided_at_zero = True

    def discriminator(self, match: Match) -> Tensor:
        return per_sample(relu(1 - match.real_logits) + relu(1 + match.fake_logits))

    def generator(self, match: Match) -> Tensor:
        return per_sample(-match.fake_logits)

    def generator_real(self, match: Match) -> Tensor:
        return per_sample(match.real_logits)


class Wasserstein(AdversarialLoss):
    """The Wasserstein critic (Arjovsky et al. 2017, algorithm 1); minus its loss estimates the distance.

    With `clip`, every critic weight is cut to [-clip, clip] after each update (the paper's
    Lipschitz constraint). WGAN-GP (Gulrajani et al. 2017) is this loss without clipping and with
    the gradient penalty among its `penalties`. The reference code's longer critic training at the
    start (100 updates for each of the first 25) is in neither paper, and is not done here.
    """

    zero_sum = True

    @staticmethod
    def refusal(
        clip: float | None = None, unroll_steps: int = 0, *, model: dict[str, Any], choices: dict[str, str]
    ) -> str | None:
        """Return why clipped weights do not go with these options, or None (see `check.rules`)."""
        if clip is None:
            return None
        if unroll_steps:
            return (
                f"loss={choices['loss']} clips critic weights, and unrolling does not look through that;"
                " loss=wgan_gp fits"
            )
        if "equalized" not in (model.get("provides") or ()):
            return None
        return (
            f"loss={choices['loss']} clips critic weights to {clip}, and model={choices['model']} scales its weights at"
            " run time, where that is next to nothing; loss=wgan_gp fits"
        )

    def __init__(
        self,
        n_critic: Updates = 5,
        penalties: Mapping[str, nn.Module] | None = None,
        clip: Positive | None = None,
        unroll_steps: Ahead = 0,
    ) -> None:
        super().__init__(n_critic, penalties, unroll_steps)
        self.clip = clip

    def discriminator(self, match: Match) -> Tensor:
        return per_sample(match.fake_logits - match.real_logits)

    def generator(self, match: Match) -> Tensor:
        return per_sample(-match.fake_logits)

    def generator_real(self, match: Match) -> Tensor:
        return per_sample(match.real_logits)

    def constrain(self, parameters: Iterable[Tensor]) -> None:
        if self.clip is not None:
            with torch.no_grad():
                for parameter in parameters:
                    parameter.clamp_(-self.clip, self.clip)


class RelativisticAverage(AdversarialLoss):
    """RaSGAN: is a real more real than the average fake? (Jolicoeur-Martineau 2018, sec. 4.2)

    Both means are over the global batch, and gradients flow through them.
    """

    def discriminator(self, match: Match) -> Tensor:
        real, fake = match.real_logits, match.fake_logits
        return per_sample(softplus(-(real - global_mean(fake))) + softplus(fake - global_mean(real)))

    def generator(self, match: Match) -> Tensor:
        real, fake = match.real_logits, match.fake_logits
        return per_sample(softplus(real - global_mean(fake)) + softplus(-(fake - global_mean(real))))

    def generator_real(self, match: Match) -> Tensor:
        return torch.zeros_like(per_sample(match.real_logits))


class RelativisticPairing(AdversarialLoss):
    """RpGAN: is each real more real than the fake it is paired with? (Jolicoeur-Martineau 2018, eq. 7 and 8)"""

    def discriminator(self, match: Match) -> Tensor:
        return per_sample(softplus(match.fake_logits - match.real_logits))

    def generator(self, match: Match) -> Tensor:
        return per_sample(softplus(match.real_logits - match.fake_logits))

    def generator_real(self, match: Match) -> Tensor:
        return torch.zeros_like(per_sample(match.real_logits))
