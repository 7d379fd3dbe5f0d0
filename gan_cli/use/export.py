"""Export of a trained generator alone to a format that other programs read, with a check that it computes the same."""

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
    """The module that is exported for a model that draws from latents.

    latent (N, Z) [, label (N,) int64] -> samples (N, C, R, R) in [-1, 1], or (N, D).
    """

    inputs = ("latent", "label")

    def __init__(self, generator: nn.Module, bounded: bool) -> None:
        super().__init__()
        self.generator, self.bounded = generator, bounded

    def forward(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        samples = self.generator(latent, label)
        return samples.clamp(-1, 1) if self.bounded else samples


class Translating(nn.Module):
    """The module that is exported for a model that is given pictures.

    source (N, C, H, W) in [-1, 1] -> picture in [-1, 1].
    """

    inputs = ("source",)

    def __init__(self, generator: nn.Module, bounded: bool = True) -> None:
        super().__init__()
        self.generator, self.bounded = generator, bounded

    def forward(self, source: Tensor) -> Tensor:
        return self.generator(source).clamp(-1, 1)


def check_installed(form: str) -> None:
    """Check that the packages of a format are installed.

    Raises:
        UserError: a package that the format needs is missing.
    """
    missing = [name for name in NEEDED.get(form, ()) if find_spec(name) is None]
    if missing:
        raise UserError(f"format={form} needs {', '.join(missing)}: pip install 'gan_cli[export]'")


def export(trained: Trained, form: str, path: Path, direction: str | None = None) -> float:
    """Write a generator; return the largest difference between samples of the written file and those of the model here.

    Raises:
        UserError: the generator can't be exported in this format; the error has torch's reason.
    """
    module, example = module_and_example(trained, direction)
    check_steady(module, example)
    writers: Mapping[str, Callable[..., Callable[[list[Tensor]], Tensor]]] = {
        "onnx": to_onnx,
        "export": to_program,
        "safetensors": to_safetensors,
    }
    with beside(path) as temporary:
        exported = writers[form](module, example, temporary, trained)
        worst = 0.0
        for count in (len(example[0]), 5, 1):  # the batch size is free
            inputs = [tensor[:1].repeat(count, *[1] * (tensor.dim() - 1)) if count != len(example[0]) else tensor
                    for tensor in example]  # fmt: skip
            with torch.no_grad():
                worst = max(worst, (module(*inputs) - exported(inputs)).abs().max().item())
    return worst


def module_and_example(trained: Trained, direction: str | None) -> tuple[nn.Module, list[Tensor]]:
    """Return the module to export and an example of its inputs."""
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


def check_steady(module: nn.Module, example: list[Tensor]) -> None:
    with torch.no_grad():
        if not torch.equal(module(*example), module(*example)):
            raise UserError("this generator draws noise of its own also when it is used: its samples can't be compared")


def names_of(example: list[Tensor], module: nn.Module) -> list[str]:
    return list(module.inputs)[: len(example)]  # type: ignore[arg-type]


def to_program(
    module: nn.Module, example: list[Tensor], path: Path, trained: Trained
) -> Callable[[list[Tensor]], Tensor]:
    """Write a `torch.export` program; return a function of the loaded one (`torch.export.load(path).module()`)."""
    program = traced(module, example)
    buffer = io.BytesIO()  # with a path, these writers refuse one that is not UTF-8
    torch.export.save(program, buffer)
    path.write_bytes(buffer.getvalue())
    loaded = torch.export.load(io.BytesIO(path.read_bytes())).module()
    return lambda inputs: loaded(*inputs)


def traced(module: nn.Module, example: list[Tensor]) -> Any:
    batch = torch.export.Dim("batch", min=1)
    shapes = tuple({0: batch} for _ in example)
    try:
        return torch.export.export(module, tuple(example), dynamic_shapes=shapes)
    except Exception as error:
        about = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(f"torch can't export this generator ({about})") from error


def to_onnx(module: nn.Module, example: list[Tensor], path: Path, trained: Trained) -> Callable[[list[Tensor]], Tensor]:
    """Write one ONNX file; return a function that runs the file with onnxruntime on the CPU."""
    import logging
    import warnings

    import onnxruntime

    names = names_of(example, module)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own exporter warns of its own future
        program = torch.onnx.export(traced(module, example), verbose=False, input_names=names, output_names=["samples"])
    assert program is not None
    buffer = io.BytesIO()
    import onnx

    onnx.save(program.model_proto, buffer)
    path.write_bytes(buffer.getvalue())
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    input_names = [entry.name for entry in session.get_inputs()]

    def run(inputs: list[Tensor]) -> Tensor:
        feed = {name: tensor.numpy() for name, tensor in zip(input_names, inputs, strict=True)}
        return torch.from_numpy(session.run(None, feed)[0])

    return run


def to_safetensors(
    module: nn.Module, example: list[Tensor], path: Path, trained: Trained
) -> Callable[[list[Tensor]], Tensor]:
    """Write the generator's weights by name, with the model's config as metadata.

    Returns:
        a function that computes samples with the weights of the written file.
    """
    from safetensors.torch import load, save

    generator: nn.Module = module.generator  # type: ignore[assignment]
    network_name = next(name for name, network in trained.networks.items() if network is generator)
    weights = {name: value.contiguous().clone() for name, value in generator.state_dict().items()}
    metadata = {"model": json.dumps(trained.config.game.model), "images": str(trained.images), "network": network_name}
    path.write_bytes(save(weights, metadata))
    rebuilt = build_game(trained.config.game, trained.config.trust)
    rebuilt.set_progress(trained.images)
    network = rebuilt.networks[network_name].eval()
    network.load_state_dict(load(path.read_bytes()))
    reloaded = type(module)(network, module.bounded).eval()  # type: ignore[call-arg]
    return lambda inputs: reloaded(*inputs)


def write_about(path: Path, trained: Trained, form: str, difference: float) -> None:
    """Write a JSON file beside the export: the checkpoint, its config and classes, and the largest difference."""
    about = {
        "checkpoint": str(trained.path),
        "images": trained.images,
        "format": form,
        "largest_difference": difference,
        "class_names": trained.class_names if trained.game.num_classes else [],
        "config": trained.config.game.model,
    }
    write_atomically(path.with_suffix(path.suffix + ".json"), json.dumps(about, indent=1).encode())
