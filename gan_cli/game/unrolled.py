"""Unrolled GANs (Metz et al. 2017): the generator plays against the critic that would come of K more updates.

The critic's updates are made on a functional copy, by the very optimizer that trains it, and the generator's gradient
goes through them: second order. The critic itself, its statistics and its optimizer are left as they are.
"""

from __future__ import annotations

import copy
import inspect
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call

from gan_cli.base.records import StateDict
from gan_cli.base.types import CriticOutput, Match
from gan_cli.game.phase import Phase
from gan_cli.losses.adversarial import AdversarialLoss

TINY = 1e-12  # a gradient of exactly 0 would make the derivative of Adam's square root infinite
NOISE = 1e-8  # below Adam's eps: what rounding makes of a gradient that is 0, amplified by 1 / eps at each step


class Unrollable(Protocol):
    """What a look ahead needs of a game: a module with a loss (`game.Game`)."""

    loss: AdversarialLoss

    def named_parameters(self) -> Any: ...

    def named_buffers(self) -> Any: ...

    def class_terms(self, match: Match, judges: bool) -> dict[str, Tensor]: ...


class Question(nn.Module):
    """A match's critic as a module that has the game's tensors, so that copies can stand in for them."""

    def __init__(self, game: Unrollable, match: Match) -> None:
        super().__init__()
        self.game, self.match = game, match

    def forward(self, *shown: Tensor | None) -> Tensor | CriticOutput:
        return self.match.critic(*shown)


def unrolled(game: Unrollable, phase: Phase, matches: list[Match], steps: int) -> list[Match]:
    """The same matches against critics `steps` updates later, on the same reals and fakes.

    Args:
        phase: that which moves the critics: their optimizer, and the penalties that are due with each step.
    """
    if (
        phase.optimizer.param_groups[0]["lr"] == 0
    ):  # a schedule's end: no update moves anything (and Adam would divide by 0)
        return matches
    mine = {id(parameter) for parameter in phase.parameters}
    weights = {
        name: parameter.detach().clone().requires_grad_()
        for name, parameter in game.named_parameters()
        if id(parameter) in mine
    }
    order = {id(parameter): name for name, parameter in game.named_parameters()}
    names = [order[id(parameter)] for parameter in phase.parameters]
    state = copy.deepcopy(phase.optimizer.state_dict())
    states = [state["state"].get(number, {}) for number in range(len(names))]
    buffers = {name: buffer.clone() for name, buffer in game.named_buffers()}
    for _ in range(steps):
        now = against(game, matches, {**buffers, **weights})
        total = sum_of(game, phase, now)
        found = torch.autograd.grad(total, [weights[name] for name in names], create_graph=True, allow_unused=True)
        moved = {name: weights[name].clone() for name in names}
        optimizer = stand_in(phase, [moved[name] for name in names], states)
        for name, gradient in zip(names, found, strict=True):
            moved[name].grad = guarded(torch.zeros_like(moved[name]) if gradient is None else gradient)
        optimizer.step()
        states = [dict(optimizer.state[moved[name]]) for name in names]
        weights = moved
    return against(game, matches, {**buffers, **weights})


def guarded(gradient: Tensor) -> Tensor:
    """The same values, but nothing is differentiated through those that are noise, and none is 0."""
    fixed = torch.where(gradient.abs() < TINY, torch.full_like(gradient, TINY), gradient.detach())
    return torch.where(gradient.abs() < NOISE, fixed, gradient)


def against(game: Unrollable, matches: list[Match], tensors: dict[str, Tensor]) -> list[Match]:
    """Matches whose critics use `tensors` in place of the game's own."""
    given = {f"game.{name}": value for name, value in tensors.items()}

    def critic(match: Match) -> Any:
        question = Question(game, match)
        return lambda *shown: functional_call(question, given, shown)

    return [
        Match(
            critic(match), match.real, match.fake, match.noise, match.suffix, precise=match.precise, label=match.label
        )
        for match in matches
    ]


def sum_of(game: Unrollable, phase: Phase, matches: list[Match]) -> Tensor:
    """What the critics minimise: their loss and their penalties."""
    terms = [game.loss.discriminator(match).mean() for match in matches]
    terms += [term.mean() for match in matches for term in game.class_terms(match, judges=True).values()]
    for penalty in phase.penalties.values():
        for match in matches:
            own = Match(match.critic, match.real, match.fake, match.noise, match.suffix, frozenset(), True)
            if "real" in penalty.differentiates:
                own.real = own.leaf(match.real)
            # the fakes stay attached: how they move the penalty is part of the generator's gradient
            terms.append(penalty.of(own).mean())
    return torch.stack(terms).sum()


def stand_in(phase: Phase, parameters: list[Tensor], states: list[StateDict]) -> torch.optim.Optimizer:
    """An optimizer of the phase's kind and state for tensors that have a history."""
    (group,) = phase.optimizer.param_groups
    made: Any = type(phase.optimizer)
    known = inspect.signature(made).parameters
    options = {key: value for key, value in group.items() if key in known and key != "params"}
    optimizer = made(parameters, **{**options, "differentiable": True, "foreach": False})
    for parameter, state in zip(parameters, states, strict=True):
        optimizer.state[parameter] = {
            key: value.clone() if isinstance(value, Tensor) else value for key, value in state.items()
        }
    return optimizer
