"""What a stranger's run folder can't do: write, delete or run anything outside itself, hang, or eat the machine."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from conftest import QUICK, TINY, compose_checked, compose_plain, game_of
from PIL import Image

from gan_cli.base import checkpoint, machine
from gan_cli.base.claims import ClaimError, claims_of
from gan_cli.base.console import Console
from gan_cli.base.errors import PictureError, RunError, UserError
from gan_cli.base.files import loads, open_regular, read_json, write_json
from gan_cli.base.printable import printable
from gan_cli.base.run_config import RunConfig
from gan_cli.base.run_folder import check_entries, locked
from gan_cli.base.scoring import append_scores, read_scores
from gan_cli.base.stored import check_config
from gan_cli.check.check import check
from gan_cli.cli.resume import resume
from gan_cli.cli.typed import read
from gan_cli.data import picture as pictures
from gan_cli.data.folder import scan
from gan_cli.data.images import Decoder
from gan_cli.game.build import instantiate
from gan_cli.media.image import write_png
from gan_cli.report.listing import Listing
from gan_cli.report.parameters import typed_keys
from gan_cli.report.runs import read_run, runs_below
from gan_cli.report.text import comma_separated
from gan_cli.run.launch import launch
from gan_cli.use.fitting import fitting_game
from gan_cli.use.load import load_trained


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a few images, with everything that a run's folder has."""
    run = tmp_path_factory.mktemp("runs") / "run"
    config = compose_checked("model=toy", *TINY["toy"], *QUICK, "trainer.total_images=16", "trainer.device=cpu")
    launch(config, run)
    (run / ".hydra").mkdir()
    (run / ".hydra" / "config.yaml").write_text(json.dumps(config))
    return run


@pytest.fixture
def run(whole_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole_run, tmp_path / "run"))


def saved(run: Path, content: Any) -> Path:
    """Another content of a run's checkpoint, with a side file that vouches for it."""
    (path,) = checkpoint.listed(run)
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return vouched(path, buffer.getvalue())


def vouched(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    side = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps({**side, "digest": hashlib.sha256(data).hexdigest()}))
    return path


def content_of(run: Path) -> dict[str, Any]:
    return torch.load(checkpoint.listed(run)[0], weights_only=True)  # type: ignore[no-any-return]


# ---- nothing outside is written or deleted ----

ENTRIES = [
    *("run.json", "config.json", "run.log", "metrics.jsonl", "scalars.jsonl", ".lock"),
    *("checkpoints", "samples", ".hydra", "checkpoints/images-000000016.pt", "samples/more.png"),
]


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_link_within_a_run_is_refused_before_anything_is_written(entry: str, run: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    if (run / entry).is_dir():
        shutil.move(run / entry, outside)
    else:
        (run / entry).unlink(missing_ok=True)
        outside.write_text("mine")
    (run / entry).symlink_to(outside)
    before = {path: path.read_bytes() for path in [outside, *outside.rglob("*")] if path.is_file()}
    for use in (
        lambda: resume(run, read(["trainer.total_images=32"])),
        lambda: launch(json.loads(json.dumps(content_config())), run),
        lambda: load_trained(run),
        lambda: checkpoint.best_of(run),
    ):
        with pytest.raises(UserError, match=f"{Path(entry).name}' is a link, and a run's folder has"):
            use()
    shown = read_run(run, "run")
    assert (shown.status, len(shown.problems)) == ("unreadable", 1)
    assert {path: path.read_bytes() for path in [outside, *outside.rglob("*")] if path.is_file()} == before


def content_config() -> dict[str, Any]:
    return compose_plain("model=toy", *TINY["toy"], *QUICK, "trainer.total_images=32", "trainer.device=cpu")


def test_the_folder_itself_may_be_a_link(run: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(run)
    assert load_trained(tmp_path / "link").images == 16


def test_a_link_is_not_written_through_even_where_nothing_has_looked(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    for name in ("run.log", "metrics.jsonl", ".lock"):
        (tmp_path / name).symlink_to(tmp_path / "mine")
    with pytest.raises(UserError, match=r"run\.log' is a link"):
        Console(tmp_path / "run.log")("text")
    with pytest.raises(UserError, match=r"metrics\.jsonl' is a link"):
        append_scores(tmp_path, [])
    with pytest.raises(UserError, match=r"is a link"), locked(tmp_path, "the folder"):
        pass
    assert (tmp_path / "mine").read_text() == "mine"


def test_pictures_are_not_written_through_a_temporary_name_that_can_be_known(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "images-000000016.png.tmp").symlink_to(tmp_path / "mine")
    write_png(torch.zeros(3, 4, 4, dtype=torch.uint8), tmp_path / "images-000000016.png")
    assert (tmp_path / "mine").read_text() == "mine"
    with Image.open(tmp_path / "images-000000016.png") as written:
        assert written.size == (4, 4)


def test_exports_and_walks_are_not_written_through_a_name_that_can_be_known(tmp_path: Path) -> None:
    from gan_cli.use.results import Frames

    (tmp_path / "mine").write_text("mine")
    (tmp_path / "walk.tmp.gif").symlink_to(tmp_path / "mine")
    frames = [torch.zeros(3, 8, 8, dtype=torch.uint8), torch.full((3, 8, 8), 255, dtype=torch.uint8)]
    Frames(frames, 30).write(tmp_path / "walk.gif")
    with Image.open(tmp_path / "walk.gif") as walk:
        assert walk.n_frames == 2  # type: ignore[attr-defined]
    assert (tmp_path / "mine").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "walk.gif", "walk.tmp.gif"]


# ---- nothing is run ----


def git(folder: Path, *words: str) -> None:
    name = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", *name, *words], cwd=folder, check=True, capture_output=True)


def test_git_is_asked_about_the_code_and_never_about_a_run_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    git(run, "init")
    (run / "a").write_text("a")
    git(run, "add", "a")
    git(run, "commit", "-m", "a")
    hook = tmp_path / "hook"
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/executed\n")
    hook.chmod(0o755)
    git(run, "config", "core.fsmonitor", str(hook))
    monkeypatch.chdir(run)
    code = tmp_path / "site-packages" / "gan_cli"
    code.mkdir(parents=True)
    assert machine.git_commit(code) is None, "code that is installed is no checkout, whatever lies around it"
    monkeypatch.setenv("GIT_DIR", str(run / ".git"))
    machine.git_commit()
    assert not (tmp_path / "executed").exists()
    inside = run / "gan_cli"
    inside.mkdir()
    monkeypatch.delenv("GIT_DIR")
    commit = machine.git_commit(inside)
    assert commit is not None
    assert len(commit) == 40, "a clean checkout of the code"
    assert not (tmp_path / "executed").exists(), "nor is its monitor run"


# ---- nothing hangs ----


@pytest.mark.parametrize(
    "entry", [*ENTRIES[:6], "checkpoints/images-000000016.json", "checkpoints/images-000000016.pt"]
)
def test_a_pipe_within_a_run_is_refused_at_once(entry: str, run: Path) -> None:
    (run / entry).unlink(missing_ok=True)
    os.mkfifo(run / entry)
    begun = time.monotonic()
    for use in (lambda: load_trained(run), lambda: resume(run, read([])), lambda: check_entries(run)):
        with pytest.raises(UserError, match=f"{Path(entry).name}' is a pipe, and a run's folder has a regular file"):
            use()
    assert read_run(run, "run").status == "unreadable"
    assert time.monotonic() - begun < 5


def test_what_is_typed_must_be_a_regular_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "zero.json").symlink_to("/dev/zero")
    (tmp_path / "large.json").write_text("")
    os.truncate(tmp_path / "large.json", 2**40)
    with pytest.raises(UserError, match=r"is a pipe and can't be read"):
        read_json(tmp_path / "pipe.json")
    with pytest.raises(UserError, match=r"is a device and can't be read"):
        read_json(tmp_path / "zero.json")
    with pytest.raises(UserError, match=r"has 1,099,511,627,776 bytes"):
        read_json(tmp_path / "large.json")
    with pytest.raises(UserError, match=r"is a folder and can't be read"):
        open_regular(tmp_path)


def test_a_pipe_or_a_device_is_no_picture(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to("/dev/zero")
    begun = time.monotonic()
    with pytest.raises(UserError, match=r"a\.png' is a pipe and no picture; 2 of"):
        scan(tmp_path)
    assert time.monotonic() - begun < 5


def test_a_link_to_the_whole_disk_is_not_walked(tmp_path: Path, whole_run: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "a").mkdir()
    shutil.copytree(whole_run, tmp_path / "disk" / "a" / "deep")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "everything").symlink_to(tmp_path / "disk")
    (tmp_path / "runs" / "one").symlink_to(whole_run)
    found, _ = runs_below(tmp_path / "runs")
    assert [run.name for run in found] == ["one"]


def test_json_that_is_nested_too_deep_is_none(tmp_path: Path) -> None:
    for depth in (100, 100_000):
        with pytest.raises(ValueError, match="too deep"):
            loads("[" * depth + "]" * depth)
        (tmp_path / "a.json").write_text('{"a":' * depth + "1" + "}" * depth)
        assert read_json(tmp_path / "a.json") is None


def test_yaml_that_repeats_itself_is_not_read(tmp_path: Path) -> None:
    (tmp_path / ".hydra").mkdir()
    laughs = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
    (tmp_path / ".hydra" / "overrides.yaml").write_text(laughs)
    assert typed_keys(tmp_path) == set()


# ---- nothing eats the machine ----


def test_deflated_records_are_refused_unread(run: Path) -> None:
    (path,) = checkpoint.listed(run)
    out = io.BytesIO()
    with zipfile.ZipFile(path) as whole, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for entry in whole.infolist():
            packed.writestr(entry.filename, whole.read(entry))
    vouched(path, out.getvalue())
    with pytest.raises(RunError, match="its records are compressed, which torch never does"):
        load_trained(run)


def laughs() -> list[Any]:
    made: list[Any] = ["ha"]
    for _ in range(40):
        made = [made, made]
    return made


def in_itself() -> list[Any]:
    made: list[Any] = []
    made.append(made)
    return made


def deep() -> list[Any]:
    made: list[Any] = []
    for _ in range(90):
        made = [made]
    return made


@pytest.mark.parametrize(
    ("notes", "wrong"),
    [
        (laughs(), "repeats parts of itself too often"),
        (in_itself(), "in one another, or in themselves"),
        (deep(), "in one another, or in themselves"),
        (["x" * 100_000] * 100_000, "repeats parts of itself too often"),
        (torch.zeros(1).expand(10**6, 10**6), "a tensor is larger than what is stored of it"),
        ([torch.zeros(1000).view(1, 1000)] * 100, "its tensors are larger than what is stored of them"),
        (bytearray(3), "other objects than tensors and plain values"),
        (torch.eye(3).to_sparse(), "other objects than tensors and plain values"),
        (torch.float32, "other objects than tensors and plain values"),
    ],
    ids=["laughs", "itself", "deep", "text", "stride 0", "views", "bytearray", "sparse", "dtype"],
)
def test_a_checkpoint_that_claims_more_than_it_has_is_refused(notes: Any, wrong: str) -> None:
    out = io.BytesIO()
    views = [tensor.view(1000) for tensor in notes] if isinstance(notes, list) and torch.is_tensor(notes[0]) else notes
    torch.save({"format": 1, "notes": views}, out)
    begun = time.monotonic()
    with pytest.raises(ClaimError, match=wrong):
        claims_of(out)
    assert time.monotonic() - begun < 10


def test_a_storage_that_is_shorter_than_it_says_is_refused() -> None:
    out = io.BytesIO()
    torch.save({"a": torch.zeros(7)}, out)
    longer = io.BytesIO()
    with zipfile.ZipFile(out) as whole, zipfile.ZipFile(longer, "w") as changed:
        for entry in whole.infolist():
            data = whole.read(entry)
            changed.writestr(entry.filename, data[:8] if entry.filename.endswith("data/0") else data)
    with pytest.raises(ClaimError, match="a tensor's values are not as long as it says"):
        claims_of(longer)


def test_what_torch_writes_of_tensors_and_plain_values_is_claimed() -> None:
    out, shared = io.BytesIO(), torch.zeros(4, 6)
    kinds = [torch.ones(2, dtype=kind) for kind in (torch.bool, torch.int64, torch.bfloat16, torch.complex64)]
    torch.save(
        {"a": shared, "b": shared[:, ::2], "c": [1, -1.5, None, True, ("x", 2**70)], "d": torch.tensor(3.0), "k": kinds}
        | {"m": torch.nn.Linear(2, 3).state_dict(), "l": torch.zeros(1, 2, 3, 4).to(memory_format=torch.channels_last)},
        out,
    )
    found = claims_of(out)
    assert (found["a"].shape, found["b"].shape, found["d"].shape) == ((4, 6), (4, 3), ())
    assert found["c"] == [1, -1.5, None, True, ("x", 2**70)]
    assert [claim.bytes for claim in found["k"]] == [1, 8, 2, 8]
    assert {name: claim.shape for name, claim in found["m"].items()} == {"weight": (3, 2), "bias": (3,)}


SIZES: list[tuple[str, Any, str]] = [
    ("model.generator.width", 10**6, "model.generator.width is 1000000, and 65,536 is the most"),
    ("model.generator.width", 60_000, "builds networks that are larger than what the file holds"),
    ("model.generator.width", 9, "does not hold the networks that its config builds"),
    ("dataset.resolution", 10**6, "dataset.resolution is 1000000, and a whole number from 1 to 8192 belongs there"),
]


@pytest.mark.parametrize(("key", "value", "wrong"), SIZES)
def test_sizes_are_held_against_the_file_before_anything_is_made(key: str, value: int, wrong: str, run: Path) -> None:
    content = content_of(run)
    part = content["config"]
    for name in key.split(".")[:-1]:
        part = part[name]
    part[key.rpartition(".")[2]] = value
    saved(run, content)
    begun = time.monotonic()
    with pytest.raises((UserError, RunError), match=wrong):
        load_trained(run)
    assert time.monotonic() - begun < 5


def test_a_count_of_layers_is_held_against_the_file_too() -> None:
    config = RunConfig.of(compose_plain("model=r3gan", "dataset=digits", *TINY["r3gan"]))
    weights = game_of(config.plain).state_dict()
    assert fitting_game(config.game, weights, (), "x").state_dict().keys() == weights.keys()
    config.game.model["generator"]["blocks"] = 60_000
    begun = time.monotonic()
    with pytest.raises(RunError, match="the config in x builds networks that are larger than what the file holds"):
        fitting_game(config.game, weights, (), "x")
    assert time.monotonic() - begun < 30


def test_a_picture_of_too_many_pixels_is_named(tmp_path: Path) -> None:
    side = 1 + int(pictures.LARGEST**0.5)
    Image.new("1", (side, side)).save(tmp_path / "large.png")
    with pytest.raises(
        UserError, match=rf"large\.png' is too large \({side}x{side}, {side**2:,} pixels\): .* 67,108,864 .* smaller"
    ):
        scan(tmp_path)
    with pytest.raises(PictureError, match=r"large\.png' is too large .* make it smaller"):
        Decoder(64, 3)(tmp_path / "large.png")


def test_so_many_pixels_are_decoded_at_a_time_and_no_more(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    room = pictures.Room(100)
    monkeypatch.setattr(pictures, "ROOM", room)
    for number in range(12):
        Image.fromarray(numpy.zeros((6, 6), dtype=numpy.uint8)).save(tmp_path / f"{number}.png")
    least = [room.free]

    def decode(file: Path) -> None:
        with pictures.opened(file) as image:
            least.append(room.free)
            time.sleep(0.01)
            image.load()

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(decode, sorted(tmp_path.iterdir())))
    assert min(least) == 100 - 2 * 36, "two pictures of 36 pixels go into 100, a third does not"
    assert room.free == 100
    with room.taken(10**9):
        assert room.free == 0, "one that is larger than the room has it for itself"


# ---- classes stand where their kind belongs ----

PLACES: list[tuple[str, str, str]] = [
    (
        "model.latent",
        "gan_cli.data.sets.MNIST",
        "model.latent is a distribution of latents, a class of gan_cli.parts",
    ),
    ("model.generator", "gan_cli.data.sets.CelebA", "model.generator is a network"),
    ("model", "torch.nn.Linear", "model is a game"),
    ("dataset.provides.medium", "gan_cli.data.sets.MNIST", "dataset.provides.medium is a medium"),
    ("loss", "gan_cli.metrics.features.Inception", "loss is an adversarial loss"),
    ("optimizer", "torch.nn.Linear", "optimizer is an optimizer"),
    ("augment", "gan_cli.data.sets.MNIST", "augment is an augmentation"),
    ("dataset.provides.notes", "torch.nn.Linear", "dataset.provides.notes has .* and no class belongs there"),
]


def placed(config: dict[str, Any], place: str, target: str) -> dict[str, Any]:
    part = config
    for name in place.split(".")[:-1]:
        part = part[name]
    part[place.rpartition(".")[2]] = {"_target_": target, "root": "somewhere", "download": True}
    return config


@pytest.mark.parametrize(("place", "target", "wrong"), PLACES)
def test_the_check_knows_what_may_stand_where(place: str, target: str, wrong: str) -> None:
    with pytest.raises(UserError, match=wrong):
        check(placed(compose_plain("model=gan", "dataset=digits"), place, target))


@pytest.mark.parametrize(("place", "target", "wrong"), PLACES[:4])
def test_a_checkpoint_can_not_have_a_data_set_made(
    place: str, target: str, wrong: str, run: Path, tmp_path: Path
) -> None:
    content = content_of(run)
    placed(content["config"], place, target)
    saved(run, content)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match=wrong):
        load_trained(run)
    assert sorted(tmp_path.rglob("*")) == before


def test_every_class_of_our_own_stands_where_it_may() -> None:
    for name, overrides in TINY.items():
        own = [] if any(o.startswith("dataset=") for o in overrides) else ["dataset=digits"]
        config = compose_plain(f"model={name}", *own, *overrides)
        check_config(config, "it")
        check(config)


def test_a_trusted_class_stands_anywhere() -> None:
    node = {"_target_": "torch.nn.Linear", "in_features": 1, "out_features": 1}
    with pytest.raises(UserError, match=r"loss is an adversarial loss, a class of gan_cli.losses, and torch.nn.Linear"):
        instantiate(node, [], "loss")
    assert isinstance(instantiate(node, ["torch.nn"], "loss"), torch.nn.Linear)
    assert isinstance(instantiate(node), torch.nn.Linear), "by hand, of any kind"


# ---- foreign text is shown, never obeyed ----


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("größer 日本語 🙂", "größer 日本語 🙂"),
        ("\x1b[2J\x9b31m\x07", "\\x1b[2J\\x9b31m\\x07"),
        ("a\nb\r", "a\\nb\\r"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\ud800\u2028", "\\ud800\\u2028"),
    ],
)
def test_text_is_made_fit_to_be_shown(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable("a\n\tb", lines=True) == "a\n\tb"


def test_a_report_shows_escapes_and_formulas_as_text(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = json.loads((run / "run.json").read_text())
    record |= {"notes": "=HYPERLINK(1)", "parts": {"model": "\x1b[31m|<b>", "loss": "@SUM(1)", "dataset": "-1"}}
    write_json(run / "run.json", record)
    listing = Listing(run.parent)
    assert "\\x1b[31m\\|&lt;b&gt;" in listing.as_markdown()
    assert "\x1b" not in listing.as_markdown()
    line = listing.as_csv().splitlines()[1]
    assert "'=HYPERLINK(1)" in line
    assert ",'@SUM(1),-1," in line, "a number stays one"


@pytest.mark.parametrize("text", ["=1+1", "+1+1", "-1+1", "@a", "\tx", "\rx"])
def test_a_cell_of_a_csv_is_no_formula(text: str) -> None:
    found = comma_separated([{text: text, "n": -1.5}])
    header, row = found.replace('"', "").split("\n", 1) if "\r" not in text else (f"'{text}", f"'{text},-1.5")
    assert header.startswith(f"'{text}")
    assert row.startswith(f"'{text},-1.5")


def test_scores_that_are_none_are_passed_over(tmp_path: Path) -> None:
    good = {"name": "fid", "value": 1.0, "images": 5, "checkpoint": None, "protocol_digest": "ab", "protocol": {}}
    bad: list[dict[str, Any]] = [
        {"name": 7},
        {"value": "1"},
        {"value": float("nan")},
        {"images": "5"},
        {"images": 10**400},
    ]
    bad += [{"checkpoint": []}, {"protocol_digest": None}]
    lines = [json.dumps(good), *(json.dumps({**good, **one}) for one in bad), "[1]", "\x00", "[" * 10_000]
    (tmp_path / "metrics.jsonl").write_bytes("\n".join(lines).encode() + b"\n\xff\xfe")
    assert read_scores(tmp_path) == [good]


USES: list[Callable[[Path], Any]] = [load_trained, lambda run: resume(run, read(["trainer.total_images=32"]))]


@pytest.mark.parametrize("use", USES, ids=["sample", "resume"])
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("progress.images", -5),
        ("progress.images", "many"),
        ("progress", None),
        ("data.class_names", [1, 2]),
        ("ema.generator", {}),
        ("game", {}),
        ("config", [1]),
        ("config.trainer", 5),
        ("config.dataset.provides", None),
    ],
)
def test_a_checkpoint_of_another_structure_gets_a_sentence(
    key: str, value: Any, use: Callable[[Path], Any], run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = content_of(run)
    part = content
    for name in key.split(".")[:-1]:
        part = part[name]
    part[key.rpartition(".")[2]] = value
    saved(run, content)
    with pytest.raises((UserError, RunError)) as caught:
        use(run)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("broken", ["shape", "group", "step"])
def test_an_optimizer_of_another_kind_is_refused_before_a_step(broken: str, run: Path) -> None:
    content = content_of(run)
    state = content["optimizers"]["generator"]
    if broken == "shape":
        state["state"][0]["exp_avg"] = torch.zeros(())
    elif broken == "group":
        state["param_groups"][0]["eps"] = "small"
    else:
        state["state"][0]["step"] = torch.tensor(-4.0)
    saved(run, content)
    with pytest.raises(RunError, match=r"the checkpoint does not hold what belongs there .*the optimizer's"):
        resume(run, read(["trainer.total_images=32"]))
