"""The contract of a mode: a way to use a trained run, chosen by `gan-sample mode=NAME`.

A mode is a class, here or in another package, and a YAML file in `conf/mode/`. The file has the class (`_target_`) and
its declarations for the check under `mode:`, and the options of its constructor at the root.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from gan_cli.base.errors import UserError
from gan_cli.base.printable import tell
from gan_cli.game.build import instantiate
from gan_cli.use.load import Trained
from gan_cli.use.modes.trained_space import GIVEN_PICTURES, TrainedSpace
from gan_cli.use.results import Result
from gan_cli.use.sample import class_numbers


@dataclass
class Asked:
    """A request to a mode, besides the mode's own options.

    Attributes:
        trained: the run.
        seed: of everything that is drawn.
        count, columns: number of samples, and of columns in a grid; None: the mode chooses.
        labels: names or indices of classes, or None for all.
        space: the name of a space; None: the best.
        batch_size: samples held at a time.
        input: the file or folder that was named, or None.
        root: the folder of the run's data that was named, or None.
        one_file: whether the output is one file, where it may be a folder too.
        about: how the samples are made, to be stored with them.
        say: called with each message that a user should know.
    """

    trained: Trained
    seed: int = 0
    count: int | None = None
    columns: int | None = None
    labels: Sequence[int | str] | None = None
    space: str | None = None
    batch_size: int = 256
    input: Path | None = None
    root: str | None = None
    one_file: bool = False
    about: Mapping[str, Any] = field(default_factory=dict)
    say: Callable[[str], object] = tell

    @cached_property
    def classes(self) -> list[int] | None:
        """Return the class indices of `labels`.

        Raises:
            UserError: the model is unconditional, or it has no such class.
        """
        return class_numbers(self.labels, self.trained, self.say)

    @cached_property
    def searched(self) -> TrainedSpace:
        """Return the requested space of the run.

        Raises:
            UserError: the model has no such space.
        """
        return TrainedSpace(self.trained, self.space, self.trained.truncation_psi)

    def latents(self, count: int, purpose: str = "sample") -> tuple[Tensor, Tensor | None]:
        """Draw latents (count, Z), and labels (count,) of a conditional model.

        Raises:
            UserError: the model has no latents.
        """
        if not self.trained.game.spaces(self.trained.networks):
            raise UserError(GIVEN_PICTURES)
        given = self.trained.given(count, self.seed, self.classes, purpose)
        return given["latent"], given.get("label")


@dataclass
class Made:
    """The results of a mode.

    Attributes:
        results: by file name. If they are an iterator of pairs, each one is written as soon as it is made. A result
            with the name "" is the only one.
        words: the beginning of the closing line, as "64 samples of"; "": the mode's name.
    """

    results: Mapping[str, Result] | Iterable[tuple[str, Result]]
    words: str = ""


class Mode:
    """A way to use a trained run."""

    def __call__(self, asked: Asked) -> Made:
        """Make the results of a request.

        Raises:
            UserError: the run can't answer this request.
        """
        raise NotImplementedError


def build_mode(node: Mapping[str, Any], trust: Sequence[str] = ()) -> Mode:
    """Build a mode from its YAML node.

    Args:
        node: `_target_` and options.
        trust: packages whose classes may be named.

    Raises:
        UserError: the target is not allowed, or is no mode.
    """
    mode = instantiate(dict(node), trust, "mode")
    if not isinstance(mode, Mode):
        raise UserError(f"mode._target_={node['_target_']} is no mode: it does not derive from {__name__}.Mode")
    return mode
