"""Scores: their names, which end is better, and the file metrics.jsonl. Imports no torch, as the check uses it."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypedDict, TypeGuard

from gan_cli.base.files import loads, open_to_append, read_text, write_atomically
from gan_cli.base.run_config import Node

METRICS_FILE = "metrics.jsonl"
LARGEST = 1e100  # number in a run's files
NOT_COMPARED = ("seed", "versions")  # keys of a protocol in which comparable scores may differ


@dataclass
class Score:
    """A score with its protocol.

    Attributes:
        name: such as `fid_classifier`.
        value: a finite number.
        better: "lower", "higher", or None where neither is better.
        images: the images that the model had seen.
        checkpoint: file name in the run's checkpoints/, or None for weights that were not saved.
        protocol: all that the value depends on besides the weights.
    """

    name: str
    value: float
    better: str | None
    images: int | None
    checkpoint: str | None
    protocol: dict[str, Any]

    @property
    def protocol_digest(self) -> str:
        return protocol_digest(self.protocol)

    def line(self) -> str:
        """Format a line of metrics.jsonl."""
        about = {"time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "protocol_digest": self.protocol_digest}
        return json.dumps({**asdict(self), **about})


class ScoreLine(TypedDict, total=False):
    """A line of metrics.jsonl, as `Score.line` makes it; keys that `is_score` does not check may be missing."""

    name: str
    value: float
    images: int | None
    checkpoint: str | None
    protocol_digest: str
    better: str | None
    protocol: Mapping[str, Any]
    time: str


def protocol_digest(protocol: Mapping[str, Any]) -> str:
    """Compute a digest of a protocol without `NOT_COMPARED`, 8 hex digits; it is equal for comparable scores."""
    kept = {key: value for key, value in protocol.items() if key not in NOT_COMPARED}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:8]


def append_scores(folder: Path, scores: list[Score]) -> None:
    """Append scores to a run's metrics.jsonl; begin a new line even after one that a killed run left unfinished."""
    file = folder / METRICS_FILE
    text = read_text(file) if file.exists() else ""
    torn = bool(text) and not text.endswith("\n")
    with open_to_append(file) as lines:
        lines.write(("\n" * torn + "".join(score.line() + "\n" for score in scores)).encode())


def read_scores(folder: Path) -> list[ScoreLine]:
    """Read the scores of a run's metrics.jsonl, in order; skip lines that are no score, such as an unfinished one."""
    file = folder / METRICS_FILE
    if not file.exists():
        return []
    scores = []
    for line in read_text(file).splitlines():
        try:
            entry = loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and is_score(entry):
            scores.append(entry)
    return scores


def is_score(entry: Mapping[str, Any]) -> TypeGuard[ScoreLine]:
    """Return whether a line of metrics.jsonl has the keys that its readers need."""
    images, checkpoint = entry.get("images"), entry.get("checkpoint")
    return (
        all(isinstance(entry.get(key), str) for key in ("name", "protocol_digest"))
        and finite(entry.get("value")) is not None
        and "images" in entry
        and (images is None or (isinstance(images, int) and finite(images) is not None))
        and (checkpoint is None or isinstance(checkpoint, str))
    )


def finite(value: Any) -> float | None:
    """Return a number whose square is finite, or None for any other value; a magnitude below 1e-100 becomes 0."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -LARGEST <= value <= LARGEST:
        return None
    return value if abs(value) > 1 / LARGEST else 0


def take_back(folder: Path, images: int) -> None:
    """Remove the scores that training wrote after `images`, where a run goes on from an earlier checkpoint."""
    file = folder / METRICS_FILE
    if not file.exists():
        return
    lines = read_text(file).splitlines()
    kept = [line for line in lines if not _is_later(line, images)]
    if kept != lines:
        write_atomically(file, "".join(line + "\n" for line in kept).encode())


def _is_later(line: str, images: int) -> bool:
    try:
        entry = loads(line)
        return entry.get("checkpoint") is None and entry["images"] > images
    except (ValueError, KeyError, TypeError, AttributeError):  # an unfinished line
        return True


def full_name(score: str, metric: Node, features: Node | None) -> str:
    """Return a score's name with that of its features, unless they are Inception's: `fid_classifier`."""
    requires = metric.get("requires") or {}
    named = features_name(features) if requires.get("features") and not requires.get("only_features") else None
    return score if named in (None, "inception") else f"{score}_{named}"


def features_name(features: Node | None) -> str | None:
    """Return the name of the features in score names; None where there are no features."""
    if not features:
        return None
    return features.get("name") or (features.get("provides") or {}).get("name")


def score_names(metrics: Mapping[str, Node], features: Node | None) -> dict[str, str | None]:
    """List the scores of several metrics: their names, and which end is better.

    Args:
        metrics: the section of each metric, by name; `provides.scores` maps a score to "lower", "higher" or null.
        features: the section of the features, or None.
    """
    return {
        full_name(score, node, features): better
        for node in metrics.values()
        for score, better in node["provides"]["scores"].items()
    }


def is_better(value: float, than: float | None, better: str) -> bool:
    """Return whether a score is better than another; any score is better than None."""
    return than is None or (value < than if better == "lower" else value > than)
