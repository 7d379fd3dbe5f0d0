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
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from gan_cli import checkpoint
from gan_cli.launch import launch
from gan_cli.scoring import Score

SHORT, LONG = 16, 32
CONFIG = [
    *("model=toy", *TINY["toy"], *QUICK, "metric=[modes]", "trainer.keep_best=modes", "trainer.device=cpu"),
    *("trainer.batch_size=8", "trainer.log_every_images=8", "trainer.keep_checkpoints=1", f"trainer.total_images={SHORT}"),
]
APPENDED = (".jsonl", ".log", ".0")


class Killed(BaseException):
    pass


class Killer:
    """Counts the calls that change a file below `folder`, and kills at the one whose number is `at`."""

    def __init__(self) -> None:
        self.folder: Path | None = None
        self.calls: list[str] = []
        self.at, self.torn = -1, False
        sys.addaudithook(self.hook)  # for good: idle while `folder` is None

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.folder is None or event not in ("open", "os.rename", "os.remove"):
            return
        path = str(arguments[0])
        if not path.startswith(f"{self.folder}/") or (event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR)):
            return
        self.calls.append(f"{event} {Path(path).name}")
        if 0 <= self.at < len(self.calls):
            first = self.at == len(self.calls) - 1
            if self.torn and first and event == "open" and path.endswith(APPENDED):
                self.tear(path)
            raise Killed(self.calls[-1])

    def tear(self, path: str) -> None:
        folder, self.folder = self.folder, None
        with open(path, "ab") as file:
            file.write(b'{"images": 16, "loss/gen')
        self.folder = folder

    def __call__(self, folder: Path, at: int, torn: bool, do: Callable[[], Any]) -> bool:
        """Whether it came to the kill."""
        self.folder, self.calls, self.at, self.torn = folder, [], at, torn
        try:
            do()
        except Killed:
            return True
        finally:
            self.folder = None
        return False


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
    record = json.loads(found["run.json"])
    found["run.json"] = {key: value for key, value in record.items() if key not in ("seconds", "started")}
    for name, left_out in (("scalars.jsonl", "images_per_second"), ("metrics.jsonl", "time")):
        lines = [json.loads(line) for line in found[name].decode().splitlines()]
        found[name] = [{key: value for key, value in line.items() if key != left_out} for line in lines]
    read = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0, "tensors": 0}).Reload()
    tags = read.Tags()
    found["points"] = {
        tag: [(event.step, event.value if tag != "images_per_second" else 0) for event in read.Scalars(tag)]
        for tag in sorted(tags["scalars"])
    }
    found["pictures"] = {
        tag: [(event.step, event.encoded_image_string) for event in read.Images(tag)] for tag in sorted(tags["images"])
    }
    found["texts"] = {tag: [event.step for event in read.Tensors(tag)] for tag in sorted(tags["tensors"])}
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


@pytest.mark.parametrize("torn", [False, True], ids=["clean", "torn"])
@pytest.mark.parametrize("images", [SHORT, LONG], ids=["first", "longer"])
def test_a_run_killed_at_any_instant_ends_as_one_that_was_not(
    images: int, torn: bool, killer: Killer, ends: dict[int, Path], tmp_path: Path
) -> None:
    """The first checkpoint, its end; then, of a run made longer, all that replaces what is there."""
    config, expected, killed = config_of(images), ending(ends[images]), []
    assert expected["run.json"]["status"] == "finished"
    assert [line["images"] for line in expected["metrics.jsonl"]] == [n for n in (16, 16, 32, 32) if n <= images]
    assert {"checkpoints/best.pt", "checkpoints/best.json", f"samples/images-{images:09d}.png"} < set(expected)
    for at in range(500):
        run = tmp_path / str(at)
        if images == LONG:
            shutil.copytree(ends[SHORT], run)
        if not killer(run, at, torn, lambda run=run: launch(config, run)):
            break
        killed.append(killer.calls[-1])
        launch(config, run)
        found = ending(run)
        assert sorted(found) == sorted(expected), killed[-1]
        for name in expected:
            assert found[name] == expected[name], f"{name}, killed at {at}, {killed[-1]}"
        shutil.rmtree(run)
    assert len(killed) > 40
    assert {"os.rename best.pt", "os.rename best.json"} or killed
