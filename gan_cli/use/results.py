"""The results of a mode, and the one place that writes them: pictures, frames, arrays, tables, words."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from gan_cli.base.errors import RunError, UserError
from gan_cli.base.files import beside, write_atomically
from gan_cli.media.image import write_png
from gan_cli.media.medium import Medium


class Result(Protocol):
    """Something that can be written to a path."""

    def write(self, path: Path) -> None: ...


@dataclass
class Picture:
    """(3, H, W) uint8: a PNG file."""

    pixels: Tensor

    def write(self, path: Path) -> None:
        write_png(self.pixels, path)


@dataclass
class Sample:
    """One sample (...), as a file of its medium's kind."""

    medium: Medium
    sample: Tensor

    def write(self, path: Path) -> None:
        self.medium.save(self.sample, path)


@dataclass
class Frames:
    """Pictures (3, H, W) uint8 in sequence: an .mp4, a .gif, or a folder of PNG files, by the path's ending."""

    pictures: Iterable[Tensor]
    rate: int  # a second

    def write(self, path: Path) -> None:
        ending = path.suffix.lower()
        if ending == "":
            path.mkdir(parents=True, exist_ok=True)
            for number, picture in enumerate(self.pictures):
                write_png(picture, path / f"{number:06d}.png")
            return
        with beside(path) as temporary:
            (_write_gif if ending == ".gif" else _write_mp4)(iter(self.pictures), temporary, self.rate)


@dataclass
class Arrays:
    """Tensors by name, without those that are None, and a description of them: an .npz file."""

    tensors: Mapping[str, Tensor | None]
    about: Mapping[str, Any]

    def write(self, path: Path) -> None:
        import numpy

        buffer = io.BytesIO()
        arrays: dict[str, Any] = {name: tensor.numpy() for name, tensor in self.tensors.items() if tensor is not None}
        numpy.savez(buffer, **arrays, about=numpy.array(json.dumps(dict(self.about))))
        write_atomically(path, buffer.getvalue())


@dataclass
class Table:
    """Rows under the names of their columns: a CSV file."""

    columns: Sequence[str]
    rows: Iterable[Sequence[object]]

    def write(self, path: Path) -> None:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows(map(_cells, self.rows))
        write_atomically(path, text.getvalue().encode())


@dataclass
class Words:
    """Plain values: a JSON file."""

    content: Mapping[str, Any]

    def write(self, path: Path) -> None:
        write_atomically(path, json.dumps(dict(self.content)).encode())


def write_results(results: Mapping[str, Result] | Iterable[tuple[str, Result]], target: Path) -> None:
    """Write each result under its name below `target`, as soon as it is made; one with the name "" becomes `target`
    itself.

    Raises:
        RunError: a name leads out of the folder; the results before it are written.
    """
    for name, result in results.items() if isinstance(results, Mapping) else results:
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise RunError(f"a result is named {name!r}, which leads out of the folder {str(target)!r}")
        path = target / name if name else target
        path.parent.mkdir(parents=True, exist_ok=True)
        result.write(path)


def check_video(ending: str) -> None:
    """Check that a video with this ending can be written.

    Raises:
        UserError: the ending is .mp4, and PyAV is not installed.
    """
    if ending == ".mp4" and find_spec("av") is None:
        raise UserError("an .mp4 needs PyAV: pip install 'gan_cli[video]'; a .gif or a folder of frames does not")


def _cells(row: Sequence[object]) -> list[object]:
    return [f"{value:.8g}" if isinstance(value, float) else value for value in row]


def _write_gif(pictures: Iterator[Tensor], path: Path, rate: int) -> None:
    from PIL import Image

    images = [Image.fromarray(picture.permute(1, 2, 0).contiguous().numpy()) for picture in pictures]
    images[0].save(path, save_all=True, append_images=images[1:], duration=max(20, round(1000 / rate)), loop=0)


def _write_mp4(pictures: Iterator[Tensor], path: Path, rate: int) -> None:
    """Write H.264, which takes even sides only: leave out an odd last row or column."""
    import av

    with path.open("wb") as file, av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "16"})
        stream.pix_fmt = "yuv420p"
        for number, picture in enumerate(pictures):
            even = picture[:, : picture.shape[1] // 2 * 2, : picture.shape[2] // 2 * 2]
            if number == 0:
                stream.height, stream.width = even.shape[1:]
            frame = av.VideoFrame.from_ndarray(even.permute(1, 2, 0).contiguous().numpy(), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
