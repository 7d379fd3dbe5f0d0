"""What `gan_cli` offers to Python: `train`, `load`, `sample` and `evaluate` do what the commands of these names do.

Imports no torch; each function loads it when it is called. `docs/python.md` shows them in use.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from gan_cli.base.checkpoint import best_of
from gan_cli.base.errors import UserError
from gan_cli.base.files import expanded
from gan_cli.base.run_config import Composed
from gan_cli.check.config_folder import look_in
from gan_cli.cli.composition import composed_as_typed, names_of
from gan_cli.cli.config import register_resolvers, set_stamp
from gan_cli.cli.inherit import with_base
from gan_cli.cli.judge import judge, settled
from gan_cli.cli.quoting import rendered
from gan_cli.cli.resume import resume
from gan_cli.cli.sentences import REFUSALS, sentence
from gan_cli.cli.typed import Typed, check_named, read, value_of

if TYPE_CHECKING:
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
    run = value_of(typed.overrides, "resume")
    if run is not None:
        if folder is not None:
            raise UserError("resume= goes on in the folder of that run: leave out folder")
        in_words(lambda: resume(expanded(run), typed), typed, "train")
        return expanded(run)
    if folder is not None:
        typed.overrides.append(f"hydra.run.dir={rendered(str(folder))}")
    return in_words(lambda: begin(typed), typed, "train")


def compose(*overrides: str) -> Composed:
    """Compose and check a configuration as `gan-train` would; return it as plain values.

    Args:
        overrides: as in `train`.

    Raises:
        UserError: what was given can't work, in one sentence.
    """
    typed = typed_as(overrides, "train")
    return in_words(lambda: composed(typed)[0], typed, "train")


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
    from gan_cli.use.load import load_trained

    where = expanded(str(run))
    return load_trained(best_of(where) if best else where, ema, device, trust, truncation_psi=truncation_psi)


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
        UserError: labels of an unconditional model, no such class, or no valid checkpoint.
    """
    import torch

    from gan_cli.use.load import Trained
    from gan_cli.use.sample import class_numbers, draw

    if count < 1 or batch_size < 1:
        raise UserError(f"count={count} and batch_size={batch_size} must be at least 1")
    ready = trained if isinstance(trained, Trained) else load(trained)
    given = ready.given(count, seed, class_numbers(labels, ready))
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
    look_in(typed.folders())
    judge(typed, f"gan-{root}", root)
    return typed


def composed(typed: Typed) -> tuple[Composed, Path]:
    """Compose a run and check it; return its plain config and its folder."""
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
    return content, folder


def begin(typed: Typed) -> Path:
    """Start the run that was composed; return its folder."""
    content, folder = composed(typed)
    from gan_cli.run.launch import launch

    launch(content, folder, content["trust"])
    return folder


def plain_values(typed: Typed, root: str) -> Mapping[str, Any]:
    """Compose the config of a command that makes no run; return it as plain values."""
    from omegaconf import OmegaConf

    config = composed_as_typed(settled(typed, root), root)
    content = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    return OmegaConf.to_container(content, resolve=True, throw_on_missing=True)  # type: ignore[return-value]


def in_words(action: Callable[[], Result], typed: Typed, root: str) -> Result:
    """Carry out an action; turn what Hydra, OmegaConf or the system says into one sentence.

    Raises:
        UserError: it can't work.
    """
    try:
        return action()
    except UserError:
        raise
    except REFUSALS as error:
        raise UserError(sentence(error, lambda: names_of(typed, root), f"gan-{root}")) from error
