"""TensorBoard as a person sees it: a sweep in a headless browser, and what is written for it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import QUICK, TINY, compose_plain
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata

from gan_cli.base.scoring import Score, append_scores
from gan_cli.run.log import Curves, hyperparameters, show_evaluated
from gan_cli.run.start import readable

Run = Callable[..., subprocess.CompletedProcess[str]]
Seen = list[dict[str, Any]]

# ---- what is written ----


def test_the_hyperparameters_are_few_with_short_names() -> None:
    typed = ["model.generator.base_channels=32", "penalty=[r1]", "optimizer.betas=[0,0.9]", "metric=[ms_ssim]"]
    config = compose_plain(*typed, "trainer.log_every_images=7", "dataset.flip=true", "seed=3")
    keys = ["model.generator.base_channels", "penalty", "optimizer.betas", "metric", "trainer.log_every_images"]
    found = hyperparameters(config, [*keys, "dataset.flip", "seed", "no.such.key"])
    assert found == {
        **{"model": "dcgan", "loss": "nonsaturating", "dataset": "digits", "optimizer": "adam", "trainer": "default"},
        **{"augment": "none", "perceptual": "none", "experiment": "none", "penalty": "r1"},
        **{"seed": "3", "total_images": config["trainer"]["total_images"], "batch_size": 64, "learning_rate": 0.0002},
        **{"generator.base_channels": 32, "betas": "[0, 0.9]", "dataset.flip": "True"},
    }
    assert len(hyperparameters(config)) == len(found) - 3
    assert hyperparameters(compose_plain())["penalty"] == "none"


def test_the_config_to_be_read_is_yaml_without_declarations() -> None:
    config = compose_plain("penalty=[r1]", "metric=[ms_ssim]")
    text = readable(config)
    assert yaml.safe_load(text)["model"]["latent"] == config["model"]["latent"]
    assert "betas: [0.5, 0.999]" in text
    assert not re.search(r"\b(provides|requires|brings|recommends)\b", text)
    assert "provides" in config["dataset"]


def events(folder: Path) -> EventAccumulator:
    read = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    return read.Reload()


def points(folder: Path, tag: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in events(folder).Scalars(tag)]


def test_a_run_writes_its_row_but_no_list_of_columns(tmp_path: Path) -> None:
    """Of several runs' lists TensorBoard takes one: another run's scores and keys would then have no column."""
    curves = Curves(tmp_path, 0)
    curves.describe(compose_plain(), "text")
    curves.scalars(10, {"loss/generator": 1.0, "score/fid": 2.0, "held_out/psnr": 3.0})
    read = events(tmp_path)
    assert set(read.PluginTagToContent(metadata.PLUGIN_NAME)) == {metadata.SESSION_START_INFO_TAG}
    assert read.Tags()["scalars"] == ["loss/generator", "Score/fid", "Held_out/psnr"], "capitals come first in HPARAMS"
    assert json.loads((tmp_path / "scalars.jsonl").read_text()).keys() >= {"score/fid", "held_out/psnr"}


def scored(value: float, images: int, count: int = 10, checkpoint: str | None = "checkpoints/some.pt") -> list[Score]:
    return [Score("fid", value, "lower", images, checkpoint, {"count": count})]


def test_what_gan_evaluate_found_is_shown_in_the_order_of_images(tmp_path: Path) -> None:
    curves = Curves(tmp_path, 0)
    curves.scalars(400, {"score/fid": 7.0})
    for found in (scored(9.0, 400, checkpoint=None), scored(1.0, 400), scored(2.0, 200), scored(3.0, 400)):
        append_scores(tmp_path, found)
        show_evaluated(tmp_path)
    assert points(tmp_path, "Evaluated/fid") == [(200, 2.0), (400, 3.0)]
    assert points(tmp_path, "Score/fid") == [(400, 7.0)], "training's own are left as they are"
    assert len(list(tmp_path.glob("*tfevents*"))) == 2
    append_scores(tmp_path, scored(5.0, 300, count=99))
    show_evaluated(tmp_path)
    assert points(tmp_path, "Evaluated/fid") == [(300, 5.0)], "scores of two protocols make no curve"


def test_scores_make_no_curves_in_a_folder_without(tmp_path: Path) -> None:
    append_scores(tmp_path, scored(1.0, 400))
    show_evaluated(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]


# ---- in a browser ----

VISIBLE = """
const found = [];
(function walk(node) {
  for (const e of node.querySelectorAll('*')) {
    const box = e.getBoundingClientRect();
    const text = [...e.childNodes].filter(c => c.nodeType === 3).map(c => c.textContent.trim()).join(' ').trim();
    const kind = e.tagName.toLowerCase(), style = String(e.className.baseVal ?? e.className);
    if (box.width && box.height && kind !== 'style')
      found.push({kind, style, id: e.id, text, x: box.x, y: box.y, loaded: e.naturalWidth || 0, max: e.max || 0});
    if (e.shadowRoot) walk(e.shadowRoot);
  }
})(document);
return found;
"""
ARGUMENTS = [
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--no-proxy-server"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
    "--window-size=2200,1400",
]
SWEEP = [
    *("-m", "model=gan", "loss=nonsaturating,hinge", "dataset.resolution=16", *TINY["gan"], *QUICK),
    *("trainer.total_images=64", "trainer.sample_every_images=32", "metric=[ms_ssim]", "trainer.evaluate_count=20"),
    *("trainer.evaluate_every_images=32", "trainer.device=cpu", "hydra.sweep.dir=sweep"),
]


def until(look: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    """The first thing that is found."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.1)
    raise AssertionError(f"{what} did not come in {seconds} s")


def asked(url: str) -> Any:
    """The JSON there; None while nobody answers."""
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(url, timeout=10) as answer:
            return json.load(answer)
    except OSError:
        return None


@contextmanager
def tensorboard(folder: Path, log: Path) -> Iterator[str]:
    """Its address, once it has read all that the runs hold."""
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder), "--host", "127.0.0.1", "--port", "0"]
    with open(log, "w") as file, subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT) as process:
        try:
            there = until(lambda: re.search(r"http://127\S+", log.read_text()), "TensorBoard")[0]
            until(
                lambda: sum("Evaluated/ms_ssim" in tags for tags in tags_of(there).values()) == 2,
                "both runs in TensorBoard",
            )
            yield there
        finally:
            process.terminate()


def tags_of(address: str) -> dict[str, Any]:
    return asked(f"{address}data/plugin/scalars/tags") or {}


@contextmanager
def browser(profile: Path) -> Iterator[Any]:
    """Chromium without a screen."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="the browser test needs selenium")
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("the browser test needs chromium and chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for argument in [*ARGUMENTS, f"--user-data-dir={profile}"]:
        options.add_argument(argument)
    window = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        window.set_page_load_timeout(60)
        window.set_script_timeout(60)
        yield window
    finally:
        window.quit()


@pytest.mark.slow
def test_a_sweep_in_tensorboard(tmp_path: Path, run_command: Run) -> None:
    with browser(tmp_path / "profile") as window:
        for name, arguments in {
            "gan-train": SWEEP,
            "gan-evaluate": ["sweep=sweep", "metric=[ms_ssim]", "count=24", "device=cpu"],
        }.items():
            done = run_command(name, *arguments)
            assert done.returncode == 0, done.stdout + done.stderr
        cells = {
            json.loads(file.read_text())["parts"]["loss"]: file.parent for file in tmp_path.glob("sweep/*/run.json")
        }
        assert set(cells) == {"nonsaturating", "hinge"}
        with tensorboard(tmp_path / "sweep", tmp_path / "tensorboard.log") as address:
            window.get(f"{address}#timeseries")

            def look(tab: str, enough: Callable[[Seen], Any]) -> Seen:
                window.execute_script("location.hash = arguments[0]", tab)
                return until(
                    lambda: (seen := window.execute_script(VISIBLE)) and enough(seen) and seen, f"the tab {tab}"
                )

            check_curves(look("timeseries", lambda seen: count(seen, "canvas")), cells)
            # a curve for each player of each cell, on one chart
            look("custom_scalars", lambda seen: has(seen, "all players") and count(seen, "path", style="line") >= 8)
            check_images(look("images", lambda seen: sum(found["loaded"] > 0 for found in seen) >= 4), cells)
            check_table(look("hparams", lambda seen: len(rows_of(seen)) == 3), cells)
            text = look("text", lambda seen: any("latent_size" in found["text"] for found in seen))
            assert any("loss: {_target_: gan_cli.losses" in found["text"] for found in text)


def has(seen: Seen, *texts: str) -> bool:
    return {found["text"] for found in seen} >= set(texts)


def count(seen: Seen, kind: str, style: str = "") -> int:
    return sum(found["kind"] == kind and style in [*found["style"].split(" "), ""] for found in seen)


def check_curves(seen: Seen, cells: dict[str, Path]) -> None:
    assert has(seen, *(cell.name for cell in cells.values())), "the cells' names"
    groups = [found["text"] for found in sorted(seen, key=lambda found: found["y"])]
    assert groups.index("Evaluated") < groups.index("Score") < groups.index("discriminator"), "scores come first"


def check_images(seen: Seen, cells: dict[str, Path]) -> None:
    assert has(seen, "samples", "training_data", *(cell.name for cell in cells.values()))
    sliders = [found for found in seen if found["kind"] == "paper-slider" and found["id"] == "steps"]
    assert [slider["max"] for slider in sliders] == [1, 1], "a slider over two grids for each cell's samples"


def rows_of(seen: Seen) -> list[list[str]]:
    """Of the table in HPARAMS, the head first; boxes to tick have no text."""
    rows: dict[bool | float, list[dict[str, Any]]] = {}
    for found in seen:
        style = found["style"].split(" ")
        if "table-cell" in style and found["text"]:
            rows.setdefault("table-header" in style or found["y"], []).append(found)
    ordered = sorted(rows.items(), key=lambda row: (row[0] is not True, row[0]))
    return [[found["text"] for found in sorted(row, key=lambda found: found["x"])] for _, row in ordered]


def check_table(seen: Seen, cells: dict[str, Path]) -> None:
    head, *rows = rows_of(seen)
    head.remove("Show Metrics")
    assert head[:2] == ["Trial ID", "loss"], "in what cells differ comes first"
    table = {row[1]: dict(zip(head, row, strict=True)) for row in rows}
    assert set(table) == set(cells)
    for loss, cell in cells.items():
        lines = [json.loads(line) for line in (cell / "metrics.jsonl").read_text().splitlines()]
        values = {line["checkpoint"] is None: line["value"] for line in lines if line["name"] == "ms_ssim"}
        assert table[loss]["Trial ID"] == cell.name
        assert float(table[loss]["Score/ms_ssim"]) == pytest.approx(values[True], rel=1e-3), "the last in training"
        assert float(table[loss]["Evaluated/ms_ssim"]) == pytest.approx(values[False], rel=1e-3)
