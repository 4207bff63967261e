"""The index: a cache that may be lost, owned by one process."""

import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from moe_core.errors import IndexLockedError, LogError, RequestNotFoundError, SegmentError
from moe_core.log import indexer as indexer_module
from moe_core.log import queries
from moe_core.log.console import run_select
from moe_core.log.index import Index
from moe_core.log.writer import SegmentSink
from tests.unit.log.build import fill_store, make_request, make_run, plain_batch

ROOT = Path(__file__).resolve().parents[3]

TABLES = {
    "runs": "*",
    "requests": "*",
    "tokens": "*",
    "decisions": "*",
    "rollup_load": "run_id, hour, layer, expert_id, domain, sum(n), sum(gate_sum), sum(prob_sum), sum(margin_sum), "
    "sum(margin_n), sum(floor_n), sum(failover_n), sum(dropped_n), sum(n_runner_up)",
    "rollup_active": "run_id, layer, domain, num_active, sum(tokens)",
    "rollup_requests": "run_id, domain, sum(requests), sum(tokens), sum(flops), sum(flops_dense)",
    "run_end_rows": "*",
    "batch_rows": "*",
    "file_rows": "*",
}


def contents(index: Index) -> dict[str, list[str]]:
    """Every table of the index as sorted rows."""
    found = {}
    for table, columns in TABLES.items():
        grouped = "GROUP BY ALL" if "sum(" in columns else ""
        frame = index.frame(f"SELECT {columns} FROM {table} {grouped}")
        found[table] = sorted(str(row) for row in frame.itertuples(index=False))
    return found


def record(path: Path, run_id: str, n_requests: int = 1) -> None:
    fill_store(path, run_id, n_requests)


def test_adding_bit_by_bit_equals_building_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An index that followed 2 interleaved writers batch by batch, was closed, reopened and compacted holds the same
    rows and sums as one built from nothing."""
    monkeypatch.setattr(indexer_module, "COMPACT_ABOVE_ROWS", 10)
    rng = random.Random(5)
    with SegmentSink(tmp_path, flush_seconds=3600) as one, SegmentSink(tmp_path, flush_seconds=3600) as two:
        sinks = {"one": one, "two": two}
        for run_id, sink in sinks.items():
            sink.begin_run(make_run(run_id))
        index = Index.open(tmp_path)
        for i in range(12):
            run_id = rng.choice(list(sinks))
            n_tokens = rng.randint(1, 4)
            request = make_request(f"{run_id}-{i}", n_tokens, domain=rng.choice([None, "law", "chat"]), flops=i)
            sinks[run_id].append([request], plain_batch([n_tokens]))
            sinks[run_id].flush()
            assert index.refresh()
            if i == 6:
                index.close()
                index = Index.open(tmp_path)
    index.refresh()
    with Index.open_private(tmp_path) as fresh:
        assert contents(index) == contents(fresh)
        before = contents(index)
    index.rebuild()
    assert contents(index) == before
    index.close()


def test_many_batches_are_added_in_several_transactions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """7 lines at 2 a transaction: all of them are in the tables and in the views."""
    monkeypatch.setattr(indexer_module, "ENTRIES_PER_TRANSACTION", 2)
    fill_store(tmp_path, n_batches=5)
    with Index.open(tmp_path) as index:
        assert index.frame("SELECT count(*) AS n FROM decisions")["n"][0] == 40
        assert queries.store_totals(index)["decisions"][0] == 40


def test_the_version_grows_with_new_data_only(store_dir: Path) -> None:
    """It is what a cache key needs: the same while nothing happens, another one after a new batch."""
    with Index.open(store_dir) as index:
        version = index.version
        assert not index.refresh()
        assert index.version == version
        record(store_dir, "run-b")
        assert index.refresh()
        assert index.version > version


def test_a_background_refresh_finds_a_new_run(store_dir: Path) -> None:
    """A dashboard that never asks for a refresh sees a run that another writer recorded."""
    with Index.open(store_dir) as index:
        index.start_background_refresh(interval=0.05)
        record(store_dir, "run-b")
        end = time.monotonic() + 20
        while "run-b" not in set(queries.list_runs(index)["run_id"]) and time.monotonic() < end:
            time.sleep(0.02)
        assert queries.list_runs(index)["run_id"].tolist() == ["run-a", "run-b"]
        assert index.refresh_error is None


LOCK = """
import sys
from moe_core.log.index import Index
index = Index.open(sys.argv[1])
index.start_background_refresh(0.05)
print(len(index.frame("SELECT * FROM runs")), flush=True)
sys.stdin.read()
"""


def test_another_process_owns_the_index(store_dir: Path) -> None:
    """A second owner is refused in one sentence with the owner's number; a private index, the SQL console and a writer
    work beside it; when the owner is killed, the index is free."""
    owner = subprocess.Popen(
        [sys.executable, "-c", LOCK, str(store_dir)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    assert owner.stdout.readline() == "1\n"
    try:
        with pytest.raises(IndexLockedError, match=f"in use by process {owner.pid}; close that, or go on with"):
            Index.open(store_dir)
        record(store_dir, "run-b")
        with Index.open_private(store_dir) as index:
            assert index.is_private
            assert queries.store_totals(index)["runs"][0] == 2
        assert run_select(store_dir, "SELECT count(*) FROM decisions").rows == [[32]]
    finally:
        owner.kill()
        owner.communicate()
    with Index.open(store_dir) as index:
        assert queries.store_totals(index)["runs"][0] == 2


def test_one_process_opens_the_index_once(store_dir: Path) -> None:
    """Two owners in one process would overwrite each other, too."""
    with Index.open(store_dir), pytest.raises(IndexLockedError, match=f"process {os.getpid()}"):
        Index.open(store_dir)
    Index.open(store_dir).close()


def test_a_program_that_opened_the_file_directly(store_dir: Path) -> None:
    """The DuckDB shell holds DuckDB's own lock: the same error, and the file is not thrown away."""
    Index.open(store_dir).close()
    code = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    shell = subprocess.Popen(
        [sys.executable, "-c", code, str(store_dir / "index.duckdb")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert shell.stdout is not None
    assert shell.stdout.readline() == "open\n"
    try:
        with pytest.raises(IndexLockedError, match="opened it directly"):
            Index.open(store_dir)
    finally:
        shell.kill()
        shell.communicate()
    Index.open(store_dir).close()


def flip(path: Path, offset: int = -100) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)


def test_a_damaged_segment_is_left_out_and_named(store_dir: Path) -> None:
    """1 of 3 batches is damaged before it is read: 16 of 24 decisions remain, in rollups and rows alike, and the list
    of problems names the file and what is missing."""
    segment = sorted((store_dir / "segments").rglob("*.parquet"))[1]
    flip(segment)
    for index in (Index.open(store_dir), Index.open_private(store_dir)):
        with index:
            assert index.frame("SELECT count(*) AS n FROM decisions")["n"][0] == 16
            load = queries.expert_load(index)
            assert int(load["n"].sum() + load["n_runner_up"].sum()) == 16
            problems = queries.problems(index)
            assert problems["n_decisions"].tolist() == [8]
            assert segment.name in problems["what"][0]
            assert queries.list_runs(index)["has_errors"].tolist() == [True]
            assert queries.store_totals(index)["problems"][0] == 1


@pytest.mark.parametrize("folder", ["segments", "requests"])
def test_a_missing_file_leaves_its_batch_out(store_dir: Path, folder: str) -> None:
    """A batch is whole or not there."""
    sorted((store_dir / folder).rglob("*.parquet"))[0].unlink()
    with Index.open(store_dir) as index:
        assert index.frame("SELECT count(*) AS n FROM requests")["n"][0] == 2
        assert index.frame("SELECT count(*) AS n FROM decisions")["n"][0] == 16
        assert "is missing" in queries.problems(index)["what"][0]


def test_damage_after_indexing_is_noticed(store_dir: Path) -> None:
    """A segment that changes under an open index: its trace is refused once and the index made without it."""
    with Index.open(store_dir) as index:
        assert len(queries.request_trace(index, "run-a/1")) == 8
        flip(sorted((store_dir / "segments").rglob("*.parquet"))[1])
        with pytest.raises(SegmentError, match=r"differs from its manifest\. Run `routelens verify`"):
            queries.request_trace(index, "run-a/1")
        assert queries.store_totals(index)["decisions"][0] == 16
        with pytest.raises(RequestNotFoundError):
            queries.request_trace(index, "run-a/1")
        assert len(queries.request_trace(index, "run-a/2")) == 8
        assert index.check_files() == []


@pytest.mark.parametrize("ask", ["frame", "cursor"])
def test_rows_of_a_damaged_file_are_never_shown(store_dir: Path, ask: str) -> None:
    """Own SQL over the raw rows counts 16 of 24 the moment after a segment has changed, without waiting for a check."""
    with Index.open(store_dir) as index:
        flip(sorted((store_dir / "segments").rglob("*.parquet"))[1])
        sql = "SELECT count(*) AS n FROM decisions"
        found = index.frame(sql)["n"][0] if ask == "frame" else index.cursor().execute(sql).fetchall()[0][0]
        assert found == 16
        assert len(queries.problems(index)) == 1


def test_damage_while_the_index_was_closed_is_noticed(store_dir: Path) -> None:
    """On open, a file with another time, size or inode is compared again, and the rollups are made without it."""
    Index.open(store_dir).close()
    flip(sorted((store_dir / "segments").rglob("*.parquet"))[0])
    with Index.open(store_dir) as index:
        assert queries.store_totals(index)["decisions"][0] == 16


def test_a_repaired_segment_comes_back(store_dir: Path) -> None:
    """Restored from a copy and indexed anew, the batch counts again."""
    segment = sorted((store_dir / "segments").rglob("*.parquet"))[0]
    flip(segment)
    with Index.open(store_dir) as index:
        assert queries.store_totals(index)["decisions"][0] == 16
        flip(segment)
        index.rebuild()
        assert queries.store_totals(index)["decisions"][0] == 24
        assert queries.problems(index).empty


def test_a_touched_file_is_compared_and_stays(store_dir: Path) -> None:
    """A new modification time alone (a copy, a backup) is no damage."""
    with Index.open(store_dir) as index:
        for path in (store_dir / "segments").rglob("*.parquet"):
            os.utime(path, (1, 1))
        assert len(queries.request_trace(index, "run-a/1")) == 8
        assert index.check_files() == []
        version = index.version
        assert index.frame("SELECT count(*) AS n FROM decisions")["n"][0] == 24
        assert index.version == version


def test_a_damaged_manifest_is_named(store_dir: Path) -> None:
    """What was listed before the broken line counts, the rest does not, and it is said."""
    (path,) = (store_dir / "manifest").glob("*.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], b"{}\n", *lines[3:]]))
    with Index.open(store_dir) as index:
        assert queries.store_totals(index)["decisions"][0] == 8
        assert queries.problems(index)["what"].tolist() == [
            f"manifest/{path.name} line 3 is not what its writer wrote: it does not match its own hash."
        ]
        assert queries.list_runs(index)["has_errors"].tolist() == [True]
        version = index.version
        assert not index.refresh()
        assert index.version == version


def test_a_manifest_that_was_taken_back_makes_the_index_again(store_dir: Path) -> None:
    """A line that was seen and then cut off again (its writer's disk was full) does not stay in the numbers."""
    (path,) = (store_dir / "manifest").glob("*.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    with Index.open(store_dir) as index:
        path.write_bytes(b"".join(lines[:3]))
        assert index.refresh()
        assert queries.store_totals(index)["decisions"][0] == 16
        path.write_bytes(b"".join(lines))
        assert index.refresh()
        assert queries.store_totals(index)["decisions"][0] == 24


def test_counts_are_compared_on_open(store_dir: Path) -> None:
    """Rows that vanished from the index, as after a cut write-ahead log, are found by counting, and made again."""
    for damage in (
        "DELETE FROM request_rows WHERE request_no = 1",
        "DELETE FROM load_sums WHERE layer = 1",
        "UPDATE active_sums SET tokens = tokens + 1",
        "DELETE FROM batch_rows",
        "DELETE FROM manifest_positions",
        "DROP TABLE request_sums",
        "UPDATE index_meta SET value = '0' WHERE key = 'index_version'",
    ):
        Index.open(store_dir).close()
        with duckdb.connect(str(store_dir / "index.duckdb")) as connection:
            connection.execute(damage)
        with Index.open(store_dir) as index, Index.open_private(store_dir) as fresh:
            assert contents(index) == contents(fresh), damage


def test_a_damaged_index_is_made_again(store_dir: Path) -> None:
    """Bits flipped anywhere in index.duckdb, or a file that is no database: every answer is right or an error, never
    a wrong number; opening it never fails."""
    with Index.open(store_dir) as index:
        expected = contents(index)
    path = store_dir / "index.duckdb"
    sound = path.read_bytes()
    rng = random.Random(2)
    damaged = [b"", b"no database", sound[: len(sound) // 2]]
    for _ in range(15):
        data = bytearray(sound)
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        damaged.append(bytes(data))
    for data in damaged:
        path.write_bytes(data)
        with Index.open(store_dir) as index:
            assert contents(index) == expected


def test_a_cut_write_ahead_log_loses_nothing(store_dir: Path) -> None:
    """Kill the owner before its checkpoint and cut the log: DuckDB drops the tail silently, the index does not."""
    code = (
        "import sys, os\nfrom moe_core.log.index import Index\nfrom tests.unit.log.build import fill_store\n"
        "from pathlib import Path\nindex = Index.open(sys.argv[1])\nfor i in range(3):\n"
        "    fill_store(Path(sys.argv[1]), f'run-{i}')\n    index.refresh()\nos.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(store_dir)], cwd=ROOT, check=False)
    database, log = store_dir / "index.duckdb", store_dir / "index.duckdb.wal"
    sound, data = database.read_bytes(), log.read_bytes()
    assert data
    for kept in (len(data) - 1, len(data) // 2, 10):
        database.write_bytes(sound)
        log.write_bytes(data[:kept])
        with Index.open(store_dir) as index, Index.open_private(store_dir) as fresh:
            assert contents(index) == contents(fresh)


def test_queries_go_on_while_the_index_is_made_again(store_dir: Path) -> None:
    """Threads that ask during rebuilds get full answers from the old or the new one."""
    failures: list[BaseException] = []
    stop = threading.Event()

    def ask(index: Index) -> None:
        try:
            while not stop.is_set():
                assert queries.store_totals(index)["decisions"][0] == 24
                assert len(queries.request_trace(index, "run-a/1")) == 8
        except BaseException as error:
            failures.append(error)

    with Index.open(store_dir) as index:
        threads = [threading.Thread(target=ask, args=(index,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(4):
            index.rebuild()
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []


def test_a_rebuilt_index_is_a_fresh_file(store_dir: Path) -> None:
    """DuckDB keeps deleted bytes; after a rebuild nothing of what the index held before is in the file."""
    with Index.open(store_dir) as index:
        cursor = index.cursor()
        cursor.execute("CREATE TABLE secret AS SELECT 'MARKER-4711' AS x").fetchall()
        cursor.execute("CHECKPOINT").fetchall()
        assert b"MARKER-4711" in (store_dir / "index.duckdb").read_bytes()
        index.rebuild()
        assert index.frame("SELECT count(*) AS n FROM decisions")["n"][0] == 24
    assert not any(b"MARKER-4711" in path.read_bytes() for path in store_dir.glob("index.*"))
    assert not list(store_dir.glob("index.duckdb.new*"))


def test_cursors_of_several_threads(store_dir: Path) -> None:
    """Each thread takes its own; all of them see the same data."""
    with Index.open(store_dir) as index:
        found: list[object] = []

        def ask() -> None:
            found.append(index.cursor().execute("SELECT count(*) FROM decisions").fetchall())

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [[(24,)]] * 8


def test_whoever_opens_the_file_later_finds_the_relations(store_dir: Path) -> None:
    """After close, the DuckDB shell sees the four relations in index.duckdb; the next owner brings them up to date."""
    Index.open(store_dir).close()
    for n_decisions in (24, 32):
        with duckdb.connect(str(store_dir / "index.duckdb"), read_only=True) as connection:
            for relation in ("runs", "requests", "tokens", "decisions"):
                assert connection.execute(f"SELECT count(*) > 0 FROM {relation}").fetchall() == [(True,)]
            assert connection.execute("SELECT count(*) FROM decisions").fetchall() == [(n_decisions,)]
        if n_decisions == 24:
            record(store_dir, "run-b")
            with Index.open(store_dir) as index:
                assert index.frame("SELECT count(*) AS n FROM decisions")["n"][0] == 32


def test_a_bad_statement_is_one_sentence(store_dir: Path) -> None:
    """No DuckDB exception leaves the log layer, and a mistake in SQL is no reason to make the index again."""
    with Index.open(store_dir) as index:
        version = index.version
        with pytest.raises(LogError, match="cannot answer"):
            index.frame("SELECT nope FROM decisions")
        assert index.version == version


def test_an_empty_store_has_empty_relations(tmp_path: Path) -> None:
    """A run without requests: every relation and query answers, with no rows or zeros."""
    fill_store(tmp_path, n_batches=0)
    with Index.open(tmp_path) as index:
        for relation in ("requests", "tokens", "decisions", "rollup_load", "rollup_active", "rollup_requests"):
            assert index.frame(f"FROM {relation}").empty
        assert queries.expert_load(index, "run-a")["n"].tolist() == [0] * 6
        assert queries.list_runs(index)["n_requests"].tolist() == [0]
        assert isinstance(queries.latency_by(index), pd.DataFrame)


PUBLIC = {
    "runs": "run_id, started_at, source, model, model_sha256, n_layers, n_experts, mode, budget, config, software, "
    "quality_card",
    "requests": "run_id, request_id, started_at, latency_ms, n_tokens, domain, attributes, text, text_hash, label, "
    "score, reference_label, active_fraction, flops, flops_dense, budget, mode, actor",
    "tokens": "run_id, request_id, position, token_id, is_special",
    "decisions": "run_id, request_id, position, token_id, layer, expert_id, rank, selected, logit, prob, gate_weight, "
    "margin, flags",
}


@pytest.mark.parametrize("relation", PUBLIC)
@pytest.mark.parametrize("n_batches", [0, 2])
def test_the_public_columns(tmp_path: Path, relation: str, n_batches: int) -> None:
    """Name and order are a contract with scripts of other people; types too, in index and console, empty or not."""
    fill_store(tmp_path, n_batches=n_batches)
    with Index.open(tmp_path) as index:
        described = index.frame(f"DESCRIBE {relation}")
        assert described["column_name"].tolist() == PUBLIC[relation].split(", ")
    found = run_select(tmp_path, f"SELECT column_name, column_type FROM (DESCRIBE {relation})").rows
    assert found == described[["column_name", "column_type"]].values.tolist()
