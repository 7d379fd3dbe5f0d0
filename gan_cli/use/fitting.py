"""The game of a checkpoint, built from its config within a budget that follows from its weights.

Both may come from a stranger, and a width in a config of 1 KB can ask for any amount of memory.
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

FROM_SIZES = (torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn)
FACTORIES: frozenset[Any] = frozenset(  # functions that make a tensor of a size that is passed to them
    (
        *FROM_SIZES,
        *(torch.full, torch.randint, torch.randperm, torch.eye, torch.arange, torch.linspace, torch.logspace),
        *(torch.empty_strided, Tensor.new_empty, Tensor.new_zeros, Tensor.new_ones, Tensor.new_full),
    )
)
EXTRA_ELEMENTS = 2**24  # for tensors that no checkpoint holds: fixed kernels, and temporary ones of an initialisation
MODULES_PER_TENSOR = 64  # of a checkpoint; a few thousand modules are allowed besides


def fitting_game(config: GameConfig, weights: Mapping[str, Tensor], trust: Sequence[str], what: str) -> Game:
    """Build the game of a config and load weights into it.

    The pretrained network that outputs may be compared in is left out: training alone needs it, and no checkpoint holds
    it.

    Args:
        config: what the game is built from.
        weights: the state of the game.
        trust: packages whose classes the config may use.
        what: the file that both come from, for errors.

    Raises:
        UserError: the config names a class that is not allowed, or can't be built.
        RunError: the config builds other networks than those of the weights, or larger ones.
    """
    config = config.without("perceptual")
    elements = 2 * sum(value.numel() for value in weights.values()) + EXTRA_ELEMENTS
    with bounded(elements, 4096 + MODULES_PER_TENSOR * len(weights), what):
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
    """A counter of the elements of all new tensors; it counts them before they are allocated."""

    def __init__(self, take: Callable[[int], None]) -> None:
        super().__init__()
        self.take = take

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in FACTORIES and str(kwargs.get("device")) != "meta":
            options = {key: value for key, value in kwargs.items() if key not in ("generator", "out", "pin_memory")}
            factory = torch.empty if func in FROM_SIZES else func  # the meta device takes a second to find the others
            self.take(factory(*args, **{**options, "device": "meta"}).numel())
        return func(*args, **kwargs)


@contextmanager
def bounded(elements: int, count: int, what: str) -> Iterator[None]:
    """Limit the elements of new tensors, and the modules that are put together, while the context is open.

    Raises:
        RunError: a limit is exceeded.
    """
    left = {"elements": elements, "modules": count}

    def take(kind: str, number: int) -> None:
        left[kind] -= number
        if left[kind] < 0:
            raise RunError(f"the config in {what} builds networks that are larger than what the file holds")

    def count_module(module: nn.Module, name: str, value: nn.Module | None) -> None:
        take("modules", 1)

    handle = modules.register_module_module_registration_hook(count_module)
    try:
        with Budget(lambda number: take("elements", number)):
            yield
    finally:
        handle.remove()
