"""The files of one batch: written together, removed together if they cannot be listed, swept after a crash."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from typing import Any

import pyarrow as pa

from moe_core.errors import LogError
from moe_core.log import encoding, merkle, segments
from moe_core.log.entries import BatchEntry, FileEntry, Role
from moe_core.log.manifest import ManifestWriter, is_alive, read_all
from moe_core.log.request_encoding import EncodedRequest, requests_to_arrow, tokens_to_arrow
from moe_core.log.store import SCHEMA_VERSION, Store, decisions_path, requests_path, run_folder, tokens_path


def claim_run(store: Store, manifest: ManifestWriter, run_id: str, fields: Mapping[str, Any]) -> None:
    """Writes the `run` line, unless the store has a run of that id: then LogError. One run has one writer."""
    folder = store.path / "segments" / run_folder(run_id)
    with store.exclusive():
        if folder.exists() and any(
            entry.kind == "run" and entry.fields["run"]["run_id"] == run_id
            for _, reading in read_all(store)
            for entry in reading.entries
        ):
            raise LogError(f"The store {store.path} has a run {run_id!r} already; choose another run id.")
        try:
            segments.make_dirs(folder)
        except OSError as error:
            raise LogError(segments.write_failure(folder, error)) from error
        manifest.append("run", {"run": fields})


def write_batch_files(
    store: Store,
    run_id: str,
    batch_id: str,
    day: str,
    requests: Sequence[EncodedRequest],
    decisions: Sequence[encoding.Decisions],
) -> BatchEntry:
    """Makes the three files of a batch durable. When it raises SegmentError, none of them is left."""
    tables = requests_to_arrow(requests), tokens_to_arrow(requests)
    return write_batch_tables(store, run_id, batch_id, day, requests[0].row[0], *tables, decisions)


def write_batch_tables(
    store: Store,
    run_id: str,
    batch_id: str,
    day: str,
    first_request_no: int,
    requests: pa.Table,
    tokens: pa.Table,
    decisions: Sequence[encoding.Decisions],
) -> BatchEntry:
    """The same for requests and tokens in the form of `REQUEST_SCHEMA` and `TOKEN_SCHEMA`; each part of `decisions`
    holds whole tokens."""
    parts: list[tuple[Role, str, Any]] = [
        ("requests", requests_path(run_id, batch_id), requests),
        ("tokens", tokens_path(run_id, batch_id), tokens),
        ("decisions", decisions_path(run_id, day, batch_id), encoding.to_arrow(decisions)),
    ]
    files: dict[Role, FileEntry] = {}
    try:
        for role, path, table in parts:
            files[role] = write_file(store, path, table, run_id, batch_id)
    except Exception:
        for _, path, _ in parts:
            (store.path / path).unlink(missing_ok=True)
        raise
    return BatchEntry(
        batch_id=batch_id,
        run_id=run_id,
        day=day,
        first_request_no=first_request_no,
        files=files,
        merkle_root=merkle.root_of(decisions),
    )


def write_file(store: Store, path: str, table: pa.Table, run_id: str, batch_id: str) -> FileEntry:
    """Makes one file of a batch durable. Raises SegmentError, and nothing of it is left."""
    metadata = {
        "routelens.schema_version": str(SCHEMA_VERSION),
        "routelens.run_id": run_id,
        "routelens.batch_id": batch_id,
    }
    if table.schema.equals(encoding.DECISION_SCHEMA):
        encodings, uncompressed = encoding.PARQUET_ENCODINGS, encoding.PARQUET_UNCOMPRESSED
        data = segments.parquet_bytes(table, metadata, encodings, uncompressed)
    else:
        data = segments.parquet_bytes(table, metadata)
    segments.write_durable(store.path / path, data)
    return FileEntry(path=path, sha256=sha256(data).hexdigest(), size=len(data), rows=table.num_rows)


def remove_batch_files(store: Store, batch: BatchEntry) -> None:
    for file in batch.files.values():
        with suppress(OSError):
            (store.path / file.path).unlink(missing_ok=True)


def sweep_leftovers(store: Store) -> int:
    """Removes half-written files of writers that do not run any more, and returns how many.

    Whole files that no manifest lists are left alone: if a manifest was damaged, they are what can be saved.
    """
    swept = 0
    for folder in ("segments", "requests"):
        for path in (store.path / folder).rglob(f"*{segments.TMP_SUFFIX}"):
            writer_id = path.name.split(".")[0].rsplit("-", 1)[0]
            with suppress(OSError):
                if not is_alive(store.manifest_dir / f"{writer_id}.jsonl"):
                    path.unlink()
                    swept += 1
    return swept
