"""`gan-sample`'s modes and `gan-export`, by the commands, on tiny runs."""

from __future__ import annotations

import csv
import json
import math
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from conftest import QUICK, TINY, compose_checked
from PIL import Image
from torch import Tensor

from gan_cli.base.errors import RunError
from gan_cli.parts.latent import Gaussian, Uniform
from gan_cli.run.train import train
from gan_cli.use.export import ENDINGS, export
from gan_cli.use.load import Trained, load_trained, take_standing_statistics
from gan_cli.use.modes.directions import directions
from gan_cli.use.modes.interpolation import walk
from gan_cli.use.modes.project import distance, distance_to
from gan_cli.use.modes.style_mixing import mixed_grid
from gan_cli.use.modes.trained_space import TrainedSpace
from gan_cli.use.results import Table, write_results
from gan_cli.use.search import Found, search
from gan_cli.use.translate import changes_of

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run each of StyleGAN2 (with labels), a growing StyleGAN in a fade, and a conditional DCGAN."""
    folder = tmp_path_factory.mktemp("style runs")
    small = [*QUICK, "trainer.total_images=40", "trainer.device=cpu"]
    grown = ["model.growth.start=4", "model.growth.fade_images=64", "model.growth.stable_images=16"]
    for name, more in {
        "stylegan2": [*TINY["stylegan2"], "model.conditional=projection"],
        "stylegan": [*TINY["stylegan"], *grown, "dataset.resolution=16"],
        "cdcgan": TINY["cdcgan"],
        "dcgan": TINY["dcgan"],
        "progan": TINY["progan"],
        "sagan": TINY["sagan"],
        "biggan": TINY["biggan"],
        "r3gan": [*TINY["r3gan"], "model.conditional=projection", "model.latent.size=4"],
    }.items():
        train(compose_checked(f"model={name}", *more, *small), folder / name)
    return folder


@pytest.fixture
def styled(runs: Path) -> Trained:
    return load_trained(runs / "stylegan2", device="cpu")


def plan(
    trained: Trained, count: int, seed: int, labels: list[int] | None, purpose: str = "sample"
) -> tuple[Tensor, Tensor | None]:
    """Latents, and labels of a conditional model."""
    given = trained.given(count, seed, labels, purpose)
    return given["latent"], given.get("label")


@torch.no_grad()
def made(trained: Trained, latent: Tensor, label: Tensor | None, psi: float = 1.0) -> Tensor:
    given = {"latent": latent} if label is None else {"latent": latent, "label": label}
    return trained.game.make(trained.networks, given, psi)["samples"]


def project(space: TrainedSpace, pictures: Tensor, label: Tensor | None, steps: int, **how: Any) -> Found:
    return search(space, distance_to(pictures), len(pictures), label, steps, **how)


def test_truncation_moves_samples_to_the_mean_style(styled: Trained, runs: Path) -> None:
    latent, label = plan(styled, 6, 0, [3])
    images = [made(styled, latent, label, psi) for psi in (1.0, 0.5, 0.0)]
    spreads = [image.var(0).mean().item() for image in images]
    assert spreads[2] < 1e-10 < spreads[1] < spreads[0]
    plain = made(styled, latent, label)
    assert torch.equal(plain, images[0])


def test_truncated_latents_are_a_cut_normals_of_the_same_rank(runs: Path) -> None:
    latent = Gaussian(1).draw(200_000, torch.Generator().manual_seed(0))
    near = Gaussian(1).truncated(latent, 0.5)
    assert near.abs().max() <= 1.0
    assert (near[latent[:, 0].argsort(), 0].diff() >= 0).all()
    # variance of a normal cut at 2: 1 - 2 (2 phi(2)) / (Phi(2) - Phi(-2))
    share = math.erf(math.sqrt(2))
    variance = 1 - 4 * math.exp(-2) / math.sqrt(2 * math.pi) / share
    assert near.var().item() == pytest.approx(0.25 * variance, rel=0.01)
    assert torch.equal(Uniform(3, 2.0).truncated(torch.ones(1, 3), 0.25), torch.full((1, 3), 0.25))
    plain = load_trained(runs / "dcgan", device="cpu")
    latent, label = plan(plain, 16, 0, None)
    images = [made(plain, latent, label, psi) for psi in (1.0, 0.5, 0.0)]
    spreads = [image.var(0).mean().item() for image in images]
    assert spreads[2] < 1e-10 < spreads[1] < spreads[0]
    space = TrainedSpace(plain, truncation_psi=0.5)
    assert torch.allclose(next(space.draw(space.codes(latent, label), label, 16)), images[1], atol=1e-6)


def test_truncation_in_z_of_a_model_with_a_mapping_is_that_of_its_grid(styled: Trained) -> None:
    space = TrainedSpace(styled, "z", 0.5)
    latent, label = plan(styled, 4, 0, [3])
    drawn = next(space.draw(space.codes(latent, label), label, 4))
    assert torch.allclose(drawn, made(styled, latent, label, 0.5).clamp(-1, 1), atol=1e-6)


def test_standing_statistics_are_those_of_many_samples(runs: Path) -> None:
    trained, before = load_trained(runs / "dcgan", device="cpu"), load_trained(runs / "dcgan", device="cpu")
    take_standing_statistics(trained, 3)
    latent, _ = plan(trained, 3 * 256, 0, None, "standing")
    first, norm = trained.networks["generator"].layers[:2]  # type: ignore[index,misc]
    with torch.no_grad():
        values = first(latent[:, :, None, None])
    assert torch.allclose(norm.running_mean, values.mean([0, 2, 3]), atol=1e-5)
    each = torch.stack([part.var([0, 2, 3]) for part in values.split(256)])
    assert torch.allclose(norm.running_var, each.mean(0), rtol=1e-4)
    old = before.networks["generator"].layers[1]  # type: ignore[index]
    assert not torch.allclose(norm.running_mean, old.running_mean, atol=1e-5)
    near = load_trained(runs / "dcgan", device="cpu", standing_statistics=3, truncation_psi=0.5)
    closer = near.networks["generator"].layers[1]  # type: ignore[index]
    assert (closer.running_var < norm.running_var).all(), "measured on the samples that are asked for"
    assert (norm.training, norm.momentum) == (False, old.momentum)
    assert torch.equal(norm.weight, old.weight)


def test_a_walk_passes_its_latents_and_closes(styled: Trained) -> None:
    space = TrainedSpace(styled)
    latent, label = plan(styled, 3, 0, [1])
    frames = torch.stack(list(walk(space, latent, label, 12, 5)))
    corners = torch.cat(list(space.draw(space.codes(latent, label), label, 8)))
    assert frames.shape == (12, 1, 8, 8)
    assert torch.allclose(frames[[0, 4, 8]], corners, atol=1e-6)
    halfway = space.codes(latent, label)[[2, 0]].mean(0, keepdim=True)
    assert torch.allclose(frames[10], next(space.draw(halfway, label, 1))[0], atol=1e-5), "linear in w"
    in_z = TrainedSpace(styled, "z")
    rounds = in_z.space.between(latent[:1], latent[1:2], torch.tensor([[0.5]]))
    lengths = latent[:2].norm(dim=1)
    assert rounds.norm().item() == pytest.approx(lengths.mean().item(), rel=1e-4), "spherical in z"


def test_style_mixing_takes_the_rows_styles_at_the_chosen_layers(styled: Trained) -> None:
    space = TrainedSpace(styled)
    latent, label = plan(styled, 5, 0, [2])
    whole = mixed_grid(space, latent, label, 2, 3, [0, 1, 2, 3])
    assert whole.shape == (12, 1, 8, 8)
    corner, *top = whole[:4]
    assert (corner == 1).all()
    for row in (1, 2):
        side, *body = whole[4 * row : 4 * row + 4]
        assert all(torch.allclose(picture, side, atol=1e-6) for picture in body), "all layers from the row"
    fine = mixed_grid(space, latent, label, 2, 3, [0])
    assert not torch.allclose(fine[5], fine[4])
    assert torch.equal(torch.stack(top), fine[1:4]), "the givers and takers are the same"


def test_directions_are_the_singular_vectors_of_what_reads_the_codes(styled: Trained, runs: Path) -> None:
    found, strength = directions(TrainedSpace(styled), 4)
    weights = torch.cat(
        [value for name, value in styled.networks["generator"].state_dict().items() if "affine.weight" in name]
    )
    assert torch.allclose(found @ found.t(), torch.eye(4), atol=1e-5)
    assert torch.allclose((weights @ found.t()).norm(dim=0), strength, rtol=1e-4)
    assert strength.tolist() == sorted(strength.tolist(), reverse=True)
    random = torch.nn.functional.normalize(torch.randn(100, 8), dim=1)
    assert (weights @ random.t()).norm(dim=0).max() <= strength[0] + 1e-4
    plain = load_trained(runs / "dcgan", device="cpu")
    assert directions(TrainedSpace(plain), 3)[0].shape == (3, 100)


def test_directions_are_not_those_of_the_labels_layer(runs: Path) -> None:
    """Ten classes and a latent of four: the class's layer would fit too."""
    trained = load_trained(runs / "r3gan", device="cpu")
    start = trained.networks["generator"].start.weight[:, :4].detach()  # type: ignore[union-attr,index]
    found, strength = directions(TrainedSpace(trained), 4)
    assert torch.allclose((start @ found.t()).norm(dim=0), strength, rtol=1e-4)
    styled = load_trained(runs / "stylegan2", device="cpu")
    found, strength = directions(TrainedSpace(styled, "z"), 4)
    first = styled.networks["generator"].mapping.layers[0].weight[:, :8].detach()  # type: ignore[union-attr,index]
    assert torch.allclose((first @ found.t()).norm(dim=0), strength, rtol=1e-4)


def test_a_walk_keeps_its_class(styled: Trained) -> None:
    space = TrainedSpace(styled)
    latent, _ = plan(styled, 3, 0, [1])
    some, one = torch.tensor([4, 5, 6]), torch.tensor([4, 4, 4])
    walks = [torch.stack(list(walk(space, latent, label, 6, 8))) for label in (some, one)]
    assert torch.equal(*walks)


def test_a_growing_model_is_shown_in_its_final_size_in_all_modes(runs: Path) -> None:
    """One that is still at 8 of its 16 pixels: also searched."""
    trained = load_trained(runs / "stylegan", device="cpu")
    assert trained.game.growth.resolution == 16  # type: ignore[union-attr]
    space = TrainedSpace(trained)
    latent, _ = plan(trained, 2, 0, None)
    drawn = next(space.draw(space.codes(latent, None), None, 2))
    assert drawn.shape == (2, 1, 16, 16)
    assert torch.allclose(drawn, made(trained, latent, None).clamp(-1, 1), atol=1e-6)
    found = project(space, drawn[:1], None, 10)
    assert found.samples.shape == (1, 1, 16, 16)


def test_a_search_comes_back_to_a_picture_of_the_models_own(styled: Trained) -> None:
    space = TrainedSpace(styled)
    latent, label = plan(styled, 2, 7, [4])
    own = next(space.draw(space.codes(latent, label), label, 2))
    mine = None if label is None else label[:1]
    found = project(space, own[:1], mine, 150)
    assert found.curves[0, -1] < 0.05 * found.curves[0, 0]
    assert distance(found.samples, own[:1]).item() < 0.2 * distance(own[1:], own[:1]).item(), "not any other sample"
    assert torch.equal(found.values, distance(found.samples, own[:1]))
    again = project(space, own[:1], mine, 150)
    assert torch.equal(found.codes, again.codes)


# ---- the commands ----


def done(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Warning" not in result.stderr, result.stderr
    return result.stdout


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def test_every_mode_writes_what_it_says(runs: Path, run_command: Run, tmp_path: Path) -> None:
    def sample(*arguments: str) -> str:
        return done(run_command("gan-sample", f"checkpoint={runs / 'stylegan2'}", "labels=[3]", *arguments))

    sample("truncation_psi=0.7", "output=psi.png", "count=4")
    assert size_of(tmp_path / "psi.png") == (2 * 50 + 2, 2 * 50 + 2), "one class: a square"
    sample("mode=interpolation", "frames=6", "count=2", "output=walk.gif")
    with Image.open(tmp_path / "walk.gif") as gif:
        assert gif.n_frames == 6  # type: ignore[attr-defined]
    sample("mode=interpolation", "frames=3", "count=2", "output=frames (1)")
    assert len(list((tmp_path / "frames (1)").glob("*.png"))) == 3
    sample("mode=style_mixing", "rows=2", "columns=3", "output=mix.png")
    assert size_of(tmp_path / "mix.png") == (4 * 50 + 2, 3 * 50 + 2)
    text = sample("mode=directions", "top=3", "columns=5", "output=dir.png")
    assert text.count("strength") == 3
    assert size_of(tmp_path / "dir.png") == (5 * 50 + 2, 3 * 50 + 2)
    Image.fromarray(numpy.full((20, 30), 90, dtype=numpy.uint8)).save(tmp_path / "grey.png")
    text = sample("mode=project", "input=grey.png", "steps=5", "output=found")
    assert "grey.png for this model: cut to its middle square, resized to 8x8" in text
    names = {path.name for path in (tmp_path / "found").iterdir()}
    assert names == {"wanted_and_found.png", "found.png", "latent.npz", "distance.csv", "about.json"}
    rows = list(csv.DictReader((tmp_path / "found" / "distance.csv").read_text().splitlines()))
    assert [row["step"] for row in rows] == [str(step) for step in range(5)]


def test_a_walk_as_video(runs: Path, run_command: Run, tmp_path: Path) -> None:
    av = pytest.importorskip("av", reason="PyAV is not installed: pip install 'gan_cli[video]'")
    where = f"checkpoint={runs / 'stylegan'}"
    done(run_command("gan-sample", where, "mode=interpolation", "frames=7", "count=2", "output=walk.mp4"))
    with av.open(str(tmp_path / "walk.mp4")) as video:
        frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    assert len(frames) == 7
    assert frames[0].shape[:2] == (48, 48), "16x16 enlarged"


@pytest.mark.parametrize(
    ("model", "arguments", "words"),
    [
        (
            "stylegan2",
            ["mode=walk"],
            "mode=walk does not exist; mode is one of directions, grid, history, ",
        ),
        ("stylegan2", ["mode=interpolation", "frames=0"], "frames=0 does not fit: a whole number from 1 to"),
        ("stylegan2", ["mode=interpolation", "output=walk.avi"], "is written as .mp4 or .gif, or into a folder"),
        ("stylegan2", ["mode=interpolation", "rows=3"], "rows= is for mode=style_mixing"),
        ("stylegan2", ["mode=style_mixing", "count=3"], "count= is not for mode=style_mixing: rows= and columns="),
        ("stylegan2", ["model=interpolation"], "error: model is not an option; did you mean mode?"),
        ("stylegan2", ["fomrat=png"], "did you mean format?; gan-sample --cfg job prints all of them"),
        ("stylegan2", ["mode=style_mixing", "layers=[9]"], "0 to 3, coarse to fine"),
        ("stylegan2", ["mode=project"], "say which with input=IMAGE"),
        ("stylegan2", ["mode=project", "input=no.png"], "input='no.png' does not exist"),
        ("stylegan2", ["mode=directions", "top=900"], "top=900 is more than this model's 8 directions"),
        ("stylegan2", ["truncation_psi=much"], "truncation_psi=much does not fit: a number from -2 to 2"),
        ("dcgan", ["mode=style_mixing"], "needs a model with a mapping network"),
        ("progan", ["truncation_psi=0.5"], "truncation_psi does nothing to a model that scales its latents to one"),
        ("stylegan2", ["standing_statistics=4"], "standing_statistics= needs a model with batch norm in its generator"),
        ("dcgan", ["standing_statistics=-1"], "standing_statistics=-1 does not fit: a whole number from 0 to"),
        (
            "dcgan",
            ["mode=interpolation", "output=walk", "space=w"],
            "space=w is none of this model's, which has z; w needs a model with a mapping",
        ),
    ],
)
@pytest.mark.sampled(3)
def test_what_a_mode_can_not_do_is_said(
    model: str, arguments: list[str], words: str, runs: Path, run_command: Run, tmp_path: Path
) -> None:
    made = [] if any(word.startswith("output=") for word in arguments) else ["output=out.png"]
    result = run_command("gan-sample", f"checkpoint={runs / model}", *arguments, *made)
    assert (result.returncode, len(result.stderr.splitlines())) == (2, 1), result.stderr
    assert words in result.stderr
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize(
    ("mode", "size", "channels", "changes"),
    [
        ("L", (16, 16), 1, []),
        ("L", (16, 16), 3, []),
        ("RGB", (16, 16), 1, ["turned to grey"]),
        ("RGB", (24, 16), 3, ["cut to its middle square"]),
        ("RGB", (24, 30), 1, ["cut to its middle square", "resized to 16x16", "turned to grey"]),
    ],
)
def test_what_happens_to_a_projected_picture(
    mode: str, size: tuple[int, int], channels: int, changes: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "picture.tiff"
    Image.new(mode, size).save(file)
    assert changes_of(file, channels, 16) == changes


FORMS = [
    pytest.param(model, form, marks=() if model == "cdcgan" or form == "safetensors" else pytest.mark.slow)
    for model in ("stylegan2", "stylegan", "cdcgan", "sagan", "biggan", "r3gan")
    for form in ("onnx", "export", "safetensors")
]


@pytest.mark.parametrize(("model", "form"), FORMS)
def test_an_exported_generator_draws_the_same(
    model: str, form: str, runs: Path, run_command: Run, tmp_path: Path
) -> None:
    for package in {"onnx": ("onnx", "onnxscript", "onnxruntime"), "safetensors": ("safetensors",)}.get(form, ()):
        pytest.importorskip(package, reason=f"{package} is not installed: pip install 'gan_cli[export]'")
    target, trained = tmp_path / f"g{ENDINGS[form]}", load_trained(runs / model, device="cpu")
    if model == "stylegan2":  # by the command; a process for each of the others takes most of a minute
        text = done(run_command("gan-export", f"checkpoint={runs / model}", f"format={form}", f"output={target.name}"))
        assert "largest difference to the model here: " in text
        assert json.loads(Path(f"{target}.json").read_text())["largest_difference"] < 1e-4
    else:
        assert export(trained, form, target) < 1e-4
    latent, label = plan(trained, 4, 3, None)
    with torch.no_grad():
        wanted = trained.networks["generator"](latent, label).clamp(-1, 1)
    given: list[Any] = [latent] if label is None else [latent, label]
    if form == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(str(tmp_path / "g.onnx"), providers=["CPUExecutionProvider"])
        names = [entry.name for entry in session.get_inputs()]
        assert names == ["latent", "label"][: len(given)]
        made = torch.from_numpy(session.run(None, {n: t.numpy() for n, t in zip(names, given, strict=True)})[0])
    elif form == "export":
        made = torch.export.load(str(tmp_path / "g.pt2")).module()(*given)
    else:
        from safetensors.torch import load_file

        generator = trained.networks["generator"]
        stored = load_file(str(tmp_path / "g.safetensors"))
        assert all(torch.equal(stored[name], value) for name, value in generator.state_dict().items())
        return
    assert (made - wanted).abs().max() < 1e-4


def test_exports_are_refused_in_a_sentence(runs: Path, run_command: Run, tmp_path: Path) -> None:
    where = f"checkpoint={runs / 'dcgan'}"
    for arguments, words in [
        (["format=caffe"], "format=caffe does not fit: one of onnx, export, safetensors"),
        (["format=export", "output=g.onnx"], "must end with .pt2"),
        (["checkpoint=nowhere", "format=export"], "nowhere"),
    ]:
        result = run_command("gan-export", where, *arguments)
        assert (result.returncode, len(result.stderr.splitlines())) == (2, 1), result.stderr
        assert words in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["../table.csv", "inner/../../table.csv", "/table.csv"])
def test_a_mode_can_not_name_a_result_out_of_the_folder(name: str, tmp_path: Path) -> None:
    name = f"{tmp_path}{name}" if name.startswith("/") else name
    with pytest.raises(RunError, match="leads out of the folder"):
        write_results({name: Table(("a",), [(1,)])}, tmp_path / "out")
    assert not (tmp_path / "table.csv").exists()
