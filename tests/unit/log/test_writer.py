"""The sink that stores."""

import os
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest

from moe_core.errors import LogError
from moe_core.log.catalog import read_catalog
from moe_core.log.index import Index
from moe_core.log.store import open_store
from moe_core.log.verify import verify_store
from moe_core.log.writer import SegmentSink
from moe_core.records import RoutingSink
from tests.unit.log.build import T0, fill_store, make_batch, make_request, make_run, plain_batch


def wait_for(condition, seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return bool(condition())


def n_decisions(path: Path) -> int:
    return sum(batch.files["decisions"].rows for batch in read_catalog(open_store(path)).batches.values())


def test_what_is_flushed_is_in_the_store(tmp_path: Path) -> None:
    """2 requests of 2 and 1 tokens, 2 layers, 2 rows each: 12 decisions in one batch of three files."""
    sink: RoutingSink = SegmentSink(tmp_path, flush_seconds=60)
    sink.begin_run(make_run())
    sink.append([make_request("a", 2), make_request("b", 1)], plain_batch([2, 1]))
    assert n_decisions(tmp_path) == 0
    sink.flush()
    (batch,) = read_catalog(open_store(tmp_path)).batches.values()
    assert {role: file.rows for role, file in batch.files.items()} == {"requests": 2, "tokens": 3, "decisions": 12}
    sink.close()
    assert verify_store(tmp_path).ok


def test_the_writing_thread_needs_no_flush(tmp_path: Path) -> None:
    """After flush_seconds, or when flush_decisions are waiting, data become durable by themselves."""
    with SegmentSink(tmp_path / "time", flush_seconds=0.05) as sink:
        sink.begin_run(make_run())
        sink.append([make_request("a", 2)], plain_batch([2]))
        assert wait_for(lambda: n_decisions(tmp_path / "time") == 8)
    with SegmentSink(tmp_path / "size", flush_seconds=3600, flush_decisions=8) as sink:
        sink.begin_run(make_run())
        sink.append([make_request("a", 2)], plain_batch([2]))
        assert wait_for(lambda: n_decisions(tmp_path / "size") == 8)


def test_nothing_is_written_when_nothing_waits(tmp_path: Path) -> None:
    """A flush without data makes no batch, and an empty append no request."""
    with SegmentSink(tmp_path) as sink:
        sink.begin_run(make_run())
        sink.append([], make_batch([]))
        sink.flush()
    assert read_catalog(open_store(tmp_path)).batches == {}


def test_a_request_without_decisions_is_stored(tmp_path: Path) -> None:
    """Dense runs route nothing, and their requests count all the same."""
    with SegmentSink(tmp_path) as sink:
        sink.begin_run(make_run(mode="dense", budget=None))
        sink.append([make_request("a", 3, mode="dense", budget=None)], make_batch([]))
    with Index.open_private(tmp_path) as index:
        assert index.frame("SELECT request_id, budget FROM requests").values.tolist()[0][0] == "a"
        assert index.frame("SELECT count(*) AS n FROM tokens")["n"][0] == 3
        assert index.frame("SELECT count(*) AS n FROM decisions")["n"][0] == 0
    assert verify_store(tmp_path).ok


def test_the_arrays_may_be_used_again(tmp_path: Path) -> None:
    """append copies: a recorder that reuses its buffers does not change what was handed over."""
    batch, request = plain_batch([1]), make_request("a", 1)
    with SegmentSink(tmp_path, flush_seconds=60) as sink:
        sink.begin_run(make_run())
        sink.append([request], batch)
        batch.logit_N[:] = 99.0
        request.token_ids_T[:] = -1
    with Index.open_private(tmp_path) as index:
        assert index.frame("SELECT max(logit) AS x FROM decisions")["x"][0] == 1.5
        assert index.frame("SELECT token_id FROM tokens")["token_id"][0] == 100


def test_a_run_ends_with_its_totals(tmp_path: Path) -> None:
    """begin_run of another run, and close, write a run_end line."""
    with SegmentSink(tmp_path) as sink:
        for run_id in ("one", "two"):
            sink.begin_run(make_run(run_id))
            sink.append([make_request(run_id, 2)], plain_batch([2]))
    catalog = read_catalog(open_store(tmp_path))
    assert {run_id: dict(end.fields) for run_id, end in catalog.run_ends.items()} == {
        run_id: {"run_id": run_id, "batches": 1, "requests": 1, "tokens": 2, "decisions": 8}
        for run_id in ("one", "two")
    }


def test_beginning_the_same_run_again_changes_nothing(tmp_path: Path) -> None:
    """The same record is no new run; another record under its id is refused."""
    with SegmentSink(tmp_path) as sink:
        sink.begin_run(make_run())
        sink.begin_run(make_run())
        with pytest.raises(LogError, match="has begun with other settings"):
            sink.begin_run(make_run(budget=0.5))
    assert len(read_catalog(open_store(tmp_path)).runs) == 1


def test_a_run_id_is_taken_once(store_dir: Path) -> None:
    """A second writer, in this process or another, cannot mix its requests into a run of somebody else."""
    with SegmentSink(store_dir) as sink, pytest.raises(LogError, match="has a run 'run-a' already"):
        sink.begin_run(make_run("run-a"))
    with SegmentSink(store_dir) as first, SegmentSink(store_dir) as second:
        first.begin_run(make_run("live"))
        with pytest.raises(LogError, match="choose another run id"):
            second.begin_run(make_run("live"))
    assert verify_store(store_dir).ok


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"started_at": datetime(2026, 1, 1)}, "without a time zone"),
        ({"n_experts": 0}, "give at least 1"),
        ({"run_id": "a\tb"}, "cannot be used"),
        ({"config": {"x": float("nan")}}, "cannot be written as JSON"),
    ],
)
def test_a_run_that_cannot_be_stored_is_refused(tmp_path: Path, changes: dict, message: str) -> None:
    """The sentence says which run and what to mend; the store stays empty and sound."""
    with SegmentSink(tmp_path) as sink, pytest.raises(LogError, match=message):
        sink.begin_run(make_run(**changes))
    assert verify_store(tmp_path).ok
    assert read_catalog(open_store(tmp_path)).runs == {}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"request_id": ""}, "no request_id"),
        ({"started_at": datetime(2026, 1, 1)}, "without a time zone"),
        ({"n_tokens": 5}, "n_tokens 5, but 2 token ids"),
        ({"text": "\ud800"}, "text is not valid Unicode"),
        ({"label": "\ud800"}, "label is not valid Unicode"),
        ({"attributes": {"age": 7}}, "not a text"),
        ({"attributes": {"age": None}}, "not a text"),
        ({"domain": 3}, "not a text"),
    ],
)
def test_a_request_that_cannot_be_stored_is_refused(tmp_path: Path, changes: dict, message: str) -> None:
    """append raises at once, takes nothing, and later requests are stored."""
    with SegmentSink(tmp_path, flush_seconds=60) as sink:
        sink.begin_run(make_run())
        with pytest.raises(LogError, match=message):
            sink.append([make_request("good", 2), replace(make_request("bad", 2), **changes)], plain_batch([2, 2]))
        sink.append([make_request("good", 2)], plain_batch([2]))
    assert n_decisions(tmp_path) == 8


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("request_index_N", 1, "request_index 1, but there are 1 requests"),
        ("layer_N", 2, "layer 2, but there are 2 layers"),
        ("expert_id_N", 3, "expert_id 3, but there are 3 experts"),
        ("position_N", 2, "position 2, but request 'a' has 2 tokens"),
        ("prob_N", 1.5, "check the recorder"),
    ],
)
def test_a_decision_about_nothing_is_refused(tmp_path: Path, column: str, value: float, message: str) -> None:
    """An unknown expert, layer, position or request is an error where it happens, not in a chart months later."""
    batch = plain_batch([2])
    getattr(batch, column)[-1] = value
    with SegmentSink(tmp_path, flush_seconds=60) as sink:
        sink.begin_run(make_run())
        with pytest.raises(LogError, match=message):
            sink.append([make_request("a", 2)], batch)
    assert n_decisions(tmp_path) == 0


def test_a_request_id_is_used_once_in_a_run(tmp_path: Path) -> None:
    """Twice in one append, or in two: refused."""
    with SegmentSink(tmp_path, flush_seconds=60) as sink:
        sink.begin_run(make_run())
        with pytest.raises(LogError, match="'a' was given before"):
            sink.append([make_request("a"), make_request("a")], plain_batch([1, 1]))
        sink.append([make_request("a")], plain_batch([1]))
        with pytest.raises(LogError, match="'a' was given before"):
            sink.append([make_request("a")], plain_batch([1]))


def test_nothing_can_be_appended_outside_a_run(tmp_path: Path) -> None:
    """Before begin_run and after close there is nothing that decisions could belong to."""
    sink = SegmentSink(tmp_path)
    with pytest.raises(LogError, match="before begin_run"):
        sink.append([make_request("a")], plain_batch([1]))
    sink.close()
    sink.close()
    for use in (sink.flush, lambda: sink.append([], make_batch([])), lambda: sink.begin_run(make_run())):
        with pytest.raises(LogError, match="is closed"):
            use()


def test_unknown_numbers_are_null(tmp_path: Path) -> None:
    """NaN in a score or latency is "not known", never a number."""
    nan = float("nan")
    with SegmentSink(tmp_path) as sink:
        sink.begin_run(make_run())
        sink.append([make_request("a", score=nan, latency_ms=nan)], plain_batch([1]))
    with Index.open_private(tmp_path) as index:
        found = index.frame("SELECT score IS NULL AND latency_ms IS NULL AS is_null FROM requests")
        assert found["is_null"].tolist() == [True]


def test_requests_of_different_days_are_kept_apart(tmp_path: Path) -> None:
    """Retention drops whole days: each request lies in the folder of the UTC day on which it started."""
    late = datetime(2026, 3, 1, 23, 30, tzinfo=timezone(timedelta(hours=-5)))  # 04:30 UTC on 2 March
    with SegmentSink(tmp_path, flush_seconds=60) as sink:
        sink.begin_run(make_run())
        requests = [make_request("a", 1), make_request("b", 2, started_at=late), make_request("c", 1)]
        sink.append(requests, plain_batch([1, 2, 1]))
    folders = {path.parent.name: path for path in (tmp_path / "segments").rglob("*.parquet")}
    assert set(folders) == {"day=2026-03-01", "day=2026-03-02"}
    with Index.open_private(tmp_path) as index:
        counted = index.frame("SELECT request_id, count(*) AS n FROM decisions GROUP BY ALL ORDER BY ALL")
        assert counted.values.tolist() == [["a", 4], ["b", 8], ["c", 4]]
        assert index.frame("SELECT started_at FROM requests WHERE request_id = 'b'").iloc[0, 0] == datetime(
            2026, 3, 2, 4, 30
        )
    assert verify_store(tmp_path).ok


def test_segments_hold_nothing_personal(tmp_path: Path) -> None:
    """Neither texts nor attributes nor token ids are in any file below segments/."""
    secret = "Kowalska 4711"
    with SegmentSink(tmp_path) as sink:
        sink.begin_run(make_run())
        tokens = np.array([0x41424344], np.int32)
        request = make_request(secret, 1, text=secret, attributes={"name": secret}, token_ids_T=tokens)
        sink.append([request], plain_batch([1]))
    import pyarrow.parquet as pq

    for path in (tmp_path / "segments").rglob("*.parquet"):
        assert not {"text", "attributes", "token_id", "request_id"} & set(pq.read_schema(path).names)
        assert secret.encode() not in path.read_bytes()


def test_many_threads_may_append(tmp_path: Path) -> None:
    """8 threads with 20 requests each: 160 requests, each with its own 8 decisions."""
    with SegmentSink(tmp_path, flush_seconds=0.02, flush_decisions=100) as sink:
        sink.begin_run(make_run())

        def record(thread: int) -> None:
            for i in range(20):
                sink.append([make_request(f"{thread}-{i}", 2)], plain_batch([2]))

        threads = [threading.Thread(target=record, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    with Index.open_private(tmp_path) as index:
        counted = index.frame("SELECT request_id, count(*) AS n FROM decisions GROUP BY ALL")
        assert len(counted) == 160
        assert set(counted["n"]) == {8}
    assert verify_store(tmp_path).ok


def test_a_sink_stays_in_its_process(tmp_path: Path) -> None:
    """After a fork the child cannot write into its parent's manifest, and its exit does not end the run."""
    with SegmentSink(tmp_path, flush_seconds=60) as sink:
        sink.begin_run(make_run())
        sink.append([make_request("a", 2)], plain_batch([2]))
        read_end, write_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                sink.append([make_request("b", 2)], plain_batch([2]))
                answer = b"accepted"
            except LogError as error:
                answer = str(error).encode()
            os.write(write_end, answer)
            sink.close()
            os._exit(0)
        os.waitpid(pid, 0)
        os.close(write_end)
        assert b"belongs to another process" in os.read(read_end, 1000)
        os.close(read_end)
    assert n_decisions(tmp_path) == 8
    assert verify_store(tmp_path).ok


def test_a_new_writer_sweeps_half_written_files_of_dead_ones(store_dir: Path) -> None:
    """Temporary files go; whole files that no manifest lists stay, they may be all that is left of something."""
    whole = next((store_dir / "segments").rglob("*.parquet"))
    half = whole.with_name(whole.name + ".0badcafe.tmp")
    half.write_bytes(b"PAR1")
    orphan = whole.with_name(whole.stem[:-6] + "000099.parquet")
    orphan.write_bytes(whole.read_bytes())
    fill_store(store_dir, "run-b")
    assert wait_for(lambda: not half.exists())
    assert orphan.exists()


def test_the_settings_are_checked(tmp_path: Path) -> None:
    """0 decisions or seconds would never end."""
    with pytest.raises(LogError, match="greater than 0"):
        SegmentSink(tmp_path, flush_decisions=0)
    with pytest.raises(LogError, match="greater than 0"):
        SegmentSink(tmp_path, flush_seconds=float("nan"))


def test_times_keep_their_microseconds(tmp_path: Path) -> None:
    """started_at comes back exactly, in UTC."""
    moment = T0.replace(microsecond=123456).astimezone(timezone(timedelta(hours=9)))
    with SegmentSink(tmp_path) as sink:
        sink.begin_run(make_run(started_at=moment))
        sink.append([make_request("a", started_at=moment)], plain_batch([1]))
    with Index.open_private(tmp_path) as index:
        for relation in ("runs", "requests"):
            found = index.frame(f"SELECT started_at FROM {relation}").iloc[0, 0]
            assert found.to_pydatetime() == moment.astimezone(UTC).replace(tzinfo=None)
