"""Scores of pictures that have targets: `psnr`, `ssim` and `lpips`, means over the held-out pictures."""

from __future__ import annotations

from typing import Any, Literal

from gan_cli.base.errors import UserError
from gan_cli.metrics.evidence import Evidence, Metric


class AgainstTarget(Metric):
    """Mean over the pictures of one score of outputs against targets, which the model or the metric computes.

    Args:
        score: "psnr" (dB, higher is better), "ssim" (higher) or "lpips" (lower).
    """

    of_model = True
    least = 1

    def __init__(self, score: Literal["psnr", "ssim", "lpips"]) -> None:
        self.score = score

    def of(self, evidence: Evidence) -> dict[str, float]:
        if self.score not in evidence.pairs:
            known = f"; it has {', '.join(evidence.pairs)}" if evidence.pairs else ""
            raise UserError(f"metric={self.score} needs a model whose pictures have targets{known}")
        return {self.score: float(evidence.pairs[self.score].double().mean())}

    def protocol(self, evidence: Evidence) -> dict[str, Any]:
        return {"pictures": len(evidence.pairs.get(self.score, []))}
