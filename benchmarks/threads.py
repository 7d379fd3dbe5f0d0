"""Images a second by how many threads there are and how they wait, on a machine that is idle and on one that is not.

    python benchmarks/threads.py            # about half an hour on 2 cores; leave the machine to it
    python benchmarks/threads.py --images 4000 --rounds 1 --busy 0 1    # to see that it works

Each way is a separate `gan-train`. All ways run in turn, in several rounds, beside a number of programs that do nothing
but compute. "As torch does it" is as many threads as there are cores, with GNU OpenMP's default spinning.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

MAIN = "from gan_cli.cli.train import main; main()"
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY")
GNU_SPINS = "300000"  # GNU OpenMP's default
WAYS = {  # environment variables; without any, the command chooses the threads
    "as torch does it": {"OMP_NUM_THREADS": str(CORES), "GOMP_SPINCOUNT": GNU_SPINS},
    "OMP_WAIT_POLICY=passive": {"OMP_NUM_THREADS": str(CORES), "OMP_WAIT_POLICY": "passive"},
    "GOMP_SPINCOUNT=1000": {"OMP_NUM_THREADS": str(CORES), "GOMP_SPINCOUNT": "1000"},
    "one thread": {"OMP_NUM_THREADS": "1"},
    "the command's choice": {},
}


@contextmanager
def busy_programs(count: int) -> Iterator[None]:
    """Run `count` programs beside, each of which keeps a core busy, while the context is open."""
    started = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def images_a_second(way: dict[str, str], images: int, options: Sequence[str]) -> tuple[float, int]:
    """Train a run; return its median images a second, without the first log point, and its number of threads."""
    environment = {**{name: value for name, value in os.environ.items() if name not in VARIABLES}, **way}
    with tempfile.TemporaryDirectory() as folder:
        cadence = [f"trainer.log_every_images={max(64, images // 8)}", "trainer.sample_every_images=0"]
        command = [f"trainer.total_images={images}", *cadence, f"hydra.run.dir={folder}/run", *options]
        subprocess.run([sys.executable, "-c", MAIN, *command], env=environment, check=True, capture_output=True)
        lines = (Path(folder) / "run" / "scalars.jsonl").read_text().splitlines()
        rates = [rate for line in lines if (rate := json.loads(line).get("images_per_second")) is not None]
        return statistics.median(rates[1:]), json.loads((Path(folder) / "run" / "run.json").read_text())["threads"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=20_000, help="of each run")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--busy", type=int, nargs="*", default=[0, 1, 2], help="programs beside it")
    parser.add_argument("options", nargs="*", help="of gan-train; its defaults without")
    arguments = parser.parse_args()
    rates: dict[tuple[str, int], list[float]] = {}
    counts: dict[tuple[str, int], set[int]] = {}
    for _ in range(arguments.rounds):
        for busy in arguments.busy:
            for name, way in WAYS.items():
                with busy_programs(busy):
                    rate, count = images_a_second(way, arguments.images, arguments.options)
                rates.setdefault((name, busy), []).append(rate)
                counts.setdefault((name, busy), set()).add(count)
                print(f"{name}, {busy} beside: {rate:,.0f} images/s in {count} threads", file=sys.stderr, flush=True)
    print(f"images/s, median of {arguments.rounds} rounds (least to most), {CORES} cores")
    print("| | " + " | ".join(f"beside {busy} busy programs" if busy else "idle" for busy in arguments.busy) + " |")
    print("|---|" + "---:|" * len(arguments.busy))
    for name in WAYS:
        cells = []
        for busy in arguments.busy:
            values = rates[name, busy]
            thread_counts = "/".join(map(str, sorted(counts[name, busy])))
            cells.append(
                f"{statistics.median(values):,.0f} ({min(values):,.0f} to {max(values):,.0f})"
                + (f", {thread_counts} threads" if not WAYS[name] else "")
            )
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
