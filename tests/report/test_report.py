"""`gan-report`: hand-made run folders with numbers that were worked out by hand."""

from __future__ import annotations

import base64
import csv
import fcntl
import io
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from PIL import Image

from gan_cli.base.errors import UserError
from gan_cli.base.run_folder import cells_in, is_sweep
from gan_cli.cli import evaluate, outcome
from gan_cli.cli.help import report_help
from gan_cli.report.curves import MOST_POINTS, Line, panel, thinned, tick_words, ticks, value_range
from gan_cli.report.grids import as_uri
from gan_cli.report.listing import Listing
from gan_cli.report.page import as_html
from gan_cli.report.parameters import differing
from gan_cli.report.runs import best_of, finite, read_run, runs_below
from gan_cli.report.sweep import Sweep, read_sweep
from gan_cli.report.text import clean, decimals_for, hours, listed, markdown, number, size, spoken
from gan_cli.report.written import as_csv, as_markdown, cells_table

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def score(
    name: str, value: Any, images: int | None, better: str | None = "lower", split: str = "train", seed: int = 0
) -> str:
    """A line of metrics.jsonl; the digest is of the split alone."""
    protocol = {"real": {"dataset": "digits", "split": split}, "fake": {"count": 100}, "seed": seed}
    entry = {"name": name, "value": value, "better": better, "images": images, "checkpoint": None}
    return json.dumps({**entry, "protocol": protocol, "protocol_digest": f"digest-of-{split}"}) + "\n"


def cell(
    folder: Path, loss: str = "hinge", seed: int = 0, scores: str = "", status: str = "finished", **config: Any
) -> Path:
    """A run folder as gan-train leaves it: two log points, a grid, and these scores."""
    choices = {"model": "dcgan", "loss": loss, "dataset": "digits", "penalty": []}
    keys = {"loss": {"_target_": f"losses.{loss}", "n_critic": len(loss)}, "optimizer": {"learning_rate": 0.1}}
    keys |= {"seed": seed, "name": folder.name, "choices": choices, "trainer": {"device": f"cuda:{seed}"}}
    record = {"status": status, "parts": choices, "images": 100, "total_images": 200, "seconds": 3725.0, "seed": seed}
    record |= {"parameters": {"generator": 12345}, "started": f"2026-11-{10 + seed:02d}T12:00:00+0000", "error": None}
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(record))
    (folder / "config.json").write_text(json.dumps({**keys, **config}))
    lines = [{"images": n, "loss/generator": n / 10 + seed, "loss/discriminator": 1.0, "other": 7} for n in (50, 100)]
    (folder / "scalars.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "samples").mkdir()
    for images in (50, 100):
        Image.new("RGB", (700, 350), (images, 0, 0)).save(folder / "samples" / f"images-{images:09d}.png")
    if scores:
        (folder / "metrics.jsonl").write_text(scores)
    return folder


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """Hinge: 10 and 14 in the end (12, spread sqrt(8)), 9 on the way; wgan: 20; lsgan: diverged with no score."""
    root = tmp_path / "first"
    cell(root / "a", "wgan", 0, score("fid", 30, 50) + score("fid", 20, 100))
    cell(root / "b", "hinge", 0, score("fid", 9, 50) + score("fid", 10, 100))
    cell(root / "c", "hinge", 1, score("fid", 18, 50) + score("fid", 14, 100))
    cell(root / "d", "lsgan", 0, status="diverged")
    return root


def rows_of(text: str, title: str) -> list[list[str]]:
    """The cells of the Markdown table below a heading that starts so."""
    block = text.split(f"## {title}")[1].split("\n\n")[1]
    return [[part.strip() for part in line.strip("|").split("|")] for line in block.splitlines()]


# ---- tables ----


def test_cells_that_lie_deeper_are_found_and_links_are_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "deep"
    elsewhere = cell(tmp_path / "elsewhere", "wgan", 0, score("fid", 1, 100))
    for seed in (0, 1):
        cell(folder / "fixed" / f"seed-{seed}", "hinge", seed, score("fid", 10 + seed, 100))
    assert cells_in(folder) == []
    assert not is_sweep(folder), "it may be any folder of runs"
    with pytest.raises(UserError, match=r"has no cells: .* runs=\S+deep looks deeper"):
        read_sweep(folder)
    with pytest.raises(UserError, match=r"is not a sweep's folder: it holds 2 runs, .*fixed/seed-1"):
        evaluate.of_sweep({}, folder)
    (folder / "seed-2").symlink_to(elsewhere)
    (folder / "more").symlink_to(tmp_path)
    (folder / ".lock").touch()
    assert is_sweep(folder), "a sweep was in it"
    sweep = read_sweep(folder)
    assert [run.name for run in sweep.cells] == ["fixed/seed-0", "fixed/seed-1"]
    assert "seed-2 is a link to a run, and no cell of this sweep." in sweep.notes
    assert cells_in(folder) == [folder / "fixed" / "seed-0", folder / "fixed" / "seed-1"]


def test_gan_evaluate_scores_cells_that_lie_deeper(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    scored: list[Path] = []
    monkeypatch.setattr(evaluate, "of_checkpoint", lambda wanted, where, known: scored.append(where) or [])
    monkeypatch.setattr(outcome, "code", 0)
    cells = [cell(tmp_path / "deep" / "fixed" / f"seed-{seed}", "hinge", seed) for seed in (0, 1)]
    (tmp_path / "deep" / "seed-2").symlink_to(cells[0])
    (tmp_path / "deep" / ".lock").touch()
    assert list(evaluate.of_sweep({}, tmp_path / "deep")) == list(map(str, cells))
    assert scored == cells
    said = capsys.readouterr()
    assert "[2 of 3] fixed/seed-1" in said.out
    assert "it is a link" in said.err


def test_mean_and_spread_are_over_seeds_and_the_best_row_is_first(sweep: Path) -> None:
    found = read_sweep(sweep)
    assert found.parameters == ["loss"], "not the keys below the group, nor the seed, nor the device"
    (table,) = found.tables
    first, second = table.rows
    assert (first.setting.values, first.mean, first.counted()) == (("hinge",), 12.0, "2")
    assert first.spread == pytest.approx(8**0.5), "(10-12)^2 + (14-12)^2 over 2 - 1"
    assert first.best is not None
    assert (first.best.value, first.best.images) == (9, 50)
    assert (second.setting.values, second.mean, second.spread) == (("wgan",), 20.0, None)

    header, _, *rows = rows_of(as_markdown(found), "fid ")
    assert header == ["loss", "seeds", "mean", "spread", "best", "best at", "scored at"]
    assert rows[0] == ["hinge", "2", "12.00", "2.83", "9.00", "50", "100"]
    assert rows[1] == ["wgan", "1", "20.00", "none (n=1)", "20.00", "100", "100"]


def test_at_best_takes_each_cells_best(sweep: Path) -> None:
    (table,) = read_sweep(sweep, at="best").tables
    assert [(row.mean, row.images()) for row in table.rows] == [(11.5, [50, 100]), (20.0, [100])]
    assert "at=best" in as_markdown(read_sweep(sweep, at="best"))
    assert "at=newest" in as_markdown(read_sweep(sweep))


@pytest.mark.parametrize(("better", "order"), [("lower", [1, 2, 3]), ("higher", [3, 2, 1]), (None, [3, 1, 2])])
def test_rows_are_sorted_by_the_better_end(better: str | None, order: list[int], tmp_path: Path) -> None:
    for name, loss, value in (("a", "wgan", 3), ("b", "hinge", 1), ("c", "lsgan", 2)):
        cell(tmp_path / name, loss, 0, score("x", value, 50, better))
    (table,) = read_sweep(tmp_path).tables
    assert [row.mean for row in table.rows] == order
    assert (table.rows[0].best is None) == (better is None)


def test_by_names_the_score_that_leads(sweep: Path) -> None:
    with open(sweep / "a" / "metrics.jsonl", "a") as file:
        file.write(score("precision", 0.9, 100, "higher") + score("count", 3, 100, None))
    assert [table.name for table in read_sweep(sweep).tables] == ["fid", "precision", "count"]
    led = read_sweep(sweep, by="precision")
    assert [table.name for table in led.tables] == ["precision", "fid", "count"]
    assert [setting.values[0] for setting in led.settings] == ["wgan", "hinge", "lsgan"]


def test_a_score_with_a_better_end_leads_one_without(tmp_path: Path) -> None:
    cell(tmp_path / "a", scores=score("count", 3, 50, None) + score("fid", 3, 50))
    assert [table.name for table in read_sweep(tmp_path).tables] == ["fid", "count"]


def test_unlike_protocols_stand_in_tables_of_their_own_and_the_report_says_why(sweep: Path) -> None:
    with open(sweep / "a" / "metrics.jsonl", "a") as file:
        file.write(score("fid", 5, 100, split="test"))
    found = read_sweep(sweep)
    assert [(table.digest, len(table.rows)) for table in found.tables] == [
        ("digest-of-train", 2),
        ("digest-of-test", 1),
    ]
    assert [table.title for table in found.tables] == ["fid, real.split train", "fid, real.split test"]
    text = as_markdown(found)
    assert "their protocols differ in real.split (train against test)." in text
    assert "fake.count" not in found.notes[0]


def test_seed_and_versions_of_a_protocol_part_no_tables(sweep: Path) -> None:
    (sweep / "a" / "metrics.jsonl").write_text(score("fid", 20, 100, seed=7))
    (table,) = read_sweep(sweep).tables
    assert table.protocol["seed"] == "0 or 7"


def test_the_last_of_equal_lines_counts(sweep: Path) -> None:
    with open(sweep / "a" / "metrics.jsonl", "a") as file:
        file.write(score("fid", 1, 100))
    (table,) = read_sweep(sweep).tables
    assert [row.mean for row in table.rows] == [1.0, 12.0]


def test_a_torn_last_line_is_passed_over_and_other_broken_lines_are_said(sweep: Path) -> None:
    good = (sweep / "a" / "metrics.jsonl").read_text()
    (sweep / "a" / "metrics.jsonl").write_text(good + good[:40])
    assert read_sweep(sweep).tables[0].rows[1].mean == 20
    assert not any("broken" in note for note in read_sweep(sweep).notes)
    (sweep / "a" / "metrics.jsonl").write_text('{"na\n' + good + "[3]\n" + score("fid", None, 100) + good[:40])
    notes = " ".join(read_sweep(sweep).notes)
    assert "a: lines 1, 4 are broken and left out of metrics.jsonl." in notes
    assert "a: line 5 of metrics.jsonl is no score and is left out." in notes
    assert read_sweep(sweep).tables[0].rows[1].mean == 20


@pytest.mark.parametrize("value", [None, True, "12", float("nan"), float("inf"), [1]])
def test_what_is_no_finite_number_is_no_score(value: Any) -> None:
    assert finite(value) is None


def test_cells_that_did_not_finish_or_have_no_score_are_listed(sweep: Path) -> None:
    cell(sweep / "e", "hinge", 2, status="failed")
    cell(sweep / "f", "hinge", 3, score("fid", 12, 50), status="interrupted")
    (sweep / "g").mkdir()
    (sweep / "g" / "run.json").write_text('{"stat')
    (sweep / "h").mkdir()
    (sweep / "h" / "config.json").write_text("{}")
    (sweep / "no run").mkdir()
    found = read_sweep(sweep)
    assert found.tables[0].rows[0].counted() == "3 of 4, 1 interrupted"
    rows = {row[-1]: row[2] for row in rows_of(as_markdown(found), "Cells")[2:]}
    assert rows == {
        **dict.fromkeys("abc", "finished"),
        **{"d": "diverged", "e": "failed", "f": "interrupted", "g": "unreadable", "h": "not started"},
    }
    notes = " ".join(found.notes)
    for words in ("4 cells have no score", "2 cells have no readable config", "g: its run.json can't be read."):
        assert words in notes
    lines = list(csv.DictReader(io.StringIO(as_csv(found))))
    assert [line["status"] for line in lines] == ["1 failed, 2 finished, 1 interrupted", "1 finished", "1 diverged",
                                                  "1 unreadable", "1 not started"]  # fmt: skip


def test_without_scores_there_are_final_losses_and_the_way_to_scores(tmp_path: Path) -> None:
    root = tmp_path / "first"
    cell(root / "a", "hinge", 0)
    cell(root / "b", "hinge", 3)
    cell(root / "c", "wgan", 0)
    text = as_markdown(read_sweep(root))
    header, _, *rows = rows_of(text, "Final losses")
    assert header == ["loss", "cells", "discriminator", "generator"]
    assert rows == [["hinge", "2 finished", "1.000", "11.50"], ["wgan", "1 finished", "1.000", "10.00"]]
    assert f"gan-evaluate sweep={root} metric=[fid] features=classifier" in text
    assert "gan-evaluate" in as_html(read_sweep(root))


def test_the_csv_has_all_digits(sweep: Path) -> None:
    lines = list(csv.DictReader(io.StringIO(as_csv(read_sweep(sweep)))))
    assert [line["loss"] for line in lines] == ["hinge", "wgan", "lsgan"]
    assert float(lines[0]["spread"]) == 8**0.5
    expected = {"score": "fid", "protocol": "digest-of-train", "better": "lower", "at": "newest", "scored": "2"}
    expected |= {"mean": "12.0", "best": "9", "best_images": "50", "most_images": "100", "cells": "2"}
    assert expected.items() <= lines[0].items()
    assert lines[0]["final_loss_generator"] == "10.5"
    assert (lines[1]["spread"], lines[2]["mean"], lines[2]["status"]) == ("", "", "1 diverged")


@pytest.mark.parametrize("odd", [None, 3, "x", [1], {"a": {"b": None}}, 10**400, -1])
@pytest.mark.parametrize(
    "key", ["parts", "parameters", "images", "total_images", "seconds", "seed", "status", "started"]
)
def test_a_run_json_of_another_making_is_still_reported(key: str, odd: Any, sweep: Path) -> None:
    record = json.loads((sweep / "a" / "run.json").read_text())
    (sweep / "a" / "run.json").write_text(json.dumps({**record, key: odd}))
    (sweep / "a" / "config.json").write_text(json.dumps({"choices": odd, "loss": odd}))
    found = read_sweep(sweep)
    assert "20.00" in as_markdown(found)
    assert "20.00" in as_html(found)
    assert "fid 20.00" in Listing(sweep).as_markdown()


# ---- parameters ----


def test_a_choice_hides_what_follows_from_it_and_shows_what_does_not() -> None:
    cells = [
        {"loss": loss, "loss.n": len(loss), "rate": rate, "note": "same", "model.depth": 1 if loss == "wgan" else None}
        for loss in ("wgan", "hinge")
        for rate in (1, 2)
    ]
    assert differing(cells, {"loss"}, set()) == ["loss", "rate"]
    assert differing(cells, {"loss"}, {"loss.n"}) == ["loss", "loss.n", "rate"], "what was typed is shown"


def test_a_key_below_a_group_is_shown_where_equal_choices_differ_in_it() -> None:
    cells = [{"loss": "wgan", "loss.n": n} for n in (1, 5)] + [{"loss": "hinge", "loss.n": 1}]
    assert differing(cells, {"loss"}, set()) == ["loss", "loss.n"]


def test_what_was_typed_explains_what_was_not() -> None:
    cells = [{"dataset.resolution": n, "model.a.resolution": n, "model.b.resolution": n} for n in (16, 32)]
    assert differing(cells, set(), {"dataset.resolution"}) == ["dataset.resolution"]
    assert len(differing(cells, set(), set())) == 3


def test_an_experiment_explains_the_choices_it_makes() -> None:
    cells = [{"experiment": name, "model": name * 2, "loss": loss} for name in "ab" for loss in ("hinge", "wgan")]
    assert differing(cells, {"experiment", "model", "loss"}, {"experiment", "loss"}) == ["experiment", "loss"]


def test_a_missing_key_is_told_from_null() -> None:
    assert differing([{"clip": None}, {}], set(), set()) == ["clip"]


def test_cells_that_differ_in_their_seeds_alone_are_one_setting(tmp_path: Path) -> None:
    for seed in range(3):
        cell(tmp_path / str(seed), seed=seed, scores=score("fid", seed, 100))
    found = read_sweep(tmp_path)
    assert found.parameters == []
    assert rows_of(as_markdown(found), "fid ")[2][:4] == ["all cells", "3", "1.000", "1.000"]


def test_penalties_and_typed_keys_are_read_from_the_folder(tmp_path: Path) -> None:
    for name, penalties in (("a", []), ("b", ["r1", "r2"])):
        folder = cell(tmp_path / name, choices={"model": "dcgan", "penalty": penalties})
        (folder / ".hydra").mkdir()
        (folder / ".hydra" / "overrides.yaml").write_text(f"- penalty=[{','.join(penalties)}]\n- seed=0\n")
    assert [setting.values for setting in read_sweep(tmp_path).settings] == [("[]",), ("[r1,r2]",)]


# ---- the page ----


class Page(HTMLParser):
    """Checks that tags close in order, and collects attributes and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def test_the_page_stands_alone(sweep: Path) -> None:
    text = as_html(read_sweep(sweep))
    page = Page(text)
    tags = [tag for tag, _ in page.tags]
    assert not {"script", "link", "iframe", "object", "base"} & set(tags)
    for tag, attributes in page.tags:
        for name in ("src", "href", "srcset", "data", "action", "xlink:href"):
            if attributes.get(name):
                assert (tag, name) == ("img", "src")
                assert str(attributes[name]).startswith("data:image/png;base64,")
        assert not [name for name in attributes if name.startswith("on")]
    assert "url(" not in text
    assert "@import" not in text
    assert "http" not in text
    assert tags.count("img") == tags.count("article") == 4
    assert "prefers-color-scheme: dark" in text
    for words in (
        "12.00",
        "± 2.83",
        "loss=hinge",
        "digest-of-train",
        "dataset digits, split train",
        "images seen",
        "diverged",
        "1:02 h",
    ):
        assert words in page.words, words
    lead = "8.00 ahead of loss=wgan, more than the spread over seeds (2.83), but one of the two has one seed alone"
    assert lead in page.words


def test_the_lead_is_weighed_against_the_seeds(tmp_path: Path) -> None:
    for name, loss, seed, value in (("a", "hinge", 0, 10), ("b", "hinge", 1, 14), ("c", "wgan", 0, 13)):
        cell(tmp_path / name, loss, seed, score("fid", value, 100))
    assert (
        "1.00 ahead of loss=wgan, no more than the spread over seeds (2.83)"
        in Page(as_html(read_sweep(tmp_path))).words
    )
    (tmp_path / "b" / "metrics.jsonl").unlink()
    assert "with one seed each, nobody knows if that is chance" in Page(as_html(read_sweep(tmp_path))).words


def test_last_grids_are_inside_and_at_most_512_wide(sweep: Path) -> None:
    found = re.findall(r'src="data:image/png;base64,([^"]+)"', as_html(read_sweep(sweep)))
    with Image.open(io.BytesIO(base64.b64decode(found[0]))) as image:
        assert image.size == (512, 256)
        assert image.convert("RGB").getpixel((0, 0)) == (100, 0, 0), "that of 100 images"


def test_a_grey_grid_loses_nothing_and_a_torn_one_is_said(sweep: Path) -> None:
    Image.new("RGB", (40, 20), (9, 9, 9)).save(sweep / "grey.png")
    uri, shape = as_uri(sweep / "grey.png", 512) or ("", (0, 0))
    with Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) as image:
        assert (image.mode, image.size, image.getpixel((3, 3))) == ("L", shape, 9)
    (sweep / "a" / "samples" / "images-000000200.png").write_bytes(b"\x89PNG\r\n\x1a\n torn")
    assert "images-000000200.png can't be read" in Page(as_html(read_sweep(sweep))).words


EVIL = "<script>alert('1')</script>\"onload=\"&|"


def evil_sweep(root: Path, scored: bool) -> Path:
    """Two cells with markup in every text that a page shows; no file's name can hold a `/`."""
    root /= '<script>x"<&'
    lines = score(EVIL, 3, 50) + score(EVIL, 2, 100) + score(EVIL, 4, 100, split=EVIL)
    lines = lines.replace('"fake"', json.dumps(EVIL)) if scored else ""
    first = cell(root / '<script>"1', EVIL, 0, lines, choices={"loss": EVIL, EVIL: 1})
    other = score(EVIL, 5, 50) + score(EVIL, 5, 50, split=EVIL) if scored else ""
    second = cell(root / "b", "hinge", 1, other, choices={"loss": "hinge", EVIL: 2})
    record = json.loads((first / "run.json").read_text())
    record |= {"error": EVIL, "status": EVIL, "seed": EVIL, "parameters": {EVIL: 3}}
    (first / "run.json").write_text(json.dumps(record))
    (first / "scalars.jsonl").write_text(json.dumps({"images": 50, f"loss/{EVIL}": 1.0}) + "\n")
    (first / "samples" / 'images-2<script>".png').write_bytes((first / "samples" / "images-000000100.png").read_bytes())
    (second / "samples" / 'images-2<script>".png').write_bytes(b"torn")
    (root / '<script>"stray').mkdir()
    (root / '<script>"stray' / "run.json").write_text("{")
    return root


@pytest.mark.parametrize("scored", [True, False], ids=["scored", "unscored"])
def test_everything_that_a_user_wrote_is_escaped(scored: bool, tmp_path: Path) -> None:
    root = evil_sweep(tmp_path, scored)
    found = read_sweep(root)
    page = Page(as_html(found))
    assert "script" not in [tag for tag, _ in page.tags]
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on") or "<" in name]
    assert all("<" not in str(attributes.get("class")) for _, attributes in page.tags)
    alts = [str(attributes["alt"]) for tag, attributes in page.tags if tag == "img"]
    assert [alt.endswith(', images-2<script>"') for alt in alts] == [True], "the picture's name"
    shown = [
        EVIL,
        f"seed {EVIL}",
        f"{EVIL} 3 parameters",
        f"loss/{EVIL}",
        f"={EVIL}",
        "images-2<script>\".png can't be",
    ]
    shown += ['<script>x"<&', '<script>"1', '<script>"stray', str(root)]
    for words in [
        *shown,
        *(["dataset digits, split " + EVIL, "digest-of-" + EVIL, EVIL + "count 100"] if scored else []),
    ]:
        assert words in page.words, words
    for block in as_markdown(found).split("\n\n"):
        if block.startswith("|"):
            assert "<script>" not in block
            assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1, block


def test_the_same_folder_gives_the_same_bytes(sweep: Path) -> None:
    def made(found: Sweep) -> tuple[str, str, str]:
        return as_markdown(found), as_csv(found), as_html(found)

    assert made(read_sweep(sweep)) == made(read_sweep(sweep))


def test_a_hundred_cells_take_seconds(tmp_path: Path) -> None:
    for number_ in range(100):
        lines = "".join(score("fid", number_ + n, n) for n in range(0, 1000, 100))
        cell(tmp_path / f"{number_:03d}", f"loss{number_ // 4}", number_ % 4, lines)
    began = time.monotonic()
    text = as_html(read_sweep(tmp_path))
    assert time.monotonic() - began < 20, "on a busy machine; 2 or 3 on an idle one"
    assert len(text) < 5_000_000
    assert "the other 17 settings" in text


def test_a_panel_has_ticks_words_and_a_line_for_each_cell(sweep: Path) -> None:
    drawn = panel([Line([(0, 1.0), (100, 3.0)], "a <b>", "c0"), Line([(50, 2.0)], "c", "rest")], "fid", 100, 200)
    assert drawn is not None
    assert [(line.name, list(line.points)) for line in drawn.lines] == [
        ("c", [(100.0, 50.0)]),
        ("a <b>", [(0.0, 94.6), (200.0, 5.4)]),  # 0.06 of the span is left free at each end: 100 * 0.06 / 1.12
    ]
    assert [words for _, words in drawn.images] == ["0", "20", "40", "60", "80", "100"]
    assert [words for _, words in drawn.heights] == ["1.0", "1.5", "2.0", "2.5", "3.0"]
    assert panel([], "fid") is None
    page = Page(as_html(read_sweep(sweep)))
    svgs = [attributes for tag, attributes in page.tags if tag == "svg" and attributes["class"] == "panel"]
    assert [attributes["aria-label"] for attributes in svgs[:3]] == [
        f"{name} over images seen" for name in ("fid", "loss/discriminator", "loss/generator")
    ]
    lines = [tag for tag, _ in page.tags].count("polyline")
    assert lines == 3 + 4 + 4 + (2 * 4 + 3), "of all cells with a score, in each loss, and on the cards"


def test_ticks_are_round_and_spikes_do_not_flatten_a_curve() -> None:
    assert ticks(0, 100, 4) == [0, 50, 100]
    assert tick_words(ticks(0, 50_000, 5)) == ["0", "10k", "20k", "30k", "40k", "50k"]
    assert tick_words(ticks(99.92, 100.01, 5)) == ["99.92", "99.94", "99.96", "99.98", "100.00"]
    assert tick_words(ticks(-2.4e6, 2.6e6, 5)) == ["-2M", "-1M", "0", "1M", "2M"]
    assert tick_words([0.25]) == ["0.25"]
    assert ticks(0.12, 0.31, 4) == pytest.approx([0.15, 0.2, 0.25, 0.3])
    assert value_range([1.0] * 50 + [2.0] * 49 + [1e6])[1] == pytest.approx(2.06)
    assert value_range([5.0]) == (4.5, 5.5)
    assert value_range([0.0, 0.0]) == (-1, 1)
    many = [(float(n), 0.0) for n in range(10_000)]
    assert len(thinned(many)) == MOST_POINTS
    assert (thinned(many)[0], thinned(many)[-1]) == (many[0], many[-1])


# ---- the list of runs ----


def test_runs_are_listed_newest_first_with_their_best_scores(sweep: Path, tmp_path: Path) -> None:
    cell(tmp_path / "deep" / "er" / "one", "wgan_gp", 9, status="running")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_text("{")
    listing = Listing(tmp_path)
    assert {run.name for run in listing.runs} == {"first/a", "first/b", "first/c", "first/d", "deep/er/one", "broken"}
    text = listing.as_markdown()
    rows = {row[0]: row[1:] for row in ([c.strip() for c in line.strip("|").split("|")] for line in text.splitlines()
                                        if line.startswith("|"))}  # fmt: skip
    assert list(rows)[:5] == ["run", "---" + "-" * 8, "broken", "deep/er/one", "first/c"], "by the day in run.json"
    assert rows["first/b"][:6] == ["dcgan / hinge / digits", "100 of 200", "50 %", "finished", "1:02", "fid 9.000"]
    assert rows["broken"] == ["-", "-", "-", "unreadable", "-", "-", "1 B"]
    assert rows["deep/er/one"][3] == "cut", "no process holds its lock"
    assert "- broken: its run.json can't be read." in text
    assert "6 runs in" in text
    assert not (tmp_path / "deep" / "er" / "one" / ".lock").exists()
    lines = {line["run"]: line for line in csv.DictReader(io.StringIO(listing.as_csv()))}
    assert lines["first/b"]["fid [digest-of-train]"] == "9"
    assert lines["first/b"]["seconds"] == "3725.0"


def test_a_run_whose_lock_is_held_is_running(tmp_path: Path) -> None:
    folder = cell(tmp_path / "run", status="running")
    with open(folder / ".lock", "w") as file:
        assert read_run(folder, "run").status == "cut"
        fcntl.flock(file, fcntl.LOCK_EX)
        assert read_run(folder, "run").status == "running"
    assert read_run(folder, "run").status == "cut"


def test_unlike_protocols_are_told_apart_in_the_list(sweep: Path) -> None:
    with open(sweep / "a" / "metrics.jsonl", "a") as file:
        file.write(score("fid", 5, 100, split="test"))
    text = Listing(sweep).as_markdown()
    assert "fid 5.000 [digest-of-test], fid 20.00 [digest-of-train]" in text
    assert "Not every fid can be compared" in text


def test_linked_folders_are_entered_once(sweep: Path, tmp_path: Path) -> None:
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / "link").symlink_to(sweep)
    (tmp_path / "outputs" / "circle").symlink_to(tmp_path / "outputs")
    runs, closed = runs_below(tmp_path / "outputs")
    assert ([run.name for run in runs], closed) == ([f"link/{name}" for name in "abcd"], [])


# ---- words and numbers ----


def test_numbers_are_shown_with_the_digits_that_matter() -> None:
    assert [number(value) for value in (0.0, 0.00123456, 0.7124, 12.345, 1234.5)] == [
        "0", "0.00123", "0.7124", "12.35", "1,234",
    ]  # fmt: skip
    assert [decimals_for(v) for v in ([], [0.0], [0.089, 0.0], [12.3, -435.7], [-0.5])] == [0, 0, 4, 1, 4]
    assert [hours(seconds) for seconds in (None, 59, 3725, 360_000)] == ["-", "0:00", "1:02", "100:00"]
    assert [size(count) for count in (0, 1023, 1536, 200 * 2**20, 3 * 2**40)] == [
        "0 B", "1,023 B", "1.5 KiB", "200 MiB", "3.0 TiB",
    ]  # fmt: skip


def test_text_is_put_as_a_person_would() -> None:
    assert [listed(words) for words in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == ["", "a", "a and b", "a, b and c"]
    assert [spoken(value) for value in (None, True, [1, "r1"], 1e-4, "x")] == ["null", "true", "[1,r1]", "0.0001", "x"]
    assert clean("a|b\n<i>") == "a\\|b &lt;i&gt;"
    assert markdown(["a", "n"], [["x", "1"], ["long", "22"]], [1]).splitlines() == [
        "| a    |   n |",
        "| ---- | --: |",
        "| x    |   1 |",
        "| long |  22 |",
    ]


def test_the_earliest_of_equal_bests_counts(tmp_path: Path) -> None:
    folder = cell(tmp_path / "run", scores=score("fid", 2, 100) + score("fid", 2, 50) + score("fid", 3, None))
    (points,) = read_run(folder, "run").scores.values()
    assert [point.images for point in points] == [None, 50, 100]
    assert best_of(points).images == 50
    assert "finished" in cells_table(read_sweep(tmp_path))


# ---- the command ----


def test_the_command_prints_and_writes(sweep: Path, run_command: Run, tmp_path: Path) -> None:
    done = run_command("gan-report", "sweep=first")
    assert (done.returncode, done.stderr) == (0, "")
    assert (sweep / "report.md").read_text() + "\nwritten: first/report.md, first/report.csv, first/report.html\n" == (
        done.stdout
    )
    before = {name: (sweep / f"report.{name}").read_bytes() for name in ("md", "csv", "html")}
    assert run_command("gan-report", "sweep=first", "output=other (1)").returncode == 0
    assert {name: (tmp_path / "other (1)" / f"report.{name}").read_bytes() for name in before} == before
    done = run_command("gan-report", f"runs={tmp_path}", "output=lists")
    assert (done.returncode, done.stderr) == (0, "")
    assert {path.name for path in (tmp_path / "lists").iterdir()} == {"runs.md", "runs.csv"}


def test_alone_it_lists_outputs(run_command: Run, tmp_path: Path) -> None:
    done = run_command("gan-report")
    assert done.returncode == 2
    assert "'outputs'" in done.stderr
    cell(tmp_path / "outputs" / "x" / "y")
    before = sorted(tmp_path.rglob("*"))
    done = run_command("gan-report")
    assert (done.returncode, done.stderr) == (0, "")
    assert "| x/y " in done.stdout
    assert sorted(tmp_path.rglob("*")) == before, "a look leaves nothing behind"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sweep=nowhere"], "there is no sweep folder 'nowhere'"),
        (["sweep=named"], "did you mean sweep=outputs/sweeps/named?"),
        (["sweep=empty"], "has no cells"),
        (["runs=nowhere"], "there is no folder 'nowhere'"),
        (["runs=empty"], "there are no runs in 'empty'"),
        (["sweep=first", "runs=first"], "give one of them"),
        (["sweep=first/a"], "is a single run: say runs=first/a"),
        (["sweep=first", "by=kid"], "by='kid' is no score of a cell; this sweep has fid"),
        (["sweep=first", "at=end"], "at=end does not fit: one of newest, best"),
        (["by=fid"], "give sweep=FOLDER"),
        (["runs=first", "at=best"], "give sweep=FOLDER"),
        (["sweep=first", "output=file"], "is a file"),
        (["sweeps=first"], "did you mean sweep"),
        (["sweep=first", "-m"], "takes no -m"),
        (["sweep=first", "--csv"], "there is no flag --csv"),
    ],
)
@pytest.mark.sampled(3)
def test_what_cannot_be_reported_is_one_sentence(
    arguments: list[str], words: str, sweep: Path, run_command: Run, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "outputs" / "sweeps" / "named").mkdir(parents=True)
    (tmp_path / "file").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    done = run_command("gan-report", *arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: ")
    assert words in done.stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_by_without_any_score_says_how_to_get_one(tmp_path: Path) -> None:
    cell(tmp_path / "a")
    with pytest.raises(UserError, match="nothing is scored yet; gan-evaluate sweep="):
        read_sweep(tmp_path, by="fid")


def test_help_and_version(run_command: Run) -> None:
    done = run_command("gan-report", "--help")
    assert done.returncode == 0
    for key in ("sweep", "runs", "by", "at", "output"):
        assert re.search(rf"^  {key} = ", done.stdout, re.MULTILINE), key
    assert done.stdout == report_help([ROOT / "conf"]) + "\n"
    assert re.fullmatch(r"gan_cli \d+\.\d+\.\d+\S*\n", run_command("gan-report", "--version").stdout)


def test_torch_is_not_imported_for_a_report(sweep: Path) -> None:
    program = (
        "import atexit, sys; sys.argv = ['gan-report', 'sweep=first']\n"
        "from gan_cli.cli.report import main\n"
        "atexit.register(lambda: print(sorted({'torch', 'numpy', 'tensorboard'} & set(sys.modules))))\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=sweep.parent, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
