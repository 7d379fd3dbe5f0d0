"""The errors that end a run, as sentences that say what to change."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from gan_cli.base import checkpoint
from gan_cli.base.errors import Interrupted, RunError, UserError
from gan_cli.base.printable import shown


def explain(error: Exception, folder: Path) -> Exception:
    """Convert an error that a user can act on into one that says what to change, and return any other as it is."""
    from torch import OutOfMemoryError

    if isinstance(error, RunError) and not isinstance(error, UserError):
        message = str(error)
        return error if "checkpoint" in message else type(error)(f"{message}; {last_checkpoint(folder)}")
    if isinstance(error, (UserError, Interrupted)):
        return error
    if isinstance(error, (OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error):
        return RunError(
            "out of memory: lower trainer.batch_size, or raise trainer.accumulate, which cuts a batch into parts;"
            f" {last_checkpoint(folder)}"
        )
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return RunError(
            f"the disk of {str(folder)!r} is full: make room, or lower trainer.keep_checkpoints;"
            f" {last_checkpoint(folder)}"
        )
    if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
        return RunError(f"{describe_os_error(error, folder)}; {last_checkpoint(folder)}")
    return error


def describe_os_error(error: OSError, folder: Path) -> str:
    """Return what the system refused, with a remedy where it was a file in the run's own folder."""
    if error.filename is None:
        return f"the system refused something to the run ({error})"
    in_folder = Path(os.path.abspath(os.fsdecode(error.filename))).is_relative_to(os.path.abspath(folder))
    if in_folder and error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        return f"{error.filename} can't be written ({error.strerror}): choose another hydra.run.dir"
    return f"{error.filename} can't be used ({error.strerror})"


def last_checkpoint(folder: Path) -> str:
    files = checkpoint.listed(folder)
    return f"the last checkpoint is {shown(files[0])}" if files else "no checkpoint was written yet"
