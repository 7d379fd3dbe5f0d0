"""The evidence of a model that is given pictures: outputs with their targets, sets of outputs with real sets."""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from torch import Tensor

from gan_cli.base.errors import UserError
from gan_cli.base.progress import counted
from gan_cli.base.randomness import seed_everything
from gan_cli.data.order import Data
from gan_cli.evaluation.setting import Setting
from gan_cli.game.game import Game, joined
from gan_cli.metrics.evidence import Evidence
from gan_cli.metrics.gathered import Gathered, Passing, pass_by
from gan_cli.use.load import Trained


def translated(setting: Setting, trained: Trained) -> tuple[dict[str, Evidence], dict[str, Any]]:
    """Translate held-out pictures, and compare the outputs with their targets.

    Returns:
        evidence by the suffix of its scores (one for each direction of the game), and the protocol.

    Raises:
        UserError: a metric needs latents, or outputs are NaN or infinite.
    """
    for name, metric in setting.metrics.items():
        if metric.of_latents:
            raise UserError(f"metric={name} is for models that draw from noise; this one is given pictures")
    game, how, split = trained.game, setting.how, setting.how.split or "test"
    medium = setting.reference.medium
    data = setting.reference.data(split)
    rows = chosen_rows(data, how.count)
    directions = {suffix: Direction(setting) for suffix in game.compared}
    pairs: dict[str, list[Tensor]] = {}
    state = hashlib.sha256()  # of all inputs and targets as they were read: files can be read in many ways
    seed_everything(how.seed, "evaluate")  # dropout as noise: the same in every evaluation
    batches = rows.split(how.batch_size)
    for indices in counted(batches, "making pictures to judge", len(batches), "batches"):
        fields = data.fetch(indices, trained.device)
        for name in sorted(fields):
            state.update(medium.judged(fields[name]).contiguous().numpy().tobytes())
        shown = joined(game.sample(trained.networks, fields))
        for name, value in pair_scores(setting, game, shown).items():
            pairs.setdefault(name, []).append(value.cpu())
        for suffix, (output, target) in game.compared.items():
            if not shown[output].isfinite().all():
                raise UserError(f"the pictures of {trained.path} are NaN or infinite: there is nothing to compare")
            directions[suffix].add(shown[output], shown[target])
    scores = {name: torch.cat(values) for name, values in pairs.items()}
    about = {
        "real": {
            "dataset": setting.reference.name,
            "split": split,
            "count": len(rows),
            "digest": state.hexdigest()[:16],
            **setting.reference.protocol_entries([shown[target][0] for _, target in game.compared.values()]),
        },
        "fake": {"count": len(rows), "ema": how.ema, "rule": game.score_rule},
    }
    return {suffix: Evidence(pairs=scores, sides=both.sides) for suffix, both in directions.items()}, about


def pair_scores(setting: Setting, game: Game, shown: dict[str, Tensor]) -> dict[str, Tensor]:
    """Compute scores of each picture against its target, (N,) each; none where the game has no targets."""
    scores = dict(game.scores(shown))
    if "target" in shown:
        for metric in setting.metrics.values():
            scores.update(metric.of_pair(shown["output"], shown["target"]))
    return scores


class Direction:
    """Both sides of one direction, gathered batch by batch."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.sides = {side: Gathered(setting.kinds(side), lambda parts: None) for side in ("real", "fake")}

    def add(self, outputs: Tensor, targets: Tensor) -> None:
        judged = self.setting.reference.medium.judged
        for side, samples in (("fake", outputs), ("real", targets)):
            pass_by(self.sides[side].parts, [Passing(judged(samples), self.setting.look)])


def chosen_rows(data: Data, count: int) -> Tensor:
    """Return the indices of held-out pictures, none twice: (N,), or (N, S) if each of S sides has its own order."""
    return data.order(0).once()[:count]
