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

from moe_core.errors import IndexLockedError, LogError
from moe_core.log import indexer as indexer_module
from moe_core.log import queries
from moe_core.log.console import run_select
from moe_core.log.index import Index
from moe_core.log.writer import SegmentSink
from tests.unit.log.build import fill_store, make_request, make_run, plain_batch
from tests.unit.log.relations import ROOT, contents


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
        for relation in ("requests", "tokens", "decisions", "rollup_load", "rollup_active", "rollup_pairs"):
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
