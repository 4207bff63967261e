"""The SQL about one model, on a small log with hand-counted answers."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moe_core.dashboard import model_queries
from moe_core.log.index import Index
from moe_core.log.writer import SegmentSink
from moe_core.records import RequestRecord, RoutingBatch, RunRecord

T0 = datetime(2026, 3, 1, 10, 30, tzinfo=UTC)
NEW, OLD = "b" * 64, "a" * 64


def run(run_id: str, mode: str, budget: float | None, sha256: str = NEW, head: str = "sentiment") -> RunRecord:
    """2 layers of 3 experts."""
    return RunRecord(
        run_id=run_id,
        started_at=T0,
        source="infer",
        model="m",
        model_sha256=sha256,
        n_layers=2,
        n_experts=3,
        mode=mode,
        budget=budget,
        config={"setting": {"head": head}},
    )


def request(request_id: str, text: str, label: str, mode: str, budget: float | None, **changes: Any) -> RequestRecord:
    """One text of one token that used half of the experts."""
    fields: dict[str, Any] = {
        "request_id": request_id,
        "started_at": T0,
        "latency_ms": 1.0,
        "n_tokens": 1,
        "text": text,
        "token_ids_T": np.array([7], dtype=np.int32),
        "is_special_T": np.array([False]),
        "active_fraction": 0.5 if mode == "adaptive" else 1.0,
        "flops": 60 if mode == "adaptive" else 100,
        "flops_dense": 100,
        "mode": mode,
        "budget": budget,
        "label": label,
    }
    return RequestRecord(**(fields | changes))


def decisions(experts: list[int]) -> RoutingBatch:
    """For each request: in both layers its one expert ran with gate weight 0.5."""
    n = len(experts)
    index = np.repeat(np.arange(n), 2)
    ones = np.ones(2 * n, dtype=np.float32)
    return RoutingBatch(
        request_index_N=index.astype(np.uint32),
        position_N=np.zeros(2 * n, np.uint32),
        layer_N=np.tile(np.arange(2), n).astype(np.uint16),
        expert_id_N=np.repeat(experts, 2).astype(np.uint16),
        rank_N=np.zeros(2 * n, np.uint16),
        selected_N=np.ones(2 * n, dtype=np.bool_),
        logit_N=ones,
        prob_N=ones * 0.5,
        gate_weight_N=ones * 0.5,
        margin_N=ones * 0.25,
        flags_N=np.zeros(2 * n, np.uint8),
    )


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    """Model NEW: dense and adaptive answers to x, y, z at two budgets, x also with another head. Model OLD: one run."""
    with SegmentSink(tmp_path / "store") as sink:
        sink.begin_run(run("dense", "dense", None))
        sink.append(
            [request(f"d{t}", t, label, "dense", None) for t, label in (("x", "good"), ("y", "bad"), ("z", "good"))],
            decisions([]),
        )
        sink.begin_run(run("half", "adaptive", 0.5))
        sink.append(
            [
                request("h1", "x", "good", "adaptive", 0.5, domain="mail"),
                request("h2", "y", "bad", "adaptive", 0.5, domain="mail"),
                request("h3", "w", "bad", "adaptive", 0.5),  # never answered by dense
                request("h4", "x", "good", "adaptive", 0.5, domain="shop"),  # x again: counts once
            ],
            decisions([0, 0, 1, 0]),
        )
        sink.begin_run(run("third", "adaptive", 0.35))
        sink.append(
            [request("t1", "x", "bad", "adaptive", 0.35), request("t2", "z", "good", "adaptive", 0.35)],
            decisions([0, 1]),
        )
        sink.begin_run(run("spam", "adaptive", 0.5, head="spam"))
        sink.append([request("s1", "x", "ham", "adaptive", 0.5)], decisions([0]))
        sink.begin_run(run("old", "adaptive", 0.5, sha256=OLD))
        sink.append([request("o1", "x", "good", "adaptive", 0.5)], decisions([2]))
    with Index.open_private(tmp_path / "store") as opened:
        yield opened


def test_pairs_need_the_same_text_model_and_head(index: Index) -> None:
    """At .5: x and y agree (x counts once, the spam head and the old model do not); at .35: x differs, z agrees."""
    frame = model_queries.dense_pairs(index, NEW)
    assert frame.values.tolist() == [[0.5, 2, 2], [0.35, 2, 1]]
    assert model_queries.dense_pairs(index, OLD).empty


def test_second_passes_and_runs_at_thresholds_are_no_pairs(tmp_path: Path) -> None:
    """x pairs; y has a dense answer only because it was in doubt, z an adaptive one at thresholds, without a budget."""
    with SegmentSink(tmp_path / "store") as sink:
        for run_id, mode, budget, texts in (
            ("dense", "dense", None, "xz"), ("half", "adaptive", 0.5, "xy"), ("again", "dense", None, "y"),
            ("thresholds", "adaptive", None, "z"),
        ):  # fmt: skip
            record = run(run_id, mode, budget)
            if run_id == "again":
                record = replace(record, config={**record.config, "escalates": "half"})
            sink.begin_run(record)
            sink.append([request(f"{run_id}{t}", t, "good", mode, budget) for t in texts], decisions([]))
    with Index.open_private(tmp_path / "store") as opened:
        assert model_queries.dense_pairs(opened, NEW).values.tolist() == [[0.5, 1, 1]]


def test_load_of_a_model_adds_up_its_adaptive_runs_only(index: Index) -> None:
    """Expert 0 ran for 5 tokens of model NEW, expert 1 for 2, expert 2 for none; the old model is apart."""
    frame = model_queries.model_expert_load(index, NEW)
    assert frame[["layer", "expert_id", "n"]].values.tolist() == [
        [0, 0, 5], [0, 1, 2], [0, 2, 0], [1, 0, 5], [1, 1, 2], [1, 2, 0],
    ]  # fmt: skip
    assert frame["gate_sum"].iloc[0] == pytest.approx(2.5, abs=1e-3)
    assert model_queries.model_expert_load(index, OLD)["n"].tolist() == [0, 0, 1, 0, 0, 1]
    assert model_queries.model_expert_load(index, NEW, "mail")["n"].tolist() == [2, 0, 0, 2, 0, 0]


def test_every_token_of_the_model_ran_one_expert(index: Index) -> None:
    """7 tokens in each layer, one expert each."""
    assert model_queries.model_active(index, NEW).values.tolist() == [[0, 1, 7], [1, 1, 7]]
    assert model_queries.model_active(index, NEW, "shop").values.tolist() == [[0, 1, 1], [1, 1, 1]]


def test_domains_count_adaptive_requests_only(index: Index) -> None:
    """Two mails, one shop, four without a domain; dense answers are left out."""
    frame = model_queries.model_domains(index, NEW)
    assert frame["requests"].tolist() == [2, 1, 4]
    assert frame["domain"].isna().tolist() == [False, False, True]
    assert frame["expert_compute"].tolist() == pytest.approx([0.5] * 3)
    assert frame["flops_share"].tolist() == pytest.approx([0.6] * 3)


def test_a_model_that_never_ran_has_nothing(index: Index) -> None:
    """An unknown model gives empty frames, not an error."""
    for frame in (
        model_queries.model_expert_load(index, "f" * 64),
        model_queries.model_active(index, "f" * 64),
        model_queries.model_domains(index, "f" * 64),
        model_queries.dense_pairs(index, "f" * 64),
    ):
        assert frame.empty
