"""`routelens bench log`: what it costs to write decisions, how large they are, and how soon they can be asked for."""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch

from moe_core.bench.freshness import measure_freshness
from moe_core.bench.machine import load_average, machine, peak_rss_mb
from moe_core.bench.recording_bench import measure_recording
from moe_core.bench.traffic import Traffic
from moe_core.bench.workload import DEMO_FILE
from moe_core.errors import InputError
from moe_core.log.index import Index
from moe_core.log.writer import SegmentSink
from moe_core.model.reference import RoutedModel, load_model
from moe_core.model.requests import Setting, TextRequest
from moe_core.request_files import read_rows

BUDGET = 0.35
REQUESTS_AT_ONCE = 64
HOURS = 48  # over which the requests are spread
FRESH_TRIES = 12  # of each kind
QUICK_FRESH_TRIES = 3
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Filled:
    """What filling a store cost: CPU seconds of all threads, of the writing alone; wall seconds of both together."""

    decisions: int
    requests: int
    write_cpu_s: float
    wall_s: float


def demo_traffic(model: RoutedModel) -> Traffic:
    """The demo requests at BUDGET. Raises InputError where they are missing."""
    rows = read_rows(DEMO_FILE, domain="domain")
    texts = [TextRequest(text=row.text, domain=row.domain) for row in rows]
    return Traffic.measured(model, texts, Setting(budget=BUDGET, truncate=True))


def fill(store: Path, traffic: Traffic, n_decisions: int, *, seed: int = 0, say: Say = lambda _: None) -> Filled:
    """Writes a run of at least `n_decisions` into the store, fsynced, with the defaults of a live writer."""
    rng = np.random.default_rng(seed)
    n_requests = max(1, round(n_decisions / traffic.decisions_per_request))
    every = timedelta(hours=HOURS) / n_requests
    run = replace(traffic.run, run_id=f"bench-{n_decisions}-{seed}", started_at=datetime(2026, 1, 5, tzinfo=UTC))
    traffic = replace(traffic, run=run)
    done = written = 0
    cpu, drawing, wall, told = time.process_time(), 0.0, time.perf_counter(), time.perf_counter()
    with SegmentSink(store) as sink:
        sink.begin_run(run)
        while done < n_requests:
            count = min(REQUESTS_AT_ONCE, n_requests - done)
            before = time.thread_time()
            records, decisions = traffic.draw(rng, count, done + 1, run.started_at + done * every, every)
            drawing += time.thread_time() - before
            sink.append(records, decisions)
            done, written = done + count, written + len(decisions)
            if time.perf_counter() - told > 20:
                told = time.perf_counter()
                say(f"{written:,} decisions written")
        sink.flush()
    return Filled(written, done, time.process_time() - cpu - drawing, time.perf_counter() - wall)


def bench_log(
    folder: Path | None = None, *, sizes: Sequence[int] = (1_000_000, 10_000_000), quick: bool = False,
    say: Say = lambda _: None,
) -> dict[str, Any]:  # fmt: skip
    """The document: one row per size of store (`ingest`), and one per regime of recording (`recording`).

    `quick`: few tries, and one thread only: two that share a busy machine wait for each other for minutes. Raises
    InputError for a size below 100,000, LogError where the temporary folder has no room.
    """
    for size in sizes:
        if size < 100_000:
            raise InputError(f"A store of {size:,} decisions is too small to be measured: give 100000 or more.")
    model = load_model(folder)
    started, loads = time.perf_counter(), [load_average()]
    traffic = demo_traffic(model)
    rows = []
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="routelens-bench-", ignore_cleanup_errors=True) as place:
            tries = QUICK_FRESH_TRIES if quick else FRESH_TRIES
            rows.append(_measure_store(Path(place) / "store", traffic, size, tries, say))
    with _one_thread() if quick else nullcontext():
        recording = measure_recording(model, quick=quick, say=say)
    return {
        "bench": "log", "quick": quick, "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.perf_counter() - started, 1), "model": model.name, "model_sha256": model.sha256,
        "machine": machine(), "load_average": {"start": loads[0], "end": load_average()},
        "peak_rss_mb": round(peak_rss_mb(), 1),
        "traffic": f"{len(traffic.requests)} demo requests at budget {BUDGET:g}, drawn with replacement, "
                   f"{traffic.decisions_per_request:.0f} decisions each, over {HOURS} hours",
        "ingest": rows, "recording": recording,
    }  # fmt: skip


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _measure_store(store: Path, traffic: Traffic, size: int, tries: int, say: Say) -> dict[str, Any]:
    filled = fill(store, traffic, size, say=say)
    segments = list((store / "segments").rglob("*.parquet"))
    segment_bytes = sum(path.stat().st_size for path in segments)
    all_bytes = segment_bytes + sum(path.stat().st_size for part in ("requests", "manifest")
                                    for path in (store / part).rglob("*") if path.is_file())  # fmt: skip
    say(f"{filled.decisions:,} decisions written in {filled.wall_s:.0f} s; building the index")
    cpu, wall = time.process_time(), time.perf_counter()
    with Index.open(store):
        index_cpu, index_wall = time.process_time() - cpu, time.perf_counter() - wall
    index_bytes = store.joinpath("index.duckdb").stat().st_size
    say(f"index built in {index_wall:.1f} s; recording single requests until another process finds them")
    fresh = measure_freshness(store, traffic, tries)
    return {
        "decisions": filled.decisions, "requests": filled.requests, "segments": len(segments),
        "decisions_per_cpu_s": filled.decisions / filled.write_cpu_s,
        "decisions_per_wall_s": filled.decisions / filled.wall_s,
        "bytes_per_decision": segment_bytes / filled.decisions,
        "bytes_per_decision_with_requests": all_bytes / filled.decisions,
        "index_cpu_ns_per_decision": 1e9 * index_cpu / filled.decisions, "index_wall_s": index_wall,
        "index_bytes_per_decision": index_bytes / filled.decisions,
        "freshness_p50_s": float(np.quantile(fresh.since_handed_over, 0.5)),
        "freshness_p95_s": float(np.quantile(fresh.since_handed_over, 0.95)),
        "freshness_acknowledged_p50_s": float(np.quantile(fresh.since_acknowledged, 0.5)),
        "freshness_acknowledged_p95_s": float(np.quantile(fresh.since_acknowledged, 0.95)),
        "freshness_tries": tries,
    }  # fmt: skip
