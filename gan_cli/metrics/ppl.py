"""Perceptual path length (Karras et al. 2019): how far pictures move in features for a small step in the latent."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from annotated_types import Interval

from gan_cli.base.errors import UserError
from gan_cli.metrics.evidence import Evidence, Metric

Paths = Annotated[int, Interval(ge=1, le=1_000_000)]
Step = Annotated[float, Interval(gt=0, lt=1)]


class PathLength(Metric):
    """Mean of d(G(z(t)), G(z(t + e)))^2 / e^2 over random paths z and places t; lower is smoother.

    d is the distance of unit-length features. As published, the lowest and highest hundredth are left out. Unlike the
    paper, d is not LPIPS but a distance in the chosen features, which the score's name has. z moves on a great circle.

    Args:
        paths: number of paths.
        step: e, of the path's length.
        space: "z", or "w" behind the mapping of a model that has one (there the path is straight).
    """

    of_model = of_latents = True

    def __init__(self, paths: Paths = 1000, step: Step = 1e-4, space: Literal["z", "w"] = "z") -> None:
        if paths < 1 or not 0 < step < 1 or space not in ("z", "w"):
            raise ValueError("paths must be at least 1, step between 0 and 1, space z or w")
        self.paths, self.step, self.space = paths, step, space

    def in_features(self) -> bool:
        return True  # features of pictures on paths, which are samples of no side

    def of(self, evidence: Evidence) -> dict[str, float]:
        if evidence.path is None:
            raise UserError("metric=ppl needs a model with latents; this one is given pictures")
        lengths = evidence.path(self.paths, self.step, self.space).double()
        low, high = lengths.quantile(0.01, interpolation="lower"), lengths.quantile(0.99, interpolation="higher")
        return {"ppl": float(lengths[(lengths >= low) & (lengths <= high)].mean())}

    def protocol(self, evidence: Evidence) -> dict[str, Any]:
        return {"paths": self.paths, "step": self.step, "space": self.space}
