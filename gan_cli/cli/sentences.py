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
from gan_cli.cli.typed import read

REFUSALS = (UserError, HydraException, OmegaConfBaseException, OSError)  # what composing and checking may raise


def exit_code_of(command: Callable[[], int], names: Callable[[], list[str]], program: str = "gan-train") -> int:
    """Run a command; print what it has to say on stderr when it fails.

    Args:
        command: returns an exit code.
        names: the keys that could have been meant, for "did you mean"; asked only if need be.
        program: the command's own name.
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
    """How a command's task leaves Hydra, which would tell of any other exception by itself, in its own words first.

    Raises:
        BrokenPipeError: what it was given, if it is that; it ends a command without a word.
    """
    if isinstance(error, BrokenPipeError):
        raise error
    return SystemExit(say(sentence(error, names, program), code_of(error)))


def of_the_system(error: Exception) -> bool:
    """Whether the system refused something; one of Hydra's own errors is an `OSError` as well."""
    return isinstance(error, OSError) and not isinstance(error, HydraException)


def code_of(error: Exception) -> int:
    """The exit code of a command that an error ends."""
    if isinstance(error, (UserError, RunError, Interrupted)):
        return error.exit_code
    return 1 if of_the_system(error) else 2


def say(text: str, code: int) -> int:
    prefix = "" if code > 128 else "error: "
    tell(prefix + " ".join(line.strip() for line in text.splitlines()), sys.stderr)
    return code


def sentence(error: Exception, names: Callable[[], list[str]], program: str = "gan-train") -> str:
    """An error in words for the person who typed: what this program says itself as it is, Hydra's and OmegaConf's
    in our words, and what the system refused.
    """
    text = str(error).strip()
    if isinstance(error, (UserError, RunError, Interrupted)):
        return text
    if isinstance(error, OSError) and of_the_system(error):
        return f"{error.filename or 'a file'} can't be used ({error.strerror or error})"
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, option = str(error.missing_cfg_file).rpartition("/")
        found = files_of(config_folders(), group)  # Hydra tells none of a list
        options = [str(name) for name in error.options or found]
        return no_option(group, option, options) if group else f"there is no config {option!r}"
    unknown = re.search(r"Could not override '([^']+)'", text) or re.search(r"Key '([^']+)' is not in struct", text)
    if unknown:
        key = unknown.group(1)
        full = re.search(r"full_key: (\S+)", text)
        key = full.group(1) if full and full.group(1).endswith(key) else key
        return no_key(key, names(), read(sys.argv[1:]).folders(), program)
    if isinstance(error, MissingMandatoryValue) or "Missing mandatory value" in text:
        key = getattr(error, "full_key", None) or text.rpartition(" ")[2]
        return f"{key} is needed: give it as {key}=..."
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    return of_a_key(lines, text, error)


# what OmegaConf and Hydra say of an override, and how this program says it
OF_AN_OVERRIDE = (
    (r"An item is already at '([^']+)'", "+{0} adds what is there already: write {0}=... without the +"),
    (r"Could not delete from config. '([^']+)' does not exist", "~{0} takes out what is not there"),
)
# of a value that others follow from, behind the key that it stands at
OF_A_VALUE = (
    (r"Interpolation key '([^']+)' not found", "it refers to ${{{0}}}, which is not there"),
    (r"Unsupported interpolation type (\S+)", "it uses ${{{0}:...}}, and there is no such function"),
)


def of_a_key(lines: list[str], text: str, error: Exception) -> str:
    """What is wrong with one override, or with one value that others follow from."""
    if said := first_of(OF_AN_OVERRIDE, text):
        return said
    merged = re.search(r"Error merging override (.*)", text)
    if merged:
        return f"{merged.group(1)} does not fit: {str(error.__cause__ or error).strip().splitlines()[0]}"
    full = re.search(r"full_key: (\S+)", text)
    where = f"{full.group(1)}: " if full else ""
    inside = re.search(r"(?:\w+ raised while resolving interpolation: )(.*)", lines[0])
    return where + (first_of(OF_A_VALUE, text) or (inside.group(1) if inside else lines[0]).strip('"'))


def first_of(sentences: Sequence[tuple[str, str]], text: str) -> str:
    """The first sentence whose pattern is found, with what it found in it; "" where there is none."""
    for pattern, said in sentences:
        if found := re.search(pattern, text):
            return said.format(found.group(1))
    return ""
