"""An import is killed for real, or the disk fills up: the store shows the run whole, or not ended, or not at all."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from moe_core.errors import LogError
from moe_core.log import queries
from moe_core.log.catalog import read_catalog
from moe_core.log.imports.parquet import import_parquet
from moe_core.log.imports.store import sweep_unlisted
from moe_core.log.index import Index
from moe_core.log.manifest import ManifestWriter
from moe_core.log.store import open_store
from moe_core.log.verify import verify_store
from tests.unit.log.build import fill_store
from tests.unit.log.imports.build import RUN, bytes_of, decision_table, request_table, write_folder

ROOT = Path(__file__).resolve().parents[4]

# Imports into one store per line of stdin, in a child each, which kills itself at its n-th call of os.fsync; 0 stands
# for the moment in which the first rows were checked. Prints how each child ended.
DRIVER = """
import os, signal, sys
from moe_core.log.imports import parquet, spool

def kill():
    os.kill(os.getpid(), signal.SIGKILL)

folder = sys.argv[1]
for line in sys.stdin:
    n, store = line.split()
    child = os.fork()
    if child == 0:
        calls = []
        def counted(descriptor):  # a kill loses nothing that was written, synced or not, so the disk may rest
            calls.append(descriptor)
            if len(calls) == int(n):
                kill()
        os.fsync = counted
        if n == "0":
            spool.Spool.add = lambda *_: kill()
        parquet.import_parquet(folder, store)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def two_batches(folder: Path) -> Path:
    """Requests of two days, so that the run has two batches."""
    requests = request_table() | {"started_at": ["2026-03-01T10:00:00Z", "2026-03-02T10:00:00Z"]}
    return write_folder(folder, requests=requests)


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[int, Path]]]:
    """The folder, and the stores whose imports were killed at the n-th fsync, for every n until one came through."""
    tmp_path = tmp_path_factory.mktemp("killed")
    folder = two_batches(tmp_path / "in")
    fill_store(tmp_path / "before", "there", n_batches=1)
    stores = []
    with subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(folder)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as driver:
        assert driver.stdin is not None
        assert driver.stdout is not None
        for n in range(100):
            store = Path(shutil.copytree(tmp_path / "before", tmp_path / f"store-{n}"))
            driver.stdin.write(f"{n} {store}\n")
            driver.stdin.flush()
            code = int(driver.stdout.readline())
            if code == 0:
                break
            assert code == -9
            assert (bytes_of(store) == bytes_of(tmp_path / "before")) == (n == 0)  # it checks before it writes
            stores.append((n, store))
        driver.stdin.close()
    assert len(stores) > 20
    return folder, stores


def test_a_killed_import_leaves_a_run_that_is_whole_or_not_ended_or_not_there(
    killed: tuple[Path, list[tuple[int, Path]]],
) -> None:
    """verify finds no error, what was there before is there; all three cases occur, and each gets its answer when the
    import is repeated: it goes through and clears away what the killed one left, or it says what is in the way."""
    folder, stores = killed
    seen = set()
    for n, path in stores:
        report = verify_store(path)
        assert report.errors == (), n
        catalog = read_catalog(open_store(path))
        assert "there" in catalog.run_ends
        state = "whole" if "r1" in catalog.run_ends else "not ended" if "r1" in catalog.runs else "not there"
        seen.add(state)
        if state == "not there":
            import_parquet(folder, path)
            again = verify_store(path)
            assert (again.ok, again.decisions) == (True, 8 + 12), n
            assert not any("orphan" in note for note in again.notes), again.notes
        else:
            sentence = {
                "whole": "already, which is whole",
                "not ended": "already, which never ended, so it is not whole",
            }
            with pytest.raises(LogError, match=sentence[state]):
                import_parquet(folder, path)
    assert seen == {"whole", "not ended", "not there"}


def test_a_run_that_was_begun_shows_as_not_ended(killed: tuple[Path, list[tuple[int, Path]]]) -> None:
    """Killed between its two batches, the run has the first one, whole, and no end."""
    for _, path in killed[1]:
        catalog = read_catalog(open_store(path))
        if "r1" in catalog.runs and "r1" not in catalog.run_ends and len(catalog.batches) == 2:
            break
    else:
        pytest.fail("no import was killed between its batches")
    with Index.open_private(path) as index:
        runs = queries.list_runs(index).set_index("run_id")
    assert (runs.loc["r1", "n_requests"], runs.loc["r1", "n_decisions"]) == (1, 8)
    assert runs["ended_at"].isna().to_dict() == {"r1": True, "there": False}


def test_files_of_a_writer_that_lives_are_not_swept(tmp_path: Path) -> None:
    """Only what can never have counted goes: an open writer may still list its files."""
    fill_store(tmp_path / "store", "there", n_batches=1)
    store = open_store(tmp_path / "store")
    alive, dead = ManifestWriter(store), ManifestWriter(store)
    dead.close()
    folder = store.path / "segments" / "run=x" / "day=2026-03-01"
    folder.mkdir(parents=True)
    for writer in (alive, dead):
        (folder / f"{writer.writer_id}-000000.parquet").write_bytes(b"x")
    assert sweep_unlisted(store) == 1
    assert [path.name for path in folder.iterdir()] == [f"{alive.writer_id}-000000.parquet"]
    alive.close()
    assert sweep_unlisted(store) == 1
    assert not folder.parent.exists()
    assert verify_store(store.path).notes == ()


class FullDisk:
    """Lets the n-th and all later calls of os.write and os.fsync fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, left: int) -> None:
        self.left = left
        for name, function in (("write", os.write), ("fsync", lambda _: None)):
            monkeypatch.setattr(os, name, self._failing(function))

    def _failing(self, function):
        def call(descriptor: int, *rest: object) -> object:
            if self.left <= 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self.left -= 1
            return function(descriptor, *rest)

        return call


def test_the_disk_fills_up_at_any_call(tmp_path: Path) -> None:
    """One sentence; the run before is intact; before the run is announced nothing of the import is left, and the same
    import goes in when there is room again; afterwards the sentence says that the run has no end."""
    folder = two_batches(tmp_path / "in")
    fill_store(tmp_path / "before", "there", n_batches=1)
    endings = set()
    for n in range(100):
        path = Path(shutil.copytree(tmp_path / "before", tmp_path / f"store-{n}"))
        with pytest.MonkeyPatch.context() as monkeypatch:
            FullDisk(monkeypatch, n)
            try:
                import_parquet(folder, path)
                break
            except LogError as error:
                sentence = str(error)
        assert "No space left on device" in sentence
        report = verify_store(path)
        assert (report.ok, report.notes) == (True, ()), (n, report)
        if "Run 'r1' was begun and has no end" in sentence:
            endings.add("begun")
            assert "r1" not in read_catalog(open_store(path)).run_ends
        else:
            endings.add("nothing")
            assert report.decisions == 8
            import_parquet(folder, path)
            assert verify_store(path).decisions == 8 + 12
    assert n > 20
    assert endings == {"begun", "nothing"}


def test_no_room_for_the_rows_that_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The temporary folder is full: one sentence that names it; the store is as it was."""
    monkeypatch.setattr("moe_core.log.imports.spool.IN_MEMORY_BYTES", 1)

    class Full:
        def write(self, _: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def close(self) -> None: ...

    monkeypatch.setattr("tempfile.SpooledTemporaryFile", lambda *_, **__: Full())
    with pytest.raises(LogError, match=r"Cannot hold the checked rows in .*No space left on device.*TMPDIR"):
        import_parquet(write_folder(tmp_path / "in"), tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_somebody_takes_the_run_id_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two imports of one run at once: both are checked, one is announced, the other leaves nothing."""
    from moe_core.log.imports import store as import_store

    folder = write_folder(tmp_path / "in")
    import_parquet(write_folder(tmp_path / "other", runs=RUN | {"run_id": "r0"},
                                requests=request_table() | {"run_id": ["r0"] * 2},
                                decisions=decision_table() | {"run_id": ["r0"] * 12}), tmp_path / "store")  # fmt: skip
    claim, first = import_store.claim_run, True

    def claim_late(*arguments: object) -> None:
        nonlocal first
        if first:
            first = False
            import_parquet(write_folder(tmp_path / "rival"), tmp_path / "store")
        claim(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(import_store, "claim_run", claim_late)
    with pytest.raises(LogError, match="has a run 'r1' already"):
        import_parquet(folder, tmp_path / "store")
    report = verify_store(tmp_path / "store")
    assert (report.ok, report.decisions, report.notes) == (True, 24, ())
