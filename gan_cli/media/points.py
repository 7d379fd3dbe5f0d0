"""Points of the plane: shown as dots, saved as lines of CSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gan_cli.base.errors import UserError
from gan_cli.base.files import write_atomically
from gan_cli.base.limits import Positive


class PointMedium:
    """Points (N, 2), shown in the square of side 2 * `extent` around the origin."""

    field = "point"
    bounded = False
    ending = ".csv"
    side = 256  # pixels of the preview

    def __init__(self, extent: Positive) -> None:
        self.extent = extent

    def preview(self, samples: Tensor, columns: int, cells: Sequence[int] | None = None) -> Tensor:
        places = ((samples.float().cpu() / self.extent + 1) / 2 * self.side).long()
        inside = places[((places >= 0) & (places < self.side)).all(1)]
        counts = torch.bincount(inside[:, 1] * self.side + inside[:, 0], minlength=self.side**2)
        ink = counts.view(self.side, self.side).flip(0).clamp(max=1).float()
        ink = torch.nn.functional.max_pool2d(ink[None, None], 3, 1, 1)[0]  # a dot of 3x3 pixels
        return (255 * (1 - ink)).to(torch.uint8).expand(3, -1, -1).contiguous()

    def rows(self, rows: dict[str, Tensor], columns: int, cells: Sequence[int] | None = None) -> Tensor:
        return self.preview(torch.cat([*rows.values()]), columns)

    def save(self, sample: Tensor, path: Path) -> None:
        line = ",".join(f"{value:.6g}" for value in sample.tolist()) + "\n"
        write_atomically(path, line.encode(), durable=False)

    def judged(self, samples: Tensor) -> Tensor:
        return samples.detach().float().cpu()

    def described(self, sample: Tensor) -> str | None:
        return None

    def size(self, dataset: Mapping[str, Any]) -> str:
        return "points in the plane"

    def read(self, path: Path, dataset: Mapping[str, Any]) -> Tensor:
        raise UserError(f"this model makes points, and those are not read from {str(path)!r}")

    def array(self, samples: Tensor) -> Tensor:
        return samples.float().cpu()
