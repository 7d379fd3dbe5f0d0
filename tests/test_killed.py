"""A run that is killed at any instant and goes on ends as one that was not: weights, scores, curves, pictures, record.

The kill is an exception at the n-th call that changes a file of the run, and at each after it: whatever would tidy up
is dead too. A torn kill leaves half of what was being appended.
"""

from __future__ import annotations

import copy
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import QUICK, TINY, compose_checked
from test_resume import same
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.util import tensor_util

from gan_cli import checkpoint
from gan_cli.launch import launch
from gan_cli.scoring import Score

SHORT, LONG = 16, 32
CONFIG = [
    *("model=toy", *TINY["toy"], *QUICK, "metric=[modes]", "trainer.keep_best=modes", "trainer.device=cpu"),
    *("trainer.batch_size=8", "trainer.log_every_images=8", "trainer.keep_checkpoints=1", f"trainer.total_images={SHORT}"),
]
APPENDED = (".jsonl", ".gan_train.0")  # run.log is not of what counts


class Killed(BaseException):
    pass


class Killer:
    """Counts the calls that change a file below a folder, and kills at one of them.

    Making a temporary file counts for nothing: what it leaves is what the call before it left.
    """

    def __init__(self) -> None:
        self.folder: Path | None = None
        self.calls: list[str] = []
        self.at, self.torn = -1, False
        sys.addaudithook(self.hook)  # for good: idle while `folder` is None

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.folder is None or event not in ("open", "os.rename", "os.remove"):
            return
        path = str(arguments[1] if event == "os.rename" else arguments[0])
        append = event == "open" and path.endswith(APPENDED) and bool(arguments[2] & (os.O_WRONLY | os.O_RDWR))
        if not path.startswith(f"{self.folder}/") or (event == "open" and not append):
            return
        self.calls.append(f"{event} {path.removeprefix(f'{self.folder}/')}")
        if 0 <= self.at < len(self.calls):
            if self.torn and append and self.at == len(self.calls) - 1:
                self.tear(path)
            raise Killed(self.calls[-1])

    def tear(self, path: str) -> None:
        folder, self.folder = self.folder, None
        with open(path, "ab") as file:
            file.write(b'{"images": 16, "loss/gen')
        self.folder = folder

    def __call__(self, folder: Path, do: Callable[[], Any], at: int = -1, torn: bool = False) -> list[str]:
        """The calls, up to the kill where there was one."""
        self.folder, self.calls, self.at, self.torn = folder, [], at, torn
        try:
            do()
        except Killed:
            assert len(self.calls) > at >= 0
        finally:
            self.folder = None
        return self.calls


@pytest.fixture(scope="module")
def killer() -> Killer:
    return Killer()


class Judge:
    """Scores that come from the weights, the one that decides ever better: each scoring keeps its checkpoint."""

    def __init__(self, *rest: Any) -> None:
        self.setting = self
        self.device, self.trust = torch.device("cpu"), ()

    def ready(self, gan: Any) -> None:
        pass

    def scores(self, trained: Any) -> list[Score]:
        weights = sum(float(value.detach().double().abs().sum()) for value in trained.generators["generator"].parameters())
        found = {"modes": float(trained.images), "high_quality_share": weights}
        return [Score(name, value, "higher", trained.images, None, {}) for name, value in found.items()]


@pytest.fixture(autouse=True)
def judged(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("gan_cli.train.Evaluator", Judge)
    yield


def config_of(images: int) -> dict[str, Any]:
    config = copy.deepcopy(compose_checked(*CONFIG))
    config["trainer"]["total_images"] = images
    return config


def ending(folder: Path) -> dict[str, Any]:
    """All that a run leaves, but for times and names that hold a time; nothing else may be there."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if "tfevents" in name or name in ("run.log", ".lock") or path.is_dir():
            continue
        found[name] = path.read_bytes()
        if path.suffix == ".pt":
            assert checkpoint.damage(path) is None
            found[name] = checkpoint.read(path)
        elif path.parent.name == "checkpoints":
            found[name] = {key: value for key, value in json.loads(found[name]).items() if key != "digest"}
    record = json.loads(found["run.json"])
    found["run.json"] = {key: value for key, value in record.items() if key not in ("seconds", "started")}
    for name, left_out in (("scalars.jsonl", "images_per_second"), ("metrics.jsonl", "time")):
        lines = [json.loads(line) for line in found[name].decode().splitlines()]
        found[name] = [{key: value for key, value in line.items() if key != left_out} for line in lines]
    read = EventAccumulator(str(folder), size_guidance={"tensors": 0}).Reload()  # as TensorBoard itself reads
    for tag in read.Tags()["tensors"]:
        points = [(event.step, list(tensor_util.make_ndarray(event.tensor_proto).ravel())) for event in read.Tensors(tag)]
        found[tag] = [step for step, _ in points] if tag == "images_per_second" else points
    return found


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Runs that were not killed: a short one, and a copy of it made longer."""
    root = tmp_path_factory.mktemp("ends")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("gan_cli.train.Evaluator", Judge)
        torch.set_num_threads(1)
        launch(config_of(SHORT), root / "short")
        shutil.copytree(root / "short", root / "long")
        launch(config_of(LONG), root / "long")
    return {SHORT: root / "short", LONG: root / "long"}


def begun(images: int, ends: dict[int, Path], run: Path) -> Path:
    """A run's folder as it is before the part that is killed."""
    if images == LONG:
        shutil.copytree(ends[SHORT], run)
    return run


@pytest.mark.parametrize("images", [SHORT, LONG], ids=["first", "longer"])
def test_a_run_killed_at_any_instant_ends_as_one_that_was_not(
    images: int, killer: Killer, ends: dict[int, Path], tmp_path: Path
) -> None:
    """The first checkpoint, and the end; then, of a run made longer, all that replaces what is there."""
    config, expected = config_of(images), ending(ends[images])
    assert expected["run.json"]["status"] == "finished"
    assert [line["images"] for line in expected["metrics.jsonl"]] == [n for n in (16, 16, 32, 32) if n <= images]
    assert {"checkpoints/best.pt", "checkpoints/best.json", f"samples/images-{images:09d}.png"} < set(expected)
    whole = begun(images, ends, tmp_path / "whole")
    calls = killer(whole, lambda: launch(config, whole))
    best = ["os.rename checkpoints/best.json", "os.rename checkpoints/best.pt"]
    assert [call for call in calls if "best" in call] == best + best[:1] * (images == LONG)
    kills = [(at, False) for at in range(len(calls))]
    kills += [(at, True) for at, call in enumerate(calls) if call.startswith("open")]
    for at, torn in kills:
        run = begun(images, ends, tmp_path / f"{at}-{torn}")
        assert len(killer(run, lambda run=run: launch(config, run), at, torn)) > at
        launch(config, run)
        found, where = ending(run), f"killed at {at}, {calls[at]}" + ", torn" * torn
        assert sorted(found) == sorted(expected), where
        for name in expected:
            same(found[name], expected[name], f"{name}, {where}")
