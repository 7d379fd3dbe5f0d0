"""One optimizer step of one player: who moves, by how much, on which fakes, at which rate."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from conftest import with_all
from torch import Tensor, nn

from gan_cli.base.errors import RunError
from gan_cli.base.machine import StopSignals
from gan_cli.base.run_config import RunConfig
from gan_cli.base.types import Batch, Match, State
from gan_cli.data.order import Batches
from gan_cli.data.planar import Gaussians
from gan_cli.game.game import Turn
from gan_cli.game.gan import GAN
from gan_cli.game.meter import Meter
from gan_cli.game.phase import Phase, Player
from gan_cli.game.update import Updater, keeps_graph
from gan_cli.losses.adversarial import AdversarialLoss, Hinge, NonSaturating, Wasserstein
from gan_cli.media.points import PointMedium
from gan_cli.models import cdcgan, dcgan, gan_maxout, toy
from gan_cli.parts.latent import Gaussian
from gan_cli.parts.schedule import Course, Schedule
from gan_cli.penalties.gradient import DRAGAN, R1, R2, GradientPenalty, Penalty
from gan_cli.run.session import Session
from gan_cli.run.train import loop

CPU = torch.device("cpu")


def sgd(rate: float, schedule: Schedule | None = None) -> Any:
    """What `GAN.phases` asks for: plain gradient descent."""

    def make(player: str, networks: list[nn.Module]) -> tuple[torch.optim.Optimizer, Course]:
        parameters = [p for network in networks for p in network.parameters()]
        return torch.optim.SGD(parameters, lr=rate), Course(rate, schedule or Schedule())

    return make


def points_game(loss: AdversarialLoss | None = None, penalties: dict[str, Penalty] | None = None) -> GAN:
    torch.manual_seed(0)
    return GAN(toy.Generator(4, 2, 8), toy.Discriminator(2, 8), Gaussian(4), loss or NonSaturating(), penalties)


def images_game(loss: AdversarialLoss | None = None, penalties: dict[str, Penalty] | None = None) -> GAN:
    """Batch norm in the generator; in the critic where no penalty forbids it."""
    torch.manual_seed(0)
    critic = dcgan.Discriminator(1, 16, 4, norm="none" if penalties else "batch")
    return GAN(dcgan.Generator(4, 1, 16, 4), critic, Gaussian(4), loss or NonSaturating(), penalties)


def points_batch(size: int = 8, first: int = 0) -> Batch:
    real = torch.randn(size, 2, generator=torch.Generator().manual_seed(first + 1)) + 2
    return Batch({"point": real}, first, size, field="point")


def images_batch(size: int = 8, first: int = 0) -> Batch:
    real = torch.rand(size, 1, 16, 16, generator=torch.Generator().manual_seed(first + 1)) * 2 - 1
    return Batch({"image": real}, first, size)


def updater(gan: GAN, accumulate: int = 1, precision: str = "float32") -> Updater:
    return Updater(gan, CPU, accumulate, precision, Meter(CPU))


def weights(network: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in network.parameters()]).clone()


# ---- a game of one weight, where every gradient is known ----


class Weight(nn.Module):
    """A critic that answers w to anything; a spare part that no game uses."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor(100.0))
        self.spare = nn.Parameter(torch.tensor(5.0))

    def forward(self, samples: Tensor, label: Tensor | None = None) -> Tensor:
        return self.w.expand(len(samples))


class Zero(AdversarialLoss):
    """A loss that pulls at nothing."""

    def discriminator(self, match: Match) -> Tensor:
        return 0 * match.real_logits

    def generator(self, match: Match) -> Tensor:
        return 0 * match.fake_logits


class Pull(Penalty):
    """weight * w: a gradient of `weight` on w."""

    def of(self, match: Match) -> Tensor:
        return self.weight * match.real_logits


def weight_game(every: int, weight: float = 1.0) -> GAN:
    return GAN(toy.Generator(4, 2, 8), Weight(), Gaussian(4), Zero(), {"pull": Pull(weight, every)})


def walk(gan: GAN, updates: int, state: State | None = None, accumulate: int = 1) -> list[float]:
    """How far w falls in each of so many discriminator updates at rate 1."""
    update, phase = updater(gan, accumulate), gan.phases(sgd(1.0))[0]
    state, falls = state or State(), []
    for number in range(updates):
        before = gan.discriminator.w.item()  # type: ignore[union-attr]
        update(phase, points_batch(first=8 * number), state)
        falls.append(before - gan.discriminator.w.item())  # type: ignore[union-attr]
    return falls


@pytest.mark.parametrize(
    ("every", "falls"), [(1, [2.0] * 7), (3, [6.0, 0, 0, 6.0, 0, 0, 6.0]), (4, [8.0, 0, 0, 0, 8.0, 0, 0])]
)
def test_a_lazy_penalty_comes_every_kth_time_k_times_as_strong(every: int, falls: list[float]) -> None:
    assert walk(weight_game(every, weight=2.0), 7) == pytest.approx(falls)


def test_a_lazy_penalty_counts_this_phases_own_updates() -> None:
    """Steps, images and the other phase's updates don't matter; the count comes back with the state."""
    state = State(images=999, step=17, updates={"discriminator": 4, "generator": 31})
    assert walk(weight_game(3), 4, state) == pytest.approx([0, 0, 3.0, 0])  # updates 4, 5, 6, 7
    assert state.updates == {"discriminator": 8, "generator": 31}


@pytest.mark.parametrize("accumulate", [1, 2, 4])
def test_a_batch_in_parts_is_one_update(accumulate: int) -> None:
    """Terms are means over the batch: parts must not add up to `accumulate` times the gradient."""
    gan = weight_game(2)
    state = State()
    assert walk(gan, 3, state, accumulate) == pytest.approx([2.0, 0, 2.0])
    assert state.updates == {"discriminator": 3}


def test_a_part_that_the_game_does_not_use_stays() -> None:
    gan = weight_game(1)
    walk(gan, 2)
    assert gan.discriminator.spare.item() == 5.0  # type: ignore[union-attr]
    assert gan.discriminator.spare.grad is not None  # type: ignore[union-attr]


def test_scalars_of_an_update() -> None:
    """Each term by its name, the total and the gradient's norm: here w = 100, its gradient 3 * 2."""
    gan, meter = weight_game(2, weight=3.0), Meter(CPU)
    update, phase, state = Updater(gan, CPU, 1, "float32", meter), gan.phases(sgd(1.0))[0], State()
    update(phase, points_batch(), state)
    assert meter.read() == pytest.approx(
        {
            "discriminator/adversarial": 0,
            "discriminator/pull": 600,
            "loss/discriminator": 600,
            "logits/real": 100,
            "gradient_norm/discriminator": 6,
        }
    )
    update(phase, points_batch(), state)  # not due: no term of that name at all
    assert "discriminator/pull" not in meter.read()


def test_two_terms_of_one_name_are_an_error() -> None:
    """One would silently replace the other."""

    class Twice(GAN):
        def losses(self, turn: Turn) -> dict[str, Tensor]:
            return {**super().losses(turn), "pull": turn.matches[0].real_logits}

    gan = Twice(toy.Generator(4, 2, 8), Weight(), Gaussian(4), Zero(), {"pull": Pull(1.0)})
    with pytest.raises(ValueError, match="two terms of the discriminator are called 'pull'"):
        updater(gan)(gan.phases(sgd(1.0))[0], points_batch(), State())


def test_a_term_over_fewer_items_counts_by_its_mean() -> None:
    """(M,) with M < N: a term over half of the batch weighs as much as one over all of it."""

    class Half(GAN):
        def losses(self, turn: Turn) -> dict[str, Tensor]:
            return {"all": turn.matches[0].real_logits, "half": turn.matches[0].real_logits[:4]}

    gan = Half(toy.Generator(4, 2, 8), Weight(), Gaussian(4), Zero())
    assert walk(gan, 1) == pytest.approx([2.0])


# ---- who moves ----


@pytest.mark.parametrize("player", ["discriminator", "generator"])
@pytest.mark.parametrize("keep", [False, True])
def test_a_phase_moves_its_player_alone(player: str, keep: bool) -> None:
    gan = points_game(penalties={"r1": R1(1.0)})
    phase = next(p for p in gan.phases(sgd(0.1)) if p.player.name == player)
    before = {name: weights(network) for name, network in gan.networks.items()}
    updater(gan)(phase, points_batch(), State(), keep=keep)
    for name, network in gan.networks.items():
        assert torch.equal(before[name], weights(network)) == (name != player)
        assert all((p.grad is None) == (name != player) for p in network.parameters())


def test_the_generators_turn_pushes_the_critics_answer_up() -> None:
    """One small step of the generator raises D of the same fakes: a flipped sign, or fakes that were detached."""
    gan = points_game()
    update, phase, batch = updater(gan), gan.phases(sgd(0.01))[1], points_batch()

    def answer() -> float:
        with torch.no_grad():
            return gan.discriminator(gan.generator(gan.latents(batch, (0,)))).mean().item()

    before = answer()
    update(phase, batch, State())
    assert answer() > before + 1e-6


def test_requires_grad_is_put_back_as_it_was() -> None:
    """The critic asks for no weight gradients in the generator's turn; afterwards what was frozen stays frozen."""
    gan = points_game()
    frozen = next(gan.discriminator.parameters())
    frozen.requires_grad_(False)
    before = [p.requires_grad for p in gan.parameters()]
    during: list[list[bool]] = []
    gan.discriminator.register_forward_pre_hook(
        lambda module, arguments: during.append([p.requires_grad for p in module.parameters()])
    )
    updater(gan)(gan.phases(sgd(0.1))[1], points_batch(), State())
    assert during == [[False] * len(list(gan.discriminator.parameters()))]
    assert [p.requires_grad for p in gan.parameters()] == before
    assert before.count(False) == 1


def test_requires_grad_is_put_back_after_an_error() -> None:
    class Broken(NonSaturating):
        def generator(self, match: Match) -> Tensor:
            raise RuntimeError("broken")

    gan = points_game(Broken())
    with pytest.raises(RuntimeError, match="broken"):
        updater(gan)(gan.phases(sgd(0.1))[1], points_batch(), State())
    assert all(p.requires_grad for p in gan.parameters())


def test_clipping_follows_every_critic_update_and_no_generators() -> None:
    gan = points_game(Wasserstein(clip=0.05))
    update, state = updater(gan), State()
    discriminator, generator = gan.phases(sgd(0.5))
    update(discriminator, points_batch(), state)
    assert weights(gan.discriminator).abs().max().item() == pytest.approx(0.05)
    update(generator, points_batch(), state)
    assert weights(gan.generator).abs().max() > 0.05


# ---- a batch in parts, fakes kept or drawn again ----


@pytest.mark.parametrize(
    ("loss", "penalties"),
    [
        (NonSaturating(), {}),
        (Wasserstein(), {"gradient_penalty": GradientPenalty(10.0)}),
        (Hinge(), {"r1": R1(2.0), "r2": R2(2.0)}),
    ],
    ids=["nonsaturating", "wgan_gp", "hinge r1 r2"],
)
@pytest.mark.parametrize("parts", [2, 4])
def test_accumulation_changes_nothing_without_batch_statistics(
    loss: AdversarialLoss, penalties: dict[str, Penalty], parts: int
) -> None:
    """Latents and penalty noise are those of the whole batch, cut: same weights but for rounding."""
    games = [points_game(copy.deepcopy(loss), copy.deepcopy(penalties)) for _ in range(2)]
    start = weights(games[0])
    for gan, accumulate in zip(games, (1, parts), strict=True):
        update, state = updater(gan, accumulate), State(seed=3)
        for number in range(3):
            for phase in gan.phases(sgd(0.05)):
                update(phase, points_batch(first=8 * number), state)
    torch.testing.assert_close(weights(games[0]), weights(games[1]), atol=1e-6, rtol=1e-5)
    assert (weights(games[0]) - start).abs().max() > 1e-3


def dropout_game() -> GAN:
    torch.manual_seed(0)
    critic = gan_maxout.Discriminator(1, 16, 8, 2)
    with torch.no_grad():
        for parameter in critic.parameters():
            parameter.mul_(40)  # as published it says so little that the generator hardly moves
    return GAN(gan_maxout.Generator(4, 1, 16, 8), critic, Gaussian(4), NonSaturating())


@pytest.mark.parametrize("make", [images_game, dropout_game], ids=["batch norm", "dropout in the critic"])
def test_kept_fakes_are_the_fakes_that_would_be_drawn_again(make: Callable[[], GAN]) -> None:
    """Fakes are drawn once only where that is exact: weights are those of drawing them in each turn.

    All randomness is a function of seed, image, phase and draw, so that the critic's dropout of the
    generator's turn must not depend on whether fakes were drawn just before it.
    """
    after, forwards = [], []
    for keep in (False, True):
        gan, state, calls = make().train(), State(seed=1), []
        gan.generator.register_forward_hook(lambda *_, calls=calls: calls.append(1))
        update, phases = updater(gan), gan.phases(sgd(0.5))
        start = weights(gan)
        for number in range(3):
            batch = images_batch(first=8 * number)
            update(phases[0], batch, state, keep=keep)
            assert (batch.fakes is not None) == keep
            update(phases[1], batch, state)
            assert batch.fakes is None  # used up: a second phase would meet a freed graph
        after.append(weights(gan))
        forwards.append(len(calls))
        assert (after[-1] - start).abs().max() > 1e-3
    assert forwards == [6, 3]
    torch.testing.assert_close(after[0], after[1], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    ("player", "keep", "graph"),
    [("discriminator", False, False), ("discriminator", True, True), ("generator", False, True)],
)
def test_the_graph_of_the_fakes_is_paid_for_only_where_it_is_used(player: str, keep: bool, graph: bool) -> None:
    """And the critic's own turn never sees it: its backward pass would go through the generator for nothing."""
    gan, seen = points_game(), []
    gan.generator.register_forward_hook(lambda module, arguments, output: seen.append(output.requires_grad))
    asked: list[bool] = []
    gan.discriminator.register_forward_pre_hook(lambda module, arguments: asked.append(arguments[0].requires_grad))
    phase = next(p for p in gan.phases(sgd(0.1)) if p.player.name == player)
    updater(gan)(phase, points_batch(), State(), keep=keep)
    assert seen == [graph]
    assert asked == ([True] if player == "generator" else [False, False])


def test_both_players_turns_see_the_same_fakes_and_each_batch_its_own() -> None:
    gan, seen = points_game(), []
    gan.generator.register_forward_hook(lambda module, arguments, output: seen.append(output.detach().clone()))
    update, state = updater(gan), State(seed=5)
    phases = gan.phases(sgd(0.0))
    for first in (0, 8):
        for phase in phases:
            update(phase, points_batch(first=first), state)
    assert torch.equal(seen[0], seen[1])
    assert torch.equal(seen[2], seen[3])
    assert (seen[0] - seen[2]).abs().min() > 0


@pytest.mark.parametrize("make", [images_game, dropout_game], ids=["batch norm", "dropout"])
def test_an_update_does_not_depend_on_what_was_drawn_before_it(make: Callable[[], GAN]) -> None:
    """A job that draws samples between two steps, or a resume, must not disturb training."""
    after = []
    for disturbance in (1, 2):
        gan, state = make().train(), State(seed=1)
        update = updater(gan)
        for phase in gan.phases(sgd(0.5)):
            torch.manual_seed(disturbance)
            torch.randn(disturbance)
            update(phase, images_batch(), state)
        after.append(weights(gan))
    assert torch.equal(after[0], after[1])


def test_another_seed_draws_other_latents() -> None:
    after = []
    for seed in (1, 2):
        gan = points_game()
        updater(gan)(gan.phases(sgd(0.5))[0], points_batch(), State(seed=seed))
        after.append(weights(gan.discriminator))
    assert not torch.equal(after[0], after[1])


def phase_of(networks: list[nn.Module], repeat: int = 1, judges: bool = True) -> Phase:
    player = Player("any", (), judges)
    optimizer = torch.optim.SGD([p for network in networks for p in network.parameters()], lr=0.1)
    return Phase("any", player, networks, optimizer, Course(0.1), repeat=repeat)


@pytest.mark.parametrize(
    ("due", "now", "kept"),
    [
        ("d g", 0, True),
        ("d", 0, False),  # no generator moves in this step: nobody would free the graph
        ("d g", 1, False),
        ("g d", 1, False),
        ("d d g", 0, True),
        ("d g g", 0, True),
        ("d G", 0, False),  # a generator's phase with fresh batches of its own
        ("b g", 0, False),  # this phase moves the generator itself
        ("d b", 0, True),
    ],
)
def test_when_the_graph_of_the_fakes_is_kept(due: str, now: int, kept: bool) -> None:
    """d: discriminator, g: generator, G: the same with two repetitions, b: both networks."""
    gan = points_game()
    phases = {
        "d": phase_of([gan.discriminator]),
        "g": phase_of([gan.generator], judges=False),
        "G": phase_of([gan.generator], repeat=2, judges=False),
        "b": phase_of([gan.generator, gan.discriminator], judges=False),
    }
    assert keeps_graph([phases[name] for name in due.split()], now) is kept


# ---- the loop around it ----


class Recorder(Updater):
    """Notes what each update was given."""

    def __init__(self, gan: GAN) -> None:
        super().__init__(gan, CPU, 1, "float32", Meter(CPU))
        self.calls: list[tuple[str, int, int, int]] = []  # phase, first image, batch size, images seen

    def __call__(self, phase: Phase, batch: Batch, state: State, keep: bool = False) -> None:
        self.calls.append((phase.name, batch.first, len(batch), state.images))
        super().__call__(phase, batch, state, keep)


def session(gan: GAN, phases: list[Phase], total: int, batch_size: int) -> tuple[Session, Recorder]:
    config = with_all({"trainer": {"total_images": total, "batch_size": batch_size}})
    batches = Batches(Gaussians(count=200), batch_size, 0, CPU, field="point")
    run = Session(RunConfig.of(config), CPU, PointMedium(1.5), gan, phases, batches)
    run.update = record = Recorder(gan)
    return run, record


def test_n_critic_draws_fresh_batches_and_counts_their_images() -> None:
    """Five critic steps of 64 are 320 images; the generator shares the last batch."""
    gan = points_game(Wasserstein(n_critic=5))
    run, record = session(gan, gan.phases(sgd(0.01)), total=640, batch_size=64)
    loop(run, [], StopSignals())
    step = [("discriminator", 64 * n, 64, 64 * (n + 1)) for n in range(5)] + [("generator", 256, 64, 320)]
    again = [(name, first + 320, size, images + 320) for name, first, size, images in step]
    assert record.calls == step + again
    assert run.state.images == 640
    assert run.state.step == 2
    assert run.state.updates == {"discriminator": 10, "generator": 2}


def test_a_run_passes_its_total_by_less_than_a_step() -> None:
    gan = points_game()
    run, _ = session(gan, gan.phases(sgd(0.01)), total=20, batch_size=8)
    loop(run, [], StopSignals())
    assert run.state.images == 24


def test_phases_by_step_span_and_batch_size() -> None:
    """`every` counts steps, a span counts images, a stage may have a batch size of its own."""
    gan = points_game()
    discriminator, generator = gan.phases(sgd(0.01))
    generator.every, discriminator.stops_at = 2, 24
    late = phase_of([gan.discriminator])
    late.name, late.starts_at, late.batch_size = "late", 24, 4
    run, record = session(gan, [discriminator, generator, late], total=32, batch_size=8)
    loop(run, [], StopSignals())
    names = [(name, first, size) for name, first, size, _ in record.calls]
    assert names == [
        ("discriminator", 0, 8),
        ("generator", 0, 8),
        ("discriminator", 8, 8),
        ("discriminator", 16, 8),
        ("generator", 16, 8),
        ("late", 24, 4),
        ("generator", 28, 8),  # first in the list, so it draws, and the other shares its batch
        ("late", 28, 8),
    ]
    assert run.state.images == 36


def test_a_gap_between_spans_is_an_error() -> None:
    """With no phase due, the loop would never end."""
    gan = points_game()
    phases = gan.phases(sgd(0.01))
    for phase in phases:
        phase.stops_at = 16
    run, _ = session(gan, phases, total=64, batch_size=8)
    with pytest.raises(RunError, match="no phase is due at 16 images"):
        loop(run, [], StopSignals())


def test_a_stop_is_obeyed_after_the_step() -> None:
    gan = points_game()
    run, _ = session(gan, gan.phases(sgd(0.01)), total=64, batch_size=8)
    stop = StopSignals()
    stop(2, None)
    loop(run, [], stop)
    assert run.state.images == 8
    assert run.state.updates == {"discriminator": 1, "generator": 1}


# ---- the rate ----


def test_the_rate_follows_images_seen() -> None:
    """Rate 1, linear to 0 at 100 images: an update at 25 images moves w by 0.75, one at 200 by nothing."""
    gan = weight_game(1)
    phase = gan.phases(sgd(1.0, Schedule("linear", 0, 100)))[0]
    update = updater(gan)
    for images, fall in ((0, 1.0), (25, 0.75), (90, 0.1), (200, 0.0)):
        before = gan.discriminator.w.item()  # type: ignore[union-attr]
        update(phase, points_batch(), State(images=images))
        assert before - gan.discriminator.w.item() == pytest.approx(fall, abs=1e-5)  # type: ignore[union-attr]
        assert phase.optimizer.param_groups[0]["lr"] == pytest.approx(fall)


def test_a_restored_optimizer_brings_no_old_rate() -> None:
    """State that was saved at a rate of 9 goes on at the schedule's rate."""
    gan = weight_game(1)
    phase = gan.phases(sgd(0.5))[0]
    saved = phase.optimizer.state_dict()
    saved["param_groups"][0]["lr"] = 9.0
    phase.optimizer.load_state_dict(saved)
    assert phase.optimizer.param_groups[0]["lr"] == 9.0
    before = gan.discriminator.w.item()  # type: ignore[union-attr]
    updater(gan)(phase, points_batch(), State())
    assert before - gan.discriminator.w.item() == pytest.approx(0.5)  # type: ignore[union-attr]


# ---- precision ----


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize(
    "penalty",
    [None, GradientPenalty(), DRAGAN(), R1(1.0), R2(1.0)],
    ids=lambda penalty: type(penalty).__name__ if penalty else "no penalty",
)
def test_low_precision_takes_steps_and_keeps_float32_weights(precision: str, penalty: Penalty | None) -> None:
    """Both players' steps, with finite weights close to those of float32, whatever the penalty."""
    after = []
    for chosen in ("float32", precision):
        gan = images_game(penalties={"penalty": copy.deepcopy(penalty)} if penalty else None)
        update, state = updater(gan, precision=chosen), State()
        if chosen == "float16":  # its own first scale is so high that it skips the first steps
            update.scaler = torch.amp.GradScaler("cpu", init_scale=256.0)
        start = weights(gan)
        for phase in gan.phases(sgd(0.1)):
            update(phase, images_batch(), state)
        after.append(weights(gan) - start)
        assert all(p.dtype == torch.float32 for p in gan.parameters())
    assert torch.isfinite(after[1]).all()
    assert after[1].abs().max() > 0
    assert (after[0] - after[1]).norm() < 0.1 * after[0].norm()
    assert not torch.equal(after[0], after[1])


def test_low_precision_with_labels() -> None:
    torch.manual_seed(0)
    gan = GAN(cdcgan.Generator(4, 3, 1, 16, 4), cdcgan.Discriminator(3, 1, 16, 4), Gaussian(4), Hinge(), num_classes=3)
    batch = images_batch()
    batch.fields["label"] = torch.arange(8) % 3
    update, state = updater(gan, precision="bfloat16"), State()
    for phase in gan.phases(sgd(0.1)):
        update(phase, batch, state)
    assert torch.isfinite(weights(gan)).all()


# ---- labels and augmentation ----


def test_labels_reach_both_networks_only_in_a_conditional_game() -> None:
    """The fakes are judged with the labels that they were drawn with; labelled data serve any game."""
    seen: dict[str, list[Any]] = {}

    class Spy(nn.Module):
        def __init__(self, name: str, network: nn.Module) -> None:
            super().__init__()
            self.name, self.network = name, network

        def forward(self, samples: Tensor, label: Tensor | None = None) -> Tensor:
            seen.setdefault(self.name, []).append(None if label is None else label.tolist())
            return self.network(samples)

    batch = points_batch(4)
    batch.fields["label"] = torch.tensor([2, 0, 1, 2])
    for num_classes, label in ((3, [2, 0, 1, 2]), (None, None)):
        seen.clear()
        gan = GAN(
            Spy("g", toy.Generator(4, 2, 8)),
            Spy("d", toy.Discriminator(2, 8)),
            Gaussian(4),
            NonSaturating(),
            num_classes=num_classes,
        )
        updater(gan)(gan.phases(sgd(0.1))[0], batch, State())
        assert seen == {"g": [label], "d": [label, label]}


def test_augmentation_meets_reals_and_fakes_in_both_turns() -> None:
    class Spy(nn.Module):
        calls = 0

        def forward(self, samples: Tensor) -> Tensor:
            self.calls += 1
            return samples + 1

    spy = Spy()
    gan = GAN(toy.Generator(4, 2, 8), toy.Discriminator(2, 8), Gaussian(4), NonSaturating(), augment=spy)
    update, phases = updater(gan), gan.phases(sgd(0.1))
    update(phases[0], points_batch(), State())
    assert spy.calls == 2
    update(phases[1], points_batch(), State())
    assert spy.calls == 3
