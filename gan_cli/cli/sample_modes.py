"""The modes of `gan-sample` besides a grid: walks, mixed styles, projections, directions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gan_cli.base.errors import UserError
from gan_cli.base.files import expanded
from gan_cli.base.printable import tell
from gan_cli.base.progress import Progress, counted
from gan_cli.cli.loading import load_torch
from gan_cli.cli.outputs import default_output, output_path

OWN = {  # keys that one mode alone has, with their defaults
    "frames": ("interpolation", 240),
    "rows": ("style_mixing", 5),
    "layers": ("style_mixing", None),
    "steps": ("project", 500),
    "top": ("directions", 8),
    "reach": ("directions", 3.0),
}
FRAMES_A_SECOND = 30


def check(wanted: dict[str, Any]) -> None:
    """
    Args:
        wanted: each of its values is one that it may have (`options`).

    Raises:
        UserError: a key of another mode, or one that the mode needs.
    """
    mode = wanted["mode"]
    if wanted["count"] is not None and mode not in ("grid", "interpolation"):
        instead = {"style_mixing": "rows= and columns= say how many", "directions": "top= says how many"}
        raise UserError(f"count= is not for mode={mode}: {instead.get(mode, 'it finds one picture')}")
    for key, (of, default) in OWN.items():
        if mode != of and wanted[key] != default:
            raise UserError(f"{key}= is for mode={of}")
    if mode == "project" and wanted["input"] is None:
        raise UserError("mode=project searches the latent behind a picture: say which with input=IMAGE")
    if mode not in ("grid", "project") and wanted["input"] is not None:
        raise UserError(f"input= is for models that are given pictures and for mode=project, not for mode={mode}")
    if mode != "grid" and wanted["format"] != "grid":
        raise UserError("format= is for mode=grid")
    if mode in ("interpolation", "project", "directions") and len(wanted["labels"] or []) > 1:
        raise UserError(f"mode={mode} shows one class: say labels=[NAME], and one name")


def run(wanted: dict[str, Any], where: Path) -> None:
    """Carry out a mode; prints where what it made is."""
    mode, output = wanted["mode"], wanted["output"]
    target = None if output is None else expanded(output)
    if mode == "interpolation":
        from gan_cli.use.modes.interpolation import check_ending

        check_ending(target if target is not None else Path("walk.mp4"))
        if target is not None:
            taken(target, wanted["overwrite"])
    elif target is not None:
        target = output_path(target, "png" if mode == "project" else "grid", wanted["overwrite"])
    given = picture_file(wanted["input"]) if mode == "project" else None

    load_torch(wanted["threads"])
    from gan_cli.use.load import load_trained
    from gan_cli.use.modes.trained_space import TrainedSpace
    from gan_cli.use.sample import class_numbers

    trained = load_trained(
        *(where, wanted["ema"], wanted["device"], wanted["trust"]),
        standing_statistics=wanted["standing_statistics"],
        truncation_psi=wanted["truncation_psi"],
    )
    space = TrainedSpace(trained, wanted["space"], wanted["truncation_psi"])
    wanted = {**wanted, "labels": class_numbers(wanted["labels"], trained)}
    form = {"interpolation": "walk", "project": "folder"}.get(mode, "grid")
    target = target or default_output(trained.path, trained.images, {**wanted, "format": form}, kind=mode)
    target.parent.mkdir(parents=True, exist_ok=True)
    carried_out = {
        "interpolation": interpolation,
        "style_mixing": style_mixing,
        "project": project,
        "directions": directions,
    }
    carried_out[mode](wanted, space, target, given)
    tell(f"mode={mode} of {trained.path} in {target}")


def taken(path: Path, overwrite: bool) -> None:
    if (any(path.iterdir()) if path.is_dir() else path.exists()) and not overwrite:
        raise UserError(f"output {str(path)!r} exists already; choose another or say overwrite=true")


def picture_file(text: Any) -> Path:
    path = expanded(str(text))
    if not path.is_file():
        raise UserError(f"input={str(text)!r} is no picture: mode=project takes one file")
    return path


def plan(wanted: dict[str, Any], space: Any, count: int, purpose: str = "sample") -> tuple[Any, Any]:
    given = space.trained.given(count, wanted["seed"], wanted["labels"], purpose)
    return given["latent"], given.get("label")


def interpolation(wanted: dict[str, Any], space: Any, target: Path, given: Any) -> None:
    """A closed walk past `count` latents."""
    from gan_cli.use.modes.interpolation import walk, write_frames

    latent, label = plan(wanted, space, wanted["count"] or 8)
    frames = walk(space, latent, label, wanted["frames"], wanted["batch_size"])
    frames = counted(frames, "drawing frames", wanted["frames"], "frames")
    write_frames(frames, target, space.trained.medium, FRAMES_A_SECOND)


def style_mixing(wanted: dict[str, Any], space: Any, target: Path, given: Any) -> None:
    import torch

    from gan_cli.media.image import write_png
    from gan_cli.use.modes.style_mixing import mixed_grid

    rows, columns = wanted["rows"], wanted["columns"] or 8
    latents, labels = zip(plan(wanted, space, rows), plan(wanted, space, columns, "columns"), strict=True)
    label = None if labels[0] is None else torch.cat(labels)
    with Progress("making samples"):
        pictures = mixed_grid(space, torch.cat(latents), label, rows, columns, wanted["layers"])
    write_png(space.trained.medium.preview(pictures, columns + 1), target)


def directions(wanted: dict[str, Any], space: Any, target: Path, given: Any) -> None:
    from gan_cli.media.image import write_png
    from gan_cli.use.modes.directions import directions as found_in
    from gan_cli.use.modes.directions import strips

    columns = wanted["columns"] or 7
    found, strength = found_in(space, wanted["top"])
    latent, label = plan(wanted, space, 1)
    with Progress("making samples"):
        pictures = strips(space, space.codes(latent, label), label, found, wanted["reach"], columns)
    write_png(space.trained.medium.preview(pictures, columns), target)
    for number, value in enumerate(strength.tolist()):
        tell(f"row {number + 1}   strength {value:.4g}")


def project(wanted: dict[str, Any], space: Any, target: Path, given: Path) -> None:
    """Writes target.png (wanted beside found), latent.npz, distance.csv."""
    import torch

    from gan_cli.base.files import write_atomically
    from gan_cli.media.image import write_png
    from gan_cli.use.modes.project import project as search
    from gan_cli.use.sample import write_npz
    from gan_cli.use.translate import changes_of, picture_for, remarks

    label = plan(wanted, space, 1)[1]
    picture = picture_for(space.trained, given)
    if changes := changes_of(given, *picture.shape[1:3]):
        tell(f"{given.name} for this model: {', '.join(changes)}")
    for remark in remarks(space.trained, given):
        tell(remark)
    with Progress("searching the latent behind the picture", wanted["steps"], "steps") as count:
        found = search(space, picture, label, wanted["steps"], wanted["seed"], lambda step: count())
    target.mkdir(parents=True, exist_ok=True)
    write_png(space.trained.medium.preview(torch.cat([picture, found.picture]), 2), target / "wanted_and_found.png")
    space.trained.medium.save(found.picture[0], target / "found.png")
    about = {"checkpoint": str(space.trained.path), "input": str(given), "space": space.name, "steps": wanted["steps"]}
    write_npz(target / "latent.npz", {"code": found.code, "label": label}, about)
    lines = ["step,distance", *(f"{step},{value:.8g}" for step, value in enumerate(found.curve))]
    write_atomically(target / "distance.csv", ("\n".join(lines) + "\n").encode())
    write_atomically(target / "about.json", json.dumps({**about, "distance": found.curve[-1]}).encode())
    tell(f"distance {found.curve[0]:.4g} at the start, {found.curve[-1]:.4g} at the end")
