"""Frames as the log gives them, made from counts."""

from typing import Any

import numpy as np
import pandas as pd

from moe_core.analysis.audit.counts import RoutingCounts


def request_frame(n: int, **columns: Any) -> pd.DataFrame:
    """`n` requests r0, r1, ... of run "run"; every column can be replaced."""
    frame: dict[str, Any] = {
        "run_id": ["run"] * n, "request_id": [f"r{i}" for i in range(n)],
        "started_at": pd.Timestamp("2026-03-01") + pd.to_timedelta(np.arange(n), unit="min"),
        "latency_ms": np.full(n, 10.0), "n_tokens": np.full(n, 10), "n_characters": np.full(n, 40.0),
        "domain": [None] * n, "attributes": [{}] * n, "label": [None] * n, "score": np.full(n, np.nan),
        "reference_label": [None] * n, "active_fraction": np.full(n, 0.5), "flops": np.full(n, 1000),
        "flops_dense": np.full(n, 4000), "budget": np.full(n, np.nan), "mode": ["topk"] * n, "actor": [None] * n,
    }  # fmt: skip
    return pd.DataFrame(frame | columns)


def decision_frame(counts_DLE: np.ndarray, tokens_DL: np.ndarray) -> pd.DataFrame:
    """The counts as rows; the tokens of a layer stand with its first expert."""
    document, layer, expert = np.nonzero((counts_DLE > 0) | (np.arange(counts_DLE.shape[2]) == 0))
    return pd.DataFrame({
        "run_id": "run", "request_id": [f"r{d}" for d in document], "layer": layer, "expert_id": expert,
        "n": counts_DLE[document, layer, expert].astype(np.int64),
        "n_first": np.where(expert == 0, tokens_DL[document, layer], 0),
    })  # fmt: skip


def frames_of(counts: RoutingCounts, **columns: Any) -> tuple[pd.DataFrame, pd.DataFrame, tuple[int, int]]:
    """-> (requests with the group as attribute "group", decisions, shape)."""
    names = [counts.groups[g] for g in counts.group_D]
    extra = columns.pop("attributes", [{}] * len(names))
    attributes = [{"group": name, **more} for name, more in zip(names, extra, strict=True)]
    tokens = counts.tokens_DL.max(axis=1)
    requests = request_frame(len(names), **{"attributes": attributes, "n_tokens": tokens, **columns})
    return requests, decision_frame(counts.counts_DLE, counts.tokens_DL), counts.counts_DLE.shape[1:]
