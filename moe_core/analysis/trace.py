"""All decisions of one request as one frame, whether they come from a live run or from the log.

A *trace* has the columns (position, token, is_special, layer, expert_id, selected, score, threshold, margin,
gate_weight, flags), one row per (position, layer, expert). A live trace holds every expert; a recorded one
the experts that ran and the best one that did not.

score = the router's expected contribution relative to the token's strongest expert in that layer (0..1);
margin = score - threshold. Shape letters: T tokens, L layers, E experts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

COLUMNS = (
    "position",
    "token",
    "is_special",
    "layer",
    "expert_id",
    "selected",
    "score",
    "threshold",
    "margin",
    "gate_weight",
    "flags",
)


def live_trace(
    *,
    tokens: Sequence[str],
    is_special: Sequence[bool],
    scores_LTE: NDArray[np.floating[Any]],
    thresholds_LTE: NDArray[np.floating[Any]],
    gates_LTE: NDArray[np.floating[Any]],
    flags_LTE: NDArray[np.integer[Any]],
) -> pd.DataFrame:
    """Arrays of one live request -> trace with every expert. thresholds may be (L, 1, E) or (L, T, E)."""
    n_layers, n_tokens, n_experts = scores_LTE.shape
    thresholds = np.broadcast_to(thresholds_LTE, scores_LTE.shape)
    order = (1, 0, 2)  # rows sorted by position, layer, expert
    position, layer, expert = np.meshgrid(np.arange(n_tokens), np.arange(n_layers), np.arange(n_experts), indexing="ij")
    score = scores_LTE.transpose(order).ravel().astype(np.float64)
    threshold = thresholds.transpose(order).ravel().astype(np.float64)
    gate = gates_LTE.transpose(order).ravel().astype(np.float64)
    return pd.DataFrame(
        {
            "position": position.ravel(),
            "token": np.repeat(np.asarray(tokens, dtype=object), n_layers * n_experts),
            "is_special": np.repeat(np.asarray(is_special, dtype=bool), n_layers * n_experts),
            "layer": layer.ravel(),
            "expert_id": expert.ravel(),
            "selected": gate > 0,
            "score": score,
            "threshold": threshold,
            "margin": score - threshold,
            "gate_weight": gate,
            "flags": flags_LTE.transpose(order).ravel().astype(np.int64),
        }
    )


def recorded_trace(decisions: pd.DataFrame, tokens: Sequence[str]) -> pd.DataFrame:
    """decisions of one request from the log -> trace. `tokens[position]` is the text of each token.

    The log keeps the router's probability and margin, not the score: the score is the probability over the
    largest one recorded for the token in the layer, which the strongest expert holds.
    """
    frame = decisions.sort_values(["position", "layer", "expert_id"], ignore_index=True)
    strongest = frame.groupby(["position", "layer"])["prob"].transform("max")
    score = (frame["prob"] / strongest.where(strongest > 0)).astype("float64")
    return pd.DataFrame(
        {
            "position": frame["position"].astype("int64"),
            "token": [tokens[p] if p < len(tokens) else "" for p in frame["position"]],
            "is_special": frame["is_special"].fillna(value=False).astype(bool),
            "layer": frame["layer"].astype("int64"),
            "expert_id": frame["expert_id"].astype("int64"),
            "selected": frame["selected"].astype(bool),
            "score": score,
            "threshold": score - frame["margin"],
            "margin": frame["margin"].astype("float64"),
            "gate_weight": frame["gate_weight"].astype("float64"),
            "flags": frame["flags"].astype("int64"),
        }
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class TraceArrays:
    """A trace as arrays for the routing map; NaN where a score or threshold was not recorded."""

    tokens: tuple[str, ...]
    is_special: tuple[bool, ...]
    scores_TLE: NDArray[np.float64]
    thresholds_TLE: NDArray[np.float64]
    active_TLE: NDArray[np.bool_]


def trace_arrays(trace: pd.DataFrame, *, n_layers: int, n_experts: int) -> TraceArrays:
    """trace -> arrays (T, L, E)."""
    first = trace.drop_duplicates("position").sort_values("position")
    places = {int(p): i for i, p in enumerate(first["position"])}
    shape = (len(first), n_layers, n_experts)
    scores, thresholds = np.full(shape, np.nan), np.full(shape, np.nan)
    active = np.zeros(shape, dtype=np.bool_)
    at = (trace["position"].map(places).to_numpy(), trace["layer"].to_numpy(), trace["expert_id"].to_numpy())
    scores[at] = trace["score"].to_numpy()
    thresholds[at] = trace["threshold"].to_numpy()
    active[at] = trace["selected"].to_numpy()
    return TraceArrays(
        tokens=tuple(str(token) for token in first["token"]),
        is_special=tuple(bool(value) for value in first["is_special"]),
        scores_TLE=scores,
        thresholds_TLE=thresholds,
        active_TLE=active,
    )


def experts_per_token(trace: pd.DataFrame) -> pd.DataFrame:
    """trace -> (position, token, L0, L1, ..., total) one row per token: experts that ran in each layer."""
    wide = (
        trace.assign(ran=trace["selected"].astype(int))
        .pivot_table(index=["position", "token"], columns="layer", values="ran", aggfunc="sum", fill_value=0)
        .astype(int)
    )
    wide.columns = pd.Index([f"L{int(layer)}" for layer in wide.columns])
    wide["total"] = wide.sum(axis=1)
    return wide.reset_index().sort_values("position", ignore_index=True)


def token_decisions(trace: pd.DataFrame, position: int) -> pd.DataFrame:
    """trace -> the rows of one token, by layer, experts that ran first, then by falling score."""
    rows = trace[trace["position"] == position]
    return rows.sort_values(["layer", "selected", "score"], ascending=[True, False, False], ignore_index=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class TraceSummary:
    """One request in numbers: experts run per token and layer, and the token with most and least work."""

    tokens: int
    pairs: int
    mean_active: float
    most: str
    most_active: int
    least: str
    least_active: int


def summarise_trace(trace: pd.DataFrame) -> TraceSummary | None:
    """The summary of a trace over its ordinary tokens (special ones only if there are no others); None if empty."""
    if trace.empty:
        return None
    ordinary = trace[~trace["is_special"]]
    per_token = experts_per_token(ordinary if len(ordinary) else trace)
    most, least = per_token.loc[per_token["total"].idxmax()], per_token.loc[per_token["total"].idxmin()]
    pairs = trace.drop_duplicates(["position", "layer"]).shape[0]
    return TraceSummary(
        tokens=int(trace["position"].nunique()),
        pairs=pairs,
        mean_active=float(trace["selected"].sum()) / pairs,
        most=str(most["token"]),
        most_active=int(most["total"]),
        least=str(least["token"]),
        least_active=int(least["total"]),
    )
