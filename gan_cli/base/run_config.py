"""A composed config, typed where it arrives in the run: below `run/` nothing takes the whole of it.

A part of it that becomes an object is a `Node`: a dict with a `_target_` and arguments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypedDict

from gan_cli.base.settings import TrainerSettings, trainer_settings

Node = dict[str, Any]
Choices = Mapping[str, Any]  # by group: an option's name, or several, or None


class Composed(TypedDict, total=False):
    """A composed config as plain values: what `gan-train --cfg job` prints, resolved. A stored one may lack keys."""

    seed: int
    model: Node
    loss: Node
    penalty: dict[str, Node]
    dataset: Node
    optimizer: Node
    trainer: Node
    augment: Node | None
    perceptual: Node | None
    metric: dict[str, Node]
    features: Node | None
    choices: Choices
    name: str | None
    notes: str | None
    sweep: str | None
    resume: str | None
    init_from: str | None
    full_size: bool
    dry_run: bool
    trust: list[str]


@dataclass(frozen=True)
class GameConfig:
    """What a game is built of.

    Attributes:
        seed: of its first weights.
        model, loss, augment: nodes; no augmentation is None.
        penalties: nodes by name.
    """

    seed: int
    model: Node
    loss: Node
    penalties: Mapping[str, Node] = field(default_factory=dict)
    augment: Node | None = None

    @property
    def base(self) -> str | None:
        """The run that the model builds on, as it was typed; None where there is none, or it is loaded."""
        where = self.model.get("base")
        return str(where) if isinstance(where, (str, int)) else None

    def without(self, part: str) -> GameConfig:
        """The same with None for a part of the model."""
        return replace(self, model={**self.model, part: None}) if self.model.get(part) is not None else self


@dataclass(frozen=True)
class DataConfig:
    """A data set, as it was chosen.

    Attributes:
        name: of the choice, for people.
        node: with what the data set `provides`.
    """

    name: str
    node: Node

    @property
    def medium(self) -> Node:
        return self.node["provides"]["medium"]

    def changed(self, **options: Any) -> DataConfig:
        """With other values for those of the options that it has."""
        own = {key: value for key, value in options.items() if key in self.node}
        return replace(self, node={**self.node, **own})

    def without_download(self) -> DataConfig:
        """Taken from where it lies: nothing is fetched to a folder that another run names, which may be a
        stranger's."""
        return self.changed(download=False)

    def undecoded(self) -> DataConfig:
        """Its pictures decoded when they are asked for: to tell of them takes no wait."""
        return self.changed(memory_limit_mb=0)

    def held_out(self) -> DataConfig:
        """The part that training never sees, decoded when it is needed, and never fetched."""
        return self.without_download().undecoded().of_split("test")

    def of_split(self, split: str) -> DataConfig:
        return replace(self, node={**self.node, "split": split})


@dataclass(frozen=True)
class RunConfig:
    """All of a run's config.

    Attributes:
        plain: the composed config itself, resolved to plain values: what a checkpoint keeps.
        trust: packages whose classes it may use besides the allow-list; said on the command line.
    """

    plain: Composed
    seed: int
    trainer: TrainerSettings
    game: GameConfig
    data: DataConfig
    optimizer: Node
    metrics: Mapping[str, Node] = field(default_factory=dict)
    features: Node | None = None
    choices: Mapping[str, str] = field(default_factory=dict)
    name: str | None = None
    notes: str | None = None
    init_from: str | None = None
    trust: tuple[str, ...] = ()

    @classmethod
    def of(cls, plain: Composed, trust: Sequence[str] = ()) -> RunConfig:
        """From what `gan-train --cfg job` prints, resolved."""
        config: Composed = {**plain}
        choices = plain.get("choices") or {}
        return cls(
            plain=config,
            seed=config["seed"],
            trainer=trainer_settings(config["trainer"]),
            game=GameConfig(
                seed=config["seed"],
                model=config["model"],
                loss=config["loss"],
                penalties=config.get("penalty") or {},
                augment=config.get("augment") or None,
            ),
            data=DataConfig(str(choices.get("dataset") or config["dataset"]["_target_"]), config["dataset"]),
            optimizer=config["optimizer"],
            metrics=config.get("metric") or {},
            features=config.get("features"),
            choices=choices,
            name=config.get("name"),
            notes=config.get("notes"),
            init_from=config.get("init_from"),
            trust=tuple(trust),
        )

    def on_data(self, data: DataConfig) -> RunConfig:
        """The same run, its data set found elsewhere."""
        return replace(self, data=data, plain={**self.plain, "dataset": data.node})

    def on_base(self, base: object) -> RunConfig:
        """The same run, what its model builds on loaded (`game.base.Base`)."""
        return replace(self, game=replace(self.game, model={**self.game.model, "base": base}))

    def chosen(self, group: str, node: Node) -> str:
        """What was chosen of a group, in a word: the option's name, else its class."""
        return str(self.choices.get(group) or node["_target_"])
