"""Types of a composed config. Code below `run/` takes its part of a config, never all of it.

A section of the config that becomes an object is a `Node`: a dict with a `_target_` and arguments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypedDict

from gan_cli.base.settings import TrainerSettings, trainer_settings

Node = dict[str, Any]
Choices = Mapping[str, Any]  # by group: the chosen option's name, several names, or None


class Composed(TypedDict, total=False):
    """A composed config as plain values, as `gan-train --cfg job` prints it, resolved. A stored one may lack keys."""

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
    """The sections of the config that a game is built from.

    Attributes:
        seed: the seed of the initial weights.
        model, loss, augment: nodes; `augment` is None where there is none.
        penalties: nodes by name.
    """

    seed: int
    model: Node
    loss: Node
    penalties: Mapping[str, Node] = field(default_factory=dict)
    augment: Node | None = None

    @property
    def base(self) -> str | None:
        """Return the path of the run that the model builds on, as typed; None where there is none or it is loaded."""
        where = self.model.get("base")
        return str(where) if isinstance(where, (str, int)) else None

    def without(self, part: str) -> GameConfig:
        """Return this config with None for a part of the model."""
        return replace(self, model={**self.model, part: None}) if self.model.get(part) is not None else self


@dataclass(frozen=True)
class DataConfig:
    """The chosen data set.

    Attributes:
        name: the name of the chosen option, for people.
        node: its section of the config, with `provides`.
    """

    name: str
    node: Node

    @property
    def medium(self) -> Node:
        return self.node["provides"]["medium"]

    def changed(self, **options: Any) -> DataConfig:
        """Return this config with other values for options; options that the data set does not have are left out."""
        known = {key: value for key, value in options.items() if key in self.node}
        return replace(self, node={**self.node, **known})

    def without_download(self) -> DataConfig:
        """Return this config without downloads: a folder that a stranger's run names must not be written to."""
        return self.changed(download=False)

    def undecoded(self) -> DataConfig:
        """Return this config with pictures that are decoded when used, so that facts on the data take no wait."""
        return self.changed(memory_limit_mb=0)

    def held_out(self) -> DataConfig:
        """Return the config of the test split, which training never sees; decoded when used, never downloaded."""
        return self.without_download().undecoded().of_split("test")

    def of_split(self, split: str) -> DataConfig:
        return replace(self, node={**self.node, "split": split})


@dataclass(frozen=True)
class RunConfig:
    """The whole config of a run.

    Attributes:
        plain: the composed config, resolved to plain values, as a checkpoint keeps it.
        trust: packages that the command line adds to the allow-list of classes.
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
        """Make it from a composed config, resolved."""
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
        """Return this config with another data config: the same data set in another place."""
        return replace(self, data=data, plain={**self.plain, "dataset": data.node})

    def on_base(self, base: object) -> RunConfig:
        """Return this config with the loaded run that the model builds on, a `game.base.Base`."""
        return replace(self, game=replace(self.game, model={**self.game.model, "base": base}))

    def chosen(self, group: str, node: Node) -> str:
        """Return the name of the option chosen in a group, or the name of its class where no option is recorded."""
        return str(self.choices.get(group) or node["_target_"])
