"""Scores of one folder of pictures against another, without a model or a run."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from gan_cli.base.errors import UserError
from gan_cli.base.progress import counted
from gan_cli.base.randomness import permutation
from gan_cli.base.run_config import Node
from gan_cli.base.scoring import Score
from gan_cli.data.folder import Picture, Scan, scan
from gan_cli.data.images import Decoder
from gan_cli.data.picture import LOSSLESS, content_of
from gan_cli.evaluation.evaluator import build_metrics, metric_scores
from gan_cli.evaluation.setting import Plan, build_extractor
from gan_cli.metrics.evidence import Evidence
from gan_cli.metrics.gathered import Gathered, Looked, Part, Passing, pass_by

MOST_AT_ONCE = 2**26  # bytes of the pictures of one batch
MOST_HELD = 2**32  # bytes of the pictures of a folder that a metric holds
NEAR = 3  # a difference of estimated JPEG qualities up to which they count as equal


def folder_scores(
    a: Path,
    b: Path,
    metrics: Mapping[str, Node],
    features: Node | None,
    how: Plan,
    device: torch.device,
    trust: Sequence[str] = (),
    warn: Callable[[str], None] = print,
) -> list[Score]:
    """Compute scores of the pictures of `a`, with those of `b` as the real ones; each picture keeps its size.

    Raises:
        UserError: a metric needs a model, a folder has no pictures, or a folder has too few.
    """
    built = build_metrics(metrics, trust)
    for name, metric in built.items():
        if metric.of_model:
            raise UserError(f"metric={name} needs a model: say checkpoint=RUN instead of a= and b=")
    extractor = None
    if any(metric.in_features() for metric in built.values()):
        extractor = build_extractor(features, trust)
        extractor.prepare(device)
        if extractor.warning:
            warn(f"warning: {extractor.warning}")

    def look(pixels: Tensor) -> Looked:
        assert extractor is not None
        return extractor(pixels.to(device))

    sides = [Side(name, where, how) for name, where in (("a", a), ("b", b))]
    for remark in (*sides[0].remarks, *sides[1].remarks, *warnings_of_unlike(*sides)):
        warn(remark)
    for name, metric in built.items():
        if any(kind.held for kind in (*metric.real, *metric.fake)):
            check_one_size(name, *sides)
            check_memory(name, *sides)
    evidence = Evidence(
        sides={
            role: Gathered(
                [kind for metric in built.values() for kind in getattr(metric, role)],
                lambda parts, side=side: side.gather(parts, look),  # type: ignore[misc]
            )
            for role, side in zip(("fake", "real"), sides, strict=True)
        }
    )
    about = {"real": sides[1].protocol(), "fake": sides[0].protocol()}
    return [
        Score(full, value, better, None, None, record)
        for name in built
        for full, value, better, record in metric_scores(
            name, built[name], metrics[name], features, extractor, evidence, about, how.seed
        )
    ]


class Side:
    """The pictures of a folder: at most `how.count`, by a fixed draw."""

    def __init__(self, name: str, where: Path, how: Plan) -> None:
        self.name, self.where, self.how = name, where, how
        contents: Scan = scan(where, what=name)
        self.remarks = contents.remarks(how.white_level, "white_level")
        self.pictures = contents.pictures
        if len(self.pictures) > how.count:
            chosen = permutation(len(self.pictures), "reference")[: how.count].sort().values
            self.pictures = [contents.pictures[place] for place in chosen.tolist()]
        self.files = [Path(contents.root) / picture.path for picture in self.pictures]
        self.decoder = Decoder(None, 3, white_level=how.white_level)

    @property
    def sizes(self) -> set[tuple[int, int]]:
        """Return the widths and heights of the pictures."""
        return {(picture.width, picture.height) for picture in self.pictures}

    def batches(self) -> Iterator[Tensor]:
        """Yield pictures (N, 3, H, W) uint8 in the order of their names; the pictures of a batch have one size."""
        waiting: list[Tensor] = []
        for file in counted(self.files, f"looking at {self.where}", len(self.files), "pictures"):
            picture = self.decoder(file)
            full = len(waiting) == self.how.batch_size or (len(waiting) + 1) * picture.numel() > MOST_AT_ONCE
            if waiting and (picture.shape != waiting[0].shape or full):
                yield torch.stack(waiting)
                waiting = []
            waiting.append(picture)
        yield torch.stack(waiting)

    def gather(self, parts: Sequence[Part], look: Callable[[Tensor], Looked]) -> None:
        """Fill parts, in one pass over the files."""
        pass_by(parts, (Passing(batch, look) for batch in self.batches()))

    def protocol(self) -> dict[str, Any]:
        state = hashlib.sha256()
        for file in counted(self.files, f"fingerprint of {self.where}", len(self.files), "pictures"):
            state.update(content_of(file))
        white = {} if self.how.white_level is None else {"white_level": self.how.white_level}
        about = {"folder": self.where.name, "count": len(self.files), "digest": state.hexdigest()[:16]}
        return {**about, "pixels": format_sizes(self.sizes), "files": format_kinds(self.pictures), **white}


def format_sizes(sizes: set[tuple[int, int]]) -> str:
    """Format sizes as `64x48`, or as `32x32 to 640x480` by area."""
    ordered = [f"{width}x{height}" for width, height in sorted(sizes, key=lambda size: (size[0] * size[1], size))]
    return ordered[0] if len(ordered) == 1 else f"{ordered[0]} to {ordered[-1]}"


def format_kinds(pictures: Sequence[Picture]) -> str:
    """Format file formats, with the qualities of JPEG: `PNG`, or `JPEG of quality 70 to 95, PNG`."""
    qualities = sorted(picture.quality for picture in pictures if picture.quality is not None)
    loss = " to ".join(map(str, dict.fromkeys((qualities[0], qualities[-1])))) if qualities else "unknown"
    forms = sorted({picture.format for picture in pictures})
    return ", ".join(f"JPEG of quality {loss}" if form == "JPEG" else form for form in forms)


def warnings_of_unlike(a: Side, b: Side) -> list[str]:
    """List warnings about differences in compression and size between two folders, which scores would measure too."""
    warnings, names = [], (f"{str(a.where)!r}", f"{str(b.where)!r}")
    forms = [{"lossless" if p.format in LOSSLESS else p.format for p in side.pictures} for side in (a, b)]
    qualities = [[p.quality for p in side.pictures if p.quality is not None] for side in (a, b)]
    apart = all(qualities) and abs(median(qualities[0]) - median(qualities[1])) > NEAR  # type: ignore[type-var, operator]
    if forms[0] != forms[1] or apart:
        warnings.append(
            f"warning: the pictures of {names[0]} are stored as {format_kinds(a.pictures)}, those of {names[1]} as"
            f" {format_kinds(b.pictures)}: part of what is found between them is the compression's; store both alike"
        )
    if a.sizes != b.sizes and 1 in (len(a.sizes), len(b.sizes)):
        warnings.append(
            f"warning: the pictures of {names[0]} are {format_sizes(a.sizes)}, those of {names[1]}"
            f" {format_sizes(b.sizes)}: part of what is found between them is the resize's; bring both to one size"
        )
    return warnings


def check_memory(name: str, *sides: Side) -> None:
    """Check that the pictures fit into memory at once.

    Raises:
        UserError: there are too many pictures.
    """
    for side in sides:
        if sum(3 * picture.width * picture.height for picture in side.pictures) > MOST_HELD:
            raise UserError(
                f"metric={name} holds all pictures in memory, and those of {str(side.where)!r} are more than"
                f" {MOST_HELD / 2**30:.0f} GiB: say count= for fewer, or make them smaller"
            )


def check_one_size(name: str, a: Side, b: Side) -> None:
    """Check that all pictures have one size, since MS-SSIM takes other scales at another size.

    Raises:
        UserError: pictures differ in size.
    """
    for side in (a, b):
        if len(side.sizes) > 1:
            raise UserError(f"metric={name} compares pixels, and the pictures of {str(side.where)!r} differ in size")
    if a.sizes != b.sizes:
        raise UserError(
            f"metric={name} stands beside that of the real pictures, and values of unlike sizes do not compare: the"
            f" pictures of {str(a.where)!r} are {format_sizes(a.sizes)}, those of {str(b.where)!r}"
            f" {format_sizes(b.sizes)}; bring both to one size, or leave {name} out"
        )
