"""retain: whole days go, with their texts, after a line that lists them; everything else stays."""

import os
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from moe_core.errors import InputError, LogError
from moe_core.log import queries
from moe_core.log.catalog import read_catalog
from moe_core.log.console import run_select
from moe_core.log.index import Index
from moe_core.log.manifest import ManifestWriter
from moe_core.log.redact import redact
from moe_core.log.retain import retain
from moe_core.log.signature import load_private_key
from moe_core.log.store import open_store
from moe_core.log.tombstone_signature import signed, signer
from moe_core.log.verify import verify_store
from moe_core.log.writer import SegmentSink
from tests.unit.log.build import make_request, make_run, plain_batch
from tests.unit.log.relations import contents
from tests.unit.log.remains import remains

TODAY = date(2026, 3, 10)


def on(day: int) -> datetime:
    return datetime(2026, 3, day, 23, 59, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Requests on 1, 2 and 3 March in run `old`, on 3 March in run `new`; each has 2 tokens, 8 decisions."""
    path = tmp_path / "store"
    with SegmentSink(path, flush_seconds=60) as sink:
        for run_id, days in (("old", (1, 2, 3)), ("new", (3,))):
            sink.begin_run(make_run(run_id))
            for day in days:
                sink.append([make_request(f"{run_id}-{day}", 2, started_at=on(day))], plain_batch([2]))
            sink.flush()
    Index.open(path).close()
    return path


def test_days_older_than_n_days_go(store: Path) -> None:
    """On 10 March, with 7 days to keep: 1 and 2 March are dropped, 3 March is kept. 6 files, 16 decisions go."""
    done = retain(store, 7, today=TODAY)
    assert (done.before, [day.day for day in done.days]) == ("2026-03-03", ["2026-03-01", "2026-03-02"])
    assert {(d.runs, d.batches, d.requests, d.tokens, d.decisions) for d in done.days} == {(1, 1, 1, 2, 8)}
    assert (done.removed_files, done.index) == (6, "fresh")
    assert remains(store, ["text of old-1", "text of old-2"]) == []
    assert remains(store, ["text of old-3", "text of new-3"]) != []
    assert sorted(p.name for p in store.glob("segments/*/*")) == ["day=2026-03-03"] * 2


def test_verify_is_ok_with_a_note_a_day(store: Path) -> None:
    """Totals of the ended run still agree: what was dropped is known."""
    retain(store, 7, today=TODAY, actor="ops", reason="policy 12")
    report = verify_store(store)
    assert (report.ok, report.segments, report.decisions, len(report.notes)) == (True, 2, 16, 2)
    assert (
        "by ops: day 2026-03-01 dropped with 1 batches, 1 requests, 8 decisions (policy 12); not signed"
        in (report.notes[0])
    )


def test_the_index_has_no_sums_of_dropped_days(store: Path) -> None:
    """Rollups count 3 March only; the runs are still listed; the index is as a fresh one."""
    retain(store, 7, today=TODAY)
    with Index.open(store) as index, Index.open_private(store) as fresh:
        assert contents(index) == contents(fresh)
        load = queries.expert_load(index)
        assert int(load["n"].sum() + load["n_runner_up"].sum()) == 16
        runs = queries.list_runs(index).set_index("run_id")
        assert runs["n_requests"].to_dict() == {"old": 1, "new": 1}
        assert runs["has_errors"].tolist() == [False, False]
        assert queries.load_over_time(index)["hour"].dt.day.unique().tolist() == [3]
        assert queries.events(index)["what"].tolist() == ["retain", "retain"]
    assert run_select(store, "SELECT count(*) FROM decisions").rows == [[16]]


def test_a_run_of_which_nothing_is_left_is_still_listed(store: Path) -> None:
    """And its id stays taken."""
    retain(store, 1, today=TODAY)
    assert verify_store(store).ok
    assert run_select(store, "SELECT run_id FROM runs ORDER BY 1").rows == [["new"], ["old"]]
    assert run_select(store, "SELECT count(*) FROM decisions").rows == [[0]]
    with SegmentSink(store) as sink, pytest.raises(LogError, match="has a run 'old' already"):
        sink.begin_run(make_run("old"))


def test_a_dry_run_changes_nothing(store: Path) -> None:
    """It counts the same and leaves every byte."""
    before = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    done = retain(store, 7, today=TODAY, dry_run=True)
    assert (len(done.days), done.removed_files, done.index) == (2, 0, None)
    assert {path: path.read_bytes() for path in store.rglob("*") if path.is_file()} == before


def test_a_second_call_finds_nothing_to_do(store: Path) -> None:
    """And writes no manifest."""
    retain(store, 7, today=TODAY)
    manifests = sorted(store.glob("manifest/*"))
    assert retain(store, 7, today=TODAY).days == ()
    assert sorted(store.glob("manifest/*")) == manifests


def test_what_a_killed_call_left_is_finished(store: Path) -> None:
    """Files of a dropped day that are still there: verify says what to run, and the next call deletes them."""
    kept = {path: path.read_bytes() for path in store.rglob("*.parquet")}
    retain(store, 7, today=TODAY)
    for path, data in kept.items():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    report = verify_store(store)
    assert (report.ok, report.decisions) == (True, 16)
    assert sum("run `routelens retain` again to finish" in note for note in report.notes) == 6
    assert retain(store, 7, today=TODAY).removed_files == 6
    assert len(verify_store(store).notes) == 2


def test_redacted_batches_can_be_dropped(store: Path) -> None:
    """The tombstone lists the files that the batch has now."""
    redact(store, "old-1")
    assert retain(store, 7, today=TODAY).removed_files == 6
    assert verify_store(store).ok
    assert [r.request_id for r in redact(store, "old-1").before] == ["old-1"]


def test_a_living_writer_goes_on(tmp_path: Path) -> None:
    """It imports old requests while they are dropped; what it appends afterwards counts, and so do its totals."""
    with SegmentSink(tmp_path, flush_seconds=60) as sink:
        sink.begin_run(make_run())
        sink.append([make_request("a", 2, started_at=on(1))], plain_batch([2]))
        sink.flush()
        assert len(retain(tmp_path, 7, today=TODAY).days) == 1
        sink.append([make_request("b", 2, started_at=on(1))], plain_batch([2]))
    report = verify_store(tmp_path)
    assert (report.ok, report.decisions) == (True, 8)
    assert len(retain(tmp_path, 7, today=TODAY).days) == 1
    assert verify_store(tmp_path).decisions == 0


def test_old_orphans_go_too(store: Path) -> None:
    """A file that a killed writer left holds texts; it goes with its time. A young one stays."""
    listed = next(store.glob("requests/run=old/*000000.requests.parquet"))
    old, young = (listed.with_name(listed.name.replace("000000", number)) for number in ("000008", "000009"))
    for path in (old, young):
        path.write_bytes(listed.read_bytes())
    moment = datetime(2026, 3, 2, tzinfo=UTC).timestamp()
    os.utime(old, (moment, moment))
    assert retain(store, 7, today=TODAY).orphans == 1
    assert (old.exists(), young.exists()) == (False, True)


def test_less_than_a_day_is_refused(store: Path) -> None:
    """0 would drop today's records as well tomorrow: nobody means that."""
    with pytest.raises(InputError, match="--days 0 would drop everything"):
        retain(store, 0)


def test_a_signed_tombstone_names_the_key(store: Path) -> None:
    """verify shows the public key; a changed line, or one moved to another writer, does not verify."""
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes_raw().hex()
    retain(store, 7, today=TODAY, key=key)
    assert all(f"signed with {public}" in note for note in verify_store(store).notes)
    opened = open_store(store)
    entry = read_catalog(opened).tombstone_entries[0]
    assert signer(opened, entry) == public
    for forged in (
        replace(entry, fields={**entry.fields, "reason": "another"}),
        replace(entry, writer_id="somebody-else"),
        replace(entry, fields={**entry.fields, "signature": {"public_key": "00", "ed25519": "zz"}}),
    ):
        with pytest.raises(ValueError, match="does not belong to its content"):
            signer(opened, forged)


def test_only_a_plain_ed25519_key_signs(tmp_path: Path) -> None:
    """No file, no key, a key of another kind, a key with a password: one sentence each, which says how to make one."""
    path, mine = tmp_path / "key.pem", Ed25519PrivateKey.generate()
    with pytest.raises(InputError, match="Cannot read the key"):
        load_private_key(path)
    path.write_text("no key")
    with pytest.raises(InputError, match="is not a private Ed25519 key"):
        load_private_key(path)
    for key, protection, expected in (
        (generate_private_key(SECP256R1()), NoEncryption(), "is not a private Ed25519 key"),
        (mine, BestAvailableEncryption(b"word"), "is not a private Ed25519 key"),
    ):
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection))
        with pytest.raises(InputError, match=expected):
            load_private_key(path)
    path.write_bytes(mine.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    assert load_private_key(path).public_key() == mine.public_key()


def test_a_wrong_signature_is_an_error_of_verify(store: Path) -> None:
    """The line stands in a sound chain, but its content is not what was signed."""
    opened = open_store(store)
    manifest = ManifestWriter(opened)
    fields = {"action": "retain", "actor": None, "reason": None, "day": "2026-03-01", "batches": []}
    line = signed(opened, manifest.writer_id, fields, Ed25519PrivateKey.generate())
    manifest.append("tombstone", line | {"reason": "changed"})
    manifest.close()
    (error,) = verify_store(store).errors
    assert "is a tombstone, but its signature does not belong to its content" in error


@pytest.mark.parametrize("n_days", range(1, 12))
def test_what_stays_is_what_is_young_enough(tmp_path: Path, n_days: int) -> None:
    """A request is kept exactly if its day is not before today - N."""
    days = np.arange(9)
    with SegmentSink(tmp_path, flush_seconds=60) as sink:
        sink.begin_run(make_run())
        requests = [make_request(str(d), 1, started_at=on(10) - timedelta(days=int(d))) for d in days]
        sink.append(requests, plain_batch([1] * len(days)))
    retain(tmp_path, n_days, today=TODAY)
    stored = {batch.day for batch in read_catalog(open_store(tmp_path)).batches.values()}
    assert stored == {(TODAY - timedelta(days=int(d))).isoformat() for d in days if d <= n_days}
