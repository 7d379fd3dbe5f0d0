"""Several processes: joining the world, and the few things that processes tell each other.

Networks are plain modules, not wrapped in DDP: each update makes one flat all-reduce of its
gradients. Two forwards before one backward, double backward and lazy phases then need no rules.
With one process every function here is the identity and costs nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from gan_cli.base.errors import PictureError

Made = TypeVar("Made")


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def world_described() -> int:
    """How many processes torch's elastic agent or torchrun says there are."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def join() -> None:
    """Join the world that torch's elastic agent or torchrun has described in the environment, if any."""
    if not dist.is_initialized() and world_described() > 1:
        # optimizers import this; where that happens after joining, its default arguments hold the group for ever, so
        # that `leave` can't end gloo's threads, and a thread still running when Python ends now and then aborts it
        import torch._dynamo

        dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")


def leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def barrier() -> None:
    if dist.is_initialized():
        dist.barrier()


@torch.no_grad()
def average(tensors: Iterable[Tensor]) -> None:
    """Replace each tensor by its mean over processes, in one flat all-reduce per dtype."""
    if world_size() == 1:
        return
    by_dtype: dict[torch.dtype, list[Tensor]] = {}
    for tensor in tensors:
        by_dtype.setdefault(tensor.dtype, []).append(tensor)
    for same in by_dtype.values():
        flat = torch.cat([tensor.reshape(-1) for tensor in same])
        dist.all_reduce(flat)
        flat /= world_size()
        parts = flat.split([tensor.numel() for tensor in same])
        torch._foreach_copy_(same, [part.view_as(tensor) for part, tensor in zip(parts, same, strict=True)])


class _GlobalMean(torch.autograd.Function):
    """Mean of equal-sized processes' means; each process's loss depends on all of them."""

    @staticmethod
    def forward(ctx: object, local_mean: Tensor) -> Tensor:
        total = local_mean.clone()
        dist.all_reduce(total)
        return total / world_size()

    @staticmethod
    def backward(ctx: object, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total / world_size()


def global_mean(values: Tensor) -> Tensor:
    """The mean of `values` over the global batch, a scalar, differentiable on every process."""
    mean = values.mean()
    return mean if world_size() == 1 else _GlobalMean.apply(mean)


def gathered(tensor: Tensor) -> Tensor:
    """All processes' tensors of one shape, joined along the first dimension in the order of their ranks."""
    if world_size() == 1:
        return tensor
    parts = [torch.empty_like(tensor) for _ in range(world_size())]
    dist.all_gather(parts, tensor.contiguous())
    return torch.cat(parts)


def any_process(flag: int) -> int:
    """The largest `flag` of all processes: how they agree to stop after the same step. Waits for no GPU."""
    if world_size() == 1:
        return flag
    tensor = torch.tensor(flag)
    dist.all_reduce(tensor, op=dist.ReduceOp.MAX)
    return int(tensor)


def all_or_none(work: Callable[[], Made]) -> Made:
    """Carry out what reads pictures: where one process can't, the work of all of them ends, at the same point.

    Every process must call it.

    Raises:
        PictureError: the same on every process.
    """
    if world_size() == 1:
        return work()
    made, fault = None, ""
    try:
        made = work()
    except PictureError as error:
        fault = str(error)
    if any_process(int(bool(fault))):
        faults = [""] * world_size()
        dist.all_gather_object(faults, fault)
        raise PictureError(next(told for told in faults if told))
    return made  # type: ignore[return-value]


def broadcast_text(text: str) -> str:
    """Process 0's `text`, on every process."""
    if world_size() == 1:
        return text
    box = [text]
    dist.broadcast_object_list(box, src=0)
    return box[0]
