"""Similarity of a picture to its target. Pictures are in [-1, 1] and are judged in 0..255, in float64."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import conv2d

PEAK = 255.0
MOST_DB = 100.0  # of equal pictures: one infinite value would make the mean infinite
WINDOW = 11  # pixels, of SSIM


def psnr(outputs: Tensor, targets: Tensor, border: int = 0, on_luma: bool = False) -> Tensor:
    """Compute the peak signal-to-noise ratio in dB, (N,), of rounded pixels; equal pictures have 100, not infinity.

    Args:
        outputs, targets: (N, C, H, W).
        border: pixels left out at each edge.
        on_luma: whether to compare the luma alone, as super-resolution is published; RGB gives about 2 dB less.
    """
    a, b = (prepared(picture, border, on_luma) for picture in (outputs, targets))
    return (10 * torch.log10(PEAK**2 / (a - b).square().flatten(1).mean(1))).clamp(max=MOST_DB)


def ssim(outputs: Tensor, targets: Tensor, border: int = 0, on_luma: bool = True) -> Tensor:
    """Compute the structural similarity (N,): Gaussian window of 11x11, deviation 1.5, K = 0.01 and 0.03, no padding.

    It follows Wang et al. 2004, as in the authors' code but without its downsampling. Several channels are averaged.
    """
    a, b = (prepared(picture, border, on_luma) for picture in (outputs, targets))
    return similarity(a, b)[0].flatten(1).mean(1)


def similarity(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Compute maps of SSIM and of its contrast-structure factor, (N, C, H - 10, W - 10), of (N, C, H, W) in 0..255."""
    at = torch.arange(WINDOW, dtype=torch.float64, device=a.device) - WINDOW // 2
    line = torch.exp(-at.square() / (2 * 1.5**2))
    line = line / line.sum()

    def blurred(x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        rows = conv2d(x.reshape(n * c, 1, h, w), line.view(1, 1, -1, 1))
        return conv2d(rows, line.view(1, 1, 1, -1)).view(n, c, h - WINDOW + 1, w - WINDOW + 1)

    mean_a, mean_b = blurred(a), blurred(b)
    var_a, var_b = blurred(a * a) - mean_a**2, blurred(b * b) - mean_b**2
    covariance = blurred(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2
    contrast = (2 * covariance + c2) / (var_a + var_b + c2)
    return (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1) * contrast, contrast


def ssim_if_any(outputs: Tensor, targets: Tensor, border: int = 0) -> dict[str, Tensor]:
    """Compute `ssim` of the luma, by name; return nothing for pictures smaller than its window."""
    if min(targets.shape[2:]) - 2 * border < WINDOW:
        return {}
    return {"ssim": ssim(outputs, targets, border)}


def luma(rgb: Tensor) -> Tensor:
    """Convert RGB (N, 3, H, W) in 0..255 to luma (N, 1, H, W) in 16..235: ITU-R 601, the Y of MATLAB's rgb2ycbcr."""
    weights = torch.tensor([65.481, 128.553, 24.966], dtype=rgb.dtype, device=rgb.device).view(1, 3, 1, 1) / 255
    return 16 + (rgb * weights).sum(1, keepdim=True)


def prepared(picture: Tensor, border: int, on_luma: bool) -> Tensor:
    """Round to pixels, cut off the border, and take the luma of coloured pictures if `on_luma`."""
    pixels = picture.detach().cpu().double().add(1).mul(127.5).round().clamp(0, PEAK)
    if border:
        pixels = pixels[..., border:-border, border:-border]
    return luma(pixels) if on_luma and pixels.shape[1] == 3 else pixels
