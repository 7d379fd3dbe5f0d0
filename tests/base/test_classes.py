"""Classes as a user names them: what folders may be called, what was typed, what an index is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy
import pytest
from conftest import QUICK, TINY, compose_checked
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from PIL import Image

from gan_cli.base.classes import class_indices
from gan_cli.base.errors import UserError
from gan_cli.check.config_folder import config_folder
from gan_cli.cli.quoting import quote
from gan_cli.cli.sample import sample
from gan_cli.data.folder import scan
from gan_cli.data.sets import ImageFolder
from gan_cli.run.train import train

COUNTED = sorted(str(number) for number in range(1, 11))  # 1, 10, 2, ...: as text, as folders sort
FASHION = ["T-shirt/top", "Trouser", "Pullover", "Ankle boot", "bag", "Bag"]


def chosen(wanted: list[int | str], names: list[str], count: int | None = None) -> tuple[list[int], list[str]]:
    said: list[str] = []
    return class_indices(wanted, names, len(names) if count is None else count, said.append), said


@pytest.mark.parametrize(
    ("wanted", "names", "found"),
    [
        (["1"], COUNTED, [0]),
        (["10", "2"], COUNTED, [1, 2]),
        ([10], COUNTED, [1]),
        (["true", "null"], ["null", "true", "x"], [1, 0]),
        (["Trouser", "Ankle boot"], FASHION, [1, 3]),
        (["bag", "Bag"], FASHION, [4, 5]),
        (["3"], [str(digit) for digit in range(10)], [3]),
    ],
)
def test_a_name_wins_and_needs_no_word(wanted: list[int | str], names: list[str], found: list[int]) -> None:
    assert chosen(wanted, names) == (found, [])


@pytest.mark.parametrize(
    ("wanted", "names", "count", "found", "words"),
    [
        ([0], COUNTED, 10, [0], 'labels=[0] is taken as index 0, class "1"'),
        (["3"], ["2", "3a", "4", "5"], 4, [3], 'labels=[3] is taken as index 3, class "5"'),
        (["1"], [], 10, [1], "labels=[1] is taken as index 1, one of 10 classes without names"),
        (["trouser"], FASHION, 6, [1], 'labels=[trouser] is taken as class "Trouser"'),
        (["CAFE\u0301"], ["x", "caf\u00e9"], 2, [1], 'is taken as class "caf\u00e9"'),
        (
            ["0", "Bag", "0", "PULLOVER"],
            FASHION,
            6,
            [0, 5, 0, 2],
            '"T-shirt/top"; [PULLOVER] is taken as class "Pullover"',
        ),
    ],
)
def test_what_is_taken_for_something_else_is_said(
    wanted: list[int | str], names: list[str], count: int, found: list[int], words: str
) -> None:
    indices, (said,) = chosen(wanted, names, count)
    assert indices == found
    assert words in said


@pytest.mark.parametrize(
    ("wanted", "names", "count", "words"),
    [
        ("11", COUNTED, 10, ["'11'", "no class", '0 "1", 1 "10", 2 "2"']),
        ("trousers", FASHION, 6, ['did you mean "Trouser"?']),
        ("BAG", FASHION, 6, ['did you mean "bag" or "Bag"?']),
        ("-1", FASHION, 6, ["'-1'", "no class"]),
        ("\u00b2", FASHION, 6, ["no class"]),  # a digit to Python's isdigit, and no number
        ("9" * 5000, FASHION, 6, ["no class"]),
        ("10", [], 10, ["10 classes have no names", "0 to 9"]),
        ("x", [f"class {number}" for number in range(1000)], 1000, ["and 960 more"]),
        ("b", ["a", "b"], 1, ["no class"]),  # a foreign checkpoint with more names than classes
    ],
)
def test_what_is_no_class_is_refused_with_what_there_is(
    wanted: str, names: list[str], count: int, words: list[str]
) -> None:
    with pytest.raises(UserError) as refused:
        chosen([wanted], names, count)
    for word in words:
        assert word in str(refused.value)


@pytest.mark.parametrize(
    ("typed", "names"),
    [
        ("[1]", ["1"]),
        ("3", ["3"]),
        ("Trouser", ["Trouser"]),
        ("[true,null,False]", ["true", "null", "False"]),
        ("true", ["true"]),
        ("[1_0, 1e3, 007, 1.0]", ["1_0", "1e3", "007", "1.0"]),
        ("[Ankle boot, 'T-shirt/top', \"a, b\"]", ["Ankle boot", "T-shirt/top", "a, b"]),
        ("Trouser,Bag", ["Trouser", "Bag"]),
        ("[it's]", ["it's"]),
        (r"['it\'s']", ["it's"]),
        ("[cat (big), a=b, dog [old]]", ["cat (big)", "a=b", "dog [old]"]),
        ("[back\\]", ["back\\"]),
        ("[\u00e4,\u65e5\u672c]", ["\u00e4", "\u65e5\u672c"]),
        ("null", None),
        ("[]", []),
    ],
)
def test_names_arrive_as_they_were_typed(typed: str, names: list[str] | None) -> None:
    override = OverridesParser.create().parse_override(quote(f"labels={typed}"))
    assert override.key_or_group == "labels"
    assert override.value() == names


@pytest.mark.parametrize("typed", ["[a,,b]", "['a]", "[a,]", "['a' b]"])
def test_a_list_that_cannot_be_read_is_left_to_hydra(typed: str) -> None:
    assert quote(f"labels={typed}") == f"labels={typed}"


# ---- by the command ----


def write(path: Path, shade: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (8, 8), shade).save(path)


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A conditional run on the class folders 1 to 10, true and null."""
    folder = tmp_path_factory.mktemp("counted")
    for name in [*COUNTED, "true", "null"]:
        for number in range(2):
            write(folder / "pictures" / name / f"{number}.png", 20 * number)
    options = [f"dataset.root={folder / 'pictures'}", "dataset.resolution=8", "trainer.total_images=8"]
    config = compose_checked(
        "model=cdcgan", "dataset=image_folder", *options, *TINY["cdcgan"], *QUICK, "trainer.device=cpu"
    )
    train(config, folder / "run")
    return folder / "run"


def sampled(run: Path, output: Path, *arguments: str) -> Any:
    """What `gan-sample` writes as an array."""
    GlobalHydra.instance().clear()
    typed = [f"checkpoint={run}", "device=cpu", "format=npz", "count=2", f"output={output}", *arguments]
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        config = compose("sample", overrides=[quote(argument) for argument in typed])
    sample(OmegaConf.to_container(config, resolve=True))  # type: ignore[arg-type]
    return numpy.load(output)


@pytest.mark.parametrize(
    ("typed", "index", "said"),
    [
        ("[1]", 0, None),
        ("[10]", 1, None),
        ("10", 1, None),
        ("[9]", 9, None),
        ("[null]", 10, None),
        ("true", 11, None),
        ("[True]", 11, 'labels=[True] is taken as class "true"'),
        ("[0]", 0, 'labels=[0] is taken as index 0, class "1"'),
        ("11", 11, 'labels=[11] is taken as index 11, class "true"'),
    ],
)
def test_gan_sample_takes_class_folders_by_name(
    typed: str, index: int, said: str | None, counted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored = sampled(counted, tmp_path / "a.npz", f"labels={typed}")
    assert stored["labels"].tolist() == [index, index]
    first = capsys.readouterr().out.splitlines()[0]
    assert first == said or (said is None and "taken as" not in first)


# ---- folders of classes ----


def test_class_folders_sort_as_text(tmp_path: Path) -> None:
    for name in COUNTED:
        write(tmp_path / name / "a.png")
    assert scan(tmp_path).classes == COUNTED


def corrupt(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"no picture")


@pytest.mark.parametrize("kind", ["empty", "other files", "corrupt", "hidden"])
def test_a_class_folder_without_a_usable_picture_is_refused(kind: str, tmp_path: Path) -> None:
    """Left out in silence, cats would be class 0 and dogs 1 today, and cats 1 and dogs 2 once there is an ant."""
    for name in ("cats/a.png", "dogs/b.png"):
        write(tmp_path / name)
    folder = tmp_path / "ants"
    folder.mkdir()
    if kind == "other files":
        (folder / "list.csv").write_text("1")
    if kind == "corrupt":
        corrupt(folder / "a.png")
    if kind == "hidden":
        write(folder / ".a.png")
    why = "no picture that can be read" if kind == "corrupt" else "no pictures"
    words = rf"'ants' holds {why}: .*other ids; put pictures into it, move it out, or begin its name with a dot"
    options = ["dataset=image_folder", f"dataset.root={tmp_path}", "dataset.skip_corrupt=true", "dataset.resolution=8"]
    with pytest.raises(UserError, match=words):
        compose_checked("model=dcgan", *options)
    with pytest.raises(UserError, match=words):
        ImageFolder(str(tmp_path), 8, skip_corrupt=True)
    folder.rename(tmp_path / ".ants")
    assert ImageFolder(str(tmp_path), 8).class_names == ["cats", "dogs"]


def test_folders_without_pictures_do_no_harm_where_there_are_no_classes(tmp_path: Path) -> None:
    write(tmp_path / "images" / "a.png")
    (tmp_path / "notes").mkdir()
    assert ImageFolder(str(tmp_path), 8).class_names == []
    assert scan(tmp_path).bare == []
    write(tmp_path / "more" / "a.png")
    assert scan(tmp_path).bare == ["notes"]
    write(tmp_path / "b.png")
    assert scan(tmp_path).classes == scan(tmp_path).bare == []


def test_weights_of_other_classes_are_not_taken_without_a_word(
    counted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """init_from= goes by numbers: what was true is now class 11 of other names."""
    for name in [*COUNTED, "no", "yes"]:
        write(tmp_path / "pictures" / name / "a.png")
    root = [f"dataset.root={tmp_path / 'pictures'}", "dataset.resolution=8", "trainer.total_images=8"]
    same = ["model=cdcgan", "dataset=image_folder", *TINY["cdcgan"], *QUICK, "trainer.device=cpu"]
    (tmp_path / "run").mkdir()
    train(compose_checked(*same, *root, f"init_from={counted}"), tmp_path / "run")
    said = re.sub(r"\s+", " ", capsys.readouterr().out)
    assert 'weights go by their numbers: 2 differ, as "null" there and "no" here' in said
