"""Damage under the index: it is named, left out, and mended where the segments allow it."""

import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import duckdb
import pytest

from moe_core.errors import RequestNotFoundError, SegmentError
from moe_core.log import queries
from moe_core.log.index import Index
from tests.unit.log.relations import ROOT, contents


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
        "UPDATE pair_sums SET n = n + 1",
        "UPDATE document_expert_sums SET c = c + 1",
        "UPDATE document_layer_sums SET n = n + 1",
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
