"""What the check makes of a stranger's package: no rule goes by a key's or a class's mere name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import compose_plain

from gan_cli.base.errors import UserError
from gan_cli.check.check import check
from gan_cli.check.config_folder import config_folder, look_in

PACKAGE = '''
from torch import nn

MOST = 4

class PatchGAN(nn.Module):
    def __init__(self, layers=3, resolution=0, start=0):
        super().__init__()

class Growth(PatchGAN):
    pass

class Loss(nn.Module):
    def __init__(self, clip=None, unroll_steps=0, n_critic=1):
        super().__init__()

class Augment(nn.Module):
    def __init__(self, fixed=False, p=0.0, final_p=None):
        super().__init__()

class Pay(nn.Module):
    def __init__(self, final_weight=None, weight=1.0):
        super().__init__()

class Step:
    def __init__(self, params, lr, fused=False, foreach=False, nesterov=False):
        pass

class Data:
    def __init__(self, root=None, resolution=16, channels=1, crop_padding=0, load_resolution=None):
        pass

class Game(nn.Module):
    def __init__(self, loss, penalties, augment, generator=None, discriminator=None, pack=1, batch_sizes=None,
                 conditional="none"):
        super().__init__()

class Base(nn.Module):
    @staticmethod
    def refusal(at, depth=1, *, dataset, absent):
        """Which depths."""
        if depth > dataset["resolution"] and absent is None:
            return f"{at}.depth={depth} is deeper than dataset.resolution={dataset['resolution']}"

class Deep(Base):
    def __init__(self, depth: int = 1):
        super().__init__()

class Wrong(nn.Module):
    @staticmethod
    def refusal(depth=1):
        return "too deep" if depth > MOST else None
'''


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    (tmp_path / "parts_of_mine.py").write_text(PACKAGE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield compose_plain("model=gan", "trust=[parts_of_mine]")
    look_in([])


def of(name: str, **options: Any) -> dict[str, Any]:
    return {"_target_": f"parts_of_mine.{name}", **options}


GAME = of("Game", requires={"fields": ["image"]})
STRANGERS: dict[str, dict[str, Any]] = {
    "layers of another PatchGAN": {"model": {**GAME, "discriminator": of("PatchGAN", layers=12)}},
    "levels of another Growth": {"model": {**GAME, "generator": of("Growth", resolution=16, start=3)}},
    "a mapping of its own": {
        "model": {**GAME, "generator": {"mapping_layers": 0, "style_size": 3}, "provides": ["styles"]}
    },
    "clip that is no clip of weights": {"loss": of("Loss", clip=0.1, unroll_steps=2, n_critic=1)},
    "a fixed augmentation without p": {"augment": of("Augment", fixed=True)},
    "a weight that ends by itself": {"penalty": {"mine": of("Pay", final_weight=3.0)}},
    "an optimizer's own words": {"optimizer": of("Step", learning_rate=0.1, fused=True, foreach=True, nesterov=True)},
    "a pack that is no number": {"model": {**GAME, "pack": "wolves", "batch_sizes": "wide"}},
    "conditions of its own": {"model": {**GAME, "conditional": "none"}},
    "a data set of four channels": {
        "dataset": of(
            "Data",
            resolution=16,
            channels=4,
            crop_padding=99,
            load_resolution=2,
            provides={"medium": of("Data"), "fields": ["image"], "channels": 4, "resolution": 16},
        ),
        "model": GAME,
    },
}


@pytest.mark.parametrize("changed", STRANGERS.values(), ids=STRANGERS)
def test_what_is_called_as_a_part_of_ours_is_not_judged_by_its_rules(
    config: dict[str, Any], changed: dict[str, Any]
) -> None:
    check({**config, **changed, "choices": {**config["choices"], **dict.fromkeys(changed, "mine")}})


def test_a_class_says_itself_what_does_not_go_together(config: dict[str, Any]) -> None:
    config["model"]["discriminator"] = of("Deep", depth=8)
    config["choices"]["model"] = "mine"
    check(config)
    config["model"]["discriminator"]["depth"] = 9
    with pytest.raises(UserError, match=r"^model\.discriminator\.depth=9 is deeper than dataset\.resolution=8$"):
        check(config)


def test_a_refusal_that_looks_beyond_its_parameters_is_told(config: dict[str, Any]) -> None:
    config["model"]["discriminator"] = of("Wrong", depth=16)
    config["choices"]["model"] = "mine"
    with pytest.raises(UserError, match=r"parts_of_mine\.Wrong\.refusal can't judge these options: name 'MOST'"):
        check(config)


def test_sentences_name_what_fits_a_strangers_too(config: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "mine.yaml").write_text("_target_: parts_of_mine.Game\nprovides: [styles]\n")
    wanted = compose_plain("model=gan", "penalty=[path_length]")
    with pytest.raises(UserError, match=r"model=gan has none; model=stylegan or stylegan2 has$"):
        check(wanted)
    look_in([config_folder(), tmp_path / "conf"])
    with pytest.raises(UserError, match=r"model=gan has none; model=stylegan, stylegan2 or mine has$"):
        check(wanted)
