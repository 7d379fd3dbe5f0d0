"""Every random number of a run is a function of the seed and of what it is drawn for.

Nothing is drawn from a generator that lives on from step to step, so a checkpoint needs no
generator state, a resumed run draws what the uninterrupted one would have drawn, and a job that
draws samples between two steps can't disturb training.
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor


def derive_seed(*key: object) -> int:
    """A seed of 63 bits from a key such as `(seed, first_image, "latent")`; equal on every machine."""
    text = "\x1f".join(str(part) for part in key)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def generator_for(device: torch.device | str, *key: object) -> torch.Generator:
    """A fresh generator on `device`, seeded by `key`."""
    return torch.Generator(device=device).manual_seed(derive_seed(*key))


def seed_everything(*key: object) -> None:
    """Seed torch's global generators (dropout, in-network noise) by `key`."""
    torch.manual_seed(derive_seed(*key))


def permutation(count: int, *key: object) -> Tensor:
    """A permutation of `range(count)`, shape (count,), int64, on the CPU."""
    return torch.randperm(count, generator=generator_for("cpu", *key))
