"""How many rows the manifests list up to given places: what an index that was read to there must hold."""

from collections.abc import Mapping
from contextlib import suppress

from moe_core.log.entries import ROLES, BatchEntry, Role
from moe_core.log.manifest import read_manifest, start
from moe_core.log.store import Store
from moe_core.log.tombstones import Removals


def rows_listed(store: Store, offsets: Mapping[str, int]) -> tuple[dict[Role, int], Removals]:
    """-> rows by role after what tombstones removed, and these tombstones. `offsets`: writer id -> bytes to read.

    A line that cannot be understood lists nothing, here as in the index.
    """
    batches: dict[str, BatchEntry] = {}
    removals = Removals()
    for path in store.manifest_paths():
        for entry in read_manifest(path, start(store, path.stem)).entries:
            with suppress(ValueError, KeyError, TypeError):
                if entry.end > offsets.get(path.stem, 0):
                    break
                if entry.kind == "batch":
                    batch = BatchEntry.from_fields(entry.fields)
                    batches.setdefault(batch.batch_id, batch)
                elif entry.kind == "tombstone":
                    removals.add(entry)
    rows: dict[Role, int] = dict.fromkeys(ROLES, 0)
    for batch in batches.values():
        with suppress(ValueError):
            current = removals.current(batch)
            if current is not None:
                for role in ROLES:
                    rows[role] += current.files[role].rows
    return rows, removals
