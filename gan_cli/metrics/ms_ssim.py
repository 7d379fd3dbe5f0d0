"""Multi-scale structural similarity between samples (Wang et al. 2003): a model that repeats itself scores high."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from gan_cli.base.errors import UserError
from gan_cli.base.limits import Count
from gan_cli.base.randomness import generator_for
from gan_cli.metrics.evidence import Evidence, Metric, check_enough
from gan_cli.metrics.gathered import Samples, SomeSamples
from gan_cli.metrics.similarity import WINDOW, similarity

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of the scales, finest first, as published


class MultiScaleSSIM(Metric):
    """Mean MS-SSIM of random pairs of samples, as a measure of diversity (Odena et al. 2017), beside that of reals.

    Lower is more diverse; a model as diverse as its data has the value of the reals. Pictures use as many of the five
    scales as leave room for the window of 11 pixels: two at 22 to 43 px, five from 176 px up. The weights of these
    scales sum to 1, so values at different resolutions don't compare.

    Args:
        pairs: most pairs; no sample is in two of them.
    """

    real, fake = (SomeSamples,), (Samples,)

    def __init__(self, pairs: Count = 1000) -> None:
        if pairs < 1:
            raise ValueError("pairs must be at least 1")
        self.pairs = pairs

    def of(self, evidence: Evidence) -> dict[str, float]:
        if evidence.fakes.shape[2:] != evidence.reals.shape[2:]:
            raise UserError("metric=ms_ssim stands beside that of the real pictures, and these have another size")
        sides = {"ms_ssim": evidence.fakes, "ms_ssim_real": evidence.reals}
        return {name: float(self.of_pairs(images).mean()) for name, images in sides.items()}

    def of_pairs(self, images: Tensor) -> Tensor:
        """Compute the MS-SSIM (pairs,) of random pairs of pictures (N, C, H, W) uint8."""
        check_enough("ms_ssim", len(images), 2, "pictures")
        order = torch.randperm(len(images), generator=generator_for("cpu", "ms_ssim"))
        count = min(self.pairs, len(images) // 2)
        left, right = images[order[:count]], images[order[count : 2 * count]]
        return torch.cat([ms_ssim(*pair) for pair in zip(left.split(100), right.split(100), strict=True)])

    def protocol(self, evidence: Evidence) -> dict[str, Any]:
        count = min(self.pairs, len(evidence.fakes) // 2)
        scales = scales_of(min(evidence.fakes.shape[2:]))
        return {"pairs": count, "pairs_real": min(self.pairs, len(evidence.reals) // 2), "scales": scales}


def scales_of(side: int) -> int:
    """Return how many of the five scales fit into a picture of this side.

    Raises:
        UserError: not one scale fits.
    """
    if side < WINDOW:
        raise UserError(f"metric=ms_ssim needs pictures of at least {WINDOW} pixels a side, and these have {side}")
    scales = 1
    while scales < len(WEIGHTS) and side >> scales >= WINDOW:
        scales += 1
    return scales


def ms_ssim(a: Tensor, b: Tensor) -> Tensor:
    """Compute the MS-SSIM (N,) of pictures (N, C, H, W) in 0..255.

    It takes contrast and structure at every scale, and luminance at the coarsest. Colours are averaged at each scale,
    before the product.
    """
    a, b = a.double(), b.double()
    scales = scales_of(min(a.shape[2:]))
    weights = torch.tensor(WEIGHTS[:scales], dtype=torch.float64)
    weights = weights / weights.sum()
    value = torch.ones(len(a), dtype=torch.float64)
    for number in range(scales):
        ssim, contrast = similarity(a, b)
        part = ssim if number == scales - 1 else contrast
        value = value * part.flatten(1).mean(1).clamp(min=0) ** weights[number]  # a negative mean has no real power
        if number < scales - 1:
            a, b = avg_pool2d(a, 2), avg_pool2d(b, 2)
    return value
