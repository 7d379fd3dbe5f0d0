"""Binding YAML nodes to the constructors they name, by reading source, so that nothing heavy is imported.

`check_arguments` parses the file of a `_target_` and compares names and simple types with the
constructor's annotations. Targets inside torch are left to torch's own errors.
"""

from __future__ import annotations

import ast
import difflib
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gan_cli.errors import UserError
from gan_cli.targets import META_KEYS

SUPPLIED = {"model": ("loss", "penalties", "augment")}  # given by the program, not by the YAML


def check_arguments(path: str, node: dict[str, Any]) -> None:
    """
    Raises:
        UserError: an argument that the constructor does not take (with the nearest names), a missing one,
            or a value of the wrong type.
    """
    signature = signature_of(node["_target_"])
    if signature is None:
        return
    for key, value in node.items():
        if key == "_target_" or key in META_KEYS:
            continue
        if key not in signature:
            near = difflib.get_close_matches(key, signature, n=3)
            options = f"did you mean {' or '.join(near)}?" if near else f"it has {', '.join(signature)}"
            raise UserError(f"{path}.{key} is not an option of {node['_target_']}; {options}")
        kind = signature[key][0]
        if not fits(value, kind):
            raise UserError(f"{path}.{key}={shown(value)} does not fit: {readable(kind)} is wanted")
    given = {*node, *SUPPLIED.get(path, ())}
    for key, (_, needed) in signature.items():
        if needed and key not in given:
            raise UserError(f"{path} lacks {key}, which {node['_target_']} needs")


@cache
def signature_of(target: str) -> dict[str, tuple[str, bool]] | None:
    """Each argument's annotation (as source) and whether it is needed; None where that can't be read.

    Follows base classes of the same file, and of other files by import, for a class without a
    constructor of its own.
    """
    module, _, name = target.rpartition(".")
    if target.startswith(("torch.", "torchvision.")):
        return None
    try:
        spec = find_spec(module)
    except (ImportError, ValueError):
        spec = None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        raise UserError(f"_target_={target!r} names a module that is not installed here")
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    found = next((item for item in tree.body if isinstance(item, ast.ClassDef) and item.name == name), None)
    if found is None:
        origin = _imported_from(tree, name)
        if origin is not None:
            return signature_of(origin)
        classes = [item.name for item in tree.body if isinstance(item, ast.ClassDef)]
        near = difflib.get_close_matches(name, classes, n=1)
        raise UserError(f"{module} has no class {name!r}" + (f"; did you mean {near[0]}?" if near else ""))
    return _of_class(found, tree, module)


def _of_class(found: ast.ClassDef, tree: ast.Module, module: str) -> dict[str, tuple[str, bool]] | None:
    for wanted in ("__init__", "__new__"):
        method = next((item for item in found.body if isinstance(item, ast.FunctionDef) and item.name == wanted), None)
        if method is not None:
            return _of_function(method)
    if any("dataclass" in ast.unparse(decorator) for decorator in found.decorator_list):
        fields = [
            item
            for item in found.body
            if isinstance(item, ast.AnnAssign) and "ClassVar" not in ast.unparse(item.annotation)
        ]
        return {ast.unparse(item.target): (ast.unparse(item.annotation), item.value is None) for item in fields}
    for base in found.bases:
        name = ast.unparse(base)
        local = next((item for item in tree.body if isinstance(item, ast.ClassDef) and item.name == name), None)
        if local is not None:
            return _of_class(local, tree, module)
        origin = _imported_from(tree, name)
        if origin is not None and not origin.startswith("torch"):
            return signature_of(origin)
    return None if found.bases else {}


def _of_function(method: ast.FunctionDef) -> dict[str, tuple[str, bool]] | None:
    if method.args.kwarg is not None:
        return None  # takes anything
    positional = method.args.args[1:]
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(method.args.defaults))
    pairs = [*zip(positional, [*defaults, *method.args.defaults], strict=True)]
    pairs += [*zip(method.args.kwonlyargs, method.args.kw_defaults, strict=True)]
    return {
        argument.arg: (ast.unparse(argument.annotation) if argument.annotation else "Any", default is None)
        for argument, default in pairs
    }


def _imported_from(tree: ast.Module, name: str) -> str | None:
    for item in tree.body:
        if isinstance(item, ast.ImportFrom) and item.module and not item.level:
            for alias in item.names:
                if (alias.asname or alias.name) == name:
                    return f"{item.module}.{alias.name}"
    return None


SIMPLE = {"int": (int,), "float": (int, float), "str": (str,), "bool": (bool,), "None": (type(None),)}


def fits(value: Any, annotation: str) -> bool:
    """Whether a YAML value may be passed where `annotation` (source text) is wanted; unknown ones take all."""
    if annotation.startswith("Literal["):
        return value in choices_of(annotation)
    options = [option.strip() for option in annotation.strip("'\"").split("|")]
    if not all(option in SIMPLE for option in options):
        return True
    allowed = {kind for option in options for kind in SIMPLE[option]}
    if isinstance(value, bool):
        return bool in allowed
    return isinstance(value, tuple(allowed - {bool})) if allowed - {bool} else False


def choices_of(annotation: str) -> tuple[Any, ...]:
    """`Literal['a', 'b']` -> ('a', 'b')"""
    return tuple(ast.literal_eval(f"({annotation.removeprefix('Literal[').removesuffix(']')},)"))


def readable(annotation: str) -> str:
    if annotation.startswith("Literal["):
        return "one of " + ", ".join(str(choice) for choice in choices_of(annotation))
    words = {"int": "a whole number", "float": "a number", "str": "a word", "bool": "true or false", "None": "null"}
    return " or ".join(words.get(option.strip(), option.strip()) for option in annotation.split("|"))


def shown(value: Any) -> str:
    return (
        {True: "true", False: "false", None: "null"}.get(value, str(value))
        if isinstance(value, (bool, type(None)))
        else str(value)
    )
