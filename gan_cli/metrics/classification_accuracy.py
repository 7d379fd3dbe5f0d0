"""Accuracies: are samples of the requested class, and can a classifier learn from them (Ravuri & Vinyals 2019)?"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gan_cli.base.errors import UserError
from gan_cli.metrics.classifier import accuracy, trained_classifier
from gan_cli.metrics.evidence import Evidence, Metric
from gan_cli.metrics.gathered import Features, Labels, Samples


class ClassificationAccuracy(Metric):
    """Two accuracies, both from 0 to 1; higher is better.

    `classification_accuracy` (train on synthetic, test on real): a classifier is trained on samples alone. The score is
    the share of real held-out pictures that it puts in their class. `asked_accuracy`: the share of samples that the
    classifier of the real data puts in the class that was asked for.
    """

    fake, held_out = (Samples, Features), (Samples, Labels)
    of_model = of_latents = True

    def of(self, evidence: Evidence) -> dict[str, float]:
        asked = evidence.asked
        if asked is None:
            raise UserError("metric=classification_accuracy needs a conditional model and labels")
        predicted = evidence.fake.logits.argmax(1)
        classifier = trained_classifier(evidence.fakes, asked, evidence.num_classes)
        return {
            "classification_accuracy": accuracy(classifier, evidence.test_images, evidence.test_labels),
            "asked_accuracy": share_of(predicted, asked),
        }

    def protocol(self, evidence: Evidence) -> dict[str, Any]:
        return {"tested_on": len(evidence.test_images)}


def share_of(seen: Tensor, asked: Tensor) -> float:
    return float(torch.eq(seen, asked).double().mean())
