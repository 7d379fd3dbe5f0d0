"""`gan-sample`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue

from gan_cli import __version__
from gan_cli.checkpoint import newest_summary
from gan_cli.cli import outcome
from gan_cli.cli.config import register_resolvers
from gan_cli.cli.folder import config_folder
from gan_cli.cli.help import sample_help
from gan_cli.cli.quoting import flags_first, quoted
from gan_cli.cli.sentences import exit_code_of, say, sentence
from gan_cli.errors import RunError, UserError
from gan_cli.targets import make_importable

FORMATS = ("grid", "png", "npz")
WHOLE = ("count", "batch_size", "seed")  # whole numbers


def main() -> None:
    """The console script."""
    sys.exit(exit_code_of(lambda: command(sys.argv[1:]), lambda: outcome.names("sample")))


def command(arguments: list[str]) -> int:
    if "--version" in arguments:
        print(f"gan_cli {__version__}")
        return 0
    if "--help" in arguments or "-h" in arguments:
        print(sample_help(config_folder()))
        return 0
    register_resolvers()
    sys.argv[1:] = quoted(flags_first(arguments))
    hydra.main(version_base="1.3", config_path=str(config_folder()), config_name="sample")(task)()
    return outcome.code


def task(config: DictConfig) -> None:
    try:
        sample(OmegaConf.to_container(config, throw_on_missing=True))  # type: ignore[arg-type]
    except MissingMandatoryValue as error:
        raise SystemExit(say(sentence(error, list), 2)) from error
    except (UserError, RunError) as error:
        raise SystemExit(say(str(error), error.exit_code)) from error


def sample(wanted: dict[str, Any]) -> None:
    """Check what was asked for, then load, draw and write; prints where.

    Raises:
        UserError: input that can't work; nothing was written.
    """
    check(wanted)
    make_importable(wanted["trust"])
    where, count, output = Path(wanted["checkpoint"]).expanduser(), wanted["count"], wanted["output"]
    newest_summary(where)  # before torch is loaded: is there anything at all?
    target = None if output is None else output_path(Path(output).expanduser(), wanted["format"], wanted["overwrite"])

    from gan_cli import sample as sampler

    trained = sampler.load_trained(where, wanted["ema"], wanted["device"], wanted["trust"])
    labels = sampler.class_numbers(wanted["labels"], trained)
    latent, label = sampler.plan(trained, count, wanted["seed"], labels)
    target = target or default_output(trained.path, trained.images, wanted)
    about = {"checkpoint": str(trained.path), "images": trained.images, "seed": wanted["seed"], "ema": wanted["ema"]}
    if wanted["format"] == "grid":
        columns = wanted["columns"] or (-(-count // len(labels)) if labels else max(1, round(count**0.5)))
        sampler.write_grid(trained, target, latent, label, columns, wanted["batch_size"])
    elif wanted["format"] == "png":
        sampler.write_files(trained, target, latent, label, wanted["batch_size"], about)
    else:
        sampler.write_array(trained, target, latent, label, wanted["batch_size"], about)
    print(f"{count:,} samples of {trained.path} in {target}")


def check(wanted: dict[str, Any]) -> None:
    for key in WHOLE:
        value, least = wanted[key], 0 if key == "seed" else 1
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise UserError(f"{key}={value!r} must be a whole number from {least} up")
    columns = wanted["columns"]
    if columns is not None and (isinstance(columns, bool) or not isinstance(columns, int) or columns < 1):
        raise UserError(f"columns={columns!r} must be a whole number from 1 up")
    if wanted["format"] not in FORMATS:
        raise UserError(f"format={wanted['format']!r} is unknown; use {', '.join(FORMATS)}")
    for key in ("ema", "overwrite"):
        if not isinstance(wanted[key], bool):
            raise UserError(f"{key}={wanted[key]!r} must be true or false")
    if str(wanted["device"]).split(":")[0] not in ("auto", "cpu", "cuda", "mps"):
        raise UserError(f"device={wanted['device']!r} is unknown; use auto, cpu, cuda or mps")
    labels = wanted["labels"]
    if labels is not None and (not isinstance(labels, list) or not labels):
        raise UserError(f"labels={labels!r} must be a list of classes, as [0,1,2]")
    if not isinstance(wanted["trust"], list):
        raise UserError("trust takes a list of packages: trust=[my_package]")


def output_path(output: Path, form: str, overwrite: bool) -> Path:
    """The file or folder to write, from what the user typed.

    Raises:
        UserError: something is there already, and not `overwrite`.
    """
    ending = {"grid": ".png", "npz": ".npz", "png": ""}[form]
    if form != "png" and output.suffix.lower() != ending:
        output = output / ("grid.png" if form == "grid" else "samples.npz")
    taken = any(output.iterdir()) if output.is_dir() else output.exists()
    if taken and not overwrite:
        raise UserError(f"output {str(output)!r} exists already; choose another or say overwrite=true")
    return output


def default_output(checkpoint: Path, images: int, wanted: dict[str, Any]) -> Path:
    """A name of its own in the samples/ folder of the run that the checkpoint belongs to."""
    run = checkpoint.parent.parent if checkpoint.parent.name == "checkpoints" else checkpoint.parent
    stem = f"sample-{images:09d}-seed{wanted['seed']}"
    ending = {"grid": ".png", "npz": ".npz", "png": ""}[wanted["format"]]
    number, path = 1, run / "samples" / f"{stem}{ending}"
    while path.exists():
        number += 1
        path = run / "samples" / f"{stem}-{number}{ending}"
    return path
