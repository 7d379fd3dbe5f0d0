"""The `gan-export` command: a trained generator as a file for other programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gan_cli.base.allow_list import make_importable
from gan_cli.base.checkpoint import best_of, newest_summary, run_of
from gan_cli.base.errors import UserError
from gan_cli.base.files import expanded
from gan_cli.base.printable import tell
from gan_cli.base.progress import Progress
from gan_cli.cli.command import run
from gan_cli.cli.help import export_help
from gan_cli.cli.loading import load_torch
from gan_cli.cli.options import Export, checked, free, path


def main() -> None:
    """Run `gan-export` as a console script."""
    run("export", export, export_help)


def export(typed: Mapping[str, Any]) -> None:
    """Check the options, load the model, write the file, and compare its samples with those of the model.

    Print the path of the file and the largest difference.

    Raises:
        UserError: the options can't work; nothing was written.
    """
    asked = check(typed)
    make_importable(asked.trust)
    where = expanded(str(asked.checkpoint))
    where = best_of(where) if asked.best else where
    newest_summary(where)  # refuses a path without a checkpoint before torch is loaded

    load_torch(asked.threads)
    from gan_cli.use import export as exporter
    from gan_cli.use.load import load_trained

    exporter.check_installed(asked.format)
    ending = exporter.ENDINGS[asked.format]
    target = path(asked.output)
    if target is not None and target.suffix != ending:
        raise UserError(f"output={str(target)!r} must end with {ending}, for format={asked.format}")
    trained = load_trained(where, asked.ema, "cpu", asked.trust, standing_statistics=asked.standing_statistics)
    run_folder = run_of(trained.path)
    target = target or run_folder / f"generator-{trained.images:09d}{ending}"
    free(target, asked.overwrite)
    with Progress(f"writing {target.name} and trying it", about="a minute where the network is large"):
        difference = exporter.export(trained, asked.format, target, asked.direction)
    exporter.write_about(target, trained, asked.format, difference)
    size = target.stat().st_size / 2**20
    tell(f"{target}   {size:.1f} MiB   largest difference to the model here: {difference:.2g}")


def check(typed: Mapping[str, Any]) -> Export:
    """Check the options alone, and return them."""
    return checked(Export, typed)
