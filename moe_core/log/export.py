"""Export of one run as a folder that explains itself, batch by batch: its size is no matter of memory.

The folder appears whole or not at all: it is written beside its place and renamed.
"""

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from moe_core.errors import InputError, LogError, RunNotFoundError, SegmentError
from moe_core.log import encoding, segments
from moe_core.log.catalog import Catalog, file_problem, read_catalog, were_removed_since
from moe_core.log.entries import BatchEntry, run_fields
from moe_core.log.manifest import Entry
from moe_core.log.relation_columns import COLUMNS
from moe_core.log.request_encoding import PERSONAL_COLUMNS, REQUEST_SCHEMA
from moe_core.log.store import Store, open_store
from moe_core.log.unrecorded import Unrecorded

_SCALES = {
    "logit": encoding.LOGIT_SCALE,
    "prob": encoding.PROB_SCALE,
    "gate_weight": encoding.PROB_SCALE,
    "margin": encoding.LOGIT_SCALE,
}
_TYPES = {"selected": pa.bool_(), **dict.fromkeys(_SCALES, pa.float64()), "token_id": pa.int32()}
Tables = dict[str, pa.Table]


@dataclass(frozen=True, kw_only=True, slots=True)
class Export:
    """`rows` and `sha256` by file name; `redacted` counts requests whose text was erased before."""

    out: Path
    run_id: str
    rows: dict[str, int]
    sha256: dict[str, str]
    bytes: int
    ended: bool
    redacted: int


def export_run(store_dir: Path | str, run_id: str, out: Path, *, with_text: bool = True) -> Export:
    """Writes runs.json, requests.parquet, tokens.parquet, decisions.parquet, README.txt, MANIFEST.json into `out`,
    which is absent or empty. Without text: no personal column, no tokens.parquet, no token ids.

    Raises RunNotFoundError; InputError for a folder that is not empty; SegmentError where a file of the run is damaged;
    LogError where writing fails.
    """
    store = open_store(store_dir)
    catalog = read_catalog(store)
    if run_id not in catalog.runs:
        raise RunNotFoundError(f"The store {store.path} holds no run {run_id!r}; `routelens doctor` lists the runs.")
    out = out.resolve()
    _check_out(out, store)
    partial = out.with_name(f".{out.name}.{secrets.token_hex(4)}.partial")
    try:
        segments.make_dirs(partial)
        rows = _write_tables(store, catalog, run_id, partial, with_text)
        run = json.dumps([run_fields(catalog.runs[run_id])], ensure_ascii=False, indent=1)
        segments.write_durable(partial / "runs.json", run.encode())
        segments.write_durable(partial / "README.txt", _readme(store, catalog, run_id, rows, with_text).encode())
        rows["runs.json"] = 1
        hashes = {name: segments.file_sha256(partial / name) for name in (*rows, "README.txt")}
        manifest = _manifest(store, catalog, run_id, partial, hashes, rows, with_text)
        segments.write_durable(partial / "MANIFEST.json", manifest)
        os.rename(partial, out)
        segments.fsync_dir(out.parent)
    except SegmentError:
        if were_removed_since(store, catalog):
            raise LogError(f"Run {run_id!r} was redacted or dropped while it was exported; run this again.") from None
        raise
    except (OSError, pa.ArrowException) as error:
        reason = error if isinstance(error, OSError) else OSError(str(error))
        raise LogError(segments.write_failure(out, reason)) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    requests = [r for t in catalog.removals.tombstones.values() for r in t.requests if r.run_id == run_id]
    return Export(
        out=out,
        run_id=run_id,
        rows=rows,
        sha256=hashes,
        bytes=sum(path.stat().st_size for path in out.iterdir()),
        ended=run_id in catalog.run_ends,
        redacted=len(requests),
    )


def _check_out(out: Path, store: Store) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"--out {out} is not an empty folder; choose another, or empty it first.")
    if out.is_relative_to(store.path):
        raise InputError(f"--out {out} lies inside the store; choose a folder outside of it.")


def _write_tables(store: Store, catalog: Catalog, run_id: str, folder: Path, with_text: bool) -> dict[str, int]:
    """-> rows by file name. One row group a batch, in the order in which the batches were written."""
    schemas = _schemas(with_text)
    rows = {f"{name}.parquet": 0 for name in schemas}
    batches = sorted((b for b in catalog.batches.values() if b.run_id == run_id), key=lambda b: b.first_request_no)
    with ExitStack() as stack:
        writers = {
            name: stack.enter_context(
                pq.ParquetWriter(folder / f"{name}.parquet", schema, compression="zstd", write_page_checksum=True)
            )
            for name, schema in schemas.items()
        }
        for batch in batches:
            for name, table in _relations(store, batch).items():
                if name in writers and len(table):
                    writers[name].write_table(table.select(schemas[name].names).cast(schemas[name]))
                    rows[f"{name}.parquet"] += len(table)
    for name in schemas:
        with (folder / f"{name}.parquet").open("rb") as file:
            os.fsync(file.fileno())
    return rows


def _schemas(with_text: bool) -> dict[str, pa.Schema]:
    types = {field.name: field.type for field in REQUEST_SCHEMA} | _TYPES
    personal = () if with_text else (*PERSONAL_COLUMNS, "token_id")
    names = ("requests", "tokens", "decisions") if with_text else ("requests", "decisions")
    special = {"run_id": pa.string(), "is_special": pa.bool_()}
    return {
        name: pa.schema(
            [(column, special.get(column) or types.get(column, pa.int32()))
             for column in COLUMNS[name] if column not in personal]
        )
        for name in names
    }  # fmt: skip


def _relations(store: Store, batch: BatchEntry) -> Tables:
    """One batch as the public relations show it, from files that are what was written."""
    for file in batch.files.values():
        if (problem := file_problem(store, file)) is not None:
            raise SegmentError(f"{problem} Nothing was exported; see `routelens doctor`.")
    requests, tokens, decisions = (
        segments.read_parquet(store.path / batch.files[role].path) for role in ("requests", "tokens", "decisions")
    )
    number_R = requests["request_no"].to_numpy()
    order_R = np.argsort(number_R)

    def with_ids(table: pa.Table) -> pa.Table:
        place_N = order_R[np.searchsorted(number_R, table["request_no"].to_numpy(), sorter=order_R)]
        run = pa.array([batch.run_id], pa.string()).take(pa.array(np.zeros(len(table), np.int64)))
        return table.append_column("run_id", run).append_column("request_id", requests["request_id"].take(place_N))

    for column, scale in _SCALES.items():
        real = pc.divide(pc.cast(decisions[column], pa.float64()), float(scale))
        decisions = decisions.set_column(decisions.schema.get_field_index(column), column, real)
    decisions = decisions.append_column("token_id", _token_ids(decisions, tokens))
    run = pa.array([batch.run_id] * len(requests), pa.string())
    return {
        "requests": requests.append_column("run_id", run),
        "tokens": with_ids(tokens),
        "decisions": with_ids(decisions),
    }


def _token_ids(decisions: pa.Table, tokens: pa.Table) -> pa.ChunkedArray:
    """The token id of each decision; NULL where there is no token."""
    if not len(tokens):
        return pa.chunked_array([pa.nulls(len(decisions), pa.int32())])

    def keys(table: pa.Table) -> Any:
        return table["request_no"].to_numpy().astype(np.int64) << 32 | table["position"].to_numpy()

    known_T, wanted_N = keys(tokens), keys(decisions)
    order_T = np.argsort(known_T)
    place_N = order_T[np.minimum(np.searchsorted(known_T, wanted_N, sorter=order_T), len(known_T) - 1)]
    return tokens["token_id"].take(pa.array(place_N, mask=known_T[place_N] != wanted_N))


def _manifest(
    store: Store, catalog: Catalog, run_id: str, folder: Path, hashes: dict[str, str], rows: dict[str, int],
    with_text: bool,
) -> bytes:  # fmt: skip
    files = {
        name: {"sha256": digest, "size": (folder / name).stat().st_size, "rows": rows.get(name)}
        for name, digest in hashes.items()
    }
    content = {
        "format": "routelens export 1",
        "store_id": store.store_id,
        "store_sha256": store.sha256,
        "schema_version": store.schema_version,
        "exported_at": datetime.now(UTC).isoformat(),
        "run_id": run_id,
        "run_ended": run_id in catalog.run_ends,
        "unrecorded": asdict(catalog.unrecorded.get(run_id, Unrecorded())),
        "with_text": with_text,
        "files": files,
        "manifest_lines": list(_lines_of(catalog, run_id)),
    }
    return (json.dumps(content, ensure_ascii=False, indent=1) + "\n").encode()


def _lines_of(catalog: Catalog, run_id: str) -> Iterator[dict[str, str]]:
    """The manifest lines that speak of the run, oldest first, as they stand: each carries its hash, and that of the
    line before."""
    found = []
    for path, reading in catalog.readings.items():
        lines = path.read_bytes().split(b"\n")
        found += [
            (entry.at, path.name, entry.seq, lines[entry.seq].decode("utf-8"))
            for entry in reading.entries
            if run_id in _runs_of(entry)
        ]
    for _, name, _, line in sorted(found):
        yield {"manifest": name, "line": line}


def _runs_of(entry: Entry) -> set[str]:
    if entry.kind == "run":
        return {entry.fields["run"]["run_id"]}
    if entry.kind == "tombstone":
        return {change["run_id"] for change in entry.fields["batches"]}
    return {entry.fields.get("run_id", "")}


def _readme(store: Store, catalog: Catalog, run_id: str, rows: dict[str, int], with_text: bool) -> str:
    lines = [
        f"Run {run_id} of the RouteLens store {store.store_id}, exported on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "",
        "Every decision of a sparse model: for each token and layer, which experts ran, and which one came next.",
        "The key of a decision is (run_id, request_id, position, layer, expert_id). Null means: not known, or erased.",
        "MANIFEST.json has the sha256 of each file here and the lines of the store's hash chain that list this run.",
        "`routelens import parquet FOLDER` reads this folder into another store.",
        *([catalog.unrecorded[run_id].sentence(run_id)] if run_id in catalog.unrecorded else []),
        "" if with_text else "\nExported without personal data: no texts, attributes, token ids.\n",
    ]
    for name, columns in COLUMNS.items():
        file = f"{name}.json" if name == "runs" else f"{name}.parquet"
        if file in rows or name == "runs":
            shown = [c for c in columns if with_text or c not in (*PERSONAL_COLUMNS, "token_id")]
            n_rows = 1 if name == "runs" else rows[file]
            lines += [f"{file}: {n_rows:,} rows", *(f"  {column:16} {columns[column]}" for column in shown), ""]
    return "\n".join(lines)
