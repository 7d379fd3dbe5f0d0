"""A stranger's model without a critic, on the frozen generator of another run (`model.base=RUN`)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from conftest import QUICK, ROOT, TINY, Command, compose_checked, same

from gan_cli.base import checkpoint
from gan_cli.cli import evaluate, export, sample, train
from gan_cli.data.sets import Digits
from gan_cli.run.train import train as trained_run
from gan_cli.use.load import load_trained

PLUGIN = ROOT / "tests" / "plugins" / "encoder"
CHOSEN = ["--config-dir", str(PLUGIN / "conf"), "model=encoder", "trust=[encoder]", "trainer.device=cpu", *QUICK]
SMALL = ["dataset.resolution=16", "model.encoder.latent_size=100", "model.encoder.width=8"]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base") / "run"
    words = ["model=gan", *TINY["gan"], *QUICK, "dataset.resolution=16", "trainer.total_images=16"]
    trained_run(compose_checked(*words), folder)
    return folder


def test_a_damaged_checkpoint_of_the_base_is_named_and_the_one_before_it_taken(base: Path, command: Command) -> None:
    shutil.copytree(base, "base")
    (newest,) = Path("base/checkpoints").glob("images-*.pt")
    older = newest.with_name("images-000000008.pt")
    shutil.copy(newest, older)
    shutil.copy(newest.with_suffix(".json"), older.with_suffix(".json"))
    newest.write_bytes(newest.read_bytes()[:-20])
    code, out, err = command(train, *CHOSEN, *SMALL, "model.base=base", "trainer.total_images=16", "hydra.run.dir=run")
    assert code == 0, err
    said = (out + err).replace("\n", " ")
    assert f"{newest.absolute()} is damaged" in said
    assert f"using {older.absolute()} instead" in said
    ours, theirs = (checkpoint.read(path) for path in (Path("run/base.pt"), older))
    same(ours["game"], theirs["game"])


def test_a_run_that_was_cut_before_its_first_checkpoint_takes_its_base_again(base: Path, command: Command) -> None:
    """From where it is named; where that is gone, the one that it has kept."""
    shutil.copytree(base, "base")
    begun = [*CHOSEN, *SMALL, "model.base=base", "trainer.total_images=16", "hydra.run.dir=run"]
    assert command(train, *begun)[0] == 0
    kept = checkpoint.digest_of_file(Path("run/base.pt"))
    ends = []
    for gone in (False, True):
        shutil.rmtree("run/checkpoints")
        record = json.loads(Path("run/run.json").read_text())
        Path("run/run.json").write_text(json.dumps({**record, "status": "running", "images": 0}))
        if gone:
            shutil.rmtree("base")
        else:
            Path("run/base.pt").write_bytes(b"another's")
        code, _, err = command(train, "resume=run", "trust=[encoder]")
        assert code == 0, err
        assert checkpoint.digest_of_file(Path("run/base.pt")) == kept
        ends.append(checkpoint.load(Path("run"), print)[1]["game"])
    same(*ends)


def test_it_learns_on_frozen_networks_and_the_run_stands_alone(base: Path, command: Command, tmp_path: Path) -> None:
    shutil.copytree(base, "base")
    begun = [*CHOSEN, *SMALL, "model.base=base", "optimizer.rates.encoder=1e-2"]
    code, out, err = command(train, *begun, "trainer.total_images=640", "hydra.run.dir=whole")
    assert (code, err) == (0, "")
    assert "updates a step: 1 encoder" in out
    lines = [json.loads(line) for line in Path("whole/scalars.jsonl").read_text().splitlines()]
    losses = [line["loss/encoder"] for line in lines]
    assert losses[-1] < 0.98 * losses[0]
    command(train, *begun, "trainer.total_images=320", "hydra.run.dir=parts")
    shutil.rmtree("base")
    assert command(train, "resume=parts", "trust=[encoder]", "trainer.total_images=640")[0] == 0
    whole, parts = (checkpoint.load(Path(name), print)[1] for name in ("whole", "parts"))
    for key in ("game", "ema", "optimizers", "base"):
        same(whole[key], parts[key], key)
    assert not [name for name in whole["game"] if not name.startswith("encoder.")], "the base is kept once, not here"
    now = load_trained(Path("parts"), device="cpu", trust=["encoder"]).game.base
    then = load_trained(base, device="cpu")
    for name, value in then.networks["generator"].state_dict().items():
        assert torch.equal(value, now.networks["generator"].state_dict()[name])
    assert not any(parameter.requires_grad for parameter in now.networks["generator"].parameters())
    assert command(sample, "checkpoint=parts", "trust=[encoder]", "count=4", "output=grid.png")[0] == 0
    assert command(evaluate, "checkpoint=parts", "trust=[encoder]", "metric=[ms_ssim]", "count=20")[0] == 0
    code, _, err = command(export, "checkpoint=parts", "trust=[encoder]", "format=safetensors")
    assert (code, "draws nothing from latents" in err) == (2, True)


def test_a_dry_run_writes_nothing(base: Path, command: Command) -> None:
    code, out, _ = command(train, *CHOSEN, *SMALL, f"model.base={base}", "trainer.total_images=16", "dry_run=true")
    assert (code, "encoder " in out) == (0, True)
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "builds on a trained run: model.base=RUN names it"),
        (["model.base=nowhere"], "nowhere: there is no checkpoint in"),
        (["model.base=BASE", "dataset.resolution=8"], "was trained with dataset.resolution=16, and this run has 8"),
        (["model.base=BASE", "dataset=ring"], "dataset=ring"),
    ],
)
def test_a_base_that_does_not_fit_is_refused_before_anything_is_made(
    words: list[str], said: str, base: Path, command: Command
) -> None:
    typed = [word.replace("BASE", str(base)) for word in words]
    code, _, err = command(train, *CHOSEN, *SMALL[:1], *typed, "hydra.run.dir=run")
    assert (code, len(err.splitlines())) == (2, 1)
    assert said in err
    assert not Path("run").exists()


def test_a_base_is_allowed_by_this_command_line_alone(base: Path, command: Command) -> None:
    """A config inside a checkpoint can't name code that nobody trusted."""
    shutil.copytree(base, "base")
    (newest,) = (Path("base") / "checkpoints").glob("images-*.pt")
    content = torch.load(newest, weights_only=True)
    content["config"]["model"]["generator"]["_target_"] = "stranger.Generator"
    checkpoint.write(newest, {key: value for key, value in content.items() if key != "format"}, {})
    code, _, err = command(train, *CHOSEN, *SMALL, "model.base=base", "hydra.run.dir=run")
    assert (code, "_target_='stranger.Generator' is not on the allow-list" in err) == (2, True)
    assert not Path("run").exists()


def test_a_base_that_is_gone_or_another_is_named(base: Path, command: Command) -> None:
    command(train, *CHOSEN, *SMALL, f"model.base={base}", "trainer.total_images=16", "hydra.run.dir=run")
    again = ["resume=run", "trust=[encoder]", "trainer.total_images=32"]
    kept = Path("run/base.pt").read_bytes()
    Path("run/base.pt").unlink()
    code, _, err = command(train, *again)
    assert (code, "whose networks it kept in base.pt: that file is gone" in err) == (2, True)
    content = torch.load(next((base / "checkpoints").glob("images-*.pt")), weights_only=True)
    content["game"]["generator.layers.0.bias"] += 1
    checkpoint.write(Path("run/base.pt"), {key: value for key, value in content.items() if key != "format"}, {})
    code, _, err = command(train, *again)
    assert (code, "was trained on another base" in err) == (2, True)
    code, _, err = command(sample, "checkpoint=run", "trust=[encoder]")
    assert (code, "is not the base that the checkpoints of" in err) == (2, True)
    Path("run/base.pt").write_bytes(kept)
    Path("run/base.json").unlink()
    assert command(train, *again)[0] == 0


@pytest.mark.slow
def test_it_finds_codes_of_pictures_it_never_saw(command: Command) -> None:
    """Nearer than the mean picture is, which an encoder that never learned is not."""
    words = ["trainer.device=cpu", "trainer.ema_halflife_images=5_000", "dataset.resolution=8"]
    assert command(train, "model=gan", "trainer.total_images=200_000", *words, "hydra.run.dir=base")[0] == 0
    whole = Digits(resolution=8, split="test")
    image = whole.fetch(torch.arange(len(whole)), torch.device("cpu"))["image"]
    errors = {"mean picture": float((image - image.mean(0, keepdim=True)).square().mean())}
    for name, images in (("untrained", 64), ("trained", 200_000)):
        more = ["model.encoder.latent_size=100", f"trainer.total_images={images}", f"hydra.run.dir={name}"]
        assert command(train, *CHOSEN[:4], *words, "model.base=base", *more)[0] == 0
        trained = load_trained(Path(name), device="cpu", trust=["encoder"])
        with torch.no_grad():
            again = trained.game.again(trained.networks["encoder"], image)
        errors[name] = float((image - again).square().mean())
    print(errors)
    assert errors["trained"] < 0.75 * errors["mean picture"] < errors["mean picture"] < errors["untrained"]
