"""Decisions in the whole steps that the log keeps, from the log or of now: the form in which they can be compared."""

from typing import Any

import pandas as pd
from numpy.typing import NDArray

from moe_core.log.encoding import LOGIT_SCALE, PROB_SCALE, UNKNOWN, quantise
from moe_core.records import RoutingBatch

COLUMNS = ("position", "layer", "expert_id", "rank", "selected", "flags", "logit", "prob", "gate_weight", "margin")
_SCALES = {"logit": LOGIT_SCALE, "margin": LOGIT_SCALE, "prob": PROB_SCALE, "gate_weight": PROB_SCALE}

Steps = dict[str, NDArray[Any]]


def logged_steps(decisions: pd.DataFrame) -> Steps:
    """decisions of one request as `queries.request_trace` -> int64 (N,) of each of COLUMNS; unknown numbers as
    `encoding.UNKNOWN`."""
    steps: Steps = {}
    for name in COLUMNS:
        column = decisions[name].astype("float64") * _SCALES.get(name, 1)
        steps[name] = column.round().fillna(float(UNKNOWN)).to_numpy().astype("int64")
    return steps


def steps_of(batch: RoutingBatch) -> Steps:
    """The same of decisions that were made now, quantised as the log would. Raises LogError as `quantise`."""
    rows_N = quantise(batch, 0).rows_N
    return {name: rows_N[name].astype("int64") for name in COLUMNS}
