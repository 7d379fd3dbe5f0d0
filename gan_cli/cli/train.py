"""The `gan-train` command: a run, a sweep, a resumed run or a dry run."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from gan_cli.base.errors import Interrupted, RunError, UserError
from gan_cli.base.files import expanded
from gan_cli.base.printable import any_console, shown, tell
from gan_cli.base.records import Record
from gan_cli.base.run_config import Composed
from gan_cli.base.run_folder import PLACES, Cell, check_entries, digest_of
from gan_cli.base.scoring import finite, score_names
from gan_cli.base.stored import is_section, read_record
from gan_cli.base.threads import begin
from gan_cli.cli import outcome
from gan_cli.cli.cells import Note, at_a_time, words_of
from gan_cli.cli.command import answered, hand_over
from gan_cli.cli.config import named_again, plain, register_resolvers, set_stamp
from gan_cli.cli.dry_run import dry_run
from gan_cli.cli.help import train_help
from gan_cli.cli.inherit import with_base
from gan_cli.cli.judge import settled
from gan_cli.cli.printed import Values, show_config, values
from gan_cli.cli.resume import changed_keys, locked_in, prepared, resume
from gan_cli.cli.sentences import REFUSALS, ended, exit_code_of, say, sentence
from gan_cli.cli.typed import Typed, check_named, key_of, read, value_of

register_resolvers()  # on import: a sweep launcher's worker processes import this file to find `task`


def main() -> None:
    """Run `gan-train` as a console script."""
    begin()
    sys.exit(exit_code_of(lambda: command(sys.argv[1:]), outcome.names))


def command(arguments: list[str]) -> int:
    """Carry out a command line, and return its exit code."""
    help_flags = {"--help", "-h", "--version"} & {*arguments}
    # under torchrun, process 0 alone composes and makes folders
    if int(os.environ.get("RANK", "0")) > 0 and not help_flags:
        from gan_cli.run.launch import follow

        return follow()
    typed = read(arguments)
    check_named(typed.overrides)
    code = answered(typed, "train", train_help, would_run)
    if code is not None:
        return code
    if "WORLD_SIZE" in os.environ:
        from gan_cli.run.launch import leading

        with leading():
            return carry_on(typed)
    return carry_on(typed)


def would_run(typed: Typed, root: str) -> Values:
    """Return what would run, also of a run that is resumed, or with the model of a run that `init_from=` names."""
    run = value_of(typed.overrides, "resume")
    if run is None:
        return values(with_base(typed), root)
    overrides = [override for override in typed.overrides if key_of(override) != "resume"]
    content = prepared(expanded(run), overrides)[1]
    return Values({key: value for key, value in content.items() if key != "choices"}, "", content.get("choices") or {})


def carry_on(typed: Typed) -> int:
    """Resume a run, or let Hydra compose one or many runs and carry them out."""
    set_stamp()
    run = value_of(typed.overrides, "resume")
    if run is not None:
        return resume(expanded(run), typed)
    typed = settled(with_base(typed), "train")
    sys.argv[1:] = typed.arguments  # hints for a misspelled key cover the overrides of the base too
    if typed.flags.get("--cfg"):
        return show_config(typed, "train")
    if str(value_of(typed.overrides, "dry_run")).lower() == "true" and not typed.flags.get("--info"):
        return rehearse(typed)
    hand_over(typed, "train", task)
    return outcome.code


def rehearse(typed: Typed) -> int:
    """Carry out `dry_run=true` in a temporary folder, since Hydra makes a folder before anything runs."""
    if typed.sweeps:
        raise UserError("dry_run=true is for one run: leave out -m, and give each key one value")
    with tempfile.TemporaryDirectory() as folder:
        nowhere = [f"hydra.run.dir={folder}/run", "hydra.output_subdir=null"]
        hand_over(Typed(typed.flags, [*typed.overrides, *nowhere]), "train", task)
    return outcome.code


def task(config: DictConfig) -> Any:
    """Carry out one run, or one cell of a sweep. Hydra calls this once the run's folder exists."""
    any_console()  # a sweep launcher's worker process has a console of its own
    about = HydraConfig.get()
    folder = Path(about.runtime.output_dir)
    sweeps, overrides = about.mode == RunMode.MULTIRUN, words_of(about.overrides.task)
    note = Note.found()
    if sweeps:
        note.keep_to_said()
    number = about.job.num if sweeps else 0
    try:
        content = plain(config, about.runtime.choices)
    except REFUSALS as error:  # the check passed before, so files have gone since
        if sweeps:
            refusal = UserError(sentence(error, outcome.names))
            return not_finished(note.label(number, overrides), folder, refusal)
        raise ended(error, outcome.names) from error
    if sweeps:
        alone = str(about.launcher._target_).endswith("BasicLauncher")
        return cell(content, folder, number, overrides, alone, at_a_time(about.launcher, note.cells))
    try:
        if content["dry_run"]:
            return dry_run(content)
        return carry_out(content, folder)
    except (UserError, RunError, Interrupted, OSError) as error:
        raise ended(error, outcome.names) from error


def carry_out(content: Composed, folder: Path, about: Cell | None = None) -> Record:
    from gan_cli.run.launch import launch

    return launch(content, folder, content["trust"], cell=about)


def cell(
    content: Composed,
    folder: Path,
    number: int,
    overrides: Sequence[str],
    alone: bool = True,
    workers: int = 1,
) -> outcome.Returned:
    """Train one cell of a sweep: skip a finished one, resume an interrupted one.

    A cell that fails does not end the sweep.

    Args:
        number: the number of the cell, from 0.
        overrides: the overrides of the cell, as its sweeper made them.
        alone: whether no other cell runs at the same time.
        workers: the number of cells that run at the same time on this machine.
    """
    note = Note.found()
    about = Cell(note.label(number, overrides), note.axes, alone, workers)
    how = "finished"
    try:
        note.check(number, content)
        check_entries(folder)
        record: Record = read_record(folder) or {}
        changes = locked_in(changed_keys(folder, content), PLACES)
        if changes and record:
            raise UserError(f"{folder} holds a run of another configuration ({changes[0]}); choose another sweep=NAME")
        if record.get("status") == "finished" and record.get("digest_of_config") == digest_of(content):
            status, how = "skipped", "skipped: finished already"
        else:
            outcome.tell_first(about.label)
            record = carry_out(content, folder, about)
            status = record["status"]
        if not note.searched:
            tell(f"{about.label}   {how}{headline(record, content)}   {shown(folder)}")
    except Interrupted as error:
        sweep = named_again(Path(HydraConfig.get().sweep.dir))
        again = f"{error}; the same command with {sweep} goes on with the sweep"
        raise SystemExit(say(again, error.exit_code)) from error
    except Exception as error:
        return not_finished(about.label, folder, error)
    return recorded(folder, status)


def not_finished(label: str, folder: Path, error: Exception) -> outcome.Returned:
    """Print why a cell did not finish, and record its end."""
    status, text = getattr(error, "status", "failed"), str(error) or type(error).__name__
    tell(f"{label}   {status}: {text}   {shown(folder)}", sys.stderr)
    if not isinstance(error, (UserError, RunError)):
        import traceback

        traceback.print_exc()
    return recorded(folder, status, text)


def recorded(folder: Path, status: str, text: str = "") -> outcome.Returned:
    """Record how a cell ended, and return it in the form for the sweep, which may be another process."""
    returned: outcome.Returned = {"status": status, "folder": str(folder), "text": text}
    outcome.runs.append(outcome.end_of(returned))
    return returned


def headline(record: Record, content: Composed) -> str:
    """Format a score of a cell: that of `trainer.keep_best`, else the first with a better end, else the first."""
    stored: Any = record.get("scores")
    scores = {name: value for name, value in stored.items() if finite(value) is not None} if is_section(stored) else {}
    names = score_names(content["metric"], content.get("features")) if scores else {}
    preferred = [content["trainer"]["keep_best"], *(name for name, better in names.items() if better), *scores]
    name = next((name for name in preferred if name in scores), None)
    return "" if name is None else f"   {name} {scores[name]:.4g}"
