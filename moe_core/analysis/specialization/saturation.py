"""How early in training the routing was what it is at the end: agreement of checkpoints with the final routing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from moe_core.analysis.message import N_

SHORT_RUN = N_(
    "The recipe of the reference model, trained anew from the split original and for fewer steps: what is shown is how "
    "fast routing settles, not the history of the shipped weights. Agreement: share of the (token, expert) pairs of "
    "the finished routing that ran at that step too, every layer at the same share of its experts; 95 % interval over "
    "texts."
)
COLUMNS = ("step", "layer", "agreement", "low", "high")


@dataclass(frozen=True, kw_only=True, slots=True)
class Saturation:
    """`frame`: COLUMNS, one row per checkpoint and layer, by layer and step: agreement (0 to 1) of a checkpoint's
    choices with those of the final model on the same tokens, with its 95 % interval."""

    frame: pd.DataFrame
    recipe: str
    n_texts: int
    n_tokens: int
    note: str


def read_saturation(document: Mapping[str, Any]) -> Saturation | None:
    """The content of `saturation.json` of a model folder; None where it is not what it should be."""
    try:
        frame = pd.DataFrame(list(document["rows"]), columns=list(COLUMNS))
        frame = frame.astype({"step": "int64", "layer": "int64", **dict.fromkeys(COLUMNS[2:], "float64")})
        texts, tokens = int(document["n_texts"]), int(document["n_tokens"])
        recipe, note = str(document["recipe"]), str(document.get("note", ""))
    except (KeyError, TypeError, ValueError):
        return None
    in_order = frame["low"].le(frame["agreement"]) & frame["agreement"].le(frame["high"])
    if frame.empty or not (in_order & frame["low"].ge(0) & frame["high"].le(1)).all():
        return None
    frame = frame.sort_values(["layer", "step"], ignore_index=True)
    return Saturation(frame=frame, recipe=recipe, n_texts=texts, n_tokens=tokens, note=note)


def saturated_by(saturation: Saturation, share: float) -> int | None:
    """The first step from which on every layer agrees with the final routing in at least this share; None: never."""
    lowest = saturation.frame.groupby("step")["agreement"].min()
    below = lowest[lowest < share]
    after = lowest if below.empty else lowest[lowest.index > below.index.max()]
    return int(after.index.min()) if len(after) else None
