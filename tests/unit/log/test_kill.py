"""kill -9 at any moment: what was acknowledged is there, and what is there is whole."""

import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from moe_core.log import queries
from moe_core.log.index import Index
from moe_core.log.store import create_store
from moe_core.log.verify import verify_store

ROOT = Path(__file__).resolve().parents[3]
ROUNDS = [5, pytest.param(50, marks=pytest.mark.slow)]  # of two writers each: 10 and 100 kills

WRITER = """
import sys
from moe_core.log.writer import SegmentSink
from tests.unit.log.build import make_request, make_run, plain_batch

store, run_id = sys.argv[1:]
sink = SegmentSink(store, flush_seconds=3600)
sink.begin_run(make_run(run_id))
i = 0
while True:
    for _ in range(1 + i % 3):
        sink.append([make_request(f"{run_id}/{i}", 2)], plain_batch([2]))
        i += 1
    sink.flush()
    print(i, flush=True)
"""

READER = """
import sys, time
from moe_core.log import queries
from moe_core.log.index import Index

with Index.open(sys.argv[1]) as index:
    while True:
        index.refresh()
        totals = queries.store_totals(index).iloc[0]
        rows = index.frame("SELECT count(*) AS n, count(token_id) AS n_tokens FROM decisions").iloc[0]
        load = queries.expert_load(index)
        ran = int(load["n"].sum() + load["n_runner_up"].sum())
        assert len(queries.problems(index)) == 0
        counts = {rows["n"], rows["n_tokens"], ran, totals["decisions"], 8 * totals["requests"]}
        assert len(counts) == 1, counts
        print(totals["decisions"], flush=True)
        time.sleep(0.05)
"""


def kind_of_note(note: str) -> str:
    return next(kind for kind in ("cut off", "ahead of its head", "orphan", "") if kind in note)


def spawn(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True)


@pytest.fixture(scope="module", params=ROUNDS, ids=lambda rounds: f"{2 * rounds} kills")
def killed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, int], list[int]]:
    """A store after rounds of two writers killed at random moments beside one reader, which is killed at last;
    with the number of requests that each run acknowledged, and what the reader saw."""
    path = tmp_path_factory.mktemp("killed") / "store"
    create_store(path)
    reader, seen = spawn(READER, str(path)), []
    collector = threading.Thread(target=lambda: seen.extend(int(line) for line in reader.stdout or ()))
    collector.start()
    acknowledged: dict[str, int] = {}
    rng = random.Random(20260301)
    for round_ in range(request.param):
        writers = {f"run-{round_}-{i}": spawn(WRITER, str(path), f"run-{round_}-{i}") for i in range(2)}
        firsts = {}
        for run_id, writer in writers.items():
            assert writer.stdout is not None
            firsts[run_id] = int(writer.stdout.readline())
        time.sleep(rng.random() * 0.15)
        for writer in writers.values():
            writer.send_signal(signal.SIGKILL)
        for run_id, writer in writers.items():
            output, _ = writer.communicate()
            acknowledged[run_id] = max([firsts[run_id], *map(int, output.split())])
    patience = time.monotonic() + 60 + 6 * request.param
    while (not seen or seen[-1] < 8 * sum(acknowledged.values())) and time.monotonic() < patience:
        assert reader.poll() is None, "the reader stopped with an error"
        time.sleep(0.05)
    reader.kill()
    reader.wait()
    collector.join()
    assert reader.stdout is not None
    reader.stdout.close()
    return path, acknowledged, seen


def test_what_was_acknowledged_is_there(killed: tuple[Path, dict[str, int], list[int]]) -> None:
    """Every request whose flush had returned before the kill is found, with all of its decisions and tokens."""
    path, acknowledged, _ = killed
    assert len(acknowledged) >= 10
    with Index.open_private(path) as index:
        found = index.frame(
            "SELECT run_id, request_id, count(*) AS n, count(token_id) AS n_tokens FROM decisions GROUP BY ALL"
        )
        stored = set(found["request_id"])
        for run_id, n_requests in acknowledged.items():
            assert {f"{run_id}/{i}" for i in range(n_requests)} <= stored
        torn = found[(found["n"] != 8) | (found["n_tokens"] != 8)]
        assert len(torn) == 0
        print(
            f"{len(acknowledged)} kills: {sum(acknowledged.values())} requests acknowledged, {len(found)} found, 0 torn"
        )
        assert len(queries.request_trace(index, next(iter(acknowledged)) + "/0")) == 8


def test_what_is_there_is_whole(killed: tuple[Path, dict[str, int], list[int]]) -> None:
    """verify finds no error: a kill leaves torn lines and orphans, which never counted, as notes."""
    report = verify_store(killed[0])
    assert report.errors == ()
    print("; ".join(f"{n} {what}" for what, n in Counter(kind_of_note(note) for note in report.notes).items()))
    assert report.decisions >= 8 * sum(killed[1].values())


def test_a_reader_beside_the_writers_sees_only_whole_batches(
    killed: tuple[Path, dict[str, int], list[int]],
) -> None:
    """In every refresh the rollups, the raw rows and the totals agreed (the reader asserts it); it never went back."""
    _, acknowledged, seen = killed
    assert seen == sorted(seen)
    assert seen[-1] >= 8 * sum(acknowledged.values())
    print(f"the reader answered {len(seen)} times, 0 errors; it saw {len(set(seen))} states of the store")


def test_the_killed_owner_of_the_index_leaves_it_usable(killed: tuple[Path, dict[str, int], list[int]]) -> None:
    """The reader was killed while it owned index.duckdb; the next owner opens it and agrees with a fresh index."""
    with Index.open(killed[0]) as index, Index.open_private(killed[0]) as fresh:
        assert queries.store_totals(index).equals(queries.store_totals(fresh))
        assert queries.expert_load(index).equals(queries.expert_load(fresh))
