"""What the games of pictures minimise, term by term and by hand; their phases and stages."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import QUICK, TINY, compose_checked
from torch import Tensor, nn

from gan_cli.base.checkpoint import load
from gan_cli.base.types import Batch, Noise
from gan_cli.game.gan import GAN, Turn
from gan_cli.game.phase import Phase
from gan_cli.layers.patchgan import PatchGAN
from gan_cli.losses.adversarial import LeastSquares
from gan_cli.losses.reconstruction import feature_l1, l1, style
from gan_cli.models.cyclegan import CycleGAN
from gan_cli.models.inpainting import Inpainting, cut, hole_corner
from gan_cli.models.medgan_translation import MedGAN
from gan_cli.models.pix2pix import Pix2Pix
from gan_cli.models.srgan import SRGAN
from gan_cli.run.train import train

CPU = torch.device("cpu")
N = 3


class Times(nn.Module):
    """A generator of one weight: pictures times `factor`."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))

    def forward(self, image: Tensor) -> Tensor:
        return image * self.factor


class Twice(nn.Module):
    """Enlarges by repeating pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(1.0))

    def forward(self, image: Tensor) -> Tensor:
        return self.factor * image.repeat_interleave(2, 2).repeat_interleave(2, 3)


class Mean(nn.Module):
    """A critic: the mean of all that it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(1.0))
        self.seen: list[Tensor] = []

    def forward(self, image: Tensor, label: Tensor | None = None) -> Tensor:
        self.seen.append(image.detach())
        return self.factor * image.flatten(1).mean(1)


def pictures(seed: int, channels: int = 1, side: int = 8) -> Tensor:
    return torch.rand(N, channels, side, side, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def turn_of(gan: GAN, phase: str, fields: dict[str, Tensor]) -> Turn:
    optimizers = {found.name: found for found in phases_of(gan)}
    batch = Batch(fields, 0, N)
    return Turn(gan, optimizers[phase], batch, Noise(CPU, batch, 0), {}, False)


def phases_of(gan: GAN) -> list[Phase]:
    def make(player: str, networks: list[nn.Module]) -> tuple[Any, Callable[[int], float]]:
        return torch.optim.SGD([p for network in networks for p in network.parameters()], 0.1), lambda images: 0.1

    return gan.phases(make)


def terms(gan: GAN, phase: str, fields: dict[str, Tensor]) -> dict[str, Tensor]:
    return gan.losses(turn_of(gan, phase, fields))


def fools(logits: Tensor) -> Tensor:
    """Least squares of a generator: 1/2 (D - 1)^2."""
    return 0.5 * (logits - 1) ** 2


def test_pix2pix_by_hand() -> None:
    """Adversarial plus 100 L1; the critic is shown source and picture, and its own loss has no L1."""
    fields = {"source": pictures(0), "target": pictures(1)}
    source, target = fields["source"], fields["target"]
    critic = Mean()
    game = Pix2Pix(Times(0.5), critic, LeastSquares())
    made = terms(game, "generator", fields)
    logits = torch.cat([source, 0.5 * source], 1).flatten(1).mean(1)
    torch.testing.assert_close(made["adversarial"], fools(logits))
    torch.testing.assert_close(made["l1"], 100 * (0.5 * source - target).abs().flatten(1).mean(1))
    assert set(made) == {"adversarial", "l1"}
    judged = terms(game, "discriminator", fields)
    real = torch.cat([source, target], 1).flatten(1).mean(1)
    torch.testing.assert_close(judged["adversarial"], 0.5 * (real - 1) ** 2 + 0.5 * logits**2)
    assert set(judged) == {"adversarial"}
    assert all(shown.shape[1] == 2 for shown in critic.seen)


def test_the_critics_turn_moves_no_generator() -> None:
    game = Pix2Pix(Times(0.5), Mean(), LeastSquares())
    sum(
        term.mean() for term in terms(game, "discriminator", {"source": pictures(0), "target": pictures(1)}).values()
    ).backward()  # type: ignore[union-attr]
    assert game.generator.factor.grad is None
    assert game.discriminator.factor.grad is not None


def cycle_game(**options: Any) -> CycleGAN:
    return CycleGAN(Times(0.5), Times(-0.25), Mean(), Mean(), LeastSquares(), **options)


def test_cyclegan_by_hand() -> None:
    """G = 0.5 x, F = -0.25 x: both ways round are -0.125 x; cycle 10, identity a half of it."""
    a, b = pictures(0), pictures(1)
    made = terms(cycle_game(), "generator", {"a": a, "b": b})
    size_a, size_b = (side.abs().flatten(1).mean(1) for side in (a, b))
    expected = {
        "adversarial_a": fools(-0.25 * b.flatten(1).mean(1)),
        "adversarial_b": fools(0.5 * a.flatten(1).mean(1)),
        "cycle_a": 10 * 1.125 * size_a,
        "cycle_b": 10 * 1.125 * size_b,
        "identity_a": 5 * 1.25 * size_a,
        "identity_b": 5 * 0.5 * size_b,
    }
    assert set(made) == set(expected)
    for name, value in expected.items():
        torch.testing.assert_close(made[name], value, msg=lambda text, name=name: f"{name}: {text}")


def test_cyclegan_without_the_identity_term() -> None:
    """Then the two sides may differ in their channels."""
    made = terms(cycle_game(identity=0.0), "generator", {"a": pictures(0), "b": pictures(1)})
    assert set(made) == {"adversarial_a", "adversarial_b", "cycle_a", "cycle_b"}


def test_cyclegans_critics_see_their_own_domain() -> None:
    game, a, b = cycle_game(pool_size=0), pictures(0), pictures(1)
    judged = terms(game, "discriminator", {"a": a, "b": b})
    for name, real, fake in [("adversarial_a", a, -0.25 * b), ("adversarial_b", b, 0.5 * a)]:
        logits = [side.flatten(1).mean(1) for side in (real, fake)]
        torch.testing.assert_close(judged[name], 0.5 * (logits[0] - 1) ** 2 + 0.5 * logits[1] ** 2)


def test_cyclegans_critics_are_shown_older_fakes_and_its_generators_new_ones() -> None:
    game = cycle_game(pool_size=N)
    terms(game, "discriminator", {"a": pictures(0), "b": pictures(1)})  # fills the pools
    later = {"a": pictures(2), "b": pictures(3)}
    critic = game.discriminator_b
    shown = []
    for first in range(0, 100 * N, N):  # N swaps are a coin's throws
        critic.seen.clear()
        batch = Batch(later, first, N)
        phase = next(phase for phase in phases_of(game) if phase.name == "discriminator")
        game.losses(Turn(game, phase, batch, Noise(CPU, batch, 0), {}, False))
        shown += [torch.equal(row, fresh) for row, fresh in zip(critic.seen[1], 0.5 * later["a"], strict=True)]
    assert 0.35 < sum(shown) / len(shown) <= 1.0
    critic.seen.clear()
    terms(game, "generator", later)
    assert any(torch.equal(seen, 0.5 * later["a"]) for seen in critic.seen)


def test_one_optimizer_for_both_generators_and_one_for_both_critics() -> None:
    game = cycle_game()
    critics, generators = phases_of(game)
    assert {id(p) for p in generators.parameters} == {id(game.a_to_b.factor), id(game.b_to_a.factor)}
    assert {id(p) for p in critics.parameters} == {
        id(game.discriminator_a.factor),
        id(game.discriminator_b.factor),
    }


def test_srgan_by_hand() -> None:
    """Squared error, then with 1e-3 of the adversarial term; the critic is shown large pictures alone."""
    fields = {"source": pictures(0, side=4), "target": pictures(1)}
    critic = Mean()
    game = SRGAN(Twice(), critic, LeastSquares(), scale=2, pretrain_images=10)
    large = fields["source"].repeat_interleave(2, 2).repeat_interleave(2, 3)
    error = (large - fields["target"]).square().flatten(1).mean(1)
    first, second = (terms(game, phase, fields) for phase in ("pretraining", "generator"))
    assert set(first) == {"mse"}
    torch.testing.assert_close(first["mse"], error)
    assert set(second) == {"adversarial", "mse"}
    torch.testing.assert_close(second["adversarial"], 1e-3 * fools(large.flatten(1).mean(1)))
    assert all(seen.shape == fields["target"].shape for seen in critic.seen)


def test_inpainting_by_hand() -> None:
    """Known pixels are pasted back, the error is of the hole alone, the second critic sees half the side around it."""
    target, mask = pictures(0), torch.zeros(N, 1, 8, 8)
    mask[:, :, 2:6, 4:8] = 1
    fields = {"source": target * (1 - mask), "mask": mask, "target": target}

    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.value = nn.Parameter(torch.tensor(0.25))

        def forward(self, image: Tensor) -> Tensor:
            return self.value.expand(N, 1, 8, 8)

    whole, hole = Mean(), Mean()
    game = Inpainting(Plain(), whole, hole, LeastSquares(), adversarial_weight=0.5)
    made = terms(game, "generator", fields)
    filled = torch.where(mask == 1, torch.tensor(0.25), target)
    torch.testing.assert_close(made["l1"], (0.25 - target[:, :, 2:6, 4:8]).abs().flatten(1).mean(1))
    torch.testing.assert_close(made["adversarial_whole"], 0.5 * fools(filled.flatten(1).mean(1)))
    torch.testing.assert_close(made["adversarial_hole"], 0.5 * fools(filled[:, :, 2:6, 4:8].flatten(1).mean(1)))
    assert all(seen.shape[2:] == (4, 4) for seen in hole.seen)


@pytest.mark.parametrize(
    ("rows", "columns", "corner"),
    [((0, 2), (0, 2), (0, 0)), ((6, 8), (7, 8), (4, 4)), ((3, 5), (2, 4), (2, 1))],
)
def test_the_window_lies_around_the_hole_and_inside_the_picture(
    rows: tuple[int, int], columns: tuple[int, int], corner: tuple[int, int]
) -> None:
    mask = torch.zeros(1, 1, 8, 8)
    mask[:, :, slice(*rows), slice(*columns)] = 1
    found = hole_corner(mask)
    assert all(abs(int(here) - there) <= 1 for here, there in zip(found[0], corner, strict=True))
    image = pictures(0)[:1]
    top, left = found[0].tolist()
    assert torch.equal(cut(image, found, 4), image[:, :, top : top + 4, left : left + 4])
    assert cut(mask, found, 4).sum() == mask.sum()


def test_medgan_by_hand() -> None:
    """20 times the mean of pixel and layer errors in the critic's features, and 1e-4 of their style."""
    torch.manual_seed(0)
    fields = {"source": pictures(0, side=32), "target": pictures(1, side=32)}
    critic = PatchGAN(2, 4, 1, "none")
    game = MedGAN(Times(0.5), critic, LeastSquares())
    made = terms(game, "generator", fields)
    fake = 0.5 * fields["source"]
    seen, wanted = (critic.features(torch.cat([fields["source"], side], 1)) for side in (fake, fields["target"]))
    layers = [
        l1(fake, fields["target"]),
        *(feature_l1([one], [other]) for one, other in zip(seen, wanted, strict=True)),
    ]
    torch.testing.assert_close(made["perceptual"], 20 * torch.stack(layers).mean(0))
    torch.testing.assert_close(made["style"], 1e-4 * style(seen, wanted))
    assert set(made) == {"adversarial", "perceptual", "style"}
    critics, generators = phases_of(game)
    assert (critics.repeat, generators.repeat) == (1, 3)


GAMES: dict[str, Callable[..., GAN]] = {
    "pix2pix": partial(Pix2Pix, Times(1.0), Mean(), LeastSquares()),
    "cyclegan": cycle_game,
    "srgan": partial(SRGAN, Twice(), Mean(), LeastSquares()),
    "inpainting": partial(Inpainting, Times(1.0), Mean(), Mean(), LeastSquares()),
}


@pytest.mark.parametrize("name", GAMES)
def test_without_an_adversarial_weight_no_critic_is_trained_or_asked(name: str) -> None:
    game = GAMES[name](adversarial_weight=0.0)
    assert [phase.name for phase in phases_of(game)] == ["generator"]
    fields = {"source": pictures(0), "target": pictures(1), "a": pictures(2), "b": pictures(3)}
    fields |= {"mask": torch.ones(N, 1, 8, 8)}
    fields |= {"target": pictures(1, side=16)} if name == "srgan" else {}
    assert not any(term.startswith("adversarial") for term in terms(game, "generator", fields))


def test_medgans_critic_is_trained_for_its_features_in_any_case() -> None:
    game = MedGAN(Times(1.0), PatchGAN(2, 4, 1), LeastSquares(), adversarial_weight=0.0)
    assert [phase.name for phase in phases_of(game)] == ["discriminator", "generator"]


@pytest.mark.parametrize("name", ["srgan", "inpainting"])
def test_the_first_stage_ends_where_the_second_begins(name: str) -> None:
    first, *rest = phases_of(GAMES[name](pretrain_images=100))
    assert (first.name, first.starts_at, first.stops_at) == ("pretraining", 0, 100)
    assert [(phase.starts_at, phase.stops_at) for phase in rest] == [(100, None), (100, None)]


@pytest.mark.parametrize("model", ["srgan", "inpainting"])
def test_two_stages_in_one_run(model: str, tmp_path: Path) -> None:
    """The critic rests in the first, and half of a run is the first stage unless it is set."""
    options = [option for option in TINY[model] if "pretrain_images" not in option]
    config = compose_checked(f"model={model}", *options, *QUICK, "trainer.batch_size=4", "trainer.total_images=16")
    assert config["model"]["pretrain_images"] == 8
    before = {**config, "trainer": {**config["trainer"], "total_images": 8}}
    train(before, tmp_path / "run")
    halfway = load(tmp_path / "run", print)[1]
    assert halfway["progress"]["updates"] == {"pretraining": 2}
    train(config, tmp_path / "run")
    end = load(tmp_path / "run", print)[1]
    assert end["progress"]["updates"] == {"pretraining": 2, "discriminator": 2, "generator": 2}
    train({**config, "trainer": {**config["trainer"], "total_images": 8}}, tmp_path / "other")
    start = load(tmp_path / "other", print)[1]
    critics = [name for name in halfway["game"] if name.startswith("discriminator") and name.endswith("weight")]
    assert critics
    assert all(torch.equal(start["game"][name], halfway["game"][name]) for name in critics)
    assert any(not torch.equal(end["game"][name], halfway["game"][name]) for name in critics)


def test_published_weights_beside_least_squares() -> None:
    """The papers' (D - 1)^2 is twice ours; the weight of other losses is 1, and what is set wins."""

    def weight(*options: str) -> float:
        return compose_checked("model=cyclegan", *TINY["cyclegan"], *options)["model"]["adversarial_weight"]

    assert weight("loss=lsgan") == 2.0
    assert weight("loss=hinge") == 1.0
    assert weight("loss=lsgan", "model.adversarial_weight=0.5") == 0.5
