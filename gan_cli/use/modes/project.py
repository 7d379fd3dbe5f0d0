"""The latent behind a picture, by gradient descent on its code."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from gan_cli.base.randomness import generator_for, seed_everything
from gan_cli.use.modes.trained_space import TrainedSpace


@dataclass
class Projection:
    """What was found: the code (1, S) or (1, L, S), its picture (1, C, R, R), and the distance at each step."""

    code: Tensor
    picture: Tensor
    curve: list[float]


def distance(made: Tensor, wanted: Tensor) -> Tensor:
    """Mean squared difference of pixels, averaged over a pyramid of halved pictures down to 4 pixels."""
    total, levels = (made - wanted).square().mean(), 1
    while made.shape[2] >= 8:
        made, wanted = avg_pool2d(made, 2), avg_pool2d(wanted, 2)
        total, levels = total + (made - wanted).square().mean(), levels + 1
    return total / levels


def project(
    space: TrainedSpace,
    wanted: Tensor,
    label: Tensor | None,
    steps: int,
    seed: int,
    told: Callable[[int], object] = lambda step: None,
    rate: float = 0.1,
) -> Projection:
    """Search for the code whose picture is nearest to `wanted`, (1, C, R, R) in [-1, 1].

    After Karras et al. 2020 (appendix D): from the mean of w (from the best of 256 draws in z), Adam with a rate that
    warms up over a twentieth and falls as a cosine over the last quarter, noise on the code that dies out over the
    first three quarters. In w all layers have a style of their own. Distances are of pixels over a pyramid, where the
    paper has LPIPS; the networks' own noise is fixed, not sought.
    """
    wanted = wanted.to(space.trained.device)
    for parameter in space.trained.game.parameters():
        parameter.requires_grad_(False)
    code, spread = start(space, wanted, label, seed)
    code.requires_grad_()
    optimizer = torch.optim.Adam([code], lr=rate, betas=(0.9, 0.999))
    noise = generator_for(space.trained.device, seed, "project")
    best, curve = (math.inf, code.detach().clone()), []
    for step in range(steps):
        done = step / steps
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, done / 0.05 + 1 / steps) * ramp_down(done)
        shaken = 0.05 * spread * max(0.0, 1 - done / 0.75) ** 2
        drawn = torch.randn(code.shape, generator=noise, device=code.device)
        seed_everything(0, "sample")
        found = distance(space.image(code + shaken * drawn, label), wanted)
        optimizer.zero_grad()
        (code.grad,) = torch.autograd.grad(found, [code])
        if found.item() < best[0] and shaken == 0:
            best = (found.item(), code.detach().clone())
        optimizer.step()
        curve.append(found.item())
        told(step)
    code = best[1] if math.isfinite(best[0]) else code.detach()
    with torch.no_grad():
        return Projection(code.cpu(), space.image(code, label).float().clamp(-1, 1).cpu(), curve)


def ramp_down(done: float) -> float:
    return 0.5 - 0.5 * math.cos(math.pi * min(1.0, (1 - done) / 0.25))


@torch.no_grad()
def start(space: TrainedSpace, wanted: Tensor, label: Tensor | None, seed: int) -> tuple[Tensor, float]:
    """Where the search begins, and how far codes lie from each other."""
    latent = space.trained.given(256, seed, purpose="project_start")["latent"]
    labels = None if label is None else label.expand(256)
    codes = space.codes(latent, labels)
    spread = (codes - codes.mean(0)).square().sum(1).mean().sqrt().item() / math.sqrt(codes.shape[1])
    if space.space.has_middle:
        return codes.mean(0)[None, None].repeat(1, space.space.layers, 1), spread
    made = torch.cat(list(space.draw(codes, labels, 64))).to(wanted.device)
    near = min(range(256), key=lambda row: distance(made[row : row + 1], wanted).item())
    return codes[near : near + 1].clone(), spread
