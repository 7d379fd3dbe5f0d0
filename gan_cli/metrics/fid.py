"""Frechet distance between two Gaussians fitted to features (Heusel et al. 2017, "FID" in Inception's features)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gan_cli.metrics.evidence import Evidence, Metric
from gan_cli.metrics.gathered import Moments


class FrechetDistance(Metric):
    """|m - m'|^2 + tr(S + S' - 2 (S S')^0.5); lower is better, 0 for equal sets.

    Biased: fewer samples give larger values, so only equal counts compare. With fewer samples than features the
    covariances are singular; the trace of the root is exact all the same (see `root_trace`).
    """

    real = fake = (Moments,)

    def of(self, evidence: Evidence) -> dict[str, float]:
        real, fake = evidence.real, evidence.fake
        return {"fid": frechet_distance(real.mean, real.covariance, fake.mean, fake.covariance)}


def frechet_distance(mean_a: Tensor, covariance_a: Tensor, mean_b: Tensor, covariance_b: Tensor) -> float:
    """Compute the squared Frechet distance of two Gaussians, with means (F,) and covariances (F, F), in float64.

    It is never below 0, and NaN if an input is not finite.
    """
    mean_a, covariance_a, mean_b, covariance_b = (x.double() for x in (mean_a, covariance_a, mean_b, covariance_b))
    if not all(bool(x.isfinite().all()) for x in (mean_a, covariance_a, mean_b, covariance_b)):
        return math.nan  # eigenvalues of NaN are an error, and max(0, NaN) would be a perfect 0
    apart = (mean_a - mean_b).square().sum()
    traces = covariance_a.trace() + covariance_b.trace()
    return max(0.0, float(apart + traces - 2 * root_trace(covariance_a, covariance_b)))


def root_trace(a: Tensor, b: Tensor) -> Tensor:
    """Compute tr (A B)^0.5 of two symmetric positive semi-definite matrices, by a symmetric eigenvalue problem.

    With A = L L', the eigenvalues of A B are those of L' B L, which is symmetric. So there is no general square root,
    whose imaginary rest would have to be dropped, and no diagonal offset for singular matrices. L is Cholesky's factor.
    A singular A that has none takes the root of its eigendecomposition.
    """
    factor, failed = torch.linalg.cholesky_ex(a)
    if failed:
        values, vectors = torch.linalg.eigh(a)
        factor = vectors * values.clamp(min=0).sqrt()
    return torch.linalg.eigvalsh(factor.T @ b @ factor).clamp(min=0).sqrt().sum()
