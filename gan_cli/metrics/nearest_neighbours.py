"""Does the model copy its training pictures? Distances to the nearest of them, beside those of unseen real ones."""

from __future__ import annotations

from typing import Any

from gan_cli.base.errors import UserError
from gan_cli.metrics.evidence import Evidence, Metric
from gan_cli.metrics.gathered import Features
from gan_cli.metrics.neighbours import nearest


class NearestNeighbours(Metric):
    """Median distance in features from a sample to its nearest training picture, divided by that of held-out pictures.

    About 1: samples are as far from the training pictures as new real pictures are. Far below 1: copies. Above 1:
    samples that are like nothing real. Neither end is good, so the score has no better direction. `copies` is the share
    of samples that are nearer to a training picture than 99 of 100 held-out pictures; about 0.01 without copying.
    """

    real = fake = held_out = (Features,)
    of_model = of_latents = True

    def of(self, evidence: Evidence) -> dict[str, float]:
        train = evidence.real.features
        samples, held_out = nearest(evidence.fake.features, train), nearest(evidence.test.features, train)
        near = held_out.double().quantile(0.01)
        return {
            "nearest_neighbours": float(samples.median() / held_out.median()),
            "copies": float((samples.double() < near).double().mean()),
        }

    def check_split(self, split: str) -> None:
        if split != "train":
            raise UserError("metric=nearest_neighbours looks for copies of training pictures: say split=train")

    def protocol(self, evidence: Evidence) -> dict[str, Any]:
        return {"held_out": evidence.test.count}
