"""What a person at the keyboard gets to read when something can't be done.

Both carry one sentence that says what was wrong, where, and what would be right; the commands
print it without a traceback.
"""


class UserError(Exception):
    """Input that can't work, found before any work was done: exit code 2."""

    exit_code = 2


class RunError(Exception):
    """A run that started and had to stop (divergence, memory, disk): exit code 1."""

    exit_code = 1
    status = "failed"  # what run.json says


class DivergedError(RunError):
    """A loss, penalty or gradient became NaN or infinite."""

    status = "diverged"


class PictureError(RunError):
    """A picture that is gone, damaged or of no kind that is read: its path, and what is wrong with it."""


class Interrupted(Exception):  # noqa: N818  (it is no error: a person asked for it)
    """Ctrl-C or SIGTERM, after the checkpoint was written: exit code 128 + signal (130, 143)."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


class StoppedAtOnce(KeyboardInterrupt):
    """A second signal, where the first would have been obeyed after a step: nothing is waited for."""
