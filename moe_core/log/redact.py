"""Redaction: what a request says and who it is about goes from the disk; the decisions stay.

In this order, so that a kill at any moment leaves a store that is whole and a call that can be repeated:

1. the requests and tokens files of the batches are written anew, without the personal data, under new names;
2. one tombstone line lists the old and the new files: from here on, readers see the new ones;
3. the old files are deleted;
4. the index becomes a fresh file.

A call killed before 2 has changed nothing; the next one sweeps its files. Killed later, the next one goes on at 3.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from moe_core.errors import LogError, RequestNotFoundError, SegmentError
from moe_core.log import segments
from moe_core.log.batches import write_file
from moe_core.log.catalog import Catalog, file_problem, read_catalog
from moe_core.log.entries import BatchEntry, Role
from moe_core.log.index_renewal import WAIT_SECONDS, IndexState, renew_index
from moe_core.log.manifest import ManifestWriter
from moe_core.log.removal import alone, find_orphans, remove, remove_superseded, sweep
from moe_core.log.request_encoding import PERSONAL_COLUMNS, REQUEST_SCHEMA
from moe_core.log.store import Store, open_store, requests_path, tokens_path
from moe_core.log.tombstone_signature import signed
from moe_core.log.tombstones import BatchChange, ErasedRequest, Tombstone, rewrite_id

ERASED = (*PERSONAL_COLUMNS, "tokens")


@dataclass(frozen=True, kw_only=True, slots=True)
class Redaction:
    """`erased` by this call, `before` by earlier ones; `removed_files` counts old files, `orphans` unlisted ones that
    held the request; `unsearched` names damaged files that could not be looked into."""

    erased: tuple[ErasedRequest, ...]
    before: tuple[ErasedRequest, ...]
    removed_files: int
    orphans: int
    index: IndexState
    unsearched: tuple[str, ...]


@dataclass(slots=True)
class _Found:
    """Requests by the batch that holds them, and orphans that hold them."""

    by_batch: dict[str, list[ErasedRequest]] = field(default_factory=dict)
    orphans: list[Path] = field(default_factory=list)
    unsearched: list[str] = field(default_factory=list)

    def requests(self) -> list[ErasedRequest]:
        return [request for requests in self.by_batch.values() for request in requests]


def redact(
    store_dir: Path | str,
    request_id: str,
    *,
    actor: str | None = None,
    reason: str | None = None,
    key: Ed25519PrivateKey | None = None,
    wait_seconds: float = WAIT_SECONDS,
) -> Redaction:
    """Erases a request of that id in every run, and its companions: what escalation ran again, or the request that this
    one repeats. Finishes what an earlier call began.

    Raises RequestNotFoundError; SegmentError where a file of its batch is damaged; LogError where writing or deleting
    fails, or somebody else is at it.
    """
    store = open_store(store_dir)
    with alone(store):
        catalog = read_catalog(store)
        removed_files = remove_superseded(store, catalog)
        sweep(store, catalog)
        done = {(r.run_id, r.request_id, r.request_no): r
                for tombstone in catalog.removals.tombstones.values() for r in tombstone.requests}  # fmt: skip
        found = _find(store, catalog, request_id, done)
        before = [r for r in done.values() if request_id in (r.request_id, r.escalated_from)]
        waiting = {
            batch_id: todo
            for batch_id, requests in found.by_batch.items()
            if (todo := [r for r in requests if (r.run_id, r.request_id, r.request_no) not in done])
        }
        if not waiting and not before and not found.orphans:
            raise _not_found(store, request_id, found.unsearched)
        if waiting:
            _replace(store, catalog, waiting, actor, reason, key)
            catalog = read_catalog(store)
            removed_files += remove_superseded(store, catalog)
        orphans = remove(found.orphans)
    return Redaction(
        erased=tuple(r for requests in waiting.values() for r in requests),
        before=tuple(before),
        removed_files=removed_files,
        orphans=orphans,
        index=renew_index(store, len(catalog.removals.tombstones), wait_seconds),
        unsearched=tuple(found.unsearched),
    )


def _find(
    store: Store, catalog: Catalog, request_id: str, done: Mapping[tuple[str, str, int], ErasedRequest]
) -> _Found:
    """The request and its companions. A companion's original is looked for as well: it has the same text."""
    ids = {request_id} | {r.escalated_from for r in done.values() if r.request_id == request_id and r.escalated_from}
    while True:
        found = _scan(store, catalog, ids)
        originals = {request.escalated_from for request in found.requests() if request.escalated_from is not None}
        if originals <= ids:
            return found
        ids |= originals


def _scan(store: Store, catalog: Catalog, ids: set[str]) -> _Found:
    """One look through all requests files."""
    found = _Found()
    for batch in catalog.batches.values():
        path = batch.files["requests"].path
        try:
            requests = _requests_in(store.path / path, batch.run_id, _is_companion(catalog, batch.run_id), ids)
        except SegmentError:
            found.unsearched.append(path)
            continue
        if requests:
            found.by_batch[batch.batch_id] = requests
    orphans = find_orphans(store, catalog)
    for orphan in orphans:
        if orphan.path.name.endswith(".requests.parquet"):
            try:
                holds_it = bool(_requests_in(orphan.path, "", True, ids))
            except SegmentError:
                continue  # verify names it as an orphan, doctor says what to do
            if holds_it:
                found.orphans += [other.path for other in orphans if other.batch == orphan.batch]
    return found


def _requests_in(path: Path, run_id: str, with_companions: bool, ids: set[str]) -> list[ErasedRequest]:
    wanted = pa.array(sorted(ids), pa.string())
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            table = file.read(columns=["request_no", "request_id", "attributes"])
    except (OSError, pa.ArrowException) as error:
        raise SegmentError(f"Cannot read {path}: {error}; run `routelens verify`.") from None
    origin = pc.map_lookup(table["attributes"], "escalated_from", "first")
    is_wanted = pc.is_in(table["request_id"], wanted)
    if with_companions:
        is_wanted = pc.or_(is_wanted, pc.is_in(origin, wanted))
    else:
        origin = pa.chunked_array([pa.nulls(len(table), pa.string())])
    rows = table.select(["request_no", "request_id"]).append_column("origin", origin).filter(is_wanted).to_pylist()
    return [
        ErasedRequest(run_id=run_id, request_id=r["request_id"], request_no=r["request_no"], escalated_from=r["origin"])
        for r in rows
    ]


def _is_companion(catalog: Catalog, run_id: str) -> bool:
    """Whether the run answered requests of another one again: only then `escalated_from` is not the user's word."""
    return catalog.runs[run_id].config.get("escalates") is not None


def _replace(
    store: Store,
    catalog: Catalog,
    waiting: Mapping[str, Sequence[ErasedRequest]],
    actor: str | None,
    reason: str | None,
    key: Ed25519PrivateKey | None,
) -> None:
    """Steps 1 and 2. Where step 1 fails, no file of it is left; where step 2 fails, nobody can be sure that the line is
    not there, and the next call sweeps the files if it is not."""
    for batch_id in waiting:
        for role in ("requests", "tokens"):
            if (problem := file_problem(store, catalog.batches[batch_id].files[role])) is not None:
                raise SegmentError(
                    f"{problem} Restore it from a copy, or remove its whole day with `routelens retain`."
                )
    manifest = ManifestWriter(store)
    changes: list[BatchChange] = []
    try:
        try:
            for number, (batch_id, requests) in enumerate(waiting.items()):
                name, numbers = rewrite_id(manifest.writer_id, number), [request.request_no for request in requests]
                changes.append(_rewrite(store, catalog.batches[batch_id], name, numbers))
        except Exception:
            with suppress(LogError):
                remove((store.path / "requests").rglob(f"{manifest.writer_id}-r*"))
            raise
        tombstone = Tombstone(
            action="redact", actor=actor, reason=reason, changes=tuple(changes), columns=ERASED,
            requests=tuple(request for requests in waiting.values() for request in requests),
        )  # fmt: skip
        manifest.append("tombstone", signed(store, manifest.writer_id, tombstone.to_fields(), key))
    finally:
        manifest.close()


def _rewrite(store: Store, batch: BatchEntry, name: str, numbers: Sequence[int]) -> BatchChange:
    """Two files like those of the batch, in which these requests have NULL for what is personal, and no tokens."""
    requests = segments.read_parquet(store.path / batch.files["requests"].path)
    tokens = segments.read_parquet(store.path / batch.files["tokens"].path)
    erased = pa.array(numbers, pa.uint32())
    kept_rows = pc.if_else(pc.is_in(requests["request_no"], erased), None, pa.array(range(len(requests)), pa.int64()))
    for column in PERSONAL_COLUMNS:
        place = requests.schema.get_field_index(column)
        requests = requests.set_column(place, column, requests[column].take(kept_rows))
    tokens = tokens.filter(pc.invert(pc.is_in(tokens["request_no"], erased)))
    parts: list[tuple[Role, str, pa.Table]] = [
        ("requests", requests_path(batch.run_id, name), requests.cast(REQUEST_SCHEMA)),
        ("tokens", tokens_path(batch.run_id, name), tokens),
    ]
    written = {role: write_file(store, path, table, batch.run_id, batch.batch_id) for role, path, table in parts}
    removed = {role: batch.files[role] for role in written}
    return BatchChange(batch_id=batch.batch_id, run_id=batch.run_id, removed=removed, written=written)


def _not_found(store: Store, request_id: str, unsearched: Sequence[str]) -> RequestNotFoundError:
    where = f" ({len(unsearched)} damaged files could not be searched, `routelens verify` names them)"
    return RequestNotFoundError(
        f"The store {store.path} holds no request {request_id!r}{where if unsearched else ''}; "
        "`routelens query` finds the ids."
    )
