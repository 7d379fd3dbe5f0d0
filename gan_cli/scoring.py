"""Names of scores, their better ends, and the file they are kept in. Imports no torch: the check and reports use it."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gan_cli.run_folder import write_atomically

METRICS_FILE = "metrics.jsonl"
NOT_COMPARED = ("seed", "versions")  # parts of a protocol in which two comparable scores may differ


@dataclass
class Score:
    """A number with all that it depends on.

    Attributes:
        name: as `fid_classifier`.
        value: finite.
        better: "lower", "higher", or None where neither end is.
        images: what the model had seen.
        checkpoint: file name in the run's checkpoints/, or None for weights that were not saved.
        protocol: what the number depends on besides the weights.
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
        about = {"time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "protocol_digest": self.protocol_digest}
        return json.dumps({**asdict(self), **about})


def protocol_digest(protocol: dict[str, Any]) -> str:
    """Equal for scores that may be compared: of all but `NOT_COMPARED`; 8 hex digits."""
    kept = {key: value for key, value in protocol.items() if key not in NOT_COMPARED}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:8]


def append_scores(folder: Path, scores: list[Score]) -> None:
    """Add to a run's metrics.jsonl, on lines of their own even after one that a killed run left open."""
    file = folder / METRICS_FILE
    torn = file.exists() and file.read_bytes()[-1:] not in (b"", b"\n")
    with open(file, "a", encoding="utf-8") as lines:
        lines.write("\n" * torn + "".join(score.line() + "\n" for score in scores))


def read_scores(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's metrics.jsonl, in order; one that was torn by a killed run is passed over."""
    file = folder / METRICS_FILE
    if not file.exists():
        return []
    found = []
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and {"name", "value", "images", "protocol_digest"} <= set(entry):
            found.append(entry)
    return found


def take_back(folder: Path, images: int) -> None:
    """Forget what training scored beyond `images`: the run crashed after its last checkpoint and goes on from it."""
    file = folder / METRICS_FILE
    if not file.exists():
        return
    lines = file.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if not _later(line, images)]
    if kept != lines:
        write_atomically(file, "".join(line + "\n" for line in kept).encode())


def _later(line: str, images: int) -> bool:
    try:
        entry = json.loads(line)
        return entry.get("checkpoint") is None and entry["images"] > images
    except (ValueError, KeyError, TypeError, AttributeError):  # torn
        return True


def full_name(score: str, metric: dict[str, Any], features: dict[str, Any] | None) -> str:
    """`fid` in the features of a classifier is `fid_classifier`; only Inception's go without a name."""
    requires = metric.get("requires") or {}
    named = features_name(features) if requires.get("features") and not requires.get("only_features") else None
    return score if named in (None, "inception") else f"{score}_{named}"


def features_name(features: dict[str, Any] | None) -> str | None:
    if not features:
        return None
    return features.get("name") or (features.get("provides") or {}).get("name")


def score_names(metrics: dict[str, dict[str, Any]], features: dict[str, Any] | None) -> dict[str, str | None]:
    """Every score that some metrics write, and its better end.

    Args:
        metrics: the YAML of each, by name; `provides.scores` maps a score to "lower", "higher" or null.
        features: the YAML of the features, or None.
    """
    return {
        full_name(score, node, features): better
        for node in metrics.values()
        for score, better in node["provides"]["scores"].items()
    }


def is_better(value: float, than: float | None, better: str) -> bool:
    return than is None or (value < than if better == "lower" else value > than)
