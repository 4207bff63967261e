"""doctor: explains any folder in plain sentences, names what to do, and changes nothing."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import duckdb
import pytest

from moe_core.log.doctor import Diagnosis, diagnose
from moe_core.log.index import Index
from moe_core.log.redact import redact
from moe_core.log.retain import retain
from moe_core.log.writer import SegmentSink
from tests.unit.log.build import fill_store, make_request, make_run, plain_batch
from tests.unit.log.relations import ROOT


def sentences(found: Diagnosis, level: str) -> str:
    return "\n".join(f"{one.what} -> {one.todo}" for one in found.findings if one.level == level)


def test_a_sound_store_is_healthy(store_dir: Path) -> None:
    """What it is, version, runs, writers, what was checked, index, disk use; nothing to do."""
    Index.open(store_dir).close()
    found = diagnose(store_dir)
    assert found.healthy
    assert not any(finding.todo for finding in found.findings)
    text = sentences(found, "ok")
    for part in (
        "is a RouteLens store",
        "schema version 1",
        "Runs: 1 ended, 0 recording, 0 cut off",
        "0 alive, 1 gone",
        "3 segments with 24 decisions",
        "The index has every batch",
        "the disk is",
        "Nothing needs attention",
    ):
        assert part in text
    assert found.facts["runs"][0]["decisions"] == 24
    assert found.facts["disk"]["segments"] == sum(p.stat().st_size for p in store_dir.glob("segments/*/*/*"))


def test_it_changes_nothing_but_the_lock(store_dir: Path) -> None:
    """Every byte of the store is as before."""
    Index.open(store_dir).close()
    before = {p: p.read_bytes() for p in store_dir.rglob("*") if p.is_file() and p.name != "index.lock"}
    diagnose(store_dir)
    assert {p: p.read_bytes() for p in store_dir.rglob("*") if p.is_file() and p.name != "index.lock"} == before


@pytest.mark.parametrize(
    ("prepare", "expected"),
    [
        pytest.param(lambda p: None, "does not exist", id="absent"),
        pytest.param(lambda p: p.write_text("x"), "is a file, not a folder", id="a file"),
        pytest.param(lambda p: p.mkdir(), "is an empty folder", id="empty"),
        pytest.param(lambda p: (p.mkdir(), (p / "photo.jpg").touch()), "is no store; it holds other things (photo.jpg)",
                     id="something else"),
        pytest.param(lambda p: (fill_store(p), (p / "store.json").unlink()), "is a store without its store.json",
                     id="no store.json"),
        pytest.param(lambda p: (fill_store(p), (p / "store.json").write_text("{")), "store.json is damaged",
                     id="damaged"),
        pytest.param(lambda p: (fill_store(p), (p / "store.json").write_text('{"schema_version": 99}')),
                     "update RouteLens to open it", id="newer"),
        pytest.param(lambda p: (fill_store(p), (p / "schema.json").write_text("{}")), "schema.json is damaged",
                     id="schema.json damaged"),
    ],
)  # fmt: skip
def test_a_folder_that_cannot_be_opened_is_explained(tmp_path: Path, prepare, expected: str) -> None:
    """One sentence of what it is, one of what to do."""
    prepare(tmp_path / "folder")
    found = diagnose(tmp_path / "folder")
    assert not found.healthy
    assert expected in sentences(found, "attention")
    assert all(finding.todo for finding in found.findings if finding.level == "attention")


def test_damage_is_named_with_what_to_do(store_dir: Path) -> None:
    """A changed segment: restore it; a manifest without its end: compare with a copy."""
    segment = next(store_dir.glob("segments/*/*/*"))
    segment.write_bytes(segment.read_bytes()[:-1] + b"?")
    (manifest,) = store_dir.glob("manifest/*.jsonl")
    manifest.write_bytes(b"".join(manifest.read_bytes().splitlines(keepends=True)[:-1]))
    text = sentences(diagnose(store_dir), "attention")
    assert f"{segment.name} is not what was written: its sha256 differs from its manifest. -> restore the file" in text
    assert "its end is missing. -> compare with a copy or a published head" in text


def test_runs_are_told_apart_by_their_writers(tmp_path: Path) -> None:
    """One ended, one is being recorded, one was cut off by kill -9 with an orphan and half-written files."""
    fill_store(tmp_path, "ended")
    code = (
        "import os, sys\nfrom moe_core.log.writer import SegmentSink\n"
        "from tests.unit.log.build import make_request, make_run, plain_batch\n"
        "sink = SegmentSink(sys.argv[1], flush_seconds=60)\nsink.begin_run(make_run('killed'))\n"
        "sink.append([make_request('k', 2)], plain_batch([2]))\nsink.flush()\nos.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    with SegmentSink(tmp_path, flush_seconds=60) as sink:
        sink.begin_run(make_run("living"))
        sink.append([make_request("l", 2)], plain_batch([2]))
        sink.flush()
        listed = next(tmp_path.glob("requests/run=killed/*.requests.parquet"))
        listed.with_name(listed.name.replace("000000", "000001")).write_bytes(listed.read_bytes())
        listed.with_name(f"{listed.name}.12345678.tmp").write_bytes(b"half")
        found = diagnose(tmp_path)
    assert {run["run_id"]: run["state"] for run in found.facts["runs"]} == {
        "ended": "ended", "killed": "cut off", "living": "recording"
    }  # fmt: skip
    assert found.facts["writers"] == {"alive": 1, "gone": 2}
    assert found.healthy
    notes = sentences(found, "note")
    for part in ("Run 'killed' was never ended: its writer died. The 8 decisions", "is in no manifest (an orphan)",
                 "1 unlisted files of writers that were killed take", "1 half-written files"):  # fmt: skip
        assert part in notes


def test_torn_lines_are_notes(store_dir: Path) -> None:
    """A line that was cut off in writing never counted."""
    (manifest,) = store_dir.glob("manifest/*.jsonl")
    with manifest.open("ab") as file:
        file.write(b'{"seq": 5')
    found = diagnose(store_dir)
    assert found.healthy
    assert "ends in a line that was cut off in writing" in sentences(found, "note")


def test_what_the_index_lacks_is_counted(store_dir: Path) -> None:
    """No index; one that lacks 2 batches; one that is owned; one that is no database."""
    assert "There is no index yet" in sentences(diagnose(store_dir), "ok")
    with Index.open(store_dir):
        assert f"The index is in use by process {os.getpid()}" in sentences(diagnose(store_dir), "ok")
    fill_store(store_dir, "run-b", 2)
    found = diagnose(store_dir)
    assert found.healthy
    assert "The index lacks 2 batches. -> `routelens index`" in sentences(found, "note")
    (store_dir / "index.duckdb").write_bytes(b"no database")
    found = diagnose(store_dir)
    assert not found.healthy
    assert "The index cannot be opened" in sentences(found, "attention")


def test_tombstones_are_told_and_unfinished_ones_need_attention(store_dir: Path) -> None:
    """A redaction that was killed before its index was made again, and before its old files were deleted."""
    Index.open(store_dir).close()
    index = (store_dir / "index.duckdb").read_bytes()
    requests = sorted(store_dir.glob("requests/*/*.requests.parquet"))[1]
    data = requests.read_bytes()
    redact(store_dir, "run-a/1", actor="dpo")
    found = diagnose(store_dir)
    assert found.healthy
    assert found.facts["tombstones"] == 1
    assert "by dpo" in sentences(found, "note")
    (store_dir / "index.duckdb").write_bytes(index)
    requests.write_bytes(data)
    found = diagnose(store_dir)
    text = sentences(found, "attention")
    assert "The index still holds what 1 tombstones erased. -> `routelens index`" in text
    assert "was removed by a tombstone but is still there" in text
    redact(store_dir, "run-a/1")
    assert diagnose(store_dir).healthy


def test_an_emptied_store_is_healthy(store_dir: Path) -> None:
    """Retention took everything, lawfully."""
    retain(store_dir, 1)
    found = diagnose(store_dir)
    assert found.healthy
    assert found.facts["decisions"] == 0


def test_a_disk_that_is_nearly_full_needs_attention(store_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """1 % free, 1 GB: say how much, and what frees some."""
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(100 * 10**9, 99 * 10**9, 10**9))
    found = diagnose(store_dir)
    assert not found.healthy
    assert "the disk is 99% full, 1.0 GB are free. -> free some space, or drop old days" in sentences(
        found, "attention"
    )


def test_an_index_of_another_store_is_named(store_dir: Path, tmp_path: Path) -> None:
    """It was copied there by mistake."""
    fill_store(tmp_path / "other")
    Index.open(tmp_path / "other").close()
    shutil.copy(tmp_path / "other" / "index.duckdb", store_dir / "index.duckdb")
    assert "made from another store.json" in sentences(diagnose(store_dir), "attention")
    with duckdb.connect(str(store_dir / "index.duckdb")) as connection:
        connection.execute("DROP TABLE index_meta")
    assert "cannot be opened" in sentences(diagnose(store_dir), "attention")


def test_the_facts_are_json(store_dir: Path) -> None:
    """`--json` prints them as they are."""
    Index.open(store_dir).close()
    assert json.loads(json.dumps(diagnose(store_dir).facts))["index"]["state"] == "read"
