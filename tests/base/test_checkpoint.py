"""Checkpoints and the run folder: data never code, never half written, and damage found and said."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from gan_cli.base import checkpoint
from gan_cli.base.errors import RunError, UserError
from gan_cli.base.files import read_json, write_atomically, write_json
from gan_cli.base.run_folder import digest_of, flat, locked, model_facts, update_run


def content(images: int) -> dict[str, Any]:
    """What a run would save: nested plain values and tensors of several kinds."""
    generator = torch.Generator().manual_seed(images)
    return {
        "progress": {"seed": 1, "images": images, "step": images // 64, "updates": {"generator": 3}},
        "game": {"weight": torch.randn(3, 2, generator=generator), "count": torch.tensor(images)},
        "half": torch.randn(4, generator=generator).to(torch.bfloat16),
        "names": ["a", "b"],
        "config": {"loss": {"weight": 0.5, "penalty": None, "flag": True}},
    }


def saved(run: Path, *images: int, keep: int = 10) -> list[Path]:
    return [checkpoint.save(run, content(count), {"model": "dcgan"}, keep) for count in images]


def loaded(where: Path) -> tuple[Path, dict[str, Any], list[str]]:
    said: list[str] = []
    path, found = checkpoint.load(where, said.append)
    return path, found, said


def assert_same(found: Any, expected: Any) -> None:
    if isinstance(expected, torch.Tensor):
        assert torch.equal(found, expected)
        assert found.dtype == expected.dtype
    elif isinstance(expected, dict):
        assert set(found) == set(expected)
        for key in expected:
            assert_same(found[key], expected[key])
    else:
        assert found == expected


def test_round_trip(tmp_path: Path) -> None:
    (path,) = saved(tmp_path, 640_000)
    assert path == tmp_path / "checkpoints" / "images-000640000.pt"
    where, found, said = loaded(tmp_path)
    assert where == path
    assert said == []
    assert_same(found, {"format": checkpoint.FORMAT, **content(640_000)})
    assert_same(torch.load(path, weights_only=True), found)  # plain torch reads it, safely


def test_side_file_says_what_it_is(tmp_path: Path) -> None:
    """Readable without torch: the digest of the file, the format, and the summary."""
    (path,) = saved(tmp_path, 64)
    side = json.loads((tmp_path / "checkpoints" / "images-000000064.json").read_text())
    assert side == {
        "format": checkpoint.FORMAT,
        "digest": hashlib.sha256(path.read_bytes()).hexdigest(),
        "model": "dcgan",
    }
    assert checkpoint.summary_of(path) == side
    assert checkpoint.newest_summary(tmp_path) == (path, side)


def test_listing_and_side_files_need_no_torch(tmp_path: Path) -> None:
    saved(tmp_path, 64, 128)
    code = (
        "import sys; from pathlib import Path; from gan_cli.base import checkpoint;"
        "path, side = checkpoint.newest_summary(Path(sys.argv[1])); assert checkpoint.damage(path) is None;"
        "print(path.name, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["images-000000128.pt", "False"], done.stderr


@pytest.mark.parametrize("place", ["run", "checkpoints", "file"])
def test_what_a_user_may_point_at(tmp_path: Path, place: str) -> None:
    """A run's folder or its checkpoints give the newest, a file itself."""
    paths = saved(tmp_path, 64, 128)
    where = {"run": tmp_path, "checkpoints": tmp_path / "checkpoints", "file": paths[0]}[place]
    assert loaded(where)[0] == (paths[0] if place == "file" else paths[1])


def test_newest_first(tmp_path: Path) -> None:
    saved(tmp_path, 1000, 64, 999_999_999, 640_000)
    counts = [int(path.stem.split("-")[1]) for path in checkpoint.listed(tmp_path)]
    assert counts == [999_999_999, 640_000, 1000, 64]


def test_a_billion_images_come_after_a_million(tmp_path: Path) -> None:
    """Names of more digits sort by number, or the oldest would be taken for the newest, and the newest pruned."""
    saved(tmp_path, 999_999_999)
    newest = saved(tmp_path, 1_000_000_000, keep=1)[0]
    assert checkpoint.listed(tmp_path) == [newest]


def test_old_ones_are_removed_with_their_side_files(tmp_path: Path) -> None:
    saved(tmp_path, 64, 128, 192, 256, keep=2)
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == [
        "images-000000192.json",
        "images-000000192.pt",
        "images-000000256.json",
        "images-000000256.pt",
    ]


def test_what_was_just_saved_is_never_removed(tmp_path: Path) -> None:
    """After falling back behind a damaged one, the next save has fewer images than that."""
    old = saved(tmp_path, 640)[0]
    flip_a_byte(old)
    new = saved(tmp_path, 320, keep=1)[0]
    assert new.exists()
    assert loaded(tmp_path)[0] == new


def flip_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x01
    path.write_bytes(data)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def lose_side_file(path: Path) -> None:
    path.with_suffix(".json").unlink()


def tear_side_file(path: Path) -> None:
    side = path.with_suffix(".json")
    side.write_text(side.read_text()[:20])


def age_format(path: Path) -> None:
    side = path.with_suffix(".json")
    write_json(side, {**json.loads(side.read_text()), "format": 1})


def flip_a_weight(path: Path) -> None:
    """In the first tensor: padding between the parts of the file is no content, and only the digest covers it."""
    data = bytearray(path.read_bytes())
    data[data.index(content(128)["game"]["weight"].numpy().tobytes())] ^= 0x01
    path.write_bytes(data)


def flip_without_side_file(path: Path) -> None:
    if "128" in path.name:
        flip_a_weight(path)
    else:
        truncate(path)
    lose_side_file(path)


def truncate_without_side_file(path: Path) -> None:
    truncate(path)
    tear_side_file(path)


HARMS = [
    (flip_a_byte, "is damaged"),
    (truncate, "is damaged"),
    (flip_without_side_file, "has no side file (.json) and is not whole"),
    (truncate_without_side_file, "has no side file (.json) and is not whole"),
    (age_format, "has format 1 and this version reads format 2: use it with the version that wrote it"),
]


@pytest.mark.parametrize(("harm", "what"), HARMS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_bad_checkpoint_is_passed_over_and_named(tmp_path: Path, harm: Any, what: str) -> None:
    good, bad = saved(tmp_path, 64, 128)
    harm(bad)
    path, found, said = loaded(tmp_path)
    assert path == good
    assert found["progress"]["images"] == 64
    assert len(said) == 1
    assert said[0].startswith(f"{bad} {what}")
    assert said[0].endswith(f"using {good} instead")


@pytest.mark.parametrize(("harm", "what"), HARMS, ids=lambda value: getattr(value, "__name__", ""))
def test_when_all_are_bad_each_is_named(tmp_path: Path, harm: Any, what: str) -> None:
    paths = saved(tmp_path, 64, 128)
    for path in paths:
        harm(path)
    with pytest.raises(UserError) as caught:
        loaded(tmp_path)
    for path in paths:
        assert f"{path} {what}" in str(caught.value)
    assert "no valid checkpoint is left" in str(caught.value)
    with pytest.raises(UserError, match="images-000000064"):
        loaded(paths[0])  # one that was named by hand has nothing to fall back on


def test_what_is_asked_without_torch_passes_over_those_of_another_version_too(tmp_path: Path) -> None:
    good, bad = saved(tmp_path, 64, 128)
    age_format(bad)
    assert checkpoint.of_this_version(tmp_path) == [good]
    assert checkpoint.newest_summary(tmp_path)[0] == good
    age_format(good)
    for ask in (checkpoint.newest_summary, checkpoint.config_of, checkpoint.claimed):
        with pytest.raises(
            UserError, match=r"images-000000128.pt has format 1 and this version reads format 2: use it"
        ):
            ask(tmp_path)


@pytest.mark.parametrize("name", ["", "nowhere", "notes.txt"])
def test_no_checkpoint_at_all(tmp_path: Path, name: str) -> None:
    (tmp_path / "notes.txt").write_text("")
    for ask in (lambda where: loaded(where), checkpoint.newest_summary):
        with pytest.raises(UserError, match=r"there is no checkpoint in .*give a run's folder"):
            ask(tmp_path / name)


class Trap:
    """Unpickled, it would leave a file behind."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


def test_a_checkpoint_with_code_in_it_is_refused_and_not_run(tmp_path: Path) -> None:
    """Even with a side file whose digest fits."""
    path, marker = tmp_path / "checkpoints" / "images-000000064.pt", tmp_path / "marker"
    path.parent.mkdir()
    torch.save({"format": checkpoint.FORMAT, "progress": {"images": 64}, "game": Trap(marker)}, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    write_json(path.with_suffix(".json"), {"format": checkpoint.FORMAT, "digest": digest})
    with pytest.raises(RunError, match=r"images-000000064\.pt is not a checkpoint that holds only tensors and plain"):
        loaded(tmp_path)
    assert not marker.exists()
    torch.load(path, weights_only=False)  # the trap works: this is what was refused
    assert marker.exists()


@pytest.mark.parametrize(
    "data", [b"", b"no zip", b"PK\x03\x04 torn", b"\x80\x02}q\x00."], ids=["empty", "text", "zip", "pickle"]
)
def test_what_is_no_checkpoint_gets_a_sentence(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "file.pt"
    path.write_bytes(data)
    with pytest.raises(RunError, match=r"file\.pt is not a checkpoint"):
        checkpoint.read(path)


@pytest.mark.parametrize("other", [{"format": 99}, {"weight": torch.zeros(2)}, [1, 2]])
def test_another_programs_file_is_refused(tmp_path: Path, other: Any) -> None:
    torch.save(other, tmp_path / "file.pt")
    with pytest.raises(RunError, match="is not a checkpoint of this program"):
        checkpoint.read(tmp_path / "file.pt")


def test_facts_of_a_model_leave_out_what_is_for_the_check() -> None:
    config = {
        "model": {
            "_target_": "x.GAN",
            "generator": {"_target_": "x.MLP", "width": 8, "norm": None},
            "l1": {"weight": 100},
            "requires": {"fields": ["image"]},
            "provides": {"a": 1},
            "brings": {"b": 2},
        },
        "loss": {"n_critic": 5},
    }
    assert model_facts(config) == {
        "model._target_": "x.GAN",
        "model.generator._target_": "x.MLP",
        "model.generator.width": 8,
        "model.generator.norm": None,
    }


# ---- the run folder ----


def test_writing_replaces_whole_files(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.bin"
    write_atomically(path, b"one")
    write_atomically(path, b"three")
    assert path.read_bytes() == b"three"
    assert [p.name for p in path.parent.iterdir()] == ["file.bin"]
    assert path.stat().st_mode & 0o777 == 0o644  # others may read it, unlike a temporary file


@pytest.mark.parametrize("broken", ["os.fsync", "os.replace", "os.fdopen"])
def test_the_old_file_stays_when_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    """A full disk, whenever it shows: the old content, and no temporary file left over."""
    path = tmp_path / "file.bin"
    write_atomically(path, b"old")

    def fail(*arguments: Any) -> None:
        if broken == "os.fdopen":
            os.close(arguments[0])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(f"gan_cli.base.files.{broken}", fail)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"new and longer")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith((".", "file"))] == ["file.bin"]


def fail_at(number: int, patched: pytest.MonkeyPatch) -> None:
    """Let the `number`-th renaming of a written file, and all after it, fail."""
    replace, calls = os.replace, []

    def renamed(*arguments: Any) -> None:
        calls.append(arguments)
        if len(calls) > number:
            raise OSError(28, "No space left on device")
        replace(*arguments)

    patched.setattr("gan_cli.base.files.os.replace", renamed)


@pytest.mark.parametrize("number", [0, 1])
def test_a_save_that_is_cut_leaves_no_checkpoint_of_it(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first of a run too; the side file, which is written first, counts for nothing alone and is removed later."""
    with monkeypatch.context() as patched:
        fail_at(number, patched)
        with pytest.raises(OSError, match="No space left"):
            saved(tmp_path, 64)
    assert checkpoint.listed(tmp_path) == []
    with pytest.raises(UserError, match="there is no checkpoint in"):
        loaded(tmp_path)
    saved(tmp_path, 128)
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == [
        "images-000000128.json",
        "images-000000128.pt",
    ]


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("left", ["one", "none", "both"])
def test_a_checkpoint_that_is_replaced_is_whole_at_every_instant(
    left: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`best.pt` keeps its name: the old one or the new one, and the words that fit it. Cut twice in a row, too."""
    path = checkpoint.save_best(tmp_path, content(64), scored(64))
    if left == "none":
        lose_side_file(path)
    if left == "both":
        with monkeypatch.context() as patched:
            fail_at(1, patched)
            with pytest.raises(OSError, match="No space left"):
                checkpoint.save_best(tmp_path, content(96), scored(96))
        assert set(json.loads(path.with_suffix(".json").read_text())) == {"format", "digest", "score", "before"}
    with monkeypatch.context() as patched:
        fail_at(number, patched)
        with pytest.raises(OSError, match="No space left"):
            checkpoint.save_best(tmp_path, content(128), scored(128))
    images = 128 if number == 2 else 64
    words, fault = checkpoint.fitting(path)
    assert fault is None
    assert words.get("score") == (None if left == "none" and images == 64 else scored(images)["score"])
    assert loaded(path)[1]["progress"]["images"] == images
    checkpoint.save_best(tmp_path, content(128), scored(128))
    assert checkpoint.fitting(path) == (checkpoint.summary_of(path), None)
    assert set(words) <= {"format", "digest", "score"}


def scored(value: int) -> dict[str, Any]:
    return {"score": {"name": "modes", "value": value}}


@pytest.mark.parametrize("harm", [lose_side_file, tear_side_file])
def test_a_checkpoint_without_a_side_file_is_judged_by_itself(tmp_path: Path, harm: Any) -> None:
    """Of a version that wrote it last and was killed before; init_from's quick check has nothing to compare then."""
    older, newest = saved(tmp_path, 64, 128)
    harm(newest)
    path, found, said = loaded(tmp_path)
    assert (path, found["progress"]["images"], said) == (newest, 128, [])
    assert checkpoint.newest_summary(tmp_path)[0] == older
    harm(older)
    assert checkpoint.newest_summary(tmp_path) == (newest, {})
    checkpoint.write_side(newest, {"model": "dcgan"})
    assert json.loads(newest.with_suffix(".json").read_text())["digest"] == checkpoint.fitting(newest)[0]["digest"]


def test_a_pruning_that_was_cut_is_made_good_and_touches_nothing_else(tmp_path: Path) -> None:
    paths = saved(tmp_path, 64, 128, 192)
    paths[0].unlink()  # its side file is left
    others = ["images-1.json", "images-000000064.json.old", "my images-000000064.json"]
    for name in others:
        (tmp_path / "checkpoints" / name).write_text("mine")
    checkpoint.prune(paths[1], 1)
    kept = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert kept == sorted([*others, "images-000000128.json", "images-000000128.pt"])


def test_a_run_whose_checkpoints_are_gone_is_told_apart_from_one_that_had_none(tmp_path: Path) -> None:
    checkpoint.check_not_lost(tmp_path)
    update_run(tmp_path, images=0)
    checkpoint.check_not_lost(tmp_path)
    with pytest.raises(UserError, match="has no checkpoint: there is no images-"):
        loaded(tmp_path)
    update_run(tmp_path, images=128)
    with pytest.raises(UserError, match=r"are gone: it has seen 128 images.*put them back.*another folder$"):
        checkpoint.check_not_lost(tmp_path)
    checkpoint.save_best(tmp_path, content(64), {})
    with pytest.raises(UserError, match=r"are gone.*init_from=.*best\.pt"):
        checkpoint.check_not_lost(tmp_path)
    saved(tmp_path, 128)
    checkpoint.check_not_lost(tmp_path)


@pytest.mark.parametrize("text", [None, "", "{", "[1]", "\x00"], ids=["missing", "empty", "torn", "a list", "zero"])
def test_a_json_file_that_is_none(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "a.json").write_text(text)
    assert read_json(tmp_path / "a.json") is None


def test_run_json_keeps_what_is_not_changed(tmp_path: Path) -> None:
    update_run(tmp_path, status="running", images=0)
    update_run(tmp_path, images=64)
    assert read_json(tmp_path / "run.json") == {"status": "running", "images": 64}


def hold(folder: Path) -> subprocess.CompletedProcess[str]:
    """Try to hold a folder's lock in another process."""
    code = (
        "import sys; from pathlib import Path; from gan_cli.base.run_folder import locked\n"
        "with locked(Path(sys.argv[1]), 'the run'): print('held')"
    )
    return subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, timeout=60)


def test_a_second_holder_is_refused_until_the_first_lets_go(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with locked(folder, "the run"):
        second = hold(folder)
        assert second.stdout == ""
        assert f"UserError: the run '{folder}' is in use by another process" in second.stderr
    assert hold(folder).stdout == "held\n"


def test_a_lock_is_let_go_by_an_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="inside"), locked(tmp_path, "the run"):
        raise RuntimeError("inside")
    assert hold(tmp_path).stdout == "held\n"


CONFIG: dict[str, Any] = {
    "seed": 0,
    "name": "first",
    "notes": "",
    "sweep": None,
    "resume": None,
    "trust": [],
    "choices": {"model": "gan"},
    "loss": {"_target_": "x", "weight": 1.0},
    "trainer": {"total_images": 100, "batch_size": 8, "device": "cpu", "log_every_images": 10, "processes": 1},
}


def changed(key: str, value: Any) -> dict[str, Any]:
    config = json.loads(json.dumps(CONFIG))
    *path, last = key.split(".")
    node = config
    for part in path:
        node = node[part]
    node[last] = value
    return config


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", "other"),
        ("notes", "a long one"),
        ("sweep", "s"),
        ("resume", "outputs/x"),
        ("trust", ["mine"]),
        ("choices.model", "other"),
        ("trainer.device", "cuda"),
        ("trainer.log_every_images", 99),
        ("trainer.processes", 2),
    ],
)
def test_the_digest_ignores_what_is_not_learned(key: str, value: Any) -> None:
    assert digest_of(changed(key, value)) == digest_of(CONFIG)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", 1),
        ("loss.weight", 2.0),
        ("loss._target_", "y"),
        ("loss.name", "x"),
        ("trainer.batch_size", 16),
        ("trainer.total_images", 200),
    ],
)
def test_the_digest_follows_what_is_learned(key: str, value: Any) -> None:
    assert digest_of(changed(key, value)) != digest_of(CONFIG)


def test_the_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert digest_of(dict(reversed(CONFIG.items()))) == digest_of(CONFIG)


def test_flat_keys() -> None:
    assert flat({"a": {"b": 1, "c": {"d": [2]}}, "e": None}) == {"a.b": 1, "a.c.d": [2], "e": None}
