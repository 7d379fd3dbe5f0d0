"""What a grid is made from: fixed latents, or pictures that training never sees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gan_cli.build import build_data, without_download
from gan_cli.data.order import Data
from gan_cli.errors import UserError
from gan_cli.gan import GAN
from gan_cli.randomness import generator_for

MOST_COLUMNS = 8  # of a grid that shows several rows for each example


def check_same_data(config: dict[str, Any], fingerprint: str, trust: Sequence[str] = ()) -> None:
    """Whether the folder that a config names holds the data that a run was trained on, by its fingerprint.

    Raises:
        UserError: it holds other data, or none.
    """
    dataset = without_download(config["dataset"])
    if "memory_limit_mb" in dataset:
        dataset["memory_limit_mb"] = 0
    if build_data({**config, "dataset": dataset}, trust).fingerprint != fingerprint:
        raise UserError(
            f"dataset.root={str(dataset['root'])!r} holds other data than the run was trained on: other files, or the"
            " same under other names"
        )


def held_out(config: dict[str, Any], trust: Sequence[str] = ()) -> Data:
    """The test split of a run's data set; its files are decoded when they are needed, and never fetched."""
    dataset = {**without_download(config["dataset"]), "split": "test"}
    if "memory_limit_mb" in dataset:
        dataset["memory_limit_mb"] = 0
    return build_data({**config, "dataset": dataset}, trust)


def given(
    gan: GAN, config: dict[str, Any], count: int, seed: int, device: torch.device, trust: Sequence[str] = ()
) -> dict[str, Tensor]:
    """What `GAN.preview` needs for `count` examples: `latent` and `label`, or fields of held-out data."""
    if gan.translates:
        data = held_out(config, trust)
        return data.fetch(data.order(seed).indices(0, min(count, len(data))), device)
    assert gan.latent is not None
    fields = {"latent": gan.latent.draw(count, generator_for(device, seed, "preview"))}
    if gan.num_classes is not None:
        fields["label"] = preview_labels(count, columns_of(gan, count), gan.num_classes, device)
    return fields


def preview_labels(count: int, columns: int, num_classes: int, device: torch.device) -> Tensor:
    """(count,): one class to a row, over and over."""
    return (torch.arange(count, device=device) // columns) % num_classes


def columns_of(gan: GAN, count: int) -> int:
    return min(count, MOST_COLUMNS) if gan.translates else max(1, round(count**0.5))
