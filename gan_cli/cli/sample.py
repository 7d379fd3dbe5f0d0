"""The `gan-sample` command: samples from a trained model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gan_cli.base.allow_list import check_allowed, check_place, make_importable
from gan_cli.base.checkpoint import best_of, newest_summary, run_of
from gan_cli.base.errors import UserError
from gan_cli.base.files import expanded
from gan_cli.base.printable import tell
from gan_cli.check.check_device import check_device
from gan_cli.check.signatures import check_values, signature_of
from gan_cli.cli.check_mode import check_declaration, check_given
from gan_cli.cli.command import run
from gan_cli.cli.help import sample_help
from gan_cli.cli.loading import load_torch
from gan_cli.cli.options import Sample, checked, options_of, path
from gan_cli.cli.outputs import default_output, endings_of, output_path
from gan_cli.cli.places import located


def main() -> None:
    """Run `gan-sample` as a console script."""
    run("sample", sample, sample_help)


def sample(typed: Mapping[str, Any]) -> None:
    """Check the options, load the model, call the mode, write its results and print their path.

    Raises:
        UserError: the options can't work; nothing was written.
    """
    asked, mode_options = check(typed)
    where = expanded(str(asked.checkpoint))
    where = best_of(where) if asked.best else where
    newest_summary(where)  # refuses a path without a checkpoint before torch is loaded
    source, target = path(asked.input), path(asked.output)
    if source is not None and not source.exists():
        raise UserError(f"input={str(source)!r} does not exist; give a file or a folder of files")
    endings = endings_of(asked.mode, mode_options.get("format"), source is not None)
    if target is not None:
        target = output_path(target, endings, asked.overwrite, source)
    carry_out(asked, mode_options, where, source, target, endings)


def carry_out(
    asked: Sample,
    mode_options: Mapping[str, Any],
    where: Path,
    source: Path | None,
    target: Path | None,
    endings: list[str],
) -> None:
    """Load torch and the trained run, call the mode, and write its results.

    Args:
        asked: the options of the command.
        mode_options: the options of the mode itself.
        where: the run or checkpoint.
        source: the path in `input=`.
        target: the path in `output=`.
        endings: the file endings that the mode can write.
    """
    load_torch(asked.threads)
    from gan_cli.use.load import load_trained
    from gan_cli.use.modes.mode import Asked, build_mode
    from gan_cli.use.results import check_video, write_results

    check_video((target.suffix if target is not None else endings[0]).lower())
    mode = build_mode({"_target_": asked.mode["_target_"], **mode_options}, asked.trust)
    trained = load_trained(
        *(where, asked.ema, asked.device, asked.trust),
        standing_statistics=asked.standing_statistics,
        truncation_psi=asked.truncation_psi,
    )
    root, name = asked.dataset["root"], asked.mode["provides"]["name"]
    trained.locate = lambda config: located(config, run_of(trained.path), root, trained.fingerprint)
    about = {"checkpoint": str(trained.path), "images": trained.images}
    about |= {key: getattr(asked, key) for key in ("seed", "ema", "truncation_psi", "standing_statistics")}
    made = mode(
        Asked(
            *(trained, asked.seed, asked.count, asked.columns, asked.labels, asked.space, asked.batch_size),
            input=source,
            root=None if root is None else str(root),
            one_file=target is not None and target.suffix != "",
            about=about,
        )
    )
    if target is None:
        kind = asked.mode["provides"].get("kind", name)
        of = source.stem if source is not None and kind != name else f"seed{asked.seed}"
        target = default_output(trained.path, trained.images, of, endings[0], kind)
    write_results(made.results, target)
    tell(f"{made.words or f'mode={name} of'} {trained.path} in {target}")


def check(typed: Mapping[str, Any]) -> tuple[Sample, dict[str, Any]]:
    """Check the options alone, and split them into those of the command and those of the mode.

    Raises:
        UserError: the first option that is wrong.
    """
    check_values("", {"mode": typed.get("mode"), "trust": typed["trust"]}, options_of(Sample))
    make_importable(typed["trust"])
    target = typed["mode"].get("_target_")
    check_allowed(target, typed["trust"])
    check_place(target, "mode", typed["trust"])
    takes = signature_of(target) or {}
    check_declaration(typed["mode"], takes)
    asked = checked(Sample, typed, takes)
    check_given(typed)
    check_device("device", asked.device)
    return asked, {key: value for key, value in typed.items() if key not in options_of(Sample)}
