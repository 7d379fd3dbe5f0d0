"""Start-up times, and steps per second next to a plain loop over the same networks, measured side by side.

    python benchmarks/speed.py

Absolute numbers belong to the machine; the ratios are what docs/speed.md quotes.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch.nn.functional import softplus

from gan_cli.base.run_config import RunConfig
from gan_cli.game.build import build_data, build_game
from gan_cli.run.session import Session

RUNS = 7
MAIN = "from gan_cli.cli.train import main; main()"
ASKED = "import os; os.environ['COMP_LINE'] = {!r}; " + MAIN
STARTS = {
    "python -c pass": ["-c", "pass"],
    "gan-train --help": ["-c", MAIN, "--help"],
    "gan-train --help model=stylegan2": ["-c", MAIN, "--help", "model=stylegan2"],
    "completion: resume=": ["-c", ASKED.format("gan-train resume="), "-sc", "query=bash"],
    "completion: penalty=[r1,pa": ["-c", ASKED.format("gan-train penalty=[r1,pa"), "-sc", "query=bash"],
    "completion: model=style": ["-c", ASKED.format("gan-train model=style"), "-sc", "query=bash"],
    "gan-train --cfg job": ["-c", MAIN, "--cfg", "job"],
    "refusal: unknown option": ["-c", MAIN, "model=dcgn"],
    "refusal: misspelled key": ["-c", MAIN, "trainer.total_image=1"],
    "refusal: labels missing": ["-c", MAIN, "model=toy"],
    "import torch": ["-c", "import torch"],
}
BATCH, STEPS, ROUNDS = 64, 20, 5
CONFIG = RunConfig.of({
    "seed": 0,
    "trainer": {"batch_size": BATCH},
    "model": {
        "_target_": "gan_cli.game.gan.GAN",
        "latent": {"_target_": "gan_cli.parts.latent.Gaussian", "size": 100},
        "generator": {"_target_": "gan_cli.models.dcgan.Generator", "latent_size": 100, "channels": 1, "resolution": 32,
                      "base_channels": 16},
        "discriminator": {"_target_": "gan_cli.models.dcgan.Discriminator", "channels": 1, "resolution": 32,
                          "base_channels": 16},
    },
    "loss": {"_target_": "gan_cli.losses.adversarial.NonSaturating"},
    "dataset": {"_target_": "gan_cli.data.sets.Digits", "resolution": 32,
                "provides": {"medium": {"_target_": "gan_cli.media.image.ImageMedium"}}},
    "optimizer": {"_target_": "torch.optim.Adam", "learning_rate": 2e-4, "betas": [0.5, 0.999]},
})  # fmt: skip


def start_up() -> None:
    """Print the medians of start-up times over alternating runs, in seconds."""
    times: dict[str, list[float]] = {name: [] for name in STARTS}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(RUNS):
            for name, arguments in STARTS.items():
                begun = time.perf_counter()
                subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True)
                times[name].append(time.perf_counter() - begun)
        left = list(Path(folder).iterdir())
    print(f"start-up, median of {RUNS} alternating runs (files left behind: {len(left)})")
    for name, values in times.items():
        print(f"  {name:<34} {statistics.median(values):.2f} s")


def ours() -> Callable[[], None]:
    """Return one training step as `gan-train` takes it: seeded draws, shared fakes, meter, averaged weights."""
    return Session.build(CONFIG, torch.device("cpu")).step


def plain() -> Callable[[], None]:
    """Return one step of a tutorial's loop on the same networks: no averaged weights, no log, no seeds."""
    gan, data = build_game(CONFIG.game).train(), build_data(CONFIG.data)
    generator, critic = gan.networks.values()
    for_g = torch.optim.Adam(generator.parameters(), 2e-4, (0.5, 0.999))
    for_d = torch.optim.Adam(critic.parameters(), 2e-4, (0.5, 0.999))

    def step() -> None:
        real = data.fetch(torch.randint(len(data), (BATCH,)), torch.device("cpu"))["image"]
        fake = generator(torch.randn(BATCH, 100))
        for_d.zero_grad()
        (softplus(-critic(real)) + softplus(critic(fake.detach()))).mean().backward()
        for_d.step()
        for_g.zero_grad()
        softplus(-critic(fake)).mean().backward()
        for_g.step()

    return step


def steps_per_second() -> None:
    """Print steps per second over alternating rounds; the ratio is taken round by round."""
    loops = {"gan_cli": ours(), "plain loop": plain()}
    rates: dict[str, list[float]] = {name: [] for name in loops}
    for number in range(ROUNDS + 1):
        for name, step in loops.items():
            begun = time.perf_counter()
            for _ in range(STEPS):
                step()
            if number:  # the first round warms up
                rates[name].append(STEPS / (time.perf_counter() - begun))
    print(
        f"\nDCGAN 32x32, base_channels 16, batch {BATCH}, {torch.get_num_threads()} threads, median of {ROUNDS} rounds"
    )
    for name, values in rates.items():
        print(f"  {name:<12} {statistics.median(values):.1f} steps/s")
    ratios = [a / b for a, b in zip(*rates.values(), strict=True)]
    print(f"  ratio        {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    start_up()
    steps_per_second()
