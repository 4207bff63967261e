"""How soon a recorded request can be asked for: a writer here, the owner of the index in a process of its own."""

import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from moe_core.errors import LogError
from moe_core.log.writer import SegmentSink

if TYPE_CHECKING:
    from moe_core.bench.traffic import Traffic

PATIENCE_S = 60.0
Finding = tuple[int, float]  # how many requests a query counted, and when (time.monotonic)


@dataclass(frozen=True, slots=True)
class Freshness:
    """Seconds of single requests until a query of the other process counted them: since they were handed over to a
    writer with its default patience, and (others) since they were acknowledged as durable."""

    since_handed_over: list[float]
    since_acknowledged: list[float]


def measure_freshness(store: Path, traffic: "Traffic", tries: int) -> Freshness:
    """`tries` requests for each of the two, one by one, in a run of their own.

    Nobody may own the index of the store. Raises LogError where the other process ends, or finds nothing for a minute.
    """
    rng = np.random.default_rng(1)
    run = replace(traffic.run, run_id="bench-fresh", started_at=datetime.now(UTC))
    traffic = replace(traffic, run=run)
    waited: dict[bool, list[float]] = {False: [], True: []}
    with _other_process(store) as findings, SegmentSink(store) as sink:
        expected, _ = _next(findings)
        sink.begin_run(run)
        for number in range(1, 2 * tries + 1):
            records, decisions = traffic.draw(rng, 1, number, datetime.now(UTC), timedelta())
            flushes = number % 2 == 0
            since = time.monotonic()
            sink.append(records, decisions)
            if flushes:
                sink.flush()
                since = time.monotonic()
            expected += 1
            found, at = _next(findings)
            while found < expected:
                found, at = _next(findings)
            waited[flushes].append(at - since)
            time.sleep(float(rng.random()) * 0.7)  # not in step with the refreshes
    return Freshness(since_handed_over=waited[False], since_acknowledged=waited[True])


@contextmanager
def _other_process(store: Path) -> Iterator["queue.Queue[Finding | None]"]:
    command = [sys.executable, "-m", "moe_core.bench.freshness_child", str(store)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdin is not None
    assert child.stdout is not None
    findings: queue.Queue[Finding | None] = queue.Queue()
    collector = threading.Thread(target=_collect, args=(child.stdout, findings), daemon=True)
    collector.start()
    try:
        yield findings
    finally:
        child.stdin.close()
        child.wait()
        collector.join()
        child.stdout.close()


def _collect(lines: IO[str], findings: "queue.Queue[Finding | None]") -> None:
    for line in lines:
        found, at = line.split()
        findings.put((int(found), float(at)))
    findings.put(None)


def _next(findings: "queue.Queue[Finding | None]") -> Finding:
    try:
        finding = findings.get(timeout=PATIENCE_S)
    except queue.Empty:
        raise LogError("A recorded request was not found within a minute: keep other work off and retry.") from None
    if finding is None:
        raise LogError("The process that owns the index has ended; what it wrote to stderr says why.")
    return finding
