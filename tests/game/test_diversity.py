"""Against collapse: unrolling, packing, mode seeking, augmentation of what critics see."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from conftest import QUICK, ROOT, TINY, compose_checked, game_of, optimizers_of
from torch import Tensor, nn
from torch.nn.functional import affine_grid

import gan_cli.augment.ada as ada_module
from gan_cli.augment.ada import Ada, Sampled
from gan_cli.augment.diffaugment import DiffAugment
from gan_cli.base.checkpoint import load
from gan_cli.base.errors import UserError
from gan_cli.base.types import Batch, Match, Noise, Side, State
from gan_cli.game.build import instantiate, locate
from gan_cli.game.gan import GAN, Turn
from gan_cli.game.meter import Meter
from gan_cli.game.unrolled import unrolled
from gan_cli.game.update import Updater
from gan_cli.layers.minibatch import MinibatchDiscrimination
from gan_cli.losses.adversarial import (
    AdversarialLoss,
    Hinge,
    LeastSquares,
    Minimax,
    NonSaturating,
    RelativisticAverage,
    RelativisticPairing,
    Wasserstein,
)
from gan_cli.parts.latent import Gaussian
from gan_cli.parts.schedule import Course
from gan_cli.penalties.gradient import R1, R2, GradientPenalty
from gan_cli.run.train import train

CONF = ROOT / "conf"

# ---- unrolling ----


class Scale(nn.Module):
    """One parameter: x -> a x (a generator), or x -> a x (a critic's logit)."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor(value, dtype=torch.double))

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        return (self.a * x).tanh().sum(1) + (self.a * x).square().sum(1) * 0.1 if x.shape[1] == 1 else self.a * x[:, :1]


OPTIMIZERS: dict[str, Any] = {
    "adam": lambda p: torch.optim.Adam(p, lr=0.05, betas=(0.5, 0.9), eps=1e-4),
    "sgd": lambda p: torch.optim.SGD(p, lr=0.2, momentum=0.9),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.05),
}


def small_game(loss: AdversarialLoss, make: Any) -> tuple[GAN, list[Any], Batch]:
    gan = GAN(Scale(0.7), Scale(0.4), Gaussian(2), loss)

    def factory(player: str, networks: list[nn.Module]) -> tuple[Any, Course]:
        optimizer = make([parameter for network in networks for parameter in network.parameters()])
        return optimizer, Course(optimizer.defaults["lr"])

    gan.plan = gan.phases(factory)
    point = torch.linspace(-1, 2, 6, dtype=torch.double)[:, None]
    return gan, gan.plan, Batch({"point": point}, 0, 6, field="point")


def value_after(gan: GAN, phase: Any, real: Tensor, fake: Tensor, steps: int) -> Tensor:
    """What the generator minimises against a copy of the critic that really was trained `steps` more times."""
    rival, critic = copy.deepcopy(gan), None
    optimizer = type(phase.optimizer)(rival.discriminator.parameters(), **phase.optimizer.defaults)
    optimizer.load_state_dict(copy.deepcopy(phase.optimizer.state_dict()))
    critic = rival.discriminator
    for _ in range(steps):
        optimizer.zero_grad()
        loss = rival.loss.discriminator(match_of(critic, real, fake)).mean()
        loss.backward()
        optimizer.step()
    return OBJECTIVES[type(gan.loss)][1](critic(real), critic(fake)).mean().detach()


def log_sigmoid(x: Tensor) -> Tensor:
    return -(1 + (-x).exp()).log()


# by loss, written out from the papers: what the critic minimises, and what the generator does at a critic that is
# some updates ahead; of a zero-sum game that is the whole value, its real term too
OBJECTIVES: dict[type, tuple[Any, Any]] = {
    Minimax: (
        lambda real, fake: -log_sigmoid(real) - log_sigmoid(-fake),
        lambda real, fake: log_sigmoid(real) + log_sigmoid(-fake),
    ),
    Wasserstein: (lambda real, fake: fake - real, lambda real, fake: real - fake),
    NonSaturating: (
        lambda real, fake: -log_sigmoid(real) - log_sigmoid(-fake),
        lambda real, fake: -log_sigmoid(fake),
    ),
    LeastSquares: (
        lambda real, fake: (real - 1) ** 2 / 2 + fake**2 / 2,
        lambda real, fake: (fake - 1) ** 2 / 2,
    ),
    Hinge: (lambda real, fake: (1 - real).clamp(min=0) + (1 + fake).clamp(min=0), lambda real, fake: -fake),
    RelativisticPairing: (
        lambda real, fake: -log_sigmoid(real - fake),
        lambda real, fake: -log_sigmoid(fake - real),
    ),
    RelativisticAverage: (
        lambda real, fake: -log_sigmoid(real - fake.mean()) - log_sigmoid(real.mean() - fake),
        lambda real, fake: -log_sigmoid(fake - real.mean()) - log_sigmoid(fake.mean() - real),
    ),
}


def match_of(critic: nn.Module, real: Tensor, fake: Tensor) -> Any:
    class Plain:
        real_logits, fake_logits = critic(real), critic(fake)

    return Plain


@pytest.mark.parametrize("kind", [R1, R2, GradientPenalty])
def test_an_unrolled_critics_penalties_are_part_of_the_gradient(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        Match, "answer", lambda self, side: self.critic(side.sample, *side.beside)
    )  # in double, as all here
    draw = Noise.uniform
    monkeypatch.setattr(Noise, "uniform", lambda self, *key: draw(self, *key).double())
    gan, (critics, _), batch = small_game(NonSaturating(unroll_steps=3), lambda p: torch.optim.SGD(p, lr=0.02))
    critics.penalties["term"] = penalty = kind(weight=10.0)
    latent = torch.randn(6, 2, dtype=torch.double, generator=torch.Generator().manual_seed(0))

    def value(scale: Tensor) -> Tensor:
        noise = Noise(torch.device("cpu"), batch, 0)
        match = Match(lambda x: gan.discriminator(x), Side(batch.real), Side(scale * latent[:, :1]), noise)
        (ahead,) = unrolled(gan, critics, [match], 3)
        return gan.loss.generator(ahead).mean()

    def at(place: float) -> Tensor:
        return torch.tensor(place, dtype=torch.double, requires_grad=True)

    slopes = {}
    for weight in (10.0, 0.0):
        penalty.weight = weight
        scale = at(0.7)
        (slope,) = torch.autograd.grad(value(scale), scale)
        sides = [value(at(0.7 + step)).item() for step in (1e-5, -1e-5)]
        assert slope.item() == pytest.approx((sides[0] - sides[1]) / 2e-5, rel=1e-4)
        slopes[weight] = slope.item()
    assert abs(slopes[10.0] - slopes[0.0]) > 1e-3, "the penalty changes where the critic gets to"


@pytest.mark.parametrize("steps", [1, 5])
@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("loss", [Minimax, NonSaturating, Wasserstein])
def test_the_unrolled_gradient_is_that_of_finite_differences(loss: Any, kind: str, steps: int) -> None:
    gan, (critics, generators), batch = small_game(loss(unroll_steps=steps), OPTIMIZERS[kind])
    latent = torch.randn(6, 2, dtype=torch.double, generator=torch.Generator().manual_seed(0))
    for _ in range(3):  # moments that are not 0
        critics.optimizer.zero_grad()
        gan.loss.discriminator(match_of(gan.discriminator, batch.real, latent[:, :1] * 0.7)).mean().backward()
        critics.optimizer.step()
    before = copy.deepcopy((gan.state_dict(), critics.optimizer.state_dict()))
    match = Turn(gan, generators, batch, Noise(torch.device("cpu"), batch, 0), {}, False).match(
        lambda x: gan.discriminator(x, None), Side(batch.real), Side(gan.generator(latent))
    )
    match.answer = lambda side: match.critic(side.sample)  # type: ignore[method-assign]
    (ahead,) = unrolled(gan, critics, [match], steps)
    ahead.answer = lambda side: ahead.critic(side.sample)  # type: ignore[method-assign]
    value = gan.loss.unrolled(ahead).mean()
    (slope,) = torch.autograd.grad(value, [gan.generator.a], retain_graph=True)  # type: ignore[list-item]
    sides = []
    for sign in (1, -1):
        fake = ((gan.generator.a + sign * 1e-5) * latent[:, :1]).detach()
        sides.append(value_after(gan, critics, batch.real, fake, steps))
    assert value.item() == pytest.approx((sides[0] + sides[1]).item() / 2, rel=1e-5)
    assert slope.item() == pytest.approx((sides[0] - sides[1]).item() / 2e-5, rel=1e-4)
    plain = torch.autograd.grad(gan.loss.generator(match).mean(), [gan.generator.a])[0]  # type: ignore[list-item]
    assert abs(slope.item() - plain.item()) > 1e-3, "the plain game's gradient is another"
    after = (gan.state_dict(), critics.optimizer.state_dict())
    assert str(after) == str(before), "the critic and its optimizer are where they were"


@pytest.mark.parametrize("steps", [1, 5])
@pytest.mark.parametrize("kind", ["adam", "sgd"])
@pytest.mark.parametrize("loss", OBJECTIVES, ids=lambda loss: loss.__name__)
def test_a_turns_gradient_is_that_of_the_papers_value_unrolled_by_hand(
    loss: Any, kind: str, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    make = {
        "adam": lambda p: torch.optim.Adam(p, lr=0.05, betas=(0.5, 0.9), eps=1e-4),
        "sgd": lambda p: torch.optim.SGD(p, lr=0.2),
    }[kind]
    gan, (_, generators), batch = small_game(loss(unroll_steps=steps), make)
    torch.set_default_dtype(torch.float64)
    try:
        turn = Turn(gan, generators, batch, Noise(torch.device("cpu"), batch, 0), {}, False)
        (slope,) = torch.autograd.grad(gan.losses(turn)["adversarial"].mean(), list(gan.generator.parameters()))
        latent = gan.latents(batch, turn.noise.key)
    finally:
        torch.set_default_dtype(torch.float32)

    def answer(weight: Tensor, x: Tensor) -> Tensor:
        return (weight * x).tanh().sum(1) + (weight * x).square().sum(1) * 0.1

    critics, generator = OBJECTIVES[loss]
    made = gan.generator.a.detach().clone().requires_grad_()  # type: ignore[operator,union-attr]
    fake, weight = made * latent[:, :1], gan.discriminator.a.detach().clone().requires_grad_()  # type: ignore[operator,union-attr]
    mean = square = torch.zeros(())
    for number in range(1, steps + 1):
        total = critics(answer(weight, batch.real), answer(weight, fake)).mean()
        (gradient,) = torch.autograd.grad(total, weight, create_graph=True)
        if kind == "sgd":
            weight = weight - 0.2 * gradient
            continue
        mean, square = 0.5 * mean + 0.5 * gradient, 0.9 * square + 0.1 * gradient**2
        weight = weight - 0.05 * (mean / (1 - 0.5**number)) / ((square / (1 - 0.9**number)).sqrt() + 1e-4)
    value = generator(answer(weight, batch.real), answer(weight, fake)).mean()
    (wanted,) = torch.autograd.grad(value, made, retain_graph=True)
    assert slope.item() == pytest.approx(wanted.item(), rel=1e-6)
    alone = generator(answer(weight, batch.real).detach(), answer(weight, fake)).mean()
    without = torch.autograd.grad(alone, made)[0].item()
    if loss.zero_sum and (kind, steps) != ("adam", 1):  # Adam's first step is a sign, which does not move
        assert abs(wanted.item() - without) > 1e-4 * abs(wanted.item()), "the real term moves with the generator"


def trained(folder: Path, *more: str) -> dict[str, Any]:
    config = compose_checked("model=toy", *TINY["toy"], *QUICK, "trainer.total_images=64", "trainer.device=cpu", *more)
    train(config, folder)
    return load(folder, print)[1]


def test_no_steps_are_the_plain_game_bit_for_bit_and_some_are_not(tmp_path: Path) -> None:
    plain = trained(tmp_path / "plain")
    none = trained(tmp_path / "none", "loss.unroll_steps=0")
    some = trained(tmp_path / "some", "loss.unroll_steps=2")
    same = [torch.equal(plain["game"][name], none["game"][name]) for name in plain["game"]]
    assert all(same)
    assert not torch.equal(plain["game"]["generator.layers.0.weight"], some["game"]["generator.layers.0.weight"])


@pytest.mark.parametrize(
    "more",
    [
        ["loss=wgan_gp", "optimizer=adam"],
        ["optimizer=rmsprop"],
        ["optimizer=adamw", "penalty=[r1]"],
        ["model=dcgan", *TINY["dcgan"], "dataset=digits"],
        ["model=pix2pix", *TINY["pix2pix"]],
        ["model=cyclegan", *TINY["cyclegan"]],
        ["model=progan", *TINY["progan"], "dataset=digits"],
    ],
    ids=lambda more: more[0],
)
def test_any_game_and_optimizer_unrolls(more: list[str], tmp_path: Path) -> None:
    start = [] if any(word.startswith("model=") for word in more) else ["model=toy", *TINY["toy"]]
    config = compose_checked(*start, *more, *QUICK, "loss.unroll_steps=2", "trainer.total_images=40")
    assert train(config, tmp_path / "run")["status"] == "finished"


# ---- packing and mode seeking ----


def test_packed_samples_are_judged_together(tmp_path: Path) -> None:
    config = compose_checked("model=dcgan", "model.pack=2", *TINY["dcgan"], *QUICK)
    gan = game_of(config)
    first = gan.discriminator.layers[0]  # type: ignore[index,union-attr]
    assert first.weight.shape[1] == 2
    image = torch.randn(8, 1, 16, 16)
    gan.eval()
    logits = gan.judge(image, None)
    assert logits.shape == (4,)
    other = image.clone()
    other[1] += 1
    moved = gan.judge(other, None) != logits
    assert moved.tolist() == [True, False, False, False], "a pack is two neighbours"
    with pytest.raises(UserError, match=r"x model\.pack=3\); 6 or 9 would do"):
        compose_checked("model=dcgan", "model.pack=3", *TINY["dcgan"], *QUICK)


def test_mode_seeking_by_hand() -> None:
    config = compose_checked(
        "model=toy", *TINY["toy"], *QUICK, "penalty=[mode_seeking]", "penalty.mode_seeking.weight=3"
    )
    gan = game_of(config)
    gan.generator = Scale(2.0).float()  # moves half as many coordinates of the latent, twice as far
    state, noise_batch = State(), Batch({"point": torch.randn(16, 2)}, 0, 16, field="point")
    gan.plan = gan.phases(optimizers_of(config))
    noise = Noise(torch.device("cpu"), noise_batch, state.seed)
    gan.discriminator = nn.Identity()
    gan.judge = lambda samples, label: samples.sum(1)  # type: ignore[method-assign]
    turn = Turn(gan, gan.plan[1], noise_batch, noise, gan.plan[1].penalties, False)
    terms = gan.penalties["mode_seeking"].terms("mode_seeking", turn)
    a = gan.latents(noise_batch, noise.key)
    b = gan.latents(noise_batch, [*noise.key, "mode_seeking"])
    ratio = (2 * (a[:, :1] - b[:, :1])).abs().mean() / (a - b).abs().mean()
    assert torch.allclose(terms["mode_seeking"], 3 / (ratio + 1e-5).expand(16))
    told = torch.nn.functional.softplus(-(2 * b[:, :1]).sum(1))
    assert torch.allclose(terms["mode_seeking_adversarial"], told, atol=1e-6)


def test_critics_with_minibatch_discrimination_compare_a_batchs_samples(tmp_path: Path) -> None:
    for model, shape in (("dcgan", (6, 1, 16, 16)), ("gan", (6, 1, 8, 8)), ("toy", (6, 2))):
        plain, compared = (
            game_of(compose_checked(f"model={model}", *TINY[model], *QUICK, *more))
            for more in ([], ["model.discriminator.minibatch_kernels=7"])
        )
        (layer,) = [m for m in compared.modules() if isinstance(m, MinibatchDiscrimination)]
        inputs = layer.tensor.shape[0]
        more = sum(p.numel() for p in compared.discriminator.parameters())
        assert more - sum(p.numel() for p in plain.discriminator.parameters()) == inputs * 7 * 5 + 7, model
        compared.eval()
        samples = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        alike = torch.cat([samples[:1], samples[:1], samples[2:]])
        alone, beside = (compared.discriminator(x)[0] for x in (samples, alike))
        assert alone != beside, f"{model}: a sample's answer depends on the others"
        assert plain.eval().discriminator(samples)[0] == plain.discriminator(alike)[0]
    config = compose_checked("model=dcgan", *TINY["dcgan"], *QUICK, "model.discriminator.minibatch_kernels=7")
    short = {**config, "trainer": {**config["trainer"], "total_images": 16, "device": "cpu"}}
    before = {name: value.clone() for name, value in game_of(short).state_dict().items() if "tensor" in name}
    train(short, tmp_path / "run")
    after = load(tmp_path / "run", print)[1]["game"]
    assert before
    assert all(not torch.equal(after[name], value) for name, value in before.items())


# ---- augmentation ----


@pytest.mark.slow
def test_augmentation_at_strength_0_is_the_identity_and_all_of_it_is_differentiable() -> None:
    x = torch.rand(4, 3, 8, 8, dtype=torch.double) * 2 - 1
    assert torch.equal(DiffAugment(0, 0, 0)(x), x)
    assert (Ada(0.0)(x.float()) - x.float()).abs().max() < 1e-5
    for part in (DiffAugment(1, 0, 0), DiffAugment(0, 0.25, 0), DiffAugment(0, 0, 0.5), Ada(1.0)):
        part.double()

        def seeded(value: Tensor, part: nn.Module = part) -> Tensor:
            torch.manual_seed(3)
            return part(value)

        value = x[:2, :, :4, :4].clone().requires_grad_()
        assert not torch.equal(seeded(value), value), part
        assert torch.autograd.gradcheck(seeded, value, eps=1e-5, atol=1e-4)
        assert torch.autograd.gradgradcheck(lambda v, f=seeded: f(v).pow(2), value, eps=1e-5, atol=1e-3)


def test_sampling_at_fixed_places_is_torchs_own() -> None:
    grid = torch.rand(2, 5, 5, 2, dtype=torch.double) * 2.4 - 1.2
    x = torch.randn(2, 3, 7, 7, dtype=torch.double, requires_grad=True)
    own = Sampled.apply(x, grid)
    theirs = nn.functional.grid_sample(x, grid, "bilinear", "reflection", align_corners=False)
    assert torch.equal(own, theirs)
    weights = torch.randn_like(own)
    ours, wanted = (torch.autograd.grad((made * weights).sum(), x)[0] for made in (own, theirs))
    assert torch.allclose(ours, wanted)


def test_cutout_and_shift_by_hand() -> None:
    torch.manual_seed(0)
    ones = torch.ones(2000, 1, 8, 8)
    cut = DiffAugment(0, 0, 0.5)(ones)
    zeros = (cut == 0).flatten(1).sum(1)
    assert zeros.max() == 16
    assert zeros.min() >= 4, "centres lie inside"
    ramp = torch.arange(64.0).view(1, 1, 8, 8).expand(2000, 1, 8, 8) + 1
    moved = DiffAugment(0, 0.125, 0)(ramp)
    corners = set(moved[:, 0, 0, 0].int().tolist())
    assert corners == {0, 1, 2, 9, 10}, "zeros come in, or a row or column goes out"


def test_p_follows_the_signs_of_the_answers_to_reals() -> None:
    ada = Ada(ada_images=1000, interval=4)
    for _ in range(4):
        ada.observe(torch.ones(50), 50, 50)
    assert ada.p.item() == 0, "not yet"
    ada.observe(torch.cat([torch.ones(39), -torch.ones(11)]), 50, 50)  # mean sign 0.56, below 0.6
    assert ada.p.item() == pytest.approx(0.2), "200 of 1000 images, towards 1"
    for _ in range(4):
        ada.observe(torch.cat([torch.ones(39), -torch.ones(11)]), 50, 50)
    assert ada.p.item() == pytest.approx(0.0)
    for _ in range(60):
        ada.observe(torch.ones(50), 50, 50)
    assert ada.p.item() == 1
    fixed = Ada(0.3, fixed=True)
    for _ in range(8):
        fixed.observe(torch.ones(50), 50, 50)
    assert fixed.p.item() == pytest.approx(0.3)


def test_a_scheduled_p_follows_its_cosine_whatever_the_critic_answers() -> None:
    ada = Ada(final_p=0.55, ramp_images=20_000_000)
    wanted = {0: 0.0, 5_000_000: 0.55 * (1 - 2**-0.5) / 2, 10_000_000: 0.275, 20_000_000: 0.55, 90_000_000: 0.55}
    for images, p in wanted.items():
        ada.set_progress(images)
        for _ in range(10):
            ada.observe(torch.ones(8), 8, 8)
        assert ada.p.item() == pytest.approx(p, abs=1e-7)
    assert ada.signs.tolist() == [0, 0]
    falling = Ada(p=0.4, final_p=0.2, ramp_images=10)
    falling.set_progress(10)
    assert falling.p.item() == pytest.approx(0.2)


@pytest.mark.parametrize(
    "options",
    [
        {"final_p": 0.5},
        {"ramp_images": 100},
        {"final_p": 0.5, "ramp_images": 100, "fixed": True},
        {"final_p": 1.5, "ramp_images": 100},
        {"color": 1.5},
        {"cutout": -0.1},
    ],
    ids=str,
)
def test_options_of_ada_that_contradict_each_other_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"final_p|cutout"):
        Ada(**options)


def test_colours_and_cutout_have_probabilities_of_their_own() -> None:
    """At p = 1: none of the colour changes at factor 0, half of them at one half; a cut square of half the side."""
    grey = torch.full((4000, 1, 16, 16), 0.5)
    torch.manual_seed(0)
    assert torch.allclose(Ada(p=1.0, fixed=True, color=0.0)(grey), grey, atol=1e-5), (
        "moving a plain picture shows nothing"
    )
    halves = Ada(p=1.0, fixed=True, color=0.5)(grey)
    same = ((halves - grey).abs().amax([1, 2, 3]) < 1e-5).float().mean().item()
    assert same == pytest.approx(0.5 * 0.5 * 0.75, abs=0.03)  # neither brightness, contrast nor (half of them) a mirror
    cut = Ada(p=1.0, fixed=True, color=0.0, cutout=0.5)(grey)
    blank = (cut == 0).flatten(1)
    hit = blank.any(1)
    assert hit.float().mean().item() == pytest.approx(0.5, abs=0.03)
    rows, columns = (blank[hit].view(-1, 16, 16).any(axis).sum(1) for axis in (2, 1))
    assert torch.equal(rows * columns, blank[hit].sum(1)), "a square, or what of it lies inside"
    assert int(rows.max()) == 8
    assert int(rows.min()) >= 4, "its middle is in the picture"


STEERED = {
    "minimax": True,
    "nonsaturating": True,
    "hinge": True,
    "dragan": True,
    "lsgan": False,
    "wgan": False,
    "wgan_gp": False,
    "relativistic_average": False,
    "relativistic_pairing": False,
}


def test_every_loss_says_whether_zero_means_undecided() -> None:
    assert set(STEERED) == {file.stem for file in (CONF / "loss").glob("*.yaml")}
    for name, steered in STEERED.items():
        node = yaml.safe_load((CONF / "loss" / f"{name}.yaml").read_text())
        assert ("undecided_at_zero" in node.get("provides", [])) == steered, name
        assert locate(node["_target_"]).undecided_at_zero == steered, name  # type: ignore[attr-defined]
    # what the word promises: swapping the sides and the sign changes nothing, so that 0 is the answer to a coin
    logit = torch.linspace(-3, 3, 7, dtype=torch.double)
    for name, steered in STEERED.items():
        if name.startswith(("wgan", "relativistic")):  # any level will do
            continue
        loss = build_loss(name)
        coin = loss.discriminator(match_of(lambda x: x, logit, logit))
        assert torch.allclose(coin, coin.flip(0)) == steered, name


@pytest.mark.parametrize("loss", STEERED)
@pytest.mark.sampled(3)
def test_ada_is_steered_only_by_a_sign_that_means_something(loss: str) -> None:
    start = ["model=dcgan", *TINY["dcgan"], *QUICK, f"loss={loss}", "augment=ada"]
    if STEERED[loss]:
        compose_checked(*start)
    else:
        with pytest.raises(UserError, match=rf"under loss={loss}, where 0 is not .* augment.final_p=0.5"):
            compose_checked(*start)
    compose_checked(*start, "augment.fixed=true", "augment.p=0.2")
    compose_checked(*start, "augment.final_p=0.5", "augment.ramp_images=1000")
    with pytest.raises(UserError, match=r"leaves augment\.p at 0"):
        compose_checked(*start, "augment.fixed=true")
    with pytest.raises(UserError, match="give both, or neither"):
        compose_checked(*start, "augment.final_p=0.5")
    with pytest.raises(UserError, match="give one of them"):
        compose_checked(*start, "augment.fixed=true", "augment.p=0.2", "augment.final_p=0.5", "augment.ramp_images=9")


def build_loss(name: str) -> AdversarialLoss:
    return instantiate(yaml.safe_load((CONF / "loss" / f"{name}.yaml").read_text()) | {"n_critic": 1})


def test_p_moves_alike_however_a_batch_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Into parts, one after the other, or over processes, whose sums are averaged behind each update."""
    signs = torch.cat([torch.ones(36), -torch.ones(4)])

    def after(updates: int, parts: int, processes: int) -> float:
        monkeypatch.setattr(ada_module, "world_size", lambda: processes)
        ranks = [Ada(ada_images=1000, interval=2) for _ in range(processes)]
        for _ in range(updates):
            for rank, shown in zip(ranks, signs.chunk(processes), strict=True):
                for part in shown.chunk(parts):
                    rank.observe(part, len(part), len(signs))
            mean = torch.stack([rank.signs for rank in ranks]).mean(0)
            for rank in ranks:
                rank.signs.copy_(mean)
        (p,) = {rank.p.item() for rank in ranks}
        return p

    whole = after(7, 1, 1)
    assert whole == pytest.approx(3 * 80 / 1000)
    assert after(7, 4, 1) == pytest.approx(whole)
    assert after(7, 1, 4) == pytest.approx(whole)
    assert after(7, 2, 2) == pytest.approx(whole)


@pytest.mark.parametrize("channels", [1, 3])
def test_what_ada_changes_has_its_probability(channels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 4,000 pictures: a change with two amounts has one chance; grey pictures turn into their negative too."""
    torch.manual_seed(0)
    ada, x = Ada(0.5), torch.rand(4_000, channels, 8, 8) + 1  # no picture is another's negative
    assert (ada.recolored(x).mean([1, 2, 3]) < 0).double().mean().item() == pytest.approx(0.25, abs=0.03)
    turned = Ada(0.5)
    monkeypatch.setattr(ada_module, "rotated", lambda angle: torch.eye(3).expand(len(angle), 3, 3))
    monkeypatch.setattr(ada_module, "scaled", lambda *amounts: torch.eye(3).expand(amounts[2], 3, 3))
    places = turned.grid(x)[:, 0, 0]  # whole shifts and fractional ones alone: each of both axes or of none
    still = affine_grid(torch.eye(2, 3).expand(1, 2, 3), [1, 1, 8, 8], align_corners=False)[0, 0, 0]
    unmoved = ((places - still).abs() < 1e-6).double().mean(0)
    # no fractional shift (1/2), and no whole one (1/2) or one of 0 pixels (half of those from -1 to 1 in each axis)
    assert unmoved.tolist() == pytest.approx([1 / 2 * (1 / 2 + 1 / 2 * 1 / 2)] * 2, abs=0.03)
    both = ((places - still).abs() < 1e-6).all(1).double().mean().item()
    assert both == pytest.approx(1 / 2 * (1 / 2 + 1 / 2 * 1 / 4), abs=0.03)


@pytest.mark.parametrize(
    "more",
    [["model=stylegan2", *TINY["stylegan2"]], ["model=sngan", *TINY["sngan"], "augment=ada", "augment.p=0.5"]],
    ids=["path_length", "ada"],
)
def test_parts_that_need_float32_have_it_under_bfloat16(more: list[str], tmp_path: Path) -> None:
    precise = ["trainer.precision=bfloat16", "trainer.total_images=16", "trainer.device=cpu"]
    assert train(compose_checked(*more, *QUICK, *precise), tmp_path / "run")["status"] == "finished"
    x = torch.rand(4, 1, 16, 16)
    ada, made = Ada(1.0), []
    for lower in (False, True):
        torch.manual_seed(0)
        with torch.autocast("cpu", torch.bfloat16, enabled=lower):
            made.append(ada(x))
    assert torch.equal(*made)


def test_the_critic_sees_augmented_reals_and_fakes_in_both_turns() -> None:
    config = compose_checked("model=dcgan", *TINY["dcgan"], *QUICK, "augment=diffaugment", "penalty=[r1]")
    gan = game_of(config)
    seen: list[int] = []
    whole = gan.augment.forward
    gan.augment.forward = lambda x: seen.append(len(x)) or whole(x)  # type: ignore
    gan.plan = gan.phases(optimizers_of(config))
    update = Updater(gan, torch.device("cpu"), 1, "float32", Meter(torch.device("cpu")))
    state, batch = State(), Batch({"image": torch.randn(8, 1, 16, 16)}, 0, 8)
    update(gan.plan[0], batch, state)
    assert seen == [8, 8], "reals and fakes; R1 shares the reals'"
    update(gan.plan[1], batch, state)
    assert seen == [8, 8, 8]


ADA = [
    *("model=dcgan", *TINY["dcgan"], *QUICK, "augment=ada", "augment.ada_images=200", "augment.interval=2"),
    *("trainer.device=cpu", "penalty=[r1]", "optimizer.learning_rate=0.01"),
]


def test_p_is_in_the_checkpoint_and_a_resume_is_exact(tmp_path: Path) -> None:
    config = compose_checked(*ADA, "trainer.total_images=160")
    train(config, tmp_path / "whole")
    short = {**config, "trainer": {**config["trainer"], "total_images": 72}}
    train(short, tmp_path / "cut")
    before = load(tmp_path / "cut", print)[1]["game"]["augment.p"]
    train(config, tmp_path / "cut")
    whole, cut = (load(tmp_path / name, print)[1]["game"] for name in ("whole", "cut"))
    assert before > 0
    assert all(torch.equal(whole[name], cut[name]) for name in whole)


def test_what_unrolling_or_accumulation_would_get_wrong_is_refused() -> None:
    with pytest.raises(UserError, match="loss=wgan clips critic weights, and unrolling does not look through that"):
        compose_checked("model=toy", *TINY["toy"], "loss=wgan", "loss.unroll_steps=2")
    with pytest.raises(UserError, match="penalty=mode_seeking takes a mean over the whole batch"):
        compose_checked("model=toy", *TINY["toy"], "penalty=[mode_seeking]", "trainer.accumulate=2")


def test_points_and_pairs_are_not_augmented() -> None:
    with pytest.raises(
        UserError, match="augment=ada changes pictures of a model that draws them; model=toy is no such"
    ):
        compose_checked("model=toy", *TINY["toy"], "augment=ada")
    with pytest.raises(UserError, match="model=pix2pix is no such model"):
        compose_checked("model=pix2pix", *TINY["pix2pix"], "augment=diffaugment")
