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
    """Lets the n-th and all later calls that take room fail, until there is room again. A write fails as on a disk: the
    first half still fits."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left: float = float("inf")
        self._write, self._has_cut = os.write, False
        for name in ("write", "fsync", "rename", "mkdir", "open", "pwrite"):
            monkeypatch.setattr(os, name, self._failing(getattr(os, name)))

    def _failing(self, function):
        def call(first: object, *rest: object, **named: object) -> object:
            if function.__name__ == "open" and not int(rest[0]) & os.O_CREAT:
                return function(first, *rest, **named)
            if self.left <= 0:
                if function.__name__ == "write" and not self._has_cut and len(rest[0]) > 1:
                    self._has_cut = True
                    return self._write(first, memoryview(rest[0])[: len(rest[0]) // 2])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self.left -= 1
            self._has_cut = False
            return function(first, *rest, **named)

        return call


@pytest.mark.parametrize("n_calls", range(17))
def test_the_disk_fills_up_at_any_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_calls: int) -> None:
    """One batch makes 17 calls that need room (3 files of open, write, fsync, rename, fsync of the folder; a line of
    write, fsync). Whichever fails: a LogError, the first batch intact, nothing half-written, and the batch goes in
    later."""
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


def test_one_batch_makes_seventeen_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the test above covers them all."""
    disk = FullDisk(monkeypatch)
    with SegmentSink(tmp_path, flush_seconds=3600) as sink:
        sink.begin_run(make_run())
        for request_id in ("first", "second"):
            sink.append([make_request(request_id, 2)], plain_batch([2]))
            disk.left = 1000
            sink.flush()
        assert disk.left == 1000 - 17 - 1  # and a note in the head, which takes no room


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
                time.sleep(0.001)  # the thread must get a turn
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


@pytest.mark.parametrize("n_calls", range(5))
def test_a_writer_that_finds_no_room_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_calls: int
) -> None:
    """The manifest, its head, the folder of the run, the first line: a sentence, and verify accepts what is left. The
    same sink begins the run when there is room."""
    sink = SegmentSink(tmp_path / "s")
    disk = FullDisk(monkeypatch)
    disk.left = n_calls
    with pytest.raises(LogError, match="No space left on device"):
        sink.begin_run(make_run())
    assert verify_store(tmp_path / "s").ok
    disk.left = float("inf")
    sink.begin_run(make_run())
    sink.append([make_request("a", 2)], plain_batch([2]))
    sink.close()
    report = verify_store(tmp_path / "s")
    assert (report.ok, report.decisions, report.notes) == (True, 8, ())


def test_half_a_head_is_taken_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that takes a part of the head only: the manifest is not begun, and none is left that looks damaged."""
    sink = SegmentSink(tmp_path / "s")
    with monkeypatch.context() as patch:
        whole = os.pwrite
        patch.setattr(os, "pwrite", lambda descriptor, data, offset: whole(descriptor, data[:10], offset))
        with pytest.raises(LogError, match="No space left on device"):
            sink.begin_run(make_run())
    assert list((tmp_path / "s" / "manifest").iterdir()) == []
    sink.begin_run(make_run())
    sink.close()
    assert verify_store(tmp_path / "s").ok


SMALL_DISK = """
import os, subprocess, sys
from pathlib import Path
from moe_core.errors import LogError
from moe_core.log.index import Index
from moe_core.log.verify import verify_store
from moe_core.log.writer import SegmentSink
from tests.unit.log.build import make_request, make_run, plain_batch

folder = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "none", str(folder)], check=True)
ballast, store = folder / "ballast", folder / "store"
sink = SegmentSink(store, flush_seconds=0.05)
sink.begin_run(make_run())

def append(number):
    sink.append([make_request(f"r{number}", 2, text=os.urandom(10_000).hex())], plain_batch([2]))

append(0)
sink.flush()
index = Index.open(store)
ballast.write_bytes(bytes(36_000_000))
number = 1
try:
    while True:
        append(number)
        sink.flush()
        number += 1
except LogError as error:
    print(error)
try:
    index.refresh()
except LogError as error:
    print(error)
print(len(index.frame("FROM requests")), "of", number)
report = verify_store(store)
print(report.ok, report.decisions == 8 * number, report.errors, report.notes)
with Index.open_private(store) as private:
    print(len(private.frame("FROM requests")) == number, len(private.frame("FROM problem_rows")))
ballast.unlink()
sink.flush()
append(number + 1)
sink.close()
index.refresh()
print(len(index.frame("FROM requests")) == number + 2, len(index.frame("FROM problem_rows")))
index.close()
report = verify_store(store)
print(report.ok, report.decisions == 8 * (number + 2), report.errors, report.notes, list(store.rglob("*.tmp")))
"""


def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    """A file system of 40 MB: writer and index each say so in one sentence; everything acknowledged before is
    there and readable; when 36 MB are free again, the batch in memory is stored, writing goes on, the index follows."""
    alone = ["unshare", "--user", "--map-root-user", "--mount"]
    if subprocess.run([*alone, "mount", "-t", "tmpfs", "none", str(tmp_path)], capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a file system of his own")
    done = subprocess.run(
        [*alone, sys.executable, "-c", SMALL_DISK, str(tmp_path)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    full = "No space left on device"
    assert said[0].endswith(f"{full}; everything acknowledged before is intact, free some space there and go on.")
    assert full in said[1]
    assert said[1].endswith("the log is intact, free some space.")
    assert said[2].startswith("1 of ")
    assert said[3:] == ["True True () ()", "True 0", "True 0", "True True () () []"]
