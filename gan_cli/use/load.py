"""A trained run, ready to use. Needs no data set; works from a notebook."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from gan_cli.base import checkpoint
from gan_cli.base.errors import UserError
from gan_cli.base.machine import pick_device
from gan_cli.base.printable import tell
from gan_cli.base.progress import counted
from gan_cli.base.randomness import generator_for
from gan_cli.base.records import Content
from gan_cli.base.run_config import RunConfig
from gan_cli.base.run_folder import BASE
from gan_cli.base.stored import check_content, foreign
from gan_cli.data.order import Data
from gan_cli.game.base import Base
from gan_cli.game.build import build_data, build_medium
from gan_cli.game.game import Game, Given
from gan_cli.media.medium import Medium
from gan_cli.use.fitting import fitting_game

STANDING_BATCH = 256  # samples in each pass of `take_standing_statistics`


@dataclass
class Trained:
    """A trained game, ready to draw from.

    Attributes:
        game: as it was trained.
        networks: those that samples are made by, by name.
        medium: what the samples are.
        config: the run's.
        class_names: of the data.
        path, images: the checkpoint's file, and the images it had seen.
        device: where the networks are.
        truncation_psi: of what is drawn.
        fingerprint: of the data that it was trained on.
        locate: the config with the folder in which its data lies now.
    """

    game: Game
    networks: dict[str, nn.Module]
    medium: Medium
    config: RunConfig
    class_names: list[str]
    path: Path
    images: int
    device: torch.device
    truncation_psi: float = 1.0
    fingerprint: str = ""
    locate: Callable[[RunConfig], RunConfig] = lambda config: config

    def held_out(self) -> Data:
        """The data that its training never saw.

        Raises:
            UserError: it is not there any more.
        """
        try:
            return build_data(self.locate(self.config).data.held_out(), self.config.trust)
        except UserError as error:
            raise UserError(f"{error}; without the data of the run, say input=FOLDER_OR_IMAGE") from error

    def given(self, count: int, seed: int, labels: Sequence[int] | None = None, purpose: str = "sample") -> Given:
        """What is needed to make `count` samples; sample i is a function of the other arguments and i alone."""
        return self.game.given(count, seed, purpose, self.held_out, labels)


def load_trained(
    where: Path,
    ema: bool = True,
    device: str = "auto",
    trust: Sequence[str] = (),
    warn: Callable[[str], object] = tell,
    standing_statistics: int = 0,
    truncation_psi: float = 1.0,
) -> Trained:
    """The newest valid checkpoint of a run, or a given one, built through the allow-list.

    Args:
        where: a run's folder or a checkpoint file.
        ema: averaged weights with their buffers; False: the raw ones.
        device: "auto", "cpu", "cuda", "mps".
        trust: packages whose classes the checkpoint's config may use.
        warn: told what a user should know.
        standing_statistics: passes over which the batch norms of the generators are measured anew; 0: as trained.
        truncation_psi: of the samples, and of those that are measured so.

    Raises:
        UserError: no valid checkpoint, or one whose config names a class that is not allowed; standing statistics of a
            model without batch norm.
        RunError: a checkpoint that does not hold what belongs there, or other weights than those of its config.
    """
    path, content = checkpoint.load(where, warn)
    return trained_of(path, content, ema, device, trust, standing_statistics, truncation_psi)


def trained_of(
    path: Path,
    content: Content,
    ema: bool = True,
    device: str = "auto",
    trust: Sequence[str] = (),
    standing_statistics: int = 0,
    truncation_psi: float = 1.0,
) -> Trained:
    """What the checkpoint at `path` holds, built as by `load_trained`."""
    check_content(content, str(path))
    on = pick_device(device)
    with foreign(str(path)):
        config = RunConfig.of(content["config"], tuple(trust))
        if config.game.base is not None:
            config = config.on_base(kept_base(checkpoint.run_of(path), content.get("base"), trust, on))
        game = fitting_game(config.game, content["game"], trust, str(path))
        game.set_progress(content["progress"]["images"])
        game.to(on).eval()
        networks = game.averaged
        if ema:
            for name, network in networks.items():
                network.load_state_dict(content["ema"][name])
        medium, names = build_medium(config.data, trust), list(content["data"]["class_names"])
    trained = Trained(
        *(game, networks, medium, config, names, path, content["progress"]["images"], on, truncation_psi),
        fingerprint=content["data"]["fingerprint"],
    )
    try_out(trained)
    if standing_statistics:
        take_standing_statistics(trained, standing_statistics)
    return trained


def kept_base(run: Path, digest: str | None, trust: Sequence[str], device: torch.device) -> Base:
    """The base of a run, from the file that it keeps it in.

    Args:
        digest: of that file, as the run's checkpoint says; None: not said yet.

    Raises:
        UserError: it is not there, or another.
    """
    path = run / BASE
    if not path.is_file():
        raise UserError(f"{str(run)!r} builds on another run, whose networks it kept in {BASE}: that file is gone")
    own = checkpoint.digest_of_file(path)
    if digest is not None and own != digest:
        raise UserError(f"{path} is not the base that the checkpoints of {str(run)!r} were trained on")
    return base_of(load_trained(path, device=device.type, trust=trust), own)


def base_of(trained: Trained, digest: str) -> Base:
    """
    Raises:
        UserError: a run that builds on another itself.
    """
    if trained.config.game.model.get("base") is not None:
        raise UserError(f"model.base={str(trained.path)!r} builds on another run itself: name one that stands alone")
    return Base(trained.game, trained.networks, trained.medium, digest)


def try_out(trained: Trained) -> None:
    """One sample, thrown away: whatever of the config doesn't fit its networks shows here, before anything is written.

    Raises:
        RunError: it can't be drawn.
    """
    if trained.game.translations:  # that would ask for the run's data
        return
    with foreign(str(trained.path)):
        (rows,) = trained.game.sample(trained.networks, trained.given(1, 0), truncation_psi=trained.truncation_psi)
        trained.medium.rows(rows, 1)


@torch.no_grad()
def take_standing_statistics(trained: Trained, passes: int) -> None:
    """Means and variances of the generators' batch norms over fresh samples of the weights that are used.

    Running ones were made by the raw weights of the last steps and fit averaged weights only roughly (Brock et al.
    2019, sec. 2.2 and appendix C).

    Raises:
        UserError: nothing to measure.
    """
    networks = trained.networks.values()
    norms = [m for n in networks for m in n.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if not norms or trained.game.translations:
        raise UserError("standing_statistics= needs a model with batch norm in its generator; leave it at 0")
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over all passes
        norm.train()
    given = trained.given(passes * STANDING_BATCH, 0, purpose="standing")
    if "label" in given:  # each pass a mixture of classes
        order = torch.randperm(len(given["label"]), generator=generator_for("cpu", "standing"))
        given["label"] = given["label"][order]
    with foreign(str(trained.path)):
        made = trained.game.sample(trained.networks, given, STANDING_BATCH, trained.truncation_psi)
        for _ in counted(made, "measuring batch norms anew", passes, "passes"):
            pass
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()
