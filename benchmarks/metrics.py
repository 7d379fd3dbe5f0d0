"""Time and memory of an Inception FID, next to torch-fidelity and pytorch-fid, in one alternating run.

    pip install torch-fidelity pytorch-fid
    python benchmarks/metrics.py                    # 500 + 500 pictures, 3 rounds of each; 10 to 20 minutes on 2 cores

Each measurement is a process, so that its peak memory is measured alone. All three use one randomly initialised
Inception on the same two folders of 64x64 PNG files: its distances mean nothing, its time and memory do. The distance
is timed at 2,048 dimensions on statistics of full rank. Absolute numbers belong to the machine; ratios are quoted.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy
import torch

TOOLS = ("gan_cli", "torch-fidelity", "pytorch-fid")
COUNT, SIDE, DIMENSIONS, RANK = 500, 64, 2048, 4096


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--worker", choices=TOOLS)
    parser.add_argument("--part", choices=("features", "distance"))
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(work(arguments.worker, arguments.part, arguments.folder)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lay_out(folder, arguments.count)
        measurements = {(tool, part): [] for tool in TOOLS for part in ("features", "distance")}
        for _ in range(arguments.rounds):
            for (tool, part), results in measurements.items():
                command = [sys.executable, __file__, "--worker", tool, "--part", part, "--folder", name]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                results.append(json.loads(done.stdout.splitlines()[-1]))
    print(table(measurements, arguments.count))


def table(measurements: dict[tuple[str, str], list[dict[str, Any]]], count: int) -> str:
    """Format the medians as a Markdown table, each also as a ratio to ours."""
    lines = [
        f"| tool | features of {count} + {count}, s | extrapolated to 10,000 + 10,000, min | distance, s | peak, MiB |",
        "|---|---:|---:|---:|---:|",
    ]
    median = {
        (tool, part, key): statistics.median(result[key] for result in results)
        for (tool, part), results in measurements.items()
        for key in ("seconds", "peak_mib")
    }

    def cell(tool: str, part: str, key: str) -> str:
        value, ours = median[tool, part, key], median["gan_cli", part, key]
        return f"{value:.3g}" + (f" ({value / ours:.2f}x)" if tool != "gan_cli" else "")

    for tool in TOOLS:
        minutes = median[tool, "features", "seconds"] * 10_000 / count / 60
        cells = [cell(tool, "features", "seconds"), f"{minutes:.0f}", cell(tool, "distance", "seconds")]
        lines.append(f"| {tool} | " + " | ".join([*cells, cell(tool, "features", "peak_mib")]) + " |")
    values = {tool: next(f"{result['value']:.10g}" for result in measurements[tool, "distance"]) for tool in TOOLS}
    lines += ["", "Distance of the same statistics: " + ", ".join(f"{tool} {value}" for tool, value in values.items())]
    return "\n".join(lines)


def lay_out(folder: Path, count: int) -> None:
    """Write two folders of pictures, the network's weights, and two sets of features."""
    from PIL import Image

    rng = numpy.random.default_rng(0)
    for side in "ab":
        (folder / side).mkdir()
        for number in range(count):
            coarse = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=numpy.uint8))
            coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(folder / side / f"{number:05d}.png")
    torch.manual_seed(0)
    torch.save(blank_inception().state_dict(), folder / "inception.pth")
    mix = rng.standard_normal((DIMENSIONS, DIMENSIONS)) / DIMENSIONS**0.5
    for number, side in enumerate("ab"):
        features = rng.standard_normal((RANK, DIMENSIONS)) @ (mix + number * 0.1 * numpy.eye(DIMENSIONS)) + 0.1 * number
        torch.save(torch.from_numpy(features).float(), folder / f"{side}.pt")


def blank_inception() -> torch.nn.Module:
    """Build torch-fidelity's Inception with random weights."""
    from unittest.mock import patch

    from torch_fidelity import feature_extractor_inceptionv3 as module

    with patch.object(module.FeatureExtractorInceptionV3, "load_state_dict"), patch.object(module.torch, "load"):
        return module.FeatureExtractorInceptionV3("inception", ["2048"], "none")


def work(tool: str, part: str, folder: Path) -> dict[str, Any]:
    torch.set_grad_enabled(False)
    value, seconds = {"features": features_of, "distance": distance_of}[part](tool, folder)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"value": value, "seconds": seconds, "peak_mib": peak}


def features_of(tool: str, folder: Path) -> tuple[float, float]:
    """Compute the features of both folders; return 0 and the seconds, without those of loading the network."""
    if tool == "gan_cli":
        from gan_cli.evaluation.folders import Side
        from gan_cli.evaluation.setting import Plan
        from gan_cli.metrics.features import Inception
        from gan_cli.metrics.gathered import Moments

        extractor = Inception(str(folder / "inception.pth"), sha256="")
        extractor.prepare(torch.device("cpu"))
        begun = time.perf_counter()
        for side in "ab":
            part = Moments()
            Side(side, folder / side, Plan()).gather([part], extractor)
            part.statistics.settle()
        return 0.0, time.perf_counter() - begun
    if tool == "torch-fidelity":
        from torch_fidelity.utils import create_feature_extractor, extract_featuresdict_from_input_id

        options = {"cuda": False, "verbose": False, "batch_size": 64, "samples_find_deep": False}
        options["feature_extractor_weights_path"] = str(folder / "inception.pth")
        extractor = create_feature_extractor("inception-v3-compat", ["2048"], **options)
        begun = time.perf_counter()
        for number, side in enumerate("ab", 1):
            where = {f"input{number}": str(folder / side)}
            features = extract_featuresdict_from_input_id(number, extractor, **options, **where)["2048"]
            numpy.cov(features.numpy(), rowvar=False)
        return 0.0, time.perf_counter() - begun
    from pytorch_fid import inception
    from pytorch_fid.fid_score import compute_statistics_of_path

    inception.load_state_dict_from_url = lambda *rest, **more: torch.load(folder / "inception.pth", weights_only=True)
    network = inception.InceptionV3([inception.InceptionV3.BLOCK_INDEX_BY_DIM[2048]]).eval()
    begun = time.perf_counter()
    for side in "ab":
        compute_statistics_of_path(str(folder / side), network, 50, 2048, "cpu", 1)
    return 0.0, time.perf_counter() - begun


def distance_of(tool: str, folder: Path) -> tuple[float, float]:
    """Compute the distance of two sets of full rank; return it and the seconds from the moments on."""
    a, b = (torch.load(folder / f"{side}.pt", weights_only=True).double() for side in "ab")
    moments = [(side.mean(0), torch.cov(side.T)) for side in (a, b)]
    begun = time.perf_counter()
    if tool == "gan_cli":
        from gan_cli.metrics.fid import frechet_distance

        begun = time.perf_counter()
        value = frechet_distance(*moments[0], *moments[1])
    elif tool == "torch-fidelity":
        from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_statistics_to_metric

        begun = time.perf_counter()
        sides = [{"mu": mean.numpy(), "sigma": covariance.numpy()} for mean, covariance in moments]
        value = fid_statistics_to_metric(*sides, verbose=False)[KEY_METRIC_FID]
    else:
        from pytorch_fid.fid_score import calculate_frechet_distance

        begun = time.perf_counter()
        value = calculate_frechet_distance(*(part.numpy() for side in moments for part in side))
    return float(value), time.perf_counter() - begun


if __name__ == "__main__":
    main()
