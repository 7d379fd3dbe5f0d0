"""Tries what the README and the pages print: their commands, their examples, their links.

The examples of docs/extending.md run as printed. So do, in the slow tests, those of docs/translation.md. Every other
command is tried as far as takes no training: see `tried`.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import forked
import numpy
import pytest
from conftest import QUICK, ROOT, TINY
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep
from PIL import Image

from gan_cli.check.check import check
from gan_cli.cli import evaluate, export, sample
from gan_cli.cli.composition import composed_as_typed
from gan_cli.cli.config import plain
from gan_cli.cli.inherit import with_base
from gan_cli.cli.judge import settled
from gan_cli.cli.python import plain_values, typed_as

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
    for line in block.replace("\\\n", " ").splitlines():
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


# ---- every command of the README and of the pages ----

COMMANDS = ("gan-train", "gan-sample", "gan-evaluate", "gan-report", "gan-export")
ELSEWHERE = re.compile(r"<!-- (run|run: \w+|refused) -->\n```bash\n.*?```", re.DOTALL)  # run by the tests above
TOO_LONG = "<!-- too long for a test -->"
SMALLER = {  # what a command asks for, and how little of it is enough to see that it works
    "count=50_000": "count=20",
    "count=1_000": "count=20",
    "frames=240": "frames=2",
    "steps=500": "steps=2",
    "restarts=4": "restarts=2",
}


class Printed(NamedTuple):
    """One command of a page."""

    page: str
    line: int
    words: tuple[str, ...]
    refused: str  # the sentence that the page prints below it; "" where it works

    @property
    def text(self) -> str:
        return shlex.join(self.words)


def printed(name: str, text: str) -> Iterator[Printed]:
    """Yield each command in a page's fenced and indented blocks, one that goes on behind a backslash as a whole."""
    text = ELSEWHERE.sub(lambda found: "\n" * found.group().count("\n"), text)
    lines = text.splitlines()
    fence = waived = False
    for number, line in enumerate(lines, 1):
        said = line.strip().removeprefix("$ ")
        fence ^= said.startswith("```")
        waived = said == TOO_LONG or (waived and (not said or fence or line.startswith("    ")))
        if waived or not (fence or line.startswith("    ")) or not said.startswith(COMMANDS):
            continue
        for later in lines[number:]:
            if not said.endswith("\\"):
                break
            said = f"{said[:-1]} {later.strip()}"
        below = lines[number].strip() if number < len(lines) else ""
        refused = below.removeprefix("error: ") if below.startswith("error: ") else ""
        yield Printed(name, number, tuple(shlex.split(said, comments=True)), refused)


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PRINTED = [command for page in PAGES for command in printed(str(page.relative_to(ROOT)), page.read_text())]


def test_commands_are_found_where_pages_print_them() -> None:
    page = (
        "text gan-train a\n\n    gan-train b=1 \\\n        c=2   # why\n\n```bash\n$ gan-sample d\nerror: no\n```\n\n"
        f"- item\n\n      gan-report\n\n{TOO_LONG}\n\n    gan-train e\n\nmore\n\n    gan-train f\n"
        "<!-- run -->\n```bash\ngan-train g\n```\n"
    )
    assert [(found.line, found.text, found.refused) for found in printed("page", page)] == [
        (3, "gan-train b=1 c=2", ""),
        (7, "gan-sample d", "no"),
        (13, "gan-report", ""),
        (21, "gan-train f", ""),
    ]
    assert len(PRINTED) > 60


def test_no_command_is_printed_twice() -> None:
    """One page has an example, the others link to it."""
    counts = Counter(command.text for command in PRINTED)
    twice = {f"{command.page}:{command.line}: {command.text}" for command in PRINTED if counts[command.text] > 1}
    assert sorted(twice) == []


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, tiny_pictures: Path) -> Path:
    """A folder as a reader may have it: pictures, and a small run of each kind that the pages speak of."""
    folder = tmp_path_factory.mktemp("reader")
    rng = numpy.random.default_rng(0)
    for name in ("Trouser", "Ankle boot", "Bag"):
        (folder / "FOLDER" / name).mkdir(parents=True)
        for number in range(4):
            pixels = rng.integers(0, 256, (16, 16, 3), dtype=numpy.uint8)
            Image.fromarray(pixels).save(folder / "FOLDER" / name / f"{number}.png")
    for name, size, level in (
        ("picture.png", 32, 0),
        ("hole.png", 32, 255),
        ("new/a.png", 32, 9),
        ("photos/a.png", 99, 9),
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (size, size), (level, 0, level)).save(folder / name)
    for name in ("pairs", "unpaired"):
        (folder / name).symlink_to(tiny_pictures / name)
    (folder / "My pictures (2024)").symlink_to(folder / "FOLDER")
    quick = [
        *QUICK,
        "trainer.total_images=16",
        "trainer.sample_every_images=8",
        "trainer.device=cpu",
        "trainer.threads=1",
    ]
    of_classes = ["model=cdcgan", "dataset=image_folder", "dataset.root=FOLDER", "dataset.resolution=16"]
    kinds = {
        "classes": [*of_classes, *TINY["cdcgan"]],
        "style": ["model=stylegan2", "dataset.resolution=16", *TINY["stylegan2"]],
        "cyclegan": ["model=cyclegan", *TINY["cyclegan"]],
        "inpainting": ["model=inpainting", *TINY["inpainting"]],
    }
    started = [
        forked.start("gan-train", *options, *quick, f"hydra.run.dir=kinds/{name}", cwd=folder)
        for name, options in kinds.items()
    ]
    started.append(
        forked.start("gan-train", "-m", "seed=0,1", "model=gan", *TINY["gan"], *quick, "sweep=first", cwd=folder)
    )
    for command in started:
        out, err = command.communicate(120)
        assert command.returncode == 0, out + err
    return folder


@pytest.fixture
def reader(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An own folder with links to all of that, which this process is in."""
    for path in runs.iterdir():
        if path.name != "outputs":
            (tmp_path / path.name).symlink_to(path)
    (tmp_path / "outputs" / "sweeps").mkdir(parents=True)
    (tmp_path / "outputs" / "sweeps" / "first").symlink_to(runs / "outputs" / "sweeps" / "first")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def kind_for(words: list[str]) -> str:
    """Return which of the small runs a command can mean by outputs/RUN."""
    said = " ".join(words)
    if "mask=" in said:
        return "inpainting"
    if "direction=" in said or ("input=" in said and "mode=" not in said) or "dataset.root=unpaired" in said:
        return "cyclegan"
    return "style" if re.search(r"mode=(style_mixing|project|directions)|truncation_psi=", said) else "classes"


CHECKS: dict[str, Callable[..., object]] = {
    "evaluate": evaluate.check,
    "export": export.check,
    "sample": sample.check,
}


def tried(command: Printed, folder: Path, runs_samples: bool = False) -> None:
    """Try a command of a page as far as takes no training; raises what is wrong with it.

    A new run is composed and checked, of a sweep the first and the last of each choice. A resume is composed
    with the run's own config. `gan-evaluate`, `gan-export` and `gan-sample` are composed and checked, the latter run
    with `runs_samples`. The rest runs.
    """
    name, *words = command.words
    words = [SMALLER.get(word, re.sub(r"sweeps/\w+", "sweeps/first", word)) for word in words]
    if name == "gan-sample":  # a grid of held-out pictures, of a model that is given some
        words = ["dataset.root=unpaired" if word == "dataset.root=FOLDER" else word for word in words]
    (folder / "outputs" / "RUN").symlink_to(folder / "kinds" / kind_for(words))
    newest = max((folder / "outputs" / "RUN" / "checkpoints").glob("*.pt"))
    words = [re.sub(r"(?<=checkpoints/)images-\d+\.pt", newest.name, word) for word in words]
    prints = {"--help", "-h", "--cfg", "--info"} & {*words}
    root = name.removeprefix("gan-")
    if root in CHECKS and not prints and not runs_samples:
        CHECKS[root](plain_values(typed_as(words, root), root))
        for word in words:
            key, _, value = word.partition("=")
            assert key not in ("checkpoint", "sweep", "input", "mask") or Path(value).exists(), word
    elif name == "gan-train" and not prints and not any(word.startswith("resume=") for word in words):
        for choice in choices_of(words):
            typed = typed_as(choice, "train")
            config = composed_as_typed(settled(with_base(typed), "train"), "train")
            check(plain(config, config.hydra.runtime.choices))
    else:
        more = ["--cfg", "job"] if name == "gan-train" and not prints else []
        done = forked.run(name, *words, *more, cwd=folder, imports_torch=name == "gan-sample")
        assert done.returncode == 0, done.stderr
        assert done.stdout


def choices_of(words: list[str]) -> list[list[str]]:
    """Return the command lines of single runs that stand for a sweep: the first and the last of each choice."""
    if "-m" not in words:
        return [words]
    found: list[list[str]] = [[], []]
    for word in words:
        if word == "-m" or word.startswith(("sweep=", "hydra")):
            continue
        override = OverridesParser.create().parse_override(word)
        if not override.is_sweep_override():
            values = [word]
        elif isinstance(interval := override.value(), IntervalSweep):
            values = [f"{override.key_or_group}={end}" for end in (interval.start, interval.end)]
        else:
            values = [f"{override.key_or_group}={value}" for value in override.sweep_string_iterator()]
        found[0].append(values[0])
        found[1].append(values[-1])
    return found


@pytest.mark.sampled(4)
@pytest.mark.parametrize("command", PRINTED, ids=lambda command: f"{command.page}:{command.line}")
def test_a_command_of_a_page_works(command: Printed, reader: Path) -> None:
    if not command.refused:
        tried(command, reader)
        return
    done = forked.run(*command.words, cwd=reader, imports_torch=False)
    assert (done.returncode, done.stderr.strip()) == (2, f"error: {command.refused}")


SAMPLES = [command for command in PRINTED if command.words[0] == "gan-sample"]


@pytest.mark.sampled(8)
@pytest.mark.parametrize("command", SAMPLES, ids=lambda command: f"{command.page}:{command.line}")
def test_what_a_page_samples_is_made(command: Printed, reader: Path) -> None:
    tried(command, reader, runs_samples=True)


@pytest.mark.parametrize(
    "text",
    [
        "gan-train model=dcgann",
        "gan-train trainer.total_image=5",
        "gan-train model=cdcgan dataset=unpaired dataset.root=unpaired",
        "gan-train -m loss=nonsaturating,hingee",
        "gan-train resume=outputs/RUN model=gan",
        "gan-train resume=outputs/RUN trainer.batch_sizes=3",
        "gan-sample checkpoint=outputs/RUN mode=walk",
        "gan-sample checkpoint=outputs/RUN cuont=3",
        "gan-evaluate checkpoint=outputs/RUN metric=[fidd]",
        "gan-evaluate checkpoint=outputs/GONE metric=[fid] features=classifier",
        "gan-export checkpoint=outputs/RUN fromat=onnx",
        "gan-report sweeps=outputs",
    ],
)
def test_a_command_that_does_not_work_fails(text: str, reader: Path) -> None:
    """Try the measure itself: a command of a page that no longer works must not pass."""
    with pytest.raises(Exception, match=r".") as failed:
        tried(Printed("page", 1, tuple(shlex.split(text)), ""), reader)
    assert not isinstance(failed.value, (KeyError, AttributeError, TypeError))


# ---- links, and the site ----


def links_of(text: str) -> list[str]:
    """Return where the links and pictures of a page lead to in this tree; its code is left out."""
    text = re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)
    found = re.findall(r"\]\(([^)\s]+)\)", text)
    return [link for link in found if "://" not in link]


def anchors_of(text: str) -> set[str]:
    """Return the names that a page's headings can be linked by."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    plain_words = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {re.sub(r"[ -]+", "-", words.strip()) for words in plain_words}


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links_of(page.read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert page.parent.name != "docs" or target.parent.name in ("docs", "images"), f"{link} is not of the site"
        if anchor:
            assert anchor in anchors_of(target.read_text(encoding="utf-8")), link


def test_every_page_is_in_the_sites_navigation() -> None:
    named = re.findall(r"(\w+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(named) == sorted(path.name for path in (ROOT / "docs").glob("*.md"))
