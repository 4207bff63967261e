"""Files that are either whole or absent: atomic, durable writes, and reads that notice damage."""

import errno
import hashlib
import os
import secrets
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from moe_core.errors import SegmentError

TMP_SUFFIX = ".tmp"
OUT_OF_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def write_durable(path: Path, data: bytes | memoryview, *, replace: bool = True) -> None:
    """tmp -> fsync -> rename -> fsync of the folder. After it returns, the file survives a crash; when it raises
    SegmentError (disk full, no permission), nothing of it is left.

    With `replace=False` an existing file is kept and FileExistsError raised.
    """
    tmp = path.with_name(f"{path.name}.{secrets.token_hex(4)}{TMP_SUFFIX}")
    try:
        make_dirs(path.parent)
        descriptor = os.open(tmp, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        try:
            write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if replace:
            os.rename(tmp, path)
        else:
            os.link(tmp, path)
            os.unlink(tmp)
        fsync_dir(path.parent)
    except OSError as error:
        with suppress(OSError):
            tmp.unlink(missing_ok=True)
        if isinstance(error, FileExistsError) and not replace:
            raise
        raise SegmentError(write_failure(path, error)) from error


def write_failure(path: Path, error: OSError) -> str:
    """One sentence for the user: what, where, what to do."""
    remedy = "free some space there" if error.errno in OUT_OF_SPACE else "check the folder and its permissions"
    return (
        f"Cannot write {path}: {error.strerror or error}; everything acknowledged before is intact, {remedy} and go on."
    )


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """os.write until nothing is left."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def make_dirs(path: Path) -> None:
    """mkdir -p whose result survives a crash."""
    if path.is_dir():
        return
    make_dirs(path.parent)
    path.mkdir(exist_ok=True)
    fsync_dir(path.parent)


def fsync_dir(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


RANGES = ("request_no", "position", "layer", "expert_id")  # columns that readers look up by: the others need no ranges


def parquet_bytes(
    table: pa.Table,
    metadata: Mapping[str, str],
    encodings: Mapping[str, str] | None = None,
    uncompressed: Collection[str] = (),
) -> memoryview:
    """The table as one Parquet file: zstd 1, page checksums, `metadata` in the footer.

    `encodings`: by column; plain where none is given, since dictionaries cost more than zstd leaves them to save (a
    third of the time here). `uncompressed`: columns that zstd makes no smaller.
    """
    compressed = [name for name in table.column_names if name not in uncompressed]
    sink = pa.BufferOutputStream()
    pq.write_table(
        table.replace_schema_metadata(dict(metadata)),
        sink,
        compression={name: "zstd" if name in compressed else "none" for name in table.column_names},
        compression_level=dict.fromkeys(compressed, 1),
        write_page_checksum=True,
        write_statistics=[name for name in table.column_names if name in RANGES],
        use_dictionary=False,
        column_encoding=dict(encodings) if encodings else None,
        store_schema=False,
    )
    return memoryview(sink.getvalue())


def read_parquet(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """The whole file, or these columns of it, with page checksums verified; raises SegmentError where that fails."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            return file.read(columns=None if columns is None else list(columns))
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SegmentError(f"Cannot read {path}: {reason}; run `routelens verify`.") from None


def file_sha256(path: Path) -> str:
    """Raises OSError where the file cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
