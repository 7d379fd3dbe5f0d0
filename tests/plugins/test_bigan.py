"""A stranger's model with a third player: one Python file and one YAML, and every command works with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import QUICK, ROOT, Command, same
from torch import Tensor, nn

from gan_cli.base import checkpoint
from gan_cli.cli import evaluate, export, report, sample, train
from gan_cli.data.sets import Digits
from gan_cli.metrics import classifier
from gan_cli.use.load import load_trained

PLUGIN = ROOT / "tests" / "plugins" / "bigan"
CHOSEN = ["--config-dir", str(PLUGIN / "conf"), "model=bigan", "trust=[bigan]", "trainer.device=cpu"]
SMALL = [*QUICK, "model.generator.width=8", "model.encoder.width=8", "model.discriminator.width=8"]
COMMAND = "from gan_cli.cli.train import main\n\nif __name__ == '__main__':\n    main()\n"


def test_each_player_moves_and_a_resume_is_exact(command: Command) -> None:
    code, out, err = command(train, *CHOSEN, *SMALL, "trainer.total_images=32", "hydra.run.dir=whole")
    assert (code, err) == (0, "")
    assert "updates a step: 1 discriminator + 1 generator + 1 encoder" in out
    command(train, *CHOSEN, *SMALL, "trainer.total_images=16", "hydra.run.dir=parts")
    half = checkpoint.load(Path("parts"), print)[1]["game"]
    assert command(train, "resume=parts", "trust=[bigan]", "trainer.total_images=32")[0] == 0
    whole, parts = (checkpoint.load(Path(name), print)[1] for name in ("whole", "parts"))
    for key in ("game", "ema", "optimizers", "progress"):
        same(whole[key], parts[key], key)
    assert set(whole["ema"]) == {"generator", "encoder"}
    for network in ("generator", "encoder", "discriminator"):
        moved = [not torch.equal(half[name], whole["game"][name]) for name in half if name.startswith(network)]
        assert moved
        assert all(moved)


def test_the_other_commands(command: Command) -> None:
    command(train, *CHOSEN, *SMALL, "dataset.resolution=16", "trainer.total_images=16", "hydra.run.dir=run")
    trust = "trust=[bigan]"
    assert command(sample, "checkpoint=run", trust, "count=4", "output=grid.png")[0] == 0
    assert Path("grid.png").is_file()
    assert command(sample, "checkpoint=run", trust, "mode=interpolation", "frames=2", "output=walk.gif")[0] == 0
    assert command(evaluate, "checkpoint=run", trust, "metric=[ms_ssim]", "count=20")[0] == 0
    assert "ms_ssim" in Path("run/metrics.jsonl").read_text()
    code, out, _ = command(export, "checkpoint=run", trust, "format=safetensors")
    assert (code, "largest difference to the model here: 0" in out) == (0, True)
    assert command(report, "runs=.", "output=table")[0] == 0
    assert "bigan" in Path("table/runs.md").read_text()
    code, out, _ = command(train, *CHOSEN, *SMALL, "trainer.total_images=16", "dry_run=true")
    assert (code, "encoder " in out) == (0, True)


def test_without_trust_none_of_it_runs(command: Command) -> None:
    code, _, err = command(train, *CHOSEN[:3], *SMALL, "hydra.run.dir=run")
    assert code == 2
    assert "_target_='bigan.BiGAN' is not on the allow-list" in err
    assert not Path("run").exists()


def test_the_third_players_rate_is_typed_and_judged(command: Command) -> None:
    words = [*CHOSEN, *SMALL, "trainer.total_images=16"]
    code, out, _ = command(train, *words, "optimizer.rates.encoder=1e-3", "hydra.run.dir=a")
    assert (code, "discriminator 0.0002, generator 0.0002, encoder 0.001 " in out) == (0, True)
    kept = json.loads(Path("a/config.json").read_text())["optimizer"]
    assert kept["rates"] == {"generator": None, "discriminator": None, "encoder": 0.001}
    code, _, err = command(train, *words, "optimizer.rates.encodr=1", "hydra.run.dir=b")
    assert (code, "did you mean encoder?" in err) == (2, True)
    code, _, err = command(train, *words, "optimizer.player_betas.encoder=[2,0.9]", "hydra.run.dir=b")
    assert (code, "optimizer.player_betas.encoder=[2, 0.9] does not fit" in err) == (2, True)
    assert not Path("b").exists()


@pytest.mark.slow
def test_two_processes_train_it_as_one_does(tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(PLUGIN), str(ROOT)])}
    (tmp_path / "command.py").write_text(
        "from gan_cli.cli.train import main\n\nif __name__ == '__main__':\n    main()\n"
    )
    for processes in (1, 2):
        words = [*CHOSEN, *SMALL, "trainer.total_images=32", f"trainer.processes={processes}"]
        done = subprocess.run(
            [sys.executable, "command.py", *words, f"hydra.run.dir={processes}"],
            **{"cwd": tmp_path, "env": environment, "capture_output": True, "text": True, "timeout": 200},
        )
        assert done.returncode == 0, done.stderr
    one, two = (checkpoint.load(tmp_path / str(number), print)[1]["game"] for number in (1, 2))
    assert all(torch.allclose(one[name], two[name], atol=1e-6) for name in one)


def held_out() -> tuple[Tensor, Tensor]:
    data = Digits(resolution=8, split="test")
    fields = data.fetch(torch.arange(len(data)), torch.device("cpu"))
    return fields["image"], fields["label"]


def bytes_of(image: Tensor) -> Tensor:
    return ((image.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


@pytest.fixture(scope="module")
def judge() -> nn.Module:
    """A classifier of the digits, trained for a third of the usual steps."""
    data = Digits(resolution=8)
    fields = data.fetch(torch.arange(len(data)), torch.device("cpu"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classifier, "LEAST_STEPS", 450)
        made = classifier.trained_classifier(bytes_of(fields["image"]), fields["label"], 10)
    image, label = held_out()
    assert classifier.accuracy(made, bytes_of(image), label) > 0.95
    return made


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_reconstructions_keep_the_class(seed: int, command: Command, judge: nn.Module) -> None:
    """Of held-out digits; what a broken encoder would give (an untrained one, codes of other pictures, the mean
    picture) stands beside it."""
    data = Digits(resolution=8)
    fields = data.fetch(torch.arange(len(data)), torch.device("cpu"))
    image, label = held_out()
    mean = fields["image"].mean(0, keepdim=True)
    words = ["trainer.ema_halflife_images=20_000", "trainer.evaluate_every_images=0", f"seed={seed}"]
    shares, errors = {}, {"mean picture": float((image - mean).square().mean())}
    for name, images in (("untrained", 64), ("trained", 300_000)):
        assert command(train, *CHOSEN, *words, f"trainer.total_images={images}", f"hydra.run.dir={name}")[0] == 0
        networks = load_trained(Path(name), device="cpu", trust=["bigan"]).networks
        with torch.no_grad():
            codes = networks["encoder"](image)
            for what, some in ((name, codes), (f"{name}, shuffled", codes.roll(1, 0))):
                again = networks["generator"](some)
                shares[what] = classifier.accuracy(judge, bytes_of(again), label)
                errors[what] = float((image - again).square().mean())
    print(shares, errors)
    assert shares["trained"] >= 0.6
    assert errors["trained"] < 0.75 * errors["mean picture"]
    for control in ("untrained", "untrained, shuffled", "trained, shuffled"):
        assert shares[control] < 0.3, control
        assert errors[control] > errors["mean picture"], control
