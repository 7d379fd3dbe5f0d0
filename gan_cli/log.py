"""What a run says: the console, TensorBoard, scalars.jsonl."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gan_cli import distributed
from gan_cli.errors import DivergedError
from gan_cli.run_folder import flat, write_atomically


class Console:
    """Prints, and writes the same lines to run.log; silent where `path` is None (other processes).

    A closed terminal or pipe must not end a run: it goes on, and run.log with it.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path

    def __call__(self, text: str) -> None:
        if self.path is None:
            return
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(text + "\n")
        try:
            print(text, flush=True)
        except BrokenPipeError:
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115  (for the rest of the process)


class Meter:
    """Means of scalars between two log points, kept on the device: adding never waits for it.

    Also remembers, for each scalar, the first step at which it was not finite. Its state is in the
    checkpoint: a run that is cut between two log points goes on with the same sums.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._sums: dict[tuple[str, ...], Tensor] = {}
        self._counts: dict[tuple[str, ...], int] = {}
        self._broke: dict[tuple[str, ...], Tensor] = {}  # first step of a non-finite value, or -1

    def add(self, step: int, values: dict[str, Tensor]) -> None:
        """Scalars of one update, on one device."""
        names = tuple(values)
        now = torch.stack([value.detach().to(torch.float32) for value in values.values()])
        if names not in self._sums:
            self._sums[names], self._counts[names] = torch.zeros_like(now), 0
            self._broke[names] = torch.full_like(now, -1, dtype=torch.int64)
        self._sums[names] += now
        self._counts[names] += 1
        broke = self._broke[names]
        self._broke[names] = torch.where((broke < 0) & ~torch.isfinite(now), step, broke)

    def check(self) -> None:
        """Wait for the device; every process must call it.

        Raises:
            DivergedError: something was not finite; names the first step and term.
        """
        first: tuple[int, str] | None = None
        for names, broke in self._broke.items():
            for name, step in zip(names, broke.tolist(), strict=True):
                if step >= 0 and (first is None or step < first[0]):
                    first = (step, name)
        if distributed.any_process(int(first is not None)):
            step, name = first or (-1, "a term on another process")
            raise DivergedError(f"the run diverged: {name} became NaN or infinite at step {step}")

    def read(self) -> dict[str, float]:
        """Means over all processes since the last reading; starts anew. Waits for the device."""
        sums: dict[str, float] = {}
        counts: dict[str, int] = {}
        for names, total in self._sums.items():
            shared = total.clone()
            distributed.average([shared])
            for name, value in zip(names, shared.tolist(), strict=True):
                sums[name] = sums.get(name, 0.0) + value
                counts[name] = counts.get(name, 0) + self._counts[names]
        for kept in (self._sums, self._counts, self._broke):
            kept.clear()
        return {name: sums[name] / counts[name] for name in sums}

    def state_dict(self) -> list[dict[str, Any]]:
        return [{"names": list(n), "sums": self._sums[n].cpu(), "count": self._counts[n]} for n in self._sums]

    def load_state_dict(self, state: list[dict[str, Any]]) -> None:
        for entry in state:
            names = tuple(entry["names"])
            self._sums[names], self._counts[names] = entry["sums"].to(self.device), entry["count"]
            self._broke[names] = torch.full_like(self._sums[names], -1, dtype=torch.int64)


class Curves:
    """TensorBoard events in the run folder, and scalars.jsonl with the same values; x is images seen.

    Opened again at `images`, points beyond it (of a run that crashed after its last checkpoint) are
    taken back in both.
    """

    def __init__(self, folder: Path, images: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.lines = folder / "scalars.jsonl"
        again = self.lines.exists() or any(folder.glob("events.out.tfevents.*"))
        if self.lines.exists():
            kept = [line for line in self.lines.read_text().splitlines() if _images_of(line) <= images]
            write_atomically(self.lines, "".join(line + "\n" for line in kept).encode())
        self.writer = SummaryWriter(str(folder), purge_step=(images + 1 if images else 0) if again else None)

    def scalars(self, images: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, images)
        with open(self.lines, "a") as file:
            file.write(json.dumps({"images": images, **values}) + "\n")
        self.writer.flush()

    def picture(self, name: str, pixels: Tensor, images: int) -> None:
        self.writer.add_image(name, pixels, images)
        self.writer.flush()

    def describe(self, config: dict[str, Any], text: str, scores: Iterable[str] = ()) -> None:
        """Once, at the start of a run: the config as text, the HPARAMS row, the chart of both losses.

        Args:
            config: the composed config; its leaves are the row's hyper-parameters.
            text: the same, to be read.
            scores: names of what the run will be scored by: further columns of the row.
        """
        from torch.utils.tensorboard.summary import hparams

        self.writer.add_text("config", "\n".join("    " + line for line in text.splitlines()), 0)
        metrics = {"loss/discriminator": 0.0, "loss/generator": 0.0}
        columns = {**{f"score/{name}": 0.0 for name in scores}, **metrics}
        for summary in hparams(simple(flat(config)), columns):  # add_hparams would make a second run folder
            self.writer._get_file_writer().add_summary(summary)
        self.writer.add_custom_scalars({"losses": {"both players": ["Multiline", list(metrics)]}})
        self.writer.flush()

    def close(self) -> None:
        self.writer.close()


def _images_of(line: str) -> float:
    try:
        return float(json.loads(line)["images"])
    except (ValueError, KeyError):  # the torn last line of a run that was killed
        return float("inf")


def simple(values: dict[str, Any]) -> dict[str, Any]:
    """As TensorBoard's hyper-parameters take them: numbers, words, truth values."""
    return {key: value if isinstance(value, (bool, int, float, str)) else str(value) for key, value in values.items()}
