"""Everything that a run has in hand: built, stepped and put back in one place."""

from __future__ import annotations

import torch

from gan_cli.base.errors import RunError, UserError
from gan_cli.base.records import Content
from gan_cli.base.run_config import RunConfig
from gan_cli.base.stored import foreign
from gan_cli.base.types import State
from gan_cli.data.order import Batches
from gan_cli.game.base import Base
from gan_cli.game.build import build_data, build_game, build_medium, optimizer_factory
from gan_cli.game.game import Game, Given
from gan_cli.game.meter import Meter
from gan_cli.game.phase import Phase
from gan_cli.game.update import Updater, keeps_graph
from gan_cli.losses.perceptual import Features
from gan_cli.media.medium import Medium
from gan_cli.parts.ema import EMA
from gan_cli.run.resumed import load_optimizer


class Session:
    """A run's parts.

    Attributes:
        config: the run's.
        device: where it is trained.
        medium: what its samples are.
        game: networks and rules.
        phases: who moves when.
        ema: averaged networks.
        batches: of its data, this process's share.
        state: how far it is.
        meter: what its updates say.
        update: carries out a phase.
    """

    def __init__(
        self,
        config: RunConfig,
        device: torch.device,
        medium: Medium,
        game: Game,
        phases: list[Phase],
        batches: Batches,
    ) -> None:
        self.config, self.device, self.medium, self.game = config, device, medium, game
        self.phases, self.batches = phases, batches
        game.plan = phases
        self.ema = EMA.of(game.averaged, config.trainer)
        self.state, self.meter = State(seed=config.seed), Meter(device)
        self.update = Updater(game, device, config.trainer.accumulate, config.trainer.precision, self.meter)

    @classmethod
    def build(cls, config: RunConfig, device: torch.device, rank: int = 0, processes: int = 1) -> Session:
        """All parts as they are before the first step.

        Args:
            config: a run's.
            device: where to train.
            rank, processes: whose share of each batch is drawn.

        Raises:
            UserError: a part can't be built, or its data or weights are not there.
        """
        data, medium = build_data(config.data, config.trust), build_medium(config.data, config.trust)
        data.to(device)
        game = build_game(config.game, config.trust).to(device).train()
        for module in game.modules():
            if isinstance(module, Features):
                module.load()  # now and not at the stage that needs them
        if device.type != "mps":
            game.to(memory_format=torch.channels_last)  # the layout that convolutions are fastest in
        phases = game.phases(optimizer_factory(config.optimizer, config.trust))
        batches = Batches(data, config.trainer.batch_size, config.seed, device, rank, processes, medium.field)
        return cls(config, device, medium, game, phases, batches)

    def step(self) -> None:
        """One step of every phase that is due: draw, update, average.

        Raises:
            RunError: no phase is due.
            PictureError: what a batch is made of can't be read; nothing has changed.
        """
        state = self.state
        self.game.set_progress(state.images)
        due = [phase for phase in self.phases if phase.due(state)]
        if not due:
            raise RunError(
                f"no phase is due at {state.images} images: the spans of the model's phases leave a gap there"
            )
        drawn, batch = self.batches.of_step(state, batch_sizes(due)), None
        for number, phase in enumerate(due):
            for repetition in range(phase.repeat):
                if batch is None or repetition:  # as `draws` says
                    batch = drawn.pop(0)
                    state.images += batch.total
                last = repetition == phase.repeat - 1
                self.update(phase, batch, state, keep=last and keeps_graph(due, number))
        state.step += 1
        self.ema.update(state.images)
        for phase in self.phases:
            if phase.over(state.images):
                phase.optimizer.state.clear()

    def examples(self, count: int) -> Given:
        """What the grids of training are made from: the same latents, or held-out data, at every point of the run.

        Raises:
            UserError: the held-out data is not there.
        """
        config = self.config
        return self.game.given(count, config.seed, "preview", lambda: build_data(config.data.held_out(), config.trust))

    def learns(self, images: int) -> bool:
        """Whether any network moves at some images seen."""
        return any(phase.course(images) > 0 for phase in self.phases)

    def state_dict(self) -> Content:
        """What a checkpoint holds: tensors and plain values, all that the run needs to go on exactly. No generator's
        state: see `randomness`."""
        data = self.batches.data
        content: Content = {
            "config": self.config.plain,
            "progress": self.state.to_dict(),
            "game": self.game.state_dict(),
            "ema": self.ema.state_dict(),
            "optimizers": {phase.name: phase.optimizer.state_dict() for phase in self.phases if not phase.regularizes},
            "scaler": self.update.scaler.state_dict(),
            "meter": self.meter.state_dict(),
            "data": {"fingerprint": data.fingerprint, "count": len(data), "class_names": list(data.class_names)},
        }
        if isinstance(base := self.config.game.model.get("base"), Base):
            content["base"] = base.digest
        return content

    def load_state_dict(self, content: Content) -> None:
        """The inverse of `state_dict`.

        Raises:
            UserError: the phases are others.
            RunError: the content is not what `state_dict` makes of such parts.
        """
        with foreign("the checkpoint"):
            optimizers, progress, state = content["optimizers"], content["progress"], self.state
            own_optimizers = {
                phase.name: phase.optimizer for phase in self.phases if not phase.regularizes
            }  # else another's
            if lacking := sorted(own_optimizers.keys() - optimizers.keys()):
                raise UserError(
                    f"the checkpoint has no optimizer for {lacking[0]}: an earlier version trained this model in other"
                    " phases; start a new run from its weights with init_from= instead of resume="
                )
            state.seed, state.images, state.step = progress["seed"], progress["images"], progress["step"]
            state.updates = dict(progress["updates"])
            self.game.load_state_dict(content["game"])
            self.ema.load_state_dict(content["ema"], state.images)
            for name, optimizer in own_optimizers.items():
                load_optimizer(optimizer, optimizers[name])
            if self.update.scaler.is_enabled():
                self.update.scaler.load_state_dict(content["scaler"])
            self.meter.load_state_dict(content["meter"])


def batch_sizes(due: list[Phase]) -> list[int | None]:
    """The sizes of a step's batches: the first due phase draws for each of its repetitions, the others share its last
    batch and draw for further ones.
    """
    return [phase.batch_size for number, phase in enumerate(due) for _ in range(phase.repeat - (number > 0))]
