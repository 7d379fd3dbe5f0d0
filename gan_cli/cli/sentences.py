"""Every way in which a command can end, as one sentence and an exit code."""

from __future__ import annotations

import logging
import os
import re
import sys
import warnings
from collections.abc import Callable, Sequence

from hydra.errors import HydraException, MissingConfigException
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from gan_cli.base.errors import Interrupted, RunError, StoppedAtOnce, UserError
from gan_cli.base.garbage import collect_as_usual
from gan_cli.base.printable import any_console, tell
from gan_cli.check.config_folder import config_folders, files_of
from gan_cli.check.hints import no_key, no_option

REFUSALS = (UserError, HydraException, OmegaConfBaseException, OSError)  # what composing and checking may raise


def exit_code_of(command: Callable[[], int], names: Callable[[], list[str]], program: str = "gan-train") -> int:
    """Run a command, print its error on stderr if it fails, and return its exit code.

    Args:
        command: a function that returns an exit code.
        names: lists the keys that "did you mean" may suggest; called only if needed.
        program: the name of the command.
    """
    any_console()
    warnings.filterwarnings("error", "provider=.* is not available", UserWarning)  # of hydra.searchpath
    os.environ["HYDRA_FULL_ERROR"] = "1"  # else Hydra prints and exits by itself
    logging.raiseExceptions = False  # Hydra prints by way of logging, into a pipe that `head` may have closed
    try:
        return command()
    except BrokenPipeError:  # `gan-train --help | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except StoppedAtOnce:
        return say("stopped at once, by a second signal", 130)
    except KeyboardInterrupt:
        return say("stopped", 130)
    except UserWarning as warning:
        return say(f"there is nothing at what hydra.searchpath names ({warning})", 2)
    except (*REFUSALS, RunError, Interrupted) as error:
        return say(sentence(error, names, program), code_of(error))
    finally:
        collect_as_usual()


def ended(error: Exception, names: Callable[[], list[str]], program: str = "gan-train") -> SystemExit:
    """Print an error, and return the exception with which a command's task leaves Hydra.

    Hydra would report any other exception itself first, in its own words.

    Raises:
        BrokenPipeError: the error itself, if it is one: it ends a command silently.
    """
    if isinstance(error, BrokenPipeError):
        raise error
    return SystemExit(say(sentence(error, names, program), code_of(error)))


def is_system_error(error: Exception) -> bool:
    """Return whether the system refused something. One of Hydra's own errors is an `OSError` as well."""
    return isinstance(error, OSError) and not isinstance(error, HydraException)


def code_of(error: Exception) -> int:
    """Return the exit code of a command that ends with this error."""
    if isinstance(error, (UserError, RunError, Interrupted)):
        return error.exit_code
    return 1 if is_system_error(error) else 2


def say(text: str, code: int) -> int:
    prefix = "" if code > 128 else "error: "
    tell(prefix + " ".join(line.strip() for line in text.splitlines()), sys.stderr)
    return code


def sentence(error: Exception, names: Callable[[], list[str]], program: str = "gan-train") -> str:
    """Describe an error for the user who typed the command.

    The messages of this program stay as they are; those of Hydra, OmegaConf and the system are put in our words.
    """
    text = str(error).strip()
    if isinstance(error, (UserError, RunError, Interrupted)):
        return text
    if isinstance(error, OSError) and is_system_error(error):
        return f"{error.filename or 'a file'} can't be used ({error.strerror or error})"
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, option = str(error.missing_cfg_file).rpartition("/")
        files = files_of(config_folders(), group)  # Hydra names no options where a list is typed
        options = [str(name) for name in error.options or files]
        return no_option(group, option, options) if group else f"there is no config {option!r}"
    unknown = re.search(r"Could not override '([^']+)'", text) or re.search(r"Key '([^']+)' is not in struct", text)
    if unknown:
        key = unknown.group(1)
        full = re.search(r"full_key: (\S+)", text)
        key = full.group(1) if full and full.group(1).endswith(key) else key
        return no_key(key, names(), config_folders(), program)
    if isinstance(error, MissingMandatoryValue) or "Missing mandatory value" in text:
        key = getattr(error, "full_key", None) or text.rpartition(" ")[2]
        return f"{key} is needed: give it as {key}=..."
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    return describe_override(lines, text, error)


# patterns of OmegaConf's and Hydra's messages about an override, and our words for them
OF_AN_OVERRIDE = (
    (r"An item is already at '([^']+)'", "+{0} adds what is there already: write {0}=... without the +"),
    (r"Could not delete from config. '([^']+)' does not exist", "~{0} takes out what is not there"),
)
# the same for a value that refers to others; our words follow its key
OF_A_VALUE = (
    (r"Interpolation key '([^']+)' not found", "it refers to ${{{0}}}, which is not there"),
    (r"Unsupported interpolation type (\S+)", "it uses ${{{0}:...}}, and there is no such function"),
)


def describe_override(lines: list[str], text: str, error: Exception) -> str:
    """Describe what is wrong with one override, or with one value that refers to others."""
    if message := first_match(OF_AN_OVERRIDE, text):
        return message
    merged = re.search(r"Error merging override (.*)", text)
    if merged:
        return f"{merged.group(1)} does not fit: {str(error.__cause__ or error).strip().splitlines()[0]}"
    full = re.search(r"full_key: (\S+)", text)
    where = f"{full.group(1)}: " if full else ""
    inside = re.search(r"(?:\w+ raised while resolving interpolation: )(.*)", lines[0])
    return where + (first_match(OF_A_VALUE, text) or (inside.group(1) if inside else lines[0]).strip('"'))


def first_match(sentences: Sequence[tuple[str, str]], text: str) -> str:
    """Return the first sentence whose pattern matches the text, filled in from the match; "" if none does."""
    for pattern, template in sentences:
        if match := re.search(pattern, text):
            return template.format(match.group(1))
    return ""
