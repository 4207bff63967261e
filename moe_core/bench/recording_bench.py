"""What recording costs: the same texts answered with and without a log, one behind the other, in random order.

`plain` twice (the second one is `plain-aa`, whose true ratio is 1) and `recorded`, every answer of which is on the
disk, fsynced, before the clock stops. A writer works in the background and writes once a second, so one recorded
request alone is not what a server does: `one` answers requests one by one for some seconds and waits for the disk at
the end. Ratios are medians over repetitions of one against the other in the same repetition: a busy moment meets both.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from moe_core.bench.timing import Run, interleave
from moe_core.bench.workload import DEMO_FILE
from moe_core.log.writer import SegmentSink
from moe_core.model.reference import RoutedModel
from moe_core.model.requests import Setting, TextRequest
from moe_core.model.session import Session
from moe_core.request_files import read_rows

BUDGET = 0.35
SHORT, ROUNDS = 100, 4  # the regime `one`: the shortest texts, this often one after another
SEED = 11


def measure_recording(
    model: RoutedModel, *, quick: bool, say: Callable[[str], None] = lambda _: None
) -> list[dict[str, Any]]:
    """One row per regime and number of threads: median ratios to `plain` of wall and CPU time."""
    texts = [TextRequest(text=row.text, domain=row.domain) for row in read_rows(DEMO_FILE, domain="domain")]
    short = sorted(texts, key=lambda request: len(request.text))[:SHORT] * ROUNDS
    repetitions = 4 if quick else 15
    before, rows = torch.get_num_threads(), []
    try:
        for threads in (1, 2) if before > 1 else (1,):
            torch.set_num_threads(threads)
            for regime, requests, at_once in (("batch256", texts[:256], 256), ("one", short, 1)):
                rows.append(_measure(model, regime, requests, at_once, repetitions) | {"threads": threads})
                say(f"recording, {regime}, {threads} thread(s): {rows[-1]['ratio_wall_p50']:.3f} of plain")
    finally:
        torch.set_num_threads(before)
    return rows


def _measure(
    model: RoutedModel, regime: str, requests: list[TextRequest], at_once: int, repetitions: int
) -> dict[str, Any]:
    setting = Setting(budget=BUDGET, head=model.default_head, truncate=True)
    chunks = [requests[start : start + at_once] for start in range(0, len(requests), at_once)]
    lag: list[float] = []
    with (
        tempfile.TemporaryDirectory(prefix="routelens-bench-", ignore_cleanup_errors=True) as place,
        SegmentSink(Path(place) / "store") as sink,
    ):
        plain, second = model.session(setting), model.session(setting)
        recorded = model.session(setting, sink, source="bench")

        def unrecorded(session: Session) -> Run:
            return lambda _: [session.answer(chunk) for chunk in chunks]

        def onto_disk(_: list[list[int]]) -> None:
            for chunk in chunks:
                recorded.answer(chunk)
            answered = time.perf_counter()
            sink.flush()
            lag.append(time.perf_counter() - answered)

        runs: dict[str, Run] = {"plain": unrecorded(plain), "plain-aa": unrecorded(second), "recorded": onto_disk}
        for warm in runs.values():
            warm([])
        lag.clear()
        samples = interleave(runs, [[[]]], repetitions=repetitions, seed=SEED)
    base = samples["plain"]

    def ratio(name: str, kind: str) -> float:
        return float(np.median(np.divide(getattr(samples[name], kind), getattr(base, kind))))

    return {
        "regime": regime, "requests": len(requests), "repetitions": len(base.wall_s),
        "ratio_wall_p50": ratio("recorded", "wall_s"), "ratio_cpu_p50": ratio("recorded", "cpu_s"),
        "aa_ratio_wall_p50": ratio("plain-aa", "wall_s"), "aa_ratio_cpu_p50": ratio("plain-aa", "cpu_s"),
        "plain_wall_p50_s": float(np.median(base.wall_s)), "wait_for_disk_p50_s": float(np.median(lag)),
    }  # fmt: skip
