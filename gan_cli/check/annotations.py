"""The types and limits that annotations allow, read from source files, so that nothing heavy is imported."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gan_cli.check.kinds import Either, Kind, Limited, ListOf, OneOf, Part, Simple, Table

SIMPLE = {"int": int, "float": float, "str": str, "bool": bool, "None": type(None), "Path": str}
LISTS = ("list", "List", "Sequence", "Iterable", "Collection", "tuple", "Tuple", "set", "frozenset")
TABLES = ("dict", "Dict", "Mapping", "MutableMapping")
BARE: dict[str, Kind] = {**dict.fromkeys(LISTS, ListOf(Kind())), **dict.fromkeys(TABLES, Table(Kind(), Kind()))}
LOADED = {"gan_cli.game.base.Base": Either((Simple(str), Simple(int), Simple(type(None))))}  # a YAML names a run
PLAIN_BASES = ("TypedDict", "NamedTuple", "Enum", "IntEnum", "StrEnum")  # classes that plain values may stand for
POSITIONS = {  # the arguments of annotated_types' limits, in order
    "Interval": ("gt", "ge", "lt", "le"),
    "Ge": ("ge",),
    "Gt": ("gt",),
    "Le": ("le",),
    "Lt": ("lt",),
    "MultipleOf": ("multiple_of",),
    "MinLen": ("min_length",),
    "MaxLen": ("max_length",),
    "Len": ("min_length", "max_length"),
}


def top_level_statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield a module's statements outside of functions and classes, also below `if TYPE_CHECKING:` and `try:`."""
    for item in body:
        yield item
        if isinstance(item, (ast.If, ast.Try)):
            yield from top_level_statements(
                [*item.body, *item.orelse, *(s for h in getattr(item, "handlers", ()) for s in h.body)]
            )


@dataclass(frozen=True)
class Source:
    """A module's syntax tree, and where names are looked up in it.

    Attributes:
        package: the package at which relative imports begin.
    """

    module: str
    package: str
    tree: ast.Module

    def of_class(self, name: str) -> ast.ClassDef | None:
        return next((item for item in self.tree.body if isinstance(item, ast.ClassDef) and item.name == name), None)

    def classes(self) -> list[str]:
        """List the names of the classes that the module defines, or imports by `from module import Name`."""
        imported = [alias.name for item in self.tree.body if isinstance(item, ast.ImportFrom) for alias in item.names]
        defined = [item.name for item in self.tree.body if isinstance(item, ast.ClassDef)]
        return defined + [name for name in imported if name[:1].isupper()]

    def assigned(self, name: str) -> ast.expr | None:
        """Return the right side of `name = ...` at the module's top level, or None."""
        for item in self.tree.body:
            if isinstance(item, ast.Assign) and [ast.unparse(target) for target in item.targets] == [name]:
                return item.value
            if isinstance(item, ast.AnnAssign) and ast.unparse(item.target) == name:
                return item.value
        return None

    def imported(self, name: str) -> str | None:
        """Return the full name of what `from module import name` brings, or None."""
        return self.imports.get(name)

    @cached_property
    def imports(self) -> dict[str, str]:
        """Map each name that `from module import name` brings to its full name."""
        full_names: dict[str, str] = {}
        for item in top_level_statements(self.tree.body):
            if isinstance(item, ast.ImportFrom):
                base = ".".join(self.package.split(".")[: len(self.package.split(".")) + 1 - item.level])
                module = ".".join(part for part in (base if item.level else "", item.module) if part)
                for alias in item.names:
                    full_names.setdefault(alias.asname or alias.name, f"{module}.{alias.name}")
        return full_names


@cache
def source_of(module: str) -> Source | None:
    """Find and parse a module without importing a package; return None where it is missing or has no Python source."""
    top, *inner = module.split(".")
    if not top:
        return None
    try:
        spec = PathFinder.find_spec(top) or find_spec(top)  # the second also asks import hooks of other programs
    except (ImportError, ValueError):
        return None
    for part in inner:
        locations = spec.submodule_search_locations if spec else None
        spec = PathFinder.find_spec(f"{spec.name}.{part}", locations) if spec and locations else None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    return Source(module, spec.parent or "", ast.parse(Path(spec.origin).read_text(encoding="utf-8")))


def lineage(target: str) -> Iterator[tuple[ast.ClassDef, Source]]:
    """Yield a class and all its bases that can be read, the nearest first, each with the source of its module."""
    module, _, name = target.rpartition(".")
    source = source_of(module)
    if source is None:
        return
    class_node = source.of_class(name)
    if class_node is None:
        yield from lineage(source.imported(name) or "")
        return
    yield class_node, source
    for base in map(last_name, class_node.bases):
        yield from lineage(f"{module}.{base}" if source.of_class(base) else source.imported(base) or "")


@cache
def kind_of(annotation: str, module: str) -> Kind:
    """Return the kind of values that an annotation allows.

    Args:
        annotation: its text in the source.
        module: the module in which its names are looked up.
    """
    try:
        expression = ast.parse(annotation, mode="eval").body
    except SyntaxError:
        return Kind()
    return kind_of_node(expression, source_of(module))


def kind_of_node(node: ast.expr, source: Source | None, depth: int = 0) -> Kind:
    if isinstance(node, ast.Constant):
        return (
            kind_of(node.value, source.module if source else "")
            if isinstance(node.value, str)
            else kind_of_name("None", None)
        )
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return kind_of_union(kind_of_node(node.left, source, depth), kind_of_node(node.right, source, depth))
    if isinstance(node, ast.Subscript):
        arguments = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
        return kind_of_subscript(last_name(node.value), arguments, source, depth)
    if isinstance(node, ast.Attribute):
        return (
            Part(ast.unparse(node)) if ast.unparse(node).endswith(".Module") else kind_of_name(node.attr, None, depth)
        )
    return kind_of_name(node.id, source, depth) if isinstance(node, ast.Name) else Kind()


def kind_of_subscript(name: str, arguments: list[ast.expr], source: Source | None, depth: int) -> Kind:
    """Return the kind of `name[arguments]`; an unknown name allows every value."""
    if name == "Literal":
        values = [literal_value(item) for item in arguments]
        return OneOf(tuple(values)) if UNREADABLE not in values else Kind()
    if name == "Annotated":
        limits: dict[str, float] = {}
        for item in arguments[1:]:
            limits.update(limits_in(item))
        kind = kind_of_node(arguments[0], source, depth)
        return Limited(kind, limits) if limits else kind
    kinds = [kind_of_node(item, source, depth) for item in arguments]
    if name == "Optional":
        return kind_of_union(kinds[0], Simple(type(None)))
    if name == "Union":
        return kind_of_union(*kinds)
    if name in ("tuple", "Tuple") and not (len(arguments) == 2 and ast.unparse(arguments[1]) in ("...", "Ellipsis")):
        return ListOf(Kind(), tuple(kinds))
    if name in LISTS:
        return ListOf(kinds[0])
    if name in TABLES and len(kinds) == 2:
        return Table(*kinds)
    return Kind()


def kind_of_name(name: str, source: Source | None, depth: int = 0) -> Kind:
    """Return the kind of a bare name: a simple type, a class, or an alias that this or another module assigns."""
    if name in SIMPLE:
        return Simple(SIMPLE[name])
    if name in BARE:
        return BARE[name]
    if source is None or depth > 20:  # an alias of itself
        return Kind()
    class_node = source.of_class(name)
    if class_node is not None:
        plain = any(last_name(base) in PLAIN_BASES for base in class_node.bases)
        return Kind() if plain else Part(name)
    value = source.assigned(name)
    if value is not None:
        return kind_of_node(value, source, depth + 1)
    origin = source.imported(name)
    if origin is None:
        return Kind()
    if origin in LOADED:
        return LOADED[origin]
    module, _, original = origin.rpartition(".")
    if module.split(".")[0] == "torch":
        return Part(original) if original[0].isupper() else Kind()
    return (
        kind_of_name(original, source_of(module), depth + 1) if module not in ("typing", "collections.abc") else Kind()
    )


def kind_of_union(*kinds: Kind) -> Kind:
    flat = [alternative for kind in kinds for alternative in (kind.of if isinstance(kind, Either) else (kind,))]
    return Kind() if any(type(kind) is Kind for kind in flat) else Either(tuple(dict.fromkeys(flat)))


UNREADABLE = object()


def literal_value(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return UNREADABLE


def limits_in(node: ast.expr) -> dict[str, float]:
    """Parse `Interval(ge=1, le=8)` into {"ge": 1, "le": 8}, and skip anything that is no limit or no plain number."""
    if not isinstance(node, ast.Call) or last_name(node.func) not in POSITIONS:
        return {}
    arguments = dict(zip(POSITIONS[last_name(node.func)], node.args, strict=False))
    arguments |= {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
    values = {name: literal_value(value) for name, value in arguments.items()}
    return {name: value for name, value in values.items() if isinstance(value, (int, float))}


def last_name(node: ast.expr) -> str:
    return ast.unparse(node).rpartition(".")[2]
