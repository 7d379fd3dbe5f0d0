"""A few commands in fresh interpreters: what they import, warn of and return where nothing was imported before."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import QUICK, TINY

NO_TORCH = """
import os, sys
class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "torchvision", "tensorboard"):
            os.write(2, b"torch was imported")
            os._exit(99)
sys.meta_path.insert(0, NoTorch())
"""
SMALL = ["model=gan", *TINY["gan"], *QUICK, "trainer.device=cpu", "trainer.total_images=16"]


def fresh(name: str, *arguments: str, cwd: Path, first: str = "") -> subprocess.CompletedProcess[str]:
    program = f"{first}\nfrom gan_cli.cli.{name.removeprefix('gan-')} import main\nmain()"
    settings = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "default"}
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, cwd=cwd, env=settings, capture_output=True, text=True, timeout=240)


@pytest.mark.parametrize(
    ("name", "arguments", "code", "words"),
    [
        ("gan-train", ["--version"], 0, "gan_cli 0."),
        ("gan-train", ["model=dcgann"], 2, "error: model=dcgann does not exist"),
        ("gan-sample", ["checkpoint=nowhere"], 2, "error: there is no checkpoint in 'nowhere'"),
        ("gan-report", ["runs=nowhere"], 2, "error: "),
    ],
)
def test_what_needs_no_torch_imports_none(
    name: str, arguments: list[str], code: int, words: str, tmp_path: Path
) -> None:
    done = fresh(name, *arguments, cwd=tmp_path, first=NO_TORCH)
    assert done.returncode == code, done.stderr
    assert words in (done.stderr if code else done.stdout)
    assert len((done.stderr + done.stdout).splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_run_and_its_grid_warn_of_nothing(tmp_path: Path) -> None:
    for name, arguments in {
        "gan-train": [*SMALL, "hydra.run.dir=run"],
        "gan-sample": ["checkpoint=run", "count=4", "output=grid.png"],
    }.items():
        done = fresh(name, *arguments, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "finished"
    assert (tmp_path / "grid.png").stat().st_size > 100
