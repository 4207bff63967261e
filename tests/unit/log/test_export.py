"""export: one run as a folder that explains itself, equal to what the relations show, whole or absent."""

import errno
import json
import os
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest

from moe_core.errors import InputError, LogError, RunNotFoundError, SegmentError
from moe_core.log import segments
from moe_core.log.export import export_run
from moe_core.log.imports.parquet import import_parquet
from moe_core.log.index import Index
from moe_core.log.manifest import read_manifest, start
from moe_core.log.redact import redact
from moe_core.log.relation_columns import COLUMNS
from moe_core.log.store import open_store
from moe_core.log.verify import verify_store
from moe_core.log.writer import SegmentSink
from tests.unit.log.build import fill_store, make_batch, make_request, make_run, plain_batch
from tests.unit.log.remains import remains


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Run `run-a`: 4 requests of 2 tokens over two days and three batches, one of them without tokens, one redacted,
    with unknown numbers; run `run-b` beside it."""
    path = tmp_path / "store"
    nan = float("nan")
    with SegmentSink(path, flush_seconds=60) as sink:
        sink.begin_run(make_run(config={"seed": 7, "note": "größer"}))
        first = make_request("one", 2, attributes={"group": "A"}, label="positive", score=0.5, domain="mail")
        sink.append([first, make_request("two", 2)], plain_batch([2, 2]))
        sink.flush()
        no_tokens = make_request(
            "three", 2, token_ids_T=np.empty(0, np.int32), is_special_T=np.empty(0, bool), text=None
        )
        late = make_request("four", 2, started_at=no_tokens.started_at.replace(month=4))
        sink.append([late, no_tokens], make_batch([
            (0, 1, 0, 2, 0, True, nan, nan, 0.25, nan, 5),
            (1, 0, 1, 0, 0, True, -3.25, 0.5, 2.5, 12.0, 16),
        ]))  # fmt: skip
    fill_store(path, "run-b", 1)
    redact(path, "two")
    return path


def rows(store: Path, name: str, columns: Sequence[str]) -> list[str]:
    with Index.open_private(store) as index:
        frame = index.frame(f"SELECT {', '.join(columns)} FROM {name} WHERE run_id = 'run-a'")
    return sorted(str(row) for row in frame.itertuples(index=False))


def exported(path: Path, columns: list[str]) -> list[str]:
    with duckdb.connect(":memory:") as connection:
        frame = connection.execute(f"SELECT {', '.join(columns)} FROM read_parquet('{path}')").df()
    return sorted(str(row) for row in frame.itertuples(index=False))


def test_the_files_are_what_the_relations_show(store: Path, tmp_path: Path) -> None:
    """Row by row and column by column: NULLs, redaction, both days, numbers to the last bit, and no other run."""
    done = export_run(store, "run-a", tmp_path / "out")
    assert done.rows == {"requests.parquet": 4, "tokens.parquet": 4, "decisions.parquet": 18, "runs.json": 1}
    assert (done.ended, done.redacted) == (True, 1)
    for name in ("requests", "tokens", "decisions"):
        path = tmp_path / "out" / f"{name}.parquet"
        assert pq.read_schema(path).names == list(COLUMNS[name])
        assert exported(path, list(COLUMNS[name])) == rows(store, name, list(COLUMNS[name]))
    (run,) = json.loads((tmp_path / "out" / "runs.json").read_text())
    assert list(run) == list(COLUMNS["runs"])
    assert (run["run_id"], run["config"], run["budget"]) == ("run-a", {"seed": 7, "note": "größer"}, 0.35)


def test_the_columns_are_those_of_the_relations(store: Path) -> None:
    """What the README explains is what the store has, in this order."""
    with Index.open_private(store) as index:
        for name, columns in COLUMNS.items():
            assert list(index.frame(f"SELECT * FROM {name} LIMIT 0").columns) == list(columns)


def test_the_folder_explains_itself(store: Path, tmp_path: Path) -> None:
    """The README names every column; MANIFEST.json has the sha256 of every other file, and the chain's own lines."""
    out = export_run(store, "run-a", tmp_path / "out").out
    readme = (out / "README.txt").read_text()
    assert all(f"  {column} " in readme for columns in COLUMNS.values() for column in columns)
    manifest = json.loads((out / "MANIFEST.json").read_text())
    assert {p.name for p in out.iterdir()} == {*manifest["files"], "MANIFEST.json"}
    for name, file in manifest["files"].items():
        data = (out / name).read_bytes()
        assert (file["sha256"], file["size"]) == (sha256(data).hexdigest(), len(data))
    lines = manifest["manifest_lines"]
    kinds = [json.loads(line["line"])["kind"] for line in lines]
    assert kinds == ["run", "batch", "batch", "batch", "run_end", "tombstone"]
    opened = open_store(store)
    for line in lines:
        path = opened.manifest_dir / line["manifest"]
        hashes = {entry.hash for entry in read_manifest(path, start(opened, path.stem)).entries}
        assert json.loads(line["line"])["hash"] in hashes


def test_without_text_nothing_personal_is_in_it(store: Path, tmp_path: Path) -> None:
    """No text, hash, attribute, token: neither columns nor bytes; decisions and costs are there."""
    with SegmentSink(store) as sink:
        sink.begin_run(make_run("secret"))
        request = make_request("s", 2, text="MARKER-4711", attributes={"hand": "SOUTHPAW"}, actor="ana.b",
                               reference_label="VERDICT", token_ids_T=np.array([30_011, 29_873], np.int32))  # fmt: skip
        sink.append([request], plain_batch([2]))
    markers = ("MARKER-4711", "SOUTHPAW", "ana.b", "VERDICT")
    assert remains(export_run(store, "secret", tmp_path / "with").out, markers, [30_011, 29_873]) != []
    out = export_run(store, "secret", tmp_path / "without", with_text=False).out
    assert remains(out, markers, [30_011, 29_873]) == []
    assert not (out / "tokens.parquet").exists()
    assert not {"text", "text_hash", "attributes", "actor", "token_id"} & {
        *pq.read_schema(out / "requests.parquet").names, *pq.read_schema(out / "decisions.parquet").names
    }  # fmt: skip
    assert "text_hash" not in (out / "README.txt").read_text()
    assert pq.read_metadata(out / "decisions.parquet").num_rows == 8


def test_an_export_can_be_imported_again(tmp_path: Path) -> None:
    """Into another store: the same decisions, tokens and texts, the redacted request without them; only the mark of an
    import, and text hashes under the salt of that store, differ."""
    fill_store(tmp_path / "store")
    redact(tmp_path / "store", "run-a/1")
    import_parquet(export_run(tmp_path / "store", "run-a", tmp_path / "out").out, tmp_path / "other")
    assert verify_store(tmp_path / "other").ok
    for name, left_out in (("requests", "text_hash"), ("tokens", ""), ("decisions", "flags")):
        columns = [column for column in COLUMNS[name] if column != left_out]
        assert rows(tmp_path / "other", name, columns) == rows(tmp_path / "store", name, columns)


def test_an_empty_folder_will_do_and_a_full_one_is_refused(store: Path, tmp_path: Path) -> None:
    """Nothing of anybody is overwritten; and the store is no place for exports."""
    (tmp_path / "out").mkdir()
    export_run(store, "run-a", tmp_path / "out")
    with pytest.raises(InputError, match="is not an empty folder"):
        export_run(store, "run-a", tmp_path / "out")
    with pytest.raises(InputError, match="lies inside the store"):
        export_run(store, "run-a", store / "requests" / "out")


def test_an_unknown_run_is_refused(store: Path, tmp_path: Path) -> None:
    """And leaves no folder."""
    with pytest.raises(RunNotFoundError, match="holds no run 'nobody'"):
        export_run(store, "nobody", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_damaged_segment_is_not_exported(store: Path, tmp_path: Path) -> None:
    """One sentence that names it, and no folder that looks like an export."""
    path = sorted(store.glob("segments/run=run-a/*/*.parquet"))[1]
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(SegmentError, match=r"differs from its manifest\. Nothing was exported"):
        export_run(store, "run-a", tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["store"]


def test_a_full_disk_leaves_no_folder(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever file it hits."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for target, name in ((pq.ParquetWriter, "write_table"), (segments, "write_all"), (os, "rename")):
        with monkeypatch.context() as patch:
            patch.setattr(target, name, full)
            with pytest.raises(LogError, match="No space left on device"):
                export_run(store, "run-a", tmp_path / "out")
        assert [p.name for p in tmp_path.iterdir()] == ["store"]


def test_a_run_that_is_still_recorded_is_exported_as_far_as_it_is(tmp_path: Path) -> None:
    """What was acknowledged is in it, and it is said that the run has not ended."""
    with SegmentSink(tmp_path / "store", flush_seconds=60) as sink:
        sink.begin_run(make_run())
        sink.append([make_request("a", 2)], plain_batch([2]))
        sink.flush()
        sink.append([make_request("b", 2)], plain_batch([2]))
        done = export_run(tmp_path / "store", "run-a", tmp_path / "out")
    assert (done.rows["decisions.parquet"], done.ended) == (8, False)


def test_a_run_without_decisions_is_an_empty_export(tmp_path: Path) -> None:
    """Files with columns and no rows."""
    fill_store(tmp_path / "store", n_batches=0)
    out = export_run(tmp_path / "store", "run-a", tmp_path / "out").out
    assert pq.read_table(out / "decisions.parquet").num_rows == 0
    assert pq.read_schema(out / "decisions.parquet").names == list(COLUMNS["decisions"])
