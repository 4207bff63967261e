"""Whether index.duckdb has what the manifests list. It is opened read-only, and owned only for that moment."""

import os
from dataclasses import dataclass
from typing import Literal

import duckdb

from moe_core.errors import IndexLockedError, LogError
from moe_core.log.catalog import Catalog
from moe_core.log.connections import connect
from moe_core.log.ownership import owner_name, take_ownership
from moe_core.log.store import Store


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexCheckup:
    """`absent`, `owned` by a living process, `foreign` (damaged, or of another store: `reason`), or `read`: then how
    many manifest lines it lacks."""

    state: Literal["absent", "owned", "foreign", "read"]
    owner: str | None = None
    reason: str | None = None
    missing_batches: int = 0
    missing_tombstones: int = 0


def check_index(store: Store, catalog: Catalog) -> IndexCheckup:
    """Never raises for what is wrong with the index: it is a cache."""
    if not store.index_path.exists():
        return IndexCheckup(state="absent")
    ownership = None
    try:
        ownership = take_ownership(store)
    except IndexLockedError:
        return IndexCheckup(state="owned", owner=owner_name(store))
    except LogError:
        pass  # a folder that nobody may write to has no owner of an index either
    try:
        return _read(store, catalog)
    except duckdb.Error as error:
        return IndexCheckup(state="foreign", reason=str(error).splitlines()[0])
    finally:
        if ownership is not None:
            os.close(ownership)


def _read(store: Store, catalog: Catalog) -> IndexCheckup:
    with connect(store.index_path, read_only=True) as connection:
        meta = dict(connection.execute("SELECT key, value FROM index_meta").fetchall())
        positions = dict(connection.execute("SELECT writer_id, byte_offset FROM manifest_positions").fetchall())
    if meta.get("store_sha256") != store.sha256:
        return IndexCheckup(state="foreign", reason="it was made from another store.json")
    missing = {"batch": 0, "tombstone": 0}
    for path, reading in catalog.readings.items():
        for entry in reading.entries:
            if entry.kind in missing and entry.end > positions.get(path.stem, 0):
                missing[entry.kind] += 1
    return IndexCheckup(state="read", missing_batches=missing["batch"], missing_tombstones=missing["tombstone"])
