"""A trained run, ready to use. It needs no data set and works from a notebook."""

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
        game: the game as it was trained.
        networks: the networks that make samples, by name.
        medium: the kind of samples.
        config: the config of the run.
        class_names: of the data set.
        path, images: the checkpoint's file, and the images it had seen.
        device: where the networks are.
        truncation_psi: of the samples that are drawn.
        fingerprint: of the training data.
        locate: returns the config with the folder in which the data lies now.
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
        """Return the held-out data, which training never saw.

        Raises:
            UserError: the data is not there any more.
        """
        try:
            return build_data(self.locate(self.config).data.held_out(), self.config.trust)
        except UserError as error:
            raise UserError(f"{error}; without the data of the run, say input=FOLDER_OR_IMAGE") from error

    def given(self, count: int, seed: int, labels: Sequence[int] | None = None, purpose: str = "sample") -> Given:
        """Return what the generators are given for `count` samples.

        Sample i is a function of the other arguments and i alone.
        """
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
    """Load the newest valid checkpoint of a run, or a given one; build its networks through the allow-list.

    Args:
        where: a run's folder or a checkpoint file.
        ema: True for the averaged weights with their buffers; False for the raw ones.
        device: "auto", "cpu", "cuda", "mps".
        trust: packages whose classes the checkpoint's config may use.
        warn: called with each message that a user should know.
        standing_statistics: passes over which the generators' batch norms are measured anew; 0: as trained.
        truncation_psi: of the samples, and of those that batch norms are measured on.

    Raises:
        UserError: there is no valid checkpoint, its config names a class that is not allowed, or the model has no
            batch norm for standing statistics.
        RunError: the checkpoint lacks something, or its weights are not those of its config.
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
    """Build a trained run from the content of the checkpoint at `path`, with the arguments of `load_trained`."""
    check_content(content, str(path))
    torch_device = pick_device(device)
    with foreign(str(path)):
        config = RunConfig.of(content["config"], tuple(trust))
        if config.game.base is not None:
            config = config.on_base(kept_base(checkpoint.run_of(path), content.get("base"), trust, torch_device))
        game = fitting_game(config.game, content["game"], trust, str(path))
        game.set_progress(content["progress"]["images"])
        game.to(torch_device).eval()
        networks = game.averaged
        if ema:
            for name, network in networks.items():
                network.load_state_dict(content["ema"][name])
        medium, names = build_medium(config.data, trust), list(content["data"]["class_names"])
    trained = Trained(
        *(game, networks, medium, config, names, path, content["progress"]["images"], torch_device, truncation_psi),
        fingerprint=content["data"]["fingerprint"],
    )
    try_out(trained)
    if standing_statistics:
        take_standing_statistics(trained, standing_statistics)
    return trained


def kept_base(run: Path, digest: str | None, trust: Sequence[str], device: torch.device) -> Base:
    """Load the base of a run from the file that the run keeps it in.

    Args:
        digest: of that file, as the run's checkpoint records it; None: not recorded yet.

    Raises:
        UserError: the file is gone, or it is another base.
    """
    path = run / BASE
    if not path.is_file():
        raise UserError(f"{str(run)!r} builds on another run, whose networks it kept in {BASE}: that file is gone")
    actual = checkpoint.digest_of_file(path)
    if digest is not None and actual != digest:
        raise UserError(f"{path} is not the base that the checkpoints of {str(run)!r} were trained on")
    return base_of(load_trained(path, device=device.type, trust=trust), actual)


def base_of(trained: Trained, digest: str) -> Base:
    """Make a trained run the base of another run.

    Raises:
        UserError: the run builds on another run itself.
    """
    if trained.config.game.model.get("base") is not None:
        raise UserError(f"model.base={str(trained.path)!r} builds on another run itself: name one that stands alone")
    return Base(trained.game, trained.networks, trained.medium, digest)


def try_out(trained: Trained) -> None:
    """Draw one sample and throw it away: a config that does not fit its networks fails before anything is written.

    Raises:
        RunError: the sample can't be drawn.
    """
    if trained.game.translations:  # their samples need the run's data
        return
    with foreign(str(trained.path)):
        (rows,) = trained.game.sample(trained.networks, trained.given(1, 0), truncation_psi=trained.truncation_psi)
        trained.medium.rows(rows, 1)


@torch.no_grad()
def take_standing_statistics(trained: Trained, passes: int) -> None:
    """Measure the means and variances of the generators' batch norms anew, over fresh samples of the weights in use.

    The running statistics come from the raw weights of the last steps and fit averaged weights only roughly (Brock et
    al. 2019, sec. 2.2 and appendix C).

    Raises:
        UserError: the generators have no batch norm, or they are given pictures.
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
    if "label" in given:  # each pass has a mixture of classes
        order = torch.randperm(len(given["label"]), generator=generator_for("cpu", "standing"))
        given["label"] = given["label"][order]
    with foreign(str(trained.path)):
        batches = trained.game.sample(trained.networks, given, STANDING_BATCH, trained.truncation_psi)
        for _ in counted(batches, "measuring batch norms anew", passes, "passes"):
            pass
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()
