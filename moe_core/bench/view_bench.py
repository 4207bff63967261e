"""`routelens bench views`: how long every question of the dashboard takes on a store of a given size.

`cold`: the first time after the index was opened in a fresh connection, its pages not yet in DuckDB's memory (the
operating system may still hold them). `warm`: asked again and again.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from moe_core.bench.log_bench import Say, demo_traffic, fill
from moe_core.bench.machine import load_average, machine, peak_rss_mb
from moe_core.bench.specialization_views import specialization_clusters, specialization_page
from moe_core.errors import InputError
from moe_core.log import queries
from moe_core.log.index import Index
from moe_core.log.routing_sample import routing_of_run
from moe_core.log.specialization_queries import document_experts, document_layers
from moe_core.model.reference import load_model

Ask = Callable[[Index], object]


@dataclass(frozen=True, slots=True)
class View:
    """A question; `rollup`: answered from sums, not from requests or decisions."""

    name: str
    rollup: bool
    ask: Ask


def views(index: Index) -> list[View]:
    """Every question, about the largest run of the store. Raises InputError where there is no decision."""
    runs = queries.list_runs(index).sort_values("n_decisions", ascending=False)
    if runs.empty or not int(runs.iloc[0]["n_decisions"]):
        raise InputError(f"The store {index.store.path} holds no decision: record something first.")
    run = str(runs.iloc[0]["run_id"])
    named = queries.domains(index, run)["domain"].dropna()
    domain = str(named.iloc[0]) if len(named) else None
    first = queries.requests_page(index, run, limit=1).frame.iloc[0]
    request, word = str(first["request_id"]), str(first["text"] or "").split(" ")[0]
    return [
        View("list_runs", False, queries.list_runs),
        View("store_totals", False, queries.store_totals),
        View("expert_load", True, lambda i: queries.expert_load(i, run)),
        View("expert_load, one domain", True, lambda i: queries.expert_load(i, run, domain)),
        View("layer_tokens", True, lambda i: queries.layer_tokens(i, run)),
        View("active_histogram", True, lambda i: queries.active_histogram(i, run)),
        View("load_over_time", True, lambda i: queries.load_over_time(i, run)),
        View("coactivation", True, lambda i: queries.coactivation(i, run)),
        View("cost_by_domain", False, lambda i: queries.cost_by_domain(i, run)),
        View("domains", True, lambda i: queries.domains(i, run)),
        View("labels", False, lambda i: queries.labels(i, run)),
        View("latency_by", False, lambda i: queries.latency_by(i, run)),
        View("requests_page, first", False, lambda i: queries.requests_page(i, run)),
        View("requests_page, search", False, lambda i: queries.requests_page(i, run, search=word)),
        View("requests_page, deep", False, lambda i: queries.requests_page(i, run, offset=1000)),
        View("request_detail", False, lambda i: queries.request_detail(i, request)),
        View("request_trace", False, lambda i: queries.request_trace(i, request)),
        View("document_experts", True, lambda i: document_experts(i, run)),
        View("document_layers", True, lambda i: document_layers(i, run)),
        View("routing_of_run", False, lambda i: routing_of_run(i, run)),
        View("specialization page", False, lambda i: specialization_page(i, run)),
        View("its clusters", False, lambda i: specialization_clusters(i, run)),
    ]


def bench_views(store: Path, *, repetitions: int = 30, colds: int = 5) -> dict[str, Any]:
    """The document: one row per view with milliseconds, p50 and p95, cold and warm."""
    started, load = time.perf_counter(), load_average()
    with Index.open(store) as index:
        index.refresh()
        asked = views(index)
        totals = queries.store_totals(index).iloc[0]
        decisions, requests = int(totals["decisions"]), int(totals["requests"])
        warm = {view.name: _times(view, index, repetitions) for view in asked}
    cold: dict[str, list[float]] = {view.name: [] for view in asked}
    for number in range(colds):
        for view in _rotated(asked, number):
            with Index.open(store) as index:
                cold[view.name] += _times(view, index, 1)
    rows = [
        {
            "view": view.name, "from_rollup": view.rollup,
            "warm_p50_ms": _ms(warm[view.name], 0.5), "warm_p95_ms": _ms(warm[view.name], 0.95),
            "cold_p50_ms": _ms(cold[view.name], 0.5), "cold_p95_ms": _ms(cold[view.name], 0.95),
        }
        for view in asked
    ]  # fmt: skip
    return {
        "bench": "views", "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.perf_counter() - started, 1), "decisions": decisions, "requests": requests,
        "repetitions": repetitions, "cold_repetitions": colds, "machine": machine(),
        "load_average": {"start": load, "end": load_average()}, "peak_rss_mb": round(peak_rss_mb(), 1), "rows": rows,
    }  # fmt: skip


def on_made_store(
    folder: Path | None, n_decisions: int, *, repetitions: int = 30, colds: int = 5, say: Say = lambda _: None
) -> dict[str, Any]:
    """`bench_views` on a store that is made for it and removed afterwards (`log_bench.fill`)."""
    with tempfile.TemporaryDirectory(prefix="routelens-bench-", ignore_cleanup_errors=True) as place:
        store = Path(place) / "store"
        fill(store, demo_traffic(load_model(folder)), n_decisions, say=say)
        say("store written; building its index")
        return bench_views(store, repetitions=repetitions, colds=colds)


def _times(view: View, index: Index, repetitions: int) -> list[float]:
    seconds = []
    for _ in range(repetitions):
        started = time.perf_counter()
        view.ask(index)
        seconds.append(time.perf_counter() - started)
    return seconds


def _ms(seconds: Sequence[float], quantile: float) -> float:
    return 1000 * float(np.quantile(seconds, quantile))


def _rotated(views: list[View], number: int) -> list[View]:
    return views[number:] + views[:number]
