"""The part of the check that compares a model with its data set: fields, sides, sizes, channels."""

from __future__ import annotations

from typing import Any

from gan_cli.base.errors import UserError
from gan_cli.base.run_config import Composed, Node
from gan_cli.check.config_folder import config_folders, options_by_group
from gan_cli.check.rules import chosen, fitting

MOST_PIXELS = 2**17  # more than the side of any picture


def check_data(config: Composed) -> None:
    """Refuse a model that can't work with the samples of its data set.

    Args:
        config: plain and complete (`config.plain`); `check_fields` has already judged its model's fields.

    Raises:
        UserError: the first thing that is wrong.
    """
    check_resolution(config)
    check_scale(config)
    check_sides(config)
    check_perceptual(config)
    check_pictures(config)


def check_pictures(config: Composed) -> None:
    """Refuse an augmentation of pictures where the model draws points, or a picture beside its source."""
    augment, model = config.get("augment") or {}, config["model"]
    if not {*((augment.get("requires") or {}).get("fields") or [])} <= {*model.get("requires", {}).get("fields", [])}:
        raise UserError(
            f"augment={chosen(config, 'augment')} changes pictures of a model that draws them;"
            f" model={chosen(config, 'model')} is no such model, leave it at augment=none"
        )


def check_fields(config: Composed) -> None:
    """Refuse a model that needs fields (images, labels, points) which its data set does not provide.

    Args:
        config: composed; its interpolations may be unresolved.
    """
    needs = fields_needed(config["model"])
    provided = (config["dataset"].get("provides") or {}).get("fields", [])
    missing = [field for field in needs if field not in provided]
    if not missing:
        return
    model, dataset = chosen(config, "model"), chosen(config, "dataset")
    siblings = options_by_group(config_folders())
    fit = [
        name
        for name, node in siblings.get("dataset", {}).items()
        if set(needs) <= fields_of(node, config["model"])
        and ("degradation" in node or not brings_degradation(config["model"]))
    ]
    words = " and ".join(WORDS.get(field, f"{field}s") for field in missing)
    always_needed = (config["model"].get("requires") or {}).get("fields", [])
    condition = "" if missing[0] in always_needed else f" with conditional={config['model'].get('conditional')}"
    hint = ""
    if "label" in missing and (config["dataset"].get("provides") or {}).get("scan"):
        hint = ", or pictures sorted into two or more sub-folders, one for each class"
    if "label" in missing and (config["dataset"].get("provides") or {}).get("labelled_by"):
        hint = f", or dataset.{config['dataset']['provides']['labelled_by']}=..., which makes labels"
    other_models = [
        name
        for name, node in siblings.get("model", {}).items()
        if set(fields_needed(node)) <= {*provided, *fields_of(config["dataset"], node)}
        and ("degradation" in config["dataset"] or not brings_degradation(node))
    ]
    instead = f" (or, for this data set, model={'|'.join(other_models)})" if other_models else ""
    raise UserError(
        f"model={model}{condition} needs {words}, and dataset={dataset} has none;"
        f" data sets that fit: {', '.join(fit) or 'none here'}{hint}{instead}"
    )


WORDS = {"a": "two unpaired sides (a", "b": "b)", "source": "sources", "target": "targets"}


def fields_needed(model: Node) -> list[str]:
    """List the fields that a model needs of a batch: those that its YAML requires, and `label` if it is conditional."""
    fields = list((model.get("requires") or {}).get("fields", []))
    return fields if model.get("conditional", "none") == "none" else [*fields, "label"]


def fields_of(dataset: Node, model: Node) -> set[str]:
    """Return the fields that a data set gives to a model: its own, and those that the model's degradation makes."""
    fields = (dataset.get("provides") or {}).get("fields", [])
    degradation = model["brings"]["degradation"] if "degradation" in dataset and brings_degradation(model) else {}
    return {*fields, *(degradation.get("provides") or {}).get("fields", [])}


def brings_degradation(model: Node) -> bool:
    """Return whether a model makes its sources from good pictures, and so needs no sources from the data set."""
    return bool((model.get("brings") or {}).get("degradation"))


def check_scale(config: Composed) -> None:
    """Refuse sources that are smaller than their targets by another factor than the one by which the model enlarges."""
    required, provided = config["model"].get("requires", {}).get("scale"), config["dataset"]["provides"].get("scale")
    if required is None or provided is None or required == provided:
        return
    size = "of the size of their targets" if required == 1 else f"{required} times smaller than their targets"
    fit = fitting("dataset", lambda node: gives_scale(node, config["model"], required))
    raise UserError(
        f"model={chosen(config, 'model')} needs sources {size}, and those of dataset={chosen(config, 'dataset')} are"
        f" {provided} times smaller; {fit} fits"
    )


def gives_scale(dataset: Node, model: Node, scale: int) -> bool:
    if "degradation" in dataset and brings_degradation(model):
        return True
    provides = dataset.get("provides") or {}
    return set(fields_needed(model)) <= {*provides.get("fields", [])} and provides.get("scale") == scale


def check_sides(config: Composed) -> None:
    """Refuse sides with different numbers of channels where the model compares them, or adds one to the other."""
    dataset = config["dataset"]
    source, target = dataset.get("source_channels"), dataset.get("channels")
    if "degradation" in dataset and source != target:
        raise UserError(
            f"dataset.source_channels={source} does not fit: the source is made from the picture, with its"
            f" dataset.channels={target}"
        )
    for key in config["model"].get("requires", {}).get("same_channels", []):
        value = option_of(config["model"], key)
        if value and source != target:
            off = "false" if value is True else "0"
            raise UserError(
                f"model.{key}={str(value).lower()} needs both sides with as many channels, and those of"
                f" dataset={chosen(config, 'dataset')} are {source} and {target}; say model.{key}={off} or"
                f" dataset.source_channels={target}"
            )


def check_perceptual(config: Composed) -> None:
    if config.get("perceptual") and "perceptual" not in config["model"]:
        raise UserError(
            f"model={chosen(config, 'model')} has no term for perceptual={chosen(config, 'perceptual')}, as"
            f" {fitting('model', lambda node: 'perceptual' in node)} has"
        )


def check_resolution(config: Composed) -> None:
    rule = (config["model"].get("requires") or {}).get("resolution")
    resolution = config["dataset"].get("resolution")
    if not rule or resolution is None:
        return
    if resolution_fits(resolution, rule):
        return
    below = next((r for r in range(resolution, 0, -1) if resolution_fits(r, rule)), None)
    above = fitting_resolution(resolution, rule)
    kind = "powers of two" if rule.get("power_of_two") else f"multiples of {rule.get('multiple_of', 1)}"
    near = f"{below} or {above}" if below else str(above)
    raise UserError(
        f"model={chosen(config, 'model')} makes resolutions that are {kind} from {rule['minimum']} up,"
        f" not dataset.resolution={resolution}; nearest: {near}"
    )


def option_of(model: Node, key: str) -> Any:
    """Return the option of a model that its YAML names by a dotted key under `requires`.

    Raises:
        UserError: the model has no such option.
    """
    node: Any = model
    for part in str(key).split("."):
        if not isinstance(node, dict) or part not in node:
            raise UserError(f"model.requires speaks of {key}, which is no option of this model")
        node = node[part]
    return node


def fitting_resolution(file_resolution: int, rule: Any) -> int:
    """Return the files' own resolution if the model can make it, else the next larger one that it can.

    Raises:
        UserError: no resolution fits.
    """
    resolution, rule = file_resolution, dict(rule or {})
    while rule and not resolution_fits(resolution, rule):
        resolution += 1
        if resolution > MOST_PIXELS:
            raise UserError(f"no resolution fits model.requires.resolution={rule}")
    return resolution


def resolution_fits(resolution: int, rule: Any) -> bool:
    power = not rule.get("power_of_two") or resolution & (resolution - 1) == 0
    return power and resolution >= rule.get("minimum", 1) and resolution % rule.get("multiple_of", 1) == 0
