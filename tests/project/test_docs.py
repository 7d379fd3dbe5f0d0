"""The examples of docs/extending.md, the commands of docs/translation.md and of the README's tour, run as printed."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import forked
import pytest
from conftest import QUICK, ROOT, TINY
from PIL import Image

PAGE = (ROOT / "docs" / "extending.md").read_text()
GUIDE = (ROOT / "docs" / "translation.md").read_text()
GUIDED = dict(re.findall(r"<!-- run: (\w+) -->\n```bash\n(.*?)```", GUIDE, re.DOTALL))


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the page prints."""
    folder = tmp_path_factory.mktemp("own parts")
    files = re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", PAGE, re.DOTALL)
    assert len(files) == 11
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
        done = forked.run(name, *arguments, cwd=workplace)
        assert done.returncode == 0, done.stdout + done.stderr
    for output in re.findall(r"output=(\S+)", block):
        written = (workplace / output).read_bytes()
        assert written.startswith(b"\x89PNG") if output.endswith(".png") else len(written.split()) == 9, (
            "a line for each"
        )


def test_what_the_page_says_is_refused_is_refused_in_these_words(workplace: Path) -> None:
    ((block, words),) = re.findall(r"<!-- refused -->\n```bash\n(.*?)```\n\n    (error: .*?)\n", PAGE, re.DOTALL)
    before = set(workplace.rglob("*"))
    name, *arguments = shlex.split(block)
    done = forked.run(name, *arguments, cwd=workplace)
    assert (done.returncode, done.stderr.strip()) == (2, words)
    assert set(workplace.rglob("*")) == before, "nothing was made"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the guide's script has made its pictures."""
    folder = tmp_path_factory.mktemp("guide")
    ((name, content),) = re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", GUIDE, re.DOTALL)
    (folder / name).write_text(content)
    subprocess.run([sys.executable, name], cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("model", GUIDED)
def test_the_commands_of_the_guide_translate_a_folder(model: str, pictures: Path) -> None:
    """As printed, but for smaller networks and one step."""
    run = pictures / "outputs" / model
    small = [
        option for option in TINY[model] if option.startswith(("model.generator", "model.discriminator", "model.a_"))
    ]
    for line in GUIDED[model].splitlines():
        name, *arguments = shlex.split(line.replace("outputs/RUN", str(run)), comments=True)
        if name == "gan-train":
            arguments += [f"hydra.run.dir={run}", *small, *QUICK, "trainer.total_images=8"]
        done = forked.run(name, *arguments, cwd=pictures)
        assert done.returncode == 0, done.stdout + done.stderr
        if "output=" not in line:
            continue
        output = pictures / next(argument for argument in arguments if argument.startswith("output="))[7:]
        scale = 2 if model == "srgan" else 1
        made = [output] if output.suffix else sorted(output.iterdir())
        assert len(made) == (1 if output.suffix else 3)
        for path in made:
            assert path.name in ("larger.png", "000.png", "001.png", "002.png")
            with Image.open(path) as picture:
                assert picture.size == (64 * scale, 64 * scale)


def test_the_guide_has_every_model_that_translates() -> None:
    translators = [name for name, options in TINY.items() if any("dataset.root" in option for option in options)]
    assert sorted(GUIDED) == sorted(translators)


def test_without_trust_the_same_code_is_refused(workplace: Path) -> None:
    done = forked.run("gan-train", "--config-dir", "my_conf", "loss=exponential", "trainer=smoke", cwd=workplace)
    assert done.returncode == 2
    assert "trust=[my_parts]" in done.stderr
    assert "Traceback" not in done.stderr
