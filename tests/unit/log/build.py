"""Small runs, requests and decisions made by hand, for the tests of the log."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from moe_core.log.writer import SegmentSink
from moe_core.records import RequestRecord, RoutingBatch, RunRecord

T0 = datetime(2026, 3, 1, 10, 30, tzinfo=UTC)

# request_index, position, layer, expert_id, rank, selected, logit, prob, gate_weight, margin, flags
Row = tuple[int, int, int, int, int, bool, float, float, float, float, int]


def make_run(run_id: str = "run-a", **changes: Any) -> RunRecord:
    """2 layers of 3 experts."""
    run = RunRecord(
        run_id=run_id,
        started_at=T0,
        source="demo",
        model="reference",
        model_sha256="0" * 64,
        n_layers=2,
        n_experts=3,
        mode="adaptive",
        budget=0.35,
        config={"seed": 7},
        software={"numpy": "2"},
    )
    return replace(run, **changes)


def make_request(request_id: str, n_tokens: int = 1, **changes: Any) -> RequestRecord:
    request = RequestRecord(
        request_id=request_id,
        started_at=T0,
        latency_ms=10.0,
        n_tokens=n_tokens,
        text=f"text of {request_id}",
        token_ids_T=np.arange(100, 100 + n_tokens, dtype=np.int32),
        is_special_T=np.zeros(n_tokens, bool),
        active_fraction=0.5,
        flops=50,
        flops_dense=100,
        mode="adaptive",
        budget=0.35,
    )
    return replace(request, **changes)


def make_batch(rows: Sequence[Row]) -> RoutingBatch:
    columns = list(zip(*rows, strict=True)) if rows else [()] * 11
    types = (np.uint32, np.uint32, np.uint16, np.uint16, np.uint16, np.bool_, *[np.float32] * 4, np.uint8)
    arrays = [np.array(column, kind) for column, kind in zip(columns, types, strict=True)]
    names = ("request_index_N", "position_N", "layer_N", "expert_id_N", "rank_N", "selected_N", "logit_N", "prob_N",
             "gate_weight_N", "margin_N", "flags_N")  # fmt: skip
    return RoutingBatch(**dict(zip(names, arrays, strict=True)))


def plain_batch(n_tokens: Sequence[int], n_layers: int = 2) -> RoutingBatch:
    """For each token and layer: expert 0 ran, expert 1 is the best of those that did not. 2 rows each."""
    return make_batch(
        [
            (request, position, layer, rank, rank, rank == 0, 1.5 - rank, 0.75 - rank / 2, 1.0 - rank, 0.5 - rank, 0)
            for request, n in enumerate(n_tokens)
            for position in range(n)
            for layer in range(n_layers)
            for rank in (0, 1)
        ]
    )


def fill_store(path: Path, run_id: str = "run-a", n_batches: int = 3) -> None:
    """One run; each batch holds one request of 2 tokens: 8 decisions."""
    with SegmentSink(path, flush_seconds=60) as sink:
        sink.begin_run(make_run(run_id))
        for i in range(n_batches):
            sink.append([make_request(f"{run_id}/{i}", 2)], plain_batch([2]))
            sink.flush()


def data_files(path: Path) -> list[Path]:
    """Every file that a store consists of, without the cache."""
    return sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("index."))
