"""Training a row of docs/results.md through the real commands, and the data that rows need."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir

from gan_cli.base.run_config import RunConfig
from gan_cli.check.config_folder import config_folder
from gan_cli.cli.config import plain, register_resolvers
from gan_cli.cli.typed import read
from gan_cli.game.build import build_game
from gan_cli.game.gan import GAN


def train(name: str, command: list[str], runs: Path) -> Path:
    """Train a row through `gan-train`, unless it is finished; resume a run that was cut off."""
    folder = runs / name
    if record(folder).get("status") == "finished":
        return folder
    begun = list(folder.glob("checkpoints/*.json"))
    arguments = [f"resume={folder}"] if begun else [*command, f"hydra.run.dir={folder}"]
    ended = subprocess.run([sys.executable, "-c", "from gan_cli.cli.train import main; main()", *arguments])
    if ended.returncode:  # gan-train has printed the reason
        raise SystemExit(f"row {name} could not be trained")
    return folder


def record(folder: Path) -> dict[str, Any]:
    """Read the `run.json` of a run; return an empty dict if there is none."""
    file = folder / "run.json"
    return json.loads(file.read_text()) if file.exists() else {}


def untrained(*overrides: str) -> GAN:
    """Build the game of a command line, before its first step."""
    register_resolvers()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        config = compose("train", overrides=read(overrides).overrides, return_hydra_config=True)
    game = build_game(RunConfig.of(plain(config, config.hydra.runtime.choices)).game).eval()
    assert isinstance(game, GAN)
    return game


def place(name: str, proof: str, data: str | None) -> Path | None:
    """Find the first folder that contains `proof`; return None if there is none.

    The folders are `data` and those of the environment variables, each after its sub-folder `name`.
    """
    roots = [
        Path(folder).expanduser() for folder in (data, *map(os.environ.get, ("GAN_TEST_DATA", "GAN_DATA"))) if folder
    ]
    places = [place for folder in roots for place in (folder / name, folder)]
    return next((place for place in places if (place / proof).exists()), None)
