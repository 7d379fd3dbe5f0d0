"""The search over a space of a trained run: what it finds, and that queries do not depend on each other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy
import pytest
import torch
from conftest import QUICK, TINY, compose_checked
from PIL import Image
from torch import Tensor

from gan_cli.base.errors import UserError
from gan_cli.run.train import train
from gan_cli.use.load import Trained, load_trained
from gan_cli.use.modes.mode import Asked
from gan_cli.use.modes.project import Project, distance_to
from gan_cli.use.modes.trained_space import TrainedSpace
from gan_cli.use.results import Arrays, Table, write_results
from gan_cli.use.search import search

STEPS = 20


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A conditional run with styles, where searches begin in the middle, and one without, where they begin at draws."""
    folder = tmp_path_factory.mktemp("runs to search")
    small = [*QUICK, "trainer.total_images=40", "trainer.device=cpu"]
    for name, more in {"stylegan2": ["model.conditional=projection"], "cdcgan": []}.items():
        train(compose_checked(f"model={name}", *TINY[name], *more, *small), folder / name)
    return folder


class Plane:
    """A space whose samples are twice its codes: the least of an objective is known."""

    def __init__(self, has_middle: bool) -> None:
        self.space = SimpleNamespace(has_middle=has_middle, layers=1)
        game = SimpleNamespace(parameters=lambda: iter(()))
        self.trained = SimpleNamespace(game=game, given=self.given)

    @staticmethod
    def given(count: int, seed: int, purpose: str) -> dict[str, Tensor]:
        return {"latent": torch.randn(count, 2, generator=torch.Generator().manual_seed(seed))}

    def codes(self, latent: Tensor, label: Tensor | None) -> Tensor:
        return latent

    def image(self, codes: Tensor, label: Tensor | None) -> Tensor:
        return 2 * codes

    def draw(self, codes: Tensor, label: Tensor | None, batch_size: int) -> Iterator[Tensor]:
        yield self.image(codes, label)


WANTED = torch.tensor([[1.0, -3.0], [0.5, 0.25], [-2.0, 0.0]])


@pytest.mark.parametrize("has_middle", [False, True])
@pytest.mark.parametrize("restarts", [1, 3])
def test_the_least_is_found(has_middle: bool, restarts: int) -> None:
    plane: Any = Plane(has_middle)
    found = search(
        plane, lambda made, rows: (made.flatten(1) - WANTED[rows]).square().sum(1), 3, steps=400, restarts=restarts
    )
    assert torch.allclose(found.codes.flatten(1), WANTED / 2, atol=2e-3)
    assert torch.allclose(found.samples.flatten(1), WANTED, atol=4e-3)
    assert found.curves.shape == (3, 400)
    assert (found.values <= found.curves[:, 0]).all()


def test_a_restart_finds_what_one_search_misses() -> None:
    """Two valleys, a shallow one in which the search begins and a deep one beside it."""
    plane: Any = Plane(has_middle=True)

    def valleys(made: Tensor, rows: Tensor) -> Tensor:
        x = made.flatten(1)[:, 0]
        return torch.minimum((x - 0.3).square() + 1, 4 * (x + 3).square())

    one = search(plane, valleys, steps=200)
    several = search(plane, valleys, steps=200, restarts=16)
    assert one.values.item() == pytest.approx(1, abs=0.01)
    assert several.values.item() == pytest.approx(0, abs=0.01)
    assert several.samples.flatten()[0].item() == pytest.approx(-3, abs=0.05)


def test_more_restarts_than_starting_codes_are_refused() -> None:
    plane: Any = Plane(has_middle=True)
    with pytest.raises(UserError, match="restarts=257 is more than the 256 codes that a search may start from"):
        search(plane, lambda made, rows: made.flatten(1).sum(1), steps=1, restarts=257)
    assert search(plane, lambda made, rows: made.flatten(1).square().sum(1), steps=1, restarts=256).values.isfinite()


def test_a_search_that_breaks_is_not_the_nearest() -> None:
    plane: Any = Plane(has_middle=True)

    def rooted(made: Tensor, rows: Tensor) -> Tensor:
        x = made.flatten(1)[:, 0]
        return x - x.log()

    values = [search(plane, rooted, steps=200, seed=seed, restarts=24).values.item() for seed in range(3)]
    assert values == pytest.approx([1.0] * 3, abs=1e-3), "about half of the searches begin below zero"


def own_samples(trained: Trained, space: TrainedSpace) -> tuple[Tensor, Tensor]:
    """Five pictures of the model's own, each of another class."""
    given = trained.given(5, 7, [0, 3, 4, 8, 9])
    return next(space.draw(space.codes(given["latent"], given["label"]), given["label"], 5)), given["label"]


@pytest.mark.parametrize("name", ["stylegan2", "cdcgan"])
@pytest.mark.parametrize("restarts", [1, 2])
def test_what_is_found_does_not_depend_on_the_other_queries(name: str, restarts: int, runs: Path) -> None:
    trained = load_trained(runs / name, device="cpu")
    space = TrainedSpace(trained)
    pictures, label = own_samples(trained, space)
    how: dict[str, Any] = {"steps": STEPS, "restarts": restarts}
    together = search(space, distance_to(pictures), 5, label, **how)
    turned = search(space, distance_to(pictures.flip(0)), 5, label.flip(0), **how)
    in_parts = search(space, distance_to(pictures), 5, label, at_once=2, **how)
    alone = [search(space, distance_to(pictures[n : n + 1]), 1, label[n : n + 1], **how) for n in range(5)]
    for key in ("codes", "samples", "values", "curves"):
        wanted = getattr(together, key)
        for others in (
            getattr(turned, key).flip(0),
            getattr(in_parts, key),
            torch.cat([getattr(one, key) for one in alone]),
        ):
            assert torch.allclose(wanted, others, rtol=1e-3, atol=1e-4), key
    assert (together.codes[0] - together.codes[1]).abs().max() > 0.1, "and they are not all one"
    assert (together.values < together.curves[:, 0]).all()


def test_an_objective_may_be_any_function_of_samples(runs: Path) -> None:
    trained = load_trained(runs / "cdcgan", device="cpu")
    space = TrainedSpace(trained)
    given = trained.given(256, 5, [2])
    drawn = next(space.draw(space.codes(given["latent"], given["label"]), given["label"], 256))
    found = search(space, lambda made, rows: -made.flatten(1).mean(1), label=torch.tensor([2]), steps=80)
    means = drawn.flatten(1).mean(1)
    assert found.samples.mean() - means.max() > means.max() - means.min(), "far beyond all that is drawn"


def test_the_latents_of_a_folder_are_those_of_its_pictures(runs: Path, tmp_path: Path) -> None:
    trained = load_trained(runs / "stylegan2", device="cpu")
    pictures, _ = own_samples(trained, TrainedSpace(trained))
    (tmp_path / "in").mkdir()
    for number, picture in enumerate(pictures):
        trained.medium.save(picture, tmp_path / "in" / f"{number}.png")
    mode, said = Project(steps=20), []
    asked = Asked(trained, labels=[3], input=tmp_path / "in", say=said.append)
    write_results(mode(asked).results, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [str(number) for number in range(5)]
    asked = Asked(trained, labels=[3], input=tmp_path / "in" / "2.png", say=said.append)
    write_results(mode(asked).results, tmp_path / "one")
    stored = [numpy.load(tmp_path / place / "latent.npz") for place in ("out/2", "one")]
    assert numpy.allclose(stored[0]["code"], stored[1]["code"], atol=1e-3)
    assert [entry["label"].tolist() for entry in stored] == [[3], [3]]
    with Image.open(tmp_path / "one" / "found.png") as one, Image.open(tmp_path / "out" / "2" / "found.png") as other:
        assert numpy.abs(numpy.asarray(one).astype(int) - numpy.asarray(other)).max() <= 1
    assert said[-1].startswith("distance ")


def test_tables_and_arrays_are_read_back_as_they_were(tmp_path: Path) -> None:
    results = {
        "a/b.csv": Table(("name", "score, mean"), [('x, "y"', 0.1234567891), ("z", 3)]),
        "c.npz": Arrays({"code": torch.arange(3.0), "label": None}, {"seed": 1}),
    }
    write_results(results, tmp_path)
    assert (tmp_path / "a" / "b.csv").read_text() == 'name,"score, mean"\n"x, ""y""",0.12345679\nz,3\n'
    stored = numpy.load(tmp_path / "c.npz")
    assert set(stored) == {"code", "about"}
    assert stored["code"].tolist() == [0, 1, 2]
    assert str(stored["about"]) == '{"seed": 1}'
