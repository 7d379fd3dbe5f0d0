"""Translation of picture files of any size by a trained game, from files to files; works from a notebook."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from gan_cli.base.errors import RunError, UserError
from gan_cli.base.progress import counted
from gan_cli.base.randomness import seed_everything
from gan_cli.base.stored import foreign
from gan_cli.data.folder import remarks_on, scan
from gan_cli.data.images import Decoder, to_float
from gan_cli.data.picture import GREY_MODES, Look, endings, look
from gan_cli.game.game import Rows, joined
from gan_cli.game.space import Translation
from gan_cli.use.load import Trained


def find_inputs(path: Path, what: str = "input") -> dict[str, Path]:
    """Find one picture, or all below a folder, by the name of the output: a path with the ending .png.

    `what` is the option that named the path, for the errors.

    Raises:
        UserError: the path does not exist, has no pictures or an unreadable one, or two pictures would have one output.
    """
    if path.is_file():
        if path.suffix.lower() not in endings():
            raise UserError(f"{what}={str(path)!r} is no picture ({' '.join(endings())})")
        checked_look(path)
        return {f"{path.stem}.png": path}
    if not path.is_dir():
        raise UserError(f"{what}={str(path)!r} does not exist; give a picture or a folder of pictures")
    named: dict[str, Path] = {}
    for picture in scan(path, what=what).pictures:
        name = str(Path(picture.path).with_suffix(".png"))
        if name in named:
            other = str(named[name].relative_to(path))
            raise UserError(f"{other!r} and {picture.path!r} would both be written as {name!r}; rename one")
        named[name] = path / picture.path
    return named


def find_masks(path: Path, inputs: Sequence[str]) -> dict[str, Path]:
    """Find the mask of each input: one file for all of them, or files of equal names in a folder.

    Raises:
        UserError: a mask is missing.
    """
    masks = find_inputs(path, "mask")
    if path.is_file():
        return dict.fromkeys(inputs, path)
    missing = [name for name in inputs if name not in masks]
    if missing:
        raise UserError(f"mask={str(path)!r} has no mask for {missing[0]!r}; masks and inputs need equal names")
    return {name: masks[name] for name in inputs}


def translated(
    trained: Trained, inputs: dict[str, Path], direction: str, masks: dict[str, Path] | None, seed: int
) -> Iterator[tuple[str, Tensor]]:
    """Yield the name and the picture, (C, H, W) in [-1, 1], of each output as soon as it is made.

    A picture of any size is mirrored at its right and lower edges to a size that the network takes, and the output is
    cut back. Networks that draw noise themselves draw it from the seed and the picture's name.

    Raises:
        UserError: a mask can't be read, or has another size than its picture.
        PictureError: a picture can't be read any more.
    """
    way = translation(trained, direction, masks is not None)
    network = trained.networks[way.network]
    multiple, smallest = (int(getattr(network, name, 1)) for name in ("multiple", "smallest"))
    dataset = trained.config.data.node
    white = dataset.get("white_level")
    decoder = Decoder(None, dataset[way.channels], background=dataset.get("background", 255), white_level=white)
    grey = Decoder(None, 1, background=0, white_level=white)
    masked = (masks or {}).items()
    for name, mask_file in counted(masked, "comparing masks and pictures", len(masked), "masks"):
        check_mask(mask_file, inputs[name])  # all masks, before the first output is written
    for name, file in inputs.items():
        fields = {way.source: to_float(decoder(file))[None]}
        if masks is not None and way.mask is not None:
            fields[way.mask] = (grey(masks[name]) > 127)[None].float()
        seed_everything(seed, "translate", name)
        height, width = fields[way.source].shape[2:]
        extended = {key: reflected(part, multiple, smallest).to(trained.device) for key, part in fields.items()}
        try:
            with foreign(str(trained.path)):
                output = trained.game.translate(trained.networks, extended, direction)
        except (RunError, MemoryError) as error:
            if isinstance(error, RunError) and "memory" not in str(error):
                raise
            raise RunError(
                f"{str(file)!r} ({width}x{height}) needs more memory than there is: make it smaller"
            ) from error
        yield name, output[0, :, : height * way.scale, : width * way.scale].cpu()


def check_mask(mask: Path, picture: Path) -> None:
    """Check that a mask has the size of its picture.

    Raises:
        UserError: they differ in size, or one can't be read.
    """
    sizes = [(header["width"], header["height"]) for header in map(checked_look, (mask, picture))]
    (width, height), (picture_width, picture_height) = sizes
    if sizes[0] != sizes[1]:
        raise UserError(
            f"the mask {str(mask)!r} is {width}x{height} and its picture {str(picture)!r}"
            f" {picture_width}x{picture_height}: they must be equal"
        )


def translation(trained: Trained, direction: str, masked: bool) -> Translation:
    """Return the game's translation in a direction.

    Raises:
        UserError: the model draws from noise, has no such direction, takes no mask, or needs one.
    """
    ways = trained.game.translations
    if not ways:
        raise UserError("input= needs a model that is given pictures, and this one draws from noise")
    if direction not in ways:
        raise UserError(f"direction={direction} is unknown to this model; it knows {' and '.join(ways)}")
    way = ways[direction]
    if masked and way.mask is None:
        raise UserError("mask= is for models that fill holes, and this one does not")
    if way.mask is not None and not masked:
        raise UserError("this model fills holes: say where they are with mask=IMAGE, white where pixels are missing")
    return way


def held_out_rows(trained: Trained, count: int, seed: int) -> Rows:
    """Compute the rows of a grid from the run's held-out data.

    Raises:
        UserError: the data set is not there any more.
    """
    given = trained.given(count, seed)
    seed_everything(seed, "preview")
    return joined(trained.game.sample(trained.networks, given))


def checked_look(file: Path) -> Look:
    """Return size, mode and format of a picture (`look`), by the rules for pictures in folders.

    Raises:
        UserError: the file is no picture that can be read.
    """
    header = look(file)
    if "error" in header:
        raise UserError(f"{str(file)!r} {header['error']}")
    return header


def remarks(trained: Trained, *paths: Path) -> list[str]:
    """List remarks on files that a model was given: pictures that are left out, 16-bit values that are dark."""
    white = trained.config.data.node.get("white_level")
    return [remark for path in paths for remark in remarks_on(path, white, None, "input")]


def reflected(images: Tensor, multiple: int, smallest: int = 1) -> Tensor:
    """Mirror pictures (N, C, H, W) at the right and lower edge, up to multiples of `multiple` from `smallest` up."""
    for dimension in (2, 3):
        size = images.shape[dimension]
        target = -(-max(size, smallest) // multiple) * multiple
        if target != size:
            period = max(2 * (size - 1), 1)
            at = torch.arange(target, device=images.device) % period
            images = images.index_select(dimension, torch.minimum(at, period - at).clamp_max(size - 1))
    return images


def picture_for(trained: Trained, file: Path) -> Tensor:
    """Read a picture as the model would make it: (1, C, R, R) in [-1, 1], cut to a square and resized.

    Raises:
        UserError: the file is no picture that can be read.
    """
    checked_look(file)
    return trained.medium.read(file, trained.config.data.node)


def changes_of(file: Path, channels: int, resolution: int) -> list[str]:
    """List in words the changes that `picture_for` makes to a picture."""
    header, changes = checked_look(file), []
    if header["width"] != header["height"]:
        changes.append("cut to its middle square")
    if min(header["width"], header["height"]) != resolution:
        changes.append(f"resized to {resolution}x{resolution}")
    if channels == 1 and header["mode"] not in GREY_MODES:
        changes.append("turned to grey")
    return changes
