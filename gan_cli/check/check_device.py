"""The check that a device exists, made without torch: a run that has no GPU must leave no folder."""

from __future__ import annotations

import ctypes
import os
import platform
import re
from importlib import metadata
from pathlib import Path

from gan_cli.base.errors import UserError

NODES = ("nvidia*", "dxg", "nvmap", "nvhost*", "kfd")  # drivers' files in /dev: NVIDIA's, WSL's, Jetson's, AMD's
INSTEAD = "use cpu or auto"


def check_device(key: str, device: object) -> None:
    """Refuse a device that is unknown, or that this machine certainly lacks.

    Args:
        key: the option's name as it is typed, for the message.

    Raises:
        UserError: the device is unknown to this program or certainly missing. Uncertain cases are left to torch.
    """
    if not isinstance(device, str) or not re.fullmatch(r"auto|(cpu|mps)(:0)?|cuda(:\d{1,4})?", device):
        raise UserError(f"{key}={device} is unknown; use auto, cpu, cuda (or cuda:1, ...) or mps")
    reason = missing(device.partition(":")[0])
    if reason is not None:
        raise UserError(f"{key}={device} is not to be had here: {reason}; {INSTEAD}")


def missing(kind: str) -> str | None:
    """Return why the machine can't have a device of this kind, or None where it may have one."""
    system = platform.system()
    if kind == "mps" and system != "Darwin":
        return "MPS is Apple's"
    if kind != "cuda":
        return None
    if system == "Darwin":
        return "there is no CUDA on macOS"
    if torch_version().endswith("+cpu"):
        return f"torch {torch_version()} is built for the CPU alone"
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and visible.strip() in ("", "-1"):
        return f"CUDA_VISIBLE_DEVICES={visible!r} hides every GPU"
    if system == "Linux" and not any(True for name in NODES for _ in Path("/dev").glob(name)) and not has_driver():
        return "the machine has no GPU's driver"
    return None


def torch_version() -> str:
    """Return the version of torch, or "" where it is not installed as a package."""
    try:
        return metadata.version("torch")
    except metadata.PackageNotFoundError:
        return ""


def has_driver() -> bool:
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True
