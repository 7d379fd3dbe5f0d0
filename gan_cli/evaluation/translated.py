"""The evidence of a model that is given pictures: outputs beside targets, sets of outputs beside real sets."""

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
    """What a translator makes of held-out pictures, beside what they should look like.

    Returns:
        evidence by the suffix of its scores (one for each direction of the game), and the protocol.

    Raises:
        UserError: a metric that asks for latents; outputs that are NaN or infinite.
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
    state = hashlib.sha256()  # of all that the model is given and compared with: files can be read in many ways
    seed_everything(how.seed, "evaluate")  # dropout as noise: the same in every evaluation
    batches = rows.split(how.batch_size)
    for some in counted(batches, "making pictures to judge", len(batches), "batches"):
        fields = data.fetch(some, trained.device)
        for name in sorted(fields):
            state.update(medium.judged(fields[name]).contiguous().numpy().tobytes())
        shown = joined(game.sample(trained.networks, fields))
        for name, value in pair_scores(setting, game, shown).items():
            pairs.setdefault(name, []).append(value.cpu())
        for suffix, (made, wanted) in game.compared.items():
            if not shown[made].isfinite().all():
                raise UserError(f"the pictures of {trained.path} are NaN or infinite: there is nothing to compare")
            directions[suffix].add(shown[made], shown[wanted])
    scores = {name: torch.cat(values) for name, values in pairs.items()}
    about = {
        "real": {
            "dataset": setting.reference.name,
            "split": split,
            "count": len(rows),
            "digest": state.hexdigest()[:16],
            **setting.reference.as_read([shown[wanted][0] for _, wanted in game.compared.values()]),
        },
        "fake": {"count": len(rows), "ema": how.ema, "rule": game.score_rule},
    }
    return {suffix: Evidence(pairs=scores, sides=both.sides) for suffix, both in directions.items()}, about


def pair_scores(setting: Setting, game: Game, shown: dict[str, Tensor]) -> dict[str, Tensor]:
    """Scores of each picture against its target, (N,) each; none where the game has no targets."""
    scores = dict(game.scores(shown))
    if "target" in shown:
        for metric in setting.metrics.values():
            scores.update(metric.of_pair(shown["output"], shown["target"]))
    return scores


class Direction:
    """Both sides of one direction, batch by batch."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.sides = {side: Gathered(setting.kinds(side), lambda parts: None) for side in ("real", "fake")}

    def add(self, made: Tensor, wanted: Tensor) -> None:
        judged = self.setting.reference.medium.judged
        for side, samples in (("fake", made), ("real", wanted)):
            pass_by(self.sides[side].parts, [Passing(judged(samples), self.setting.look)])


def chosen_rows(data: Data, count: int) -> Tensor:
    """Which held-out pictures: (N,), or (N, S) for sides of their own, none of them twice."""
    return data.order(0).once()[:count]
