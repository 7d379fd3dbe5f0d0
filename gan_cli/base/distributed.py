"""Training in several processes: joining their world, and the values that they exchange.

Networks are plain modules, not wrapped in DDP: each update makes one flat all-reduce of its gradients. So two forwards
before one backward, double backward and lazy phases need no special rules. With one process, the exchanges do nothing
and cost nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from gan_cli.base.errors import Interrupted, PictureError, RunError, UserError

Result = TypeVar("Result")
_left: list[bool] = []  # not empty once this process has left its world, which can't be joined twice


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def world_described() -> int:
    """Return the number of processes that torch's elastic agent or torchrun announces in the environment."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def joined() -> bool:
    return dist.is_initialized()


def has_left() -> bool:
    """Return whether this process has left a world; its other processes no longer wait for it."""
    return bool(_left)


def join() -> None:
    """Join the world that torch's elastic agent or torchrun describes in the environment, if there is one.

    Raises:
        RunError: this process has left it before.
    """
    if has_left():
        raise RunError("the other processes are gone, since an earlier run failed in this one alone; start them again")
    if not dist.is_initialized() and world_described() > 1:
        # Optimizers import this. If that happens after joining, its default arguments keep the process group alive:
        # `leave` then can't end gloo's threads, and a thread that still runs when Python ends can abort the process.
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
    """Replace each tensor in place by its mean over the processes, in one flat all-reduce per dtype."""
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
    """The mean of the processes' means of equal batches, differentiable: each process's loss depends on all of them."""

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
    """Compute the mean of `values` over the global batch: a scalar, differentiable on every process."""
    mean = values.mean()
    return mean if world_size() == 1 else _GlobalMean.apply(mean)


def gathered(tensor: Tensor) -> Tensor:
    """Concatenate the processes' tensors, all of one shape, along the first dimension in the order of ranks."""
    if world_size() == 1:
        return tensor
    parts = [torch.empty_like(tensor) for _ in range(world_size())]
    dist.all_gather(parts, tensor.contiguous())
    return torch.cat(parts)


def any_process(flag: int) -> int:
    """Return the largest `flag` of all processes, so that they can stop after the same step. It waits for no GPU."""
    if world_size() == 1:
        return flag
    tensor = torch.tensor(flag)
    dist.all_reduce(tensor, op=dist.ReduceOp.MAX)
    return int(tensor)


def all_or_none(work: Callable[[], Result]) -> Result:
    """Call `work` and return its result; where it fails on one process, raise on all of them, at the same point.

    It is for work that may fail on one process alone, such as reading pictures. Every process must call it. Where
    calls are nested, the failure of the inner one counts.

    Raises:
        PictureError: the same on every process.
        Exception: any other failure of `work`, here or on another process; `agreed` returns True for it.
    """
    if world_size() == 1:
        return work()
    result, fault = None, None
    try:
        result = work()
    except Exception as error:
        if getattr(error, "agreed", False):  # from a nested call, where the other processes raised it too
            raise
        fault = error
    if any_process(int(fault is not None)):
        faults: list[Exception | None] = [None] * world_size()
        dist.all_gather_object(faults, fault if fault is None else as_sent(fault))
        first = next(received for received in faults if received is not None)
        failure = first if fault is None or isinstance(fault, PictureError) else fault
        failure.agreed = True  # type: ignore[attr-defined]
        raise failure
    return result  # type: ignore[return-value]


def as_sent(error: Exception) -> Exception:
    """Convert a failure to one that can be sent to another process and raised there."""
    if isinstance(error, (UserError, RunError)):
        return error
    if isinstance(error, OSError) and error.errno is not None:
        return OSError(error.errno, error.strerror, error.filename)
    return RunError(f"{type(error).__name__}: {error}")


def agreed(error: BaseException) -> bool:
    """Return whether every process meets this failure at the same point, and then waits for what comes next."""
    return isinstance(error, (RunError, Interrupted)) or getattr(error, "agreed", False)


def peer_lost(error: BaseException) -> bool:
    """Return whether an exchange failed because another process is gone."""
    return isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error))


def broadcast_text(text: str) -> str:
    """Return process 0's `text` on every process."""
    if world_size() == 1:
        return text
    box = [text]
    dist.broadcast_object_list(box, src=0)
    return box[0]
