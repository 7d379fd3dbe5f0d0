"""A history of generated pictures, from which the critic is shown some (Shrivastava et al. 2017)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gan_cli.base import distributed
from gan_cli.base.types import Noise


class ImagePool(nn.Module):
    """Keeps `size` pictures; half of what passes through it is swapped for older ones.

    Its content is a buffer, so that a checkpoint holds it. Several processes put in the pictures of the whole
    global batch, in its order, and so hold the same pool.
    """

    agreed = True  # equal on all processes by construction: not averaged among them

    def __init__(self, size: int = 50) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("images", torch.zeros(0))
        self.images: Tensor

    @torch.no_grad()
    def exchange(self, fresh: Tensor, noise: Noise, name: str) -> Tensor:
        """(N, ...) in, (N, ...) out, detached: until the pool is full each picture is kept and passed on; then,
        with probability one half, an older one comes out in its place and it stays."""
        fresh = fresh.detach()
        if self.size == 0:
            return fresh
        everything, chances = distributed.gathered(fresh), self._chances(len(fresh), noise, name)
        passed_on = everything.clone()
        for number, (swap, place) in enumerate(chances):
            picture = everything[number : number + 1]
            if len(self.images) < self.size:
                self.images = torch.cat([self.images.to(picture.dtype).reshape(-1, *picture.shape[1:]), picture])
            elif swap < 0.5:
                old = self.images[int(place * self.size)]
                passed_on[number] = old
                old.copy_(picture[0])
        return passed_on[distributed.rank() * len(fresh) :][: len(fresh)]

    @staticmethod
    def _chances(count: int, noise: Noise, name: str) -> list[list[float]]:
        """Two numbers for each gathered picture; drawn on the CPU, where they are read."""
        batch, processes = noise.batch, distributed.world_size()
        each = batch.total // processes
        offset = batch.start - distributed.rank() * each  # of this part of an accumulated batch
        drawn = noise.on_cpu().whole(name, 2).tolist()
        return [row for rank in range(processes) for row in drawn[rank * each + offset :][:count]]

    def _load_from_state_dict(self, state_dict, prefix, *rest) -> None:  # type: ignore[no-untyped-def]
        """A pool that has begun to fill has another shape than an empty one."""
        kept = state_dict.get(f"{prefix}images")
        if kept is not None:
            self.images = torch.zeros_like(kept, device=self.images.device)
        super()._load_from_state_dict(state_dict, prefix, *rest)
