"""The model behind one call: `from moe_core.model import load_model`. Importing this loads no torch."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from moe_core.model.reference import RoutedModel

__all__ = ["load_model"]


def load_model(folder: str | Path | None = None) -> "RoutedModel":
    """`reference.load_model`: the reference model, or a model folder; loaded and imported when called.

    Raises CheckpointError with one sentence if the folder is missing, damaged, or holds a pickle.
    """
    from moe_core.model import reference

    return reference.load_model(folder)
