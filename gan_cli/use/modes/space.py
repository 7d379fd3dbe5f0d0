"""The space in which a trained generator's samples are moved: latents z, or styles w behind a mapping."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from gan_cli.base.errors import UserError
from gan_cli.base.randomness import AT_ONCE, in_blocks, joined
from gan_cli.use.sample import Trained


def has_styles(trained: Trained) -> bool:
    """Whether the generator has a mapping and a synthesis network."""
    generator = trained.generators.get("generator")
    return hasattr(generator, "mapping") and hasattr(generator, "synthesis")


class Space:
    """Codes (N, S) of samples: w where the generator has a mapping (unless `name` is "z"), else z.

    Raises:
        UserError: a model without latents, w asked of one without a mapping, or a truncation that does nothing.
    """

    def __init__(self, trained: Trained, name: str | None = None, truncation_psi: float = 1.0) -> None:
        if trained.gan.latent is None:
            raise UserError("this model is given pictures and draws nothing from latents; say input=FOLDER_OR_IMAGE")
        if name == "w" and not has_styles(trained):
            raise UserError("space=w needs a model with a mapping network, as stylegan and stylegan2")
        self.trained, self.truncation_psi = trained, truncation_psi
        self.name = name or ("w" if has_styles(trained) else "z")
        self.generator: Any = trained.generators["generator"]

    @torch.no_grad()
    def codes(self, latent: Tensor, label: Tensor | None) -> Tensor:
        """(N, Z) -> (N, S) on the model's device; truncated, where there is a mapping in w alone."""
        latent = latent.to(self.trained.device)
        if self.name == "z":
            near = self.truncation_psi != 1 and not has_styles(self.trained)
            return self.trained.gan.truncated(latent, self.truncation_psi) if near else latent
        w = torch.cat(list(in_blocks(self.generator.mapping, latent, self.there(label))))
        return self.generator.mapping.truncated(w, self.truncation_psi)

    def between(self, a: Tensor, b: Tensor, place: Tensor) -> Tensor:
        """(N, S) at places (N, 1) in [0, 1]: on a line in w, on the latent distribution's own way in z."""
        assert self.trained.gan.latent is not None
        return torch.lerp(a, b, place) if self.name == "w" else self.trained.gan.latent.between(a, b, place)

    def image(self, codes: Tensor, label: Tensor | None) -> Tensor:
        """Samples with their graph, (N, C, R, R), of codes (N, S) or, in w, of styles for each layer (N, L, S)."""
        if self.name == "w":
            made = self.generator.synthesis(codes)
        elif self.truncation_psi != 1 and has_styles(self.trained):
            made = self.generator(codes, self.there(label), self.truncation_psi)
        else:
            made = self.generator(codes, self.there(label))
        return self.trained.gan.finished(made)

    @torch.no_grad()
    def draw(self, codes: Tensor, label: Tensor | None, batch_size: int) -> Iterator[Tensor]:
        """Samples in batches, on the CPU."""
        for made in joined(in_blocks(self.block, codes, label, size=min(batch_size, AT_ONCE)), batch_size):
            yield made.float().clamp(-1, 1).cpu()

    def block(self, codes: Tensor, label: Tensor | None) -> Tensor:
        return self.image(codes.to(self.trained.device), label)

    def there(self, label: Tensor | None) -> Tensor | None:
        return None if label is None else label.to(self.trained.device)
