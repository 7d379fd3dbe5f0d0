"""The part of the check that sets metrics and features against each other, the model and its data. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gan_cli.base.allow_list import check_allowed, check_place, targets_in
from gan_cli.base.errors import UserError
from gan_cli.base.run_config import Composed, Node
from gan_cli.base.scoring import features_name, score_names
from gan_cli.cli.signatures import check_arguments

GIVEN = {"source", "target", "a", "b"}  # fields of models that are given pictures


def check_choice(metrics: Mapping[str, Node], features: Node | None, trust: Sequence[str]) -> None:
    """Metrics and features among themselves.

    Raises:
        UserError: one that can't be built, or that lacks its features.
    """
    for path, node in targets_in({"metric": metrics, **({"features": features} if features else {})}):
        check_allowed(node["_target_"], trust)
        check_place(node["_target_"], path, trust)
        check_arguments(path, node)
    for name, node in metrics.items():
        requires = node.get("requires") or {}
        only = requires.get("only_features")
        if requires.get("features") and not features:
            fit = [only] if only else ["classifier", "inception", "module"]
            raise UserError(f"metric={name} compares features: say features={' or '.join(fit)}")
        if only and features_name(features) != only:
            raise UserError(f"metric={name} needs features={only}, not {features_name(features)}")
        if requires.get("logits") and not ((features or {}).get("provides") or {}).get("logits"):
            raise UserError(f"metric={name} needs features with classes: features=classifier or inception")


def check_metrics(config: Composed, metrics: Mapping[str, Node], features: Node | None) -> None:
    """Metrics against a model and its data set.

    Raises:
        UserError: the first that does not fit.
    """
    dataset, model = config["dataset"], config["model"]
    made_of = ((dataset.get("provides") or {}).get("medium") or {}).get("_target_")
    has = set((dataset.get("provides") or {}).get("fields", []))
    chosen = config.get("choices") or {}
    given = GIVEN & set((model.get("requires") or {}).get("fields", []))
    data = f"dataset={chosen.get('dataset', dataset.get('_target_'))}"
    label = f"model={chosen.get('model', model.get('_target_'))}"
    for name, node in metrics.items():
        requires = node.get("requires") or {}
        medium, words = requires.get("medium"), requires.get("words")
        missing = [field for field in requires.get("fields", []) if field not in has]
        if missing or (medium is not None and medium != made_of):
            raise UserError(f"metric={name} needs {words or ' and '.join(missing) or medium}, and {data} has none")
        if requires.get("latent") and given:
            raise UserError(f"metric={name} is for models that draw from noise, and {label} is given pictures")
        if requires.get("conditional") and model.get("num_classes") is None:
            raise UserError(f"metric={name} needs a conditional model (cgan, cdcgan), and {label} has no classes")
        if requires.get("split") and "split" not in dataset:
            raise UserError(f"metric={name} needs held-out pictures, and {data} has no test split")
        least, side = requires.get("resolution", 1), dataset.get("resolution")
        if side is not None and side < least:
            raise UserError(
                f"metric={name} needs pictures of at least {least} pixels a side, not dataset.resolution={side}"
            )
        if requires.get("features") and features_name(features) == "classifier" and "label" not in has:
            raise UserError(
                f"features=classifier is trained on labels, and {data} has none; use features=inception or module"
            )


def check_scoring(config: Composed) -> None:
    """The scores that a run asks for in training.

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
    """
    Raises:
        UserError: fewer samples than a metric can be made of.
    """
    for name, node in metrics.items():
        least = (node.get("requires") or {}).get("count", 2)
        if count < least:
            raise UserError(f"{key}={count} is too few for metric={name}, which needs at least {least}")


def stem(name: str) -> str:
    """A score's name without the direction of a model that goes both ways."""
    return name.removesuffix("_a_to_b").removesuffix("_b_to_a")
