"""The latents behind pictures, found by gradient descent on codes (Karras et al. 2020, appendix D)."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from annotated_types import Interval
from torch import Tensor
from torch.nn.functional import avg_pool2d

from gan_cli.base.randomness import AT_ONCE
from gan_cli.use.modes.mode import Asked, Made, Mode
from gan_cli.use.results import Arrays, Picture, Result, Sample, Table, Words
from gan_cli.use.search import Found, Objective, search
from gan_cli.use.translate import changes_of, find_inputs, picture_for, remarks


class Project(Mode):
    """For each picture of `input`: the picture beside the nearest sample, its code, and the distance by step.

    Args:
        steps: of the search.
        restarts: searches for each picture; the nearest is kept.
    """

    def __init__(
        self,
        steps: Annotated[int, Interval(ge=1, le=1_000_000)] = 500,
        restarts: Annotated[int, Interval(ge=1, le=64)] = 1,
    ) -> None:
        self.steps, self.restarts = steps, restarts

    def __call__(self, asked: Asked) -> Made:
        """Search for the latents of the pictures.

        Raises:
            UserError: the model has no latents, or its samples can't be read from files (`Medium.read`).
        """
        assert asked.input is not None
        files, trained, space = find_inputs(asked.input), asked.trained, asked.searched
        pictures = torch.cat([picture_for(trained, file) for file in files.values()])
        for file in files.values():
            if changes := changes_of(file, *pictures.shape[1:3]):
                asked.say(f"{file.name} for this model: {', '.join(changes)}")
        for remark in remarks(trained, asked.input):
            asked.say(remark)
        label = asked.latents(1)[1]
        labels = None if label is None else label.expand(len(pictures))
        nearest = search(
            *(space, distance_to(pictures.to(trained.device)), len(pictures), labels, self.steps, asked.seed),
            restarts=self.restarts,
            at_once=min(asked.batch_size, AT_ONCE),
            title="searching the latents behind the pictures",
        )
        first, last = nearest.curves[:, 0].mean().item(), nearest.values.mean().item()
        asked.say(f"distance {first:.4g} at the start, {last:.4g} at the end")
        results: dict[str, Result] = {}
        for number, (name, file) in enumerate(files.items()):
            prefix = f"{name.removesuffix('.png')}/" if asked.input.is_dir() else ""
            about = {"checkpoint": str(trained.path), "input": str(file), "space": space.name, "steps": self.steps}
            one_picture = results_for(trained.medium, pictures, nearest, number, labels, about)
            results |= {f"{prefix}{key}": result for key, result in one_picture.items()}
        return Made(results)


def results_for(
    medium: Any, pictures: Tensor, nearest: Found, number: int, labels: Tensor | None, about: dict[str, Any]
) -> dict[str, Result]:
    """Return the files of one picture."""
    row = slice(number, number + 1)
    both = torch.cat([pictures[row], nearest.samples[row].clamp(-1, 1)])
    curve = nearest.curves[number].tolist()
    label = None if labels is None else labels[row]
    return {
        "wanted_and_found.png": Picture(medium.preview(both, 2)),
        "found.png": Sample(medium, both[1]),
        "latent.npz": Arrays({"code": nearest.codes[row], "label": label}, about),
        "distance.csv": Table(("step", "distance"), list(enumerate(curve))),
        "about.json": Words({**about, "distance": nearest.values[number].item()}),
    }


def distance_to(pictures: Tensor) -> Objective:
    """Return the objective that compares each sample with its query among pictures (Q, C, R, R).

    It is the mean squared difference of pixels, averaged over a pyramid of halved pictures down to 4 pixels. The paper
    has LPIPS there.
    """
    return lambda samples, rows: distance(samples, pictures[rows.to(pictures.device)])


def distance(one: Tensor, other: Tensor) -> Tensor:
    """Compute the distances (N,) of pictures (N, C, R, R): the mean squared differences of `distance_to`."""
    total, levels = (one - other).square().flatten(1).mean(1), 1
    while one.shape[2] >= 8:
        one, other = avg_pool2d(one, 2), avg_pool2d(other, 2)
        total, levels = total + (one - other).square().flatten(1).mean(1), levels + 1
    return total / levels
