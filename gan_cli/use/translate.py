"""Pictures through a trained game that translates: files in, files out, any size; works from a notebook."""

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


def find_inputs(given: Path, what: str = "input") -> dict[str, Path]:
    """Pictures by the name of their output, a path with the ending .png: one file, or all below a folder.

    `what` is the option that named them, for the errors.

    Raises:
        UserError: nothing there, no pictures, an unreadable one, or two that would have one output.
    """
    if given.is_file():
        if given.suffix.lower() not in endings():
            raise UserError(f"{what}={str(given)!r} is no picture ({' '.join(endings())})")
        looked_at(given)
        return {f"{given.stem}.png": given}
    if not given.is_dir():
        raise UserError(f"{what}={str(given)!r} does not exist; give a picture or a folder of pictures")
    named: dict[str, Path] = {}
    for picture in scan(given, what=what).pictures:
        name = str(Path(picture.path).with_suffix(".png"))
        if name in named:
            other = str(named[name].relative_to(given))
            raise UserError(f"{other!r} and {picture.path!r} would both be written as {name!r}; rename one")
        named[name] = given / picture.path
    return named


def find_masks(given: Path, inputs: Sequence[str]) -> dict[str, Path]:
    """The mask of each input: one file for all of them, or a folder with equal names.

    Raises:
        UserError: a mask is missing.
    """
    found = find_inputs(given, "mask")
    if given.is_file():
        return dict.fromkeys(inputs, given)
    missing = [name for name in inputs if name not in found]
    if missing:
        raise UserError(f"mask={str(given)!r} has no mask for {missing[0]!r}; masks and inputs need equal names")
    return {name: found[name] for name in inputs}


def translated(
    trained: Trained, inputs: dict[str, Path], direction: str, masks: dict[str, Path] | None, seed: int
) -> Iterator[tuple[str, Tensor]]:
    """Each output's name and picture, (C, H, W) in [-1, 1], as soon as it is made.

    A picture of any size is reflected outwards to what the network takes, and cut back. Networks with noise of
    their own draw it from the seed and the picture's name.

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
        check_mask(mask_file, inputs[name])  # all of them before the first is written
    for name, file in inputs.items():
        fields = {way.source: to_float(decoder(file))[None]}
        if masks is not None and way.mask is not None:
            fields[way.mask] = (grey(masks[name]) > 127)[None].float()
        seed_everything(seed, "translate", name)
        height, width = fields[way.source].shape[2:]
        outwards = {key: reflected(part, multiple, smallest).to(trained.device) for key, part in fields.items()}
        try:
            with foreign(str(trained.path)):
                made = trained.game.translate(trained.networks, outwards, direction)
        except (RunError, MemoryError) as error:
            if isinstance(error, RunError) and "memory" not in str(error):
                raise
            raise RunError(
                f"{str(file)!r} ({width}x{height}) needs more memory than there is: make it smaller"
            ) from error
        yield name, made[0, :, : height * way.scale, : width * way.scale].cpu()


def check_mask(mask: Path, picture: Path) -> None:
    """
    Raises:
        UserError: they differ in size, or one can't be read.
    """
    sizes = [(found["width"], found["height"]) for found in map(looked_at, (mask, picture))]
    (width, height), (wanted_width, wanted_height) = sizes
    if sizes[0] != sizes[1]:
        raise UserError(
            f"the mask {str(mask)!r} is {width}x{height} and its picture {str(picture)!r}"
            f" {wanted_width}x{wanted_height}: they must be equal"
        )


def translation(trained: Trained, direction: str, masked: bool) -> Translation:
    """The way that is asked for, if the trained game knows it.

    Raises:
        UserError: it draws from noise, knows no such direction, or takes no mask, or needs one.
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
    """The rows of a grid from the run's held-out data.

    Raises:
        UserError: the data set is not there any more.
    """
    given = trained.given(count, seed)
    seed_everything(seed, "preview")
    return joined(trained.game.sample(trained.networks, given))


def looked_at(file: Path) -> Look:
    """What a look at a picture tells (`look`), by the rules of a folder's pictures.

    Raises:
        UserError: it is none that is read.
    """
    found = look(file)
    if "error" in found:
        raise UserError(f"{str(file)!r} {found['error']}")
    return found


def remarks(trained: Trained, *given: Path) -> list[str]:
    """What a user should know of the files that were given to a model: some left out, 16-bit values that are dark."""
    white = trained.config.data.node.get("white_level")
    return [remark for path in given for remark in remarks_on(path, white, None, "input")]


def reflected(images: Tensor, multiple: int, smallest: int = 1) -> Tensor:
    """(N, C, H, W) -> the next multiples of `multiple` from `smallest` up, the right and lower edge mirrored."""
    for dimension in (2, 3):
        size = images.shape[dimension]
        wanted = -(-max(size, smallest) // multiple) * multiple
        if wanted != size:
            period = max(2 * (size - 1), 1)
            at = torch.arange(wanted, device=images.device) % period
            images = images.index_select(dimension, torch.minimum(at, period - at).clamp_max(size - 1))
    return images


def picture_for(trained: Trained, file: Path) -> Tensor:
    """A picture as the model would make it: (1, C, R, R) in [-1, 1], cut to a square and resized.

    Raises:
        UserError: it is none that is read.
    """
    looked_at(file)
    return trained.medium.read(file, trained.config.data.node)


def changes_of(file: Path, channels: int, resolution: int) -> list[str]:
    """What `picture_for` does to a picture, in words."""
    found, changes = looked_at(file), []
    if found["width"] != found["height"]:
        changes.append("cut to its middle square")
    if min(found["width"], found["height"]) != resolution:
        changes.append(f"resized to {resolution}x{resolution}")
    if channels == 1 and found["mode"] not in GREY_MODES:
        changes.append("turned to grey")
    return changes
