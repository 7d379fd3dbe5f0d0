"""A walk through latents, closed to a loop: a video, a GIF, or single frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from gan_cli.base.errors import UserError
from gan_cli.base.files import beside
from gan_cli.media.image import write_png
from gan_cli.media.medium import Medium
from gan_cli.use.modes.trained_space import TrainedSpace

ENDINGS = (".mp4", ".gif", "")  # "": a folder of PNG files


def walk(space: TrainedSpace, latent: Tensor, label: Tensor | None, frames: int, batch_size: int) -> Iterator[Tensor]:
    """The frames of a closed walk past all latents, (C, R, R) each; a pause of none, equal parts for every stretch.

    A conditional model keeps its first label: classes have no in-between.
    """
    count = len(latent)
    codes = space.codes(latent, None if label is None else label[:1].expand(count))
    places = torch.arange(frames, dtype=torch.float64) * count / frames
    first = places.long()
    share = (places - first).float()[:, None].to(codes.device)
    path = space.space.between(codes[first % count], codes[(first + 1) % count], share)
    same = None if label is None else label[:1].expand(frames)
    for batch in space.draw(path, same, batch_size):
        yield from batch


def check_ending(path: Path) -> str:
    """
    Raises:
        UserError: a file that can't be written, or needs what is not installed.
    """
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise UserError(f"output={path} can't be written: a walk is an .mp4 or .gif file, or a folder of frames")
    if ending == ".mp4" and find_spec("av") is None:
        raise UserError("an .mp4 needs PyAV: pip install 'gan_cli[video]'; a .gif or a folder of frames does not")
    return ending


def write_frames(frames: Iterable[Tensor], path: Path, medium: Medium, rate: int) -> int:
    """Frames (C, R, R) as `path`'s ending says; how many there were. Small ones are enlarged, as in grids."""
    pictures = (medium.preview(frame[None], 1) for frame in frames)
    ending = check_ending(path)
    if ending == "":
        path.mkdir(parents=True, exist_ok=True)
        number = -1
        for number, picture in enumerate(pictures):
            write_png(picture, path / f"{number:06d}.png")
        return number + 1
    with beside(path) as temporary:
        return (write_gif if ending == ".gif" else write_mp4)(pictures, temporary, rate)


def write_gif(pictures: Iterator[Tensor], path: Path, rate: int) -> int:
    from PIL import Image

    images = [Image.fromarray(picture.permute(1, 2, 0).contiguous().numpy()) for picture in pictures]
    images[0].save(path, save_all=True, append_images=images[1:], duration=max(20, round(1000 / rate)), loop=0)
    return len(images)


def write_mp4(pictures: Iterator[Tensor], path: Path, rate: int) -> int:
    """H.264, which takes even sides only: an odd last row or column is left out."""
    import av

    count = 0
    with path.open("wb") as file, av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "16"})
        stream.pix_fmt = "yuv420p"
        for picture in pictures:
            even = picture[:, : picture.shape[1] // 2 * 2, : picture.shape[2] // 2 * 2]
            if count == 0:
                stream.height, stream.width = even.shape[1:]
            frame = av.VideoFrame.from_ndarray(even.permute(1, 2, 0).contiguous().numpy(), format="rgb24")
            container.mux(stream.encode(frame))
            count += 1
        container.mux(stream.encode())
    return count
