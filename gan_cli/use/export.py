"""A trained generator alone, in a format that other programs read, and the proof that it computes the same."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gan_cli.base.errors import UserError
from gan_cli.base.files import beside, write_atomically
from gan_cli.game.build import build_game
from gan_cli.use.load import Trained

ENDINGS = {"onnx": ".onnx", "export": ".pt2", "safetensors": ".safetensors"}
NEEDED = {"onnx": ("onnx", "onnxscript", "onnxruntime"), "safetensors": ("safetensors",)}


class Drawing(nn.Module):
    """latent (N, Z) [, label (N,) int64] -> samples (N, C, R, R) in [-1, 1], or (N, D): what is exported."""

    inputs = ("latent", "label")

    def __init__(self, generator: nn.Module, bounded: bool) -> None:
        super().__init__()
        self.generator, self.bounded = generator, bounded

    def forward(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        made = self.generator(latent, label)
        return made.clamp(-1, 1) if self.bounded else made


class Translating(nn.Module):
    """source (N, C, H, W) in [-1, 1] -> picture in [-1, 1], for models that are given pictures."""

    inputs = ("source",)

    def __init__(self, generator: nn.Module, bounded: bool = True) -> None:
        super().__init__()
        self.generator, self.bounded = generator, bounded

    def forward(self, source: Tensor) -> Tensor:
        return self.generator(source).clamp(-1, 1)


def check_installed(form: str) -> None:
    """
    Raises:
        UserError: a package that the format needs is missing.
    """
    missing = [name for name in NEEDED.get(form, ()) if find_spec(name) is None]
    if missing:
        raise UserError(f"format={form} needs {', '.join(missing)}: pip install 'gan_cli[export]'")


def export(trained: Trained, form: str, path: Path, direction: str | None = None) -> float:
    """Write a generator; the largest difference of its samples to those of the model here.

    Raises:
        UserError: a generator that can't be exported so, with torch's reason.
    """
    module, given = drawing(trained, direction)
    check_steady(module, given)
    writers: Mapping[str, Callable[..., Callable[[list[Tensor]], Tensor]]] = {
        "onnx": to_onnx,
        "export": to_program,
        "safetensors": to_safetensors,
    }
    with beside(path) as temporary:
        again = writers[form](module, given, temporary, trained)
        worst = 0.0
        for count in (len(given[0]), 5, 1):  # the batch is free
            some = [tensor[:1].repeat(count, *[1] * (tensor.dim() - 1)) if count != len(given[0]) else tensor
                    for tensor in given]  # fmt: skip
            with torch.no_grad():
                worst = max(worst, (module(*some) - again(some)).abs().max().item())
    return worst


def drawing(trained: Trained, direction: str | None) -> tuple[nn.Module, list[Tensor]]:
    """The module to export and an example of what it is given."""
    ways = trained.game.translations
    if ways:
        name = direction or next(iter(ways))
        if name not in ways:
            raise UserError(f"direction={name!r} is unknown; this model has {', '.join(ways)}")
        way = ways[name]
        if way.mask is not None:
            raise UserError("gan-export does not know models that fill holes; use gan-sample input=... mask=...")
        dataset = trained.config.data.node
        side = dataset["resolution"] // way.scale
        source = torch.rand(3, dataset[way.channels], side, side) * 2 - 1
        return Translating(trained.networks[way.network]).eval(), [source]
    if not trained.game.spaces(trained.networks):
        raise UserError("gan-export writes generators, and this model has none: it draws nothing from latents")
    given = trained.given(3, 0)
    return Drawing(trained.networks["generator"], trained.medium.bounded).eval(), list(given.values())


def check_steady(module: nn.Module, given: list[Tensor]) -> None:
    with torch.no_grad():
        if not torch.equal(module(*given), module(*given)):
            raise UserError("this generator draws noise of its own also when it is used: its samples can't be compared")


def names_of(given: list[Tensor], module: nn.Module) -> list[str]:
    return list(module.inputs)[: len(given)]  # type: ignore[arg-type]


def to_program(
    module: nn.Module, given: list[Tensor], path: Path, trained: Trained
) -> Callable[[list[Tensor]], Tensor]:
    """A `torch.export` program, loaded with `torch.export.load(path).module()`."""
    program = traced(module, given)
    buffer = io.BytesIO()  # by name these writers take no path that is not UTF-8
    torch.export.save(program, buffer)
    path.write_bytes(buffer.getvalue())
    loaded = torch.export.load(io.BytesIO(path.read_bytes())).module()
    return lambda some: loaded(*some)


def traced(module: nn.Module, given: list[Tensor]) -> Any:
    batch = torch.export.Dim("batch", min=1)
    shapes = tuple({0: batch} for _ in given)
    try:
        return torch.export.export(module, tuple(given), dynamic_shapes=shapes)
    except Exception as error:
        about = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(f"torch can't export this generator ({about})") from error


def to_onnx(module: nn.Module, given: list[Tensor], path: Path, trained: Trained) -> Callable[[list[Tensor]], Tensor]:
    """One ONNX file; checked with onnxruntime on the CPU."""
    import logging
    import warnings

    import onnxruntime

    names = names_of(given, module)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own exporter warns of its own future
        made = torch.onnx.export(traced(module, given), verbose=False, input_names=names, output_names=["samples"])
    assert made is not None
    buffer = io.BytesIO()
    import onnx

    onnx.save(made.model_proto, buffer)
    path.write_bytes(buffer.getvalue())
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    inputs = [entry.name for entry in session.get_inputs()]

    def again(some: list[Tensor]) -> Tensor:
        fed = {name: tensor.numpy() for name, tensor in zip(inputs, some, strict=True)}
        return torch.from_numpy(session.run(None, fed)[0])

    return again


def to_safetensors(
    module: nn.Module, given: list[Tensor], path: Path, trained: Trained
) -> Callable[[list[Tensor]], Tensor]:
    """The generator's weights by name, with the model's config as metadata."""
    from safetensors.torch import load, save

    generator: nn.Module = module.generator  # type: ignore[assignment]
    which = next(name for name, network in trained.networks.items() if network is generator)
    weights = {name: value.contiguous().clone() for name, value in generator.state_dict().items()}
    about = {"model": json.dumps(trained.config.game.model), "images": str(trained.images), "network": which}
    path.write_bytes(save(weights, about))
    fresh = build_game(trained.config.game, trained.config.trust)
    fresh.set_progress(trained.images)
    network = fresh.networks[which].eval()
    network.load_state_dict(load(path.read_bytes()))
    same = type(module)(network, module.bounded).eval()  # type: ignore[call-arg]
    return lambda some: same(*some)


def write_about(path: Path, trained: Trained, form: str, difference: float) -> None:
    """A JSON file beside the export: where it comes from, what it takes and gives, how exact it is."""
    about = {
        "checkpoint": str(trained.path),
        "images": trained.images,
        "format": form,
        "largest_difference": difference,
        "class_names": trained.class_names if trained.game.num_classes else [],
        "config": trained.config.game.model,
    }
    write_atomically(path.with_suffix(path.suffix + ".json"), json.dumps(about, indent=1).encode())
