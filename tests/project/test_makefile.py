"""What `make setup` would do: torch from where it is asked for, and never in silence."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def planned(folder: Path, *more: str) -> list[str]:
    """The commands of a setup into a folder that is not there."""
    command = ["make", "-n", "setup", f"VENV={folder / 'new'}", *more]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=True)
    return [line for line in done.stdout.splitlines() if not line.startswith("make")]


def test_the_plain_way_says_how_large_it_is_and_how_to_have_less(tmp_path: Path) -> None:
    said, *commands = planned(tmp_path)
    assert said.startswith("echo ")
    assert "6 GB" in said
    assert "TORCH_INDEX=URL" in said
    assert [line for line in commands if "--index-url" in line] == []
    assert commands[-2].endswith("-m pip install --editable '.[dev]'")
    assert not any("--quiet" in line or "-q " in line for line in commands), "pip shows what it downloads, and how far"


def test_torch_comes_from_the_index_that_is_named_before_all_else(tmp_path: Path) -> None:
    """First and alone: beside another index pip would take the newest of both, which may be the one with CUDA."""
    said, *commands = planned(tmp_path, "TORCH_INDEX=https://host.invalid/cpu")
    assert "torch from https://host.invalid/cpu" in said
    installs = [line.partition(" install ")[2] for line in commands if " install " in line]
    assert installs == [
        "--upgrade pip",
        "--index-url 'https://host.invalid/cpu' torch torchvision",
        "--editable '.[dev]'",
    ]
