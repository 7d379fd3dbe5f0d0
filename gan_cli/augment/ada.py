"""Adaptive discriminator augmentation (Karras et al. 2020, "Training GANs with limited data").

It has the pixel blitting, geometric and colour changes of the paper, each with probability p. While the sign of the
critic's logits is right on too many reals, p rises, so that a small data set is not learned by heart. Deviation:
geometric changes use bilinear interpolation with reflection, without the paper's wavelet filters around them.
"""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import Annotated, Any

import torch
from annotated_types import Interval
from torch import Tensor, nn
from torch.nn.functional import affine_grid, grid_sample

from gan_cli.base.distributed import world_size
from gan_cli.base.limits import Count, Share
from gan_cli.parts.schedule import Schedule


class Ada(nn.Module):
    """Images (N, C, H, W) -> images; `p` is a buffer, part of the checkpoint.

    Args:
        p: probability at the start.
        target: target of the mean sign of the critic's logits of reals; 0.6 as published.
        ada_images: images that p needs, at least, to go from 0 to 1.
        interval: the critic's updates between two steps of p; p moves at the start of the next one.
        fixed: whether p stays as it is.
        final_p: value of p that is reached at `ramp_images` along a cosine, without steering (R3GAN); None: p is
            steered by the critic.
        color: factor on the probability of the colour changes.
        cutout: factor on the probability that a square of half the side is blanked; 0: none.
    """

    p: Tensor
    signs: Tensor

    @staticmethod
    def refusal(
        p: float = 0.0,
        fixed: bool = False,
        final_p: float | None = None,
        ramp_images: int | None = None,
        *,
        loss: dict[str, Any],
        choices: dict[str, str],
    ) -> str | None:
        """Return why p is set in two ways, or by a sign that means nothing, or None (see `check.rules`)."""
        if final_p is not None and fixed:
            return "augment.fixed=true keeps augment.p, and augment.final_p lets it change: give one of them"
        if (final_p is None) != (ramp_images is None):
            return "augment.final_p is reached at augment.ramp_images: give both, or neither"
        if fixed and not p:
            return "augment.fixed=true leaves augment.p at 0, where nothing is changed: say augment.p=0.2, for one"
        if fixed or final_p is not None or "undecided_at_zero" in (loss.get("provides") or ()):
            return None
        return (
            f"augment={choices['augment']} is steered by the sign of the critic's answers to reals, which means nothing"
            f" under loss={choices['loss']}, where 0 is not the answer of a critic that can't tell: say"
            " augment.fixed=true augment.p=0.2, or a schedule, augment.final_p=0.5 augment.ramp_images=N"
        )

    def __init__(
        self,
        p: Share = 0.0,
        target: Annotated[float, Interval(gt=0, lt=1)] = 0.6,
        ada_images: Count = 500_000,
        interval: Count = 4,
        fixed: bool = False,
        final_p: Share | None = None,
        ramp_images: Count | None = None,
        color: Share = 1.0,
        cutout: Share = 0.0,
    ) -> None:
        super().__init__()
        if (final_p is None) != (ramp_images is None) or (fixed and final_p is not None):
            raise ValueError("final_p and ramp_images go together, and not with fixed=true")
        if final_p is not None and not 0 <= final_p <= 1:
            raise ValueError(f"final_p={final_p} must be from 0 to 1")
        if not 0 <= color <= 1 or not 0 <= cutout <= 1:
            raise ValueError("color and cutout must be from 0 to 1")
        if not 0 <= p <= 1 or not 0 < target < 1 or ada_images < 1 or interval < 1:
            raise ValueError("p must be from 0 to 1, target between 0 and 1, ada_images and interval at least 1")
        self.target, self.ada_images, self.interval = target, ada_images, interval
        self.steered, self.color, self.cutout = not fixed and final_p is None, color, cutout
        self.span = None if final_p is None else (p, final_p)
        self.ramp = Schedule("constant") if ramp_images is None else Schedule("cosine", 0, ramp_images)
        self.register_buffer("p", torch.tensor(float(p)))
        self.register_buffer("signs", torch.zeros(2))  # since the last step: sum of signs, images; means over processes

    def observe(self, real_logits: Tensor, images: int, total: int) -> None:
        """Record the critic's logits of reals, from `images` of a global batch of `total`, and steer p.

        The sums of earlier updates move p first: they are then the sums of all processes (buffers are averaged after
        each update) and of full batches, in however many parts these were cut. All of it stays on the device.
        """
        if not self.steered:
            return
        with torch.no_grad():
            signs, counted = self.signs[0], self.signs[1] * world_size()
            due = counted >= self.interval * total
            step = (signs / self.signs[1].clamp(min=1) - self.target).sign() * counted / self.ada_images
            self.p.copy_(torch.where(due, (self.p + step).clamp(0, 1), self.p))
            self.signs.mul_(~due)
            self.signs += torch.stack([real_logits.sign().mean() * images, real_logits.new_tensor(images)])

    def set_progress(self, images: int) -> None:
        if self.span is not None:
            first, last = self.span
            self.p.fill_(first + (last - first) * self.ramp.done(images))

    def forward(self, x: Tensor) -> Tensor:
        lowers = torch.amp.is_autocast_available(x.device.type)  # not on the meta device
        # coordinates need full precision
        with torch.autocast(x.device.type, enabled=False) if lowers else nullcontext():
            x = x if x.dtype == torch.double else x.float()
            x = self.recolored(Sampled.apply(x, self.grid(x)))
            return self.cut(x) if self.cutout > 0 else x

    def grid(self, x: Tensor) -> Tensor:
        """Draw the place that each pixel of the result comes from, (N, H, W, 2)."""
        count, _, height, width = x.shape
        draw = Draw(self.p, count, x.device)
        turn = torch.eye(3, device=x.device).expand(count, 3, 3)
        # blitting: mirror, quarter turns, whole pixels up to an eighth
        turn = turn @ scaled(1 - 2 * draw.chance(draw.half(), 0.0), 1.0, count, x.device)
        turn = turn @ rotated(draw.chance(draw.whole(4) * (math.pi / 2), 0.0))
        shift = draw.sometimes()
        turn = turn @ moved(*(shift * (draw.sides(side) * 2) / side for side in (width, height)))
        # geometry: scale, turn, stretch, turn, shift
        size = draw.chance((0.2 * draw.normal() * math.log(2)).exp(), 1.0)
        turn = turn @ scaled(1 / size, 1 / size, count, x.device)
        rare = 1 - (1 - self.p).clamp(min=0).sqrt()  # two turns, together with probability p
        turn = turn @ rotated(draw.chance(draw.angle(), 0.0, rare))
        stretch = draw.chance((0.2 * draw.normal() * math.log(2)).exp(), 1.0)
        turn = turn @ scaled(1 / stretch, stretch, count, x.device)
        turn = turn @ rotated(draw.chance(draw.angle(), 0.0, rare))
        shift = draw.sometimes()
        turn = turn @ moved(*(shift * 0.125 * 2 * draw.normal() for _ in range(2)))
        return affine_grid(turn[:, :2].to(x.dtype), list(x.shape), align_corners=False)

    def recolored(self, x: Tensor) -> Tensor:
        """Change brightness and contrast, mirror the luma (grey: the negative), and in colour hue and saturation."""
        count, channels = x.shape[:2]
        draw = Draw(self.p * self.color, count, x.device)

        def amounts(values: Tensor) -> Tensor:
            return values.to(x.dtype)[:, None, None, None]

        x = x + amounts(draw.chance(0.2 * draw.normal(), 0.0))
        x = x * amounts(draw.chance((0.5 * draw.normal() * math.log(2)).exp(), 1.0))
        mirror = draw.chance(draw.half(), 0.0)[:, None, None]
        if channels != 3:
            return x * (1 - 2 * mirror[..., None]).to(x.dtype)
        axis = torch.full((3, 1), 1 / math.sqrt(3), device=x.device)
        grey, rest = axis @ axis.t(), torch.eye(3, device=x.device) - axis @ axis.t()
        change = torch.eye(3, device=x.device) - 2 * grey * mirror
        angle = draw.chance(draw.angle(), 0.0)[:, None, None]
        cross = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]], device=x.device) / math.sqrt(3)
        change = (grey + rest * angle.cos() + cross * angle.sin()) @ change  # Rodrigues' turn around grey
        saturation = draw.chance((draw.normal() * math.log(2)).exp(), 1.0)[:, None, None]
        change = (grey + rest * saturation) @ change
        return torch.einsum("nij,njhw->nihw", change.to(x.dtype), x)

    def cut(self, x: Tensor) -> Tensor:
        """Blank a square of half the side to grey; its middle is anywhere in the picture."""
        draw = Draw(self.p * self.cutout, len(x), x.device)
        reach = draw.sometimes()[:, None] / 4
        inside = []
        for side in x.shape[2:]:
            places = (torch.arange(side, device=x.device) + 0.5) / side
            middle = torch.rand(len(x), 1, device=x.device)
            inside.append((places - middle).abs() < reach)
        return x * ~(inside[0][:, None, :, None] & inside[1][:, None, None, :])


class Draw:
    """Random amounts for each of N samples, and which samples get them."""

    def __init__(self, p: Tensor, count: int, device: torch.device) -> None:
        self.p, self.count, self.device = p, count, device

    def chance(self, values: Tensor, otherwise: float, p: Tensor | None = None) -> Tensor:
        """Return `values` with probability p, else `otherwise`; (N,)."""
        chosen = torch.rand(self.count, device=self.device) < (self.p if p is None else p)
        return torch.where(chosen, values, torch.full_like(values, otherwise))

    def sometimes(self) -> Tensor:
        """Draw 1 with probability p, else 0; (N,)."""
        return self.chance(torch.ones(self.count, device=self.device), 0.0)

    def normal(self) -> Tensor:
        return torch.randn(self.count, device=self.device)

    def half(self) -> Tensor:
        return self.whole(2)

    def whole(self, below: int) -> Tensor:
        return torch.randint(0, below, (self.count,), device=self.device).float()

    def angle(self) -> Tensor:
        return (torch.rand(self.count, device=self.device) * 2 - 1) * math.pi

    def sides(self, side: int) -> Tensor:
        """Draw shifts in whole pixels, up to an eighth of the side either way."""
        return ((torch.rand(self.count, device=self.device) * 2 - 1) * 0.125 * side).round()


def rotated(angle: Tensor) -> Tensor:
    zero, one = torch.zeros_like(angle), torch.ones_like(angle)
    rows = [angle.cos(), -angle.sin(), zero, angle.sin(), angle.cos(), zero, zero, zero, one]
    return torch.stack(rows, 1).view(-1, 3, 3)


def scaled(x: Tensor, y: Tensor | float, count: int, device: torch.device) -> Tensor:
    y = y if isinstance(y, Tensor) else torch.full((count,), y, device=device)
    return torch.diag_embed(torch.stack([x, y, torch.ones_like(x)], 1))


def moved(x: Tensor, y: Tensor) -> Tensor:
    matrix = torch.eye(3, device=x.device).repeat(len(x), 1, 1)
    matrix[:, 0, 2], matrix[:, 1, 2] = x, y
    return matrix


class Sampled(torch.autograd.Function):
    """Bilinear sampling at fixed places, differentiable twice by the picture.

    torch has no second derivative of it. It is linear in the picture, so the derivative of its backward pass is again
    the sampling.
    """

    @staticmethod
    def forward(ctx, x: Tensor, grid: Tensor) -> Tensor:  # type: ignore[no-untyped-def,override]
        ctx.save_for_backward(grid)
        ctx.like = (x.shape, x.dtype)
        return grid_sample(x, grid, "bilinear", "reflection", align_corners=False)

    @staticmethod
    def backward(ctx, gradient: Tensor):  # type: ignore[no-untyped-def,override]
        (grid,) = ctx.saved_tensors
        return Gathered.apply(gradient, grid, *ctx.like), None


class Gathered(torch.autograd.Function):
    """The backward pass of `Sampled` by the picture."""

    @staticmethod
    def forward(ctx, gradient: Tensor, grid: Tensor, shape, dtype) -> Tensor:  # type: ignore[no-untyped-def,override]
        ctx.save_for_backward(grid)
        empty = torch.zeros(shape, dtype=dtype, device=gradient.device)
        by_picture, _ = torch.ops.aten.grid_sampler_2d_backward(gradient, empty, grid, 0, 2, False, [True, False])
        return by_picture

    @staticmethod
    def backward(ctx, gradient: Tensor):  # type: ignore[no-untyped-def,override]
        (grid,) = ctx.saved_tensors
        return Sampled.apply(gradient, grid), None, None, None
