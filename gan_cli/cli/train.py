"""`gan-train`."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from gan_cli.cli import outcome
from gan_cli.cli.command import answered, hand_over
from gan_cli.cli.config import plain, register_resolvers, set_stamp
from gan_cli.cli.dry_run import dry_run
from gan_cli.cli.help import train_help
from gan_cli.cli.judge import settled
from gan_cli.cli.printed import show_config, values
from gan_cli.cli.resume import changed_keys, prepared, resume
from gan_cli.cli.sentences import exit_code_of
from gan_cli.cli.typed import Typed, read, value_of
from gan_cli.errors import Interrupted, RunError, UserError
from gan_cli.printable import any_console, tell
from gan_cli.run_folder import check_entries, digest_of
from gan_cli.stored import read_record

register_resolvers()  # on import: a sweep launcher's worker processes import this file to find `task`


def main() -> None:
    """The console script."""
    sys.exit(exit_code_of(lambda: command(sys.argv[1:]), outcome.names))


def command(arguments: list[str]) -> int:
    """Carry out a command line; returns its exit code."""
    asks = {"--help", "-h", "--version"} & {*arguments}
    if int(os.environ.get("RANK", "0")) > 0 and not asks:  # under torchrun: process 0 alone composes and makes folders
        from gan_cli.launch import follow

        return follow()
    typed = read(arguments)
    code = answered(typed, "train", train_help, shown)
    if code is not None:
        return code
    if "WORLD_SIZE" in os.environ:
        from gan_cli.launch import leading

        with leading():
            return carry_on(typed)
    return carry_on(typed)


def shown(typed: Typed, root: str) -> tuple[dict[str, Any], str]:
    """What would run, of a run that is gone on with too."""
    run = value_of(typed.overrides, "resume")
    if run is None:
        return values(typed, root)
    overrides = [override for override in typed.overrides if not override.startswith("resume=")]
    return {key: value for key, value in prepared(Path(run).expanduser(), overrides)[1].items() if key != "choices"}, ""


def carry_on(typed: Typed) -> int:
    """Go on with a run, or let Hydra compose one or many and carry them out."""
    set_stamp()
    run = value_of(typed.overrides, "resume")
    if run is not None:
        return resume(Path(run).expanduser(), typed)
    typed = settled(typed, "train")
    if typed.flags.get("--cfg"):
        return show_config(typed, "train")
    if value_of(typed.overrides, "dry_run") in ("true", "True") and not typed.flags.get("--info"):
        return rehearse(typed)
    hand_over(typed, "train", task)
    return outcome.code


def rehearse(typed: Typed) -> int:
    """`dry_run=true`: Hydra makes a folder before anything runs; this one goes away."""
    if typed.sweeps:
        raise UserError("dry_run=true is for one run: leave out -m, and give each key one value")
    with tempfile.TemporaryDirectory() as folder:
        nowhere = [f"hydra.run.dir={folder}/run", "hydra.output_subdir=null"]
        hand_over(Typed(typed.flags, [*typed.overrides, *nowhere]), "train", task)
    return outcome.code


def task(config: DictConfig) -> Any:
    """One run, or one cell of a sweep; called by Hydra, with the run's folder made."""
    any_console()  # a sweep launcher's worker process has a console of its own
    about = HydraConfig.get()
    folder = Path(about.runtime.output_dir)
    content = plain(config, about.runtime.choices)
    if about.mode == RunMode.MULTIRUN:
        return cell(
            content, folder, about.job.num, " ".join(o for o in about.overrides.task if not o.startswith("sweep="))
        )
    try:
        if content["dry_run"]:
            return dry_run(content)
        return carry_out(content, folder)
    except (UserError, RunError, Interrupted) as error:
        from gan_cli.cli.sentences import say

        raise SystemExit(say(str(error), error.exit_code)) from error


def carry_out(content: dict[str, Any], folder: Path) -> dict[str, Any]:
    from gan_cli.launch import launch

    return launch(content, folder, content["trust"])


def cell(content: dict[str, Any], folder: Path, number: int, overrides: str) -> dict[str, Any]:
    """A sweep goes on after a cell that fails; a finished one is skipped, a cut one goes on."""
    total = f" of {outcome.sweep_size}" if outcome.sweep_size else ""
    print(f"\n[{number + 1}{total}] {overrides}", flush=True)
    record, text = {}, ""
    try:
        check_entries(folder)
        record = read_record(folder) or {}
        changes = changed_keys(folder, content)
        if changes and record:
            raise UserError(f"{folder} holds a run of another configuration ({changes[0]}); choose another sweep=NAME")
        if record.get("status") == "finished" and record.get("digest_of_config") == digest_of(content):
            print(f"skipped: finished already in {folder}", flush=True)
            status = "skipped"
        else:
            status = carry_out(content, folder)["status"]
    except Interrupted as error:
        from gan_cli.cli.sentences import say

        again = f"{error}; the same command with sweep={folder.parent.name} goes on with the sweep"
        raise SystemExit(say(again, error.exit_code)) from error
    except Exception as error:
        status, text = getattr(error, "status", "failed"), str(error) or type(error).__name__
        tell(f"{status}: {text}", sys.stderr)
        if not isinstance(error, (UserError, RunError)):
            import traceback

            traceback.print_exc()
    outcome.runs.append((folder, status, text))
    return {"status": status, "folder": str(folder)}
