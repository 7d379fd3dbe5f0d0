"""The part of the check that compares metrics and features with each other, the model and the data, without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from gan_cli.base.allow_list import check_allowed, check_place, targets_in
from gan_cli.base.errors import UserError
from gan_cli.base.run_config import Composed, Node
from gan_cli.base.scoring import features_name, score_names
from gan_cli.check.check_data import fields_needed
from gan_cli.check.rules import fitting, has
from gan_cli.check.signatures import check_arguments


def check_choice(metrics: Mapping[str, Node], features: Node | None, trust: Sequence[str]) -> None:
    """Refuse metrics and features that do not fit each other.

    Raises:
        UserError: one that can't be built, or a metric without the features that it needs.
    """
    for path, node in targets_in({"metric": metrics, **({"features": features} if features else {})}):
        check_allowed(node["_target_"], trust)
        check_place(node["_target_"], path, trust)
        check_arguments(path, node)
    for name, node in metrics.items():
        requires = node.get("requires") or {}
        only = requires.get("only_features")
        if requires.get("features") and not features:
            fit = f"features={only}" if only else fitting("features", lambda node: True)
            raise UserError(f"metric={name} compares features: say {fit}")
        if only and features_name(features) != only:
            raise UserError(f"metric={name} needs features={only}, not {features_name(features)}")
        if requires.get("logits") and not ((features or {}).get("provides") or {}).get("logits"):
            fit = fitting("features", lambda node: (node.get("provides") or {}).get("logits"))
            raise UserError(f"metric={name} needs features with classes: {fit}")


def check_metrics(config: Composed, metrics: Mapping[str, Node], features: Node | None) -> None:
    """Refuse metrics that do not fit a model and its data set.

    Raises:
        UserError: the first metric that does not fit.
    """
    dataset, model = config["dataset"], config["model"]
    provided = set((dataset.get("provides") or {}).get("fields", []))
    chosen = config.get("choices") or {}
    data = f"dataset={chosen.get('dataset', dataset.get('_target_'))}"
    label = f"model={chosen.get('model', model.get('_target_'))}"
    for name, node in metrics.items():
        requires = node.get("requires") or {}
        medium, fields = requires.get("medium"), requires.get("fields", [])
        missing = [field for field in fields if field not in provided]
        words = requires.get("words") or medium or " and ".join(fields)
        if medium is not None and not has_medium(dataset, medium):
            fit = fitting("metric", partial(metric_fits, dataset))
            raise UserError(f"metric={name} needs {words}, and {data} has none; {fit} would do")
        if missing:
            fit = fitting("model", partial(needs_fields, fields))
            example = "" if fit.startswith("no ") else f", as {fit} has"
            raise UserError(f"metric={name} needs {words}{example}, and {data} has none")
        if requires.get("latent") and not has(model, "latent"):
            raise UserError(f"metric={name} is for models that draw from noise, and {label} is given pictures")
        if requires.get("conditional") and model.get("num_classes") is None:
            fit = fitting("model", lambda node: "label" in fields_needed(node) and has(node, "latent"))
            raise UserError(f"metric={name} needs a conditional model, as {fit}, and {label} has no classes")
        if requires.get("split") and "split" not in dataset:
            raise UserError(f"metric={name} needs held-out pictures, and {data} has no test split")
        least, side = requires.get("resolution", 1), dataset.get("resolution")
        if side is not None and side < least:
            raise UserError(
                f"metric={name} needs pictures of at least {least} pixels a side, not dataset.resolution={side}"
            )
        trained_on = ((features or {}).get("requires") or {}).get("fields", []) if requires.get("features") else []
        if not set(trained_on) <= provided:
            kind = f"features={features_name(features)}"
            fit = fitting("features", lambda node: provided >= {*((node.get("requires") or {}).get("fields", []))})
            raise UserError(f"{kind} is trained on {trained_on[0]}s, and {data} has none; {fit} fits")


def metric_fits(dataset: Node, metric: Node) -> bool:
    """Return whether a data set has the medium and the fields that a metric judges."""
    medium, fields = (metric.get("requires") or {}).get("medium"), (metric.get("requires") or {}).get("fields", [])
    return (medium is None or has_medium(dataset, medium)) and {*fields} <= {*(dataset["provides"].get("fields") or [])}


def needs_fields(fields: Sequence[str], model: Node) -> bool:
    return {*fields} <= {*fields_needed(model)}


def has_medium(dataset: Node, medium: str) -> bool:
    return medium == ((dataset.get("provides") or {}).get("medium") or {}).get("_target_")


def check_scoring(config: Composed) -> None:
    """Refuse scores in training that can't be computed, and options that need scores where there are none.

    Raises:
        UserError: the first thing that is wrong.
    """
    trainer, metrics, features = config["trainer"], config.get("metric") or {}, config.get("features")
    patience, decides = trainer.get("patience_images"), trainer.get("keep_best")
    if not metrics:
        for key in ("keep_best", "patience_images", "evaluate_every_images"):
            if trainer.get(key):
                raise UserError(f"trainer.{key} needs scores: say metric=[fid] features=classifier, for one")
        return
    check_choice(metrics, features, config.get("trust") or [])
    check_metrics(config, metrics, features)
    check_count("trainer.evaluate_count", trainer["evaluate_count"], metrics)
    names = score_names(metrics, features)
    if patience is not None and decides is None:
        raise UserError("trainer.patience_images waits for a score to get better: say which, trainer.keep_best=SCORE")
    if decides is not None and names.get(stem(decides)) is None:
        known = ", ".join(name for name, better in names.items() if better)
        raise UserError(f"trainer.keep_best={decides} is no score of this run with a better end; it has {known}")


def check_count(key: str, count: int, metrics: Mapping[str, Node]) -> None:
    """Refuse a number of samples that is too small for a metric.

    Raises:
        UserError: a metric needs more than `count` samples.
    """
    for name, node in metrics.items():
        least = (node.get("requires") or {}).get("count", 2)
        if count < least:
            raise UserError(f"{key}={count} is too few for metric={name}, which needs at least {least}")


def stem(name: str) -> str:
    """Remove the direction of a two-way model (`_a_to_b`, `_b_to_a`) from the name of a score."""
    return name.removesuffix("_a_to_b").removesuffix("_b_to_a")
