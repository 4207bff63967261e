"""Retention: whole days that are older than N days go, with their decisions, texts and tokens.

Each day has one tombstone that lists every file with rows and sha256. It is durable before the first file of that day
is deleted, so that a kill leaves files that do not count any more; the next call deletes them.
"""

from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from moe_core.errors import InputError
from moe_core.log.catalog import Catalog, read_catalog
from moe_core.log.entries import BatchEntry
from moe_core.log.index_renewal import WAIT_SECONDS, IndexState, renew_index
from moe_core.log.manifest import ManifestWriter, is_alive
from moe_core.log.removal import alone, find_orphans, remove, remove_superseded, sweep
from moe_core.log.store import Store, open_store, run_folder
from moe_core.log.tombstone_signature import signed
from moe_core.log.tombstones import BatchChange, Tombstone


@dataclass(frozen=True, kw_only=True, slots=True)
class DroppedDay:
    """What one day held, all runs together. `bytes` are those of its files."""

    day: str
    runs: int
    batches: int
    requests: int
    tokens: int
    decisions: int
    bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Retention:
    """`before` is the first day that is kept. `removed_files` and `orphans` are 0 in a dry run, and `index` None."""

    before: str
    days: tuple[DroppedDay, ...]
    removed_files: int
    orphans: int
    index: IndexState | None


def retain(
    store_dir: Path | str,
    n_days: int,
    *,
    dry_run: bool = False,
    actor: str | None = None,
    reason: str | None = None,
    key: Ed25519PrivateKey | None = None,
    today: date | None = None,
    wait_seconds: float = WAIT_SECONDS,
) -> Retention:
    """Drops the days (UTC, of the requests) before today - `n_days`. Finishes what an earlier call began.

    Files that no manifest lists, of dead writers and from before that day, go too. Raises InputError for `n_days` < 1,
    LogError where writing or deleting fails, or somebody else is at it.
    """
    if n_days < 1:
        raise InputError(f"--days {n_days} would drop everything; give at least 1.")
    store = open_store(store_dir)
    before = (today or datetime.now(UTC).date()) - timedelta(days=n_days)
    if dry_run:
        days = _days(read_catalog(store), before)
        return Retention(before=before.isoformat(), days=_counted(days), removed_files=0, orphans=0, index=None)
    with alone(store):
        catalog = read_catalog(store)
        removed_files = remove_superseded(store, catalog)
        sweep(store, catalog)
        days = _days(catalog, before)
        if days:
            _bury(store, days, actor, reason, key)
            catalog = read_catalog(store)
            removed_files += remove_superseded(store, catalog)
        orphans = remove(_old_orphans(store, catalog, before))
        _remove_empty_folders(store, catalog, before)
    return Retention(
        before=before.isoformat(),
        days=_counted(days),
        removed_files=removed_files,
        orphans=orphans,
        index=renew_index(store, len(catalog.removals.tombstones), wait_seconds),
    )


def _days(catalog: Catalog, before: date) -> dict[str, list[BatchEntry]]:
    """The batches to drop, by day, oldest first."""
    days: defaultdict[str, list[BatchEntry]] = defaultdict(list)
    for batch in catalog.batches.values():
        if date.fromisoformat(batch.day) < before:
            days[batch.day].append(batch)
    return dict(sorted(days.items()))


def _counted(days: dict[str, list[BatchEntry]]) -> tuple[DroppedDay, ...]:
    return tuple(
        DroppedDay(
            day=day,
            runs=len({batch.run_id for batch in batches}),
            batches=len(batches),
            requests=sum(batch.files["requests"].rows for batch in batches),
            tokens=sum(batch.files["tokens"].rows for batch in batches),
            decisions=sum(batch.files["decisions"].rows for batch in batches),
            bytes=sum(file.size for batch in batches for file in batch.files.values()),
        )
        for day, batches in days.items()
    )


def _bury(
    store: Store,
    days: dict[str, list[BatchEntry]],
    actor: str | None,
    reason: str | None,
    key: Ed25519PrivateKey | None,
) -> None:
    manifest = ManifestWriter(store)
    try:
        for day, batches in days.items():
            changes = tuple(BatchChange(batch_id=b.batch_id, run_id=b.run_id, removed=b.files) for b in batches)
            tombstone = Tombstone(action="retain", actor=actor, reason=reason, changes=changes, day=day)
            manifest.append("tombstone", signed(store, manifest.writer_id, tombstone.to_fields(), key))
    finally:
        manifest.close()


def _old_orphans(store: Store, catalog: Catalog, before: date) -> list[Path]:
    """Files that never counted, by the day on which they were written."""
    return [
        orphan.path
        for orphan in find_orphans(store, catalog)
        if datetime.fromtimestamp(orphan.path.stat().st_mtime, UTC).date() < before
    ]


def _remove_empty_folders(store: Store, catalog: Catalog, before: date) -> None:
    """Folders of days; that of the run stays, since it tells that its id is taken. A living writer may need its own."""
    for run_id, writer_id in catalog.run_writers.items():
        if not is_alive(store.manifest_dir / f"{writer_id}.jsonl"):
            for folder in (store.path / "segments" / run_folder(run_id)).glob("day=*"):
                with suppress(OSError, ValueError):  # not empty, or no day
                    if date.fromisoformat(folder.name.removeprefix("day=")) < before:
                        folder.rmdir()
