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

from gan_cli.base.errors import Interrupted, PictureError, RunError, UserError

Made = TypeVar("Made")
_left: list[bool] = []  # of the process: a world can't be joined twice


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def world_described() -> int:
    """How many processes torch's elastic agent or torchrun says there are."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def joined() -> bool:
    return dist.is_initialized()


def has_left() -> bool:
    """Whether this process was in a world: the others of it don't wait for it any more."""
    return bool(_left)


def join() -> None:
    """Join the world that torch's elastic agent or torchrun has described in the environment, if any.

    Raises:
        RunError: this process has left it before.
    """
    if has_left():
        raise RunError("the other processes are gone, since an earlier run failed in this one alone; start them again")
    if not dist.is_initialized() and world_described() > 1:
        # optimizers import this; where that happens after joining, its default arguments hold the group for ever, so
        # that `leave` can't end gloo's threads, and a thread still running when Python ends now and then aborts it
        import torch._dynamo

        dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")


def leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()
        _left.append(True)


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
    """Carry out what may fail on one process alone, as reading pictures does: then the work of all of them ends, at
    the same point.

    Every process must call it. Of one within another the inner failure counts.

    Raises:
        PictureError: the same on every process.
        Exception: whatever else `work` raises, here or on another process; `agreed` says so of it.
    """
    if world_size() == 1:
        return work()
    made, fault = None, None
    try:
        made = work()
    except Exception as error:
        if getattr(error, "agreed", False):  # within: the others have met it there
            raise
        fault = error
    if any_process(int(fault is not None)):
        faults: list[Exception | None] = [None] * world_size()
        dist.all_gather_object(faults, fault if fault is None else as_told(fault))
        first = next(told for told in faults if told is not None)
        failure = first if fault is None or isinstance(fault, PictureError) else fault
        failure.agreed = True  # type: ignore[attr-defined]
        raise failure
    return made  # type: ignore[return-value]


def as_told(error: Exception) -> Exception:
    """A failure as another process can raise it."""
    if isinstance(error, (UserError, RunError)):
        return error
    if isinstance(error, OSError) and error.errno is not None:
        return OSError(error.errno, error.strerror, error.filename)
    return RunError(f"{type(error).__name__}: {error}")


def agreed(error: BaseException) -> bool:
    """Whether every process meets this failure at the same point, and then waits to be told what comes next."""
    return isinstance(error, (RunError, Interrupted)) or getattr(error, "agreed", False)


def peer_lost(error: BaseException) -> bool:
    """Whether an exchange failed since another process is gone."""
    return isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error))


def broadcast_text(text: str) -> str:
    """Process 0's `text`, on every process."""
    if world_size() == 1:
        return text
    box = [text]
    dist.broadcast_object_list(box, src=0)
    return box[0]
