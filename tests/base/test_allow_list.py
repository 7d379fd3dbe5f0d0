"""What a config may name, and where."""

from __future__ import annotations

import pytest
from conftest import ROOT, TINY, compose_checked, compose_plain

from gan_cli.base.allow_list import ALLOWED, check_allowed, check_place
from gan_cli.base.errors import UserError
from gan_cli.check.check import check

OF_ITS_KIND = {
    "model": "gan_cli.game.translator.Translator",
    "model.generator": "gan_cli.layers.unet.UNet",
    "model.latent": "gan_cli.parts.latent.Gaussian",
    "model.brings.degradation": "gan_cli.data.degrade.Masks",
    "loss": "gan_cli.losses.adversarial.Hinge",
    "loss.penalties.mine": "gan_cli.penalties.gradient.R1",
    "penalty.mine": "gan_cli.penalties.gradient.R1",
    "augment": "gan_cli.augment.ada.Ada",
    "dataset": "gan_cli.data.sets.Digits",
    "dataset.provides.medium": "gan_cli.media.image.ImageMedium",
    "optimizer": "torch.optim.Adam",
    "metric.mine": "gan_cli.metrics.fid.FrechetDistance",
    "trainer": "gan_cli.base.settings.TrainerSettings",
}
ALSO = {("loss.penalties.mine", "penalty.mine"), ("penalty.mine", "loss.penalties.mine")}


@pytest.mark.parametrize("place", OF_ITS_KIND)
def test_a_slot_takes_the_folders_of_its_kind_and_no_others(place: str) -> None:
    check_place(OF_ITS_KIND[place], place)
    for other, target in OF_ITS_KIND.items():
        alike = target.split(".")[:2] == OF_ITS_KIND[place].split(".")[:2]
        if not alike:
            with pytest.raises(UserError, match=rf"^{place} is .* and {target} is none$"):
                check_place(target, place)
            with pytest.raises(UserError, match=rf"^{place} is .* and {target} is none$"):
                check_place(target, place, ["gan_cli"])
        assert (place, other) in ALSO or place == other or not alike or "data" in target, "one folder, one kind"


def test_the_game_of_translations_is_a_game_for_the_model() -> None:
    config = compose_plain("model=cyclegan", *TINY["cyclegan"])
    config["model"]["_target_"] = "gan_cli.game.translator.Translator"
    config["choices"]["model"] = "mine"
    with pytest.raises(UserError) as caught:
        check(config)
    assert "allow-list" not in str(caught.value)
    assert "gan_cli.game.translator.Translator" in str(caught.value), "it is bound to its constructor, as any game"


@pytest.mark.parametrize("folder", ["cli", "run", "use", "evaluation", "report", "base.files"])
@pytest.mark.parametrize("trust", [[], ["gan_cli"], ["gan_cli.run", "gan_cli.cli", "gan_cli.use", "gan_cli.base"]])
def test_the_commands_and_what_carries_out_a_run_hold_nothing_that_a_config_may_name(
    folder: str, trust: list[str]
) -> None:
    with pytest.raises(UserError, match=rf"'gan_cli\.{folder}\.Thing' is not on the allow-list, and trust= adds"):
        check_allowed(f"gan_cli.{folder}.Thing", trust)


def test_each_allowed_folder_is_one() -> None:
    for prefix in ALLOWED:
        if prefix.startswith("gan_cli."):
            assert list(ROOT.glob(f"{prefix.rstrip('.').replace('.', '/')}*")), prefix
    with pytest.raises(UserError, match=r"say trust=\[mine\]"):
        check_allowed("mine.Thing")
    check_allowed("mine.Thing", ["mine"])
    compose_checked("model=gan")
