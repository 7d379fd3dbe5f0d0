"""The pool of older fakes: what comes out, when, and that a checkpoint holds it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from gan_cli.base.types import Batch, Noise
from gan_cli.game.update import shared_buffers
from gan_cli.layers.patchgan import PatchGAN
from gan_cli.layers.pool import ImagePool
from gan_cli.losses.adversarial import LeastSquares
from gan_cli.models.cyclegan import CycleGAN

CPU = torch.device("cpu")


def pictures(first: int, count: int) -> Tensor:
    """(count, 1, 2, 2), each filled with its number, from 1 on."""
    return torch.arange(first + 1, first + count + 1.0).view(-1, 1, 1, 1).expand(-1, 1, 2, 2).clone()


def exchanged(pool: ImagePool, first: int, count: int = 1, seed: int = 3, name: str = "pool") -> Tensor:
    fresh = pictures(first, count)
    return pool.exchange(fresh, Noise(CPU, Batch({"image": fresh}, first, count), seed), name)


def numbers(images: Tensor) -> list[int]:
    """Which pictures these are; fails on a blend."""
    assert torch.equal(images, images[:, :, :1, :1].expand_as(images))
    assert torch.equal(images, images.round())
    return [int(value) for value in images[:, 0, 0, 0]]


def test_pictures_pass_through_until_the_pool_is_full() -> None:
    pool = ImagePool(5)
    assert [numbers(exchanged(pool, first)) for first in range(5)] == [[1], [2], [3], [4], [5]]
    assert numbers(pool.images) == [1, 2, 3, 4, 5]


def test_a_batch_may_fill_the_pool_and_swap_at_once() -> None:
    pool = ImagePool(3)
    out = numbers(exchanged(pool, 0, 64))
    assert out[:3] == [1, 2, 3]
    assert out != list(range(1, 65))
    assert len(pool.images) == 3


def test_about_half_are_swapped_for_older_ones() -> None:
    """2,000 pictures after the pool is full: 1,000 swapped, deviation 22; an old one comes out once at most."""
    pool, size = ImagePool(10), 10
    out = [number for first in range(0, 2010, 5) for number in numbers(exchanged(pool, first, 5))][size:]
    swapped = [(now, came) for now, came in enumerate(out, size + 1) if now != came]
    assert len(swapped) == pytest.approx(1000, abs=112)
    assert all(came < now for now, came in swapped)
    assert len({came for _, came in swapped}) == len(swapped)  # it left the pool with that
    assert all(now not in {came for _, came in swapped} for now, came in enumerate(out, size + 1) if now == came)
    # how long a picture stays is geometric: 10 swaps, 20 pictures, in the mean
    waits = [now - came for now, came in swapped if now > 200]
    assert sum(waits) / len(waits) == pytest.approx(20, abs=4)


def test_every_place_of_the_pool_is_used() -> None:
    pool = ImagePool(4)
    exchanged(pool, 0, 4)
    places = []
    for first in range(4, 404):
        before = numbers(pool.images)
        exchanged(pool, first)
        places += [place for place, number in enumerate(numbers(pool.images)) if number != before[place]]
    assert [places.count(place) / len(places) for place in range(4)] == pytest.approx([0.25] * 4, abs=0.15)


def test_the_pool_and_what_comes_out_share_no_memory() -> None:
    pool = ImagePool(2)
    exchanged(pool, 0, 2).zero_()
    assert numbers(pool.images) == [1, 2]
    fresh = pictures(2, 8)
    out = pool.exchange(fresh, Noise(CPU, Batch({"image": fresh}, 2, 8), 3), "pool")
    kept = numbers(pool.images)
    fresh.zero_()
    out.zero_()
    assert numbers(pool.images) == kept


def test_pictures_come_out_detached() -> None:
    """Full, half full, and without a pool: nothing of a generator's graph comes out or is kept."""
    for size in (0, 2, 100):
        pool, fresh = ImagePool(size), pictures(0, 4).requires_grad_()
        out = pool.exchange(2 * fresh, Noise(CPU, Batch({"image": fresh}, 0, 4), 3), "pool")
        assert not out.requires_grad
        assert not pool.images.requires_grad


def test_no_pool_passes_everything() -> None:
    pool = ImagePool(0)
    assert numbers(exchanged(pool, 0, 64)) == list(range(1, 65))
    assert len(pool.images) == 0


def history(pool: ImagePool, batches: range, seed: int = 3, name: str = "pool") -> list[int]:
    return [number for first in batches for number in numbers(exchanged(pool, first, 4, seed, name))]


def test_what_comes_out_is_a_function_of_the_noise() -> None:
    batches = range(0, 80, 4)
    first = history(ImagePool(6), batches)
    torch.manual_seed(99)
    assert history(ImagePool(6), batches) == first
    assert history(ImagePool(6), batches, seed=4) != first
    assert history(ImagePool(6), batches, name="other") != first  # the two pools of one game


def test_an_accumulated_batch_is_exchanged_as_the_whole() -> None:
    """Rows 0 to 4 and 4 to 8 of a batch of 8 draw what they would have drawn together."""
    whole, parts = ImagePool(6), ImagePool(6)
    for first in range(0, 80, 8):
        together, apart = exchanged(whole, first, 8), []
        for part in Batch({"image": pictures(first, 8)}, first, 8).split(2):
            apart.append(parts.exchange(part.real, Noise(CPU, part, 3), "pool"))
        assert torch.equal(torch.cat(apart), together)
    assert torch.equal(parts.images, whole.images)


@pytest.mark.parametrize("before", [0, 4, 40])
def test_a_restored_pool_goes_on_alike(before: int) -> None:
    """Empty, partly filled and full, into a fresh pool and into one that holds something else."""
    pool = ImagePool(6)
    history(pool, range(0, before, 4))
    state = {name: value.clone() for name, value in pool.state_dict().items()}
    fresh, used = ImagePool(6), ImagePool(6)
    history(used, range(1000, 1080, 4))
    for other in (fresh, used):
        other.load_state_dict(state)
        assert torch.equal(other.images, pool.images)
    rest = history(pool, range(before, before + 40, 4))
    assert history(fresh, range(before, before + 40, 4)) == rest
    assert history(used, range(before, before + 40, 4)) == rest
    assert torch.equal(fresh.images, pool.images)


def test_loading_copies_the_state() -> None:
    pool, other = ImagePool(2), ImagePool(2)
    exchanged(pool, 0, 2)
    other.load_state_dict(pool.state_dict())
    pool.images.zero_()
    assert numbers(other.images) == [1, 2]


def tiny() -> CycleGAN:
    generators = nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 1)
    return CycleGAN(*generators, PatchGAN(1, 2, 1), PatchGAN(1, 2, 1), LeastSquares(), pool_size=2)


def test_pools_are_not_averaged_among_processes() -> None:
    """They are equal by construction; the running statistics of the critics are what is shared."""
    game = tiny()
    exchanged(game.pool_a, 0, 2)
    shared = {id(buffer) for buffer in shared_buffers(game)}
    named = dict(game.named_buffers())
    assert {name for name, buffer in named.items() if id(buffer) in shared} == {
        name for name in named if name.endswith(("running_mean", "running_var"))
    }
    assert len(shared) == 4
    assert {"pool_a.images", "pool_b.images"} <= named.keys()


def test_a_game_keeps_its_pools_in_its_state() -> None:
    game, other = tiny(), tiny()
    exchanged(game.pool_a, 0, 2)
    exchanged(game.pool_b, 5, 1)
    other.load_state_dict(game.state_dict())
    assert numbers(other.pool_a.images) == [1, 2]
    assert numbers(other.pool_b.images) == [6]
