"""The `gan-evaluate` command: scores of a run, of a sweep's cells, or of two folders of pictures."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gan_cli.base.allow_list import make_importable
from gan_cli.base.checkpoint import best_of, newest_summary, run_of
from gan_cli.base.errors import RunError, UserError
from gan_cli.base.files import expanded, write_json
from gan_cli.base.printable import tell
from gan_cli.base.run_config import DataConfig
from gan_cli.base.run_folder import cells_in, links_in, runs_in
from gan_cli.base.scoring import METRICS_FILE, Score, append_scores
from gan_cli.base.stored import foreign, read_record
from gan_cli.check.check_device import check_device
from gan_cli.check.check_metrics import check_choice, check_count, check_metrics
from gan_cli.check.config_folder import config_folders, files_of
from gan_cli.cli import outcome
from gan_cli.cli.command import run
from gan_cli.cli.help import evaluate_help
from gan_cli.cli.loading import load_torch
from gan_cli.cli.options import Evaluate, checked, free, path
from gan_cli.cli.places import located

if TYPE_CHECKING:
    from gan_cli.evaluation.evaluator import Evaluator

SOURCES = "say what to score: checkpoint=RUN, sweep=FOLDER, or a=FOLDER b=FOLDER"


def main() -> None:
    """Run `gan-evaluate` as a console script."""
    run("evaluate", evaluate, evaluate_help)


def evaluate(typed: Mapping[str, Any]) -> None:
    """Check the options, score, print a table and write the scores.

    Raises:
        UserError: the options can't work; nothing was written.
    """
    asked = check(typed)
    output = free(path(asked.output), asked.overwrite)
    a, b, sweep = map(path, (asked.a, asked.b, asked.sweep))
    if a is not None and b is not None:
        results = {f"{asked.a} against {asked.b}": of_folders(asked, a, b)}
    elif sweep is not None:
        results = of_sweep(asked, sweep)
    else:
        where = expanded(str(asked.checkpoint))
        results = {str(where): of_checkpoint(asked, where, {})}
    if output is not None:
        lines = {name: [asdict(score) for score in scores] for name, scores in results.items()}
        write_json(output, lines)
        tell(f"scores in {output}")


def check(typed: Mapping[str, Any]) -> Evaluate:
    """Check the options alone, and return them."""
    asked = checked(Evaluate, typed)
    make_importable(asked.trust)
    sources = [source for source in (asked.checkpoint, asked.sweep, asked.a) if source is not None]
    if not sources and asked.b is None:
        raise UserError(SOURCES)
    if len(sources) != 1 or (asked.a is None) != (asked.b is None):
        raise UserError(f"{SOURCES}; one of these at a time")
    if asked.white_level is not None and asked.a is None:
        raise UserError(
            "white_level= is for the folders a= and b=; a run's pictures are read by its own dataset.white_level"
        )
    if asked.a is not None and asked.dataset["root"] is not None:
        raise UserError("dataset.root= says where the data of a run is; a= and b= are the folders themselves")
    check_device("device", asked.device)
    if not asked.metric:
        options = list(files_of(config_folders(), "metric"))
        raise UserError(f"say which scores: metric=[{','.join(options[:2])}]; there are {', '.join(options)}")
    check_choice(asked.metric, asked.features, asked.trust)
    check_count("count", asked.count, asked.metric)
    return asked


def of_checkpoint(asked: Evaluate, where: Path, evaluators: dict[str, Evaluator]) -> list[Score]:
    """Score the model of one run, and append the scores to its metrics.jsonl."""
    file = best_of(where) if asked.best else where
    newest_summary(file)  # refuses a path without a checkpoint before torch is loaded

    load_torch(asked.threads)
    from gan_cli.run.log import show_evaluated
    from gan_cli.use.load import load_trained

    trained = load_trained(*(file, asked.ema, asked.device, asked.trust), standing_statistics=asked.standing_statistics)
    run = run_of(trained.path)
    with foreign(str(trained.path)):
        typed = asked.dataset["root"]
        trained.config = located(trained.config, run, typed, trained.fingerprint)
        check_metrics(trained.config.plain, asked.metric, asked.features)
        evaluator = evaluator_for(trained.config.data, asked, evaluators)
    scores = evaluator.scores(trained, f"checkpoints/{trained.path.name}")
    append_scores(run, scores)
    show_evaluated(run)
    tell(f"\n{trained.path}, {trained.images:,} images")
    show(scores)
    tell(f"also in {run / METRICS_FILE}")
    return scores


def evaluator_for(data: DataConfig, asked: Evaluate, known: dict[str, Evaluator]) -> Evaluator:
    """Return the evaluator of a data set: cells that share it compute the statistics of real data once."""
    from gan_cli.base.machine import pick_device
    from gan_cli.data.folder import cache_folder
    from gan_cli.evaluation.evaluator import Evaluator
    from gan_cli.evaluation.setting import Plan

    key = json.dumps(data.node, sort_keys=True)
    if key not in known:
        how = Plan(asked.count, asked.split, asked.seed, asked.batch_size, asked.ema, asked.standing_statistics)
        device = pick_device(asked.device)
        known[key] = Evaluator(data, asked.metric, asked.features, how, device, cache_folder(), asked.trust)
    return known[key]


def of_sweep(asked: Evaluate, folder: Path) -> dict[str, list[Score]]:
    """Score the cells of a sweep. Print an error for a cell that can't be scored, and set the exit code to 1.

    Raises:
        UserError: no cell can be scored.
    """
    cells = sorted([*cells_in(folder), *links_in(folder)])
    if not cells:
        hint = runs_in(folder) or ": it holds no folder with a run.json"
        raise UserError(f"{str(folder)!r} is not a sweep's folder{hint}")
    results: dict[str, list[Score]] = {}
    evaluators: dict[str, Evaluator] = {}
    for number, cell in enumerate(cells, 1):
        tell(f"\n[{number} of {len(cells)}] {cell.relative_to(folder)}")
        try:
            if cell.is_symlink():
                raise UserError(
                    "it is a link, and scores would be written where it leads; say checkpoint= for that run"
                )
            results[str(cell)] = of_checkpoint(asked, cell, evaluators)
        except (UserError, RunError) as error:
            tell(f"\n{cell} ({status_of(cell)}): {error}", sys.stderr)
            outcome.code = 1
    if not results:
        raise UserError(f"no cell of {str(folder)!r} could be scored")
    return results


def status_of(run: Path) -> str:
    """Return the status in the run.json of a run, or "unknown" if it can't be read."""
    try:
        return str((read_record(run) or {}).get("status") or "unknown")
    except UserError:
        return "unknown"


def of_folders(asked: Evaluate, a: Path, b: Path) -> list[Score]:
    load_torch(asked.threads)
    from gan_cli.base.machine import pick_device
    from gan_cli.evaluation.folders import folder_scores
    from gan_cli.evaluation.setting import Plan

    how = Plan(asked.count, None, asked.seed, asked.batch_size, white_level=asked.white_level)
    device = pick_device(asked.device)
    scores = folder_scores(a, b, asked.metric, asked.features, how, device, asked.trust)
    tell(f"\n{a} against {b}")
    show(scores)
    return scores


def show(scores: list[Score]) -> None:
    """Print a table of scores, and below it the protocol that they share."""
    width = max(len(score.name) for score in scores)
    for score in scores:
        end = f"{score.better} is better" if score.better else ""
        options = {key: value for key, value in score.protocol["metric"].items() if key != "name"}
        words = "  ".join(f"{key} {value}" for key, value in options.items())
        tell(f"  {score.name:<{width}}  {score.value:>12.6g}  {end:<16}  {words}".rstrip())
    first = next((score.protocol for score in scores if "features" in score.protocol), scores[0].protocol)
    for part in ("features", "real", "fake"):
        if part in first:
            tell(f"  {part}: " + ", ".join(f"{key} {value}" for key, value in first[part].items()))
