"""Scores during training, computed on a copy of the averaged weights, so that nothing of the run is touched."""

from __future__ import annotations

import time

from gan_cli.base import checkpoint, distributed
from gan_cli.base.records import BestScore, SideFile
from gan_cli.base.scoring import Score, ScoreLine, append_scores, is_better, read_scores, score_names, take_back
from gan_cli.evaluation.evaluator import Evaluator
from gan_cli.game.build import build_game
from gan_cli.run.jobs import Job, side_file
from gan_cli.run.log import Logbook
from gan_cli.run.session import Session
from gan_cli.use.load import Trained


class Measure(Job):
    """The job that scores the run, keeps its best checkpoint, and ends the run when its score gets no better.

    Process 0 scores, the others wait: samples must not depend on how many processes there are.

    Args:
        session: the run.
        logbook: every score is written there.
        evaluator: scores a model; it is prepared already.

    Attributes:
        end: the better end of the score that decides, "lower" or "higher"; None where no score decides.
    """

    def __init__(self, session: Session, logbook: Logbook, evaluator: Evaluator) -> None:
        config, images = session.config, session.state.images
        super().__init__(session, logbook, config.trainer.evaluate_every_images)
        self.folder, self.evaluator = logbook.folder, evaluator
        self.curves, self.console = logbook.curves, logbook.console
        self.decides, self.patience = config.trainer.keep_best, config.trainer.patience_images
        names = score_names(dict(config.metrics), config.features)
        self.end = names.get(str(self.decides).removesuffix("_a_to_b").removesuffix("_b_to_a"))
        self.copy: Trained | None = None
        self.latest: dict[str, float] = {}
        self.best: float | None = None
        self.best_by = ""  # the digest of the best score's protocol
        self.best_at, self.scored_at = images, -1
        if distributed.rank() == 0:
            take_back(self.folder, images)
            self.restore_scores(images)
        self.scored_at = distributed.any_process(self.scored_at + 1) - 1  # as process 0 has read it
        self.wait()

    def restore_scores(self, images: int) -> None:
        """Restore the scores so far from what the run has written, so that a resumed run goes on with them.

        The scores at `images`, where the run goes on, count if their curves and their best checkpoint are complete.
        Else the run was killed while it wrote them, and they are computed again.
        """
        kept = self.kept_score()
        of_training = (line for line in read_scores(self.folder) if line.get("checkpoint") is None)
        lines = [(line["images"], line) for line in of_training if line["images"] is not None]
        lines_here = [line for at, line in lines if at == images]
        self.count([(at, line) for at, line in lines if at < images])
        if self.is_complete(lines_here, images, kept):
            self.count([(images, line) for line in lines_here])
        else:
            take_back(self.folder, images - 1)
            if self.curves is not None:
                self.curves.take_back("score/")
        if self.best is not None and not self.is_as_good(kept, self.best):
            self.console(
                f"the best {self.decides} so far ({self.best:.4g} at {self.best_at:,} images) has no checkpoint:"
                " the best from here on is kept"
            )
            self.best, self.best_at = None, images

    def count(self, lines: list[tuple[int, ScoreLine]]) -> None:
        for images, line in lines:
            self.scored_at = max(self.scored_at, images)
            self.latest[line["name"]] = line["value"]
            if line["name"] == self.decides:
                self.update_best(line["value"], images, line["protocol_digest"])

    def is_complete(self, lines: list[ScoreLine], images: int, kept: float | None) -> bool:
        """Return whether these scores have their curves, and the best score of all has its checkpoint."""
        drawn = set() if self.curves is None else self.curves.names_at(images)
        if {f"score/{line['name']}" for line in lines} != {name for name in drawn if name.startswith("score/")}:
            return False
        deciding = [line["value"] for line in lines if line["name"] == self.decides]
        better = [value for value in deciding if self.betters(value)]
        return bool(lines) and all(self.is_as_good(kept, value) for value in better)

    def kept_score(self) -> float | None:
        """Return the deciding score of the best checkpoint, or None where there is no complete one."""
        path = self.folder / "checkpoints" / checkpoint.BEST
        side, fault = checkpoint.fitting(path) if path.is_file() else ({}, "is not there")
        score = side.get("score")
        return (
            score["value"] if fault is None and isinstance(score, dict) and score.get("name") == self.decides else None
        )

    def is_as_good(self, kept: float | None, value: float) -> bool:
        """Return whether the best checkpoint's score is no worse than another."""
        return kept is not None and not is_better(value, kept, self.end or "lower")

    def betters(self, value: float) -> bool:
        return self.end is not None and is_better(value, self.best, self.end)

    def update_best(self, value: float, images: int, protocol: str) -> bool:
        """Update the best score so far, and return whether this one is the best.

        A score by another protocol than the best one's always is, as the two don't compare.
        """
        if protocol == self.best_by and not self.betters(value):
            return False
        self.best, self.best_at, self.best_by = value, images, protocol
        return self.end is not None

    def __call__(self) -> None:
        images = self.session.state.images
        if self.scored_at == images:
            return
        self.scored_at = images
        begun = time.monotonic()
        scores = distributed.all_or_none(lambda: self.compute_scores(images))
        if distributed.rank() == 0:
            self.record(images, scores, time.monotonic() - begun)
        self.wait()

    def begin(self) -> None:
        """Compute the scores that are due at these images but missing, since the run ended before it wrote them."""
        images = self.session.state.images
        if self.every and images > 0 and max(self.scored_at, 0) // self.every < images // self.every:
            self()

    def wait(self) -> None:
        """Decide by the last scoring whether the run may end (`enough`). Every process must call it."""
        waited = self.patience is not None and self.scored_at - self.best_at >= self.patience
        self.enough = bool(distributed.any_process(int(waited and distributed.rank() == 0)))

    def finish(self) -> None:
        self()

    def compute_scores(self, images: int) -> list[Score]:
        """Compute the scores in process 0, for all processes; return none in the others."""
        return self.evaluator.scores(self.as_loaded(images)) if distributed.rank() == 0 else []

    def record(self, images: int, scores: list[Score], seconds: float) -> None:
        self.latest = {score.name: score.value for score in scores}
        values = "   ".join(f"{score.name} {score.value:.4g}" for score in scores)
        mark = ""
        for score in scores:
            before, known = self.best_by, self.best is not None
            if score.name == self.decides and self.update_best(score.value, images, score.protocol_digest):
                self.keep(score)
                unlike = known and before != self.best_by
                mark = "   kept: those before were made by another protocol" if unlike else "   best so far, kept"
        if self.curves is not None:
            self.curves.scalars(images, {f"score/{score.name}": score.value for score in scores})
        append_scores(self.folder, scores)  # last, so that scores on disk have all that belongs to them
        self.console(f"scores     {values}   ({seconds:.0f} s){mark}")

    def as_loaded(self, images: int) -> Trained:
        """Return the run's model as `gan-evaluate` would load it from a checkpoint of this moment."""
        session, config, device = self.session, self.session.config, self.evaluator.setting.device
        if self.copy is None:
            game = build_game(config.game, config.trust).to(device).eval()
            path = self.folder / "checkpoints"
            self.copy = Trained(game, game.averaged, session.medium, config, [], path, images, device)
        self.copy.game.load_state_dict(session.game.state_dict())
        for name, weights in session.ema.state_dict().items():
            self.copy.networks[name].load_state_dict(weights)
        self.copy.game.set_progress(images)
        self.copy.images = images
        return self.copy

    def keep(self, score: Score) -> None:
        """Save the best checkpoint, beside the newest ones."""
        best: BestScore = {"name": score.name, "value": score.value, "protocol_digest": score.protocol_digest}
        content = self.session.state_dict()
        summary: SideFile = {**side_file(self.session), "progress": content["progress"], "score": best}
        checkpoint.save_best(self.folder, content, summary)
