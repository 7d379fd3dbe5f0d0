"""The options that a config leaves to the files and the model: resolution, channels, classes, degradation."""

from __future__ import annotations

from typing import Any

from gan_cli.base.errors import UserError
from gan_cli.check.check_data import fitting_resolution


def complete(config: Any) -> None:
    """Fill in the options that the data set's YAML leaves to its files and the model: resolution, channels, classes.

    Args:
        config: a composed config (an open DictConfig, interpolations still in it), changed in place.

    Raises:
        UserError: a folder is missing, empty, or holds a corrupt file; no resolution is known, or none fits.
    """
    dataset: Any = config.get("dataset")
    model: Any = config.get("model")
    if not hasattr(dataset, "keys") or "provides" not in dataset:
        return
    provides = dataset.provides
    if "degradation" in dataset:
        degrade(dataset, model)
    if provides.get("scan"):
        read_facts(dataset)
    if provides.get("labelled_by") and dataset.get(provides.labelled_by) is not None:
        provides.fields, provides.classes = ["image", "label"], 2
    if "resolution" in dataset and dataset.resolution is None:
        required = (model.get("requires") or {}).get("resolution") if hasattr(model, "get") else None
        if provides.get("resolution") is None:
            raise UserError("dataset.resolution=PIXELS is needed: neither the data set's YAML nor its files say one")
        dataset.resolution = fitting_resolution(provides.resolution, required)
    for key in ("channels", "source_channels"):
        if key in dataset and dataset[key] is None:
            dataset[key] = provides[key]


def read_facts(dataset: Any) -> None:
    """Read the facts of a data set that only its files tell: channels, sizes, classes, number of pictures.

    Raises:
        UserError: the folder is missing, empty, holds a corrupt file, or has two sides that don't fit each other.
    """
    from omegaconf import OmegaConf

    from gan_cli.data import layout
    from gan_cli.data.folder import scan

    provides = dataset.provides
    if OmegaConf.is_missing(dataset, "root") or dataset.root is None:
        kind = "image_folder" if provides.scan is True else provides.scan
        raise UserError(f"dataset={kind} needs the folder of your pictures: dataset.root=FOLDER")
    if provides.scan is True:
        content = scan(str(dataset.root), bool(dataset.get("skip_corrupt")))
        content.check_classes()
        provides.channels, provides.count = content.channels, len(content.pictures)
        if content.classes:
            provides.classes, provides.fields = len(content.classes), ["image", "label"]
        return
    options = {
        key: dataset[key] for key in ("split", "held_out", "direction", "skip_corrupt") if dataset.get(key) is not None
    }
    find = layout.FINDERS[provides.scan]
    source, target = find(str(dataset.root), **options)
    # read now, so that faults of the held-out files too are reported before training
    held_out, _ = find(str(dataset.root), **{**options, "split": "test"})
    provides.source_channels, provides.channels = source.channels, target.channels
    provides.count = max(len(source.files), len(target.files))
    if provides.resolution is None:
        provides.resolution = target.square if target.square == source.square and target.square else 256
    if provides.scan == "degraded":
        layout.check_crop(target, dataset.resolution)
        layout.check_crop(held_out, dataset.resolution)


def degrade(dataset: Any, model: Any) -> None:
    """Choose the degradation that the model brings, where none is chosen yet.

    Add the fields and the scale of a chosen degradation to those of the data set.
    """
    from omegaconf import OmegaConf

    brought = OmegaConf.select(model, "brings.degradation") if hasattr(model, "keys") else None
    if dataset.degradation is None and brought is not None:
        dataset.degradation = OmegaConf.to_container(brought, resolve=True)
    if dataset.degradation is not None:
        added = dataset.degradation.get("provides") or {}
        fields = [*dataset.provides.fields, *added.get("fields", ["source"])]
        dataset.provides.fields = list(dict.fromkeys(fields))
        dataset.provides.scale = added.get("scale", 1)
