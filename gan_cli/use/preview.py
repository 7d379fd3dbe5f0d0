"""What a grid is made from: fixed latents, or pictures that training never sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from gan_cli.data.node import undecoded, without_download
from gan_cli.data.order import Data
from gan_cli.game.build import build_data
from gan_cli.game.gan import GAN
from gan_cli.media.medium import placed
from gan_cli.parts.latent import latents

MOST_COLUMNS = 8  # of a grid that shows several rows for each example


def held_out(config: dict[str, Any], trust: Sequence[str] = ()) -> Data:
    """The test split of a run's data set; its files are decoded when they are needed, and never fetched."""
    dataset = undecoded(without_download(config["dataset"]))
    return build_data({**config, "dataset": {**dataset, "split": "test"}}, trust)


def given(
    gan: GAN, config: dict[str, Any], count: int, seed: int, device: torch.device, trust: Sequence[str] = ()
) -> dict[str, Tensor]:
    """What `GAN.preview` needs for `count` examples: `latent` and `label`, or fields of held-out data."""
    if gan.translates:
        data = held_out(config, trust)
        return data.fetch(data.order(seed).indices(0, min(count, len(data))), device)
    assert gan.latent is not None
    fields = {"latent": latents(gan.latent, count, seed, "preview").to(device)}
    if gan.num_classes is not None:
        fields["label"] = torch.arange(count, device=device) % gan.num_classes
    return fields


def layout(given: Mapping[str, Tensor], translates: bool) -> tuple[int, list[int] | None]:
    """Columns and cells of the grid of a preview (`medium.placed`): of held-out pictures, or of samples by class."""
    count = len(next(iter(given.values())))
    return (min(count, MOST_COLUMNS), None) if translates else placed(count, given.get("label"))
