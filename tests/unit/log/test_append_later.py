"""Requests that are handed over before they are records: stored as if they had been, whatever comes between."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moe_core.errors import LogError
from moe_core.log import writer
from moe_core.log.catalog import read_catalog
from moe_core.log.segments import read_parquet
from moe_core.log.store import open_store
from moe_core.log.unrecorded import Unrecorded
from moe_core.log.verify import verify_store
from moe_core.log.writer import SegmentSink
from moe_core.records import AnsweredRequests, RequestRecord, RoutingBatch
from tests.unit.log.build import T0, make_batch, make_request, make_run, plain_batch


@dataclass(frozen=True)
class Later:
    """Answered requests whose decisions are those of `plain_batch`."""

    records: Sequence[RequestRecord]
    batch: RoutingBatch | None = None

    @property
    def request_ids(self) -> list[str]:
        return [record.request_id for record in self.records]

    @property
    def n_tokens(self) -> int:
        return sum(record.n_tokens for record in self.records)

    def __len__(self) -> int:
        return 4 * self.n_tokens

    def requests(self) -> Sequence[RequestRecord]:
        return self.records

    def decisions(self, others: Sequence[AnsweredRequests]) -> RoutingBatch:
        parts = [self, *others]
        if any(isinstance(part, Later) and part.batch is not None for part in parts):
            if others:
                raise ValueError("one of these is faulty")
            assert self.batch is not None
            return self.batch
        records = [record for part in parts for record in part.requests()]
        return plain_batch([record.n_tokens for record in records])


def contents(path: Path) -> tuple[list[dict], list[dict], list[dict]]:
    """Requests, tokens and decisions of the store, sorted."""
    store = open_store(path)
    files = [batch.files for batch in read_catalog(store).batches.values()]
    found = []
    for role in ("requests", "tokens", "decisions"):
        rows = [row for each in files for row in read_parquet(store.path / each[role].path).to_pylist()]
        found.append(sorted(rows, key=lambda row: tuple(row[key] for key in row if key in KEYS)))
    for request in found[0]:
        request.pop("text_hash")  # salted by store
    return found[0], found[1], found[2]


KEYS = ("request_no", "position", "layer", "rank")


@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.tuples(st.lists(st.integers(1, 3), max_size=3), st.booleans(), st.sampled_from("-afm")), max_size=8),
    st.integers(1, 30),
)
def test_what_is_handed_over_later_is_stored_as_if_at_once(
    tmp_path_factory: pytest.TempPathFactory, calls: list[tuple[list[int], bool, str]], flush_decisions: int
) -> None:
    """For any calls in any mixture of both ways, with flushes (f), records made ahead (a) and midnights (m) between
    them: the same requests, tokens and decisions with the same numbers as one by one."""
    stored = []
    for later_allowed in (True, False):
        path, number, day = tmp_path_factory.mktemp("s") / "store", 0, 0
        with SegmentSink(path, flush_decisions=flush_decisions, flush_seconds=60) as sink:
            sink.begin_run(make_run())
            for lengths, is_later, between in calls:
                records = [
                    make_request(f"r{number + i:03d}", n, started_at=T0 + timedelta(days=day))
                    for i, n in enumerate(lengths)
                ]
                number += len(records)
                if is_later and later_allowed:
                    sink.append_later(Later(records))
                else:
                    sink.append(records, plain_batch(lengths))
                if between == "f":
                    sink.flush()
                elif between == "a":
                    with sink._writing:
                        sink._make_ahead()
                day += between == "m"
        report = verify_store(path)
        assert (report.ok, report.errors, report.incomplete) == (True, (), {})
        stored.append(contents(path))
    assert stored[0] == stored[1]


def test_records_are_made_in_the_background(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From `AHEAD` decisions on the writer makes records although nothing is due."""
    monkeypatch.setattr(writer, "AHEAD", 8)
    with SegmentSink(tmp_path, flush_seconds=60) as sink:
        sink.begin_run(make_run())
        sink.append_later(Later([make_request("a")]))
        assert sink._waiting.unmade == 4
        sink.append_later(Later([make_request("b")]))
        for _ in range(1000):
            with sink._buffer:
                if sink._waiting.unmade == 0 and len(sink._waiting.chunks) == 1:
                    break
                sink._buffer.wait(0.01)
        else:
            pytest.fail("no records were made in the background")
    assert len(contents(tmp_path)[2]) == 8


def test_two_runs_are_not_mixed(tmp_path: Path) -> None:
    """What waits for a run belongs to it, although the next one has begun."""
    with SegmentSink(tmp_path, flush_seconds=60) as sink:
        for run_id in ("run-a", "run-b"):
            sink.begin_run(make_run(run_id))
            sink.append_later(Later([make_request(f"{run_id}/1", 2)]))
    catalog = read_catalog(open_store(tmp_path))
    assert {b.run_id: b.files["decisions"].rows for b in catalog.batches.values()} == {"run-a": 8, "run-b": 8}
    assert verify_store(tmp_path).ok


def test_an_id_given_twice_is_refused_at_once(tmp_path: Path) -> None:
    """Also where the first is no record yet."""
    with SegmentSink(tmp_path, flush_seconds=60) as sink:
        sink.begin_run(make_run())
        sink.append_later(Later([make_request("a")]))
        for again in ([make_request("a")], [make_request("b"), make_request("b")]):
            with pytest.raises(LogError, match="was given before"):
                sink.append_later(Later(again))
    assert len(contents(tmp_path)[0]) == 1


BAD = {
    "a request that cannot be stored": (
        Later([replace(make_request("bad"), started_at=T0.replace(tzinfo=None))]), "zone",
    ),
    "decisions of an expert that is not there": (
        Later([make_request("bad")], make_batch([(0, 0, 0, 9, 0, True, 1.0, 0.5, 1.0, 0.2, 0)])), "expert_id 9",
    ),
    "a recorder that fails": (Later([make_request("bad")], batch="no batch"), "Cannot record a request"),  # type: ignore[arg-type]
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("ahead", [False, True])
def test_what_cannot_be_stored_is_left_out_and_told(tmp_path: Path, name: str, ahead: bool) -> None:
    """The flush says why, once; those before and behind it are stored; the run is marked as incomplete."""
    bad, reason = BAD[name]
    with SegmentSink(tmp_path, flush_seconds=60) as sink:
        sink.begin_run(make_run())
        sink.append_later(Later([make_request("before")]))
        sink.append_later(bad)
        sink.append_later(Later([make_request("behind")]))
        if ahead:
            with sink._writing:
                sink._make_ahead()
        with pytest.raises(LogError, match=reason):
            sink.flush()
        sink.flush()
        assert sink.unrecorded == Unrecorded(requests=1, tokens=1, decisions=4)
    requests, _, decisions = contents(tmp_path)
    assert [row["request_id"] for row in requests] == ["before", "behind"]
    assert len(decisions) == 8
    report = verify_store(tmp_path)
    assert (report.ok, report.incomplete) == (True, {"run-a": Unrecorded(requests=1, tokens=1, decisions=4)})


def test_the_next_append_tells_what_was_left_out(tmp_path: Path) -> None:
    """Nobody has to call `flush` to hear of it, and the sink goes on; closing tells what nothing told before."""
    sink = SegmentSink(tmp_path, flush_seconds=60)
    sink.begin_run(make_run())
    good = Later([make_request("good")])
    for number, tells in enumerate((lambda: sink.append_later(good), sink.close)):
        bad = replace(BAD["a request that cannot be stored"][0].records[0], request_id=f"bad{number}")
        sink.append_later(Later([bad]))
        with sink._writing:
            sink._make_ahead()
        with pytest.raises(LogError, match="time zone"):
            tells()
    assert verify_store(tmp_path).incomplete == {"run-a": Unrecorded(requests=2, tokens=2, decisions=8)}
