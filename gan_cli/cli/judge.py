"""Refusals of a wrong command line. Hydra's own answer would be a traceback, a usage text or silence."""

from __future__ import annotations

import os
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override, OverrideType, QuotedString
from hydra.errors import HydraException

from gan_cli.base.errors import UserError
from gan_cli.base.printable import shown as as_typed
from gan_cli.check.config_folder import config_folder, defaults_of, files_of, options_in, written
from gan_cli.check.hints import no_key, no_option
from gan_cli.check.kinds import shown
from gan_cli.check.signatures import tables_of
from gan_cli.cli.bare import check_bare
from gan_cli.cli.quoting import rendered
from gan_cli.cli.typed import Typed

ONE_OF = ("--run", "--multirun", "--cfg", "--info", "--shell-completion", "--hydra-help")
SHELLS = ("bash", "fish", "zsh")
CHECK = "hydra.callbacks.gan_cli"  # the callback that checks a run before its folder is made
OF_RUNS = (  # keys of Hydra about runs and sweeps: for gan-train alone
    *("hydra.run", "hydra.sweep", "hydra.output_subdir", "hydra.job", "hydra.mode", "hydra.callbacks"),
    *("hydra.launcher", "hydra.sweeper", "hydra/launcher", "hydra/sweeper", "hydra/callbacks", "hydra/job_logging"),
)


def judge(typed: Typed, program: str, root: str) -> None:
    """Refuse a command line that would make Hydra crash, or that it would ignore or misread.

    Args:
        typed: the command line.
        program: the name of the command.
        root: the name of its root config.

    Raises:
        UserError: flags that don't go together; an override that can't be read or stands where it can't.
    """
    flags = typed.flags
    together = [flag for flag in ONE_OF if flag in flags]
    if len(together) > 1:
        raise UserError(f"{together[0]} and {together[1]} don't go together: say one of them")
    for flag in ("--resolve", "--package"):
        if flag in flags and not {"--cfg", "--help"} & set(flags):
            raise UserError(f"{flag} is about what --cfg prints: {program} --cfg job {flag} {flags[flag]}".rstrip())
    if "--experimental-rerun" in flags:
        raise UserError(
            "--experimental-rerun unpickles a file, which can run any code in it;"
            " gan-train resume=outputs/RUN goes on with a run"
        )
    name = flags.get("--config-name", root).removesuffix(".yaml")
    if name != root and (config_folder() / f"{name}.yaml").is_file():
        raise UserError(f"--config-name {name} is the config of gan-{name}, and {program} can do nothing with it")
    for folder in typed.folders():
        if not folder.is_dir():
            raise UserError(f"there is no folder {as_typed(folder)!r} with configs")
    if not any((folder / f"{name}.yaml").is_file() for folder in typed.folders()):
        raise UserError(f"there is no {name}.yaml in {' or in '.join(repr(as_typed(f)) for f in typed.folders())}")
    if "--shell-completion" in flags:
        return judge_completion(typed.overrides, program)
    check_bare(typed.overrides, program)
    for text in typed.overrides:
        judge_override(parse(text, program), typed, root)


def judge_completion(words: list[str], program: str) -> None:
    key, _, shell = words[0].partition("=") if len(words) == 1 else ("", "", "")
    if key == "query" and shell in SHELLS and "COMP_LINE" not in os.environ:
        raise UserError(
            f"-sc query={shell} is what the shell asks when a key is pressed; -sc install={shell} sets it up"
        )
    if key not in ("install", "uninstall", "query") or shell not in SHELLS:
        raise UserError(
            f'tab completion is set up by   eval "$({program} -sc install=bash)"   and taken away by uninstall=bash;'
            f" also for {' and '.join(SHELLS[1:])}"
        )


def judge_override(override: Override, typed: Typed, root: str) -> None:
    """Check what can be said of an override whatever the config holds.

    Raises:
        UserError: the override can't stand here.
    """
    key, line, program = override.key_or_group, str(override.input_line), f"gan-{root}"
    if not key or key == "hydra":
        raise UserError(f"can't read {line!r}: before the = stands a whole key, as hydra.run.dir")
    if key == CHECK or key.startswith(f"{CHECK}."):
        raise UserError(f"{CHECK} is what checks a run before it starts: leave out {line}")
    if root != "train" and any(f"{key}.".startswith((f"{of}.", f"{of}/")) for of in OF_RUNS):
        raise UserError(f"{key} is about the runs of gan-train, and {program} makes none: leave it out")
    if not override.is_sweep_override():
        return
    if "--cfg" in typed.flags or "--info" in typed.flags:
        raise UserError(f"{line} has several values, and this shows the config of one run: give it one")
    if not typed.sweeps:
        listed = override.is_choice_sweep() and "(" not in line and isinstance(defaults_of(root).get(key, []), list)
        instead = f"; a list is {key}=[{line.partition('=')[2]}]" if listed else ""
        more = "add -m for a sweep" if root == "train" else f"{program} takes one"
        raise UserError(f"{line} has several values: {more}{instead}")


def settled(typed: Typed, root: str) -> Typed:
    """Rewrite choices as Hydra takes them: `penalty=null` becomes `penalty=[]`, `features=null` becomes `~features`.

    Raises:
        UserError: no option of a group, several options where one is chosen, or a key that can't be removed.
    """
    program = f"gan-{root}"
    overrides = [split_table(parse(text, program), root) for text in typed.overrides]
    return Typed(typed.flags, [settle(parse(text, program), typed, root) for texts in overrides for text in texts])


def split_table(override: Override, root: str) -> list[str]:
    """Split `optimizer={eps:1e-8}` into `optimizer.eps=1e-8`, so that an error can name the wrong key.

    Raises:
        UserError: such a table for one of Hydra's own groups.
    """
    key, line, value = override.key_or_group, str(override.input_line), override.value()
    if not isinstance(value, dict):
        return [line]
    if key.startswith("hydra/"):
        raise UserError(f"{line}: {key} takes the name of one of its options")
    plain = override.type is OverrideType.CHANGE and not override.package
    if not plain or not (key in defaults_of(root) or isinstance(written(root).get(key), dict)):
        return [line]
    return [f"{key}.{name}={rendered(inner)}" for name, inner in value.items()]


def settle(override: Override, typed: Typed, root: str) -> str:
    key, line, defaults = override.key_or_group, str(override.input_line), defaults_of(root)
    if key not in defaults and isinstance(inside := written(root).get(key), dict) and key != "hydra":
        typable = ", ".join(f"{key}.{name}=..." for name in inside)
        raise UserError(f"{line}: gan-{root} chooses no {key}; what can be typed of it is {typable}")
    if override.is_delete():
        return deleted(key, line, root, defaults)
    others = {*group_names(typed)} - {*defaults}
    if key in others and override.type is OverrideType.CHANGE:  # Hydra refuses this for some values only
        raise UserError(no_key(key, [*defaults, *top_keys(root)], typed.folders(), f"gan-{root}"))
    if key not in {*defaults, *others} and not key.startswith("hydra/"):
        if isinstance(override.value(), Glob):
            raise UserError(f"{line}: glob(...) matches the options of a group, and {key} is none")
        named = key.rpartition(".")[0] in tables_of(key.partition(".")[0])  # the check judges such names later
        return f"++{line}" if named and override.type is OverrideType.CHANGE else line
    if isinstance(override.value(), dict):
        return line
    alone = key in defaults and not isinstance(defaults[key], list) and not override.package
    if override.is_force_add() or (override.is_add() and alone):
        raise UserError(f"{line}: {key} is there already; leave out the +")
    options = sorted(options_in(typed.folders(), key))
    for value in chosen(override, options):
        if value is None and not override.is_sweep_override() and key in defaults:
            if isinstance(defaults[key], list):
                return f"{key}=[]"
            if defaults[key] is None:
                return f"~{key}"
        if isinstance(value, list) and key in defaults and takes_one(key, defaults[key], typed):
            sweep = f"; -m {key}={','.join(map(str, value))} tries each" if root == "train" and len(value) > 1 else ""
            raise UserError(f"{line}: {key} takes one option and no list{sweep}")
        words = value if isinstance(value, list) else [value]
        wrong = [word for word in words if not isinstance(word, str)]
        if wrong:
            raise UserError(no_option(key, shown(wrong[0]), options))
    return line


def takes_one(group: str, default: Any, typed: Typed) -> bool:
    """Return whether a group takes exactly one option.

    Penalties and metrics take several. Experiments are laid over the whole config, and a run needs none.
    """
    files = files_of(typed.folders(), group).values()
    laid_over = default is None and any("@package _global_" in file.read_text("utf-8") for file in files)
    return not isinstance(default, list) and not laid_over


def deleted(key: str, line: str, root: str, defaults: dict[str, Any]) -> str:
    if key not in {*defaults, *top_keys(root)}:
        return line
    if isinstance(defaults.get(key), list) and "=" not in line:
        return f"{key}=[]"
    if key in defaults and defaults[key] is None:
        return line
    raise UserError(f"{line}: {key} can't be taken out; {key}=... gives it another value")


def chosen(override: Override, options: list[str]) -> list[Any]:
    """List the values that an override gives to a group, those of a sweep one by one.

    Raises:
        UserError: a sweep over values that are no names, or a pattern that matches no option.
    """
    value, line = override.value(), str(override.input_line)
    if isinstance(value, Glob):
        if not value.filter(options):
            raise UserError(f"{line} matches no option; {override.key_or_group} is one of {', '.join(options)}")
        return []
    if not override.is_sweep_override():
        return [value]
    if not override.is_discrete_sweep() or override.is_range_sweep():
        raise UserError(f"{line}: {override.key_or_group} is one of {', '.join(options)}, and numbers are none")
    return [item.text if isinstance(item, QuotedString) else item for item in override.sweep_iterator()]


def top_keys(root: str) -> set[str]:
    return set(written(root)) - {"defaults", "hydra"}


def group_names(typed: Typed) -> set[str]:
    return {path.name for folder in typed.folders() for path in folder.iterdir() if path.is_dir()} - {"hydra"}


def parse(override: str, program: str) -> Override:
    """Parse one override.

    Raises:
        UserError: it can't be read.
    """
    try:
        (parsed,) = OverridesParser.create().parse_overrides([override])
    except HydraException as error:
        raise UserError(unreadable(override, program, error)) from error
    return parsed


def unreadable(override: str, program: str, error: Exception) -> str:
    """Explain why an override can't be read, and how to write it."""
    key, equals, value = override.partition("=")
    if not equals and not override.startswith("~"):
        return f"{override!r} is neither KEY=VALUE nor a flag; {program} --help lists what there is"
    name = key.lstrip("+~")
    if not name or any(character in name for character in " \t[](){}'\"\\,:$"):
        return f"can't read {override!r}: before the = stands a key, as trainer.total_images, with nothing around it"
    plain = value.replace("'", "\\'")
    why = next((line.strip() for line in str(error).splitlines() if "while evaluating" in line), "")
    if not why and any(value.count(first) != value.count(last) for first, last in ("[]", "{}", "()")):
        why = "a bracket has no partner"
    why = f" ({why})" if why else ""
    return f"can't read {override!r}{why}; text with special characters is quoted twice: \"{name}='{plain}'\""
