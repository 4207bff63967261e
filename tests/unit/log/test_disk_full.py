"""A full disk: one clear sentence, everything acknowledged stays, writing goes on when there is room again."""

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from moe_core.errors import LogError
from moe_core.log.index import Index
from moe_core.log.verify import verify_store
from moe_core.log.writer import SegmentSink
from tests.unit.log.build import make_request, make_run, plain_batch

ROOT = Path(__file__).resolve().parents[3]


class FullDisk:
    """Lets the n-th and all later calls of os.write and os.fsync fail, until there is room again."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left: float = float("inf")
        for name in ("write", "fsync"):
            monkeypatch.setattr(os, name, self._failing(getattr(os, name)))

    def _failing(self, function):
        def call(descriptor: int, *rest: object) -> object:
            if self.left <= 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self.left -= 1
            return function(descriptor, *rest)

        return call


@pytest.mark.parametrize("n_calls", range(11))
def test_the_disk_fills_up_at_any_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_calls: int) -> None:
    """One batch makes 11 calls that can fail (3 files of write, fsync, fsync of the folder; a line of write, fsync).
    Whichever fails: a LogError, the first batch intact, nothing half-written, and the batch goes in later."""
    disk = FullDisk(monkeypatch)
    with SegmentSink(tmp_path, flush_seconds=3600) as sink:
        sink.begin_run(make_run())
        sink.append([make_request("first", 2)], plain_batch([2]))
        sink.flush()
        sink.append([make_request("second", 2)], plain_batch([2]))
        disk.left = n_calls
        with pytest.raises(LogError, match=r"No space left on device.*intact, free some space"):
            sink.flush()
        with pytest.raises(LogError, match="No space left on device"):
            sink.append([make_request("third", 2)], plain_batch([2]))
        report = verify_store(tmp_path)
        assert (report.ok, report.segments, report.decisions, report.notes) == (True, 1, 8, ())
        disk.left = float("inf")
        sink.flush()
        sink.append([make_request("third", 2)], plain_batch([2]))
    report = verify_store(tmp_path)
    assert (report.ok, report.segments, report.decisions) == (True, 3, 24)
    with Index.open_private(tmp_path) as index:
        assert index.frame("SELECT request_id FROM requests ORDER BY 1")["request_id"].tolist() == [
            "first", "second", "third",
        ]  # fmt: skip


def test_one_batch_makes_eleven_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the test above covers them all."""
    disk = FullDisk(monkeypatch)
    with SegmentSink(tmp_path, flush_seconds=3600) as sink:
        sink.begin_run(make_run())
        for request_id in ("first", "second"):
            sink.append([make_request(request_id, 2)], plain_batch([2]))
            disk.left = 1000
            sink.flush()
        assert disk.left == 1000 - 11


def test_the_thread_writes_by_itself_when_there_is_room_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the disk is full append says so; afterwards what was taken over before is stored without being asked."""
    disk = FullDisk(monkeypatch)
    with SegmentSink(tmp_path, flush_seconds=0.02) as sink:
        sink.begin_run(make_run())
        disk.left = 0
        sink.append([make_request("kept", 2)], plain_batch([2]))
        for i in range(10_000):
            try:
                sink.append([make_request(f"r{i}", 2)], plain_batch([2]))
            except LogError:
                break
        else:
            pytest.fail("append never said that the disk is full")
        disk.left = float("inf")
        for _ in range(10_000):
            try:
                sink.append([make_request("after", 2)], plain_batch([2]))
                break
            except LogError:
                time.sleep(0.01)
    with Index.open_private(tmp_path) as index:
        stored = set(index.frame("SELECT request_id FROM requests")["request_id"])
    assert {"kept", "after"} <= stored
    assert verify_store(tmp_path).ok


def test_a_full_disk_at_the_very_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No store, no run: a sentence each, no traceback of the system."""
    disk = FullDisk(monkeypatch)
    disk.left = 0
    with pytest.raises(LogError, match="No space left on device"):
        SegmentSink(tmp_path / "s")
    disk.left = float("inf")
    sink = SegmentSink(tmp_path / "s")
    disk.left = 0
    with pytest.raises(LogError, match="No space left on device"):
        sink.begin_run(make_run())
    disk.left = float("inf")
    sink.begin_run(make_run())
    sink.close()
    assert verify_store(tmp_path / "s").ok


LIMITED = """
import resource, sys
from moe_core.errors import LogError
from moe_core.log.writer import SegmentSink
from tests.unit.log.build import make_request, make_run, plain_batch

sink = SegmentSink(sys.argv[1], flush_seconds=3600)
sink.begin_run(make_run())
sink.append([make_request("small", 2)], plain_batch([2]))
sink.flush()
resource.setrlimit(resource.RLIMIT_FSIZE, (8192, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
sink.append([make_request("large", 2, text="".join(map(str, range(20000))))], plain_batch([2]))
try:
    sink.flush()
except LogError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
sink.close()
"""


def test_a_real_limit_of_the_system(tmp_path: Path) -> None:
    """RLIMIT_FSIZE makes the kernel cut a write short: the same sentence, and later the same recovery."""
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "File too large; everything acknowledged before is intact, free some space there" in done.stdout
    report = verify_store(tmp_path)
    assert (report.ok, report.decisions, report.notes) == (True, 16, ())
