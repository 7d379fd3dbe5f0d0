"""Whatever maps text to a file or a folder is one-to-one, on every file system, and can be typed back."""

from __future__ import annotations

import random
import re
import subprocess
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from gan_cli.base.errors import UserError
from gan_cli.base.naming import LONGEST, name_of, name_of_list, name_of_settings
from gan_cli.cli.bare import of_train
from gan_cli.cli.config import run_name, sweep_name
from gan_cli.cli.outputs import default_output

WORDS = [
    *("a", "b", "A", "B", "lr", "LR", "0.1", "-", "--", ".", "..", "_", " ", "=", ",", "x", "1e-05", "1e+30", "~", "$"),
    *("实", "验", "一", "二", "猫", "犬", "\u00e9", "e\u0301", "E\u0301", "ß", "ss", "\ufb01", "\u00b5", "\u03bc"),
    *("\u0131", "\u0130", "हि", "\u200d", "\ud800", "🐈", "'", '"', "[", "]", "(", ")", "\n", "\t", "/", "\\"),
    *("con", "NUL", "com1", "lpt¹", ".txt", "seed", "loss", "hinge", "-0123456789", "deadbeef00", "x" * 90),
]


def texts(count: int) -> list[str]:
    """Different texts of the same few pieces, so that many are near to one another; and what they are named."""
    draw = random.Random(0)
    made = ["".join(draw.choices(WORDS, k=draw.randint(0, 4))) for _ in range(count)]
    return sorted({*made, *map(name_of, made)})


def as_stored(name: str) -> str:
    """What two names share where they are one file: capitals are small letters, accents are apart."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())


def check_apart(named: dict[str, str]) -> None:
    """Args: names by what they are of."""
    owners: dict[str, str] = {}
    for text, name in named.items():
        other = owners.setdefault(as_stored(name), text)
        assert other == text, f"{other!r} and {text!r} share {name!r}"


@pytest.mark.parametrize("name", [name_of, sweep_name, lambda text: run_name(text, "dcgan", "hinge", "digits")])
def test_different_texts_never_share_a_name(name: Callable[[str], str]) -> None:
    found = texts(20_000)
    assert len(found) > 10_000
    check_apart({text: name(text) for text in found})


def test_a_name_can_stand_on_every_file_system_and_be_typed_back() -> None:
    names = {name_of(text) for text in texts(5_000)}
    for name in names:
        assert re.fullmatch(r"[\w.\-\u0300-\u036f\u0900-\u097f]+", name), name
        assert len(name.encode()) <= LONGEST
        assert name[0] not in ".-"
        assert name[-1] not in ".-"
        assert unicodedata.normalize("NFC", name) == name
        assert not re.fullmatch(r"(?i)(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", name)
    words = sorted(names)[:2_000]
    said = subprocess.run(
        ["bash", "-c", f"printf '%s\\n' {' '.join(words)}"], capture_output=True, text=True, check=True
    )
    assert said.stdout.splitlines() == words, "a shell takes each for one word, and for that word"


def test_lists_and_settings_cut_elsewhere_have_other_names() -> None:
    draw = random.Random(1)
    pieces = ["a", "b", "-", "--", "a-b", "=", "1", "", "x=1", "lr 0.1", "lr-0.1", "a--b", "A", "一"]
    lists = {tuple(draw.choices(pieces, k=draw.randint(1, 4))) for _ in range(10_000)}
    check_apart({repr(found): name_of_list(found, "-") for found in lists})
    settings = {found for found in lists if len(found) % 2 == 0}
    check_apart({repr(s): name_of_settings(list(zip(s[::2], s[1::2], strict=True))) for s in settings})
    runs = {((found[0] or None) if len(found) == 4 else None, *found[-3:]) for found in lists if len(found) > 2}
    check_apart({repr(found): run_name(*found) for found in runs})


def test_common_names_stay_as_they_are() -> None:
    for text in ("first", "lr_search", "first-try", "2026-11-27_18-00-00", "实验一", "v1.2", "a--b", "1e-05"):
        assert name_of(text) == text
    assert name_of_settings([("loss", "hinge"), ("seed", "0"), ("optimizer.learning_rate", "1e-05")]) == (
        "loss-hinge--seed-0--optimizer.learning_rate-1e-05"
    )
    assert run_name("first-try", "dcgan", "hinge", "digits") == "first-try-dcgan-hinge-digits"
    assert run_name(None, "dcgan", "hinge", "digits") == "dcgan-hinge-digits"
    assert run_name(2024, "dcgan", "hinge", "digits") == "2024-dcgan-hinge-digits"
    assert re.fullmatch(r"four-cells-[0-9a-f]{10}", name_of("four cells"))


def test_pictures_of_different_names_get_folders_of_different_names(tmp_path: Path) -> None:
    made = [default_output(tmp_path / "checkpoints" / "x.pt", 64, of, "").name for of in ("猫", "犬", "a 1", "a-1")]
    assert len(set(made)) == 4
    assert made[0] == "sample-000000064-猫"


def test_a_sweeps_folder_is_typed_back_by_its_name_or_as_it_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = sweep_name("four cells")
    assert sweep_name(name) != name, "a text like any other, as long as there is no such folder"
    place = Path("outputs/sweeps") / name
    place.mkdir(parents=True)
    for text in ("four cells", name, f"{place}", f"{place}/"):
        assert sweep_name(text) == name
    for text in (name.upper(), f"../sweeps/{name}", f"x/{name}", ".", "..", "four  cells"):
        assert sweep_name(text) != name
        assert sweep_name(text) not in (".", "..")
    with pytest.raises(UserError, match=f"started again by the same words, with sweep={name};"):
        of_train_told(place)
    (elsewhere := tmp_path / "my sweep").mkdir()
    with pytest.raises(UserError, match=f"with 'hydra.sweep.dir={elsewhere}';"):
        of_train_told(elsewhere)


def of_train_told(sweep: Path) -> None:
    """Have `gan-train` say what is to be typed for a sweep's folder."""
    (sweep / "seed-0").mkdir()
    (sweep / "seed-0" / "run.json").write_text("{}")
    (sweep / ".lock").write_text("")
    of_train(sweep)
