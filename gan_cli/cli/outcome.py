"""What this command's runs came to; read by `main` for the exit code."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from gan_cli.printable import tell
from gan_cli.run_folder import locked

code = 0  # exit code
sweep_size = 0
runs: list[tuple[Path, str, str]] = []  # folder, status, sentence, of the runs that this process carried out
_held = ExitStack()


def names(root: str = "train") -> list[str]:
    """All keys of what the typed groups compose to, and the groups: what a misspelled key may have meant."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf import OmegaConf

    from gan_cli.cli.folder import config_folder
    from gan_cli.run_folder import flat

    GlobalHydra.instance().clear()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        try:
            config = compose(root, typed_groups(config_folder()))
        except HydraException:  # of the groups together: what is told about is the mistake that was met first
            config = compose(root)
    content = OmegaConf.to_container(config, resolve=False)
    assert isinstance(content, dict)
    plain = {str(key): value for key, value in content.items()}
    return [*(key for key in flat(plain) if not {"_target_", "requires"} & set(key.split("."))), *plain]


def typed_groups(conf: Path) -> list[str]:
    """The `group=option` and `group=[option,option]` among the command's words; of a sweep's options the first."""
    chosen = []
    for word in sys.argv[1:]:
        group, _, typed = word.partition("=")
        options = typed.strip("[]").split(",")
        if all((conf / group / f"{option}.yaml").is_file() for option in options):
            chosen.append(f"{group}={typed if typed.startswith('[') else options[0]}")
    return chosen


def hold_sweep(folder: Path) -> None:
    """Hold the sweep's lock until the command ends.

    Raises:
        UserError: another sweep holds it.
    """
    _held.enter_context(locked(folder, "the sweep folder"))


def summarise(cells: list[tuple[Path, dict[str, Any]]]) -> None:
    """The closing lines of a sweep; any cell that did not finish makes the exit code 1."""
    global code
    known = {folder.resolve(): (status, text) for folder, status, text in runs}
    ends = [
        (f, *known.get(f.resolve(), (record.get("status", "not started"), record.get("error") or "")))
        for f, record in cells
    ]
    ends = ends or list(runs)
    counts: dict[str, int] = {}
    for _, status, _ in ends:
        counts[status] = counts.get(status, 0) + 1
    print("sweep: " + ", ".join(f"{count} {status}" for status, count in sorted(counts.items())), flush=True)
    for folder, status, text in ends:
        if status not in ("finished", "skipped"):
            tell(f"  {status}: {folder}" + (f": {text}" if text else ""))
            code = 1
