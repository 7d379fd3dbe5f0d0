"""The arguments of the constructors that YAML nodes name, read from source, so that nothing heavy is imported.

`check_arguments` parses the file of a `_target_` and compares names and values with the constructor's annotations,
limits included (`Annotated[int, Ge(1)]`). A class without limits in its source gets them from `limits:` in
its YAML. torch's optimizers are read as everything is; other targets inside torch are left to torch's own errors.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from gan_cli.base.allow_list import META_KEYS, is_allowed, targets_in
from gan_cli.base.errors import UserError
from gan_cli.base.run_config import Node
from gan_cli.check.annotations import Source, kind_of, last_name, lineage, source_of
from gan_cli.check.kinds import Kind, Part, Simple, number_in, shown, table_in

SUPPLIED = {"model": ("loss", "penalties", "augment"), "optimizer": ("params", "lr")}  # by the program, not the YAML
LIMITS = "gan_cli.base.limits"  # the module whose names `limits:` may use
PROGRAM_OPTIONS = "gan_cli.base.settings.OptimizerSettings"
IMPLIED = {"schedule": "gan_cli.parts.schedule.Schedule"}  # nodes of the optimizer that name no class, with the class


class Argument(NamedTuple):
    """An argument of a constructor: its annotation as written, whether it is needed, and the kind of its values."""

    annotation: str
    needed: bool
    kind: Kind


def check_arguments(path: str, node: Node) -> None:
    """Refuse a node whose keys and values do not fit the constructor of its class.

    Raises:
        UserError: an argument that the constructor does not take (with the nearest names), a missing one, or a value of
            the wrong type or beyond its limits.
    """
    signature, extra = signature_of(node["_target_"]), program_arguments(path)
    check_values(path, node, bound(path, node))
    if signature is None:
        return
    known = {key: argument for key, argument in signature.items() if path != "optimizer" or key not in SUPPLIED[path]}
    check_names(path, node, {**known, **extra}, node["_target_"])
    present = {*node, *SUPPLIED.get(path, ())}
    for key, argument in {**signature, **extra}.items():
        if argument.needed and key not in present:
            raise UserError(f"{path} lacks {key}, which {node['_target_']} needs")


def bound(path: str, node: dict[str, Any]) -> dict[str, Argument]:
    """Map each key of a node to the argument that its value must fit.

    The class defines it, `limits:` comes before the class, and the program's own options come before both.
    """
    limits = node.get("limits") if isinstance(node.get("limits"), dict) else {}
    declared = {key: Argument(str(text), False, kind_of(str(text), LIMITS)) for key, text in limits.items()}  # type: ignore[union-attr]
    return {**(signature_of(node["_target_"]) or {}), **declared, **program_arguments(path)}


def program_arguments(path: str) -> dict[str, Argument]:
    """Return the options that a node has for the program, besides the arguments of its class."""
    return signature_of(PROGRAM_OPTIONS) or {} if path == "optimizer" else {}


def nodes_of(config: Mapping[str, Any]) -> Iterator[tuple[str, Node]]:
    """Yield each node of a config whose values go to a class, with its dotted key, also where it has no `_target_`."""
    yield from targets_in({key: value for key, value in config.items() if key != "trust"})
    optimizer = config.get("optimizer")
    for key, target in IMPLIED.items():
        if isinstance(optimizer, dict) and isinstance(optimizer.get(key), dict):
            yield f"optimizer.{key}", {"_target_": target, **optimizer[key]}


def check_names(path: str, node: Node, known: Mapping[str, Argument], owner: str) -> None:
    """Refuse unknown keys of a node.

    Raises:
        UserError: a key that `owner` does not have.
    """
    for key in node:
        if key == "_target_" or key in META_KEYS or key in known:
            continue
        near = difflib.get_close_matches(str(key), known, n=3)
        options = f"did you mean {' or '.join(near)}?" if near else f"it has {', '.join(known)}"
        raise UserError(f"{path}.{key} is not an option of {owner}; {options}")


def check_values(path: str, node: Mapping[str, Any], signature: Mapping[str, Argument]) -> None:
    """Refuse values that do not fit the arguments of their keys.

    Raises:
        UserError: a value of the wrong type or beyond its limits.
    """
    for key, value in node.items():
        if key in signature:
            check_value(f"{path}.{key}" if path else str(key), value, signature[key].kind)


def check_value(key: str, value: Any, kind: Kind) -> None:
    """Refuse a value that does not fit a kind.

    Raises:
        UserError: `kind` does not allow the value.
    """
    table = table_in(kind)
    if table is not None and isinstance(value, dict) and all(table.key.fits(number_in(name)) for name in value):
        for name, item in value.items():
            if not isinstance(table.value, Part):  # a value that is no part is clearer within the whole table
                check_value(f"{key}.{name}", item, table.value)
    if not kind.fits(value):
        raise UserError(f"{key}={shown(value)} does not fit: {kind.words()} is wanted")


def tables_of(path: str) -> list[str]:
    """List the dotted keys of the program's options of a node that are tables in which any name may be typed."""
    tables = {key: table_in(argument.kind) for key, argument in program_arguments(path).items() if key not in IMPLIED}
    return [f"{path}.{key}" for key, table in tables.items() if table is not None and table.key == Simple(str)]


def check_typed(config: Mapping[str, Any], trust: Sequence[str]) -> None:
    """Refuse values as they were typed, before anything is derived from them.

    Args:
        config: plain, its interpolations unresolved; values that hold one are judged later.

    Raises:
        UserError: a value of the wrong type or beyond its limits.
    """
    for path, node in nodes_of(config):
        target = node["_target_"]
        if isinstance(target, str) and (target in IMPLIED.values() or is_allowed(target, trust)):
            completed = path == "dataset"  # null may be filled in from the data's files
            typed = {k: v for k, v in node.items() if not is_unresolved(v) and not (v is None and completed)}
            check_values(path, typed, bound(path, node))


def is_unresolved(value: Any) -> bool:
    """Return whether a value is an interpolation or missing (`???`), or a table or list that holds such a value."""
    if isinstance(value, dict):
        return any(map(is_unresolved, value.values()))
    if isinstance(value, list):
        return any(map(is_unresolved, value))
    return isinstance(value, str) and ("${" in value or value == "???")


@cache
def signature_of(target: str) -> dict[str, Argument] | None:
    """Return each argument of a class's constructor by name, or None where they can't be read.

    A class without a constructor of its own has the arguments of the nearest base that has one.

    Raises:
        UserError: the module is not installed, or has no such class.
    """
    module, _, name = target.rpartition(".")
    if target.startswith(("torch.", "torchvision.")) and not target.startswith("torch.optim."):
        return None
    source = source_of(module)
    if source is None:
        raise UserError(f"_target_={target!r} names a module that is not installed here")
    last: ast.ClassDef | None = None
    for last, source in lineage(target):  # a base is read only where its class has no constructor
        methods = {item.name: item for item in last.body if isinstance(item, ast.FunctionDef)}
        for constructor in ("__init__", "__new__"):
            if constructor in methods:
                return _of_function(methods[constructor], source)
        decorators = map(ast.unparse, last.decorator_list)
        if any("dataclass" in decorator for decorator in decorators) or "TypedDict" in map(last_name, last.bases):
            fields = [
                item
                for item in last.body
                if isinstance(item, ast.AnnAssign) and "ClassVar" not in ast.unparse(item.annotation)
            ]
            return {ast.unparse(item.target): _argument(item.annotation, item.value is None, source) for item in fields}
    if last is None:
        near = difflib.get_close_matches(name, source.classes(), n=1)
        raise UserError(f"{module} has no class {name!r}" + (f"; did you mean {near[0]}?" if near else ""))
    return None if last.bases else {}


def _of_function(method: ast.FunctionDef, source: Source) -> dict[str, Argument] | None:
    rest = method.args.kwarg
    further = {} if rest is None else _unpacked(rest.annotation, source)
    if further is None:
        return None  # takes anything
    positional = method.args.args[1:]
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(method.args.defaults))
    pairs = [*zip(positional, [*defaults, *method.args.defaults], strict=True)]
    pairs += [*zip(method.args.kwonlyargs, method.args.kw_defaults, strict=True)]
    named = {argument.arg: _argument(argument.annotation, default is None, source) for argument, default in pairs}
    return {**named, **further}


def _unpacked(annotation: ast.expr | None, source: Source) -> dict[str, Argument] | None:
    """Return the keys of `**rules: Unpack[Rules]`, a TypedDict here or in another module; None for any other `**`."""
    if not isinstance(annotation, ast.Subscript) or last_name(annotation.value) != "Unpack":
        return None
    return _keys_of(last_name(annotation.slice), source)


def _keys_of(name: str, source: Source) -> dict[str, Argument] | None:
    """Return the keys of a TypedDict, those of its bases first, or None where it can't be read."""
    class_node = source.of_class(name)
    if class_node is None:
        module, _, original = (source.imported(name) or "").rpartition(".")
        other = source_of(module) if module else None
        return None if other is None else _keys_of(original, other)
    keys: dict[str, Argument] = {}
    for base in class_node.bases:
        if last_name(base) != "TypedDict":
            keys |= _keys_of(last_name(base), source) or {}
    needed = not any(
        keyword.arg == "total" and ast.unparse(keyword.value) == "False" for keyword in class_node.keywords
    )
    fields = [item for item in class_node.body if isinstance(item, ast.AnnAssign)]
    return keys | {ast.unparse(item.target): _argument(item.annotation, needed, source) for item in fields}


def _argument(annotation: ast.expr | None, needed: bool, source: Source) -> Argument:
    text = ast.unparse(annotation) if annotation is not None else "Any"
    return Argument(text, needed, kind_of(text, source.module))
