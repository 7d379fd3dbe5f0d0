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
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from conftest import QUICK, TINY, compose_checked
from tensorboard.backend.event_processing import event_accumulator, plugin_event_accumulator
from tensorboard.util import tensor_util
from test_resume import same

from gan_cli.base import checkpoint
from gan_cli.base.errors import UserError
from gan_cli.base.leftovers import clear_cache, clear_run
from gan_cli.base.scoring import Score
from gan_cli.cli.resume import resume
from gan_cli.cli.train import cell
from gan_cli.cli.typed import read
from gan_cli.run.launch import launch
from gan_cli.run.log import Curves
from gan_cli.run.train import train

SHORT, LONG = 16, 32
CONFIG = [
    *("model=toy", *TINY["toy"], *QUICK, "metric=[modes]", "trainer.keep_best=modes", "trainer.device=cpu"),
    *(
        "trainer.batch_size=8",
        "trainer.log_every_images=8",
        "trainer.keep_checkpoints=1",
        f"trainer.total_images={SHORT}",
    ),
]
APPENDED = (".jsonl", ".gan_train.0", ".gan_train.0.last")  # run.log is not of what counts


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
        weights = sum(
            float(value.detach().double().abs().sum()) for value in trained.networks["generator"].parameters()
        )
        found = {"modes": float(trained.images), "high_quality_share": weights}
        return [Score(name, value, "higher", trained.images, None, {}) for name, value in found.items()]


@pytest.fixture(autouse=True)
def _judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gan_cli.run.train.Evaluator", Judge)
    monkeypatch.setattr(
        "gan_cli.base.run_folder.os.fsync", lambda handle: None
    )  # it is for power cuts, and takes its time


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
        lines = [json.loads(line) for line in found.get(name, b"").decode().splitlines()]
        found[name] = [{key: value for key, value in line.items() if key != left_out} for line in lines]
    read = plugin_event_accumulator.EventAccumulator(
        str(folder), size_guidance={"tensors": 0}
    ).Reload()  # as TensorBoard itself reads
    for tag in read.Tags()["tensors"]:
        points = [
            (event.step, list(tensor_util.make_ndarray(event.tensor_proto).ravel())) for event in read.Tensors(tag)
        ]
        found[tag] = [step for step, _ in points] if tag == "images_per_second" else points
    return found


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Runs that were not killed: a short one, and a copy of it made longer."""
    root = tmp_path_factory.mktemp("ends")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("gan_cli.run.train.Evaluator", Judge)
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


@pytest.mark.parametrize(
    "images", [pytest.param(SHORT, id="first"), pytest.param(LONG, id="longer", marks=pytest.mark.slow)]
)
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
    assert {"os.rename checkpoints/best.json", "os.rename checkpoints/best.pt", "open metrics.jsonl"} < set(calls)
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


@pytest.mark.parametrize("images", [SHORT, LONG], ids=["first", "longer"])
def test_the_curves_of_an_interval_that_an_end_cuts_are_there_once_whenever_it_is_killed(
    images: int, killer: Killer, tmp_path: Path
) -> None:
    def config_until(images: int) -> dict[str, Any]:
        config = config_of(images)
        config["trainer"]["log_every_images"], config["metric"] = 24, {}
        return config

    short, whole, config = tmp_path / "short", tmp_path / "whole", config_until(images)
    launch(config_until(SHORT), short)
    launch(config, whole)
    expected = {name: part for name, part in ending(whole).items() if name == "scalars.jsonl" or "loss/" in name}
    assert [line["images"] for line in expected["scalars.jsonl"]] == ([16] if images == SHORT else [24, 32])

    def begin(run: Path) -> Path:
        if images == LONG:
            shutil.copytree(short, run)
        return run

    run = begin(tmp_path / "run")
    calls = killer(run, lambda: launch(config, run))
    assert any(call.startswith("open") and call.endswith(".last") for call in calls)
    assert (images == LONG) == any(call.startswith("os.remove") and call.endswith(".last") for call in calls)
    for at in range(len(calls)):
        run = begin(tmp_path / str(at))
        killer(run, lambda run=run: launch(config, run), at, torn=True)
        launch(config, run)
        found = ending(run)
        same({name: found[name] for name in expected}, expected, f"killed at {at}, {calls[at]}")


def test_a_last_picture_of_held_out_pairs_has_its_scores_once(killer: Killer, tmp_path: Path) -> None:
    """Killed at each call from the last checkpoint on."""
    config = compose_checked("model=pix2pix", *TINY["pix2pix"], *QUICK, "trainer.device=cpu", "trainer.total_images=8")
    whole = tmp_path / "whole"
    calls = killer(whole, lambda: launch(config, whole))
    expected = ending(whole)
    assert [set(line) & {"held_out/psnr"} for line in expected["scalars.jsonl"]] == [{"held_out/psnr"}, set()]
    first = calls.index("os.rename checkpoints/images-000000008.pt") + 1
    assert len(calls) - first > 5
    for at in range(first, len(calls)):
        run = tmp_path / str(at)
        killer(run, lambda run=run: launch(config, run), at)
        launch(config, run)
        found = ending(run)
        for one in (found, expected):  # what goes on at its very end has no speed to tell
            one.pop("images_per_second", None)
        same(found, expected, calls[at])


@pytest.mark.parametrize("harm", ["images-000000016.json", "best.pt", "best.*"])
def test_what_an_earlier_version_left_when_it_was_killed_is_made_good(
    harm: str, ends: dict[int, Path], tmp_path: Path
) -> None:
    """It wrote the checkpoint before its side file, and the scores before the best checkpoint."""
    run = begun(LONG, ends, tmp_path / "run")
    for path in (run / "checkpoints").glob(harm):
        path.unlink()
    launch(config_of(SHORT), run)
    found, expected = ending(run), ending(ends[SHORT])
    same(found, expected)


class Steady(Judge):
    def scores(self, trained: Any) -> list[Score]:
        return [Score("modes", 1.0, "higher", trained.images, None, {})]


def test_a_run_that_patience_ended_and_that_was_killed_then_ends_there_again(
    killer: Killer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gan_cli.run.train.Evaluator", Steady)
    config = config_of(64)
    config["trainer"].update(evaluate_every_images=8, patience_images=8)
    whole, run = tmp_path / "whole", tmp_path / "run"
    calls = killer(whole, lambda: launch(config, whole))
    last = max(at for at, call in enumerate(calls) if call == "os.rename run.json") - 1  # the one that says finished
    killer(run, lambda: launch(config, run), last)
    assert (record_of(run)["status"], record_of(run)["images"]) == ("running", 16)
    launch(config, run)
    found, expected = ending(run), ending(whole)
    same(found, expected)
    assert record_of(run)["images"] == 16


def record_of(run: Path) -> dict[str, Any]:
    return json.loads((run / "run.json").read_text())


def test_a_lost_best_checkpoint_is_said_and_the_best_from_here_on_is_kept(
    ends: dict[int, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begun(LONG, ends, tmp_path / "run")
    line = json.loads((run / "metrics.jsonl").read_text().splitlines()[0])
    (run / "metrics.jsonl").write_text(json.dumps({**line, "images": 8, "value": 99.0}) + "\n")
    (run / "checkpoints" / "best.pt").unlink()
    launch(config_of(LONG), run)
    assert "the best modes so far (99 at 8 images) has no checkpoint: the best from here on is kept" in (
        capsys.readouterr().out
    )
    assert json.loads((run / "checkpoints" / "best.json").read_text())["score"]["value"] == 32


# ---- what is there when a run goes on ----


def states(run: Path) -> dict[str, bytes]:
    return {str(path.relative_to(run)): path.read_bytes() for path in sorted(run.rglob("*")) if path.is_file()}


def test_a_run_whose_checkpoints_are_gone_is_refused_and_stays_as_it_is(
    ends: dict[int, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = begun(LONG, ends, tmp_path / "run")
    for path in (run / "checkpoints").glob("images-*"):
        path.unlink()
    before = states(run)
    with pytest.raises(UserError, match=r"the checkpoints of .* are gone: it has seen 16 images.*init_from=.*best\.pt"):
        launch(config_of(LONG), run)
    with pytest.raises(UserError, match="are gone"):
        train(config_of(LONG), run)
    assert states(run) == before
    (run / "run.json").write_text(json.dumps({**record_of(run), "status": "running"}))
    assert cell(config_of(SHORT), run, 0, ["seed=0"])["status"] == "failed"
    assert "failed: the checkpoints of" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("model", "generator", "width", 4), r"another model: model\.generator\.width is 4 there and 8 here"),
        (("loss", "n_critic", 3), r"another run: loss\.n_critic is 3 there and 1 here"),
        (("dataset", "count", 400), r"\(400 samples then, 500 now; dataset\.count is 400 there and 500 here\)"),
    ],
    ids=["model", "loss", "data"],
)
def test_anothers_checkpoint_is_called_what_it_is_and_the_run_stays_as_it_is(
    change: tuple[Any, ...], words: str, ends: dict[int, Path], tmp_path: Path
) -> None:
    run, other, config = begun(LONG, ends, tmp_path / "run"), tmp_path / "other", config_of(24)
    node = config
    for key in change[:-2]:
        node = node[key]
    node[change[-2]] = change[-1]
    launch(config, other)
    for path in (other / "checkpoints").glob("images-000000024.*"):
        shutil.copy(path, run / "checkpoints")
    before = states(run)
    with pytest.raises(UserError, match=words):
        launch(config_of(LONG), run)
    assert states(run) == before


def test_what_was_half_written_is_cleared_by_its_exact_name_and_nothing_else(tmp_path: Path) -> None:
    old = [
        *(".run.json.a1_b2c3d", ".metrics.jsonl.abcdefgh", ".end-0.json", ".hydra/.config.yaml.abcdefgh"),
        *("checkpoints/.images-000000016.pt.abcdefgh", "checkpoints/.best.json.abcdefgh"),
        "samples/images-000000016.png.tmp",
    ]
    kept = [
        *("run.json", ".run.json.abc", ".run.json.abcdefghi", ".end-0.json.old", "notes/.run.json.abcdefgh"),
        *("checkpoints/images-000000016.pt", "checkpoints/.mine.pt.abcdefgh", "samples/sample-1.png.tmp"),
    ]
    run = tmp_path / "run"
    for name in (*old, *kept):
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text("mine")
    (run / ".config.json.abcdefgh").symlink_to(run / "run.json")
    (run / ".scalars.jsonl.abcdefgh").mkdir()
    clear_run(run)
    assert sorted(states(run)) == sorted([*kept, ".config.json.abcdefgh"])
    assert (run / ".scalars.jsonl.abcdefgh").is_dir()


def test_a_cache_loses_what_was_half_written_a_day_ago(tmp_path: Path) -> None:
    """It has no lock: what is younger another process may be writing."""
    names = ["scan3-0123456789abcdef.77.tmp", ".features-0123abcd.pt.abcdefgh", ".classifier-0123abcd.pt.abcdefgh"]
    others = ["scan3-0123456789abcdef.json", "features-0123abcd.pt", "notes.77.tmp"]
    clear_cache(tmp_path / "nowhere")
    for name in (*names, *others):
        (tmp_path / name).write_text("")
    clear_cache(tmp_path)
    assert sorted(states(tmp_path)) == sorted([*names, *others])
    for name in (*names, *others):
        os.utime(tmp_path / name, (time.time() - 90_000,) * 2)
    clear_cache(tmp_path)
    assert sorted(states(tmp_path)) == sorted(others)


@pytest.mark.parametrize("reader", [plugin_event_accumulator, event_accumulator], ids=["board", "plain"])
def test_a_clock_that_was_set_back_leaves_each_point_once_and_in_order(
    reader: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Event files are read in the order of their names; the first resume's taking back counts too."""
    first = Curves(tmp_path, 0)
    for images in (100, 200, 300):
        first.scalars(images, {"loss": images})
    for now, at in ((1e9, 200), (2e9, 200), (2e9, 400)):  # set back, set forward, the same second
        monkeypatch.setattr("gan_cli.base.events.time", SimpleNamespace(time=lambda now=now: now))
        again = Curves(tmp_path, at)
        again.scalars(at + 100, {"loss": at + 100})
        again.scalars(at + 200, {"loss": at + 200})
    read = reader.EventAccumulator(str(tmp_path)).Reload()
    events = read.Scalars("loss") if reader is event_accumulator else read.Tensors("loss")
    assert [event.step for event in events] == [100, 200, 300, 400, 500, 600]


# ---- a resume as typed ----


@pytest.fixture
def typed(ends: dict[int, Path], tmp_path: Path) -> Path:
    """A finished run as the command leaves it."""
    run = begun(LONG, ends, tmp_path / "run")
    (run / ".hydra").mkdir()
    (run / ".hydra" / "config.yaml").write_text(json.dumps(config_of(SHORT)))
    return run


@pytest.mark.parametrize(
    "more", [["--config-dir", "my_conf"], ["-cd", "my_conf", "model=toy"], ["model=toy", "metric=[modes]", "--run"]]
)
def test_a_resume_takes_the_flags_and_choices_that_the_run_was_started_with(more: list[str], typed: Path) -> None:
    """The stored config is whole: one's own folder of configs is not needed, and typing the same again is no change."""
    assert resume(typed, read([f"resume={typed}", *more, f"trainer.total_images={LONG}"])) == 0
    assert (record_of(typed)["status"], record_of(typed)["images"]) == ("finished", LONG)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--cfg", "all"], "stored in it: leave out --cfg all"),
        (["--config-dir", "my_conf", "model=gan"], "keeps the run's parts: model=gan"),
        (["--config-dir", "my_conf", "model.generator.widht=4"], r"widht is not an option of this run; did you mean"),
    ],
)
def test_a_resume_with_other_flags_and_choices_is_refused_in_a_sentence(
    more: list[str], words: str, typed: Path
) -> None:
    before = states(typed)
    with pytest.raises(UserError, match=words):
        resume(typed, read([f"resume={typed}", *more]))
    assert states(typed) == before
