"""The laws of the house, read from the source: nothing here imports what it judges."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from conftest import ROOT

PACKAGE = ROOT / "gan_cli"
FILES = sorted(PACKAGE.rglob("*.py"))

# the folders are the layers: a file imports from its own floor and from lower ones
FLOORS: dict[str, int] = {
    "base": 0,
    "parts": 1,
    **dict.fromkeys(("augment", "data", "layers", "losses", "media", "penalties", "report"), 2),
    **dict.fromkeys(("check", "metrics"), 3),
    "game": 4,
    **dict.fromkeys(("models", "use"), 5),
    "evaluation": 6,
    "run": 7,
    "cli": 8,
}
ONE_TOPIC = ("cli", "models")  # a command or a paper may be called as what it is about
MAX_FILE, MAX_FUNCTION = 300, 60  # lines


def module_of(file: Path) -> str:
    """`gan_cli/losses/adversarial.py` -> `losses.adversarial`; the package's own file is `__init__`."""
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    if len(parts) > 1 and parts[-1] == "__init__":
        parts = parts[:-1]
    return ".".join(parts)


def floor_of(module: str) -> int:
    """Of the module's folder; the package's own file lies below all: others take the version from it."""
    return -1 if module == "__init__" else FLOORS[module.split(".")[0]]


@cache
def imports_of(tree: ast.AST) -> list[tuple[int, str]]:
    """Line and full name of everything imported anywhere in a file, late imports and `import *` too.

    `from a import b` gives `a.b`: `b` may be a module.
    """
    found: list[tuple[int, str]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute"
            found += [(node.lineno, f"{node.module}.{alias.name}") for alias in node.names]
    return found


@cache
def own_modules() -> set[str]:
    return {module_of(file) for file in FILES}


@cache
def own_module(name: str) -> str | None:
    """The module of this package that an imported name lies in; None for names from elsewhere."""
    if name.split(".")[0] != "gan_cli":
        return None
    parts = name.split(".")[1:]
    while parts and ".".join(parts) not in own_modules():
        parts = parts[:-1]
    return ".".join(parts) or "__init__"


@cache
def tree_of(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"), str(file))


def identifier(file: Path) -> str:
    return module_of(file)


def test_the_folders_are_the_floors() -> None:
    assert [file.name for file in PACKAGE.glob("*.py")] == ["__init__.py"]
    assert {module.split(".")[0] for module in own_modules()} - {"__init__"} == set(FLOORS)


def test_no_two_files_have_one_name() -> None:
    names: dict[str, list[str]] = {}
    for module in sorted(module_of(file) for file in FILES if file.stem != "__init__"):
        if not module.startswith(ONE_TOPIC):
            names.setdefault(module.split(".")[-1], []).append(module)
    assert [modules for modules in names.values() if len(modules) > 1] == []


def test_the_tests_mirror_the_package() -> None:
    folders = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and any(path.glob("*.py"))}
    assert folders - set(FLOORS) == {"project", "plugins"}  # strangers' packages, which the package has no line of
    assert list((ROOT / "tests").glob("test_*.py")) == []


@pytest.mark.parametrize("file", FILES, ids=identifier)
def test_imports_only_from_its_own_or_lower_floors(file: Path) -> None:
    here = module_of(file)
    wrong = []
    if here == "__init__":  # it names what Python users import, for type checkers alone
        assert {own_module(name) for _, name in imports_of(tree_of(file))} == {None, "cli.python"}
        return
    for line, name in imports_of(tree_of(file)):
        there = own_module(name)
        if there is None:
            continue
        if floor_of(there) > floor_of(here):
            wrong.append(f"line {line}: {here} (floor {floor_of(here)}) imports {there} (floor {floor_of(there)})")
        if here.startswith("models.") and there.startswith("models"):
            wrong.append(f"line {line}: a model imports another model")
    assert wrong == []


def test_modules_of_this_package_import_each_other_in_no_circle() -> None:
    graph = {
        module_of(file): {there for _, name in imports_of(tree_of(file)) if (there := own_module(name)) is not None}
        for file in FILES
    }
    graph = {here: {there for there in others if there not in (here, "__init__")} for here, others in graph.items()}
    while graph:
        free = [here for here, others in graph.items() if not others & set(graph)]
        assert free, f"a circle among {sorted(graph)}"
        graph = {here: others for here, others in graph.items() if here not in free}


@pytest.mark.parametrize("file", FILES, ids=identifier)
def test_hydra_appears_in_the_commands_alone(file: Path) -> None:
    """And what resolves a composed config in them and in the check, which looks at what a YAML would have given."""
    found = {name.split(".")[0] for _, name in imports_of(tree_of(file))} & {"hydra", "omegaconf"}
    folder = module_of(file).split(".")[0]
    assert found <= {"cli": {"hydra", "omegaconf"}, "check": {"omegaconf"}}.get(folder, set())


def calls_of(tree: ast.AST, name: str) -> list[int]:
    """Lines where a method of that name is called."""
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == name
        and not ast.unparse(node.func.value).endswith("session")  # a run's step, which carries out phases
    ]


@pytest.mark.parametrize("call", ["backward", "step"])
def test_update_alone_goes_backward_and_steps(call: str) -> None:
    """The players' optimizers, that is; the classifier that judges them is no player, unrolling steps copies,
    and a search moves codes alone."""
    where = {module_of(file) for file in FILES if calls_of(tree_of(file), call)}
    assert where - {"metrics.classifier", "game.unrolled", "use.search"} == {"game.update"}
    assert len(calls_of(tree_of(PACKAGE / "game" / "update.py"), call)) == 1


@pytest.mark.parametrize("file", FILES, ids=identifier)
def test_no_file_or_function_is_too_long(file: Path) -> None:
    assert len(file.read_text(encoding="utf-8").splitlines()) <= MAX_FILE
    too_long = [
        f"{node.name}: {node.end_lineno - node.lineno + 1} lines"
        for node in ast.walk(tree_of(file))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.end_lineno is not None
        if node.end_lineno - node.lineno + 1 > MAX_FUNCTION
    ]
    assert too_long == []


def test_no_list_has_to_be_extended_for_a_new_part() -> None:
    """The YAML's `_target_` is the registration: no source file knows the name of a loss, penalty or model file."""
    names = {
        f"gan_cli.{module_of(file)}"
        for folder in ("models", "losses", "penalties")
        for file in (PACKAGE / folder).glob("*.py")
        if file.stem != "__init__"
    }
    named = {
        (module_of(file), node.value)
        for file in FILES
        for node in ast.walk(tree_of(file))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if any(node.value.startswith(name) for name in names)
    }
    assert named == set()
    for file in FILES:
        for _, name in imports_of(tree_of(file)):
            there = own_module(name) or ""
            assert not there.startswith("models.") or module_of(file) == there, f"{module_of(file)} imports {there}"


def test_no_file_knows_a_mode_by_its_name() -> None:
    """Nor does a sentence, but in the mode itself: `conf/mode` says which there are."""
    texts = {file: [node.value for node in ast.walk(tree_of(file)) if isinstance(node, ast.Constant)] for file in FILES}
    for mode in (ROOT / "conf" / "mode").glob("*.yaml"):
        others = [file for file in FILES if file.stem != mode.stem]
        named = [
            (module_of(file), text)
            for file in others
            for text in texts[file]
            if isinstance(text, str) and (f"mode={mode.stem}" in text or f"use.modes.{mode.stem}" in text)
        ]
        assert named == [], mode.stem
        imported = [
            module_of(file)
            for file in others
            for _, name in imports_of(tree_of(file))
            if own_module(name) == f"use.modes.{mode.stem}"
        ]
        assert imported == [], mode.stem


WITHOUT_TORCH = [
    "gan_cli.cli.python",
    "gan_cli.cli.train, gan_cli.cli.sample, gan_cli.cli.check_mode",
    "gan_cli.cli.callbacks, gan_cli.check.check, gan_cli.cli.resume, gan_cli.cli.help, gan_cli.cli.quoting",
    "gan_cli.base.checkpoint, gan_cli.base.run_folder, gan_cli.base.settings",
    "gan_cli.base.allow_list, gan_cli.base.errors",
    "gan_cli.cli.option_help, gan_cli.cli.options_page, gan_cli.cli.completion",
    "gan_cli.data.folder",
    "gan_cli.base.threads, gan_cli.base.progress, gan_cli.cli.loading",
    "gan_cli.cli.report, gan_cli.report.listing, gan_cli.report.page, gan_cli.report.sweep",
    "gan_cli.run.launch",
]


@pytest.mark.parametrize("modules", WITHOUT_TORCH)
def test_what_checks_before_a_run_imports_no_torch(modules: str) -> None:
    program = (
        f"import sys, {modules}\n"
        "print(sorted({'torch', 'torchvision', 'tensorboard', 'PIL', 'jinja2'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("source", "count"),
    [("a.backward()", 1), ("def backward(x): ...", 0), ("torch.autograd.backward(x)", 1), ("backward = 1", 0)],
)
def test_calls_are_found(source: str, count: int) -> None:
    assert len(calls_of(ast.parse(source), "backward")) == count


def test_late_imports_are_found() -> None:
    tree = ast.parse(
        "def f():\n    from gan_cli.run import train\n    import hydra.utils\n    from gan_cli.data import folder"
    )
    assert list(imports_of(tree)) == [(2, "gan_cli.run.train"), (3, "hydra.utils"), (4, "gan_cli.data.folder")]
    assert [own_module(name) for _, name in imports_of(tree)] == ["run.train", None, "data.folder"]
    assert own_module("gan_cli.losses.adversarial.Hinge") == "losses.adversarial"
    assert own_module("gan_cli.__version__") == "__init__"
    assert (floor_of("losses.adversarial"), floor_of("game.gan"), floor_of("__init__")) == (2, 4, -1)
