"""What the model folder says about itself: measurements and the dial, read once for each state of the files."""

import json
from pathlib import Path
from typing import Any

import streamlit as st

from moe_core.analysis.tuning import Measurements, measurements
from moe_core.dashboard.context import PageContext
from moe_core.errors import CheckpointError


def measured(ctx: PageContext) -> Measurements | None:
    """The folder's evaluation; None where nothing was measured. Raises CheckpointError where the file is damaged."""
    path = ctx.model / "evaluation.json"
    if not path.is_file():
        return None
    return _measured(str(path), path.stat().st_mtime_ns)


def dial(ctx: PageContext) -> dict[str, Any]:
    """The folder's calibration.json. Raises CheckpointError where it is missing or damaged."""
    path = ctx.model / "calibration.json"
    if not path.is_file():
        raise CheckpointError(f"{path} is missing: run `routelens calibrate`.")
    return _document(str(path), path.stat().st_mtime_ns)


@st.cache_data(show_spinner=False, max_entries=4)
def _measured(path: str, stamp: int) -> Measurements:
    document = _document(path, stamp)
    try:
        return measurements(document)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} is not a measurement of a model ({error}): run `routelens evaluate`.") from error


@st.cache_data(show_spinner=False, max_entries=8)
def _document(path: str, stamp: int) -> dict[str, Any]:
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}): restore the file.") from error
    if not isinstance(document, dict):
        raise CheckpointError(f"{path} must hold a JSON object: restore the file.")
    return document
