"""The small parts that every run is made of: schedules, latents, averages, seeds, means, pictures."""

from __future__ import annotations

import io
import json
import math
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from gan_cli.base.console import Console
from gan_cli.base.errors import DivergedError
from gan_cli.base.randomness import derive_seed, generator_for, permutation, seed_everything
from gan_cli.base.types import Batch, Match, Noise, Side, State, per_sample
from gan_cli.game.meter import Meter
from gan_cli.media.image import ImageMedium, to_pixels, write_png
from gan_cli.media.medium import placed
from gan_cli.media.points import PointMedium
from gan_cli.parts.ema import EMA
from gan_cli.parts.latent import Gaussian, Uniform
from gan_cli.parts.schedule import Schedule
from gan_cli.run.jobs import Job, duration
from gan_cli.run.log import Curves

CPU = torch.device("cpu")


# ---- schedules ----


@pytest.mark.parametrize(
    ("arguments", "points"),
    [
        ({}, {0: 1, 10**9: 1}),
        ({"kind": "constant", "final_factor": 0.1, "end_images": 50}, {0: 1, 100: 1}),
        ({"kind": "linear", "end_images": 100}, {0: 1, 25: 0.75, 50: 0.5, 100: 0, 999: 0}),
        (
            {"kind": "linear", "start_images": 100, "end_images": 300, "final_factor": 0.2},
            {0: 1, 100: 1, 150: 0.8, 200: 0.6, 300: 0.2, 400: 0.2},
        ),
        # (1 + cos(pi t)) / 2 at t = 1/4, 1/3, 1/2, 1
        (
            {"kind": "cosine", "end_images": 1200},
            {0: 1, 300: 0.5 + math.sqrt(0.125), 400: 0.75, 600: 0.5, 1200: 0, 1300: 0},
        ),
        ({"kind": "cosine", "start_images": 10, "end_images": 20, "final_factor": 0.5}, {10: 1, 15: 0.75, 20: 0.5}),
        ({"warmup_images": 40}, {0: 0, 10: 0.25, 40: 1, 80: 1}),
        ({"kind": "linear", "end_images": 100, "warmup_images": 50}, {0: 0, 25: 0.375, 50: 0.5, 75: 0.25, 100: 0}),
        ({"kind": "linear", "end_images": 100, "final_factor": 2.0}, {0: 1, 50: 1.5, 100: 2}),
    ],
    ids=str,
)
def test_schedule_by_hand(arguments: dict[str, Any], points: dict[int, float]) -> None:
    schedule = Schedule(**arguments)
    assert [schedule(images) for images in points] == pytest.approx(list(points.values()), abs=1e-12)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"kind": "square"}, "'square' is unknown: use constant, linear or cosine"),
        ({"kind": "linear"}, "needs end_images above start_images=0, got None"),
        ({"kind": "cosine", "start_images": 5, "end_images": 5}, "needs end_images above start_images=5, got 5"),
        ({"kind": "linear", "start_images": 9, "end_images": 5}, "needs end_images above start_images=9, got 5"),
    ],
)
def test_schedules_that_cannot_be(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Schedule(**arguments)


# ---- latents ----


def test_gaussian_latents() -> None:
    draw = Gaussian(50).draw(2000, generator_for(CPU, "a"))
    assert draw.shape == (2000, 50)
    assert draw.mean().item() == pytest.approx(0, abs=0.02)
    assert draw.std().item() == pytest.approx(1, abs=0.02)
    assert draw.abs().max() > 3


@pytest.mark.parametrize("bound", [1.0, 2.5])
def test_uniform_latents_fill_their_range(bound: float) -> None:
    """Both signs, up to the bound: not [0, bound)."""
    draw = Uniform(50, bound).draw(2000, generator_for(CPU, "a"))
    assert draw.shape == (2000, 50)
    assert -bound <= draw.min() < -0.99 * bound
    assert 0.99 * bound < draw.max() <= bound
    assert draw.mean().item() == pytest.approx(0, abs=0.02 * bound)
    assert draw.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.02)
    assert Uniform(3).bound == 1.0


@pytest.mark.parametrize("latent", [Gaussian(4), Uniform(4)], ids=["gaussian", "uniform"])
def test_latents_follow_the_generator_alone(latent: Gaussian | Uniform) -> None:
    draws = []
    for key, disturbance in (("a", 1), ("a", 2), ("b", 1)):
        torch.manual_seed(disturbance)
        draws.append(latent.draw(8, generator_for(CPU, key)))
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


# ---- seeds ----


def test_seeds_are_pinned() -> None:
    """A changed value would change every run's numbers: no old run could go on."""
    assert derive_seed(0, 64, "latent") == 3984734971401960397
    assert derive_seed("a") == 2340832890917691671


def test_seeds_are_the_same_in_every_process() -> None:
    """Python's own hash is salted for each process."""
    code = "from gan_cli.base.randomness import derive_seed; print(derive_seed(0, 64, 'latent'))"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert int(done.stdout) == derive_seed(0, 64, "latent")


def test_keys_do_not_run_into_each_other() -> None:
    keys = [(1, 23), (12, 3), (123,), (1, 2, 3), ("1", "23", ""), (3, 12), ()]
    seeds = {derive_seed(*key) for key in keys}
    assert len(seeds) == len(keys)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_global_generators_are_seeded() -> None:
    seed_everything(1, "draw")
    first = torch.rand(3)
    seed_everything(1, "draw")
    assert torch.equal(torch.rand(3), first)
    seed_everything(2, "draw")
    assert not torch.equal(torch.rand(3), first)


def test_seeding_is_torchs_own_on_the_cpu_and_on_a_gpu_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    seed_everything(1, "draw")
    drawn = torch.randn(17)
    torch.manual_seed(derive_seed(1, "draw"))
    assert torch.equal(drawn, torch.randn(17))
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seen.append)
    for there in (False, True):
        monkeypatch.setattr(torch.cuda, "is_initialized", lambda there=there: there)
        seed_everything(1, "draw")
    assert seen == [derive_seed(1, "draw")]


def test_permutations() -> None:
    assert sorted(permutation(20, 1, "order").tolist()) == list(range(20))
    assert torch.equal(permutation(20, 1, "order"), permutation(20, 1, "order"))
    assert not torch.equal(permutation(20, 1, "order"), permutation(20, 2, "order"))


def noise_of(start: int = 0, size: int = 6, total: int = 6, first: int = 12) -> Noise:
    return Noise(CPU, Batch({"image": torch.zeros(size, 1)}, first, total, start), 5)


def test_noise_is_drawn_for_the_global_batch_and_cut() -> None:
    whole = noise_of().normal("a", 2, 3)
    assert whole.shape == (6, 2, 3)
    assert torch.equal(noise_of(4, 2).normal("a", 2, 3), whole[4:])
    assert torch.equal(noise_of().normal("a", 2, 3), whole)
    assert not torch.equal(noise_of().normal("b", 2, 3), whole)
    assert not torch.equal(noise_of(first=18).normal("a", 2, 3), whole)
    uniform = noise_of(0, 1000, 1000).uniform("a")
    assert uniform.shape == (1000,)
    assert 0 <= uniform.min() < 0.02
    assert 0.98 < uniform.max() < 1


# ---- batches and matches ----


def test_per_sample_is_a_mean_over_patches() -> None:
    assert per_sample(torch.tensor([1.0, 2.0])).tolist() == [1, 2]
    assert per_sample(torch.tensor([[[[1.0, 2.0], [3.0, 6.0]]], [[[0.0, 0.0], [0.0, 4.0]]]])).tolist() == [3, 1]


def test_what_is_real() -> None:
    image, point = torch.ones(2, 1, 4, 4), torch.zeros(3, 2)
    assert Batch({"image": image}, 0, 2).real is image
    assert Batch({"point": point}, 0, 3, field="point").real is point
    assert Batch({"point": point}, 0, 3, field="point").label is None
    assert len(Batch({"point": point}, 0, 3, field="point")) == 3


def test_logits_are_made_once_on_first_use() -> None:
    calls: list[int] = []

    def critic(samples: Tensor) -> Tensor:
        calls.append(len(samples))
        return samples.sum(1)

    match = Match(critic, Side(torch.ones(2, 3)), Side(torch.zeros(2, 3)), suffix="_a")
    assert match.seen() == {}
    assert match.fake_logits.tolist() == [0, 0]
    _ = match.fake_logits
    assert calls == [2]
    assert set(match.seen()) == {"fake_a"}
    assert match.real_logits.tolist() == [3, 3]
    assert {name: logits.tolist() for name, logits in match.seen().items()} == {"real_a": [3, 3], "fake_a": [0, 0]}


def test_state_round_trip() -> None:
    state = State(3, 640, 10, {"generator": 10})
    copied = State(**state.to_dict())
    assert copied == state
    copied.updates["generator"] = 11
    assert state.updates == {"generator": 10}


# ---- averages ----


def one_weight(value: float) -> nn.Module:
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, value)
    return network


def follow(ema: EMA, steps: list[int]) -> float:
    for images in steps:
        ema.update(images)
    return ema.networks["generator"].weight.item()  # type: ignore[union-attr, operator]


@pytest.mark.parametrize("step", [1000, 250, 64, 1])
def test_ema_moves_half_way_in_a_half_life(step: int) -> None:
    """A weight that jumps from 0 to 1 late in a run: 1/2 after 1000 images, 3/4 after 2000, at any batch size."""
    network = one_weight(0.0)
    ema = EMA({"generator": network}, halflife_images=1000)
    ema.images = 10**6  # far beyond the ramp
    nn.init.ones_(network.weight)
    ends = [10**6 + 1000, 10**6 + 2000]
    for start, end, expected in ((10**6, ends[0], 0.5), (ends[0], ends[1], 0.75)):
        assert follow(ema, [*range(start + step, end, step), end]) == pytest.approx(expected, rel=1e-3)


def test_ema_is_quicker_at_the_start() -> None:
    """At 2000 images the half-life is 0.05 * 2000 = 100, not 1000: 50 more images weigh 1 - 0.5^(50/102.5)."""
    network = one_weight(0.0)
    ema = EMA({"generator": network}, halflife_images=1000, ramp_up=0.05)
    ema.images = 2000
    nn.init.ones_(network.weight)
    assert follow(ema, [2050]) == pytest.approx(1 - 0.5 ** (50 / 102.5), rel=1e-4)
    ema.images = 40_000  # 0.05 * 40,000 is above 1000: the ramp is over
    before = ema.networks["generator"].weight.item()  # type: ignore[union-attr, operator]
    assert follow(ema, [40_500]) == pytest.approx(1 - (1 - before) * 0.5**0.5, rel=1e-4)


def test_ema_forgets_the_untrained_network() -> None:
    """After the first step of 64 images hardly anything of the first weights is left: 0.5^20."""
    network = one_weight(100.0)
    ema = EMA({"generator": network}, halflife_images=10_000)
    nn.init.zeros_(network.weight)
    assert follow(ema, [64]) == pytest.approx(100 * 0.5**20, rel=1e-3)


def test_ema_without_a_half_life_is_the_network_itself() -> None:
    network = one_weight(0.0)
    ema = EMA({"generator": network}, halflife_images=0)
    nn.init.constant_(network.weight, 7.0)
    assert follow(ema, [64]) == 7.0


def test_ema_copies_buffers_and_judges_in_evaluation_mode() -> None:
    """Batch norm statistics are the trained network's own, counts included; the average asks for no gradients."""
    network = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)).train()
    ema = EMA({"generator": network}, halflife_images=1000)
    average = ema.networks["generator"]
    network(5 + torch.randn(8, 2, generator=torch.Generator().manual_seed(0)))
    ema.update(10**6)
    for mine, theirs in zip(average.buffers(), network.buffers(), strict=True):
        assert torch.equal(mine, theirs)
    assert average[1].num_batches_tracked == 1  # type: ignore[index]
    assert average[1].running_mean.abs().max() > 0  # type: ignore[index]
    assert not any(module.training for module in average.modules())
    assert not any(p.requires_grad for p in average.parameters())
    assert all(module.training for module in network.modules())  # the trained one is left alone
    assert all(p.requires_grad for p in network.parameters())


def test_ema_goes_on_where_it_was() -> None:
    """Restored, it averages on from the same weights and the same count of images."""
    network = one_weight(0.0)
    ema = EMA({"generator": network}, halflife_images=1000)
    nn.init.ones_(network.weight)
    follow(ema, [10_000, 10_500])
    state = {name: {k: v.clone() for k, v in part.items()} for name, part in ema.state_dict().items()}
    other = EMA({"generator": one_weight(-3.0)}, halflife_images=1000)
    other.sources = {"generator": network}
    other.load_state_dict(state, 10_500)
    nn.init.constant_(network.weight, 2.0)
    assert follow(other, [11_000]) == follow(ema, [11_000])


# ---- means between log points ----


def values(**scalars: float) -> dict[str, Tensor]:
    return {name: torch.tensor(value) for name, value in scalars.items()}


def test_meter_means_over_the_times_that_a_scalar_came() -> None:
    """A lazy term's mean is over its own updates; reading starts anew."""
    meter = Meter(CPU)
    meter.add(0, values(loss=1.0, r1=8.0))
    meter.add(1, values(loss=2.0))
    meter.add(2, values(loss=6.0))
    meter.add(2, values(other=5.0))
    assert meter.read() == {"loss": 3.0, "r1": 8.0, "other": 5.0}
    assert meter.read() == {}
    meter.add(3, values(loss=7.0))
    assert meter.read() == {"loss": 7.0}


def test_meter_keeps_no_graph_and_no_alias() -> None:
    meter, value = Meter(CPU), torch.tensor(2.0, requires_grad=True)
    scalars = {"loss": value * 1}
    meter.add(0, scalars)
    scalars["loss"].detach().fill_(100.0)
    assert meter.read() == {"loss": 2.0}
    meter.add(1, {"loss": value})
    assert not meter.state_dict()[0]["sums"].requires_grad


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_meter_names_the_first_step_and_term_that_broke(bad: float) -> None:
    """Though everything after it is broken, too, and the sums look the same."""
    meter = Meter(CPU)
    meter.add(3, values(a=1.0, b=2.0))
    meter.check()
    meter.add(4, values(c=3.0))
    meter.add(5, values(a=1.0, b=bad))
    meter.add(6, values(a=bad, b=bad))
    meter.add(6, values(c=bad))
    with pytest.raises(DivergedError, match="diverged: b became NaN or infinite at step 5"):
        meter.check()


def test_meter_is_not_fooled_by_infinities_that_cancel() -> None:
    meter = Meter(CPU)
    meter.add(0, values(a=math.inf))
    meter.add(1, values(a=1.0))
    with pytest.raises(DivergedError, match="a became NaN or infinite at step 0"):
        meter.check()


def test_meter_goes_on_where_it_was() -> None:
    """Saved between two log points: the same means as without the break, by weights_only data."""
    one, other = Meter(CPU), Meter(CPU)
    one.add(0, values(loss=1.0, r1=8.0))
    one.add(1, values(loss=2.0))
    file = io.BytesIO()
    torch.save(one.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    one.add(2, values(loss=6.0))
    other.add(2, values(loss=6.0))
    assert other.read() == one.read() == {"loss": 3.0, "r1": 8.0}
    other.check()


# ---- console and curves ----


def test_console_prints_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(tmp_path / "run.log")
    console("one")
    console("zwei ä")
    assert capsys.readouterr().out == "one\nzwei ä\n"
    assert (tmp_path / "run.log").read_text(encoding="utf-8") == "one\nzwei ä\n"
    Console(None)("nothing")
    assert capsys.readouterr().out == ""


def test_curves_take_back_points_beyond_the_checkpoint(tmp_path: Path) -> None:
    """A run that crashed at 300 images after a checkpoint at 200 goes on without an overlap, a torn line included."""
    curves = Curves(tmp_path, 0)
    for images in (100, 200, 300):
        curves.scalars(images, {"loss": float(images)})
    with open(tmp_path / "scalars.jsonl", "a") as file:
        file.write('{"images": 4')
    curves = Curves(tmp_path, 200)
    curves.scalars(350, {"loss": -1.0})
    lines = [json.loads(line) for line in (tmp_path / "scalars.jsonl").read_text().splitlines()]
    assert lines == [
        {"images": 100, "loss": 100.0},
        {"images": 200, "loss": 200.0},
        {"images": 350, "loss": -1.0},
    ]


# ---- jobs ----


def test_jobs_are_due_when_images_cross_a_multiple() -> None:
    """Steps of 64 and a cadence of 100: at 128, 192 is too early, 256, 320, 448; never with a cadence of 0."""

    def due(every: int, begun: int, *points: int) -> list[int]:
        state = State(images=begun)
        job, found = Job(SimpleNamespace(state=state), None, every), []  # type: ignore[arg-type]
        for state.images in points:
            found += [state.images] if job.due() else []
        return found

    steps = range(64, 513, 64)
    assert due(100, 0, *steps) == [128, 256, 320, 448, 512]
    assert due(0, 0, *steps) == []
    assert due(100, 256, 256) == []  # a resumed run does not repeat its last log point
    assert due(100, 50, 1000) == [1000]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (59.4, "59s"),
        (59.6, "1m00s"),
        (75.0, "1m15s"),
        (3599.4, "59m59s"),
        (3599.6, "1h00m"),
        (7260, "2h01m"),
        (100 * 3600, "100h00m"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


# ---- pictures and points ----


def test_pixels_are_rounded_and_cut() -> None:
    """(x + 1) 127.5: -1 -> 0, 1 -> 255, -0.6 -> 51, 0.1 -> 140.25, 0.115 -> 142.16; beyond the range its end."""
    pixels = to_pixels(torch.tensor([-1.0, 1.0, -0.6, 0.1, 0.1139, -7.0, 7.0]))
    assert pixels.dtype == torch.uint8
    assert pixels.tolist() == [0, 255, 51, 140, 142, 0, 255]


def test_every_byte_survives_the_way_to_images_and_back() -> None:
    values = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_pixels(values.float().div(127.5).sub(1)), values)


@pytest.mark.parametrize("channels", [1, 3])
def test_png_files(tmp_path: Path, channels: int) -> None:
    """Grey and colour, not transposed, no temporary file left."""
    pixels = torch.arange(channels * 6, dtype=torch.uint8).view(channels, 2, 3) * 10
    write_png(pixels, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert image.format == "PNG"
        assert image.mode == {1: "L", 3: "RGB"}[channels]
        assert image.size == (3, 2)
        read = torch.from_numpy(numpy.array(image))
    assert torch.equal(read, pixels[0] if channels == 1 else pixels.permute(1, 2, 0))
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_saving_one_image(tmp_path: Path) -> None:
    ImageMedium().save(torch.tensor([[[-1.0, 1.0]]]), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert list(image.tobytes()) == [0, 255]


@pytest.mark.parametrize("channels", [1, 3])
def test_image_grids(channels: int) -> None:
    """Three 24-pixel images in two columns: each enlarged to 48, 2 white pixels around, row by row."""
    samples = torch.stack([torch.full((channels, 24, 24), value) for value in (-1.0, 0.0, 0.6)])
    grid = ImageMedium().preview(samples, columns=2)
    assert grid.shape == (3, 2 * 50 + 2, 2 * 50 + 2)
    assert grid.dtype == torch.uint8
    assert grid[:, 2:50, 2:50].unique().tolist() == [0]
    assert grid[:, 2:50, 52:100].unique().tolist() == [128]
    assert grid[:, 52:100, 2:50].unique().tolist() == [204]
    assert grid[:, 0].unique().tolist() == grid[:, :, 50].unique().tolist() == [255]


GRIDS = {  # count, labels, columns asked for: columns, and rows of samples' numbers
    "no labels": (5, None, None, (2, None)),
    "a class a row": (6, [0, 1, 0, 1, 0, 1], None, (3, [[0, 2, 4], [1, 3, 5]])),
    "a count that does not divide": (7, [0, 1, 2, 0, 1, 2, 0], None, (3, [[0, 3, 6], [1, 4, -1], [2, 5, -1]])),
    "in the order in which they were asked for": (4, [7, 3, 7, 3], None, (2, [[0, 2], [1, 3]])),
    "fewer columns than a class needs": (5, [0, 1, 0, 1, 0], 2, (2, [[0, 2], [4, -1], [1, 3]])),
    "more columns": (4, [0, 1, 0, 1], 3, (3, [[0, 2, -1], [1, 3, -1]])),
    "one class": (9, [4] * 9, None, (3, None)),
    "one class in columns": (9, [4] * 9, 5, (5, None)),
    "no two of a class": (9, list(range(9)), None, (3, None)),
    "most classes alone": (128, [*range(100), *range(28)], None, (11, None)),
    "half of the classes alone": (6, [0, 1, 2, 3, 0, 1], None, (2, [[0, 4], [1, 5], [2, -1], [3, -1]])),
}


@pytest.mark.parametrize("name", GRIDS)
def test_every_row_of_a_grid_is_of_one_class(name: str) -> None:
    count, labels, columns, (wide, rows) = GRIDS[name]
    cells = None if rows is None else [cell for row in rows for cell in row]
    assert placed(count, None if labels is None else torch.tensor(labels), columns) == (wide, cells)


@pytest.mark.parametrize("classes", [2, 3, 10])
@pytest.mark.parametrize("columns", [None, 1, 4, 8])
def test_a_grid_by_class_shows_every_sample_once(classes: int, columns: int | None) -> None:
    for count in [*range(1, 70), 1000]:
        label = torch.arange(count) % classes
        wide, cells = placed(count, label, columns)
        if cells is None:
            alone = int((torch.bincount(label) == 1).sum())
            assert alone > len(label.unique()) / 2 or count == 1, "most rows would be of one picture"
            continue
        assert sorted(cell for cell in cells if cell >= 0) == list(range(count))
        rows = torch.tensor(cells).view(-1, wide)
        shown = [label[row[row >= 0]].unique().tolist() for row in rows]
        assert all(len(row) == 1 for row in shown)
        assert sorted({row[0] for row in shown}) == list(range(classes))
        assert columns is not None or len(rows) == classes


def test_empty_cells_of_a_grid_are_white() -> None:
    samples = torch.stack([torch.full((1, 48, 48), value) for value in (-1.0, 0.0, 0.6)])
    grid = ImageMedium().rows({"samples": samples}, 2, [0, 2, 1, -1])
    tiles = [grid[:, row : row + 48, column : column + 48].unique().tolist() for row in (2, 52) for column in (2, 52)]
    assert tiles == [[0], [204], [128], [255]]
    points = PointMedium(1.0)
    some = torch.tensor([[0.5, 0.5], [0.0, -0.5], [-0.2, 0.0]])
    assert torch.equal(points.rows({"samples": some}, 2, [0, 2, 1, -1]), points.preview(some, 2)), (
        "points have no cells"
    )


def test_large_images_are_not_enlarged() -> None:
    assert ImageMedium().preview(torch.zeros(2, 3, 64, 64), columns=1).shape == (3, 134, 68)


def test_small_images_keep_square_pixels() -> None:
    """2x2 becomes 48x48: each pixel a square of 24."""
    samples = torch.tensor([[[-1.0, 1.0], [1.0, -1.0]]]).expand(2, 1, 2, 2)
    tile = ImageMedium().preview(samples, columns=1)[0, 2:50, 2:-2]
    assert tile.shape == (48, 48)
    assert tile[:24, :24].unique().tolist() == [0]
    assert tile[:24, 24:].unique().tolist() == [255]


def test_image_arrays_are_channels_last() -> None:
    samples = torch.tensor([-1.0, 0.2, 1.0]).view(1, 3, 1, 1).expand(2, 3, 4, 5)
    array = ImageMedium().array(samples)
    assert array.shape == (2, 4, 5, 3)
    assert array[0, 0, 0].tolist() == [0, 153, 255]


def test_points_are_dots_with_the_second_axis_upwards() -> None:
    """On a square of side 2 * 2: (1, 1) is a quarter from the right and from the top; what is outside is left out."""
    picture = PointMedium(extent=2.0).preview(torch.tensor([[1.0, 1.0], [9.0, 0.0], [0.0, -9.0]]), columns=1)
    assert picture.shape == (3, 256, 256)
    rows, columns = torch.nonzero(picture[0] < 255, as_tuple=True)
    assert (rows.min().item(), rows.max().item()) == (62, 64)
    assert (columns.min().item(), columns.max().item()) == (191, 193)
    assert len(rows) == 9


def test_points_as_files_and_arrays(tmp_path: Path) -> None:
    medium = PointMedium(extent=1.0)
    medium.save(torch.tensor([0.5, -1.25]), tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text() == "0.5,-1.25\n"
    assert medium.array(torch.tensor([[1, 2]])).dtype == torch.float32
