"""How evenly the tokens of a layer are spread over its experts, by assignments and by gate mass.

Never pooled over layers: expert 3 of layer 0 has nothing to do with expert 3 of layer 3. All numbers
count assignments (token, expert) of experts that ran; special tokens count, padding does not exist in
the log. Names and meanings of the numbers: `metric_info.py`.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from moe_core.analysis.interval import rule_of_three
from moe_core.analysis.message import N_, Message

COLD_BELOW = 0.1  # of the equal share

STATUS_NORMAL = "normal"
STATUS_COLD = "cold"
STATUS_DEAD = "dead"


def gini(values: NDArray[np.float64]) -> float:
    """Gini coefficient: 0 = all equal, (E-1)/E = one expert takes all; 0 where nothing was counted."""
    total = float(values.sum())
    if total <= 0:
        return 0.0
    ordered = np.sort(values)
    count = len(ordered)
    weights = 2 * np.arange(1, count + 1) - count - 1
    return float((weights * ordered).sum() / (count * total))


def normalised_entropy(values: NDArray[np.float64]) -> float:
    """Entropy of the shares over its maximum ln E: 1 = all equal, 0 = one expert takes all.

    1 for a layer with a single expert, where there is nothing to spread; 0 where nothing was counted.
    """
    total = float(values.sum())
    if total <= 0:
        return 0.0
    if len(values) == 1:
        return 1.0
    shares = values[values > 0] / total
    return float(-(shares * np.log(shares)).sum() / np.log(len(values)) + 0.0)


def coefficient_of_variation(values: NDArray[np.float64]) -> float:
    """Standard deviation (over all experts, not a sample) / mean; 0 where nothing was counted."""
    mean = float(values.mean())
    return float(values.std() / mean) if mean > 0 else 0.0


def max_over_mean(values: NDArray[np.float64]) -> float:
    """Largest / mean; 0 where nothing was counted."""
    mean = float(values.mean())
    return float(values.max() / mean) if mean > 0 else 0.0


def expert_balance(load: pd.DataFrame, layer_tokens: pd.DataFrame) -> pd.DataFrame:
    """Per expert: its share of the layer's work, and whether it is cold or dead.

    load (layer, expert_id, n, gate_sum, ...) one row per expert, with rows of n = 0;
    layer_tokens (layer, tokens) one row per layer.
    -> (layer, expert_id, n, tokens, share, load_over_ideal, selection_rate, gate_share, gate_over_ideal,
    mean_gate, mean_margin, floor_n, status, selection_rate_upper) one row per expert.

    share: of the layer's assignments; load_over_ideal: share x E; selection_rate: n / tokens of the layer;
    selection_rate_upper: 3 / tokens where n = 0 (rule of three), NaN elsewhere.
    """
    frame = load.merge(layer_tokens, on="layer", how="left").sort_values(["layer", "expert_id"], ignore_index=True)
    frame["tokens"] = frame["tokens"].fillna(0).astype("int64")
    frame["n"] = frame["n"].fillna(0).astype("int64")
    by_layer = frame.groupby("layer")
    n_experts = by_layer["expert_id"].transform("size")
    frame["share"] = _ratio(frame["n"], by_layer["n"].transform("sum"))
    frame["load_over_ideal"] = frame["share"] * n_experts
    frame["selection_rate"] = _ratio(frame["n"], frame["tokens"])
    frame["gate_share"] = _ratio(frame["gate_sum"], by_layer["gate_sum"].transform("sum"))
    frame["gate_over_ideal"] = frame["gate_share"] * n_experts
    frame["mean_gate"] = _ratio(frame["gate_sum"], frame["n"])
    frame["status"] = STATUS_NORMAL
    frame.loc[frame["load_over_ideal"] < COLD_BELOW, "status"] = STATUS_COLD
    frame.loc[frame["n"] == 0, "status"] = STATUS_DEAD
    frame["selection_rate_upper"] = [
        rule_of_three(tokens) if n == 0 else float("nan") for n, tokens in zip(frame["n"], frame["tokens"], strict=True)
    ]
    for column in ("mean_margin", "floor_n"):
        if column not in frame:
            frame[column] = float("nan")
    return frame[
        [
            "layer",
            "expert_id",
            "n",
            "tokens",
            "share",
            "load_over_ideal",
            "selection_rate",
            "gate_share",
            "gate_over_ideal",
            "mean_gate",
            "mean_margin",
            "floor_n",
            "status",
            "selection_rate_upper",
        ]
    ]


def layer_balance(experts: pd.DataFrame) -> pd.DataFrame:
    """Per layer: how uneven the load is, by assignments (`load_*`) and by gate mass (`gate_*`).

    experts: as `expert_balance` returns it.
    -> (layer, tokens, assignments, experts_per_token, load_cv, load_gini, load_entropy, load_imbalance,
    max_vio, busiest_expert, cold_experts, dead_experts, dead_rate_upper, gate_cv, gate_gini, gate_entropy,
    gate_imbalance) one row per layer.
    """
    rows = []
    for layer, part in experts.groupby("layer", sort=True):
        counts = part["n"].to_numpy(dtype=np.float64)
        mass = part["gate_share"].to_numpy(dtype=np.float64)
        tokens = int(part["tokens"].iloc[0])
        imbalance = max_over_mean(counts)
        rows.append(
            {
                "layer": layer,
                "tokens": tokens,
                "assignments": int(counts.sum()),
                "experts_per_token": float(counts.sum()) / tokens if tokens else 0.0,
                "load_cv": coefficient_of_variation(counts),
                "load_gini": gini(counts),
                "load_entropy": normalised_entropy(counts),
                "load_imbalance": imbalance,
                "max_vio": max(imbalance - 1.0, 0.0),
                "busiest_expert": int(part["expert_id"].iloc[int(counts.argmax())]),
                "cold_experts": int((part["status"] == STATUS_COLD).sum()),
                "dead_experts": int((part["status"] == STATUS_DEAD).sum()),
                "dead_rate_upper": rule_of_three(tokens),
                "gate_cv": coefficient_of_variation(mass),
                "gate_gini": gini(mass),
                "gate_entropy": normalised_entropy(mass),
                "gate_imbalance": max_over_mean(mass),
            }
        )
    return pd.DataFrame(rows)


@dataclass(frozen=True, kw_only=True, slots=True)
class BalanceSummary:
    """The whole selection in a few numbers; `finding` is the sentence for the page's title."""

    tokens: int
    assignments: int
    n_experts: int
    worst_layer: int
    worst_expert: int
    worst_imbalance: float
    worst_max_vio: float
    lowest_entropy: float
    lowest_entropy_layer: int
    cold: int
    dead: int
    finding: Message


def summarise(experts: pd.DataFrame, layers: pd.DataFrame) -> BalanceSummary | None:
    """The summary of one selection; None where it holds no assignment."""
    if layers.empty or int(layers["assignments"].sum()) == 0:
        return None
    worst = layers.loc[layers["load_imbalance"].idxmax()]
    lowest = layers.loc[layers["load_entropy"].idxmin()]
    cold, dead = int(layers["cold_experts"].sum()), int(layers["dead_experts"].sum())
    params = {
        "ratio": float(worst["load_imbalance"]),
        "layer": int(worst["layer"]),
        "expert": int(worst["busiest_expert"]),
        "cold": cold,
        "dead": dead,
        "n": int(layers["tokens"].max()),
    }
    if dead:
        msgid = N_("Busiest expert: {ratio:.1f}× its equal share; {dead} unused in {n:,} tokens")
    elif cold:
        msgid = N_("Busiest expert: {ratio:.1f}× its equal share; {cold} cold, none unused")
    else:
        msgid = N_("Busiest expert: {ratio:.1f}× its equal share; no expert is cold or unused")
    return BalanceSummary(
        tokens=int(layers["tokens"].max()),
        assignments=int(layers["assignments"].sum()),
        n_experts=len(experts),
        worst_layer=int(worst["layer"]),
        worst_expert=int(worst["busiest_expert"]),
        worst_imbalance=float(worst["load_imbalance"]),
        worst_max_vio=float(worst["max_vio"]),
        lowest_entropy=float(lowest["load_entropy"]),
        lowest_entropy_layer=int(lowest["layer"]),
        cold=cold,
        dead=dead,
        finding=Message(msgid, params),
    )


def _ratio(numerator: "pd.Series[float]", denominator: "pd.Series[float]") -> "pd.Series[float]":
    """numerator / denominator, 0 where the denominator is 0."""
    safe = denominator.where(denominator > 0, other=1)
    return (numerator / safe).where(denominator > 0, other=0.0).astype("float64")
