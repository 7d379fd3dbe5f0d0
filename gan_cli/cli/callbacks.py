"""Hydra's callbacks: the check before a run folder is made, the grid check before a sweep, its summary.

Hydra turns an exception in a callback into a warning, so a refusal leaves as SystemExit.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from gan_cli.cli import outcome
from gan_cli.cli.check import check
from gan_cli.cli.check_built import check_built
from gan_cli.cli.config import plain
from gan_cli.cli.resume import changed_keys
from gan_cli.cli.sentences import say, sentence
from gan_cli.errors import UserError
from gan_cli.files import read_json
from gan_cli.run_folder import check_entries


class CheckFirst(Callback):
    """For `gan-train`."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        try:
            folder = checked(config)
            self.refuse_another(folder, config)
            if not (folder / "run.json").exists():  # else it is this very run, which was tried then
                check_built(content_of(config))
        except (UserError, HydraException, OmegaConfBaseException) as error:
            refuse(error)

    @staticmethod
    def refuse_another(folder: Path, config: DictConfig) -> None:
        """A folder that holds another run is not gone on in under a new config."""
        check_entries(folder)
        if (folder / "run.json").exists():
            changes = changed_keys(folder, plain(config, config.hydra.runtime.choices))
            if changes:
                text = (
                    f"{str(folder)!r} holds a run of another configuration ({changes[0]}); choose another hydra.run.dir"
                )
                raise UserError(text)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Check every cell of the grid before the first one starts."""
        try:
            cells = grid(config)
            self.cells = [checked(cell) for cell in cells]
            for place in self.cells:
                check_entries(place)
            twice = [cell.name for number, cell in enumerate(self.cells) if cell in self.cells[:number]]
            if twice:
                raise UserError(f"two cells of the sweep would share the folder {twice[0]}: they train the same thing")
            for cell in cells:  # torch is loaded once all of them are right without
                check_built(content_of(cell))
            folder = Path(str(OmegaConf.select(config, "hydra.sweep.dir")))
            outcome.hold_sweep(folder)
        except (UserError, HydraException, OmegaConfBaseException) as error:
            refuse(error)
        if self.cells:
            print(f"sweep of {len(self.cells)} runs in {folder}", flush=True)
        outcome.sweep_size = len(self.cells)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        if self.cells or outcome.runs:  # a search has summed up by itself
            outcome.summarise([(cell, read_json(cell / "run.json") or {}) for cell in self.cells])


class CheckEvaluate(Callback):
    """For `gan-evaluate`: the same."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        refuse(UserError("gan-evaluate has no sweeps of its own: say sweep=FOLDER to score every cell of one"))


class CheckSample(Callback):
    """For `gan-sample`: nothing to make a folder for; its task checks by itself."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        refuse(UserError("gan-sample has no sweeps: call it once for each checkpoint"))


class CheckExport(Callback):
    """For `gan-export`."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        refuse(UserError("gan-export has no sweeps: call it once for each checkpoint"))


class CheckReport(Callback):
    """For `gan-report`."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        refuse(UserError("gan-report takes no -m: sweep=FOLDER reports on all cells of a sweep at once"))


def refuse(error: Exception) -> NoReturn:
    text = str(error) if isinstance(error, UserError) else sentence(error, outcome.names)
    raise SystemExit(say(text, 2))


def content_of(config: DictConfig) -> dict[str, Any]:
    """The plain content of a composed config with its `hydra` node."""
    HydraConfig.instance().set_config(config)
    return plain(config, config.hydra.runtime.choices)


def checked(config: DictConfig) -> Path:
    """Check one composed config with its `hydra` node; returns the folder that it would write to."""
    content = content_of(config)
    check_places(config)
    check(content)
    fetch(content)
    key = "hydra.run.dir" if config.hydra.mode.name == "RUN" else "hydra.sweep.dir"
    folder = Path(str(OmegaConf.select(config, key)))
    return folder if key == "hydra.run.dir" else folder / str(OmegaConf.select(config, "hydra.sweep.subdir"))


def check_places(config: DictConfig) -> None:
    """Hydra's settings that would put a run somewhere else than they say.

    Raises:
        UserError: a folder's name is empty, or the run would change into its folder.
    """
    sweep = config.hydra.mode.name != "RUN"
    for key in ("hydra.sweep.dir", "hydra.sweep.subdir") if sweep else ("hydra.run.dir",):
        if not str(OmegaConf.select(config, key) or ""):
            raise UserError(f"{key} is empty: it is the folder that a run is written to")
    if config.hydra.job.chdir:
        raise UserError(
            "hydra.job.chdir=true would change into the run's folder, where paths as dataset.root=DIR lead elsewhere:"
            " leave it out, all of a run is written to its folder anyway"
        )


def fetch(content: dict[str, Any]) -> None:
    """Fetch files that are missing now: a download that fails, or weights that don't fit, must leave no run folder.

    Raises:
        UserError: it failed.
    """
    dataset = content["dataset"]
    files = (dataset.get("provides") or {}).get("files") or []
    root = Path(str(dataset.get("root"))).expanduser()
    if files and not all((root / name).exists() for name in files):
        from gan_cli.build import build_data

        build_data(content, content["trust"])
    if content.get("perceptual"):
        from gan_cli.build import instantiate

        instantiate(content["perceptual"], content["trust"], "perceptual").load()


def grid(config: DictConfig) -> list[DictConfig]:
    """The composed config of every cell; none for a sweeper that chooses its cells as it goes."""
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.override_parser.overrides_parser import OverridesParser

    if not str(config.hydra.sweeper._target_).endswith("BasicSweeper"):
        return []
    loader = GlobalHydra.instance().hydra.config_loader  # type: ignore[union-attr]
    overrides = OverridesParser.create(loader).parse_overrides(list(config.hydra.overrides.task))
    for override in overrides:
        if override.is_interval_sweep():
            raise UserError(
                f"{override.input_line}: a grid has no cells for an interval; hydra/sweeper=optuna searches it"
            )
    (batch,) = BasicSweeper.split_arguments(overrides, None)
    return [composed(config, list(arguments), number) for number, arguments in enumerate(batch)]


def composed(config: DictConfig, overrides: list[str], number: int = 0) -> DictConfig:
    """One cell's config, of a sweep's."""
    cell = GlobalHydra.instance().hydra.config_loader.load_sweep_config(config, overrides)  # type: ignore[union-attr]
    with open_dict(cell):
        cell.hydra.job.num = cell.hydra.job.id = number
    return cell
