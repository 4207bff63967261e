"""Migrations: an older store is refused with the command that helps; the command brings it up to date, step by step."""

import json
import secrets
from hashlib import sha256
from pathlib import Path

import pytest

from moe_core.errors import LogError, SchemaVersionError
from moe_core.log import migrations, store
from moe_core.log.doctor import diagnose
from moe_core.log.index import Index
from moe_core.log.migrations import migrate, recorded_steps
from moe_core.log.store import open_store, open_unmigrated, sealed
from moe_core.log.verify import verify_store
from moe_core.log.writer import SegmentSink
from tests.unit.log.build import fill_store, make_request, make_run, plain_batch


@pytest.fixture
def old_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of version 0: its chain begins with that number, and its manifest has no head. 24 decisions."""
    path = tmp_path / "store"
    with monkeypatch.context() as patch:
        patch.setattr(store, "SCHEMA_VERSION", 0)
        fill_store(path)
    (manifest,) = path.glob("manifest/*.jsonl")
    manifest.with_suffix(".head").unlink()
    first = json.loads(manifest.read_text().splitlines()[0])
    birth = sha256((path / "store.json").read_bytes()).hexdigest()
    assert first["prev"] == sha256(f"routelens manifest 0 {manifest.stem} {birth}".encode()).hexdigest()
    return path


def test_an_older_store_is_refused_with_the_command(old_store: Path) -> None:
    """Readers, writers, verify and doctor all say it; nobody writes into it."""
    before = {p: p.read_bytes() for p in old_store.rglob("*") if p.is_file()}
    for use in (open_store, Index.open, verify_store, SegmentSink):
        with pytest.raises(SchemaVersionError, match=r"has schema version 0.* run `routelens migrate --store"):
            use(old_store)
    assert "run `routelens migrate" in diagnose(old_store).findings[0].what
    assert {p: p.read_bytes() for p in old_store.rglob("*") if p.is_file()} == before


def test_a_migrated_store_is_whole_and_goes_on(old_store: Path) -> None:
    """The chain is not touched: store.json and manifest are byte for byte what they were; heads are there, verify is
    ok, a new run goes in, and the steps are recorded and told."""
    untouched = {p: p.read_bytes() for p in old_store.rglob("*") if p.is_file()}
    (step,) = migrate(old_store)
    assert (step.from_version, step.to_version) == (0, 1)
    assert {p: p.read_bytes() for p in untouched} == untouched
    opened = open_store(old_store)
    assert (opened.born_version, opened.schema_version) == (0, 1)
    assert recorded_steps(opened) == [step]
    report = verify_store(old_store)
    assert (report.ok, report.decisions, report.notes) == (True, 24, ())
    fill_store(old_store, "run-b", 1)
    assert verify_store(old_store).decisions == 32
    found = diagnose(old_store)
    assert found.healthy
    assert any("it was migrated from version 0 to 1" in finding.what for finding in found.findings)


def test_the_head_that_a_migration_writes_shows_a_lost_end(old_store: Path) -> None:
    """That is what the step is for."""
    migrate(old_store)
    (manifest,) = old_store.glob("manifest/*.jsonl")
    manifest.write_bytes(b"".join(manifest.read_bytes().splitlines(keepends=True)[:-1]))
    assert "its end is missing" in verify_store(old_store).errors[0]


def test_a_second_migration_does_nothing(old_store: Path, store_dir_young: Path) -> None:
    """Nor does one of a store that was born with today's version."""
    migrate(old_store)
    recorded = (old_store / "schema.json").read_bytes()
    assert migrate(old_store) == []
    assert (old_store / "schema.json").read_bytes() == recorded
    assert migrate(store_dir_young) == []
    assert not (store_dir_young / "schema.json").exists()


@pytest.fixture
def store_dir_young(tmp_path: Path) -> Path:
    fill_store(tmp_path / "young")
    return tmp_path / "young"


def test_steps_are_taken_one_by_one_and_may_be_repeated(old_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """0 -> 1 -> 2: where the second fails, the first stays reached; the next call goes on there. A step that was done
    but not recorded is done again without harm."""
    monkeypatch.setattr(store, "SCHEMA_VERSION", 2)
    monkeypatch.setattr(migrations, "SCHEMA_VERSION", 2)
    calls = []

    def second(opened: store.Store) -> None:
        """Writes something new."""
        calls.append(opened.path)
        if len(calls) == 1:
            raise LogError("no space")

    steps = {**migrations.STEPS, 1: second}
    migrations.heads_of_manifests(open_unmigrated(old_store))
    with pytest.raises(LogError, match="no space"):
        migrate(old_store, steps)
    assert open_unmigrated(old_store).schema_version == 1
    assert [step.what for step in migrate(old_store, steps)] == ["Writes something new."]
    assert [step.to_version for step in recorded_steps(open_store(old_store))] == [1, 2]
    assert verify_store(old_store).ok


def test_a_version_that_no_step_starts_from_is_refused(old_store: Path) -> None:
    """One sentence; nothing is recorded."""
    with pytest.raises(SchemaVersionError, match="from which no migration leads to 1"):
        migrate(old_store, {})
    assert not (old_store / "schema.json").exists()


def test_a_store_that_is_written_to_is_not_migrated(store_dir_young: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its writer knows the old version only."""
    with SegmentSink(store_dir_young, flush_seconds=60) as sink:
        sink.begin_run(make_run("living"))
        sink.append([make_request("a", 1)], plain_batch([1]))
        monkeypatch.setattr(migrations, "SCHEMA_VERSION", 2)
        with pytest.raises(LogError, match="Somebody is writing into"):
            migrate(store_dir_young, {1: lambda _: None})


def test_a_damaged_manifest_stops_the_migration(old_store: Path) -> None:
    """A head for a broken chain would make the damage official."""
    (manifest,) = old_store.glob("manifest/*.jsonl")
    lines = manifest.read_bytes().splitlines(keepends=True)
    manifest.write_bytes(b"".join([lines[0], *lines[2:]]))
    with pytest.raises(LogError, match="restore it from a copy, then migrate again"):
        migrate(old_store)
    assert not (old_store / "schema.json").exists()


def test_every_flipped_bit_of_schema_json_is_reported(old_store: Path) -> None:
    """It is sealed like store.json; deleted, the store is of its old version again, which is said as well."""
    migrate(old_store)
    path = old_store / "schema.json"
    data = path.read_bytes()
    for offset in range(0, len(data), 7):
        flipped = bytearray(data)
        flipped[offset] ^= 1 << secrets.randbelow(8)
        path.write_bytes(flipped)
        try:
            assert not verify_store(old_store).ok
        except SchemaVersionError:
            continue
    path.unlink()
    with pytest.raises(SchemaVersionError, match="schema version 0"):
        verify_store(old_store)
    migrate(old_store)
    assert verify_store(old_store).ok


def test_schema_json_of_another_store_is_refused(old_store: Path) -> None:
    """It names the store.json that it belongs to."""
    (old_store / "schema.json").write_bytes(sealed({"store_sha256": "0" * 64, "version": 1, "steps": []}))
    with pytest.raises(LogError, match="it belongs to another store"):
        open_store(old_store)
