"""The contract of a mode: something to do with a trained run, chosen by `gan-sample mode=NAME`.

A mode is a class here or elsewhere and a YAML file in `conf/mode/`: under `mode:` its `_target_` and what it declares
of itself for the check, at the root its options, which its constructor takes.
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
    """What a mode is asked for, besides its own options.

    Attributes:
        trained: the run.
        seed: of what is drawn.
        count, columns: how many, and of a grid; None: the mode's own choice.
        labels: names or indices of classes, or None for all.
        space: the name of a space; None: the best.
        batch_size: samples held at a time.
        input: a file or folder that was named, or None.
        root: where the data of the run was said to be, or None.
        one_file: whether the output is one file, where it may be a folder too.
        about: how samples are made, to be kept beside them.
        say: told what a user should know.
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
        """Class indices of `labels`.

        Raises:
            UserError: an unconditional model, or no such class.
        """
        return class_numbers(self.labels, self.trained, self.say)

    @cached_property
    def searched(self) -> TrainedSpace:
        """The space that is asked for.

        Raises:
            UserError: the model has no such space.
        """
        return TrainedSpace(self.trained, self.space, self.trained.truncation_psi)

    def latents(self, count: int, purpose: str = "sample") -> tuple[Tensor, Tensor | None]:
        """Latents (count, Z), and labels (count,) of a conditional model.

        Raises:
            UserError: a model without latents.
        """
        if not self.trained.game.spaces(self.trained.networks):
            raise UserError(GIVEN_PICTURES)
        given = self.trained.given(count, self.seed, self.classes, purpose)
        return given["latent"], given.get("label")


@dataclass
class Made:
    """What a mode made.

    Attributes:
        results: by file name, made as they are written if they are pairs of an iterator; one that is called "" is all
            that there is.
        words: of the closing line, as "64 samples of"; "": the mode's name.
    """

    results: Mapping[str, Result] | Iterable[tuple[str, Result]]
    words: str = ""


class Mode:
    """Something to do with a trained run."""

    def __call__(self, asked: Asked) -> Made:
        """
        Raises:
            UserError: the run can't be asked for that.
        """
        raise NotImplementedError


def build_mode(node: Mapping[str, Any], trust: Sequence[str] = ()) -> Mode:
    """
    Args:
        node: `_target_` and options.
        trust: packages whose classes may be named.

    Raises:
        UserError: a target that is not allowed, or is no mode.
    """
    made = instantiate(dict(node), trust, "mode")
    if not isinstance(made, Mode):
        raise UserError(f"mode._target_={node['_target_']} is no mode: it does not derive from {__name__}.Mode")
    return made
