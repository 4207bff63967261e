"""One request's decisions: live arrays and recorded rows become the same frame."""

import numpy as np
import pandas as pd
import pytest

from moe_core.analysis.trace import (
    COLUMNS,
    experts_per_token,
    live_trace,
    recorded_trace,
    summarise_trace,
    token_decisions,
    trace_arrays,
)

TOKENS = ["[CLS]", "bad", "[SEP]"]
SPECIAL = [True, False, True]


def small_trace() -> pd.DataFrame:
    """2 layers, 3 tokens, 2 experts: in layer 0 expert 0 always runs, expert 1 only for `bad`."""
    scores = np.array([[[1.0, 0.1], [1.0, 0.9], [1.0, 0.2]], [[0.3, 1.0], [1.0, 0.8], [0.2, 1.0]]], dtype=np.float32)
    thresholds = np.full((2, 1, 2), 0.5, dtype=np.float32)
    gates = np.where(scores > 0.5, 1.0, 0.0).astype(np.float32)
    return live_trace(
        tokens=TOKENS,
        is_special=SPECIAL,
        scores_LTE=scores,
        thresholds_LTE=thresholds,
        gates_LTE=gates,
        flags_LTE=np.zeros((2, 3, 2), dtype=np.int64),
    )


def test_a_live_trace_has_one_row_for_every_token_layer_and_expert() -> None:
    """3 tokens x 2 layers x 2 experts = 12 rows, sorted, with margin = score - threshold."""
    trace = small_trace()
    assert list(trace.columns) == list(COLUMNS)
    assert len(trace) == 12
    assert trace[["position", "layer", "expert_id"]].apply(tuple, axis=1).is_monotonic_increasing
    row = trace[(trace["position"] == 1) & (trace["layer"] == 1) & (trace["expert_id"] == 1)].iloc[0]
    assert row["token"] == "bad"
    assert row["margin"] == pytest.approx(0.3)
    assert bool(row["selected"])


def test_experts_per_token_counts_what_ran() -> None:
    """`bad` ran all four experts, each special token two."""
    table = experts_per_token(small_trace())
    assert table["L0"].tolist() == [1, 2, 1]
    assert table["L1"].tolist() == [1, 2, 1]
    assert table["total"].tolist() == [2, 4, 2]


def test_token_decisions_lists_experts_that_ran_first() -> None:
    """Within a layer: first those that ran, then by falling score."""
    rows = token_decisions(small_trace(), 0)
    assert rows["expert_id"].tolist() == [0, 1, 1, 0]
    assert rows["selected"].tolist() == [True, False, True, False]


def test_arrays_keep_every_number_of_the_trace() -> None:
    """Frame -> arrays: same scores, thresholds and mask, token by token."""
    arrays = trace_arrays(small_trace(), n_layers=2, n_experts=2)
    assert arrays.tokens == tuple(TOKENS)
    assert arrays.is_special == tuple(SPECIAL)
    assert arrays.active_TLE.sum(axis=(1, 2)).tolist() == [2, 4, 2]
    assert arrays.scores_TLE[1, 0].tolist() == pytest.approx([1.0, 0.9])
    assert np.all(arrays.thresholds_TLE == 0.5)


def test_a_recorded_trace_derives_the_score_from_the_probabilities() -> None:
    """Score = probability / largest probability; an expert that was not recorded stays unknown."""
    decisions = pd.DataFrame(
        {
            "position": [0, 0],
            "is_special": [True, True],
            "layer": [0, 0],
            "expert_id": [2, 0],
            "selected": [True, False],
            "prob": [0.5, 0.2],
            "margin": [0.6, -0.1],
            "gate_weight": [1.0, 0.0],
            "flags": [1, 0],
        }
    )
    trace = recorded_trace(decisions, ["[CLS]"])
    assert trace["score"].tolist() == pytest.approx([0.4, 1.0])
    assert trace["threshold"].tolist() == pytest.approx([0.5, 0.4])
    arrays = trace_arrays(trace, n_layers=1, n_experts=3)
    assert np.isnan(arrays.scores_TLE[0, 0, 1])
    assert arrays.active_TLE[0, 0].tolist() == [False, False, True]


def test_tokens_that_were_erased_leave_an_empty_text() -> None:
    """After redaction there is no token text, and the trace is still complete."""
    decisions = pd.DataFrame(
        {
            "position": [0],
            "is_special": [None],
            "layer": [0],
            "expert_id": [0],
            "selected": [True],
            "prob": [1.0],
            "margin": [0.5],
            "gate_weight": [1.0],
            "flags": [0],
        }
    )
    trace = recorded_trace(decisions, [])
    assert trace["token"].tolist() == [""]
    assert trace["is_special"].tolist() == [False]


def test_the_summary_speaks_of_ordinary_tokens() -> None:
    """The token with the most work is `bad`; special tokens do not compete."""
    summary = summarise_trace(small_trace())
    assert summary is not None
    assert (summary.most, summary.most_active, summary.least) == ("bad", 4, "bad")
    assert summary.mean_active == pytest.approx(8 / 6)
    assert summarise_trace(small_trace().iloc[0:0]) is None
