"""Every way in which a command can end, as one sentence and an exit code."""

from __future__ import annotations

import difflib
import logging
import os
import re
import sys
from collections.abc import Callable

import yaml
from hydra.errors import HydraException, MissingConfigException
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from gan_cli.cli.folder import config_folder
from gan_cli.errors import Interrupted, RunError, UserError
from gan_cli.printable import tell


def exit_code_of(command: Callable[[], int], names: Callable[[], list[str]], program: str = "gan-train") -> int:
    """Run a command; print what it has to say on stderr when it fails.

    Args:
        command: returns an exit code.
        names: the keys that could have been meant, for "did you mean"; asked only if need be.
        program: the command's own name.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"  # else Hydra prints and exits by itself
    logging.raiseExceptions = False  # Hydra prints by way of logging, into a pipe that `head` may have closed
    try:
        return command()
    except (UserError, RunError, Interrupted) as error:
        return say(str(error), error.exit_code)
    except BrokenPipeError:  # `gan-train --help | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return say("stopped at once, by a second signal", 130)
    except (HydraException, OmegaConfBaseException) as error:
        return say(sentence(error, names, program), 2)
    except OSError as error:
        return say(of_system(error), 1)


def ended(error: UserError | RunError | Interrupted | OSError) -> SystemExit:
    """How a command's task leaves Hydra, which would tell of any other exception by itself, in its own words first.

    Raises:
        BrokenPipeError: what it was given, if it is that; it ends a command without a word.
    """
    if isinstance(error, BrokenPipeError):
        raise error
    if isinstance(error, OSError):
        return SystemExit(say(of_system(error), 1))
    return SystemExit(say(str(error), error.exit_code))


def of_system(error: OSError) -> str:
    """What the system refused."""
    return f"{error.filename or 'a file'} can't be used ({error.strerror or error})"


def say(text: str, code: int) -> int:
    prefix = "" if code > 128 else "error: "
    tell(prefix + " ".join(line.strip() for line in text.splitlines()), sys.stderr)
    return code


def sentence(error: Exception, names: Callable[[], list[str]], program: str = "gan-train") -> str:
    """A Hydra or OmegaConf error in words for the person who typed."""
    text = str(error).strip()
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, option = str(error.missing_cfg_file).rpartition("/")
        found = sorted(file.stem for file in (config_folder() / group).glob("*.yaml"))  # Hydra tells none of a list
        options = [str(name) for name in error.options or found]
        if not group:
            return f"there is no config {option!r}"
        return f"{group}={option} does not exist{meant(option, options)}; {group} is one of {', '.join(options)}"
    several = re.search(r"Ambiguous value for argument '([^']+)'", text)
    if several:
        return f"{several.group(1)} has several values: add -m for a sweep, or write a list as KEY=[a,b]"
    loose = re.search(r"Error parsing override '([^'=]+)'", text)
    if loose:
        return f"{loose.group(1)!r} is neither KEY=VALUE nor a flag; {program} --help lists what there is"
    unknown = re.search(r"Could not override '([^']+)'", text) or re.search(r"Key '([^']+)' is not in struct", text)
    if unknown:
        key = unknown.group(1)
        full = re.search(r"full_key: (\S+)", text)
        key = full.group(1) if full and full.group(1).endswith(key) else key
        if key.startswith("penalty."):
            return f"{key} is not an option: is its penalty selected? penalty=[{key.split('.')[1]}] adds it"
        known = names()
        group, _, rest = key.partition(".")
        having = owners(group, rest) if rest and "." not in rest and group in known else []
        if having:
            return f"{key} is not an option of this {group}; {rest} is an option of {group}={', '.join(having)}"
        return (
            f"{key} is not an option{meant(key, known) or beside(key, known)}; {program} --cfg job prints all of them"
        )
    if isinstance(error, MissingMandatoryValue) or "Missing mandatory value" in text:
        key = getattr(error, "full_key", None) or text.rpartition(" ")[2]
        return f"{key} is needed: give it as {key}=..."
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if lines and lines[0].startswith(("no viable alternative", "mismatched input", "token recognition", "extraneous")):
        return f"can't read what was typed ({lines[0]}); quote a value with special characters: KEY=\"'VALUE'\""
    return lines[0] if lines else type(error).__name__


def owners(group: str, key: str) -> list[str]:
    """The options of a group whose YAML has a key at its top: of `mixing`, stylegan and stylegan2."""
    files = sorted((config_folder() / group).glob("*.yaml"))
    return [file.stem for file in files if key in (yaml.safe_load(file.read_text(encoding="utf-8")) or {})]


def beside(key: str, names: list[str]) -> str:
    """`; model.generator has a, b`, where there is a model.generator: what else its key may have meant."""
    parent = key.rpartition(".")[0]
    inside = [name.removeprefix(f"{parent}.") for name in names if parent and name.startswith(f"{parent}.")]
    others = dict.fromkeys(name.partition(".")[0] for name in inside)
    return f"; {parent} has {', '.join(others)}" if others else ""


def meant(word: str, names: list[str]) -> str:
    """`; did you mean a or b?`, or nothing. A key is also found by its last part, and never without it."""
    names, last = list(dict.fromkeys(names)), word.rpartition(".")[2]
    near = difflib.get_close_matches(word, names, n=3, cutoff=0.6)
    near = [name for name in near if difflib.get_close_matches(last, [name.rpartition(".")[2]])]
    if not near:
        tails = {name.rpartition(".")[2]: name for name in names}
        near = [tails[tail] for tail in difflib.get_close_matches(last, list(tails), n=3, cutoff=0.75)]
    return f"; did you mean {' or '.join(near)}?" if near else ""
