"""A pool of older generated pictures for the critic (Shrivastava et al. 2017)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gan_cli.base import distributed
from gan_cli.base.types import Noise


class ImagePool(nn.Module):
    """A pool of `size` pictures; half of the pictures that pass through it are swapped for older ones.

    Its content is a buffer, so that a checkpoint holds it. Each of several processes puts in the pictures of the whole
    global batch, in its order, and so holds the same pool.
    """

    agreed = True  # equal on all processes by construction: not averaged among them

    def __init__(self, size: int = 50) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("images", torch.zeros(0))
        self.images: Tensor

    @torch.no_grad()
    def exchange(self, fresh: Tensor, noise: Noise, name: str) -> Tensor:
        """Exchange fresh pictures (N, ...) for pictures (N, ...), detached.

        Until the pool is full, each picture is kept and passed on. Then, with probability one half, it is kept and an
        older one leaves the pool in its place.
        """
        fresh = fresh.detach()
        if self.size == 0:
            return fresh
        pictures, chances = distributed.gathered(fresh), self._chances(len(fresh), noise, name)
        passed_on = pictures.clone()
        for number, (swap, place) in enumerate(chances):
            picture = pictures[number : number + 1]
            if len(self.images) < self.size:
                self.images = torch.cat([self.images.to(picture.dtype).reshape(-1, *picture.shape[1:]), picture])
            elif swap < 0.5:
                old = self.images[int(place * self.size)]
                passed_on[number] = old
                old.copy_(picture[0])
        return passed_on[distributed.rank() * len(fresh) :][: len(fresh)]

    @staticmethod
    def _chances(count: int, noise: Noise, name: str) -> list[list[float]]:
        """Draw two numbers for each picture of all processes, on the CPU, where they are read."""
        batch, processes = noise.batch, distributed.world_size()
        each = batch.total // processes
        offset = batch.start - distributed.rank() * each  # where this part of an accumulated batch begins
        drawn = noise.on_cpu().whole(name, 2).tolist()
        return [row for rank in range(processes) for row in drawn[rank * each + offset :][:count]]

    def _load_from_state_dict(self, state_dict, prefix, *rest) -> None:  # type: ignore[no-untyped-def]
        """Load the pool; one that has begun to fill has another shape than an empty one."""
        kept = state_dict.get(f"{prefix}images")
        if kept is not None:
            self.images = torch.zeros_like(kept, device=self.images.device)
        super()._load_from_state_dict(state_dict, prefix, *rest)
