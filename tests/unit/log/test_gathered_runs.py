"""Runs in parts: other processes write the files, one process lists them."""

import subprocess
import sys
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from moe_core.errors import LogError
from moe_core.log.catalog import read_catalog
from moe_core.log.console import run_select
from moe_core.log.entries import part_batch_id, part_of
from moe_core.log.gathered_runs import GatheredRuns
from moe_core.log.part_sink import PartSink
from moe_core.log.store import open_store
from moe_core.log.verify import verify_store
from moe_core.records import RequestRecord
from tests.unit.log.build import T0, data_files, make_request, make_run, plain_batch

RUN = make_run()
COUNTS = "SELECT count(*), count(DISTINCT request_id), count(token_id) FROM decisions"


def write_part(owner: GatheredRuns, first: int, requests: list[RequestRecord], **options: int) -> PartSink:
    """What a worker does."""
    sink = PartSink(owner.store, RUN, owner.writer_id, first, **options)
    sink.begin_run(RUN)
    for request in requests:
        sink.append([request], plain_batch([request.n_tokens]))
    sink.close()
    return sink


def test_parts_count_when_they_are_listed(tmp_path: Path) -> None:
    """Two parts of 2 and 1 requests of 2 tokens: nothing is seen before it is listed, 8 decisions a request after."""
    with GatheredRuns(tmp_path) as owner:
        owner.begin(RUN)
        one = write_part(owner, 0, [make_request("r0", 2), make_request("r1", 2)])
        two = write_part(owner, 2, [make_request("r2", 2)])
        assert run_select(tmp_path, COUNTS).rows == [[0, 0, 0]]
        for batch in two.batches:
            owner.add(batch)
        assert run_select(tmp_path, COUNTS).rows == [[8, 1, 8]]
        for batch in one.batches:
            owner.add(batch)
    assert run_select(tmp_path, COUNTS).rows == [[24, 3, 24]]
    report = verify_store(tmp_path)
    assert (report.ok, report.segments, report.decisions, report.notes) == (True, 2, 24, ())
    (end,) = read_catalog(open_store(tmp_path)).run_ends.values()
    assert {name: end.fields[name] for name in ("batches", "requests", "tokens", "decisions")} == {
        "batches": 2, "requests": 3, "tokens": 6, "decisions": 24,
    }  # fmt: skip


def test_a_part_of_two_days_or_of_many_decisions_is_several_batches(tmp_path: Path) -> None:
    """Each day has its folder, and a worker does not keep more than asked for in memory."""
    with GatheredRuns(tmp_path) as owner:
        owner.begin(RUN)
        requests = [make_request(f"r{i}", 2, started_at=T0 + timedelta(days=i // 2)) for i in range(4)]
        sink = write_part(owner, 7, requests)
        assert [batch.first_request_no for batch in sink.batches] == [7, 9]
        small = write_part(owner, 20, [make_request(f"s{i}", 2) for i in range(3)], flush_decisions=8)
        assert [batch.first_request_no for batch in small.batches] == [20, 21, 22]
        for batch in (*sink.batches, *small.batches):
            owner.add(batch)
    assert run_select(tmp_path, COUNTS).rows == [[56, 7, 56]]
    assert {path.name for path in (tmp_path / "segments").glob("*/*")} == {"day=2026-03-01", "day=2026-03-02"}
    assert verify_store(tmp_path).ok


def test_a_part_that_was_written_twice_counts_once(tmp_path: Path) -> None:
    """The first attempt was lost after its files were durable; at the end of the run they are gone."""
    with GatheredRuns(tmp_path) as owner:
        owner.begin(RUN)
        lost = write_part(owner, 0, [make_request("r0", 2)])
        again = write_part(owner, 0, [make_request("r0", 2)])
        owner.add(again.batches[0])
    assert run_select(tmp_path, COUNTS).rows == [[8, 1, 8]]
    assert not any((tmp_path / file.path).exists() for file in lost.batches[0].files.values())
    assert verify_store(tmp_path).notes == ()


def test_a_lost_attempt_that_comes_after_the_end_is_a_note_and_a_strange_part_an_error(tmp_path: Path) -> None:
    """A worker that everybody took for dead may still write. But files of a part that nothing lists, in a run that
    ended, say that the manifest was cut."""
    with GatheredRuns(tmp_path) as owner:
        owner.begin(RUN)
        owner.add(write_part(owner, 0, [make_request("r0", 2)]).batches[0])
    write_part(owner, 0, [make_request("r0", 2)])
    report = verify_store(tmp_path)
    assert report.ok
    assert len(report.notes) == 3
    write_part(owner, 5, [make_request("r5", 2)])
    report = verify_store(tmp_path)
    assert len(report.errors) == 3
    assert "no crash leaves it" in report.errors[0]
    assert run_select(tmp_path, COUNTS).rows == [[8, 1, 8]]


OWNER = """
import os, signal, sys
from moe_core.log.gathered_runs import GatheredRuns
from tests.unit.log.build import make_request
from tests.unit.log.test_gathered_runs import RUN, write_part
owner = GatheredRuns(sys.argv[1])
owner.begin(RUN)
owner.add(write_part(owner, 0, [make_request("r0", 2)]).batches[0])
for first in (5, 6, 7):
    write_part(owner, first, [make_request(f"r{first}", 2)])
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_an_owner_that_is_killed_leaves_what_it_listed(tmp_path: Path) -> None:
    """One part was acknowledged, three were not: the store is intact, holds the one, and shows the run as not ended."""
    done = subprocess.run([sys.executable, "-c", OWNER, str(tmp_path)], check=False)
    assert done.returncode == -9
    report = verify_store(tmp_path)
    assert (report.ok, report.segments, report.decisions, len(report.notes)) == (True, 1, 8, 9)
    assert run_select(tmp_path, COUNTS).rows == [[8, 1, 8]]
    assert read_catalog(open_store(tmp_path)).run_ends == {}


def test_an_error_leaves_the_run_without_an_end(tmp_path: Path) -> None:
    """As after a crash, since parts may still be written; the store can be written by others."""
    with suppress(ZeroDivisionError), GatheredRuns(tmp_path) as owner:
        owner.begin(RUN)
        raise ZeroDivisionError
    assert read_catalog(open_store(tmp_path)).run_ends == {}
    with GatheredRuns(tmp_path) as owner:
        owner.begin(make_run("run-b"))
    assert set(read_catalog(open_store(tmp_path)).run_ends) == {"run-b"}


def test_what_is_no_part_of_the_run_is_not_listed(tmp_path: Path) -> None:
    """Another run, another writer, a file that is not in the folder that this process sees, a run that exists."""
    with GatheredRuns(tmp_path / "a") as owner, GatheredRuns(tmp_path / "b") as other:
        owner.begin(RUN)
        owner.begin(RUN)
        before = data_files(tmp_path / "a")
        part = write_part(owner, 0, [make_request("r0", 2)])
        foreign = write_part(other, 0, [make_request("r0", 2)])
        with pytest.raises(LogError, match="no part of a run"):
            other.add(part.batches[0])
        with pytest.raises(LogError, match="no part of a run"):
            owner.add(foreign.batches[0])
        with pytest.raises(LogError, match="part of run 'run-a', not of 'run-b'"):
            PartSink(owner.store, RUN, owner.writer_id, 0).begin_run(make_run("run-b"))
        (tmp_path / "a" / part.batches[0].files["tokens"].path).unlink()
        with pytest.raises(LogError, match=r"is missing\. .* all machines must see the same folder"):
            owner.add(part.batches[0])
        with GatheredRuns(tmp_path / "a") as second, pytest.raises(LogError, match="has a run 'run-a' already"):
            second.begin(RUN)
    assert len([path for path in data_files(tmp_path / "a") if path in before]) == len(before)


def test_a_part_can_be_told_from_other_batches() -> None:
    """The attempts at a part share all but their last eight digits."""
    writer = "20260301T103000-42-0a1b2c3d"
    one, two = part_batch_id(writer, 4_000_000_000, "00000000"), part_batch_id(writer, 4_000_000_000, "ffffffff")
    assert part_of(one) == part_of(two) == f"{writer}-w4000000000"
    assert part_of(part_batch_id(writer, 5, "00000000")) != part_of(one)
    for other in (f"{writer}-000001", f"{writer}-i000001", f"{writer}-r000001", writer):
        assert part_of(other) is None
