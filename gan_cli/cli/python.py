"""What `gan_cli` offers to Python: `train`, `load`, `sample` and `evaluate` do what the commands of these names do.

Imports no torch; each function loads it when it is called. `docs/python.md` shows them in use.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from gan_cli.base.allow_list import make_importable
from gan_cli.base.checkpoint import best_of
from gan_cli.base.errors import UserError
from gan_cli.base.files import expanded, write_atomically
from gan_cli.base.run_config import Composed
from gan_cli.check.check_device import check_device
from gan_cli.check.config_folder import look_in
from gan_cli.check.signatures import check_values
from gan_cli.cli.composition import composed_as_typed, names_of, without_hydra
from gan_cli.cli.config import register_resolvers, set_stamp
from gan_cli.cli.inherit import with_base
from gan_cli.cli.judge import judge, settled
from gan_cli.cli.options import Sample, options_of
from gan_cli.cli.quoting import rendered
from gan_cli.cli.resume import prepared, resume
from gan_cli.cli.sentences import REFUSALS, sentence
from gan_cli.cli.typed import Typed, check_named, key_of, read, value_of

if TYPE_CHECKING:
    from omegaconf import DictConfig
    from torch import Tensor

    from gan_cli.base.scoring import Score
    from gan_cli.use.load import Trained

Result = TypeVar("Result")
OF_THE_SHELL = ("--help", "--version", "--cfg", "--info", "--multirun", "--run", "--shell-completion", "--hydra-help")


def train(*overrides: str, folder: str | Path | None = None) -> Path:
    """Train one model as `gan-train` would, and return its run folder.

    Args:
        overrides: as typed on the command line, one string each: `"model=dcgan"`, `"trainer.total_images=20_000"`,
            `"resume=outputs/RUN"`, `"--config-dir=my_conf"`.
        folder: the run folder; None names one under `outputs/`, as the command does.

    Raises:
        UserError: what was given can't work, in one sentence; nothing was written.
        RunError: the run failed; its last checkpoint stays.
        Interrupted: Ctrl-C; a checkpoint was written, and `"resume=FOLDER"` goes on.
    """
    typed = typed_as(overrides, "train")
    check_named(typed.overrides)
    set_stamp()
    if str(value_of(typed.overrides, "dry_run")).lower() == "true":
        raise UserError("dry_run=true prints an estimate and makes no run: type it on the command line")
    run = value_of(typed.overrides, "resume")
    if run is not None:
        if folder is not None:
            raise UserError("resume= goes on in the folder of that run: leave out folder")
        in_words(lambda: resume(expanded(run), typed), typed, "train")
        return expanded(run)
    if folder is not None:
        path = str(expanded(str(folder))).replace("${", "\\${")
        typed.overrides.append(f"hydra.run.dir={rendered(path)}")
    return in_words(lambda: begin(typed), typed, "train")


def compose(*overrides: str) -> Composed:
    """Compose and check a configuration as `gan-train` would; return it as plain values.

    Args:
        overrides: as in `train`.

    Raises:
        UserError: what was given can't work, in one sentence.
    """
    typed = typed_as(overrides, "train")
    check_named(typed.overrides)
    run = value_of(typed.overrides, "resume")
    if run is None:
        return in_words(lambda: composed(typed)[1], typed, "train")
    beside = [override for override in typed.overrides if key_of(override) != "resume"]
    return in_words(lambda: prepared(expanded(run), beside)[1], typed, "train")


def load(
    run: str | Path,
    *,
    best: bool = False,
    ema: bool = True,
    device: str = "auto",
    truncation_psi: float = 1.0,
    trust: Sequence[str] = (),
) -> Trained:
    """Load a trained run: its networks in evaluation mode, its medium, its config and its class names.

    Args:
        run: a run folder, of which the newest valid checkpoint is taken, or a checkpoint file.
        best: take the checkpoint that `trainer.keep_best` kept.
        ema: take the averaged weights; False takes the raw ones.
        device: "auto", "cpu", "cuda" or "mps".
        truncation_psi: how far styles may lie from the mean style; 1 leaves them as they are.
        trust: packages whose classes the checkpoint's config may use, besides the allow-list.

    Raises:
        UserError: no valid checkpoint, or a class that is not allowed.
        RunError: a checkpoint that does not hold what belongs there.
    """
    check_arguments(device=device, truncation_psi=truncation_psi)
    check_device("device", device)
    packages = listed(trust, "trust")
    make_importable(packages)
    from gan_cli.use.load import load_trained

    where = expanded(str(run))
    return load_trained(best_of(where) if best else where, ema, device, packages, truncation_psi=truncation_psi)


def sample(
    trained: Trained | str | Path,
    count: int = 64,
    *,
    seed: int = 0,
    labels: Sequence[int | str] | None = None,
    batch_size: int = 256,
) -> Tensor:
    """Draw samples of a trained run; sample i depends on the run, `seed`, `labels` and i alone.

    Args:
        trained: what `load` returned, or what it takes.
        count: how many.
        labels: classes by name or index, taken in turn; for conditional models.
        batch_size: samples that go through the networks at a time.

    Returns:
        float32 on the CPU: images (N, C, H, W) in [-1, 1], points (N, 2), or what the run's medium is made of.

    Raises:
        UserError: labels of an unconditional model, no such class, no valid checkpoint, or a model that is given
            pictures, whose outputs `gan-sample input=FOLDER` writes.
    """
    check_arguments(count=count, seed=seed, batch_size=batch_size)
    import torch

    from gan_cli.use.load import Trained
    from gan_cli.use.sample import class_numbers, draw

    ready = trained if isinstance(trained, Trained) else load(trained)
    if ready.game.translations:
        raise UserError("this model is given pictures: gan-sample checkpoint=RUN input=FOLDER writes its outputs")
    classes = None if labels is None else listed(getattr(labels, "tolist", lambda: labels)(), "labels")
    given = ready.given(count, seed, class_numbers(classes, ready))
    return torch.cat(list(draw(ready, given, batch_size)))


def evaluate(run: str | Path, *overrides: str) -> list[Score]:
    """Score a run as `gan-evaluate` would; the scores are also appended to its metrics.jsonl.

    Args:
        run: a run folder or a checkpoint file.
        overrides: as typed on the command line: `"metric=[fid,precision_recall]"`, `"features=classifier"`.

    Raises:
        UserError: what was given can't work, in one sentence.
    """
    from gan_cli.cli.evaluate import check, of_checkpoint

    for key in map(key_of, overrides):
        if key in ("checkpoint", "output"):
            raise UserError(f"{key}= is for the command: evaluate() is given the run, and returns the scores")
    typed = typed_as([f"checkpoint={rendered(str(run))}", *overrides], "evaluate")

    def scores() -> list[Score]:
        content = plain_values(typed, "evaluate")
        if any(content[key] is not None for key in ("sweep", "a", "b")):
            raise UserError("evaluate() scores one run; the command gan-evaluate scores sweeps and folders")
        asked = check(content)
        return of_checkpoint(asked, expanded(str(asked.checkpoint)), {})

    return in_words(scores, typed, "evaluate")


def typed_as(overrides: Sequence[str], root: str) -> Typed:
    """Read overrides as a command line of `gan-<root>` without flags of the shell.

    Raises:
        UserError: a flag that belongs to the shell, or an override that can't be read.
    """
    register_resolvers()
    typed = read([str(override) for override in overrides])
    for flag in OF_THE_SHELL:
        if flag in typed.flags:
            raise UserError(f"{flag} is for the command line: leave it out, and call once for each run")
    if typed.sweeps:
        raise UserError("hydra.mode=MULTIRUN is for the command line: call once for each run")
    look_in(typed.folders())
    judge(typed, f"gan-{root}", root)
    return typed


def check_arguments(**values: Any) -> None:
    """Check what was given to a function as the option of that name of `gan-sample` is checked.

    Raises:
        UserError: a value of the wrong type, or beyond its limits.
    """
    check_values("", values, {key: argument for key, argument in options_of(Sample).items() if key in values})


def listed(values: Iterable[Any], name: str) -> list[Any]:
    """Return several values as a list.

    Raises:
        UserError: it is one text, which would be read letter by letter.
    """
    if isinstance(values, str):
        raise UserError(f"{name}={values!r} must be a list, as [{values!r}]")
    return list(values)


def composed(typed: Typed) -> tuple[DictConfig, Composed, Path]:
    """Compose a run and check it; return its config as written and as plain values, and its folder."""
    from hydra.types import RunMode
    from omegaconf import OmegaConf, flag_override

    from gan_cli.cli.callbacks import CheckFirst, checked
    from gan_cli.cli.check_built import check_built

    config = composed_as_typed(settled(with_base(typed), "train"), "train")
    with flag_override(config.hydra, ["struct", "readonly"], [False, False]):
        config.hydra.mode = RunMode.RUN  # which Hydra sets after it has composed
    content, folder = checked(config), Path(str(OmegaConf.select(config, "hydra.run.dir")))
    CheckFirst.refuse_another(folder, content)
    if not (folder / "run.json").exists():
        check_built(content)
    return config, content, folder


def begin(typed: Typed) -> Path:
    """Start the run that was composed; return its folder."""
    config, content, folder = composed(typed)
    if content["dry_run"]:
        raise UserError("dry_run=true prints an estimate and makes no run: type it on the command line")
    from gan_cli.run.launch import launch

    launch(content, folder, content["trust"], lambda: keep_as_written(config, typed, folder))
    return folder


def keep_as_written(config: DictConfig, typed: Typed, folder: Path) -> None:
    """Write what Hydra keeps of a run that it starts: the config with its interpolations, and the overrides."""
    from omegaconf import OmegaConf

    plain = without_hydra(config)
    for name, node in (("config", plain), ("overrides", OmegaConf.create(typed.overrides))):
        write_atomically(folder / ".hydra" / f"{name}.yaml", OmegaConf.to_yaml(node).encode())


def plain_values(typed: Typed, root: str) -> Mapping[str, Any]:
    """Compose the config of a command that makes no run; return it as plain values."""
    from omegaconf import OmegaConf

    config = composed_as_typed(settled(typed, root), root)
    content = without_hydra(config)
    return OmegaConf.to_container(content, resolve=True, throw_on_missing=True)  # type: ignore[return-value]


def in_words(action: Callable[[], Result], typed: Typed, root: str) -> Result:
    """Carry out an action; turn what Hydra, OmegaConf or the system says into one sentence.

    Raises:
        UserError: it can't work.
    """
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.hydra_config import HydraConfig

    hydra, config = GlobalHydra.instance().hydra, HydraConfig.instance().cfg  # of a program that calls this
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "provider=.* is not available", UserWarning)  # of hydra.searchpath
            return action()
    except UserError:
        raise
    except UserWarning as warning:
        if "is not available" not in str(warning):  # the caller's own filter made an error of another
            raise
        raise UserError(f"there is nothing at what hydra.searchpath names ({warning})") from warning
    except REFUSALS as error:
        raise UserError(sentence(error, lambda: names_of(typed, root), f"gan-{root}")) from error
    finally:
        GlobalHydra.instance().hydra, HydraConfig.instance().cfg = hydra, config
