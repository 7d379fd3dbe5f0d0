"""All parts of a run in one object, which builds, steps, saves and restores them."""

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
        device: the device that trains it.
        medium: the medium of its samples.
        game: its networks and rules.
        phases: its optimizer steps, and when each is due.
        ema: its averaged networks.
        batches: batches of its data, this process's share.
        state: its progress.
        meter: the means of what its updates report.
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
        """Build all parts as they are before the first step.

        Args:
            config: the run's.
            device: where to train.
            rank, processes: this process's share of each batch.

        Raises:
            UserError: a part can't be built, or its data or weights are missing.
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
        """Take one step of every phase that is due: draw, update, average.

        Raises:
            RunError: no phase is due.
            PictureError: a picture of the batch can't be read; nothing has changed.
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
                if batch is None or repetition:  # as `batch_sizes` says
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
        """Return what generators are given for sample grids: the same latents, or held-out data, throughout the run.

        Raises:
            UserError: the held-out data is missing.
        """
        config = self.config
        return self.game.given(count, config.seed, "preview", lambda: build_data(config.data.held_out(), config.trust))

    def learns(self, images: int) -> bool:
        """Return whether any network moves at a number of images seen."""
        return any(phase.course(images) > 0 for phase in self.phases)

    def state_dict(self) -> Content:
        """Return the content of a checkpoint: tensors and plain values, all that the run needs to go on exactly.

        It holds no generator's state: see `randomness`.
        """
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
        """Load the content that `state_dict` returns.

        Raises:
            UserError: the checkpoint was trained in other phases.
            RunError: the content is not what `state_dict` makes of such parts.
        """
        with foreign("the checkpoint"):
            optimizers, progress, state = content["optimizers"], content["progress"], self.state
            # a regularizing phase has another phase's optimizer
            by_phase = {phase.name: phase.optimizer for phase in self.phases if not phase.regularizes}
            if lacking := sorted(by_phase.keys() - optimizers.keys()):
                raise UserError(
                    f"the checkpoint has no optimizer for {lacking[0]}: an earlier version trained this model in other"
                    " phases; start a new run from its weights with init_from= instead of resume="
                )
            state.seed, state.images, state.step = progress["seed"], progress["images"], progress["step"]
            state.updates = dict(progress["updates"])
            self.game.load_state_dict(content["game"])
            self.ema.load_state_dict(content["ema"], state.images)
            for name, optimizer in by_phase.items():
                load_optimizer(optimizer, optimizers[name])
            if self.update.scaler.is_enabled():
                self.update.scaler.load_state_dict(content["scaler"])
            self.meter.load_state_dict(content["meter"])


def batch_sizes(due: list[Phase]) -> list[int | None]:
    """List the sizes of a step's batches; None is the usual size.

    The first due phase draws a batch for each of its repetitions. The others share its last batch, and draw for further
    repetitions.
    """
    return [phase.batch_size for number, phase in enumerate(due) for _ in range(phase.repeat - (number > 0))]
