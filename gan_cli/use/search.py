"""What minimises an objective over a space of a trained run: one search for projections, anomalies and guidance."""

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

Objective = Callable[[Tensor, Tensor], Tensor]  # samples (M, ...), which query each is for (M,) -> (M,), its own alone
STARTS = 256  # codes among which the first ones are looked for


@dataclass
class Found:
    """The best codes of Q queries, on the CPU.

    Attributes:
        codes: (Q, S), or (Q, L, S) in a space of several layers.
        samples: (Q, ...), of those codes.
        values: (Q,), of the objective there.
        curves: (Q, steps), of the objective in the search that came nearest.
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

    After Karras et al. 2020 (appendix D): from the mean of the codes where that stands for a sample, else from the best
    of 256 draws; Adam with a rate that warms up over a twentieth and falls as a cosine over the last quarter, noise on
    the code that dies out over the first three quarters. In a space of several layers each has a code of its own. What
    the networks draw themselves is fixed, not sought. What is found for a query does not depend on the others, but for
    rounding: kernels add up in another order at another batch size.

    Args:
        space: of a trained run, whose parameters are frozen.
        objective: least where a query is met; of each sample alone.
        queries: how many there are, Q.
        label: (Q,), of a conditional model.
        restarts: searches for each query, from different codes, at most 256; the best one is kept.
        rate: of Adam.
        at_once: searches that are held in memory at a time, all restarts of one query at least.
        title: of the bar.

    Raises:
        UserError: more restarts than there are codes to start from.
    """
    if restarts > STARTS:
        raise UserError(f"restarts={restarts} is more than the {STARTS} codes that a search may start from")
    for parameter in space.trained.game.parameters():
        parameter.requires_grad_(False)
    draws: dict[int | None, Draws] = {}
    parts = torch.arange(queries).split(max(1, at_once // restarts))
    found = []
    with Progress(title, steps * len(parts), "steps") as step_done:
        for part in parts:
            rows = part.repeat_interleave(restarts)
            labels = None if label is None else label[rows]
            starts = [start(space, objective, int(row), label, seed, restarts, draws) for row in part]
            codes, spread = (torch.cat(some) for some in zip(*starts, strict=True))
            descent = Descent(space, objective, rows, labels, spread)
            curves = descent.run(codes, steps, seed, rate, step_done)
            found.append(nearest(descent, curves, restarts))
    return Found(*(torch.cat(some) for some in zip(*found, strict=True)))


@dataclass
class Draws:
    """Codes (256, S) of one class, how far they lie from each other, and their samples where they were looked at."""

    codes: Tensor
    spread: float
    samples: Tensor | None


@torch.no_grad()
def start(
    space: TrainedSpace,
    objective: Objective,
    query: int,
    label: Tensor | None,
    seed: int,
    restarts: int,
    draws: dict[int | None, Draws],
) -> tuple[Tensor, Tensor]:
    """Where the searches for a query begin, (restarts, ...), and how far codes lie from each other, (restarts,).

    Args:
        draws: those of classes that were met already.
    """
    own = None if label is None else int(label[query])
    if own not in draws:
        draws[own] = drawn(space, own, seed)
    known = draws[own]
    spread = torch.full((restarts,), known.spread, device=known.codes.device)
    if known.samples is None:
        middle = torch.cat([known.codes.mean(0, keepdim=True), known.codes[: restarts - 1]])
        return middle[:, None].repeat(1, space.space.layers, 1), spread
    values = objective(known.samples, torch.full((STARTS,), query))
    return known.codes[values.argsort()[:restarts].to(known.codes.device)], spread


@torch.no_grad()
def drawn(space: TrainedSpace, label: int | None, seed: int) -> Draws:
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
        space, objective: as of `search`.
        rows: (M,), the query of each search.
        labels: (M,), of a conditional model.
        spread: (M,), how far codes lie from each other.

    Attributes:
        codes: (M, ...), the best of each.
    """

    codes: Tensor

    def __init__(
        self, space: TrainedSpace, objective: Objective, rows: Tensor, labels: Tensor | None, spread: Tensor
    ) -> None:
        self.space, self.objective, self.rows, self.labels, self.spread = space, objective, rows, labels, spread

    def look(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Samples (M, ...) of codes, and the objective of each (M,)."""
        seed_everything(0, "sample")
        samples = self.space.image(codes, self.labels)
        return samples, self.objective(samples, self.rows)

    def run(
        self, codes: Tensor, steps: int, seed: int, rate: float, step_done: Callable[[], object] = lambda: None
    ) -> Tensor:
        """Search from `codes`; returns the objective by step, (M, steps)."""
        codes = codes.clone().requires_grad_()
        alike = [-1, *[1] * (codes.dim() - 1)]  # one number for each search, beside its code
        optimizer = torch.optim.Adam([codes], lr=rate, betas=(0.9, 0.999))
        noise = generator_for(codes.device, seed, "project")
        best_codes, best = codes.detach().clone(), torch.full((len(codes),), math.inf, device=codes.device)
        curves = []
        for step in range(steps):
            done = step / steps
            for group in optimizer.param_groups:
                group["lr"] = rate * min(1.0, done / 0.05 + 1 / steps) * ramp_down(done)
            shaken = 0.05 * max(0.0, 1 - done / 0.75) ** 2
            drawn = torch.randn((1, *codes.shape[1:]), generator=noise, device=codes.device)  # one for all searches
            _, values = self.look(codes + shaken * self.spread.view(alike) * drawn)
            (slope,) = torch.autograd.grad(values.sum(), [codes])
            codes.grad = slope.nan_to_num(0.0, 0.0, 0.0)  # one step to where there is no value must not end a search
            values = values.detach()
            if shaken == 0:
                nearer = values < best
                best = torch.where(nearer, values, best)
                best_codes[nearer] = codes.detach()[nearer]
            optimizer.step()
            curves.append(values)
            step_done()
        self.codes = torch.where(best.isfinite().view(alike), best_codes, codes.detach())
        return torch.stack(curves, 1)


@torch.no_grad()
def nearest(descent: Descent, curves: Tensor, restarts: int) -> list[Tensor]:
    """Of each query's restarts that which came nearest: codes, samples, values, curves; on the CPU."""
    samples, values = descent.look(descent.codes)
    best = values.nan_to_num(nan=math.inf).view(-1, restarts).argmin(1)
    chosen = best + torch.arange(len(best), device=best.device) * restarts
    return [some[chosen.to(some.device)].cpu() for some in (descent.codes, samples.float(), values, curves)]


def ramp_down(done: float) -> float:
    """The factor on the rate at a share of the search: 1, falling to 0 over the last quarter."""
    return 0.5 - 0.5 * math.cos(math.pi * min(1.0, (1 - done) / 0.25))
