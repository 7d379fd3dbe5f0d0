"""Names that a console's encoding lacks, and names that are no text at all: no print and no file fails by them."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import QUICK, TINY
from PIL import Image

from gan_cli.base.printable import any_console, tell
from gan_cli.cli.config import cell_name
from gan_cli.data.layout import find_pairs, held_out_rows
from gan_cli.run.log import Curves

RAW = b"caf\xe9 \xff"  # no UTF-8: a folder copied from elsewhere
UNDECODABLE = RAW.decode("utf-8", "surrogateescape")
ACCENTS = "é日本"


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
@pytest.mark.parametrize("text", [UNDECODABLE, ACCENTS])
def test_any_text_can_be_printed(text: str, encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2))
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    any_console()
    tell(text)
    print(text, file=err, flush=True)
    assert out.buffer.getvalue()  # type: ignore[attr-defined]
    assert err.buffer.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize("text", [UNDECODABLE, ACCENTS])
def test_tensorboard_takes_any_text(text: str, tmp_path: Path) -> None:
    curves = Curves(tmp_path, 0)
    config = {"choices": {"model": "gan"}, "seed": 0, "dataset": {"root": text}}
    curves.describe(config, f"root: {text}", ["dataset.root"])
    (events,) = tmp_path.glob("events.*")
    shown = ACCENTS.encode() if text == ACCENTS else rb"caf\udce9"
    assert events.read_bytes().count(shown) == 2, "the row and the text"


def test_a_cell_and_a_split_know_names_that_are_no_text() -> None:
    assert cell_name([f"dataset.root={UNDECODABLE}"]) != cell_name([f"dataset.root={UNDECODABLE} "])
    names = [f"{UNDECODABLE}{number}" for number in range(10)]
    assert sorted(held_out_rows(names, 0.3, "train") + held_out_rows(names, 0.3, "test")) == list(range(10))


def test_a_split_is_the_same_on_every_console() -> None:
    """On an ascii console the same file names arrive as their bytes."""
    names = [f"{ACCENTS}{number}" for number in range(20)]
    bytewise = [name.encode().decode("ascii", "surrogateescape") for name in names]
    assert held_out_rows(names, 0.3, "test") == held_out_rows(bytewise, 0.3, "test")


def test_pairs_of_names_that_are_no_text_are_found(tmp_path: Path) -> None:
    for side in "AB":
        (tmp_path / side).mkdir()
        for number in range(4):
            Image.new("RGB", (8, 8)).save(tmp_path / side / f"{UNDECODABLE}{number}.png")
    source, target = find_pairs(str(tmp_path), "train", 0.25)
    assert (len(source.files), len(target.files)) == (3, 3)


def command(name: str, *arguments: str | bytes, cwd: Path, **environment: str) -> tuple[int, bytes, bytes]:
    program = f"from gan_cli.cli.{name.removeprefix('gan-')} import main; main()"
    settings = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=cwd, env=settings, capture_output=True, timeout=240
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "console", [{"PYTHONUTF8": "0", "LC_ALL": "C"}, {"PYTHONIOENCODING": "cp1252"}], ids=["ascii", "cp1252"]
)
def test_a_run_in_a_folder_of_any_name_is_trained_sampled_and_listed(console: dict[str, str], tmp_path: Path) -> None:
    folder = RAW if "LC_ALL" in console else ACCENTS.encode()
    place = tmp_path / os.fsdecode(folder)
    (place / "pictures").mkdir(parents=True)
    for number in range(8):
        Image.new("L", (8, 8), number * 30).save(place / "pictures" / f"{os.fsdecode(folder)}{number}.png")
    data = b"dataset.root=" + folder + b"/pictures"
    more = [
        "dataset=image_folder",
        data,
        "trainer.total_images=16",
        "trainer.device=cpu",
        "model=gan",
        *TINY["gan"],
        *QUICK,
    ]
    run, notes = b"hydra.run.dir=" + folder + b"/run", b"notes=" + folder
    code, out, err = command("gan-train", *more, run, notes, cwd=tmp_path, **console)
    assert (code, err) == (0, b""), (out, err)
    assert json.loads((place / "run" / "run.json").read_text(encoding="utf-8"))["status"] == "finished"
    assert (place / "run" / "run.log").read_text(encoding="utf-8")
    checkpoint, picture = b"checkpoint=" + folder + b"/run", b"output=" + folder + b"/grid.png"
    code, out, err = command("gan-sample", checkpoint, picture, "count=4", cwd=tmp_path, **console)
    assert (code, err) == (0, b""), (out, err)
    assert (place / "grid.png").is_file()
    code, out, err = command("gan-report", b"runs=" + folder, b"output=" + folder, cwd=tmp_path, **console)
    assert (code, err) == (0, b""), (out, err)
    assert (place / "runs.md").is_file()
