"""Errors whose message is for the user: one sentence that says what is wrong, where, and what would be right.

The commands print it without a traceback.
"""


class UserError(Exception):
    """Input that can't work, refused before any work was done: exit code 2."""

    exit_code = 2


class RunError(Exception):
    """A run that started and had to stop (divergence, memory, disk): exit code 1."""

    exit_code = 1
    status = "failed"  # in run.json


class DivergedError(RunError):
    """A loss, penalty or gradient became NaN or infinite."""

    status = "diverged"


class PictureError(RunError):
    """A picture that is missing, damaged or of a format that is not read; says its path and the fault."""


class Interrupted(Exception):  # noqa: N818  (it is no error: the user asked for it)
    """Ctrl-C or SIGTERM, after the checkpoint was written: exit code 128 + signal (130, 143)."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


class StoppedAtOnce(KeyboardInterrupt):
    """A second Ctrl-C or SIGTERM while the step of the first still runs: the run stops at once."""
