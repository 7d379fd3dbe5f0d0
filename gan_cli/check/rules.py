"""The rules of a class about options that don't go together, its static method `refusal`, and hints from YAMLs.

The method is read from source, as annotations are, and called without an import. So it is plain Python with builtins
alone. Its parameters are named after their values. `at` is the dotted key of the node. A group of the config (`model`,
`dataset`, `trainer`, ...) is that node. Any other name is an option of the node, with the method's own default where
the node has none. The method returns what is wrong, in one sentence, or None. A class and each of its bases may have
one.
"""

from __future__ import annotations
import __future__

import ast
import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

from gan_cli.base.errors import UserError
from gan_cli.base.run_config import Composed, Node
from gan_cli.check.annotations import lineage
from gan_cli.check.config_folder import config_folders, options_in
from gan_cli.check.signatures import nodes_of

Refusal = Callable[..., str | None]


def check_rules(config: Composed) -> None:
    """Refuse options that a class's `refusal` forbids.

    Raises:
        UserError: the message of the first class that refuses.
    """
    groups = {**config, "choices": {group: chosen(config, group) for group in config if group != "choices"}}
    for path, node in nodes_of(config):
        for refusal in refusals_of(node["_target_"]):
            values = {**groups, "at": path, **node}
            parameters = inspect.signature(refusal).parameters
            names = {
                name for name, parameter in parameters.items() if name in values or parameter.default is parameter.empty
            }
            try:
                message = refusal(**{name: values.get(name) for name in names})
            except (ArithmeticError, AttributeError, LookupError, NameError, TypeError, ValueError) as error:
                raise UserError(f"{path}: {node['_target_']}.refusal can't judge these options: {error}") from error
            if message is not None:
                raise UserError(message)


@cache
def refusals_of(target: str) -> tuple[Refusal, ...]:
    refusals: list[Refusal] = []
    for class_node, source in () if target.startswith("torch.") else lineage(target):
        for item in class_node.body:
            if isinstance(item, ast.FunctionDef) and item.name == "refusal":
                alone = ast.Module([ast.FunctionDef(**{**vars(item), "decorator_list": []})], [])
                namespace: dict[str, Any] = {}
                flags = __future__.annotations.compiler_flag
                exec(
                    compile(alone, f"{source.module}.{class_node.name}.refusal", "exec", flags, dont_inherit=True),
                    namespace,
                )
                refusals.append(namespace["refusal"])
    return tuple(refusals)


# ---- what the YAMLs say ----


def chosen(config: Composed, group: str) -> str:
    """Return the option that the user typed for a group, or the group's `_target_` where no choice is recorded."""
    node = config.get(group)
    return str((config.get("choices") or {}).get(group) or (node.get("_target_") if isinstance(node, dict) else node))


def provided(node: Node | None) -> set[str]:
    """Return the words that a part provides: all of a list, or those of a table that are neither false, 0 nor null."""
    words = (node or {}).get("provides") or []
    return {word for word in words if not isinstance(words, dict) or words[word]}


def has(model: Node, word: str) -> bool:
    """Return whether a model has a part, such as a latent, or provides a word, such as styles."""
    return model.get(word) is not None or word in provided(model)


def fitting(group: str, fits: Callable[[Node], Any]) -> str:
    """List the options of a group whose YAML fits, a user's own too: `model=a, b or c`, or `no model here`.

    Args:
        fits: judges the content of a YAML, its interpolations unresolved; of a penalty or metric, the node of that one.
    """
    options = options_in(config_folders(), group)
    *names, last = [name for name, node in options.items() if fits(node.get(name, node))] or [""]
    return f"{group}={', '.join(names)} or {last}" if names else f"{group}={last}" if last else f"no {group} here"
