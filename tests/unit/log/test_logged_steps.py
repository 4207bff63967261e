"""What the log returns and what is decided now, in the same whole steps."""

import numpy as np
import pandas as pd

from moe_core.log.encoding import LOGIT_SCALE, PROB_SCALE, UNKNOWN
from moe_core.log.logged_steps import COLUMNS, logged_steps, steps_of
from moe_core.records import RoutingBatch


def test_decisions_of_the_log_and_of_now_are_the_same_steps() -> None:
    """A logit of .3 is step 307 of 1024 on both sides; an unknown number is UNKNOWN."""
    batch = RoutingBatch(
        request_index_N=np.zeros(1, np.uint32), position_N=np.full(1, 2, np.uint32), layer_N=np.ones(1, np.uint16),
        expert_id_N=np.full(1, 3, np.uint16), rank_N=np.zeros(1, np.uint16), selected_N=np.ones(1, np.bool_),
        logit_N=np.full(1, 0.3, np.float32), prob_N=np.full(1, 0.25, np.float32),
        gate_weight_N=np.full(1, 1.0, np.float32), margin_N=np.full(1, -0.1, np.float32), flags_N=np.zeros(1, np.uint8),
    )  # fmt: skip
    now = steps_of(batch)
    kept = {"position": 2, "layer": 1, "expert_id": 3, "rank": 0, "selected": True, "flags": 0,
            "logit": 307 / LOGIT_SCALE, "prob": round(0.25 * PROB_SCALE) / PROB_SCALE,
            "gate_weight": 1.0, "margin": -102 / LOGIT_SCALE}  # fmt: skip
    logged = logged_steps(pd.DataFrame([kept]))
    assert now["logit"].tolist() == [307]
    assert {name: now[name].tolist() for name in COLUMNS} == {name: logged[name].tolist() for name in COLUMNS}
    unknown = logged_steps(pd.DataFrame([{**kept, "margin": float("nan")}]))
    assert unknown["margin"].tolist() == [int(UNKNOWN)]
