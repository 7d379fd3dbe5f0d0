"""`gan-train -m hydra/sweeper=optuna`: a sweep that chooses its cells by the scores of those before them.

A thin sweeper over Optuna; each trial is a cell of the sweep, and skipped, resumed and recorded as any other. The study
is `study.db` in the sweep's folder: SQLite keeps it whole however the process ends, and Optuna's own tools read it.
The folder's lock is held, so a trial that is still running in the study was cut.
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
ENOUGH_REPEATS = 100  # proposals in a row that were all tried before


class CheckSearch(Callback):
    """For `gan-train -m hydra/sweeper=optuna`, before `CheckFirst` makes the sweep's folder."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        refuse(UserError("hydra/sweeper=optuna is a search over several runs: add -m"))

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        check = OmegaConf.select(config, "hydra.callbacks.gan_cli._target_")
        if check not in (None, f"{CheckFirst.__module__}.{CheckFirst.__qualname__}"):
            return  # the other commands have a refusal of their own
        try:
            check_search(config)
        except REFUSALS as error:
            refuse(error)
        Plugins.instance().class_name_to_class[TARGET] = OptunaSweeper


def check_search(config: DictConfig) -> None:
    """The search's own keys, then every choice and both ends of every interval, each with the others' first.

    Raises:
        UserError: the first thing that is wrong.
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
    """Every choice and both ends of every interval, each with the others' first."""
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
    """What best.json holds."""

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
    """Which end of the score is better: "lower" or "higher".

    Raises:
        UserError: no such score with a better end.
    """
    nodes = {key: OmegaConf.to_container(cell[key], resolve=True) for key in ("metric", "features") if cell.get(key)}
    if "metric" not in nodes:
        raise UserError("a search needs a score: say metric=[fid] features=classifier, for one")
    names = score_names(nodes["metric"], nodes.get("features"))  # type: ignore[arg-type]
    fit = [name for name, better in names.items() if better]
    better = names.get(stem(str(score)))
    if better is None:
        given = f"hydra.sweeper.score={score} is no score of these metrics with a better end{meant(str(score), fit)}"
        wanted = "a search needs to know what to make better: hydra.sweeper.score=SCORE"
        raise UserError(f"{wanted if score is None else given}; metric= gives {', '.join(fit) or 'none that has one'}")
    return better


class OptunaSweeper(CellSweeper):
    """One trial after the other, each through Hydra's launcher.

    Args:
        score: what to make better.
        trials: of different parameters, in all; failed ones count.
        seed: the same seed proposes the same trials, also when the search was cut in between.
    """

    def __init__(self, score: str, trials: int, seed: int) -> None:
        self.score, self.trials, self.seed = score, trials, seed
        self.failures: list[str] = []

    def sweep(self, arguments: list[str]) -> Best | None:
        """Search; returns what best.json holds, or None where no trial has a score."""
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
        """A trial's parameters as overrides."""
        return tuple(dimension.override(trial.params[dimension.key]) for dimension in self.space)

    def done(self) -> dict[tuple[str, ...], Any]:
        """The trials that have ended, by what they tried, in their order."""
        ended: dict[tuple[str, ...], Any] = {}
        for trial in self.study.get_trials(deepcopy=False):
            if trial.state.is_finished() and len(trial.params) == len(self.space):
                ended.setdefault(self.chosen(trial), trial)
        return ended

    def next(self) -> Any:
        """The trial that was cut, else one of parameters that were not tried before; None when the search is over."""
        for trial in self.study.get_trials(deepcopy=False):
            if not trial.state.is_finished():
                if len(trial.params) == len(self.space):
                    return trial
                self.tell(trial, None)  # cut while its parameters were written down
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
        """Seeded by the trial's number: a search that was cut proposes what it would have proposed."""
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
        """Run a trial's cell, tell the study, say how it went."""
        number, chosen = len(self.done()), self.chosen(trial)
        value, why = self.result(chosen, number)
        self.tell(trial, value)
        best = self.best()
        shown = why if value is None else f"{self.score} {value:.6g}"
        told = f"trial {number + 1} of {self.trials}   {' '.join(chosen)}   {shown}"
        if best is not None:
            told += f"   best so far {best['value']:.6g}, trial {best['trial']}"
            write_json(self.folder / BEST, best)
        tell(told)

    def place(self, chosen: Sequence[str], number: int) -> Path:
        """The folder of a trial's cell.

        Raises:
            UserError: the trial can't work.
        """
        content = checked(composed(self.config, [*self.fixed, *chosen], number))
        return self.cells.place(content, name_of_settings(settings_of(chosen).items()))

    def result(self, chosen: Sequence[str], number: int) -> tuple[float | None, str]:
        """The score of a cell, or why there is none."""
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
        """What best.json holds."""
        best, value, done = None, None, self.done()
        for number, (chosen, trial) in enumerate(done.items()):
            if trial.value is not None and is_better(trial.value, value, self.better):
                best, value = (number, chosen), trial.value
        if best is None:
            return None
        number, chosen = best
        fixed = [text for text in self.fixed if not text.startswith("sweep=")]
        own = [word for flag, value in typed.read(sys.argv[1:]).flags.items() if value for word in (flag, value)]
        parsed = OverridesParser.create().parse_overrides(list(chosen))
        return {
            "score": self.score,
            "better": self.better,
            "value": value,
            "trial": number + 1,
            "parameters": {override.key_or_group: override.value() for override in parsed},
            "folder": str(self.place(chosen, number)),
            "command": shlex.join(["gan-train", *own, *fixed, *chosen]),
            "finished": sum(trial.value is not None for trial in done.values()),
            "failed": sum(trial.value is None for trial in done.values()),
        }

    def close(self) -> Best | None:
        """The closing lines. A trial that failed is a finding; the exit code is 1 where none has a score."""
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
