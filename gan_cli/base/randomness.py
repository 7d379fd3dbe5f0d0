"""Random numbers: each draw of a run is a function of the seed and of the draw's purpose.

No generator is kept from step to step. So a checkpoint needs no generator state, and a resumed run draws the same
numbers as an uninterrupted one. A job that draws samples between two steps can't disturb training.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

AT_ONCE = 16  # samples in one forward pass where nothing is trained; see `in_blocks`


def derive_seed(*key: object) -> int:
    """Compute a seed of 63 bits from a key such as `(seed, first_image, "latent")`; it is the same on every machine."""
    text = "\x1f".join(str(part) for part in key)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def generator_for(device: torch.device | str, *key: object) -> torch.Generator:
    """Make a generator on `device`, seeded by `key`; for the meta device, which has none, it is on the CPU."""
    device = "cpu" if torch.device(device).type == "meta" else device
    return torch.Generator(device=device).manual_seed(derive_seed(*key))


def seed_everything(*key: object) -> None:
    """Seed the global generators of the CPU and of the accelerator in use by `key` (for dropout, noise in networks).

    `torch.manual_seed` does the same, but each call also formats a Python stack for each missing accelerator. That
    takes half a millisecond each, and every update seeds.
    """
    seed = derive_seed(*key)
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)
    if torch.backends.mps.is_available():
        torch.mps.manual_seed(seed)


def permutation(count: int, *key: object) -> Tensor:
    """Draw a permutation of `range(count)`: shape (count,), int64, on the CPU."""
    return torch.randperm(count, generator=generator_for("cpu", *key))


def in_blocks(
    make: Callable[..., Tensor], *rows: Tensor | None, size: int = AT_ONCE, key: tuple[object, ...] = (0, "sample")
) -> Iterator[Tensor]:
    """Yield `make(*rows)` in blocks of `size` rows, so that the result of row i does not depend on the number of rows.

    Kernels sum in another order at another batch size. So the last block is filled up with copies of its last row, and
    the copies' results are dropped. Random draws inside networks are seeded by `key` and the number of the block.

    Args:
        make: maps rows (size, ...) of each tensor to (size, ...); each output row depends on its input row alone.
        rows: tensors (N, ...), or None, which is passed on.
        size: rows of a block.
        key: seeds the draws inside networks.
    """
    for count, block in blocks(rows, size, key):
        yield make(*block)[:count]


def blocks(
    rows: Sequence[Tensor | None], size: int = AT_ONCE, key: tuple[object, ...] = (0, "sample")
) -> Iterator[tuple[int, list[Tensor | None]]]:
    """Yield (number of true rows, block of `size` rows); seed the global generators before each block.

    The last block is filled up with copies of its last row.
    """
    total = len(next(tensor for tensor in rows if tensor is not None))
    for number, start in enumerate(range(0, total, size)):
        count = min(size, total - start)
        seed_everything(*key, number)
        yield count, [None if tensor is None else _filled(tensor[start : start + count], size) for tensor in rows]


def _filled(rows: Tensor, size: int) -> Tensor:
    return rows if len(rows) == size else torch.cat([rows, rows[-1:].expand(size - len(rows), *rows.shape[1:])])


def joined(parts: Iterator[Tensor], size: int) -> Iterator[Tensor]:
    """Yield the rows of the tensors in `parts`, in order, `size` rows at a time; the last tensor may be smaller."""
    waiting: list[Tensor] = []
    for part in parts:
        waiting.append(part)
        while sum(map(len, waiting)) >= size:
            together = torch.cat(waiting)
            yield together[:size]
            waiting = [together[size:]] if len(together) > size else []
    if waiting:
        yield torch.cat(waiting)
