"""The hash chain."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from moe_core.errors import LogError, ManifestError
from moe_core.log.heads import head_bytes, head_path, read_head
from moe_core.log.manifest import ManifestWriter, Position, is_alive, read_manifest, start
from moe_core.log.store import Store, create_store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return create_store(tmp_path / "store")


def write_events(store: Store, n: int) -> Path:
    writer = ManifestWriter(store)
    for i in range(n):
        writer.append("event", {"actor": "a", "what": "x", "from": i, "to": i + 1})
    writer.close()
    return writer.path


def read(store: Store, path: Path):
    return read_manifest(path, start(store, path.stem))


def test_lines_come_back_in_order(store: Store) -> None:
    """seq counts from 0, each line ends where the next begins, and the head names the last one."""
    path = write_events(store, 3)
    entries = read(store, path).entries
    assert [entry.fields["from"] for entry in entries] == [0, 1, 2]
    assert [entry.seq for entry in entries] == [0, 1, 2]
    assert entries[-1].end == path.stat().st_size
    assert read_head(path) == (2, entries[2].hash)


def test_reading_goes_on_where_it_stopped(store: Store) -> None:
    """A reader that keeps its position sees only what is new."""
    writer = ManifestWriter(store)
    first = writer.append("event", {"actor": None, "what": "x", "from": None, "to": 1})
    position = Position(offset=first.end, seq=1, prev=first.hash)
    assert read_manifest(writer.path, position).entries == []
    second = writer.append("event", {"actor": None, "what": "y", "from": None, "to": 2})
    assert read_manifest(writer.path, position).entries == [second]
    writer.close()


@pytest.mark.parametrize("kept", [1, 40, -1])
def test_a_torn_last_line_is_not_read(store: Store, kept: int) -> None:
    """A process killed in the middle of a line leaves the lines before it readable, without an error."""
    path = write_events(store, 3)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2]) + lines[2][:kept])
    head_path(path).write_bytes(head_bytes(1, lines[1][-67:-3].decode()))
    reading = read(store, path)
    assert len(reading.entries) == 2
    assert reading.error is None
    assert reading.torn_bytes == len(lines[2][:kept])


@pytest.mark.parametrize(
    ("edit", "n_read", "reason"),
    [
        pytest.param(lambda lines: [lines[0], lines[2]], 1, "removed, added or moved", id="removed"),
        pytest.param(lambda lines: [lines[1], lines[0], lines[2]], 0, "removed, added or moved", id="reordered"),
        pytest.param(lambda lines: [lines[0], lines[0], *lines[1:]], 1, "removed, added or moved", id="repeated"),
        pytest.param(
            lambda lines: [lines[0], lines[1].replace(b'"from": 1', b'"from": 9'), lines[2]], 1, "own hash", id="edited"
        ),
        pytest.param(lambda lines: [lines[0], b"{}\n", *lines[1:]], 1, "own hash", id="foreign line"),
        pytest.param(lambda lines: [lines[0], b"\n", *lines[1:]], 1, "own hash", id="empty line"),
        pytest.param(lambda lines: [lines[0], b"\xff\xfe\n", *lines[1:]], 1, "own hash", id="no text"),
    ],
)
def test_a_changed_chain_is_an_error(
    store: Store, edit: Callable[[list[bytes]], list[bytes]], n_read: int, reason: str
) -> None:
    """Removed, reordered, repeated, edited, foreign: reading stops there and says in which line."""
    path = write_events(store, 3)
    path.write_bytes(b"".join(edit(path.read_bytes().splitlines(keepends=True))))
    reading = read(store, path)
    assert len(reading.entries) == n_read
    assert reading.error is not None
    assert reason in reading.error
    assert f"line {n_read + 1} " in reading.error


def test_an_edited_line_with_a_right_hash_still_breaks_the_chain(store: Store) -> None:
    """Whoever edits a line and hashes it again must hash every later line again, too."""
    from hashlib import sha256

    path = write_events(store, 3)
    lines = path.read_bytes().splitlines(keepends=True)
    body = lines[1].split(b', "hash"')[0].replace(b'"from": 1', b'"from": 9')
    lines[1] = body + b', "hash": "' + sha256(body).hexdigest().encode() + b'"}\n'
    path.write_bytes(b"".join(lines))
    reading = read(store, path)
    assert len(reading.entries) == 2
    assert "does not continue the line before" in (reading.error or "")


def test_a_manifest_belongs_to_its_writer(store: Store) -> None:
    """Copied under another name, its first line does not fit."""
    path = write_events(store, 1)
    copy = path.with_name("another.jsonl")
    copy.write_bytes(path.read_bytes())
    assert "was replaced" in (read(store, copy).error or "")


def test_a_failed_append_is_taken_back_and_can_be_repeated(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk in the middle of a line leaves no part of it; the next try continues the chain."""
    writer = ManifestWriter(store)
    fields = {"actor": None, "what": "x", "from": None, "to": None}
    writer.append("event", fields)
    size = writer.path.stat().st_size
    write = os.write

    def half(descriptor: int, data: memoryview) -> int:
        write(descriptor, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", half)
        with pytest.raises(ManifestError, match="No space left on device"):
            writer.append("event", fields)
    assert writer.path.stat().st_size == size
    writer.append("event", fields)
    writer.close()
    assert len(read(store, writer.path).entries) == 2


def test_a_line_that_cannot_be_taken_back_ends_the_writer(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """If even the repair fails, nothing is written after the torn line."""
    writer = ManifestWriter(store)
    fields = {"actor": None, "what": "x", "from": None, "to": None}

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        patched.setattr(os, "ftruncate", fail)
        with pytest.raises(ManifestError, match="Input/output error"):
            writer.append("event", fields)
    with pytest.raises(ManifestError, match="start a new writer"):
        writer.append("event", fields)
    writer.close()


def test_what_is_not_json_is_refused(store: Store) -> None:
    """NaN and objects have no place in a line that others must be able to read."""
    writer = ManifestWriter(store)
    for value in (float("nan"), object()):
        with pytest.raises(LogError, match="cannot be written as JSON"):
            writer.append("event", {"actor": None, "what": "x", "from": None, "to": value})
    writer.close()
    assert read(store, writer.path).entries == []


def test_a_writer_is_seen_to_be_alive(store: Store) -> None:
    """Until it closes, or its process ends, others leave its files alone."""
    writer = ManifestWriter(store)
    assert is_alive(writer.path)
    writer.close()
    assert not is_alive(writer.path)
    assert not is_alive(store.manifest_dir / "nobody.jsonl")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        pytest.param(lambda path: path.write_bytes(head_bytes(4, "0" * 64)), "its end is missing", id="ahead"),
        pytest.param(lambda path: path.write_bytes(head_bytes(1, "0" * 64)), "not the one", id="another line"),
        pytest.param(lambda path: path.write_bytes(head_bytes(-1, "0" * 64)), "not the one", id="another store"),
        pytest.param(lambda path: path.write_bytes(head_bytes(-3, "0" * 64)), "is damaged", id="no number"),
        pytest.param(lambda path: path.write_bytes(b""), "is missing", id="empty"),
        pytest.param(lambda path: path.unlink(), "is missing", id="absent"),
        pytest.param(lambda path: path.write_bytes(b"\xff"), "is damaged", id="no text"),
    ],
)
def test_whoever_reads_learns_that_the_end_may_be_missing(
    store: Store, damage: Callable[[Path], object], reason: str
) -> None:
    """Reading compares the lines with the head: every line is returned, and the doubt with them."""
    path = write_events(store, 3)
    damage(head_path(path))
    reading = read(store, path)
    assert len(reading.entries) == 3
    assert reason in (reading.error or "")


def test_a_head_that_lags_is_no_error(store: Store) -> None:
    """A writer killed between the line and the head leaves the head one behind; before the first line it is at -1."""
    path = write_events(store, 3)
    entries = read(store, path).entries
    for seq, digest in ((1, entries[1].hash), (-1, start(store, path.stem).prev)):
        head_path(path).write_bytes(head_bytes(seq, digest))
        assert read(store, path).error is None
        position = Position(offset=entries[1].end, seq=2, prev=entries[1].hash)
        assert read_manifest(path, position).error is None


def test_a_writer_that_was_killed_while_it_began_is_no_error(store: Store) -> None:
    """An empty manifest with no head or an empty one: nothing was ever acknowledged."""
    path = write_events(store, 0)
    for prepare in (lambda: None, lambda: head_path(path).write_bytes(b""), head_path(path).unlink):
        prepare()
        assert read(store, path).error is None
    head_path(path).write_bytes(b"x")
    assert "is damaged" in (read(store, path).error or "")


def test_a_head_in_another_form_is_refused(store: Store) -> None:
    """The head has one spelling, so that every changed byte of it is seen."""
    path = write_events(store, 1)
    head = head_path(path)
    head.write_bytes(head.read_bytes().replace(b"+0", b"+ ", 1))
    with pytest.raises(ValueError, match=r"not in the form|too many values|not enough values"):
        read_head(path)
