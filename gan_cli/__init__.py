"""gan_cli: train, sample and evaluate generative adversarial networks from the command line.

Importing this package loads no heavy library: the commands answer `--help` and refuse a config that can't work
before torch is loaded. A test checks this.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gan_cli.cli.python import compose, evaluate, load, sample, train

__version__ = "0.1.0"
__all__ = ["__version__", "compose", "evaluate", "load", "sample", "train"]


def __dir__() -> list[str]:
    """List the Python interface too, for a notebook's completion."""
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    """Import the Python interface when one of its functions is asked for."""
    if name in __all__:
        return getattr(import_module("gan_cli.cli.python"), name)
    raise AttributeError(f"module 'gan_cli' has no attribute {name!r}")
