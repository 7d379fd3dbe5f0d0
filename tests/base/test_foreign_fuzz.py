"""Every key of every file that a command reads from a run's folder, with a value there that does not belong.

Whatever it is, a command does its work or says why not in one sentence. `GAN_TEST_EVERY=1` tries more values.
"""

from __future__ import annotations

import copy
import hashlib
import io
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import QUICK, TINY, compose_checked
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from gan_cli.base import checkpoint
from gan_cli.base.errors import RunError, UserError
from gan_cli.base.scoring import Score, append_scores
from gan_cli.check.config_folder import config_folder
from gan_cli.cli.config import register_resolvers
from gan_cli.cli.evaluate import evaluate
from gan_cli.cli.export import export
from gan_cli.cli.resume import resume
from gan_cli.cli.sample import sample
from gan_cli.cli.sentences import say
from gan_cli.cli.typed import read
from gan_cli.report.listing import Listing
from gan_cli.report.page import as_html
from gan_cli.report.sweep import read_sweep
from gan_cli.report.written import as_csv, as_markdown
from gan_cli.run.launch import launch

EVERY = bool(os.environ.get("GAN_TEST_EVERY"))
GONE = object()
DEEP: Any = 0
for _ in range(200):
    DEEP = [DEEP]
VALUES: list[Any] = [
    *(
        None,
        [],
        {},
        "",
        "x\x1b[31m\u202e\ny",
        "=1+1",
        "../../x",
        "\ud800",
        True,
        [None],
        [[1]],
        {"a": {"b": 1}},
        DEEP,
        GONE,
    ),
    *(0, -1, -0.5, 7, 70_000, 10**30, 10**400, 1e308, float("nan"), float("inf")),
    *({"_target_": "os.system"}, {"_target_": "torch.nn.Linear"}),
]
TENSORS: list[Callable[[torch.Tensor], Any]] = [
    lambda value: value[:1] if value.dim() else value.reshape(1, 1),
    lambda value: value.to(torch.complex64),
    lambda value: value.new_zeros(()),
    lambda value: value.new_zeros(1).expand(3, *value.shape),
    lambda value: -value if value.dtype != torch.bool else value,
    lambda value: value * float("nan"),
    lambda value: [1],
    lambda value: None,
]
Commands = dict[str, Callable[[Path], Any]]


def wanted(command: str, *overrides: str) -> dict[str, Any]:
    """The options of a command, as it is given them."""
    register_resolvers()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        made = OmegaConf.to_container(compose(command, overrides=["checkpoint=x", *overrides]), resolve=True)
    return made  # type: ignore[return-value]


@pytest.fixture(scope="module")
def commands() -> Commands:
    drawn, moved, scored = (
        wanted("sample", "count=2", "device=cpu"),
        wanted("sample", "mode=directions", "device=cpu"),
        wanted("evaluate", "metric=[modes]", "count=20", "device=cpu"),
    )
    exported = wanted("export", "format=safetensors", "overwrite=true")
    return {
        "sample": lambda run: sample({**drawn, "checkpoint": str(run)}),
        "directions": lambda run: sample({**moved, "checkpoint": str(run)}),
        "evaluate": lambda run: evaluate({**scored, "checkpoint": str(run)}),
        "export": lambda run: export({**exported, "checkpoint": str(run)}),
        "runs": lambda run: [Listing(run.parent).as_markdown(), Listing(run.parent).as_csv()],
        "sweep": lambda run: [form(read_sweep(run.parent, at="best")) for form in (as_csv, as_markdown, as_html)],
        "resume": lambda run: resume(run, read(["trainer.total_images=24"])),
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a file of every kind."""
    run = tmp_path_factory.mktemp("whole") / "cell"
    config = compose_checked("model=toy", *TINY["toy"], *QUICK, "trainer.total_images=16", "trainer.device=cpu")
    launch(config, run)
    append_scores(run, [Score("modes", 3.0, "higher", 16, "checkpoints/images-000000016.pt", {"real": {"count": 1}})])
    (run / ".hydra").mkdir()
    (run / ".hydra" / "config.yaml").write_text(json.dumps(config))
    (run / ".hydra" / "overrides.yaml").write_text("- model=toy\n")
    return run


def contents(run: Path) -> dict[str, Any]:
    """Of each file its content, of files of lines the last one."""
    (path,) = checkpoint.listed(run)
    names = (
        "run.json",
        "config.json",
        str(path.relative_to(run).with_suffix(".json")),
        "scalars.jsonl",
        "metrics.jsonl",
    )
    texts = {name: (run / name).read_text() for name in names}
    found = {name: json.loads(text.splitlines()[-1] if name.endswith("l") else text) for name, text in texts.items()}
    return {**found, str(path.relative_to(run)): torch.load(path, weights_only=True)}


def keys_in(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Of lists the first two members stand for all."""
    pairs = node.items() if isinstance(node, dict) else enumerate(node[:2]) if isinstance(node, (list, tuple)) else ()
    for key, value in pairs:
        yield (*path, key)
        yield from keys_in(value, (*path, key))


def at(node: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        node = node[key]
    return node


def spoiled(content: Any, path: tuple[Any, ...], value: Any) -> Any:
    content = copy.deepcopy(content)
    for depth in range(len(path)):  # what lies in a tuple can't be changed
        if isinstance(at(content, path[:depth]), tuple):
            at(content, path[: depth - 1])[path[depth - 1]] = list(at(content, path[:depth]))
    place = at(content, path[:-1])
    if value is GONE:
        place.pop(path[-1])
    else:
        place[path[-1]] = value
    return content


def written(run: Path, name: str, content: Any) -> None:
    if not name.endswith(".pt"):
        (run / name).write_text(json.dumps(content) + "\n")
        return
    buffer = io.BytesIO()
    torch.save(content, buffer)
    (run / name).write_bytes(buffer.getvalue())
    side = (run / name).with_suffix(".json")
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    side.write_text(json.dumps({**json.loads(side.read_text()), "digest": digest}))


def tried(commands: Commands, run: Path, what: object, capsys: pytest.CaptureFixture[str]) -> None:
    """Carry out all commands; none may fail otherwise than with a sentence, nor show what a terminal obeys."""
    for name, command in commands.items():
        try:
            command(run)
        except (UserError, RunError) as error:
            say(str(error), 1)
        except Exception as error:
            raise AssertionError(f"{name} with {what} ended in {type(error).__name__}: {error}") from error
    shown = capsys.readouterr()
    assert "error: \n" not in shown.err, what
    assert not {"\x1b", "\u202e", "\ud800"} & set(shown.out + shown.err), what
    assert all(line.startswith(("error: ", "warning: ")) for line in shown.err.splitlines()), (what, shown.err)


@pytest.mark.filterwarnings("ignore")  # torch's, of what is no good checkpoint
@pytest.mark.parametrize("part", range(40 if EVERY else 3))
def test_a_value_that_does_not_belong_gets_a_sentence(
    part: int, whole: Path, commands: Commands, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw, files = random.Random(part), contents(whole)
    by_file = {name: list(keys_in(content)) for name, content in files.items()}
    assert min(map(len, by_file.values())) > 5
    before = sorted(path for path in tmp_path.iterdir())
    for name in draw.choices(list(files), k=8):
        path = draw.choice(by_file[name])
        old = at(files[name], path)
        value = draw.choice(TENSORS)(old) if isinstance(old, torch.Tensor) else draw.choice(VALUES)
        if name.endswith(".pt") and value == "\ud800":  # which torch.save can't write
            continue
        run = Path(shutil.copytree(whole, tmp_path / "sweep" / "cell"))
        written(run, name, spoiled(files[name], path, value))
        tried(commands, run, (name, path, repr(value)[:60]), capsys)
        shutil.rmtree(tmp_path / "sweep")
    assert [path for path in tmp_path.iterdir() if path.name != "cache"] == [p for p in before if p.name != "cache"]


@pytest.mark.parametrize("name", ["run.json", "config.json", "checkpoints/images-000000016.json", "scalars.jsonl"])
@pytest.mark.parametrize(
    "data",
    [b"", b"\xff\xfe\x00", b"[]", b"null", b"[" * 100_000, b'{"a":' * 5_000, b'{"images": NaN}\n' * 3, b"\x00" * 99],
)
@pytest.mark.sampled(3)
def test_bytes_that_are_no_such_file_get_a_sentence(
    name: str, data: bytes, whole: Path, commands: Commands, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(shutil.copytree(whole, tmp_path / "sweep" / "cell"))
    (run / name).write_bytes(data)
    tried(commands, run, (name, data[:20]), capsys)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"\x80\x02}q\x00.", b"PK\x03\x04" + b"\xff" * 200, b"x" * 1000])
def test_a_checkpoint_of_any_bytes_gets_a_sentence(
    data: bytes, whole: Path, commands: Commands, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(shutil.copytree(whole, tmp_path / "sweep" / "cell"))
    (path,) = checkpoint.listed(run)
    path.write_bytes(data)
    side = path.with_suffix(".json")
    side.write_text(json.dumps({**json.loads(side.read_text()), "digest": hashlib.sha256(data).hexdigest()}))
    with pytest.raises(RunError, match="is not a checkpoint that holds only tensors and plain values"):
        commands["sample"](run)
    tried(commands, run, data[:20], capsys)
