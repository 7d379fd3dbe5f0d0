"""The text of `--help`, made from the YAML files: the first comment line of an option's file describes it."""

from __future__ import annotations

from pathlib import Path

from gan_cli.check.comments import first_comment
from gan_cli.check.config_folder import defaults_of, files_of

TRAIN_EXAMPLES = """\
Examples:
  gan-train                                                 DCGAN on the embedded digits
  gan-train model=dcgan loss=wgan_gp
  gan-train model=cdcgan dataset=fashion_mnist dataset.root=DIR optimizer=ttur trainer.total_images=300_000
  gan-train model=dcgan dataset=image_folder dataset.root="My pictures (2024)" name=cats notes="first try"
  gan-train loss=hinge penalty=[r1,r2] penalty.r1.weight=0.5
  gan-train model=pix2pix dataset=pairs dataset.root=DIR    from pairs: A/ and B/ with equal names
  gan-train model=cyclegan dataset=unpaired dataset.root=DIR loss=lsgan
  gan-train model=srgan dataset=degraded dataset.root=DIR model.scale=4
  gan-train model=r3gan model.conditional=projection        a modern default, told the class
  gan-train model=stylegan2 augment=ada dataset=image_folder dataset.root=DIR    few pictures
  gan-train model=stylegan2 dry_run=true                    memory and time that it would take
  gan-train -m model=gan,dcgan loss=nonsaturating,hinge,wgan_gp seed=0,1 trainer.total_images=20_000
  gan-train -m hydra/sweeper=optuna hydra.sweeper.score=fid_classifier metric=[fid] features=classifier loss=wgan,hinge
  gan-train resume=outputs/RUN                              go on exactly where it stopped
  gan-train resume=outputs/RUN trainer.total_images=500_000 go on for longer
  gan-train init_from=outputs/RUN dataset=...               a new run from trained weights: the model is that run's
  gan-train --cfg job                                       print the composed config and stop
  tensorboard --logdir outputs

Flags: -m a sweep (again with the same sweep=NAME: goes on where it was cut); --cfg job the values that would run, as
--help says them beside what is typed; --info; --version; --config-dir DIR your own configs;
tab completion: eval "$(gan-train -sc install=bash)"."""

REPORT_EXAMPLES = """\
Examples:
  gan-report                                                all runs in outputs/
  gan-report runs=FOLDER output=FOLDER                      the runs below a folder; also runs.md and runs.csv
  gan-report sweep=outputs/sweeps/NAME                      tables, and report.md, report.csv, report.html beside them
  gan-report sweep=outputs/sweeps/NAME by=fid_classifier at=best
  gan-report sweep=outputs/sweeps/NAME output=FOLDER        the three files in another folder"""

EXPORT_EXAMPLES = """\
Examples:
  gan-export checkpoint=outputs/RUN                         ONNX, with a free batch size
  gan-export checkpoint=outputs/RUN format=export output=generator.pt2
  gan-export checkpoint=outputs/RUN format=safetensors best=true"""

EVALUATE_EXAMPLES = """\
Examples:
  gan-evaluate checkpoint=outputs/RUN metric=[fid,precision_recall] features=classifier
  gan-evaluate checkpoint=outputs/RUN metric=[fid,kid,inception_score] features=inception count=50_000
  gan-evaluate checkpoint=outputs/RUN metric=[psnr,ssim]                     pix2pix, srgan: against the targets
  gan-evaluate sweep=outputs/sweeps/NAME metric=[fid] features=classifier    every cell; then gan-report sweep=...
  gan-evaluate a=MADE b=REAL metric=[fid,kid] features=inception             two folders of pictures, no model
  gan-train metric=[fid] features=classifier trainer.evaluate_every_images=50_000 trainer.keep_best=fid_classifier"""

ORDER = (
    "model",
    "loss",
    "penalty",
    "dataset",
    "optimizer",
    "trainer",
    "augment",
    "perceptual",
    "metric",
    "features",
    "experiment",
)


def train_help(folders: list[Path]) -> str:
    """Return the text of `gan-train --help`."""
    lines = [
        "gan-train: train a generative adversarial network.",
        "",
        "Usage: gan-train [GROUP=OPTION ...] [KEY=VALUE ...]",
        "",
    ]
    for group in sorted(defaults_of("train"), key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER)):
        lines += [*options_of(group, folders, ", several as [a,b]" if group in ("penalty", "metric") else ""), ""]
    return "\n".join([*lines, "Keys:", *root_keys(folders[0] / "train.yaml"), "", TRAIN_EXAMPLES])


def sample_help(folders: list[Path]) -> str:
    """Return the text of `gan-sample --help`."""
    lines = ["gan-sample: samples from a trained model.", ""]
    lines += ["Usage: gan-sample checkpoint=RUN_OR_FILE [mode=NAME] [KEY=VALUE ...]", ""]
    lines += [*options_of("mode", folders), "", "Keys:", *root_keys(folders[0] / "sample.yaml"), ""]
    modes = files_of(folders, "mode")
    for name, file in modes.items():
        keys = root_keys(file)
        lines += [f"Keys of mode={name}:", *keys, ""] if keys else []
    return "\n".join([*lines, "Examples:", *(line for file in modes.values() for line in examples(file))])


def evaluate_help(folders: list[Path]) -> str:
    """Return the text of `gan-evaluate --help`."""
    lines = ["gan-evaluate: scores, each with the protocol that made it.", ""]
    lines += ["Usage: gan-evaluate checkpoint=RUN_OR_FILE metric=[NAME,...] [features=NAME] [KEY=VALUE ...]", ""]
    for group, note in (("metric", ", several as [a,b]"), ("features", "")):
        lines += [*options_of(group, folders, note), ""]
    return "\n".join([*lines, "Keys:", *root_keys(folders[0] / "evaluate.yaml"), "", EVALUATE_EXAMPLES])


def report_help(folders: list[Path]) -> str:
    """Return the text of `gan-report --help`."""
    about = "gan-report: tables and a page of a sweep's scores, or a list of runs."
    usage = "Usage: gan-report [sweep=FOLDER | runs=FOLDER] [KEY=VALUE ...]"
    return "\n".join([about, "", usage, "", "Keys:", *root_keys(folders[0] / "report.yaml"), "", REPORT_EXAMPLES])


def export_help(folders: list[Path]) -> str:
    """Return the text of `gan-export --help`."""
    about = "gan-export: a trained generator alone, for other programs; compared with the model here."
    usage = "Usage: gan-export checkpoint=RUN [format=onnx|export|safetensors] [KEY=VALUE ...]"
    return "\n".join([about, "", usage, "", "Keys:", *root_keys(folders[0] / "export.yaml"), "", EXPORT_EXAMPLES])


def options_of(group: str, folders: list[Path], note: str = "") -> list[str]:
    """List the options of a group, each with the first comment line of its file."""
    described = [f"  {file.stem:<22} {first_comment(file)}" for file in files_of(folders, group).values()]
    return [f"{group}= (one of{note})", *described]


def examples(file: Path) -> list[str]:
    """List the command lines in the comments of an option's file."""
    comments = [line.lstrip("# ") for line in file.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    return [f"  {text}" for text in comments if text.startswith("gan-")]


def root_keys(file: Path) -> list[str]:
    """List the top-level keys of a root config that have a comment, as `key = value` and the comment."""
    keys = []
    for line in file.read_text(encoding="utf-8").splitlines():
        code, _, comment = line.partition("#")
        key, colon, value = code.partition(":")
        if colon and comment and not line.startswith((" ", "#", "-")):
            shown = "needed" if value.strip() == "???" else value.strip()
            keys.append(f"  {key + ' = ' + shown:<22} {comment.strip()}")
    return keys
