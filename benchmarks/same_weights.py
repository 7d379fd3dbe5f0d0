"""Whether two checkouts train the same bits: each command is run in both, and what the runs end in is compared.

    python benchmarks/same_weights.py OTHER_CHECKOUT                # all commands below
    python benchmarks/same_weights.py OTHER_CHECKOUT model=dcgan    # a command of yours

Compared are the tensors of the last checkpoint (networks, averages, optimizers), whatever they are called, and the
pictures in samples/. A command that ends in other bits is named, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

HERE = Path(__file__).resolve().parent.parent
TWO_STAGES = ["model.pretrain_images=64"]
GROWN = [
    *("model.growth.start=8", "model.growth.fade_images=64", "model.growth.stable_images=64"),
    *("model.generator.channel_base=512", "model.latent.size=32"),
]
COMMANDS = {
    "dcgan": ["model=dcgan"],
    "dcgan wgan_gp": ["model=dcgan", "loss=wgan_gp"],
    "gan": ["model=gan"],
    "cdcgan": ["model=cdcgan"],
    "unrolled ring": ["model=toy", "dataset=gaussians", "loss.unroll_steps=3"],
    "sngan auxiliary": ["model=sngan", "model.conditional=auxiliary", "model.generator.width=16"],
    "mode seeking": ["model=dcgan", "penalty=mode_seeking"],
    "cyclegan": ["model=cyclegan", "dataset=unpaired", "dataset.root={unpaired}", "model.a_to_b.width=8"],
    "pix2pix": ["model=pix2pix", "dataset=pairs", "dataset.root={pairs}", "model.generator.width=8"],
    "srgan": ["model=srgan", "dataset=degraded", "dataset.root={degraded}", "dataset.resolution=32", *TWO_STAGES],
    "inpainting": ["model=inpainting", "dataset=degraded", "dataset.root={degraded}", "dataset.resolution=32"],
    "stylegan2 ada": ["model=stylegan2", "augment=ada", "model.generator.channel_base=512", "model.latent.size=32"],
    "stylegan": ["model=stylegan", *GROWN],
    "progan": ["model=progan", *GROWN],
}  # fmt: skip
SMALL = [
    *("trainer.total_images=320", "trainer.batch_size=16", "trainer.log_every_images=32", "trainer.preview_samples=8"),
]


def tensors_of(node: Any) -> Iterator[torch.Tensor]:
    """Yield all tensors in nested containers."""
    if isinstance(node, torch.Tensor):
        yield node
    elif isinstance(node, (dict, list, tuple)):
        for item in node.values() if isinstance(node, dict) else node:
            yield from tensors_of(item)


def outcome(checkout: Path, command: Sequence[str]) -> Counter[str]:
    """Train a run in a checkout; count the digests of its last tensors and of its pictures."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
        call = [sys.executable, "-c", "from gan_cli.cli.train import main; main()"]
        done = subprocess.run(
            [*call, *command, *SMALL, "hydra.run.dir=run"], cwd=folder, env=environment, capture_output=True, text=True
        )
        if done.returncode:
            raise SystemExit(f"{checkout}: {' '.join(command)}\n{done.stdout}{done.stderr}")
        run = Path(folder) / "run"
        content = torch.load(max((run / "checkpoints").glob("images-*.pt")), weights_only=True)
        digests: Counter[str] = Counter()
        for tensor in tensors_of({key: content[key] for key in content if key not in ("config", "meter")}):
            digests[hashlib.sha256(f"{tensor.dtype} {tuple(tensor.shape)}".encode() + raw(tensor)).hexdigest()] += 1
        for picture in sorted((run / "samples").glob("*.png")):
            digests[f"{picture.name} {hashlib.sha256(picture.read_bytes()).hexdigest()}"] += 1
        return digests


def raw(tensor: torch.Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def lay_out(root: Path) -> dict[str, Path]:
    """Write small pictures of noise for the data sets that need a folder."""
    from PIL import Image

    generator = torch.Generator().manual_seed(0)

    def write(path: Path, side: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = torch.randint(0, 256, (side, side, 3), generator=generator, dtype=torch.uint8)
        Image.fromarray(pixels.numpy()).save(path)

    for number in range(12):
        for where in ("pairs/A", "pairs/B", "unpaired/trainA", "unpaired/trainB", "unpaired/testA", "unpaired/testB"):
            write(root / where / f"{number}.png", 32)
        write(root / "degraded" / f"{number}.png", 70)
    return {name: root / name for name in ("pairs", "unpaired", "degraded")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("other", type=Path, help="another checkout of this project")
    parser.add_argument("command", nargs="*", help="of gan-train; several commands of this file without")
    arguments, differing = parser.parse_args(), 0
    with tempfile.TemporaryDirectory() as folder:
        roots = lay_out(Path(folder))
        commands = {" ".join(arguments.command): arguments.command} if arguments.command else COMMANDS
        for name, command in commands.items():
            filled = [word.format(**roots) for word in command]
            ours, theirs = outcome(HERE, filled), outcome(arguments.other.resolve(), filled)
            apart = sum(((ours - theirs) + (theirs - ours)).values())
            differing += apart > 0
            print(f"{name:<16} {'the same' if apart == 0 else f'{apart} of {sum(ours.values())} DIFFER'}", flush=True)
    sys.exit(min(differing, 1))


if __name__ == "__main__":
    main()
