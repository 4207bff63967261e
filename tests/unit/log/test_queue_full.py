"""A full queue: inference waits, or the run is marked as incomplete. Nothing is lost in silence, whatever crashes."""

import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from moe_core.errors import LogError
from moe_core.log import batch_writer, queries, writer
from moe_core.log.catalog import read_catalog
from moe_core.log.doctor import diagnose
from moe_core.log.entries import BatchEntry
from moe_core.log.export import export_run
from moe_core.log.index import Index
from moe_core.log.manifest import Entry, read_all
from moe_core.log.segments import read_parquet
from moe_core.log.store import open_store
from moe_core.log.unrecorded import Unrecorded
from moe_core.log.verify import verify_store
from moe_core.log.writer import SegmentSink
from tests.unit.log.build import make_batch, make_request, make_run, plain_batch
from tests.unit.log.relations import ROOT, contents
from tests.unit.log.test_disk_full import FullDisk

FITS = 9  # requests of 8 decisions: one that is being written, and 8 flushes of one each that wait


class HeldDisk:
    """Holds back whoever writes a batch, until `release`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.held, self._released = threading.Event(), threading.Event()
        write = batch_writer.write_batch_files

        def slow(*arguments):  # type: ignore[no-untyped-def]
            self.held.set()
            assert self._released.wait(60)
            return write(*arguments)

        monkeypatch.setattr(batch_writer, "write_batch_files", slow)

    def release(self) -> None:
        self._released.set()


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[HeldDisk]:
    disk = HeldDisk(monkeypatch)
    yield disk
    disk.release()


def append(sink: SegmentSink, number: int) -> None:
    sink.append([make_request(f"r{number:05d}", 2)], plain_batch([2]))


def fill(sink: SegmentSink, disk: HeldDisk) -> None:
    """Until not one request more fits."""
    append(sink, 0)
    assert disk.held.wait(60)
    for number in range(1, FITS):
        append(sink, number)


def lines(path: Path) -> list[Entry]:
    return [entry for _, reading in read_all(open_store(path)) for entry in reading.entries]


def recorded(path: Path) -> list[str]:
    store = open_store(path)
    return sorted(
        request_id
        for batch in read_catalog(store).batches.values()
        for request_id in read_parquet(store.path / batch.files["requests"].path)["request_id"].to_pylist()
    )


def test_inference_waits_for_a_slow_disk(tmp_path: Path, disk: HeldDisk) -> None:
    """The tenth append returns only when the disk goes on; everything is stored and the run is complete."""
    with SegmentSink(tmp_path, flush_decisions=8, flush_seconds=0.05) as sink:
        sink.begin_run(make_run())
        fill(sink, disk)
        taken = threading.Event()
        waiting = threading.Thread(target=lambda: (append(sink, FITS), taken.set()))
        waiting.start()
        assert not taken.wait(0.2)
        disk.release()
        assert taken.wait(60)
        waiting.join()
    assert recorded(tmp_path) == [f"r{number:05d}" for number in range(FITS + 1)]
    report = verify_store(tmp_path)
    assert (report.ok, report.decisions, report.incomplete) == (True, 80, {})


def test_a_run_that_does_not_wait_is_marked_as_incomplete(tmp_path: Path, disk: HeldDisk) -> None:
    """Two requests find the queue full: 2 requests, 4 tokens, 16 decisions are counted and not in the log. What comes
    when there is room again is recorded; verify, doctor, the export and the list of runs tell the difference."""
    with SegmentSink(tmp_path / "s", flush_decisions=8, flush_seconds=0.05, when_full="incomplete") as sink:
        sink.begin_run(make_run())
        fill(sink, disk)
        append(sink, FITS)
        sink.append([], make_batch([]))
        append(sink, FITS + 1)
        assert sink.unrecorded == Unrecorded(requests=2, tokens=4, decisions=16)
        disk.release()
        sink.flush()
        append(sink, FITS + 2)
    lacking = {"run-a": Unrecorded(requests=2, tokens=4, decisions=16)}
    report = verify_store(tmp_path / "s")
    assert (report.ok, report.decisions, report.incomplete) == (True, 80, lacking)
    assert recorded(tmp_path / "s") == [f"r{number:05d}" for number in (*range(FITS), FITS + 2)]
    kinds = [entry.kind for entry in lines(tmp_path / "s")]
    assert (kinds.count("unrecorded"), kinds[-2:]) == (1, ["batch", "run_end"])
    found = diagnose(tmp_path / "s")
    assert found.healthy
    assert found.facts["runs"][0]["unrecorded"] == {"requests": 2, "tokens": 4, "decisions": 16}
    assert any("'run-a' is incomplete: 2 requests with 16 decisions" in finding.what for finding in found.findings)
    assert "is incomplete" in (export_run(tmp_path / "s", "run-a", tmp_path / "out").out / "README.txt").read_text()


def test_the_index_counts_what_is_recorded(tmp_path: Path, disk: HeldDisk) -> None:
    """Rollups hold the recorded requests only, agree with the manifests on every open, and the list of runs says what
    is lacking; an index that followed line by line equals one made from nothing."""
    with SegmentSink(tmp_path, flush_decisions=8, flush_seconds=0.05, when_full="incomplete") as sink:
        sink.begin_run(make_run())
        fill(sink, disk)
        append(sink, FITS)
        disk.release()
        sink.flush()
        Index.open(tmp_path).close()
        append(sink, FITS + 1)
    with Index.open(tmp_path) as index:
        (run,) = queries.list_runs(index).to_dict("records")
        assert (run["n_requests"], run["n_decisions"]) == (FITS + 1, 80)
        assert (run["unrecorded_requests"], run["unrecorded_decisions"]) == (1, 8)
        assert queries.expert_load(index)[["n", "n_runner_up"]].to_numpy().sum() == 80
        assert queries.store_totals(index)["requests"][0] == FITS + 1
        version = index.version
        with Index.open_private(tmp_path) as fresh:
            assert contents(index) == contents(fresh)
        assert not index.refresh()
        assert index.version == version


def test_a_full_disk_stops_no_inference_that_must_not_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """append takes over until the queue is full, and counts from then on; flush says why. With room again, what was
    taken over is stored and what was not is marked."""
    disk = FullDisk(monkeypatch)
    with SegmentSink(tmp_path, flush_decisions=8, flush_seconds=3600, when_full="incomplete") as sink:
        sink.begin_run(make_run())
        disk.left = 0
        for number in range(30):
            append(sink, number)
        with pytest.raises(LogError, match="No space left on device"):
            sink.flush()
        taken = 30 - sink.unrecorded.requests
        assert 8 <= taken < 30
        disk.left = float("inf")
    report = verify_store(tmp_path)
    assert (report.ok, report.decisions) == (True, 8 * taken)
    assert report.incomplete == {"run-a": sink.unrecorded}


@pytest.mark.parametrize("n_calls", range(4))
def test_a_mark_that_cannot_be_written_is_written_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_calls: int
) -> None:
    """The disk is full at any call around the mark: it counts each request once, and stands before what came later."""
    disk = FullDisk(monkeypatch)
    with SegmentSink(tmp_path, flush_decisions=1000, flush_seconds=3600, when_full="incomplete") as sink:
        sink.begin_run(make_run())
        with monkeypatch.context() as patch:
            patch.setattr(writer, "BUFFER_LIMIT", 0)
            append(sink, 0)
        append(sink, 1)
        disk.left = n_calls
        with pytest.raises(LogError, match="No space left on device"):
            sink.flush()
        disk.left = float("inf")
    assert [entry.kind for entry in lines(tmp_path)] == ["run", "unrecorded", "batch", "run_end"]
    assert verify_store(tmp_path).incomplete == {"run-a": Unrecorded(requests=1, tokens=2, decisions=8)}
    assert recorded(tmp_path) == ["r00001"]


def test_a_dense_run_fills_the_queue_with_its_tokens(tmp_path: Path, disk: HeldDisk) -> None:
    """It decides nothing, but its texts take memory all the same."""
    with SegmentSink(tmp_path, flush_decisions=2, flush_seconds=0.05, when_full="incomplete") as sink:
        sink.begin_run(make_run(mode="dense", budget=None))
        dense = [make_request(f"r{number}", 2, mode="dense", budget=None) for number in range(FITS + 1)]
        sink.append(dense[:1], make_batch([]))
        assert disk.held.wait(60)
        for request in dense[1:]:
            sink.append([request], make_batch([]))
        assert sink.unrecorded == Unrecorded(requests=1, tokens=2)
        disk.release()


HURRIED = """
import sys, time
from moe_core.log import batch_writer, writer
from tests.unit.log.build import make_request, make_run, plain_batch

write = batch_writer.write_batch_files
def slow(*arguments):
    time.sleep(0.01)
    return write(*arguments)
batch_writer.write_batch_files = slow

sink = writer.SegmentSink(sys.argv[1], flush_decisions=8, flush_seconds=0.02, when_full="incomplete")
sink.begin_run(make_run(sys.argv[2]))
told = False
for number in range(10**9):
    if sink._batches._next_batch == 3 and not told:
        told = not print("third batch", flush=True)
    sink.append([make_request(f"{sys.argv[2]}/{number:09d}", 2)], plain_batch([2]))
    time.sleep(0.0005)
"""


def test_a_killed_run_never_looks_complete(tmp_path: Path) -> None:
    """6 kills of a writer that cannot keep up: no such run has an end, and at any point of a manifest the marks count
    at least the requests that are missing before the last recorded one."""
    rng = random.Random(7)
    for number in range(6):
        child = subprocess.Popen(
            [sys.executable, "-c", HURRIED, str(tmp_path), f"run-{number}"], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        assert child.stdout.readline() == "third batch\n"
        time.sleep(rng.random() * 0.3)
        child.send_signal(signal.SIGKILL)
        child.communicate()
    store = open_store(tmp_path)
    assert verify_store(tmp_path).ok
    catalog = read_catalog(store)
    assert catalog.run_ends == {}
    assert [run["state"] for run in diagnose(tmp_path).facts["runs"]] == ["cut off"] * 6
    n_holes = 0
    for _, reading in read_all(store):
        marked, seen, last = Unrecorded(), 0, -1
        for entry in reading.entries:
            if entry.kind == "unrecorded":
                marked += Unrecorded.from_fields(entry.fields)
            elif entry.kind == "batch":
                file = BatchEntry.from_fields(entry.fields).files["requests"]
                numbers = [
                    int(name.split("/")[1]) for name in read_parquet(store.path / file.path)["request_id"].to_pylist()
                ]
                seen, last = seen + len(numbers), max(last, *numbers)
                assert last + 1 - seen <= marked.requests
        n_holes += last + 1 - seen
    assert n_holes > 0


def test_the_way_is_one_of_two(tmp_path: Path) -> None:
    """An unknown word is refused before the store is made."""
    with pytest.raises(LogError, match="when_full is 'drop'; give one of wait, incomplete"):
        SegmentSink(tmp_path / "s", when_full="drop")  # type: ignore[arg-type]
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("fields", [{"requests": 0}, {"requests": -1}, {"decisions": "x"}])
def test_a_mark_that_counts_nothing_is_an_error(tmp_path: Path, fields: dict[str, object]) -> None:
    """A line that cannot be what a writer wrote is named by catalog and index."""
    with SegmentSink(tmp_path) as sink:
        sink.begin_run(make_run())
        assert sink._batches._manifest is not None
        sink._batches._manifest.append("unrecorded", {"run_id": "run-a", **asdict(Unrecorded(requests=1)), **fields})
    assert any("cannot be understood" in error for error in verify_store(tmp_path).errors)
    with Index.open_private(tmp_path) as index:
        assert len(queries.problems(index)) == 1
        assert queries.list_runs(index)["unrecorded_requests"].tolist() == [0]
