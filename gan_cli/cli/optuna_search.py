"""`gan-train -m hydra/sweeper=optuna`: a sweep that chooses its cells by the scores of earlier ones.

A thin sweeper over Optuna: each trial is a cell of the sweep, and is skipped, resumed and recorded like any other. The
study is `study.db` in the sweep's folder: SQLite keeps it intact however the process ends, and Optuna's own tools read
it. This process holds the folder's lock, so a trial that the study lists as running was interrupted.
"""

from __future__ import annotations

import importlib.util
import math
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from gan_cli.base.errors import UserError
from gan_cli.base.files import read_json, write_json
from gan_cli.base.naming import name_of_settings
from gan_cli.base.printable import tell
from gan_cli.base.scoring import is_better, score_names
from gan_cli.check.check_metrics import stem
from gan_cli.check.hints import meant
from gan_cli.cli import outcome, typed
from gan_cli.cli.callbacks import CheckFirst, checked, composed, config_loader, content_of, refuse, tell_common
from gan_cli.cli.cells import Cells, CellSweeper, Note, settings_of, words_of
from gan_cli.cli.learned_from import SameData
from gan_cli.cli.search_space import Dimension, opened, read
from gan_cli.cli.sentences import REFUSALS, sentence

BEST = "best.json"
TARGET = "hydra_plugins.gan_cli.OptunaSweeper"  # Hydra takes plugins by a name in this package alone
ENOUGH_REPEATS = 100  # the number of proposals in a row that may repeat earlier trials


class CheckSearch(Callback):
    """The check of `gan-train -m hydra/sweeper=optuna`, before `CheckFirst` makes the sweep's folder."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        refuse(UserError("hydra/sweeper=optuna is a search over several runs: add -m"))

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        check = OmegaConf.select(config, "hydra.callbacks.gan_cli._target_")
        if check not in (None, f"{CheckFirst.__module__}.{CheckFirst.__qualname__}"):
            return  # another command: `NoSweeps` refuses the sweep
        try:
            check_search(config)
        except REFUSALS as error:
            refuse(error)
        Plugins.instance().class_name_to_class[TARGET] = OptunaSweeper


def check_search(config: DictConfig) -> None:
    """Check the keys of the search itself, then the cells of `corners`.

    Raises:
        UserError: the first fault.
    """
    if importlib.util.find_spec("optuna") is None:
        raise UserError("hydra/sweeper=optuna needs Optuna: pip install 'gan_cli[search]'")
    how = config.hydra.sweeper
    for key, least in (("trials", 1), ("seed", 0)):
        if isinstance(how[key], bool) or not isinstance(how[key], int) or how[key] < least:
            raise UserError(f"hydra.sweeper.{key}={how[key]} is not a whole number from {least} up")
    space, fixed = read(words_of(config.hydra.overrides.task), config_loader())
    better_end(composed(config, [*fixed, *corners(space)[0]]), how.score)
    for chosen in corners(space):
        check_with(config, fixed, chosen, space)


def corners(space: list[Dimension]) -> list[list[str]]:
    """List overrides with each choice and each end of an interval, beside the first values of the other keys."""
    first = [dimension.corners()[0] for dimension in space]
    others = [
        [*first[:number], corner, *first[number + 1 :]]
        for number, dimension in enumerate(space)
        for corner in dimension.corners()[1:]
    ]
    return [first, *others]


def check_with(config: DictConfig, fixed: list[str], chosen: list[str], space: list[Dimension]) -> None:
    try:
        checked(composed(config, [*fixed, *chosen]))
    except UserError as error:
        text = f"{error} (with {' '.join(chosen)})"
        if "whole number" in text and (key := next((d.key for d in space if text.startswith(f"{d.key}=")), None)):
            text += f"; {key}=int(interval(...)) gives whole numbers"
        raise UserError(text) from error


class Best(TypedDict):
    """The content of best.json."""

    score: str
    better: str
    value: float | None
    trial: int
    parameters: dict[str, Any]
    folder: str
    command: str
    finished: int
    failed: int


def better_end(cell: DictConfig, score: Any) -> str:
    """Return which end of a score is better: "lower" or "higher".

    Raises:
        UserError: the metrics give no such score, or neither of its ends is better.
    """
    nodes = {key: OmegaConf.to_container(cell[key], resolve=True) for key in ("metric", "features") if cell.get(key)}
    if "metric" not in nodes:
        raise UserError("a search needs a score: say metric=[fid] features=classifier, for one")
    names = score_names(nodes["metric"], nodes.get("features"))  # type: ignore[arg-type]
    fit = [name for name, better in names.items() if better]
    better = names.get(stem(str(score)))
    if better is None:
        unfit = f"hydra.sweeper.score={score} is no score of these metrics with a better end{meant(str(score), fit)}"
        missing = "a search needs to know what to make better: hydra.sweeper.score=SCORE"
        raise UserError(f"{missing if score is None else unfit}; metric= gives {', '.join(fit) or 'none that has one'}")
    return better


class OptunaSweeper(CellSweeper):
    """The sweeper of a search: one trial after the other, each through Hydra's launcher.

    Args:
        score: the score to make better.
        trials: the number of trials with different parameters, failed ones included.
        seed: the same seed proposes the same trials, even if the search is interrupted and resumed.
    """

    def __init__(self, score: str, trials: int, seed: int) -> None:
        self.score, self.trials, self.seed = score, trials, seed
        self.failures: list[str] = []

    def sweep(self, arguments: list[str]) -> Best | None:
        """Search, and return the content of best.json, or None where no trial has a score."""
        assert self.hydra_context is not None
        self.space, self.fixed = read(arguments, self.hydra_context.config_loader)
        at_corners = [composed(self.config, [*self.fixed, *chosen]) for chosen in corners(self.space)]
        self.better = better_end(at_corners[0], self.score)
        self.folder = Path(str(OmegaConf.select(self.config, "hydra.sweep.dir")))
        self.study = opened(self.folder, self.score, self.better, self.space, self.fixed)
        self.cells = Cells(self.folder, SameData())
        Note(self.trials, tuple(dimension.key for dimension in self.space), searched=True).leave()
        tell(f"search of {self.trials} trials for the {self.better[:-2]}est {self.score} in {self.folder}")
        tell_common([content_of(config) for config in at_corners], self.folder)
        while (trial := self.next()) is not None:
            self.carry_out(trial)
        return self.close()

    def chosen(self, trial: Any) -> tuple[str, ...]:
        """Return the parameters of a trial as overrides."""
        return tuple(dimension.override(trial.params[dimension.key]) for dimension in self.space)

    def done(self) -> dict[tuple[str, ...], Any]:
        """Return the trials that have ended, in their order, by their overrides."""
        ended: dict[tuple[str, ...], Any] = {}
        for trial in self.study.get_trials(deepcopy=False):
            if trial.state.is_finished() and len(trial.params) == len(self.space):
                ended.setdefault(self.chosen(trial), trial)
        return ended

    def next(self) -> Any:
        """Return the interrupted trial, else one with new parameters; None when the search is over."""
        for trial in self.study.get_trials(deepcopy=False):
            if not trial.state.is_finished():
                if len(trial.params) == len(self.space):
                    return trial
                self.tell(trial, None)  # it was interrupted while its parameters were stored
        done = self.done()
        for repeats in range(ENOUGH_REPEATS):
            if len(done) >= min(self.trials, math.prod(dimension.size() for dimension in self.space)):
                return None
            trial = self.propose(repeats > 0)
            before = done.get(self.chosen(trial))
            if before is None:
                return trial
            self.tell(trial, before.value)
        return None

    def propose(self, at_random: bool) -> Any:
        """Ask Optuna for a trial, with a seed from the number of the trial.

        So a resumed search proposes what the uninterrupted one would have proposed.
        """
        import numpy
        from optuna.samplers import RandomSampler, TPESampler

        number = len(self.study.get_trials(deepcopy=False))
        seed = int(numpy.random.SeedSequence([self.seed, number]).generate_state(1)[0])
        self.study.sampler = (RandomSampler if at_random else TPESampler)(seed=seed)
        return self.study.ask({dimension.key: dimension.distribution() for dimension in self.space})

    def tell(self, trial: Any, value: float | None) -> None:
        from optuna.trial import TrialState

        self.study.tell(trial.number, value, TrialState.FAIL if value is None else TrialState.COMPLETE)

    def carry_out(self, trial: Any) -> None:
        """Run the cell of a trial, report its score to the study, and print the result."""
        number, chosen = len(self.done()), self.chosen(trial)
        value, why = self.result(chosen, number)
        self.tell(trial, value)
        best = self.best()
        shown = why if value is None else f"{self.score} {value:.6g}"
        line = f"trial {number + 1} of {self.trials}   {' '.join(chosen)}   {shown}"
        if best is not None:
            line += f"   best so far {best['value']:.6g}, trial {best['trial']}"
            write_json(self.folder / BEST, best)
        tell(line)

    def place(self, chosen: Sequence[str], number: int) -> Path:
        """Return the folder of a trial's cell.

        Raises:
            UserError: the trial can't work.
        """
        content = checked(composed(self.config, [*self.fixed, *chosen], number))
        return self.cells.place(content, name_of_settings(settings_of(chosen).items()))

    def result(self, chosen: Sequence[str], number: int) -> tuple[float | None, str]:
        """Run a cell, and return its score and ""; None and the reason where it has no score."""
        try:
            folder = self.place(chosen, number)
        except REFUSALS as error:
            self.failures.append(f"refused: {sentence(error, outcome.names)}")
            return None, "refused"
        ((_, status, text),) = self.launch([([*self.fixed, *chosen], folder)], number)
        record = read_json(folder / "run.json") or {}
        if status not in ("finished", "skipped"):
            self.failures.append(f"{status}: {folder}: {text}")
            return None, status
        value = (record.get("scores") or {}).get(self.score)
        if value is None or not math.isfinite(value):
            has = ", ".join(record.get("scores") or {}) or "none"
            self.failures.append(f"no score: {folder}: it has no finite {self.score}; its scores: {has}")
            return None, "no score"
        return value, ""

    def best(self) -> Best | None:
        """Return the content of best.json, or None where no trial has a score."""
        best, value, done = None, None, self.done()
        for number, (chosen, trial) in enumerate(done.items()):
            if trial.value is not None and is_better(trial.value, value, self.better):
                best, value = (number, chosen), trial.value
        if best is None:
            return None
        number, chosen = best
        fixed = [text for text in self.fixed if not text.startswith("sweep=")]
        flags = [word for flag, value in typed.read(sys.argv[1:]).flags.items() if value for word in (flag, value)]
        parsed = OverridesParser.create().parse_overrides(list(chosen))
        return {
            "score": self.score,
            "better": self.better,
            "value": value,
            "trial": number + 1,
            "parameters": {override.key_or_group: override.value() for override in parsed},
            "folder": str(self.place(chosen, number)),
            "command": shlex.join(["gan-train", *flags, *fixed, *chosen]),
            "finished": sum(trial.value is not None for trial in done.values()),
            "failed": sum(trial.value is None for trial in done.values()),
        }

    def close(self) -> Best | None:
        """Print the closing lines, set the exit code, and return the content of best.json.

        A failed trial is a result too: the exit code is 1 only where no trial has a score.
        """
        best, done = self.best(), self.done()
        failed = sum(trial.value is None for trial in done.values())
        early = "" if len(done) >= self.trials else "; there is nothing else to try"
        tell(f"\nsearch: {len(done) - failed} finished, {failed} failed{early}")
        for line in self.failures:
            tell(f"  {line}")
        if best is not None:
            tell(f"best       {self.score} {best['value']:.6g}, trial {best['trial']}, in {best['folder']}")
            tell(f"again      {best['command']}")
            outcome.tell_next(self.folder)
        outcome.runs.clear()  # summed up here, not by CheckFirst
        outcome.code = 0 if best is not None else 1
        return best
