"""Adds verified batches to the tables of an index: their files, their requests, and what they add to the rollups."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import duckdb
import pyarrow as pa

from moe_core.log.entries import ROLES, BatchEntry
from moe_core.log.file_state import FileState
from moe_core.log.manifest import Entry
from moe_core.log.rollups import DECISION_COLUMNS, sums_of_batch
from moe_core.log.segments import read_parquet
from moe_core.log.store import Store
from moe_core.log.views import index_sql


def add_batches(
    connection: duckdb.DuckDBPyConnection, store: Store, listed: Sequence[tuple[Entry, BatchEntry]]
) -> None:
    """Batches and the lines that list them. To be called in a transaction: raises SegmentError where a file, whole a
    moment ago, cannot be read."""
    batches = [batch for _, batch in listed]
    about_batches: dict[str, list[Any]] = {role: [batch.files[role].rows for batch in batches] for role in ROLES}
    about_batches |= {
        "batch_id": [batch.batch_id for batch in batches],
        "run_id": [batch.run_id for batch in batches],
        "day": [batch.day for batch in batches],
        "committed_at": [without_zone(entry.at) for entry, _ in listed],
    }
    connection.execute(index_sql("add_batches"), about_batches)
    files = [(batch.batch_id, role, batch.files[role]) for batch in batches for role in ROLES]
    states = [FileState.of(store.path / file.path) or FileState(-1, -1, 0) for _, _, file in files]
    about_files: dict[str, list[Any]] = {
        "batch_id": [batch_id for batch_id, _, _ in files],
        "role": [role for _, role, _ in files],
        "path": [file.path for _, _, file in files],
        "sha256": [file.sha256 for _, _, file in files],
        "size": [state.size for state in states],
        "mtime_ns": [state.mtime_ns for state in states],
        "inode": [state.inode for state in states],
    }
    connection.execute(index_sql("add_files"), about_files)
    _add_rows(connection, store, batches)


def without_zone(moment: datetime) -> datetime:
    """UTC without a zone mark, as the relations show it."""
    return moment.astimezone(UTC).replace(tzinfo=None)


def _add_rows(connection: duckdb.DuckDBPyConnection, store: Store, batches: Sequence[BatchEntry]) -> None:
    """Each file is read once, and one statement per table adds what all of them hold."""
    names = ("requests", "load", "active", "pairs", "document_experts", "document_layers")
    added: dict[str, list[pa.Table]] = {name: [] for name in names}
    for batch in batches:
        requests = read_parquet(store.path / batch.files["requests"].path)
        sums = sums_of_batch(read_parquet(store.path / batch.files["decisions"].path, DECISION_COLUMNS), requests)
        added["requests"].append(_with(requests, batch_id=batch.batch_id, run_id=batch.run_id))
        for name, table in (
            ("load", sums.load), ("active", sums.active), ("pairs", sums.pairs),
            ("document_experts", sums.documents.experts), ("document_layers", sums.documents.layers),
        ):  # fmt: skip
            added[name].append(_with(table, run_id=batch.run_id))
    for name, tables in added.items():
        connection.register(f"new_{name}", pa.concat_tables(tables))
        connection.execute(index_sql(f"add_{name}"))
    connection.execute(index_sql("add_request_sums"))
    for name in added:
        connection.unregister(f"new_{name}")


def _with(table: pa.Table, **values: str) -> pa.Table:
    """The table with more columns, each of one value."""
    for name, value in values.items():
        table = table.append_column(name, pa.repeat(value, table.num_rows))
    return table
