"""Files that are whole or absent."""

import errno
import os
from pathlib import Path

import pyarrow as pa
import pytest

from moe_core.errors import SegmentError
from moe_core.log import segments


@pytest.mark.parametrize("broken", ["write", "fsync", "rename"])
def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    """Whichever step fails, there is neither the file nor a half of it, and one sentence says why."""

    def fail(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, broken, fail)
    with pytest.raises(SegmentError, match=r"Cannot write .*x\.parquet: No space left on device; .*free some space"):
        segments.write_durable(tmp_path / "x.parquet", b"data")
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []


def test_short_writes_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """os.write may take only some of the bytes; the rest follows."""
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:3]))
    segments.write_durable(tmp_path / "x", b"0123456789")
    assert (tmp_path / "x").read_bytes() == b"0123456789"


def test_a_file_is_not_replaced_when_it_must_not_be(tmp_path: Path) -> None:
    """Two processes that create a store at once end with the one that came first."""
    segments.write_durable(tmp_path / "x", b"first", replace=False)
    with pytest.raises(FileExistsError):
        segments.write_durable(tmp_path / "x", b"second", replace=False)
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"first"]


def test_page_checksums_find_a_flipped_bit(tmp_path: Path) -> None:
    """A bit flipped in the data of a column is an error when read, never another number."""
    path = tmp_path / "x.parquet"
    data = bytearray(segments.parquet_bytes(pa.table({"a": list(range(1000))}), {}))
    data[100] ^= 4
    path.write_bytes(data)
    with pytest.raises(SegmentError, match="run `routelens verify`"):
        segments.read_parquet(path)
