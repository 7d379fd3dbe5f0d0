"""`gan-sample`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gan_cli.base.allow_list import make_importable
from gan_cli.base.checkpoint import best_of, newest_summary, run_of
from gan_cli.base.errors import UserError
from gan_cli.base.files import expanded
from gan_cli.base.printable import tell
from gan_cli.base.progress import counted
from gan_cli.cli import sample_modes
from gan_cli.cli.check_device import check_device
from gan_cli.cli.command import run
from gan_cli.cli.help import sample_help
from gan_cli.cli.loading import load_torch
from gan_cli.cli.options import Sample, check_options
from gan_cli.cli.outputs import default_output, output_path
from gan_cli.cli.places import located
from gan_cli.data.picture import endings

NO_DATA = "dataset.root= is for grids of a run's held-out pictures: leave it out where none of its data is looked at"
DIRECTIONS = ("a_to_b", "b_to_a")


def main() -> None:
    """The console script."""
    run("sample", sample, sample_help)


def sample(wanted: dict[str, Any]) -> None:
    """Check what was asked for, then load, draw and write; prints where.

    Raises:
        UserError: input that can't work; nothing was written.
    """
    check(wanted)
    make_importable(wanted["trust"])
    where, output = expanded(wanted["checkpoint"]), wanted["output"]
    where = best_of(where) if wanted["best"] else where
    newest_summary(where)  # before torch is loaded: is there anything at all?
    if wanted["mode"] != "grid":
        return sample_modes.run(wanted, where)
    if wanted["input"] is not None:
        return translate(wanted, where)
    target = None if output is None else output_path(expanded(output), wanted["format"], wanted["overwrite"])

    load_torch(wanted["threads"])
    from gan_cli.use import sample as sampler
    from gan_cli.use.load import load_trained

    trained = load_trained(
        *(where, wanted["ema"], wanted["device"], wanted["trust"]),
        standing_statistics=wanted["standing_statistics"],
        truncation_psi=wanted["truncation_psi"],
    )
    if trained.game.translations:
        return show(wanted, trained, target)
    if wanted["dataset"]["root"] is not None:
        raise UserError(NO_DATA)
    count = wanted["count"] or 64
    labels = sampler.class_numbers(wanted["labels"], trained)
    given = trained.given(count, wanted["seed"], labels)
    target = target or default_output(trained.path, trained.images, wanted)
    about = {"checkpoint": str(trained.path), "images": trained.images, "seed": wanted["seed"], "ema": wanted["ema"]}
    about |= {key: wanted[key] for key in ("truncation_psi", "standing_statistics")}
    if wanted["format"] == "grid":
        sampler.write_grid(trained, target, given, wanted["columns"], wanted["batch_size"])
    elif wanted["format"] == "png":
        sampler.write_files(trained, target, given, wanted["batch_size"], about)
    else:
        sampler.write_array(trained, target, given, wanted["batch_size"], about)
    tell(f"{count:,} samples of {trained.path} in {target}")


def translate(wanted: dict[str, Any], where: Path) -> None:
    """`input=`: a picture or a folder of pictures through the generator; prints where the outputs are."""
    given = expanded(wanted["input"])
    ending = Path(str(wanted["output"] or "")).suffix.lower()
    if ending in endings() and not expanded(str(wanted["output"])).is_dir():
        if given.is_dir():
            raise UserError(f"input={str(given)!r} is a folder: give output= a folder too, for one picture of each")
        if ending != ".png":
            raise UserError(f"output={wanted['output']} can't be written: pictures are written as .png")
    form = "grid" if given.is_file() and ending == ".png" else "png"
    target = None
    if wanted["output"] is not None:
        target = output_path(expanded(wanted["output"]), form, wanted["overwrite"])

    load_torch(wanted["threads"])
    from gan_cli.use import translate as translation
    from gan_cli.use.load import load_trained

    inputs = translation.find_inputs(given)
    masks, files = None, [given]
    if wanted["mask"] is not None:
        files.append(expanded(wanted["mask"]))
        masks = translation.find_masks(files[1], list(inputs))
    trained = load_trained(where, wanted["ema"], wanted["device"], wanted["trust"])
    for remark in translation.remarks(trained, *files):
        tell(remark)
    target = target or default_output(trained.path, trained.images, {**wanted, "format": "png"}, given.stem)
    outputs = translation.translated(trained, inputs, wanted["direction"], masks, wanted["seed"])
    done = translation.write_translated(counted(outputs, "making pictures", len(inputs), "pictures"), target)
    tell(f"{done:,} {'picture' if done == 1 else 'pictures'} by {trained.path} in {target}")


def show(wanted: dict[str, Any], trained: Any, target: Path | None) -> None:
    """A model that is given pictures, and none given: a grid of its run's held-out ones."""
    from gan_cli.media.image import write_png
    from gan_cli.media.medium import arranged
    from gan_cli.use import translate as translation

    if wanted["format"] != "grid" or wanted["labels"] is not None:
        raise UserError("this model is given pictures: say input=FOLDER_OR_IMAGE, or leave out format= and labels=")
    try:
        root, run = wanted["dataset"]["root"], run_of(trained.path)
        trained.config = located(trained.config, run, root, trained.fingerprint)
    except UserError as error:
        raise UserError(f"{error}; without the data of the run, say input=FOLDER_OR_IMAGE") from error
    count = wanted["count"] or trained.config.trainer.preview_samples
    rows = translation.held_out_rows(trained, count, trained.config.seed + wanted["seed"])
    columns, cells = arranged(rows)
    target = target or default_output(trained.path, trained.images, wanted)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_png(trained.medium.rows(rows, wanted["columns"] or columns, cells), target)
    tell(f"rows {', '.join(rows)} of held-out pictures by {trained.path} in {target}")


def check(wanted: dict[str, Any]) -> None:
    check_options(Sample, wanted)
    sample_modes.check(wanted)
    if wanted["dataset"]["root"] is not None and (wanted["input"] is not None or wanted["mode"] != "grid"):
        raise UserError(NO_DATA)
    if wanted["mask"] is not None and wanted["input"] is None:
        raise UserError("mask= says what is missing of a picture: give that picture with input=")
    if wanted["direction"] != DIRECTIONS[0] and wanted["input"] is None:
        raise UserError("direction= is the way that pictures are translated: give them with input=")
    if wanted["input"] is not None and wanted["mode"] == "grid":
        for key in ("count", "columns", "labels"):
            if wanted[key] is not None:
                raise UserError(f"{key}= is for samples drawn from noise and for grids; with input= leave it out")
        if wanted["standing_statistics"]:
            raise UserError("standing_statistics= is for samples drawn from noise; with input= leave it out")
        if wanted["format"] != "grid":
            raise UserError("format= is for samples drawn from noise; with input= each picture is written as a PNG")
    check_device("device", wanted["device"])
