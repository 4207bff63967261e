"""How much one expert does in a run: tokens, gate mass, place in its layer, and the same from hour to hour."""

from dataclasses import dataclass

import pandas as pd

from moe_core.analysis.expert_card.shares import clustered_share
from moe_core.analysis.load_balance import STATUS_COLD, STATUS_DEAD, expert_balance

HOUR_COLUMNS = ("hour", "n", "layer_n", "share", "over_equal", "mean_gate")


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """n: tokens for which it ran, of `tokens` in `documents`; `share` with its interval by document; share_of_runs: of
    all runs in its layer, over_equal: that times the number of experts; place: 1 = busiest of n_experts; gate_share: of
    the layer's gate mass; floor_n, failover_n: runs in which it stood in; runner_up_n: tokens for which it was the best
    one that did not run."""

    n: int
    tokens: int
    documents: int
    share: float
    low: float
    high: float
    share_of_runs: float
    over_equal: float
    place: int
    n_experts: int
    mean_gate: float
    gate_share: float
    gate_over_equal: float
    gate_place: int
    floor_n: int
    failover_n: int
    runner_up_n: int
    status: str

    @property
    def cold(self) -> bool:
        return self.status == STATUS_COLD

    @property
    def dead(self) -> bool:
        """It never ran; say so only with n beside it."""
        return self.status == STATUS_DEAD


def usage(
    load: pd.DataFrame, tokens: pd.DataFrame, experts: pd.DataFrame, layers: pd.DataFrame, layer: int, expert: int
) -> Usage:
    """load, tokens as `queries.expert_load` and `queries.layer_tokens`; experts, layers as
    `specialization_queries.document_experts` and `document_layers`. The expert must stand in `load`."""
    balance = expert_balance(load[load["layer"] == layer], tokens)
    own = balance[balance["expert_id"] == expert].iloc[0]
    raw = load[(load["layer"] == layer) & (load["expert_id"] == expert)].iloc[0]
    mine = experts[(experts["layer"] == layer) & (experts["expert_id"] == expert)]
    rows = layers[layers["layer"] == layer]
    documents = int(rows["documents"].sum())
    share, low, high = clustered_share(
        float(own["n"]), float(own["tokens"]), documents, float(mine["cc"].sum()), float(mine["cn"].sum()),
        float(rows["nn"].sum()),
    )  # fmt: skip
    return Usage(
        n=int(own["n"]), tokens=int(own["tokens"]), documents=documents, share=share, low=low, high=high,
        share_of_runs=float(own["share"]), over_equal=float(own["load_over_ideal"]),
        place=int((balance["n"] > own["n"]).sum()) + 1, n_experts=len(balance), mean_gate=float(own["mean_gate"]),
        gate_share=float(own["gate_share"]), gate_over_equal=float(own["gate_over_ideal"]),
        gate_place=int((balance["gate_share"] > own["gate_share"]).sum()) + 1, floor_n=int(raw["floor_n"]),
        failover_n=int(raw["failover_n"]), runner_up_n=int(raw["n_runner_up"]), status=str(own["status"]),
    )  # fmt: skip


def by_hour(load: pd.DataFrame, layer: int, expert: int) -> pd.DataFrame:
    """load as `queries.load_over_time` -> HOUR_COLUMNS, one row per hour in which the layer ran anybody. share: of the
    layer's runs in that hour; over_equal: that times the number of experts seen in the layer; mean_gate: NaN where it
    did not run."""
    rows = load[load["layer"] == layer]
    if rows.empty:
        return pd.DataFrame(columns=list(HOUR_COLUMNS))
    layer_n = rows.groupby("hour")["n"].sum()
    own = rows[rows["expert_id"] == expert].set_index("hour").reindex(layer_n.index)
    n = own["n"].fillna(0).astype("int64")
    frame = pd.DataFrame({"hour": layer_n.index, "n": n.to_numpy(), "layer_n": layer_n.to_numpy()})
    frame["share"] = frame["n"] / frame["layer_n"].where(frame["layer_n"] > 0)
    frame["over_equal"] = frame["share"] * rows["expert_id"].nunique()
    frame["mean_gate"] = (own["gate_sum"] / own["n"].where(own["n"] > 0)).to_numpy()
    return frame[frame["layer_n"] > 0].reset_index(drop=True)
