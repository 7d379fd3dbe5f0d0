"""`gan-export`."""

from __future__ import annotations

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
from gan_cli.cli.options import Export, check_options


def main() -> None:
    """The console script."""
    run("export", export, export_help)


def export(wanted: dict[str, Any]) -> None:
    """Check what was asked for, load, write, compare; prints where and how exact.

    Raises:
        UserError: input that can't work; nothing was written.
    """
    check(wanted)
    make_importable(wanted["trust"])
    where = expanded(str(wanted["checkpoint"]))
    where = best_of(where) if wanted["best"] else where
    newest_summary(where)  # before torch is loaded: is there anything at all?

    load_torch(wanted["threads"])
    from gan_cli.use import export as exporter
    from gan_cli.use.load import load_trained

    exporter.check_installed(wanted["format"])
    ending = exporter.ENDINGS[wanted["format"]]
    target = None if wanted["output"] is None else expanded(str(wanted["output"]))
    if target is not None and target.suffix != ending:
        raise UserError(f"output={str(target)!r} must end with {ending}, for format={wanted['format']}")
    standing = wanted["standing_statistics"]
    trained = load_trained(where, wanted["ema"], "cpu", wanted["trust"], standing_statistics=standing)
    run_folder = run_of(trained.path)
    target = target or run_folder / f"generator-{trained.images:09d}{ending}"
    if target.exists() and not wanted["overwrite"]:
        raise UserError(f"output {str(target)!r} exists already; choose another or say overwrite=true")
    with Progress(f"writing {target.name} and trying it", about="a minute where the network is large"):
        difference = exporter.export(trained, wanted["format"], target, wanted["direction"])
    exporter.write_about(target, trained, wanted["format"], difference)
    size = target.stat().st_size / 2**20
    tell(f"{target}   {size:.1f} MiB   largest difference to the model here: {difference:.2g}")


def check(wanted: dict[str, Any]) -> None:
    """Of the options alone."""
    check_options(Export, wanted)
