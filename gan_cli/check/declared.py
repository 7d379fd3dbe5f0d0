"""The keys that a part's YAML declares for the check: `requires`, `provides`, `brings`, `limits`, `players`.

The classes here are read, never instantiated. Any other key is a part's own affair.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypedDict

from gan_cli.base.errors import UserError
from gan_cli.base.run_config import Node
from gan_cli.check.annotations import kind_of
from gan_cli.check.kinds import Kind, shown
from gan_cli.check.signatures import LIMITS, Argument, check_value, check_values, is_unresolved, signature_of

if TYPE_CHECKING:  # read from the source, never made
    from gan_cli.base.limits import Count, Pixels, Rate, Weight, Width


class Medium:
    """The class that says how samples are shown, such as `gan_cli.media.image.ImageMedium`."""


class Degradation:
    """The class that makes the source of a picture."""


class Requires(TypedDict, total=False):
    fields: list[str]
    resolution: dict[str, Any] | Pixels  # of models; of metrics, the least
    scale: Count | None
    same_channels: list[str]
    at_least: dict[str, Any]
    base: dict[str, Any]
    whole_batch: bool
    model: list[str]
    features: bool
    only_features: str
    latent: bool
    conditional: bool
    split: bool
    logits: bool
    count: Count
    medium: str  # of metrics: the class that a data set's samples must be of
    words: str  # the name, in messages, of what is required of the data
    options: list[str]  # of modes: the options of the command that the mode takes
    given: dict[str, str]  # options that must be typed, with the message for each that is not
    beside: dict[str, dict[str, str]]  # options that need another option beside them
    without: dict[str, dict[str, str]]  # options that exclude another option
    instead: dict[str, str]  # options that the mode does not take, with what to type instead
    one_class: bool


class OfBase(TypedDict, total=False):
    same: list[str]
    spaces: list[str]


class Resolution(TypedDict, total=False):
    minimum: Width
    power_of_two: bool
    multiple_of: Width


class Provides(TypedDict, total=False):
    medium: Medium
    fields: list[str]
    labelled_by: str
    classes: Count | None
    resolution: Pixels | None
    channels: Literal[1, 3] | None
    source_channels: Literal[1, 3] | None
    scale: Count
    scan: bool | Literal["pairs", "unpaired", "degraded"]
    files: list[str]
    count: int
    name: str
    logits: bool
    scores: dict[str, Literal["lower", "higher"] | None]
    kind: str
    output: list[str] | dict[str, list[str]]  # of modes: endings of their files, also by format= or for input=


class Brings(TypedDict, total=False):
    critic_norm: str | None
    n_critic: Count
    optimizer: Node
    ttur: dict[str, Rate]
    trainer: Node
    penalty: dict[str, Node]
    degradation: Degradation
    adversarial_weight: Weight
    insists: bool


class Declared(TypedDict, total=False):
    """The sections of a node; a model or loss may list single words under `provides`."""

    requires: dict[str, Any]
    provides: dict[str, Any] | list[str]
    brings: dict[str, Any]
    limits: dict[str, str]
    players: list[str]


def check_declared(path: str, node: Node) -> None:
    """Refuse sections of a node that the check can't work with.

    Raises:
        UserError: a section, or a value in it, has the wrong type.
    """
    check_values(path, node, arguments(Declared))
    for name, section in (("requires", Requires), ("provides", Provides), ("brings", Brings)):
        declared = node.get(name)
        if isinstance(declared, dict):
            typed = {key: value for key, value in declared.items() if not is_unresolved(value)}
            check_values(f"{path}.{name}", typed, arguments(section))
    for key, text in (node.get("limits") or {}).items():
        if type(kind_of(text, LIMITS)) is Kind:
            raise UserError(f"{path}.limits.{key}={shown(text)} says no limit, as Annotated[float, Ge(0)] would")
    rule = (node.get("requires") or {}).get("resolution")
    if path == "model" and rule is not None:
        check_value("model.requires.resolution", rule, arguments(Requires)["at_least"].kind)
    if isinstance(base_rule := (node.get("requires") or {}).get("base"), dict):
        check_values(f"{path}.requires.base", base_rule, arguments(OfBase))
    if isinstance(rule, dict):
        check_values(f"{path}.requires.resolution", rule, arguments(Resolution))
        if "minimum" not in rule:
            raise UserError(f"{path}.requires.resolution lacks minimum, the least resolution that fits")
    if path == "dataset" and "provides" in node:
        check_value("dataset.provides", node["provides"], arguments(Declared)["requires"].kind)
        for key in ("medium", "fields"):
            check_value(f"dataset.provides.{key}", node["provides"].get(key), arguments(Provides)[key].kind)


def arguments(section: type) -> dict[str, Argument]:
    return signature_of(f"{__name__}.{section.__name__}") or {}
