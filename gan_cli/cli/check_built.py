"""The last check before a run's folder is made: whether the networks fit each other and the machine's memory.

They are built and called once on torch's meta device, which computes nothing and takes no memory. This imports torch,
which the run needs anyway. `check` has judged names and numbers before.
"""

from __future__ import annotations

import json
import os
from functools import cache
from typing import TYPE_CHECKING

from gan_cli.base.errors import UserError
from gan_cli.base.progress import loading_torch
from gan_cli.base.run_config import Composed

if TYPE_CHECKING:
    from gan_cli.base.run_config import RunConfig
    from gan_cli.game.game import Game
    from gan_cli.game.phase import Phase

PARTS = ("model", "loss", "penalty", "augment", "optimizer", "dataset", "trainer")  # all that networks depend on
BYTES = 2 * 4  # of a parameter and its gradient, in float32: the least that training holds


def check_built(config: Composed) -> None:
    """Refuse networks that can't be built, can't be called, or don't fit in memory.

    Args:
        config: a plain, complete and checked (`check`) config. One that trusts code from elsewhere is skipped: that
            code may read values of tensors, and tensors hold none here.

    Raises:
        UserError: the networks have such a fault.
    """
    if not config.get("trust"):
        _check(json.dumps({"seed": 0, **{part: config.get(part) for part in PARTS}}))


@cache  # the cells of a sweep often differ by their seeds alone
def _check(text: str) -> None:
    with loading_torch():
        import torch

        from gan_cli.base.run_config import RunConfig
        from gan_cli.game.build import build_game, build_medium, optimizer_factory, parameter_counts

    config = RunConfig.of(json.loads(text))
    try:
        with torch.device("meta"):
            game = build_game(config.game)
            check_memory(parameter_counts(game))
            phases = game.phases(optimizer_factory(config.optimizer))
            call_networks(game, phases, config, build_medium(config.data).field)
    except (UserError, NotImplementedError) as error:
        if isinstance(error, UserError):
            raise
        # the meta device does not know an operation: that says nothing against the networks
    except (RuntimeError, TypeError, ValueError, ArithmeticError, LookupError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        if "meta" not in reason:
            raise UserError(
                f"the networks of this model do not fit each other with these options ({reason})"
            ) from error


def call_networks(game: Game, phases: list[Phase], config: RunConfig, field: str) -> None:
    """Generate fakes, and let the critics judge them and reals, as many as an update takes at a time."""
    import torch

    from gan_cli.base.types import Batch, Noise
    from gan_cli.game.game import Turn

    trainer, dataset = config.trainer, config.data.node
    count = trainer.batch_size // trainer.accumulate // trainer.processes
    if "resolution" in dataset:
        side, scale = dataset["resolution"], (dataset.get("provides") or {}).get("scale") or 1
        target = torch.zeros(count, dataset["channels"], side, side)
        source = torch.zeros(count, dataset.get("source_channels") or dataset["channels"], side // scale, side // scale)
        fields = {"image": target, "target": target, "b": target, "source": source, "a": source}
        fields["mask"] = torch.zeros(count, 1, side, side)
    else:
        fields = {field: torch.zeros(count, 2)}
    if game.num_classes is not None:
        fields["label"] = torch.zeros(count, dtype=torch.long)
    batch = Batch(fields, 0, count, field=field)
    for phase in {phase.player.name: phase for phase in phases if phase.adversarial}.values():
        turn = Turn(game, phase, batch, Noise(torch.device("meta"), batch, 0), {}, keep=False)
        for match in game.matches(turn):
            _ = match.real_logits, match.fake_logits


def check_memory(parameters: dict[str, int]) -> None:
    """Check that the parameters of all networks fit in the memory of the machine.

    Raises:
        UserError: more parameters than the machine's memory can hold with their gradients.
    """
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):  # this system does not tell its memory
        return
    name, most = max(parameters.items(), key=lambda item: item[1])
    needed = BYTES * sum(parameters.values())
    if needed > memory > 0:
        raise UserError(
            f"model.{name} has {most:,} parameters: with their gradients all networks take {needed / 2**30:,.0f} GiB,"
            f" and this machine has {memory / 2**30:,.0f}; make them narrower"
        )
