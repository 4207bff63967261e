"""One typed function per question; its SQL, grain and columns are in `sql/<name>.sql`.

Integers are int64. An unknown number is NaN, a missing text is what `pd.isna` finds. Times are UTC without a zone mark.
Every parameter is bound, none is formatted into SQL.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from moe_core.errors import QueryError, RequestNotFoundError, RunNotFoundError
from moe_core.log.index import Index

_SQL_DIR = Path(__file__).parent / "sql"


@dataclass(frozen=True, slots=True)
class RequestsPage:
    """`frame`: columns of `requests`, one row per request. `total`: how many fit on all pages together."""

    frame: pd.DataFrame
    total: int


def list_runs(index: Index) -> pd.DataFrame:
    """-> (run_id, started_at, source, model, model_sha256, n_layers, n_experts, mode, budget, n_requests, n_tokens,
    n_decisions, active_fraction, flops, flops_dense, latency_p50_ms, latency_p95_ms, latency_p99_ms, last_seen,
    ended_at, has_errors, unrecorded_requests, unrecorded_decisions, escalates) one row per run, newest first.
    active_fraction is the mean over tokens."""
    return _ask(index, "list_runs")


def store_totals(index: Index) -> pd.DataFrame:
    """-> (runs, requests, tokens, decisions, batches, flops, flops_dense, bytes, first_seen, last_seen, problems)
    one row."""
    return _ask(index, "store_totals")


def expert_load(
    index: Index, run_id: str | None = None, domain: str | None = None, layer: int | None = None
) -> pd.DataFrame:
    """-> (layer, expert_id, n, gate_sum, prob_sum, mean_margin, floor_n, failover_n, n_runner_up) one row per expert,
    also for those with n = 0. Sums are over the decisions in which the expert ran. Raises RunNotFoundError."""
    frame = _ask(index, "expert_load", run_id=run_id, domain=domain, layer=layer)
    if run_id is not None and layer is None and frame.empty:  # a run has at least one expert
        raise RunNotFoundError(f"The store {index.store.path} holds no run {run_id!r}.")
    return frame


def layer_tokens(index: Index, run_id: str | None = None, domain: str | None = None) -> pd.DataFrame:
    """-> (layer, tokens) one row per layer: the denominator of shares of tokens."""
    return _ask(index, "layer_tokens", run_id=run_id, domain=domain)


def active_histogram(index: Index, run_id: str | None = None, domain: str | None = None) -> pd.DataFrame:
    """-> (layer, num_active, tokens) one row per number of experts that a token ran."""
    return _ask(index, "active_histogram", run_id=run_id, domain=domain)


def load_over_time(
    index: Index, run_id: str | None = None, domain: str | None = None, layer: int | None = None
) -> pd.DataFrame:
    """-> (hour, layer, expert_id, n, gate_sum, prob_sum, mean_margin, floor_n, failover_n) one row per expert and hour
    in which it was seen."""
    return _ask(index, "load_over_time", run_id=run_id, domain=domain, layer=layer)


def coactivation(index: Index, run_id: str | None = None, layer: int | None = None) -> pd.DataFrame:
    """-> (layer, first, second, n) one row per pair of experts that ran for n same tokens; first < second."""
    return _ask(index, "coactivation", run_id=run_id, layer=layer)


def requests_page(
    index: Index,
    run_id: str | None = None,
    search: str | None = None,
    label: str | None = None,
    domain: str | None = None,
    limit: int = 50,
    offset: int = 0,
) -> RequestsPage:
    """One page of requests, newest first. `search` is looked for in the text as it stands: no wildcards, upper and
    lower case alike; an empty one finds all. Redacted texts are found by no search."""
    if limit < 1 or offset < 0:
        raise QueryError(f"A page has limit {limit} and offset {offset}; give at least 1 and 0.")
    filters = {"run_id": run_id, "search": search or None, "label": label, "domain": domain}
    frame = _ask(index, "requests_page", **filters, limit=limit, offset=offset)
    total = int(frame["total"].iloc[0]) if len(frame) else request_count(index, **filters)
    return RequestsPage(frame.drop(columns="total"), total)


def request_count(
    index: Index,
    run_id: str | None = None,
    search: str | None = None,
    label: str | None = None,
    domain: str | None = None,
) -> int:
    """How many requests fit."""
    filters = {"run_id": run_id, "search": search or None, "label": label, "domain": domain}
    return int(_ask(index, "request_count", **filters)["total"].iloc[0])


def request_detail(index: Index, request_id: str, run_id: str | None = None) -> pd.DataFrame:
    """-> the columns of `requests`, one row. Raises RequestNotFoundError."""
    frame = _ask(index, "request_detail", request_id=request_id, run_id=run_id)
    if frame.empty:
        raise RequestNotFoundError(f"The store {index.store.path} holds no request {request_id!r}.")
    return frame


def request_trace(index: Index, request_id: str, run_id: str | None = None) -> pd.DataFrame:
    """-> (position, token_id, is_special, layer, expert_id, rank, selected, logit, prob, gate_weight, margin, flags)
    one row per decision, by position, layer, rank. Raises RequestNotFoundError, and SegmentError where the file that
    holds it has changed since it was verified."""
    files = index.files_of(request_id, run_id)
    return _ask(index, "request_trace", decisions=files.decisions, tokens=files.tokens, request_no=files.request_no)


def request_tokens(index: Index, request_id: str, run_id: str | None = None) -> pd.DataFrame:
    """-> (position, token_id, is_special) one row per token, by position. Raises as `request_trace`."""
    files = index.files_of(request_id, run_id)
    return _ask(index, "request_tokens", tokens=files.tokens, request_no=files.request_no)


def run_of_request(index: Index, request_id: str, run_id: str | None = None) -> pd.DataFrame:
    """-> (run_id, source, model, model_sha256, n_layers, n_experts, mode, config, software, text, text_hash,
    started_at) one row: how a request was run. Raises RequestNotFoundError."""
    frame = _ask(index, "run_of_request", request_id=request_id, run_id=run_id)
    if frame.empty:
        raise RequestNotFoundError(f"The store {index.store.path} holds no request {request_id!r}.")
    return frame


def answered_together(index: Index, request_id: str, run_id: str) -> pd.DataFrame:
    """-> (request_id, text) one row per request of the same batch, in the order in which they were handed over: their
    times of beginning are the same, to the microsecond."""
    return _ask(index, "answered_together", request_id=request_id, run_id=run_id)


def latency_by(index: Index, run_id: str | None = None) -> pd.DataFrame:
    """-> (mode, budget, n, p50_ms, p95_ms, p99_ms, mean_ms, mean_tokens) one row per mode and budget of requests."""
    return _ask(index, "latency_by", run_id=run_id)


def cost_by_domain(index: Index, run_id: str | None = None) -> pd.DataFrame:
    """-> (domain, requests, tokens, flops, flops_dense, flops_share, active_fraction) one row per domain; the last
    one, without name, if there are requests without a domain."""
    return _ask(index, "cost_by_domain", run_id=run_id)


def domains(index: Index, run_id: str | None = None) -> pd.DataFrame:
    """-> (domain, requests, tokens) one row per domain."""
    return _ask(index, "domains", run_id=run_id)


def labels(index: Index, run_id: str | None = None) -> pd.DataFrame:
    """-> (label, requests) one row per label."""
    return _ask(index, "labels", run_id=run_id)


def events(index: Index, limit: int = 100) -> pd.DataFrame:
    """-> (recorded_at, actor, what, old, new) one row per event, newest first; old and new are JSON texts."""
    return _ask(index, "events", limit=limit)


def problems(index: Index) -> pd.DataFrame:
    """-> (seen_at, run_id, batch_id, n_decisions, what) one row per batch or manifest that was left out as damaged."""
    return _ask(index, "problems")


@cache
def _sql(name: str) -> str:
    return (_SQL_DIR / f"{name}.sql").read_text(encoding="utf-8")


def _ask(index: Index, name: str, **parameters: Any) -> pd.DataFrame:
    frame = index.frame(_sql(name), parameters)
    narrow = frame.select_dtypes(["int8", "int16", "int32", "uint8", "uint16", "uint32"])
    return frame.astype({name: "float64" if narrow[name].hasnans else "int64" for name in narrow.columns})
