"""The wheel: what `pip install` brings works away from the checkout, alone and with a user's own parts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import QUICK, ROOT, TINY

pytestmark = pytest.mark.slow

MODEL = """
import torch
from torch import nn
from gan_cli.layers.maxout import Maxout


class Generator(nn.Module):
    def __init__(self, latent_size: int, channels: int, resolution: int, width: int = 8) -> None:
        super().__init__()
        self.shape = (channels, resolution, resolution)
        self.layers = nn.Sequential(Maxout(latent_size, width, 2), nn.Linear(width, channels * resolution**2))

    def forward(self, latent, label=None):
        return torch.tanh(self.layers(latent)).view(-1, *self.shape)
"""
YAML = """
# My own generator against the usual critic
defaults:
  - gan
generator:
  _target_: my_parts.networks.Generator
  width: 12
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built without the network and unpacked."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    settings = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    done = subprocess.run(
        [*command, "--wheel-dir", str(folder), str(ROOT)], env=settings, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("gan_cli-*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(folder / "site")
    return folder / "site"


def run(site: Path, cwd: Path, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command of the wheel: its folder comes before that of the editable install."""
    program = f"from gan_cli.cli.{name} import main; main()"
    settings = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(site)}
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, cwd=cwd, env=settings, capture_output=True, text=True, timeout=200)


def test_the_wheel_holds_every_source_config_and_data_file_and_nothing_else(site: Path) -> None:
    def listed(*parts: str) -> set[str]:
        known = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *parts]
        return set(subprocess.run(known, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")) - {
            ""
        }

    if not (ROOT / ".git").exists():
        pytest.skip("no checkout, so nobody knows which files belong")
    expected = {name for name in listed("gan_cli") if (ROOT / name).exists()}
    expected |= {f"gan_cli/{name}" for name in listed("conf") if (ROOT / name).exists()}
    found = {str(path.relative_to(site)) for path in site.rglob("*") if path.is_file()}
    about = {name for name in found if ".dist-info/" in name}
    assert found - about == expected
    assert "gan_cli/conf/train.yaml" in found
    assert "gan_cli/data/digits.npz" in found
    (scripts,) = [name for name in about if name.endswith("entry_points.txt")]
    text = (site / scripts).read_text()
    assert "gan-train = gan_cli.cli.train:main" in text
    for name in ("sample", "evaluate", "report"):
        assert f"gan-{name} = gan_cli.cli.{name}:main" in text
    assert any(name.endswith("LICENSE") for name in about)


def test_the_wheel_trains_and_samples_from_another_folder(site: Path, tmp_path: Path) -> None:
    where = [
        sys.executable,
        "-c",
        "import gan_cli.check.config_folder as c; print(c.__file__); print(c.config_folder())",
    ]
    settings = {**os.environ, "PYTHONPATH": str(site)}
    shown = subprocess.run(where, cwd=tmp_path, env=settings, capture_output=True, text=True, check=True).stdout
    assert shown.splitlines() == [str(site / "gan_cli" / "check" / "config_folder.py"), str(site / "gan_cli" / "conf")]

    small = ["model=gan", *TINY["gan"], *QUICK, "trainer.device=cpu", "trainer.total_images=32", "hydra.run.dir=run"]
    done = run(site, tmp_path, "train", *small, "loss=wgan_gp")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "finished"
    done = run(site, tmp_path, "sample", "checkpoint=run", "count=4", "output=grid.png")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "grid.png").stat().st_size > 200
    refused = run(site, tmp_path, "train", "model=dcgann")
    assert refused.returncode == 2
    assert "did you mean dcgan" in refused.stderr


def test_a_users_own_model_joins_the_wheel_by_config_dir_and_trust(site: Path, tmp_path: Path) -> None:
    (tmp_path / "my_parts").mkdir()
    (tmp_path / "my_parts" / "__init__.py").write_text("")
    (tmp_path / "my_parts" / "networks.py").write_text(MODEL)
    (tmp_path / "my_conf" / "model").mkdir(parents=True)
    (tmp_path / "my_conf" / "model" / "mine.yaml").write_text(YAML.lstrip())
    typed = ["--config-dir", "my_conf", "model=mine", "model.discriminator.width=8", *QUICK, "trainer.device=cpu"]
    more = ["trainer.total_images=32", "hydra.run.dir=run", "penalty=r1"]

    done = run(site, tmp_path, "train", *typed, *more)
    assert done.returncode == 2
    assert "trust=[my_parts]" in done.stderr
    assert not (tmp_path / "run").exists()

    done = run(site, tmp_path, "train", *typed, *more, "trust=[my_parts]")
    assert done.returncode == 0, done.stdout + done.stderr
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["parts"]["model"] == "mine"
    assert record["parameters"]["generator"] == 100 * 12 * 2 + 12 * 2 + 12 * 64 + 64

    refused = run(site, tmp_path, "sample", "checkpoint=run", "output=grid.png")
    assert refused.returncode == 2
    assert "trust=[my_parts]" in refused.stderr
    assert not (tmp_path / "grid.png").exists()
    done = run(site, tmp_path, "sample", "checkpoint=run", "output=grid.png", "count=4", "trust=[my_parts]")
    assert done.returncode == 0, done.stdout + done.stderr

    done = run(site, tmp_path, "train", "resume=run", "trainer.total_images=48", "trust=[my_parts]")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((tmp_path / "run" / "run.json").read_text())["images"] == 48

    listed = run(site, tmp_path, "train", "--help", "--config-dir", "my_conf").stdout
    assert "  mine" in listed
    assert "My own generator against the usual critic" in listed
