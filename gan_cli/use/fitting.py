"""The game of a checkpoint, built by its config within what its weights take.

Both may be a stranger's, and a width in a config of 1 KB asks for any amount of memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as modules
from torch.overrides import TorchFunctionMode

from gan_cli.base.errors import RunError
from gan_cli.base.printable import printable
from gan_cli.base.run_config import GameConfig
from gan_cli.game.build import build_game
from gan_cli.game.game import Game

OF_A_SIZE = (torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn)
FACTORIES: frozenset[Any] = frozenset(  # what makes a tensor of a size that it is told
    (
        *OF_A_SIZE,
        *(torch.full, torch.randint, torch.randperm, torch.eye, torch.arange, torch.linspace, torch.logspace),
        *(torch.empty_strided, Tensor.new_empty, Tensor.new_zeros, Tensor.new_ones, Tensor.new_full),
    )
)
BESIDE = 2**24  # elements of what is in no checkpoint: kernels, and what an initialisation needs on the way
MODULES = 64  # for each tensor of a checkpoint, and some thousands besides


def fitting_game(config: GameConfig, weights: Mapping[str, Tensor], trust: Sequence[str], what: str) -> Game:
    """The game of a config, with given weights.

    The trained network that it may be compared in is left out: training alone needs it, and it is in no checkpoint.

    Args:
        config: what the game is built of.
        weights: the state of its game.
        trust: packages whose classes it may use.
        what: the file that both are of, for errors.

    Raises:
        UserError: a class that is not allowed, or can't be built.
        RunError: the config builds other networks than the weights are of, or larger ones.
    """
    config = config.without("perceptual")
    elements = 2 * sum(value.numel() for value in weights.values()) + BESIDE
    with bounded(elements, 4096 + MODULES * len(weights), what):
        game = build_game(config, trust)
    try:
        if any(value.is_complex() for value in weights.values()):
            raise RuntimeError("complex numbers")
        game.load_state_dict(weights)
    except (RuntimeError, AttributeError, TypeError) as error:
        reason = printable(str(error).strip().splitlines()[-1].strip())
        raise RunError(f"{what} does not hold the networks that its config builds ({reason})") from error
    return game


class Budget(TorchFunctionMode):
    """Counts the elements of all tensors that are made, before they are made."""

    def __init__(self, take: Callable[[int], None]) -> None:
        super().__init__()
        self.take = take

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in FACTORIES and str(kwargs.get("device")) != "meta":
            wanted = {key: value for key, value in kwargs.items() if key not in ("generator", "out", "pin_memory")}
            made = torch.empty if func in OF_A_SIZE else func  # on that device others take a second to be found
            self.take(made(*args, **{**wanted, "device": "meta"}).numel())
        return func(*args, **kwargs)


@contextmanager
def bounded(elements: int, count: int, what: str) -> Iterator[None]:
    """While it is open, no more than so many elements are made, and no more modules put together.

    Raises:
        RunError: more.
    """
    left = {"elements": elements, "modules": count}

    def take(kind: str, number: int) -> None:
        left[kind] -= number
        if left[kind] < 0:
            raise RunError(f"the config in {what} builds networks that are larger than what the file holds")

    def part(module: nn.Module, name: str, value: nn.Module | None) -> None:
        take("modules", 1)

    handle = modules.register_module_module_registration_hook(part)
    try:
        with Budget(lambda number: take("elements", number)):
            yield
    finally:
        handle.remove()
