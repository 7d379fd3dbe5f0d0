"""Every random number of a run is a function of the seed and of what it is drawn for.

Nothing is drawn from a generator that lives on from step to step, so a checkpoint needs no
generator state, a resumed run draws what the uninterrupted one would have drawn, and a job that
draws samples between two steps can't disturb training.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

AT_ONCE = 16  # samples that go through a network at once where nothing is trained; see `in_blocks`


def derive_seed(*key: object) -> int:
    """A seed of 63 bits from a key such as `(seed, first_image, "latent")`; equal on every machine."""
    text = "\x1f".join(str(part) for part in key)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def generator_for(device: torch.device | str, *key: object) -> torch.Generator:
    """A fresh generator on `device`, seeded by `key`; on the CPU for the meta device, which has none."""
    there = "cpu" if torch.device(device).type == "meta" else device
    return torch.Generator(device=there).manual_seed(derive_seed(*key))


def seed_everything(*key: object) -> None:
    """Seed the global generators of the CPU and of the accelerator in use (dropout, in-network noise) by `key`.

    As `torch.manual_seed` does, which at every call also formats a Python stack for each accelerator that is not there,
    half a millisecond each: this stands in every update.
    """
    seed = derive_seed(*key)
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)
    if torch.backends.mps.is_available():
        torch.mps.manual_seed(seed)


def permutation(count: int, *key: object) -> Tensor:
    """A permutation of `range(count)`, shape (count,), int64, on the CPU."""
    return torch.randperm(count, generator=generator_for("cpu", *key))


def in_blocks(
    make: Callable[..., Tensor], *rows: Tensor | None, size: int = AT_ONCE, key: tuple[object, ...] = (0, "sample")
) -> Iterator[Tensor]:
    """Yield `make(*rows)` in blocks of `size` rows, so that what comes of row i does not depend on how many there are.

    Kernels add up in another order at another batch size: the last block is filled up with its last row, and cut
    again. What networks draw by themselves is seeded by `key` and the number of the block.

    Args:
        make: rows (size, ...) of each tensor -> (size, ...), each row from its own alone.
        rows: (N, ...) each, or None, which is passed on.
    """
    for here, some in blocks(rows, size, key):
        yield make(*some)[:here]


def blocks(
    rows: Sequence[Tensor | None], size: int = AT_ONCE, key: tuple[object, ...] = (0, "sample")
) -> Iterator[tuple[int, list[Tensor | None]]]:
    """Yield blocks of `size` rows, the last one filled up, each with how many of them count; seeds before each."""
    count = len(next(some for some in rows if some is not None))
    for number, start in enumerate(range(0, count, size)):
        here = min(size, count - start)
        seed_everything(*key, number)
        yield here, [None if some is None else _filled(some[start : start + here], size) for some in rows]


def _filled(some: Tensor, size: int) -> Tensor:
    return some if len(some) == size else torch.cat([some, some[-1:].expand(size - len(some), *some.shape[1:])])


def joined(parts: Iterator[Tensor], size: int) -> Iterator[Tensor]:
    """Yield the rows of `parts` again, `size` at a time."""
    waiting: list[Tensor] = []
    for part in parts:
        waiting.append(part)
        while sum(map(len, waiting)) >= size:
            together = torch.cat(waiting)
            yield together[:size]
            waiting = [together[size:]] if len(together) > size else []
    if waiting:
        yield torch.cat(waiting)
