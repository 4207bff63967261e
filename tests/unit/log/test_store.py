"""The folder and its store.json."""

import hashlib
import json
from pathlib import Path
from urllib.parse import unquote

import pytest

from moe_core.errors import LogError, SchemaVersionError, StoreNotFoundError
from moe_core.log.console import run_select
from moe_core.log.index import Index
from moe_core.log.store import check_run_id, create_store, open_store, run_folder
from moe_core.log.verify import verify_store
from moe_core.log.writer import SegmentSink


def test_a_new_store_opens(tmp_path: Path) -> None:
    """What create_store returns is what open_store reads."""
    assert create_store(tmp_path / "s") == open_store(tmp_path / "s")


def test_there_is_no_store(tmp_path: Path) -> None:
    """The sentence says where it was looked for and what makes one."""
    with pytest.raises(StoreNotFoundError, match=r"no store in .*nowhere; record something first"):
        open_store(tmp_path / "nowhere")
    with pytest.raises(StoreNotFoundError):
        verify_store(tmp_path / "nowhere")


def test_a_store_is_not_made_twice(tmp_path: Path) -> None:
    """create_store never touches a store that is there."""
    create_store(tmp_path)
    with pytest.raises(LogError, match="is a store in"):
        create_store(tmp_path)


def test_a_newer_store_is_refused_by_everybody(store_dir: Path) -> None:
    """Schema version 999: writer, index, console and verify say so instead of guessing."""
    path = store_dir / "store.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": 999}))
    for attempt in (
        lambda: open_store(store_dir),
        lambda: SegmentSink(store_dir),
        lambda: Index.open(store_dir),
        lambda: Index.open_private(store_dir),
        lambda: run_select(store_dir, "SELECT 1"),
        lambda: verify_store(store_dir),
    ):
        with pytest.raises(SchemaVersionError, match="schema version 999, this RouteLens knows 1: update"):
            attempt()


def test_an_edited_store_json_is_refused(store_dir: Path) -> None:
    """It carries the sha256 of its own content."""
    path = store_dir / "store.json"
    path.write_text(path.read_text().replace('"created_at": "2', '"created_at": "1'))
    with pytest.raises(LogError, match=r"store\.json is damaged"):
        open_store(store_dir)
    assert not verify_store(store_dir).ok


def test_a_replaced_store_json_breaks_every_chain(store_dir: Path, tmp_path: Path) -> None:
    """A sound store.json of another store is found out by the manifests."""
    create_store(tmp_path / "other")
    (store_dir / "store.json").write_bytes((tmp_path / "other" / "store.json").read_bytes())
    report = verify_store(store_dir)
    assert not report.ok
    assert "store.json, was replaced" in report.errors[0]


def test_a_text_hash_cannot_be_looked_up(tmp_path: Path) -> None:
    """Equal texts have equal hashes in one store, other hashes in another, and never the bare SHA-256."""
    first, second = create_store(tmp_path / "1"), create_store(tmp_path / "2")
    assert first.text_hash("yes") == first.text_hash("yes")
    assert len({first.text_hash("yes"), second.text_hash("yes"), hashlib.sha256(b"yes").hexdigest()}) == 3


@pytest.mark.parametrize("run_id", ["a", "2026", "../x", "a/b=c", "lauf ä 日本", "*", "50%", "it's"])
def test_any_printable_id_names_one_folder(run_id: str) -> None:
    """Ids are encoded so that no separator, dot or wildcard reaches the file system, and can be read back."""
    check_run_id(run_id)
    folder = run_folder(run_id)
    assert not set("/*?[='") & set(folder.removeprefix("run="))
    assert unquote(folder.removeprefix("run=")) == run_id


@pytest.mark.parametrize("run_id", ["", " a", "a\n", "\x00", "x" * 201, "日" * 40, "__HIVE_DEFAULT_PARTITION__"])
def test_an_unusable_id_is_refused(run_id: str) -> None:
    """Empty, padded, unprintable or too long for a folder name."""
    with pytest.raises(LogError, match="cannot be used"):
        check_run_id(run_id)


def test_a_folder_name_that_sql_reads_as_a_pattern_is_refused(tmp_path: Path) -> None:
    """`st[o]re` would make DuckDB look for `store`."""
    with pytest.raises(LogError, match="pattern; rename it"):
        create_store(tmp_path / "st[o]re")
