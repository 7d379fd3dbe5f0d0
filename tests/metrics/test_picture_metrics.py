"""PSNR, SSIM and luma: by hand, and against scikit-image."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from gan_cli.game.translator import Translator
from gan_cli.losses.adversarial import LeastSquares
from gan_cli.metrics.similarity import luma, psnr, ssim
from gan_cli.models.srgan import SRGAN


def as_picture(pixels: Tensor) -> Tensor:
    """0..255 -> [-1, 1]."""
    return pixels.float() / 127.5 - 1


def random_pixels(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(20, 236, shape, generator=torch.Generator().manual_seed(seed))


def natural(count: int, channels: int, side: int, seed: int = 0) -> Tensor:
    """Smooth pixels with edges in them."""
    coarse = random_pixels(count, channels, side // 4, side // 4, seed=seed).float()
    return torch.nn.functional.interpolate(coarse, scale_factor=4, mode="bilinear").round().long()


# ---- PSNR ----


@pytest.mark.parametrize(("levels", "decibels"), [(1, 48.1308), (10, 28.1308), (-10, 28.1308), (20, 22.1102)])
@pytest.mark.parametrize("channels", [1, 3])
def test_psnr_of_a_constant_difference(levels: int, decibels: float, channels: int) -> None:
    """10 log10(255^2 / d^2), whatever the picture and the number of channels."""
    pixels = random_pixels(2, channels, 8, 8)
    value = psnr(as_picture(pixels + levels), as_picture(pixels))
    assert value.tolist() == pytest.approx([decibels] * 2, abs=1e-4)


def test_psnr_is_of_each_picture_and_of_all_its_channels() -> None:
    """Off by 10 in one of three channels: a third of the squared error, 4.77 dB more; equal pictures: 100."""
    pixels = random_pixels(2, 3, 4, 4)
    other = pixels.clone()
    other[0, 1] += 10
    assert psnr(as_picture(other), as_picture(pixels)).tolist() == pytest.approx([32.9020, 100.0], abs=1e-4)


def test_psnr_is_of_rounded_pixels() -> None:
    """A third of a grey level is no error, two thirds are a whole one; outside of [-1, 1] is cut off."""
    pixels = torch.full((1, 1, 4, 4), 100.0)
    assert psnr(as_picture(pixels + 0.33), as_picture(pixels)).item() == 100.0
    assert psnr(as_picture(pixels + 0.67), as_picture(pixels)).item() == pytest.approx(48.1308, abs=1e-4)
    white = torch.full((1, 1, 4, 4), 255.0)
    assert psnr(as_picture(white + 90), as_picture(white)).item() == 100.0


def test_psnr_of_the_luma() -> None:
    """Green off by 10: the luma by 10 * 128.553 / 255 = 5.0413, 34.08 dB, and 32.90 dB over the three channels."""
    pixels = random_pixels(1, 3, 4, 4)
    other = pixels.clone()
    other[:, 1] += 10
    made, wanted = as_picture(other), as_picture(pixels)
    assert psnr(made, wanted, on_luma=True).item() == pytest.approx(20 * math.log10(255 / 5.041294), abs=1e-5)
    assert psnr(made, wanted, on_luma=False).item() == pytest.approx(32.9020, abs=1e-4)
    assert psnr(made[:, :1] + 0.1, wanted[:, :1], on_luma=True) == psnr(made[:, :1] + 0.1, wanted[:, :1])  # grey as is


@pytest.mark.parametrize("score", [psnr, ssim])
def test_a_border_is_left_out(score) -> None:
    """Noise in the outermost two pixels counts with a border of 0 and 1, not of 2."""
    pixels = random_pixels(1, 3, 20, 20)
    other = random_pixels(1, 3, 20, 20, seed=1)
    other[..., 2:-2, 2:-2] = pixels[..., 2:-2, 2:-2]
    made, wanted = as_picture(other), as_picture(pixels)
    perfect = 100.0 if score is psnr else pytest.approx(1, abs=1e-12)
    assert score(made, wanted, 2).item() == perfect
    assert score(made, wanted, 1).item() != perfect
    assert score(made, wanted).item() < score(made, wanted, 1).item()


# ---- luma ----


def test_luma_of_known_colours() -> None:
    """ITU-R 601 in 16..235, as MATLAB's rgb2ycbcr: black, white, red, green, blue, and a mixture."""
    colours = torch.tensor(
        [[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255], [51, 102, 153]], dtype=torch.float64
    )
    made = luma(colours.view(6, 3, 1, 1))
    assert made.shape == (6, 1, 1, 1)
    mixture = 16 + 0.2 * 65.481 + 0.4 * 128.553 + 0.6 * 24.966
    assert made.flatten().tolist() == pytest.approx([16, 235, 81.481, 144.553, 40.966, mixture])


# ---- SSIM ----


def test_ssim_of_equal_pictures_is_one() -> None:
    for channels in (1, 3):
        picture = as_picture(random_pixels(2, channels, 16, 16))
        assert ssim(picture, picture.clone()).tolist() == pytest.approx([1, 1], abs=1e-12)


@pytest.mark.parametrize(("a", "b"), [(100, 120), (0, 255), (250, 10)])
def test_ssim_of_two_plain_pictures(a: int, b: int) -> None:
    """No variance: (2ab + C1) / (a^2 + b^2 + C1) with C1 = 2.55^2."""
    made, wanted = (as_picture(torch.full((1, 1, 11, 11), value)) for value in (a, b))
    expected = (2 * a * b + 2.55**2) / (a**2 + b**2 + 2.55**2)
    assert ssim(made, wanted).item() == pytest.approx(expected, abs=1e-9)


def test_ssim_of_one_window_by_hand() -> None:
    """11x11 pixels are one window: its Gaussian moments with plain sums."""
    a, b = (random_pixels(1, 1, 11, 11, seed=seed).double() for seed in (0, 1))
    at = torch.arange(11).double() - 5
    weight = torch.exp(-(at[:, None] ** 2 + at[None] ** 2) / 4.5)
    weight = weight / weight.sum()

    def mean(x: Tensor) -> float:
        return float((x[0, 0] * weight).sum())

    mean_a, mean_b = mean(a), mean(b)
    var_a, var_b = mean((a - mean_a) ** 2), mean((b - mean_b) ** 2)
    covariance = mean((a - mean_a) * (b - mean_b))
    c1, c2 = 6.5025, 58.5225
    expected = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    expected /= (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    assert ssim(as_picture(a), as_picture(b)).item() == pytest.approx(expected, abs=1e-9)
    assert abs(expected) < 0.5


@pytest.mark.parametrize("seed", range(3))
def test_ssim_against_scikit_image(seed: int) -> None:
    """Its map without the 5 pixels at each border where its window is padded; on grey, a picture not square."""
    skimage = pytest.importorskip("skimage.metrics")
    wanted = natural(1, 1, 32, seed)[..., :24]
    noise = torch.randn(wanted.shape, generator=torch.Generator().manual_seed(seed)) * 12
    made = (wanted + noise).round().clamp(0, 255).long()
    _, full = skimage.structural_similarity(
        made[0, 0].double().numpy(),
        wanted[0, 0].double().numpy(),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=255,
        full=True,
    )
    value = ssim(as_picture(made), as_picture(wanted)).item()
    assert value == pytest.approx(full[5:-5, 5:-5].mean(), abs=1e-6)
    assert 0.2 < value < 0.98


def test_ssim_of_colour_against_scikit_image() -> None:
    """On the luma by default; over the channels otherwise."""
    skimage = pytest.importorskip("skimage.metrics")
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255, "full": True}
    wanted, made = natural(1, 3, 24).double(), (natural(1, 3, 24) + random_pixels(1, 3, 24, 24) // 8).double()
    made = made.clamp(0, 255)
    weights = torch.tensor([65.481, 128.553, 24.966]).double().view(3, 1, 1) / 255
    grey = [(16 + (picture[0] * weights).sum(0)).numpy() for picture in (made, wanted)]
    of_luma = skimage.structural_similarity(*grey, **options)[1][5:-5, 5:-5].mean()
    of_colours = [
        skimage.structural_similarity(made[0, c].numpy(), wanted[0, c].numpy(), **options)[1][5:-5, 5:-5].mean()
        for c in range(3)
    ]
    assert ssim(as_picture(made), as_picture(wanted)).item() == pytest.approx(of_luma, abs=1e-6)
    each = ssim(as_picture(made), as_picture(wanted), on_luma=False).item()
    assert each == pytest.approx(sum(of_colours) / 3, abs=1e-6)
    assert abs(each - of_luma) > 1e-3


@pytest.mark.parametrize("channels", [1, 3])
def test_scores_fall_as_noise_grows(channels: int) -> None:
    pixels = natural(2, channels, 32)
    noise = torch.randn(pixels.shape, generator=torch.Generator().manual_seed(1))
    noisy = [as_picture((pixels + level * noise).clamp(0, 255)) for level in (2, 5, 10, 20, 40)]
    for score in (psnr, ssim):
        values = torch.stack([score(picture, as_picture(pixels)) for picture in noisy])
        assert values.shape == (5, 2)
        assert (values[1:] < values[:-1] - 1e-3).all()
    assert (ssim(noisy[0], as_picture(pixels)) > 0.9).all()
    assert (ssim(noisy[-1], as_picture(pixels)) < 0.7).all()


# ---- what games make of them ----


def test_a_game_scores_its_preview() -> None:
    game = Translator(nn.Identity(), nn.Identity(), LeastSquares())
    pixels = random_pixels(2, 3, 16, 16)
    rows = {"source": torch.zeros(2, 1, 16, 16), "output": as_picture(pixels + 10), "target": as_picture(pixels)}
    scores = game.scores(rows)
    assert set(scores) == {"psnr", "ssim"}
    assert scores["psnr"].tolist() == pytest.approx([28.1308] * 2, abs=1e-4)
    assert scores["ssim"].shape == (2,)
    assert game.scores({"a": rows["source"], "fake_b": rows["output"]}) == {}


def test_super_resolution_is_scored_as_published() -> None:
    """Luma, without a border of `scale` pixels, the bicubic baseline beside it."""
    game = SRGAN(nn.Identity(), nn.Identity(), LeastSquares(), scale=2)
    pixels = random_pixels(1, 3, 20, 20)
    made, bicubic = (pixels + 10).clone(), pixels + 20
    made[..., :2, :] = 0  # within the border
    rows = {"output": as_picture(made), "bicubic": as_picture(bicubic), "target": as_picture(pixels)}
    scores = {name: value.item() for name, value in game.scores(rows).items()}
    assert set(scores) == {"psnr", "psnr_bicubic", "ssim"}
    ten = 10 * 219 / 255  # levels of luma
    assert scores["psnr"] == pytest.approx(20 * math.log10(255 / ten), abs=1e-3)
    assert scores["psnr_bicubic"] == pytest.approx(20 * math.log10(255 / (2 * ten)), abs=1e-3)


@pytest.mark.parametrize(("side", "scale"), [(16, 2), (16, 4), (32, 8)])
def test_small_pictures_can_be_scored(side: int, scale: int) -> None:
    """The smallest that conf/model/srgan.yaml allows; without their border they may be smaller than SSIM's window."""
    game = SRGAN(nn.Identity(), nn.Identity(), LeastSquares(), scale=scale)
    pixels = random_pixels(1, 3, side, side)
    rows = {name: as_picture(pixels + more) for name, more in [("output", 10), ("bicubic", 20), ("target", 0)]}
    assert game.scores(rows)["psnr"].item() == pytest.approx(20 * math.log10(255 / (10 * 219 / 255)), abs=1e-3)
