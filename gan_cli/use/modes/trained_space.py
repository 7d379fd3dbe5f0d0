"""A space of a trained run, and the samples of codes in it."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from gan_cli.base.errors import UserError
from gan_cli.base.randomness import AT_ONCE, in_blocks, joined
from gan_cli.game.space import Space
from gan_cli.use.load import Trained

GIVEN_PICTURES = "this model is given pictures and draws nothing from latents; say input=FOLDER_OR_IMAGE"


class TrainedSpace:
    """One space of a trained run.

    Attributes:
        name: of the space; the model's best one, unless another is requested.
        space: turns latents into codes, and codes into samples.

    Raises:
        UserError: the model has no latents or no such space, or the truncation would do nothing.
    """

    def __init__(self, trained: Trained, name: str | None = None, truncation_psi: float = 1.0) -> None:
        spaces = trained.game.spaces(trained.networks, truncation_psi)
        if not spaces:
            raise UserError(GIVEN_PICTURES)
        if name is not None and name not in spaces:
            raise UserError(
                f"space={name} is none of this model's, which has {' and '.join(spaces)};"
                " w needs a model with a mapping network"
            )
        self.trained, self.name = trained, name or next(iter(spaces))
        self.space: Space = spaces[self.name]

    @torch.no_grad()
    def codes(self, latent: Tensor, label: Tensor | None) -> Tensor:
        """Convert latents (N, Z) to codes (N, S) on the model's device, truncated where the space truncates."""
        rows = (latent.to(self.trained.device), self.on_device(label))
        return torch.cat(list(in_blocks(self.space.codes, *rows)))

    def image(self, codes: Tensor, label: Tensor | None) -> Tensor:
        """Compute samples (N, ...) with their graph, from codes (N, S) or, with several layers, (N, L, S)."""
        return self.space.samples(codes.to(self.trained.device), self.on_device(label))

    @torch.no_grad()
    def draw(self, codes: Tensor, label: Tensor | None, batch_size: int) -> Iterator[Tensor]:
        """Yield samples of codes in batches, on the CPU."""
        for samples in joined(in_blocks(self.image, codes, label, size=min(batch_size, AT_ONCE)), batch_size):
            samples = samples.float().cpu()
            yield samples.clamp(-1, 1) if self.trained.medium.bounded else samples

    def on_device(self, label: Tensor | None) -> Tensor | None:
        return None if label is None else label.to(self.trained.device)
