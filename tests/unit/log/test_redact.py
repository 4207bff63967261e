"""redact: what a request says goes from the disk, the rest stays, and a kill at any moment does no harm."""

import json
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from moe_core.errors import LogError, RequestNotFoundError, SegmentError
from moe_core.log import queries
from moe_core.log.catalog import read_catalog
from moe_core.log.console import run_select
from moe_core.log.index import Index
from moe_core.log.redact import Redaction, redact
from moe_core.log.removal import alone
from moe_core.log.segments import read_parquet
from moe_core.log.store import open_store
from moe_core.log.verify import verify_store
from moe_core.log.writer import SegmentSink
from tests.unit.log.build import make_request, make_run, plain_batch
from tests.unit.log.relations import ROOT
from tests.unit.log.remains import remains
from tests.unit.log.test_disk_full import FullDisk

SECRET_IDS = [30_011, 29_873, 30_203, 29_641]
MARKERS = ("MARKER-4711", "SOUTHPAW", "VERDICT-X", "ana.b", "QUIRK")


def secret_request(request_id: str = "secret", **changes: object):
    """A request of 4 tokens with a marker in every personal column."""
    given = {
        "text": "my number is MARKER-4711",
        "token_ids_T": np.array(SECRET_IDS, np.int32),
        "attributes": {"hand": "SOUTHPAW", "QUIRK": "yes"},
        "reference_label": "VERDICT-X",
        "actor": "ana.b",
        "label": "positive",
        "score": 0.75,
        "domain": "mail",
    }
    return make_request(request_id, 4, **(given | changes))


def fill(path: Path, n_batches: int = 2) -> None:
    """Run `run-a`: the first batch holds `before`, `secret`, `after`; each other one request of 2 tokens."""
    with SegmentSink(path, flush_seconds=60) as sink:
        sink.begin_run(make_run())
        requests = [make_request("before", 2), secret_request(), make_request("after", 2)]
        sink.append(requests, plain_batch([2, 4, 2]))
        sink.flush()
        for i in range(1, n_batches):
            sink.append([make_request(f"other-{i}", 2)], plain_batch([2]))
            sink.flush()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """4 requests, 10 tokens, 40 decisions in 2 batches, with an index on the disk."""
    fill(tmp_path / "store")
    Index.open(tmp_path / "store").close()
    return tmp_path / "store"


def decisions_per_request(path: Path) -> dict[str, tuple[int, int]]:
    """request id -> decisions, decisions with a token id."""
    with Index.open_private(path) as index:
        frame = index.frame("SELECT request_id, count(*) AS n, count(token_id) AS n_ids FROM decisions GROUP BY ALL")
    return {row.request_id: (int(row.n), int(row.n_ids)) for row in frame.itertuples()}


def test_nothing_of_the_request_is_left_on_the_disk(store: Path) -> None:
    """Raw bytes of every file (index and its log included) and every decoded page: five markers and four token ids
    are found before and not after; of the two other requests in its files nothing is lost."""
    before = remains(store, MARKERS, SECRET_IDS)
    assert {"decoded" in line for line in before} == {True, False}
    assert any("index.duckdb: MARKER-4711" in line for line in before)
    assert sum("token id 30011" in line for line in before) == 1
    done = redact(store, "secret", actor="dpo", reason="asked on 1 March")
    assert remains(store, MARKERS, SECRET_IDS) == []
    assert (len(done.erased), done.before, done.removed_files, done.index) == (1, (), 2, "fresh")
    assert decisions_per_request(store) == {"before": (8, 8), "secret": (16, 0), "after": (8, 8), "other-1": (8, 8)}
    answer = run_select(store, "SELECT request_id, text FROM requests WHERE text IS NOT NULL ORDER BY 1")
    assert answer.rows == [["after", "text of after"], ["before", "text of before"], ["other-1", "text of other-1"]]


def test_verify_is_ok_and_says_what_was_erased(store: Path) -> None:
    """All 40 decisions are intact; one note names the request, who did it, why, and that nobody signed."""
    redact(store, "secret", actor="dpo", reason="asked on 1 March")
    report = verify_store(store)
    assert (report.ok, report.segments, report.decisions, len(report.notes)) == (True, 2, 40, 1)
    for part in ("by dpo", "text, text_hash, attributes, reference_label, actor, tokens", "'secret'", "1 March",
                 "not signed"):  # fmt: skip
        assert part in report.notes[0]


def test_query_shows_nulls_and_keeps_the_answer(store: Path) -> None:
    """text, text_hash, attributes, reference_label, actor are NULL; label, score, domain and the costs are not."""
    redact(store, "secret")
    columns = ("text, text_hash, attributes, reference_label, actor, "
               "label, score, domain, n_tokens, latency_ms, flops")  # fmt: skip
    answer = run_select(store, f"SELECT {columns} FROM requests WHERE request_id = 'secret'")
    assert answer.rows == [[None] * 5 + ["positive", 0.75, "mail", 4, 10.0, 50]]
    assert answer.left_out == []
    assert run_select(store, "SELECT count(*) FROM tokens WHERE request_id = 'secret'").rows == [[0]]


def test_the_dashboard_queries_go_on(store: Path) -> None:
    """The trace has all decisions without token ids, the text is found by no search, no rollup has changed."""
    with Index.open(store) as index:
        load, totals = queries.expert_load(index), queries.store_totals(index)
    redact(store, "secret", actor="dpo", reason="why")
    with Index.open(store) as index:
        trace = queries.request_trace(index, "secret")
        assert (len(trace), int(trace["token_id"].notna().sum())) == (16, 0)
        assert queries.request_tokens(index, "secret").empty
        assert queries.request_tokens(index, "before")["token_id"].tolist() == [100, 101]
        assert queries.requests_page(index, search="MARKER").total == 0
        assert pd.isna(queries.request_detail(index, "secret")["text"][0])
        assert queries.expert_load(index).equals(load)
        assert queries.store_totals(index).drop(columns="bytes").equals(totals.drop(columns="bytes"))
        assert queries.problems(index).empty
        (event,) = queries.events(index).itertuples()
        assert (event.actor, event.what) == ("dpo", "redact")
        assert json.loads(event.new) == {"reason": "why", "batches": 1, "requests": ["secret"]}


def test_a_second_call_says_that_it_was_done(store: Path) -> None:
    """Nothing is written again: no manifest, no file."""
    redact(store, "secret")
    files = sorted(store.rglob("*.jsonl")) + sorted(store.rglob("*.parquet"))
    done = redact(store, "secret")
    assert (done.erased, [r.request_id for r in done.before], done.removed_files) == ((), ["secret"], 0)
    assert sorted(store.rglob("*.jsonl")) + sorted(store.rglob("*.parquet")) == files


def test_requests_of_one_batch_go_one_after_another(store: Path) -> None:
    """A rewritten file is rewritten again; what was erased first does not come back."""
    for request_id in ("secret", "after", "before"):
        redact(store, request_id)
    assert remains(store, ("MARKER-4711", "text of after", "text of before"), SECRET_IDS) == []
    assert decisions_per_request(store) == {"before": (8, 0), "secret": (16, 0), "after": (8, 0), "other-1": (8, 8)}
    assert verify_store(store).ok
    assert len(list(store.glob("requests/*/*.parquet"))) == 4


@pytest.mark.parametrize("asked", ["secret", "again"])
def test_companions_are_erased_too(store: Path, asked: str) -> None:
    """Escalation logged the same text once more: whichever of the two is named, both go, and it is said. An attribute
    of that name which a user gave in an ordinary run is not followed."""
    with SegmentSink(store) as sink:
        sink.begin_run(make_run("companion", config={"escalates": "run-a"}))
        sink.append([secret_request("again", attributes={"escalated_from": "secret"})], plain_batch([4]))
        sink.begin_run(make_run("ordinary"))
        sink.append([make_request("mine", 2, attributes={"escalated_from": "secret"})], plain_batch([2]))
    done = redact(store, asked)
    assert {(r.run_id, r.request_id, r.escalated_from) for r in done.erased} == {
        ("run-a", "secret", None),
        ("companion", "again", "secret"),
    }
    assert remains(store, ("MARKER-4711", "SOUTHPAW"), SECRET_IDS) == []
    assert run_select(store, "SELECT text FROM requests WHERE request_id = 'mine'").rows == [["text of mine"]]
    assert {r.request_id for r in redact(store, "again").before} >= {"again"}
    assert redact(store, asked).erased == ()
    assert len(verify_store(store).notes) == 1


def test_a_companion_that_comes_later_is_found_by_a_second_call(store: Path) -> None:
    """The first answer was erased while its second pass was still running."""
    redact(store, "secret")
    with SegmentSink(store) as sink:
        sink.begin_run(make_run("companion", config={"escalates": "run-a"}))
        sink.append([secret_request("again", attributes={"escalated_from": "secret"})], plain_batch([4]))
    done = redact(store, "secret")
    assert [r.request_id for r in done.erased] == ["again"]
    assert [r.request_id for r in done.before] == ["secret"]
    assert remains(store, MARKERS, SECRET_IDS) == []


def test_an_owner_of_the_index_makes_it_again_by_itself(store: Path) -> None:
    """A dashboard is open: redact waits until it says that its index knows the tombstone; the file under it is new."""
    with Index.open(store) as index:
        index.start_background_refresh(0.05)
        assert redact(store, "secret").index == "fresh"
        assert remains(store, MARKERS, SECRET_IDS) == []
        assert pd.isna(queries.request_detail(index, "secret")["text"][0])


def test_an_owner_that_does_not_refresh_is_reported(store: Path) -> None:
    """`pending` until it has made the index again, `fresh` from then on."""
    with Index.open(store) as index:
        assert redact(store, "secret", wait_seconds=0.1).index == "pending"
        assert redact(store, "secret", wait_seconds=0.1).index == "pending"
        assert index.refresh()
        assert redact(store, "secret", wait_seconds=0.1).index == "fresh"
        assert remains(store, MARKERS, SECRET_IDS) == []


def test_a_request_beside_it_can_be_traced_at_once(store: Path) -> None:
    """An open index that has not refreshed yet finds the new files of the batch by itself."""
    with Index.open(store) as index:
        redact(store, "secret", wait_seconds=0)
        assert queries.request_tokens(index, "before")["token_id"].tolist() == [100, 101]
        assert queries.request_tokens(index, "secret").empty


def test_the_writer_of_the_batch_may_be_alive(tmp_path: Path) -> None:
    """Its manifest is not touched; it goes on, ends its run, and the totals agree."""
    with SegmentSink(tmp_path, flush_seconds=60) as sink:
        sink.begin_run(make_run())
        sink.append([secret_request(), make_request("beside", 2)], plain_batch([4, 2]))
        sink.flush()
        redact(tmp_path, "secret")
        sink.append([make_request("later", 2)], plain_batch([2]))
    assert verify_store(tmp_path).ok
    assert decisions_per_request(tmp_path) == {"secret": (16, 0), "beside": (8, 8), "later": (8, 8)}
    assert remains(tmp_path, MARKERS, SECRET_IDS) == []


def test_files_of_a_killed_writer_that_hold_it_are_deleted(store: Path) -> None:
    """Its batch was never listed, but the text lies there all the same."""
    requests = next(store.glob("requests/*/*000000.requests.parquet"))
    tokens = requests.with_name(requests.name.replace("requests", "tokens"))
    for path in (requests, tokens):
        path.with_name(path.name.replace("000000", "000009")).write_bytes(path.read_bytes())
    assert redact(store, "secret").orphans == 2
    assert remains(store, MARKERS, SECRET_IDS) == []


def test_a_damaged_file_is_not_rewritten(store: Path) -> None:
    """One clear sentence, nothing changed: a rewrite would make the damage official."""
    tokens = next(store.glob("requests/*/*000000.tokens.parquet"))
    tokens.write_bytes(tokens.read_bytes()[:-1] + b"?")
    with pytest.raises(SegmentError, match=r"differs from its manifest\. Restore it from a copy"):
        redact(store, "secret")
    assert len(list((store / "manifest").glob("*.jsonl"))) == 1


def test_an_unknown_request_is_refused(store: Path) -> None:
    """And if a file could not be searched, that is said."""
    with pytest.raises(RequestNotFoundError, match="holds no request 'nobody'; `routelens query` finds"):
        redact(store, "nobody")
    requests = next(store.glob("requests/*/*000001.requests.parquet"))
    requests.write_bytes(b"")
    with pytest.raises(RequestNotFoundError, match="1 damaged files could not be searched"):
        redact(store, "nobody")
    assert redact(store, "secret").unsearched == (requests.relative_to(store).as_posix(),)


def test_two_at_once_are_refused(store: Path) -> None:
    """Whoever rewrites the same batch at the same time would bring back what the other erased."""
    with alone(open_store(store)), pytest.raises(LogError, match="Another process is redacting"):
        redact(store, "secret")


def test_a_full_disk_changes_nothing(tmp_path: Path) -> None:
    """Whichever of the writing calls fails, the store is whole, readable, and the next call completes. Files that a
    failed last step left behind are swept by it."""
    n_calls, error = 0, "not yet"
    while error:
        path = tmp_path / f"store-{n_calls}"
        fill(path)
        with pytest.MonkeyPatch.context() as patch:
            disk, error = FullDisk(patch), ""
            disk.left = n_calls
            try:
                redact(path, "secret")
            except LogError as failure:
                error = str(failure)
        assert not error or "No space left on device" in error
        report = verify_store(path)
        assert (report.errors, report.decisions) == ((), 40)
        redact(path, "secret")
        assert remains(path, MARKERS, SECRET_IDS) == []
        assert len(list(path.glob("requests/*/*"))) == 4
        n_calls += 1
    assert n_calls > 9


N_REQUESTS = 30

# A process that redacts in children of its own, which are killed: `K REQUEST` before the K-th call that changes the
# disk, `-S REQUEST` after S seconds. It answers with the exit status of the child.
REDACTOR = """
import os, signal, sys, time
from moe_core.log import console, index, redact

store = sys.argv[1]
for line in sys.stdin:
    when, request_id = line.split()
    child = os.fork()
    if child == 0:
        calls = [0]
        def counted(function):
            def call(*args, **kwargs):
                calls[0] += 1
                if calls[0] == int(when):
                    os.kill(os.getpid(), signal.SIGKILL)
                return function(*args, **kwargs)
            return call
        if not when.startswith("-"):
            for name in ("write", "fsync", "rename", "unlink", "replace", "ftruncate", "pwrite"):
                setattr(os, name, counted(getattr(os, name)))
        redact.redact(store, request_id)
        os._exit(0)
    if when.startswith("-"):
        time.sleep(float(when[1:]))
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
"""


class Redactor:
    """Redacts in a process of its own that is killed."""

    def __init__(self, store: Path) -> None:
        command = [sys.executable, "-c", REDACTOR, str(store)]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def killed(self, when: str, request_id: str) -> bool:
        """Whether the child was killed before it was done."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{when} {request_id}\n")
        status = int(self.process.stdout.readline())
        assert status in (0, -signal.SIGKILL)
        return status != 0


@pytest.fixture
def redactor(tmp_path: Path) -> Iterator[Redactor]:
    """Over a store with 30 requests of 4 tokens, 3 to a batch, each with a marker of its own, and an index."""
    path = tmp_path / "store"
    with SegmentSink(path, flush_seconds=60) as sink:
        sink.begin_run(make_run())
        for i in range(0, N_REQUESTS, 3):
            requests = [secret_request(f"r-{i + j}", text=f"<MARKER-{i + j}>") for j in range(3)]
            sink.append(requests, plain_batch([4, 4, 4]))
            sink.flush()
    Index.open(path).close()
    redactor = Redactor(path)
    yield redactor
    redactor.process.communicate()


def assert_whole(path: Path, erased: set[str], doubtful: str) -> None:
    """After a kill: verify finds no error, every request counts once with all its decisions, only the erased ones
    (and perhaps the one whose redaction was killed) have no text."""
    report = verify_store(path)
    assert report.errors == ()
    for note in report.notes:
        assert "is still there" not in note or f"run `routelens redact --request {doubtful}` again" in note
    catalog = read_catalog(open_store(path))
    assert sum(batch.files["decisions"].rows for batch in catalog.batches.values()) == N_REQUESTS * 16
    files = [path / batch.files["requests"].path for batch in catalog.batches.values()]
    rows = pa.concat_tables([read_parquet(file).select(["request_id", "text"]) for file in files]).to_pylist()
    assert sorted(row["request_id"] for row in rows) == sorted(f"r-{i}" for i in range(N_REQUESTS))
    assert {row["request_id"] for row in rows if row["text"] is None} - {doubtful} == erased


def complete(path: Path, request_id: str) -> Redaction:
    """What the next call does; afterwards nothing is left of the request, and of no killed attempt."""
    done = redact(path, request_id)
    assert len(done.erased) + len(done.before) == 1
    assert remains(path, [f"<MARKER-{request_id.removeprefix('r-')}>"]) == []
    assert len(list(path.glob("requests/*/*"))) == 2 * N_REQUESTS // 3
    return done


@pytest.mark.parametrize("step", [3, pytest.param(1, marks=pytest.mark.slow)])
def test_killed_before_any_call_that_changes_the_disk(redactor: Redactor, tmp_path: Path, step: int) -> None:
    """A step later each time, until one gets through: never is anything half done, and the next call finishes it."""
    path, erased, n_begun = tmp_path / "store", set[str](), 0
    for i in range(N_REQUESTS):
        if not redactor.killed(str(1 + i * step), f"r-{i}"):
            break
        assert_whole(path, erased, f"r-{i}")
        n_begun += len(complete(path, f"r-{i}").before)
        erased.add(f"r-{i}")
    assert len(erased) * step >= 20
    assert 0 < n_begun < len(erased)
    assert verify_store(path).ok


def test_killed_at_random_moments(redactor: Redactor, tmp_path: Path) -> None:
    """10 kills, by the clock."""
    path, erased, rng = tmp_path / "store", set[str](), random.Random(7)
    for i in range(10):
        redactor.killed(f"-{rng.random() * 0.2:.3f}", f"r-{3 * i}")
        assert_whole(path, erased, f"r-{3 * i}")
        complete(path, f"r-{3 * i}")
        erased.add(f"r-{3 * i}")
    assert_whole(path, erased, "")
