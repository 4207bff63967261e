"""Tombstones: they supersede files for every reader, in any order, and only files that their writer may name."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe_core.log import queries
from moe_core.log.catalog import read_catalog
from moe_core.log.entries import ROLES, BatchEntry, FileEntry
from moe_core.log.index import Index
from moe_core.log.manifest import Entry, ManifestWriter
from moe_core.log.redact import redact
from moe_core.log.store import decisions_path, open_store, requests_path, tokens_path
from moe_core.log.tombstones import BatchChange, Removals, Tombstone, rewrite_id
from moe_core.log.verify import verify_store


def batch(batch_id: str = "w-000000") -> BatchEntry:
    paths = {
        "decisions": decisions_path("r", "2026-03-01", batch_id),
        "requests": requests_path("r", batch_id),
        "tokens": tokens_path("r", batch_id),
    }
    files = {role: FileEntry(path=paths[role], sha256="0" * 64, size=1, rows=1) for role in ROLES}
    return BatchEntry(batch_id=batch_id, run_id="r", day="2026-03-01", first_request_no=0, files=files, merkle_root="")


def rewritten(before: BatchEntry, writer_id: str) -> BatchEntry:
    """The batch after `writer_id` rewrote it."""
    name = rewrite_id(writer_id, 0)
    new = {
        "requests": FileEntry(path=requests_path("r", name), sha256=f"{writer_id:0>64}", size=2, rows=1),
        "tokens": FileEntry(path=tokens_path("r", name), sha256=f"{writer_id:1>64}", size=2, rows=0),
    }
    return replace(before, files={**before.files, **new})


def line(before: BatchEntry, after: BatchEntry | None, writer_id: str) -> Entry:
    """The tombstone line of a change from `before` to `after` (None: dropped)."""
    removed = {role: f for role, f in before.files.items() if after is None or after.files[role] != f}
    written = {} if after is None else {role: after.files[role] for role in removed}
    change = BatchChange(batch_id=before.batch_id, run_id="r", removed=removed, written=written)
    action = "retain" if after is None else "redact"
    fields = Tombstone(action=action, actor=None, reason=None, changes=(change,)).to_fields()
    return entry(fields, writer_id)


def entry(fields: Mapping[str, Any], writer_id: str, seq: int = 0) -> Entry:
    return Entry(writer_id=writer_id, seq=seq, kind="tombstone", at=datetime.now(UTC), fields=fields, hash="", end=0)


@given(st.permutations(range(4)), st.booleans())
def test_the_order_of_reading_does_not_matter(order: list[int], is_dropped: bool) -> None:
    """A batch rewritten three times, then dropped or not: whatever is read first, it ends as the last change says."""
    versions: list[BatchEntry | None] = [batch()]
    lines = []
    for writer_id in ("a", "b", "c"):
        before = versions[-1]
        assert before is not None
        versions.append(rewritten(before, writer_id))
        lines.append(line(before, versions[-1], writer_id))
    last = versions[-1]
    assert last is not None
    lines.append(line(last, None, "d") if is_dropped else line(batch("other-000000"), None, "d"))
    removals = Removals()
    for i in order:
        removals.add(lines[i])
        removals.add(lines[i])  # known: taken in once
    assert len(removals.tombstones) == 4
    assert removals.current(batch()) == (None if is_dropped else last)
    assert removals.current(batch("third-000000")) == batch("third-000000")


def test_a_line_that_names_a_file_removed_before_is_refused_whole() -> None:
    """Two who rewrote the same file cannot both be right; nothing of the second line counts."""
    removals = Removals()
    removals.add(line(batch(), rewritten(batch(), "a"), "a"))
    with pytest.raises(ValueError, match="was removed by a tombstone before"):
        removals.add(line(batch(), None, "b"))
    assert removals.current(batch()) == rewritten(batch(), "a")


def test_tombstones_that_do_not_fit_are_refused() -> None:
    """Another sha256 than was listed; a part of a batch; files that replace each other in a circle."""
    removals = Removals()
    wrong = replace(batch(), files={r: replace(f, sha256="1" * 64) for r, f in batch().files.items()})
    removals.add(line(wrong, None, "a"))
    with pytest.raises(ValueError, match="but not as it was listed"):
        removals.current(batch())
    removals = Removals()
    fields = line(batch(), None, "a").fields
    fields["batches"][0]["removed"].pop("tokens")
    removals.add(entry(fields, "a"))
    with pytest.raises(ValueError, match="drops only a part"):
        removals.current(batch())
    first, second = rewritten(batch(), "a"), rewritten(batch(), "b")
    removals = Removals()
    for before, after, writer_id, seq in ((batch(), first, "a", 0), (first, second, "b", 0), (second, first, "a", 1)):
        removals.add(replace(line(before, after, writer_id), seq=seq))
    with pytest.raises(ValueError, match="in a circle"):
        removals.current(batch())


@pytest.mark.parametrize(
    "path",
    ["../../etc/passwd", "requests/run=r/x-r000000.requests.parquet", "segments/run=r/a-r000000.requests.parquet",
     "requests/run=q/a-r000000.requests.parquet", "requests/run=r/a-000000.requests.parquet"],
)  # fmt: skip
def test_a_replacement_lies_where_its_writer_puts_it(path: str) -> None:
    """No other folder, no other writer, no other run, no name of a batch."""
    fields = line(batch(), rewritten(batch(), "a"), "a").fields
    fields["batches"][0]["written"]["requests"]["path"] = path
    with pytest.raises(ValueError, match="cannot have written"):
        Removals().add(entry(fields, "a"))


@pytest.mark.parametrize("change", [
    lambda fields: fields.pop("actor"),
    lambda fields: fields.update(action="forget"),
    lambda fields: fields["batches"][0]["removed"].update(other={}),
    lambda fields: fields["batches"][0]["written"].pop("tokens"),
    lambda fields: fields["batches"][0]["removed"]["tokens"].pop("sha256"),
])  # fmt: skip
def test_a_line_that_makes_no_sense_is_an_error_of_verify_and_a_problem_of_the_index(store_dir: Path, change) -> None:
    """It removes nothing: all 24 decisions stay, and both say which line it is."""
    store = open_store(store_dir)
    first = next(iter(read_catalog(store).batches.values()))
    manifest = ManifestWriter(store)
    name = rewrite_id(manifest.writer_id, 0)
    files = {"requests": replace(first.files["requests"], path=requests_path("run-a", name)),
             "tokens": replace(first.files["tokens"], path=tokens_path("run-a", name))}  # fmt: skip
    removed = {role: first.files[role] for role in files}
    planted = BatchChange(batch_id=first.batch_id, run_id="run-a", removed=removed, written=files)
    fields = Tombstone(action="redact", actor=None, reason=None, changes=(planted,)).to_fields()
    change(fields)
    manifest.append("tombstone", fields)
    manifest.close()
    report = verify_store(store_dir)
    assert (report.decisions, len(report.errors)) == (24, 1)
    assert f"manifest/{manifest.writer_id}.jsonl line 1 cannot be understood" in report.errors[0]
    with Index.open(store_dir) as index:
        assert queries.store_totals(index)["decisions"][0] == 24
        assert report.errors[0] in queries.problems(index)["what"].tolist()
    with Index.open(store_dir) as index:  # and it is not made again every time
        assert index.version == 0


def test_a_tombstone_about_an_unlisted_batch_is_an_error(store_dir: Path) -> None:
    """It may be that the manifest which listed it was taken away."""
    redact(store_dir, "run-a/1")
    (first,) = (path for path in (store_dir / "manifest").glob("*.jsonl") if '"kind": "batch"' in path.read_text())
    first.unlink()
    first.with_suffix(".head").unlink()
    errors = verify_store(store_dir).errors
    assert sum("which no manifest lists" in error for error in errors) == 1


def test_an_old_file_that_is_still_there_is_a_note_that_says_what_to_run(store_dir: Path) -> None:
    """A kill between the tombstone and the deletion."""
    requests = sorted(store_dir.glob("requests/*/*.requests.parquet"))[1]
    data = requests.read_bytes()
    redact(store_dir, "run-a/1")
    requests.write_bytes(data)
    report = verify_store(store_dir)
    assert report.ok
    assert sum("run `routelens redact --request run-a/1` again to finish" in note for note in report.notes) == 1
    assert redact(store_dir, "run-a/1").removed_files == 1
    assert not requests.exists()


def test_a_flipped_bit_in_a_rewritten_file_is_reported(store_dir: Path) -> None:
    """The new files are covered by their sha256 like the old ones, and the index leaves their batch out."""
    redact(store_dir, "run-a/1")
    (path,) = store_dir.glob("requests/*/*-r000000.requests.parquet")
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)
    report = verify_store(store_dir)
    assert (report.ok, report.decisions) == (False, 16)
    assert path.name in report.errors[0]
    with Index.open(store_dir) as index:
        assert queries.store_totals(index)["decisions"][0] == 16


def test_tombstones_are_learned_whenever_they_come(store_dir: Path) -> None:
    """An index that is opened before, in between and after agrees with a fresh one, and is made again only once."""
    with Index.open(store_dir) as index:
        redact(store_dir, "run-a/1", wait_seconds=0)
        assert index.refresh()
        redact(store_dir, "run-a/2", wait_seconds=0)
    for expected_version in (1, 0):
        with Index.open(store_dir) as index, Index.open_private(store_dir) as fresh:
            sql = "SELECT request_id, text, attributes, n_tokens FROM requests ORDER BY request_id"
            assert index.frame(sql).equals(fresh.frame(sql))
            assert index.frame("SELECT count(*) AS n FROM tokens")["n"][0] == 2
            assert index.version == expected_version
