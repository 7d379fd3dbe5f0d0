"""`gan-sample`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gan_cli.base.allow_list import check_allowed, check_place, make_importable
from gan_cli.base.checkpoint import best_of, newest_summary, run_of
from gan_cli.base.errors import UserError
from gan_cli.base.files import expanded
from gan_cli.base.printable import tell
from gan_cli.check.check_device import check_device
from gan_cli.check.signatures import signature_of
from gan_cli.cli.check_mode import check_declaration, check_given
from gan_cli.cli.command import run
from gan_cli.cli.help import sample_help
from gan_cli.cli.loading import load_torch
from gan_cli.cli.options import Sample, check_options, options_of
from gan_cli.cli.outputs import default_output, endings_of, output_path
from gan_cli.cli.places import located


def main() -> None:
    """The console script."""
    run("sample", sample, sample_help)


def sample(wanted: dict[str, Any]) -> None:
    """Check what was asked for, then load, carry out the mode and write what it makes; prints where.

    Raises:
        UserError: input that can't work; nothing was written.
    """
    own = check(wanted)
    where = expanded(wanted["checkpoint"])
    where = best_of(where) if wanted["best"] else where
    newest_summary(where)  # before torch is loaded: is there anything at all?
    source = None if wanted["input"] is None else expanded(wanted["input"])
    if source is not None and not source.exists():
        raise UserError(f"input={str(source)!r} does not exist; give a file or a folder of files")
    endings = endings_of(wanted["mode"], own.get("format"), source is not None)
    target = None
    if wanted["output"] is not None:
        target = output_path(expanded(wanted["output"]), endings, wanted["overwrite"], source)
    carry_out(wanted, own, where, source, target, endings)


def carry_out(
    wanted: dict[str, Any],
    own: dict[str, Any],
    where: Path,
    source: Path | None,
    target: Path | None,
    endings: list[str],
) -> None:
    """What needs torch.

    Args:
        own: the options of the mode itself.
        where: the run or checkpoint.
        source: what `input=` names.
        target: what `output=` names.
        endings: of what the mode writes.
    """
    load_torch(wanted["threads"])
    from gan_cli.use.load import load_trained
    from gan_cli.use.modes.mode import Asked, build_mode
    from gan_cli.use.results import check_video, write_results

    check_video((target.suffix if target is not None else endings[0]).lower())
    mode = build_mode({"_target_": wanted["mode"]["_target_"], **own}, wanted["trust"])
    trained = load_trained(
        *(where, wanted["ema"], wanted["device"], wanted["trust"]),
        standing_statistics=wanted["standing_statistics"],
        truncation_psi=wanted["truncation_psi"],
    )
    root, name = wanted["dataset"]["root"], wanted["mode"]["provides"]["name"]
    trained.locate = lambda config: located(config, run_of(trained.path), root, trained.fingerprint)
    plain = {key: wanted[key] for key in ("seed", "count", "columns", "labels", "space", "batch_size")}
    about = {"checkpoint": str(trained.path), "images": trained.images, "seed": wanted["seed"], "ema": wanted["ema"]}
    about |= {key: wanted[key] for key in ("truncation_psi", "standing_statistics")}
    one_file = target is not None and target.suffix != ""
    made = mode(Asked(trained, **plain, input=source, root=root, one_file=one_file, about=about))
    if target is None:
        kind = wanted["mode"]["provides"].get("kind", name)
        of = source.stem if source is not None and kind != name else f"seed{wanted['seed']}"
        target = default_output(trained.path, trained.images, of, endings[0], kind)
    write_results(made.results, target)
    tell(f"{made.words or f'mode={name} of'} {trained.path} in {target}")


def check(wanted: dict[str, Any]) -> dict[str, Any]:
    """Of the options alone; returns those that are the mode's own.

    Raises:
        UserError: the first thing that is wrong.
    """
    make_importable(wanted["trust"])
    check_options(Sample, {"mode": wanted.get("mode"), "trust": wanted["trust"]}, partly=True)
    target = wanted["mode"].get("_target_")
    check_allowed(target, wanted["trust"])
    check_place(target, "mode", wanted["trust"])
    takes = signature_of(target) or {}
    check_declaration(wanted["mode"], takes)
    check_options(Sample, wanted, takes)
    check_given(wanted)
    check_device("device", wanted["device"])
    return {key: value for key, value in wanted.items() if key not in options_of(Sample)}
