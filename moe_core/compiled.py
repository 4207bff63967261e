"""The compiled parts, all optional: who has no compiler has PyTorch, numpy and hashlib do the same, slower."""

from importlib import import_module
from typing import Any


def compiled(name: str) -> Any:
    """The compiled module `name` (`moe_core.log._leaves`), None where it was not built."""
    try:
        return import_module(name)
    except ImportError:  # no compiler when RouteLens was installed
        return None
