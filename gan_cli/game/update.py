"""One optimizer step of one player: the only place with `backward()` and `step()`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor

from gan_cli.base import distributed
from gan_cli.base.types import Batch, Noise, State
from gan_cli.game.game import Game, Turn
from gan_cli.game.meter import Meter
from gan_cli.game.phase import Phase

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class Updater:
    """The updates of a run: each call carries out one phase.

    Args:
        game: the game of the phases.
        device: the device of the training.
        accumulate: number of equal parts into which a batch is cut; their gradients add up.
        precision: "float32", "bfloat16", or "float16" (with a loss scaler). Matches whose penalties take input
            gradients are judged in float32 in any case.
        meter: receives each update's scalars.
    """

    def __init__(self, game: Game, device: torch.device, accumulate: int, precision: str, meter: Meter) -> None:
        self.game, self.device, self.accumulate, self.meter = game, device, accumulate, meter
        self.dtype = DTYPES[precision]
        self.scaler = torch.amp.GradScaler(device.type, enabled=precision == "float16")

    def __call__(self, phase: Phase, batch: Batch, state: State, keep: bool = False) -> None:
        """Move `phase`'s networks once; with `keep`, leave the fakes' graph for a later phase of this step."""
        updates = state.updates.get(phase.name, 0)
        due = {n: p for n, p in phase.penalties.items() if phase.regularizes or updates % p.every == 0}
        phase.course.set(phase.optimizer, state.images)
        phase.optimizer.zero_grad(set_to_none=True)
        seen: list[dict[str, Tensor]] = []
        with frozen_but(self.game, phase):
            for part in batch.split(self.accumulate):
                noise = Noise(self.device, part, state.seed)
                turn = Turn(self.game, phase, part, noise, due, keep and self.accumulate == 1)
                turn.seed()
                with self._autocast():
                    terms = terms_of(turn)
                    total = torch.stack([term.float().mean() for term in terms.values()]).sum()
                self.scaler.scale(total / self.accumulate).backward(inputs=phase.parameters)
                seen.append(self._scalars(turn, terms, total))
        self._step(phase, seen, state, kept=batch.fakes is not None)
        state.updates[phase.name] = updates + 1

    def _step(self, phase: Phase, seen: list[dict[str, Tensor]], state: State, kept: bool) -> None:
        for parameter in phase.parameters:  # a network may have parts that this game does not use
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        gradients = [parameter.grad for parameter in phase.parameters if parameter.grad is not None]
        # average the whole game's buffers: a phase may write those of networks it does not move (a critic's batch
        # norm); but with a kept graph the generator's must not be written: its later phase averages them
        owners = phase.networks if kept else [self.game]
        distributed.average([*gradients, *(buffer for owner in owners for buffer in shared_buffers(owner))])
        self.scaler.unscale_(phase.optimizer)
        norm = torch.nn.utils.get_total_norm(gradients)
        self.scaler.step(phase.optimizer)
        self.scaler.update()
        if phase.constraint is not None:
            phase.constraint(phase.parameters)
        means = (
            {name: torch.stack([part[name] for part in seen]).mean() for name in seen[0]} if len(seen) > 1 else seen[0]
        )
        if not self.scaler.is_enabled():  # float16: the scaler meets overflow by skipping the step
            means[f"gradient_norm/{phase.curve}"] = norm
        self.meter.add(state.step, means)

    def _autocast(self) -> AbstractContextManager:
        if self.dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, self.dtype)

    def _scalars(self, turn: Turn, terms: dict[str, Tensor], total: Tensor) -> dict[str, Tensor]:
        scalars = {f"{turn.player.name}/{name}": term.detach().float().mean() for name, term in terms.items()}
        scalars[f"loss/{turn.phase.curve}"] = total.detach()
        if turn.player.judges:
            if isinstance(p := getattr(turn.game.augment, "p", None), Tensor):
                scalars["augment/p"] = p.detach().clone()
            for match in turn.matches:
                scalars.update({f"logits/{name}": logits.mean() for name, logits in match.seen().items()})
        return scalars


def terms_of(turn: Turn) -> dict[str, Tensor]:
    """Compute all terms that the turn's player minimises, by name: the game's losses, then the due penalties.

    Raises:
        ValueError: two terms have the same name; one would silently replace the other.
    """
    terms = {} if turn.phase.regularizes else dict(turn.game.losses(turn))
    for name, penalty in turn.penalties.items():
        for label, term in penalty.terms(name, turn).items():
            if label in terms:
                raise ValueError(f"two terms of the {turn.player.name} are called {label!r}")
            terms[label] = term * penalty.every
    return terms


def shared_buffers(owner: torch.nn.Module) -> Iterator[Tensor]:
    """Yield the floating-point buffers that can differ between ranks; modules that are `agreed` have none of these."""
    for module in owner.modules():
        if not getattr(module, "agreed", False):
            yield from (buffer for buffer in module.buffers(recurse=False) if buffer.is_floating_point())


@contextmanager
def frozen_but(game: Game, phase: Phase) -> Iterator[None]:
    """Freeze the critics that this phase does not move, and put its `standing` networks in evaluation mode.

    Without their weight gradients an update takes less memory and time. Generators keep theirs: a critic's turn may
    draw fakes with their graph.
    """
    moved = set(map(id, phase.parameters))
    judged = game.networks_of(*(player for player in game.players if not player.judges))
    kept = {id(p) for network in judged.values() for p in network.parameters()}
    others = [p for p in game.parameters() if id(p) not in moved and id(p) not in kept and p.requires_grad]
    standing = [module for network in phase.standing for module in network.modules() if module.training]
    for parameter in others:
        parameter.requires_grad_(False)
    for module in standing:
        module.training = False
    try:
        yield
    finally:
        for parameter in others:
            parameter.requires_grad_(True)
        for module in standing:
            module.training = True


def keeps_graph(due: Sequence[Phase], now: int) -> bool:
    """Return whether phase `due[now]` should keep its fakes' graph for the generators' next phase.

    True if such a phase comes later in this step and draws no new batch.
    """
    later = next((phase for phase in due[now + 1 :] if not phase.player.judges), None)
    critic = due[now]  # while the generator is in evaluation mode, its graph is of no use later
    return critic.player.judges and not critic.standing and later is not None and later.repeat == 1
