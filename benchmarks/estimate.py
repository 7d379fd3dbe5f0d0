"""Does `dry_run=true` tell the truth? Its time and memory beside those of the run that follows, for three models.

    python benchmarks/estimate.py            # about five minutes on 2 cores; leave the machine to it

Exit code 1 if a time or a peak of memory is off by more than a fifth.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

MOST_OFF = 0.2  # of the measured value
SMALL = ["model.generator.channel_base=512", "model.generator.channel_max=64", "model.latent.size=64"]
WIDE = ["model.generator.base_channels=32", "model.discriminator.base_channels=32"]
GROWTH = ["model.batch_sizes={4: 64, 8: 32}", "model.growth.fade_images=2_000", "model.growth.stable_images=2_000"]
RUNS = {  # images, and the rest of the command
    "dcgan": (40_000, WIDE),
    "stylegan2": (8_000, [*SMALL, "model.generator.style_size=64", "trainer.batch_size=16"]),
    "progan": (16_000, [*SMALL, *GROWTH, "trainer.batch_size=16"]),
}


def gan_train(*arguments: str) -> tuple[str, float]:
    """Run `gan-train`; return its output, and its peak of memory in MiB."""
    command = [sys.executable, "-c", "from gan_cli.cli.train import main; main()", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    text = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"gan-train {' '.join(arguments)} failed")
    return text, used.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", default=list(RUNS), choices=list(RUNS))
    good = True
    print("| model | seconds, told | seconds, taken | off by | MiB, told | MiB, taken | off by |")
    print("|---|---:|---:|---:|---:|---:|---:|", flush=True)
    for name in parser.parse_args().only:
        images, more = RUNS[name]
        command = [f"model={name}", "dataset.resolution=32", *more, f"trainer.total_images={images}"]
        report, _ = gan_train(*command, "dry_run=true")
        seconds = float(re.search(r"time +([\d.]+) s for 1,000", report).group(1)) * images / 1000  # type: ignore[union-attr]
        memory = float(re.search(r"memory +([\d,]+) MiB", report).group(1).replace(",", ""))  # type: ignore[union-attr]
        with tempfile.TemporaryDirectory() as folder:
            _, peak = gan_train(*command, f"hydra.run.dir={folder}/run")
            taken = json.loads((Path(folder) / "run" / "run.json").read_text())["seconds"]
        off = seconds / taken - 1, memory / peak - 1
        good = good and max(map(abs, off)) <= MOST_OFF
        cells = [f"{seconds:.0f}", f"{taken:.0f}", f"{off[0]:+.0%}", f"{memory:,.0f}", f"{peak:,.0f}", f"{off[1]:+.0%}"]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
