"""Unrolled GANs (Metz et al. 2017): the generator plays against the critic as it would be after K more updates.

These updates are made on a functional copy of the critic, with the optimizer class that trains the critic. The
generator's gradient goes through them (second order). The critic, its statistics and its optimizer do not change.
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
NOISE = 1e-8  # below Adam's eps: rounding errors of a zero gradient, which each step would amplify by 1 / eps


class Unrollable(Protocol):
    """The part of a game that unrolling needs: a module with a loss (`game.Game`)."""

    loss: AdversarialLoss

    def named_parameters(self) -> Any: ...

    def named_buffers(self) -> Any: ...

    def class_terms(self, match: Match, judges: bool) -> dict[str, Tensor]: ...


class Question(nn.Module):
    """A match's critic as a module that holds the game's tensors, so that copies can replace them."""

    def __init__(self, game: Unrollable, match: Match) -> None:
        super().__init__()
        self.game, self.match = game, match

    def forward(self, *shown: Tensor | None) -> Tensor | CriticOutput:
        return self.match.critic(*shown)


def unrolled(game: Unrollable, phase: Phase, matches: list[Match], steps: int) -> list[Match]:
    """Return the same matches with critics that are `steps` updates ahead, on the same reals and fakes.

    Args:
        phase: the phase that moves the critics; each of these updates uses its optimizer and its penalties.
    """
    # at a schedule's end no update moves anything (and Adam would divide by 0)
    if phase.optimizer.param_groups[0]["lr"] == 0:
        return matches
    moved_ids = {id(parameter) for parameter in phase.parameters}
    weights = {
        name: parameter.detach().clone().requires_grad_()
        for name, parameter in game.named_parameters()
        if id(parameter) in moved_ids
    }
    order = {id(parameter): name for name, parameter in game.named_parameters()}
    names = [order[id(parameter)] for parameter in phase.parameters]
    state = copy.deepcopy(phase.optimizer.state_dict())
    states = [state["state"].get(number, {}) for number in range(len(names))]
    buffers = {name: buffer.clone() for name, buffer in game.named_buffers()}
    for _ in range(steps):
        now = with_tensors(game, matches, {**buffers, **weights})
        total = critic_objective(game, phase, now)
        gradients = torch.autograd.grad(total, [weights[name] for name in names], create_graph=True, allow_unused=True)
        moved = {name: weights[name].clone() for name in names}
        optimizer = differentiable_optimizer(phase, [moved[name] for name in names], states)
        for name, gradient in zip(names, gradients, strict=True):
            moved[name].grad = guarded_gradient(torch.zeros_like(moved[name]) if gradient is None else gradient)
        optimizer.step()
        states = [dict(optimizer.state[moved[name]]) for name in names]
        weights = moved
    return with_tensors(game, matches, {**buffers, **weights})


def guarded_gradient(gradient: Tensor) -> Tensor:
    """Detach the gradient's entries that are rounding noise, and replace those nearest to 0 by `TINY`."""
    constant = torch.where(gradient.abs() < TINY, torch.full_like(gradient, TINY), gradient.detach())
    return torch.where(gradient.abs() < NOISE, constant, gradient)


def with_tensors(game: Unrollable, matches: list[Match], tensors: dict[str, Tensor]) -> list[Match]:
    """Return the matches with critics that use `tensors` in place of the game's."""
    replacements = {f"game.{name}": value for name, value in tensors.items()}

    def critic(match: Match) -> Any:
        question = Question(game, match)
        return lambda *shown: functional_call(question, replacements, shown)

    return [
        Match(
            critic(match), match.real, match.fake, match.noise, match.suffix, precise=match.precise, label=match.label
        )
        for match in matches
    ]


def critic_objective(game: Unrollable, phase: Phase, matches: list[Match]) -> Tensor:
    """Compute the sum that the critics minimise: their losses and their penalties."""
    terms = [game.loss.discriminator(match).mean() for match in matches]
    terms += [term.mean() for match in matches for term in game.class_terms(match, judges=True).values()]
    for penalty in phase.penalties.values():
        for match in matches:
            penalty_match = Match(match.critic, match.real, match.fake, match.noise, match.suffix, frozenset(), True)
            if "real" in penalty.differentiates:
                penalty_match.real = penalty_match.leaf(match.real)
            # the fakes stay attached: the generator's gradient includes how they change the penalty
            terms.append(penalty.of(penalty_match).mean())
    return torch.stack(terms).sum()


def differentiable_optimizer(phase: Phase, parameters: list[Tensor], states: list[StateDict]) -> torch.optim.Optimizer:
    """Make a differentiable optimizer, of the phase's class and state, for tensors that have a history."""
    (group,) = phase.optimizer.param_groups
    optimizer_class: Any = type(phase.optimizer)
    accepted = inspect.signature(optimizer_class).parameters
    options = {key: value for key, value in group.items() if key in accepted and key != "params"}
    optimizer = optimizer_class(parameters, **{**options, "differentiable": True, "foreach": False})
    for parameter, state in zip(parameters, states, strict=True):
        optimizer.state[parameter] = {
            key: value.clone() if isinstance(value, Tensor) else value for key, value in state.items()
        }
    return optimizer
