"""The examples of docs/extending.md and the commands of the README's tour, run as they are printed."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

PAGE = (ROOT / "docs" / "extending.md").read_text()


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the page prints."""
    folder = tmp_path_factory.mktemp("own parts")
    files = re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", PAGE, re.DOTALL)
    assert len(files) == 7
    for name, content in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder


def commands() -> list[str]:
    blocks = re.findall(r"<!-- run -->\n```bash\n(.*?)```", PAGE, re.DOTALL)
    return [block.strip() for block in blocks]


@pytest.mark.parametrize("block", commands())
def test_the_commands_of_the_page_run(block: str, workplace: Path) -> None:
    for line in block.splitlines():
        name, *arguments = shlex.split(line)
        program = f"from gan_cli.cli.{name.removeprefix('gan-')} import main; main()"
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-P", "-c", program, *arguments] if sys.version_info >= (3, 11) else
            [sys.executable, "-c", program, *arguments],
            cwd=workplace, env=environment, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
    if "gan-sample" in block:
        assert (workplace / "stripes.png").stat().st_size > 200


def test_without_trust_the_same_code_is_refused(workplace: Path) -> None:
    program = "from gan_cli.cli.train import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "--config-dir", "my_conf", "loss=exponential", "trainer=smoke"],
        cwd=workplace, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert "trust=[my_parts]" in done.stderr
    assert "Traceback" not in done.stderr
