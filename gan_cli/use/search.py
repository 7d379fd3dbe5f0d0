"""A search for codes of a trained run that minimise an objective: one for projections, anomalies and guidance."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from gan_cli.base.errors import UserError
from gan_cli.base.progress import Progress
from gan_cli.base.randomness import generator_for, seed_everything
from gan_cli.use.modes.trained_space import TrainedSpace

Objective = Callable[[Tensor, Tensor], Tensor]  # (samples (M, ...), their queries (M,)) -> values (M,), one a sample
STARTS = 256  # random codes among which a search finds its start


@dataclass
class Found:
    """The best codes of Q queries, on the CPU.

    Attributes:
        codes: (Q, S), or (Q, L, S) in a space of several layers.
        samples: (Q, ...), of those codes.
        values: (Q,), the objective of those samples.
        curves: (Q, steps), the objective by step, of the best restart.
    """

    codes: Tensor
    samples: Tensor
    values: Tensor
    curves: Tensor


def search(
    space: TrainedSpace,
    objective: Objective,
    queries: int = 1,
    label: Tensor | None = None,
    steps: int = 500,
    seed: int = 0,
    restarts: int = 1,
    rate: float = 0.1,
    at_once: int = 64,
    title: str = "searching latents",
) -> Found:
    """Search for the code of each query whose sample has the least objective, many queries at once.

    The method follows Karras et al. 2020 (appendix D). A search starts from the mean of the codes where the mean stands
    for a sample, else from the best of 256 draws. Adam's rate warms up over a twentieth of the steps and falls as a
    cosine over the last quarter. Noise on the code dies out over the first three quarters. In a space of several
    layers, each layer has its own code. Random inputs that the networks draw themselves stay fixed. The result of a
    query does not depend on the other queries, except for rounding: kernels sum in another order at another batch size.

    Args:
        space: of a trained run, whose parameters are frozen.
        objective: least where a query is met; a function of each sample alone.
        queries: their number, Q.
        label: (Q,), of a conditional model.
        steps: of each search.
        restarts: searches for each query, from different codes, at most 256; the best one is kept.
        rate: of Adam.
        at_once: searches that are held in memory at a time, but at least all restarts of one query.
        title: of the progress bar.

    Raises:
        UserError: `restarts` is more than the codes to start from.
    """
    if restarts > STARTS:
        raise UserError(f"restarts={restarts} is more than the {STARTS} codes that a search may start from")
    for parameter in space.trained.game.parameters():
        parameter.requires_grad_(False)
    draws: dict[int | None, Draws] = {}
    groups = torch.arange(queries).split(max(1, at_once // restarts))
    results = []
    with Progress(title, steps * len(groups), "steps") as step_done:
        for group in groups:
            rows = group.repeat_interleave(restarts)
            labels = None if label is None else label[rows]
            starts = [starting_codes(space, objective, int(row), label, seed, restarts, draws) for row in group]
            codes, spread = (torch.cat(column) for column in zip(*starts, strict=True))
            descent = Descent(space, objective, rows, labels, spread)
            curves = descent.run(codes, steps, seed, rate, step_done)
            results.append(best_restarts(descent, curves, restarts))
    return Found(*(torch.cat(column) for column in zip(*results, strict=True)))


@dataclass
class Draws:
    """Random codes (256, S) of one class, their spread, and their samples if searches start from the best sample."""

    codes: Tensor
    spread: float
    samples: Tensor | None


@torch.no_grad()
def starting_codes(
    space: TrainedSpace,
    objective: Objective,
    query: int,
    label: Tensor | None,
    seed: int,
    restarts: int,
    draws: dict[int | None, Draws],
) -> tuple[Tensor, Tensor]:
    """Choose codes (restarts, ...) from which a query's searches start; return them and the spread of codes,
    (restarts,).

    Args:
        draws: random codes by class; the function adds those of a new class.
    """
    query_class = None if label is None else int(label[query])
    if query_class not in draws:
        draws[query_class] = draw_codes(space, query_class, seed)
    known = draws[query_class]
    spread = torch.full((restarts,), known.spread, device=known.codes.device)
    if known.samples is None:
        middle = torch.cat([known.codes.mean(0, keepdim=True), known.codes[: restarts - 1]])
        return middle[:, None].repeat(1, space.space.layers, 1), spread
    values = objective(known.samples, torch.full((STARTS,), query))
    return known.codes[values.argsort()[:restarts].to(known.codes.device)], spread


@torch.no_grad()
def draw_codes(space: TrainedSpace, label: int | None, seed: int) -> Draws:
    latent = space.trained.given(STARTS, seed, purpose="project_start")["latent"]
    labels = None if label is None else torch.full((STARTS,), label)
    codes = space.codes(latent, labels)
    spread = (codes - codes.mean(0)).square().sum(1).mean().sqrt().item() / math.sqrt(codes.shape[1])
    if space.space.has_middle:
        return Draws(codes, spread, None)
    return Draws(codes, spread, torch.cat(list(space.draw(codes, labels, 64))).to(codes.device))


class Descent:
    """Searches side by side.

    Args:
        space, objective: as for `search`.
        rows: (M,), the query of each search.
        labels: (M,), of a conditional model.
        spread: (M,), the deviation of random codes from their mean, by dimension.

    Attributes:
        codes: (M, ...), the best of each search.
    """

    codes: Tensor

    def __init__(
        self, space: TrainedSpace, objective: Objective, rows: Tensor, labels: Tensor | None, spread: Tensor
    ) -> None:
        self.space, self.objective, self.rows, self.labels, self.spread = space, objective, rows, labels, spread

    def look(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the samples (M, ...) of codes, and the objective of each, (M,)."""
        seed_everything(0, "sample")
        samples = self.space.image(codes, self.labels)
        return samples, self.objective(samples, self.rows)

    def run(
        self, codes: Tensor, steps: int, seed: int, rate: float, step_done: Callable[[], object] = lambda: None
    ) -> Tensor:
        """Search from `codes`; return the objective by step, (M, steps)."""
        codes = codes.clone().requires_grad_()
        per_search = [-1, *[1] * (codes.dim() - 1)]  # one number for each search, beside its code
        optimizer = torch.optim.Adam([codes], lr=rate, betas=(0.9, 0.999))
        noise = generator_for(codes.device, seed, "project")
        best_codes, best = codes.detach().clone(), torch.full((len(codes),), math.inf, device=codes.device)
        curves = []
        for step in range(steps):
            done = step / steps
            for group in optimizer.param_groups:
                group["lr"] = rate * min(1.0, done / 0.05 + 1 / steps) * ramp_down(done)
            noise_level = 0.05 * max(0.0, 1 - done / 0.75) ** 2
            normal = torch.randn((1, *codes.shape[1:]), generator=noise, device=codes.device)  # one for all searches
            _, values = self.look(codes + noise_level * self.spread.view(per_search) * normal)
            (slope,) = torch.autograd.grad(values.sum(), [codes])
            codes.grad = slope.nan_to_num(0.0, 0.0, 0.0)  # one gradient that is not finite must not end a search
            values = values.detach()
            if noise_level == 0:
                nearer = values < best
                best = torch.where(nearer, values, best)
                best_codes[nearer] = codes.detach()[nearer]
            optimizer.step()
            curves.append(values)
            step_done()
        self.codes = torch.where(best.isfinite().view(per_search), best_codes, codes.detach())
        return torch.stack(curves, 1)


@torch.no_grad()
def best_restarts(descent: Descent, curves: Tensor, restarts: int) -> list[Tensor]:
    """Select the best restart of each query; return its codes, samples, values and curves, on the CPU."""
    samples, values = descent.look(descent.codes)
    best = values.nan_to_num(nan=math.inf).view(-1, restarts).argmin(1)
    chosen = best + torch.arange(len(best), device=best.device) * restarts
    return [tensor[chosen.to(tensor.device)].cpu() for tensor in (descent.codes, samples.float(), values, curves)]


def ramp_down(done: float) -> float:
    """Return the factor on the rate at a share `done` of the search: 1, falling to 0 over the last quarter."""
    return 0.5 - 0.5 * math.cos(math.pi * min(1.0, (1 - done) / 0.25))
